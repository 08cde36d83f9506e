"""The committed plots are those of the committed records, and drawing copes with what records may hold."""

import glob
import os
import unittest
import xml.etree.ElementTree

import plot_record
import plot_scaling


def row(**fields):
    return {"a": "fp16", "w": "int4", "group": 128, "zeros": "none", "m": 1, "n": 4096, "k": 4096, "us": 4.0,
            "floor_us": 2.5, "cublaslt_fp16_us": 12.0, **fields}


def record(gpu, rows):
    return {"gpu": gpu, "date": "2026-01-01 00:00", "driver": "1", "rows": rows}


class CommittedPlots(unittest.TestCase):
    def test_they_are_of_the_committed_records(self):
        drawn = plot_record.draw_all(plot_record.read(sorted(glob.glob(f"{plot_record.RESULTS}/*.json"))),
                                     plot_record.DRAWN_FROM)
        committed = {os.path.basename(path) for path in glob.glob(f"{plot_record.RESULTS}/{plot_record.PREFIX}*.svg")}
        again = "run tests/performance/plot_record.py and commit what it draws"
        self.assertEqual(committed, set(drawn), again)
        for name, text in drawn.items():
            with open(os.path.join(plot_record.RESULTS, name), encoding="utf-8", newline="") as file:
                self.assertEqual(file.read(), text, f"{name}: {again}")


    def test_the_figure_of_scaling_too(self):
        record = plot_scaling.read(plot_scaling.RECORD)
        with open(plot_scaling.RECORD.replace(".json", ".svg"), encoding="utf-8", newline="") as file:
            self.assertEqual(file.read(), plot_scaling.draw(record), "run tests/performance/plot_scaling.py")


class Scaling(unittest.TestCase):
    def test_a_record_of_several_runs_has_every_bar_or_is_refused(self):
        def run(a, weights, shapes=plot_scaling.SHAPES, digest="1"):
            rows = [row(op=f"{a} {w} {n} {k}", a=a, w=w, n=n, k=k, m=m, us=1.0 + m)
                    for w in weights for n, k in shapes for m in plot_scaling.MS]
            return {**record("H100", rows), "schedules_digest": digest}
        plain, bytes_ = run("fp16", plot_scaling.WEIGHTS), run("int8", plot_scaling.WEIGHTS[1:])
        merged = plot_scaling.merge([plain, bytes_])
        self.assertEqual(plot_scaling.missing(merged), [])
        self.assertEqual(len(merged["rows"]), 4 * 2 * 9)
        # Of another benchmark's shapes.
        lacking = [run("fp16", ["fp16", "int8", "int2", "int1"]),
                   run("fp16", ["int4"], [shape for shape in plot_scaling.SHAPES if shape[0] != 28672]), bytes_]
        with self.assertRaisesRegex(ValueError, "int4 with fp16, 28672 x 8192, M = 4096"):
            plot_scaling.merge(lacking)
        with self.assertRaisesRegex(ValueError, "schedules_digest"):
            plot_scaling.merge([plain, run("int8", ["int8"], digest="2")])

    def test_speed_is_over_the_rival_of_the_row_or_of_the_shape(self):
        rows = [row(w="fp16", group=0, us=10.0, cublaslt_fp16_us=12.0), row(w="int2", us=3.0, cublaslt_fp16_us=15.0),
                row(a="int8", w="int8", us=4.0, cublaslt_fp16_us=0)]
        found = plot_scaling.speeds(record("GPU", rows))
        self.assertEqual(found[4096, 4096, 1, "fp16", "int2"], (3.0, 5.0))
        self.assertEqual(found[4096, 4096, 1, "int8", "int8"], (4.0, 3.0))
        table = plot_scaling.table(record("GPU", rows))
        self.assertIn("| 4096 x 4096 | 1 | fp16 | 10 (1.20) |  |  | 3 (5.00) |  |", table)
        self.assertIn("| 4096 x 4096 | 1 | int8 |  | 4 (3.00) |  |  |  |", table)


class Drawing(unittest.TestCase):
    def texts(self, svg):
        return [element.text for element in xml.etree.ElementTree.fromstring(svg).iter() if element.text]

    def test_gpus_share_a_file_in_the_order_of_their_names(self):
        rows = [row(), row(m=16)]
        files = plot_record.draw_all([record("NVIDIA H200", rows), record("NVIDIA H100 80GB HBM3", rows)])
        self.assertEqual(list(files), ["roofline-int4.svg"])
        gpus = [text for text in self.texts(files["roofline-int4.svg"]) if text.startswith("NVIDIA")]
        self.assertEqual(gpus, ["NVIDIA H100 80GB HBM3", "NVIDIA H200"])

    def test_a_file_for_every_weight_type(self):
        files = plot_record.draw_all([record("GPU", [row(), row(w="nf4", group=64), row(w="uint4", zeros="original"),
                                                     row(w="bf16", a="bf16", group=0)])])
        self.assertEqual(set(files), {"roofline-int4.svg", "roofline-nf4-g64.svg", "roofline-uint4-original.svg",
                                      "roofline-bf16.svg"})

    def test_what_has_few_shapes_is_in_the_table_only(self):
        rows = [row(n=n) for n in (64, 128, 256)] + [row(a="bf16", us=6.0), row(group=4096, us=8.0, cublaslt_fp16_us=0)]
        self.assertEqual(list(plot_record.draw_all([record("GPU", rows)], 3)), ["roofline-int4.svg"])
        table = plot_record.tables(record("GPU", rows))
        self.assertIn("| int4 | 64 x 4096 | 4.0 (0.33, 1.60) |", table)
        self.assertIn("| bf16-int4 | 4096 x 4096 | 6.0 (0.50, 2.40) |", table)
        self.assertIn("| int4-channel | 4096 x 4096 | 8.0 (3.20) |", table)

    def test_figures_stand_where_they_belong(self):
        svg = plot_record.draw_all([record("GPU", [row(us=5.0, floor_us=2.5), row(m=4096, us=200, floor_us=180)])])
        texts = self.texts(svg["roofline-int4.svg"])
        self.assertIn("50%", texts)
        self.assertIn("90%", texts)
        self.assertIn("4096 × 4096", texts)
        self.assertIn("Ladder, M 4096: 200.0 us, floor 180.0 us", texts)

    def test_more_ms_than_labels_fit_and_more_shapes_than_a_line(self):
        rows = [row(m=m, n=n, us=4.0 + m) for m in range(1, 257) for n in (64, 128, 256, 512, 1024)]
        labels = [t for t in self.texts(plot_record.draw_all([record("GPU", rows)])["roofline-int4.svg"]) if t.isdigit()]
        self.assertLess(len(labels), 5 * 12)
        self.assertEqual(labels.count("256"), 5)

    def test_what_was_not_measured_is_left_out(self):
        svg = plot_record.draw_all([record("GPU", [row(us=0, cublaslt_fp16_us=0), row(m=16)])])["roofline-int4.svg"]
        self.assertNotIn("Ladder, M 1:", svg)
        self.assertIn("Ladder, M 16:", svg)

    def test_what_is_no_record_is_named(self):
        self.assertIn("gpu", plot_record.problem_of({"rows": []}))
        broken = row()
        del broken["floor_us"]
        self.assertIn("floor_us", plot_record.problem_of(record("GPU", [broken])))
        self.assertIsNone(plot_record.problem_of(record("GPU", [row()])))


if __name__ == "__main__":
    unittest.main()
