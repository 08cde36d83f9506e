#!/usr/bin/env python3
"""Draws the records of ladder-bench as rooflines: SVG files, one for each weight type, TFLOP/s against M for each shape.

Usage: plot_record.py [--table] [--out FOLDER] [RECORD.json ...]; by default every record in results/, drawn beside them.
Several GPUs come below each other in one file. The same records give the same bytes. What a record has at a shape or two
only is in its rows, not drawn. --table prints a record as Markdown tables instead.
"""

import argparse
import glob
import json
import math
import os
import sys

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
PREFIX = "roofline-"
DRAWN_FROM = 3  # shapes

INK, MUTED, GRID, ROOF = "#1f2430", "#667085", "#e6e9ef", "#98a2b3"
LADDER, CUBLASLT, BEYOND = "#1f5fd0", "#d9730d", "#f3f5f8"
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 226, 190, 4
LEFT, GAP, RIGHT = 58, 18, 20
HEADER, GPU_HEADER, PANEL_HEADER, PANEL_FOOTER = 74, 30, 24, 50


def problem_of(record):
    """What keeps `record` from being drawn, as a sentence, or None."""
    for key in ("gpu", "date", "driver", "rows"):
        if key not in record:
            return f"it has no {key}"
    for row in record["rows"]:
        for key in ("a", "w", "group", "zeros", "m", "n", "k", "us", "floor_us"):
            if key not in row:
                return f"a row has no {key}"
    return None


def type_name(row):
    """"int4", "nf4-g64", "uint4-original": the default group and no zero points are not named."""
    parts = [row["w"]]
    if row["a"] != "fp16" and row["a"] != row["w"]:
        parts.insert(0, row["a"])
    if row["group"] == row["k"]:
        parts.append("channel")
    elif row["group"] not in (0, 128):
        parts.append(f"g{row['group']}")
    if row["zeros"] != "none":
        parts.append(row["zeros"])
    return "-".join(parts)


def tflops(row, us):
    return 2e-6 * row["m"] * row["n"] * row["k"] / us


def number(value):
    """Two places at most, and no negative zero: coordinates that print the same everywhere."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class Svg:
    def __init__(self, width, height, title):
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
            f'viewBox="0 0 {number(width)} {number(height)}" font-family="Helvetica, Arial, sans-serif" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{number(width)}" height="{number(height)}" rx="8" fill="#ffffff"/>']

    def text(self, x, y, text, size=11, fill=INK, anchor="start", weight="normal"):
        self.lines.append(f'<text x="{number(x)}" y="{number(y)}" font-size="{size}" fill="{fill}" '
                          f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, stroke, width=1):
        self.lines.append(f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
                          f'stroke="{stroke}" stroke-width="{width}"/>')

    def curve(self, points, stroke, width, dash=""):
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.lines.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}" '
                          f'stroke-linejoin="round" stroke-linecap="round"{dashed}/>')

    def polygon(self, points, fill):
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.lines.append(f'<polygon points="{path}" fill="{fill}"/>')

    def dot(self, x, y, stroke, fill, radius, title):
        self.lines.append(f'<circle cx="{number(x)}" cy="{number(y)}" r="{radius}" fill="{fill}" stroke="{stroke}" '
                          f'stroke-width="1.5"><title>{escape(title)}</title></circle>')

    def finish(self):
        return "\n".join(self.lines + ["</svg>", ""])


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Axes:
    """Logarithmic on both sides, shared by all panels of a file so that they compare."""

    def __init__(self, rows):
        self.ms = sorted({row["m"] for row in rows})
        values = [tflops(row, row[key]) for row in rows for key in ("us", "floor_us") if row[key] > 0]
        values += [tflops(row, row["cublaslt_fp16_us"]) for row in rows if row.get("cublaslt_fp16_us", 0) > 0]
        self.low = 10 ** math.floor(math.log10(min(values)))
        self.high = 10 ** math.ceil(math.log10(max(values)))

    def x(self, m):
        first, last = math.log2(self.ms[0]), math.log2(self.ms[-1])
        share = (math.log2(m) - first) / (last - first) if last > first else 0.5
        return 14 + share * (PANEL_WIDTH - 28)

    def y(self, value):
        share = math.log10(value / self.low) / math.log10(self.high / self.low)
        return PANEL_HEIGHT * (1 - share)

    def decades(self):
        value = self.low
        while value <= self.high:
            yield value
            value *= 10


def draw_panel(svg, axes, rows, x0, y0, with_scale):
    """One shape of one GPU; (x0, y0) is the plot's upper left corner."""
    n, k = rows[0]["n"], rows[0]["k"]
    svg.text(x0 + PANEL_WIDTH / 2, y0 - 8, f"{n} × {k}", 12, anchor="middle", weight="bold")

    def place(row, us):
        return x0 + axes.x(row["m"]), y0 + axes.y(tflops(row, us))

    roof = [place(row, row["floor_us"]) for row in rows]
    svg.polygon([(x0, y0), (x0, roof[0][1])] + roof + [(x0 + PANEL_WIDTH, roof[-1][1]), (x0 + PANEL_WIDTH, y0)], BEYOND)
    for value in axes.decades():
        y = y0 + axes.y(value)
        svg.line(x0, y, x0 + PANEL_WIDTH, y, GRID)
        if with_scale:
            svg.text(x0 - 8, y + 4, f"{value:g}", 11, MUTED, "end")
    svg.curve(roof, ROOF, 1.5, "4 3")
    rival = [row for row in rows if row.get("cublaslt_fp16_us", 0) > 0]
    if rival:
        svg.curve([place(row, row["cublaslt_fp16_us"]) for row in rival], CUBLASLT, 1.75)
    own = [row for row in rows if row["us"] > 0]
    svg.curve([place(row, row["us"]) for row in own], LADDER, 2.25)
    for row in rival:
        x, y = place(row, row["cublaslt_fp16_us"])
        svg.dot(x, y, CUBLASLT, "#ffffff", 3, f"cuBLASLt fp16, M {row['m']}: {row['cublaslt_fp16_us']:.1f} us")
    for row in own:
        x, y = place(row, row["us"])
        svg.dot(x, y, LADDER, LADDER, 3, f"Ladder, M {row['m']}: {row['us']:.1f} us, floor {row['floor_us']:.1f} us")
    svg.line(x0, y0 + PANEL_HEIGHT, x0 + PANEL_WIDTH, y0 + PANEL_HEIGHT, MUTED)
    # As many labels as there is room for, the ends always.
    least, last_x = 26, -math.inf
    for row in rows:
        x = x0 + axes.x(row["m"])
        end = x0 + axes.x(rows[-1]["m"])
        if x - last_x < least or (row is not rows[-1] and end - x < least):
            continue
        last_x = x
        svg.line(x, y0 + PANEL_HEIGHT, x, y0 + PANEL_HEIGHT + 4, MUTED)
        svg.text(x, y0 + PANEL_HEIGHT + 17, str(row["m"]), 11, MUTED, "middle")
        if row["us"] > 0:
            svg.text(x, y0 + PANEL_HEIGHT + 32, f"{100 * row['floor_us'] / row['us']:.0f}%", 11, LADDER, "middle")
    if with_scale:
        svg.text(x0 - 8, y0 + PANEL_HEIGHT + 17, "M", 11, MUTED, "end")
        svg.text(x0 - 8, y0 + PANEL_HEIGHT + 32, "of roof", 11, LADDER, "end")


def draw_legend(svg, x, y):
    svg.curve([(x, y - 4), (x + 24, y - 4)], LADDER, 2.25)
    svg.dot(x + 12, y - 4, LADDER, LADDER, 3, "Ladder")
    svg.text(x + 32, y, "Ladder")
    svg.curve([(x + 92, y - 4), (x + 116, y - 4)], CUBLASLT, 1.75)
    svg.dot(x + 104, y - 4, CUBLASLT, "#ffffff", 3, "cuBLASLt")
    svg.text(x + 124, y, "cuBLASLt fp16")
    svg.curve([(x + 218, y - 4), (x + 242, y - 4)], ROOF, 1.5, "4 3")
    svg.text(x + 250, y, "roof: launch floor + memory or tensor-core rate of the same run")


def shapes_of(rows):
    """Rows by shape in the record's order, each ascending in M."""
    shapes = {}
    for row in rows:
        shapes.setdefault((row["n"], row["k"]), []).append(row)
    return [sorted(shape, key=lambda row: row["m"]) for shape in shapes.values()]


def draw(name, parts):
    """`parts`: (record, its rows of this type) for each GPU."""
    first = parts[0][1][0]
    columns = min(COLUMNS, max(len(shapes_of(rows)) for _, rows in parts))
    panel = PANEL_HEADER + PANEL_HEIGHT + PANEL_FOOTER
    lines = [math.ceil(len(shapes_of(rows)) / columns) for _, rows in parts]
    width = max(LEFT + columns * PANEL_WIDTH + (columns - 1) * GAP + RIGHT, 640)
    height = HEADER + sum(GPU_HEADER + count * panel for count in lines)
    group = f", group {first['group']}" if first["group"] else ""
    zeros = f", zero points {first['zeros']}" if first["zeros"] != "none" else ""
    title = f"{first['w']} weights, {first['a']} activations{group}{zeros}: TFLOP/s against M"
    svg = Svg(width, height, title)
    svg.text(20, 30, title, 16, weight="bold")
    draw_legend(svg, 20, 54)
    axes = Axes([row for _, rows in parts for row in rows])
    y = HEADER
    for (record, rows), count in zip(parts, lines):
        svg.text(20, y + 16, record["gpu"], 13, weight="bold")
        svg.text(width - RIGHT, y + 16, f"driver {record['driver']}, {record['date']}", 11, MUTED, "end")
        y += GPU_HEADER
        for number_of, shape in enumerate(shapes_of(rows)):
            column, line = number_of % columns, number_of // columns
            draw_panel(svg, axes, shape, LEFT + column * (PANEL_WIDTH + GAP), y + line * panel + PANEL_HEADER,
                       column == 0)
        y += count * panel
    return f"{PREFIX}{name}.svg", svg.finish()


def rows_by_type(record):
    """Type name -> rows, in the record's order."""
    by_type = {}
    for row in record["rows"]:
        by_type.setdefault(type_name(row), []).append(row)
    return by_type


def draw_all(records, least_shapes=1):
    """File name -> SVG text for every weight type of `least_shapes` in `records`, by their GPUs' names."""
    types = {}
    for record in sorted(records, key=lambda r: r["gpu"]):
        for name, rows in rows_by_type(record).items():
            if len(shapes_of(rows)) >= least_shapes:
                types.setdefault(name, []).append((record, rows))
    return dict(draw(name, parts) for name, parts in sorted(types.items()))


def cell(row):
    """Microseconds, and in brackets the ratio to cuBLASLt fp16 and to the floor."""
    if row is None or row["us"] <= 0:
        return ""
    us = f"{row['us']:.1f}" if row["us"] < 100 else f"{row['us']:.0f}"
    rival = row.get("cublaslt_fp16_us", 0)
    ratios = ([f"{row['us'] / rival:.2f}"] if rival > 0 else []) + [f"{row['us'] / row['floor_us']:.2f}"]
    return f"{us} ({', '.join(ratios)})"


def tables(record):
    """Markdown: a table of the types for each set of M values they were measured at."""
    by_ms = {}
    for name, rows in rows_by_type(record).items():
        for shape in shapes_of(rows):
            by_ms.setdefault(tuple(row["m"] for row in shape), []).append((name, shape))
    lines = [f"{record['gpu']}, driver {record['driver']}, {record['date']}: us (ratio to cuBLASLt fp16, to the floor)"]
    for ms, shapes in by_ms.items():
        lines += ["", "| weights | N x K | " + " | ".join(f"M = {m}" for m in ms) + " |", "|---" * (2 + len(ms)) + "|"]
        for name, shape in shapes:
            lines.append(f"| {name} | {shape[0]['n']} x {shape[0]['k']} | " + " | ".join(map(cell, shape)) + " |")
    return "\n".join(lines)


def read(paths):
    records = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        problem = problem_of(record)
        if problem:
            raise ValueError(f"{path} is no record of ladder-bench: {problem}")
        records.append(record)
    return records


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=RESULTS, help="folder of the SVG files")
    parser.add_argument("--table", action="store_true", help="print Markdown tables")
    parser.add_argument("records", nargs="*", metavar="RECORD.json")
    flags = parser.parse_args(arguments)
    try:
        records = read(flags.records or sorted(glob.glob(f"{RESULTS}/*.json")))
        if flags.table:
            print("\n\n".join(tables(record) for record in records))
            return 0
        files = draw_all(records, DRAWN_FROM)
    except (OSError, ValueError) as error:
        print(f"plot_record: {error}", file=sys.stderr)
        return 1
    for name, text in files.items():
        with open(os.path.join(flags.out, name), "w", encoding="utf-8") as file:
            file.write(text)
        print(os.path.join(flags.out, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
