#!/usr/bin/env python3
"""Draws how time falls with the bits of the weights: the figure of the Ladder paper, one SVG for each GPU.

Usage: plot_scaling.py [--table] [--merge RUN.json]... [RECORD.json]; by default results/scaling/h100.json, drawn beside
it. Panels are the shapes, once for each M; a bar is the speed of a weight type over cuBLASLt's fp16 product of the same
run, one series for each activation type. --table prints the same as a Markdown table instead. --merge first makes the record
of what several runs of ladder-bench wrote, of one GPU and one set of sources, and fails where a bar is in none of them.
"""

import argparse
import json
import os
import sys

from plot_record import GRID, INK, LADDER, MUTED, RESULTS, Svg, problem_of

RECORD = os.path.join(RESULTS, "scaling", "h100.json")
WEIGHTS = ["fp16", "int8", "int4", "int2", "int1"]
SERIES = {"fp16": (LADDER, "fp16 activations"), "int8": ("#12806a", "int8 activations, a scale for each row")}
LEFT, TOP, PANEL_WIDTH, PANEL_HEIGHT, GAP, FOOT = 58, 96, 226, 150, 18, 70


SHAPES = [(1024, 8192), (8192, 8192), (28672, 8192), (8192, 28672)]
MS = [1, 4096]


def missing(record):
    """The figure's bars, (n, k, m, a, w), that no row measured."""
    have = {(row["n"], row["k"], row["m"], row["a"], row["w"]) for row in record["rows"] if row["us"] > 0}
    bars = [(n, k, m, a, w) for n, k in SHAPES for m in MS for a in SERIES for w in WEIGHTS
            if not (a == "int8" and w == "fp16")]
    return [bar for bar in bars if bar not in have]


def merge(records):
    """One record of several runs; a later run's row replaces an earlier one's of the same operator and M."""
    merged, rows = dict(records[-1]), {}
    for record in records:
        for field in ("gpu", "schedules_digest"):
            if record.get(field) != merged.get(field):
                raise ValueError(f"the runs differ in {field}: {record.get(field)} and {merged.get(field)}")
        rows.update({(row["op"], row["m"]): row for row in record["rows"] if row["us"] > 0})
    merged["rows"] = list(rows.values())
    lacking = missing(merged)
    if lacking:
        raise ValueError("no run has " + "; ".join(f"{w} with {a}, {n} x {k}, M = {m}" for n, k, m, a, w in lacking))
    return merged


def write(record, path):
    head = {key: value for key, value in record.items() if key != "rows"}
    rows = ",\n".join("  " + json.dumps(row) for row in record["rows"])
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ',\n "rows": [\n' + rows + "\n]}\n")


def rivals(rows):
    """cuBLASLt's time by shape and M: of the fp16 weights' row, which lie nearest to it in the run."""
    times = {}
    for row in sorted(rows, key=lambda row: row["w"] == "fp16"):
        if row.get("cublaslt_fp16_us", 0) > 0:
            times[row["n"], row["k"], row["m"]] = row["cublaslt_fp16_us"]
    return times


def speeds(record):
    """(n, k, m, a, w) -> (us, times as fast as cuBLASLt fp16)."""
    rows, out = record["rows"], {}
    fallback = rivals(rows)
    for row in rows:
        rival = row.get("cublaslt_fp16_us", 0) or fallback[row["n"], row["k"], row["m"]]
        out[row["n"], row["k"], row["m"], row["a"], row["w"]] = (row["us"], rival / row["us"])
    return out


def shapes_and_ms(found):
    shapes = list(dict.fromkeys(key[:2] for key in found))
    # The figure's two ends; what else was measured is in the table.
    ms = sorted({key[2] for key in found if key[3] == "fp16"})
    return shapes, ms


def draw(record):
    found = speeds(record)
    shapes, ms = shapes_and_ms(found)
    width = LEFT + len(shapes) * (PANEL_WIDTH + GAP) + 4
    height = TOP + len(ms) * (PANEL_HEIGHT + FOOT) + 6
    title = "Speed over cuBLASLt fp16 by the bits of the weights"
    svg = Svg(width, height, title)
    svg.text(20, 30, title, 16, weight="bold")
    svg.text(20, 52, f"{record['gpu']}, driver {record['driver']}, {record['date']}; groups of 128; "
                     "figures above the bars: how many times as fast", 11, MUTED)
    x = 20
    for colour, name in SERIES.values():
        svg.polygon([(x, 62), (x + 12, 62), (x + 12, 74), (x, 74)], colour)
        svg.text(x + 18, 72, name)
        x += 170
    for line, m in enumerate(ms):
        y0 = TOP + line * (PANEL_HEIGHT + FOOT) + 10
        top = max(speed for key, (_, speed) in found.items() if key[2] == m) * 1.12
        for column, (n, k) in enumerate(shapes):
            x0 = LEFT + column * (PANEL_WIDTH + GAP)
            svg.text(x0 + PANEL_WIDTH / 2, y0 - 4, f"{n} × {k}, M {m}", 12, anchor="middle", weight="bold")
            tick = 2 if top > 4 else 0.5
            for i in range(int(top / tick) + 1):
                y = y0 + PANEL_HEIGHT * (1 - i * tick / top)
                svg.line(x0, y, x0 + PANEL_WIDTH, y, MUTED if i * tick == 1 else GRID)
                if column == 0:
                    svg.text(x0 - 8, y + 4, f"{i * tick:g}x", 11, MUTED, "end")
            slot = PANEL_WIDTH / len(WEIGHTS)
            for place, w in enumerate(WEIGHTS):
                centre = x0 + slot * (place + 0.5)
                svg.text(centre, y0 + PANEL_HEIGHT + 16, w, 11, INK, "middle")
                for side, (a, (colour, _)) in enumerate(SERIES.items()):
                    if (n, k, m, a, w) not in found:
                        continue
                    us, speed = found[n, k, m, a, w]
                    left, high = centre + (side - 1) * 18, y0 + PANEL_HEIGHT * (1 - speed / top)
                    floor = y0 + PANEL_HEIGHT
                    svg.polygon([(left, floor), (left, high), (left + 17, high), (left + 17, floor)], colour)
                    svg.text(left + 8.5, high - 3, f"{speed:.1f}", 9, colour, "middle")
                    svg.text(left + 8.5, floor + 28 + 11 * side, f"{us:.3g}" if us < 1000 else f"{us:.0f}", 8, colour,
                             "middle")
            if column == 0:
                svg.text(x0 - 8, y0 + PANEL_HEIGHT + 28, "us", 9, MUTED, "end")
    return svg.finish()


def table(record):
    found = speeds(record)
    shapes, _ = shapes_and_ms(found)
    lines = ["| N x K | M | activations | " + " | ".join(WEIGHTS) + " |", "|---|---|---|" + "---|" * len(WEIGHTS)]
    for n, k in shapes:
        for m in sorted({key[2] for key in found}):
            for a in SERIES:
                cells = [found.get((n, k, m, a, w)) for w in WEIGHTS]
                if any(cells):
                    texts = [f"{c[0]:.4g} ({c[1]:.2f})" if c else "" for c in cells]
                    lines.append(f"| {n} x {k} | {m} | {a} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def read(path):
    with open(path, encoding="utf-8") as file:
        record = json.load(file)
    problem = problem_of(record)
    if problem:
        raise ValueError(f"{path} is no record of ladder-bench: {problem}")
    return record


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print a Markdown table: us (times as fast)")
    parser.add_argument("--merge", action="append", default=[], metavar="RUN.json", help="make the record of this run, "
                        "and of others")
    parser.add_argument("record", nargs="?", default=RECORD, metavar="RECORD.json")
    flags = parser.parse_args(arguments)
    try:
        if flags.merge:
            write(merge([read(path) for path in flags.merge]), flags.record)
        record = read(flags.record)
    except (OSError, ValueError) as error:
        print(f"plot_scaling: {error}", file=sys.stderr)
        return 1
    if flags.table:
        print(table(record))
        return 0
    path = os.path.splitext(flags.record)[0] + ".svg"
    with open(path, "w", encoding="utf-8") as file:
        file.write(draw(record))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
