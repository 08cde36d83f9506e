"""The main job on a machine without a GPU: compile, rank, store, find again, look into, move."""

import glob
import json
import os
import shutil
import struct
import unittest

from programs import FEW, SMALL, TARGET, Home, has_gpu


class TuneAndCache(Home):
    def test_tunes_once_and_finds_it_again(self):
        report, result = self.tune_json(*SMALL, *FEW, *TARGET)
        row = report["operators"][0]["rows"][0]
        self.assertFalse(row["cache_hit"])
        self.assertIn("sm_90a", row["target"])
        self.assertEqual(row["m"], 1)
        compiled = [c for c in row["trace"]["candidates"] if c["compile_ms"] > 0]
        self.assertGreater(len(compiled), 0)
        self.assertGreater(max(c["registers"] for c in compiled), 0)
        self.assertGreater(report["totals"]["compile_ms"], 0)
        self.assertIn("nvrtc", report["compiler"])
        # Nothing claims a measurement.
        self.assertEqual(row["kind"], "seed")
        self.assertGreater(row["floor_us"], 0)  # the target's rates were understood
        self.assertFalse(row["measured"])
        self.assertTrue(all("measurement" not in kernel for kernel in row["ranked"]))
        self.assertIn("nothing was measured", result.out)
        self.assertIn("predicted us", result.out)
        self.assertIn("miss", result.out)

        again, result = self.tune_json(*SMALL, *FEW, *TARGET)
        self.assertTrue(again["operators"][0]["rows"][0]["cache_hit"])
        self.assertEqual(again["totals"]["compile_ms"], 0)
        self.assertEqual(again["totals"]["hits"], 1)
        self.assertIn("hit", result.out)
        self.assertEqual(again["operators"][0]["rows"][0]["key"], row["key"])

        self.look_into(row)

    def look_into(self, row):
        records = self.manage_json("list")["records"]
        self.assertEqual([record["key"] for record in records], [row["key"]])
        listing = self.succeed(self.manage("list")).out
        self.assertIn(row["key"][:12], listing)
        self.assertIn("seed", listing)

        explained = self.manage_json("explain", row["key"][:10])["entries"]
        self.assertEqual(explained[0]["key"], row["key"])
        self.assertIn("k", explained[0]["key_text"])
        asked = self.manage_json("explain", "--w", "nf4", "--n", "128", "--k", "256", "--m", "1", *TARGET)["entries"]
        self.assertEqual(asked[0]["key"], row["key"])
        # Another operator is a miss, with a key of its own.
        other = self.manage_json("explain", "--w", "nf4", "--n", "128", "--k", "512", "--m", "1", *TARGET)["entries"]
        self.assertNotEqual(other[0]["key"], row["key"])
        self.assertNotIn("record", {name for name in other[0] if name == "record" and other[0]["verdict"] == "hit"})

        self.assertEqual(self.manage_json("verify")["problems"], [])
        stats = self.manage_json("stats")
        self.assertEqual(stats["records"], 1)
        self.assertEqual(stats["seeds"], 1)
        self.assertIn("records      1", self.succeed(self.manage("stats")).out)
        self.assertIn("Nothing is quarantined", self.succeed(self.manage("quarantine")).out)

    @unittest.skipIf(has_gpu(), "the default target is this machine's GPU")
    def test_says_plainly_that_nothing_was_measured(self):
        result = self.succeed(self.tune(*SMALL, *FEW))
        self.assertRegex(result.out, r"No GPU was found \(.+\); compiled and ranked for h200; nothing was measured\.")

    def test_a_format_of_the_users_own(self):
        example = os.path.join(os.path.dirname(__file__), "../../client/example/log4.json")
        with open(example, encoding="utf-8") as file:
            text = file.read()
        # The README shows the file as it is.
        with open(os.path.join(os.path.dirname(__file__), "../../README.md"), encoding="utf-8") as file:
            section = file.read().split("\n## A number format of your own\n")[1].split("\n## ")[0]
        self.assertIn(f"```json\n{text}```", section)
        # Its commands, on a small shape.
        commands = [line.split()[1:] for line in section.splitlines() if line.startswith("./ladder-tune ")]
        self.assertEqual([words[0] for words in commands], ["--w", "--quantize"])
        own = {"@../../../client/example/log4.json": f"@{example}", "8192": "128", "1..64": "1"}
        tune, quantize = [[own.get(word, word) for word in words] for words in commands]
        small = ["--n", "128", "--k", "128", "--m", "1", *FEW, *TARGET]
        self.assertEqual(tune, ["--w", f"@{example}", *small[:6]])
        row = self.tune_json(*tune, *FEW, *TARGET)[0]["operators"][0]["rows"][0]
        with open(f"{self.home}/weight.npy", "wb") as file:
            header = "{'descr': '<f4', 'fortran_order': False, 'shape': (128, 128), }".ljust(117) + "\n"
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
            # Each row's values are its own scale's multiples of the table: they come back exactly.
            values = json.loads(text)["table"]
            rows = [[values[(row + k) % 16] * 2.0**(row % 5) for k in range(128)] for row in range(128)]
            file.write(b"".join(struct.pack("<f", value) for line in rows for value in line))
        self.assertIn("relative RMS 0, maximum 0", self.succeed(self.tune(*quantize)).out)
        self.assertEqual(sorted(os.listdir(f"{self.home}/weight")), ["codes.npy", "scales.npy"])
        self.assertFalse(row["cache_hit"])
        compiled = [c for c in row["trace"]["candidates"] if c["compile_ms"] > 0]
        self.assertGreater(len(compiled), 0)
        # Its values are what counts: under another name it is known, and changed it is not.
        with open(f"{self.home}/same.json", "w", encoding="utf-8") as file:
            file.write(text.replace("log4", "renamed"))
        again = self.tune_json("--w", "@same.json", *small)[0]["operators"][0]["rows"][0]
        self.assertTrue(again["cache_hit"])
        self.assertEqual(again["key"], row["key"])
        with open(f"{self.home}/other.json", "w", encoding="utf-8") as file:
            file.write(text.replace("0.25,", "0.3,"))
        other = self.manage_json("explain", "--w", "@other.json", "--n", "128", "--k", "128", "--m", "1", *TARGET)["entries"]
        self.assertNotEqual(other[0]["key"], row["key"])

    def test_several_operators_from_a_file(self):
        with open(f"{self.home}/ops.json", "w", encoding="utf-8") as file:
            file.write('[{"w": "nf4", "n": 128, "k": 256, "m": [1]}, {"w": "int4", "n": 64, "k": 128, "m": "1"}]')
        report, result = self.tune_json("--ops", "ops.json", *FEW, *TARGET)
        self.assertEqual(len(report["operators"]), 2)
        self.assertIn("2 operators", result.out)

    def test_plan_needs_neither_gpu_nor_compiler(self):
        result = self.succeed(self.tune(*SMALL, *TARGET, "--plan"))
        self.assertIn("nothing was compiled or measured", result.out)
        self.assertIn("decode(", result.out)
        self.assertIn("The cache is empty", self.succeed(self.manage("list")).out)

    def test_trace_prints_every_candidate(self):
        result = self.succeed(self.tune(*SMALL, *FEW, *TARGET, "--trace"))
        self.assertIn("every candidate in the policy's order", result.out)

    def test_export_wipe_import_hit(self):
        self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        before = self.manage_json("list")["records"]
        self.succeed(self.manage("export", f"{self.home}/cache.ladder"))
        key = self.manage_json("stats")["public_key"]  # made by the first export
        self.assertTrue(key)
        self.assertEqual(glob.glob(f"{self.home}/*.partial"), [])

        # Another machine: an empty cache that trusts nobody yet.
        shutil.rmtree(self.cache)
        self.assertEqual(self.manage_json("stats")["trusted_keys"], [])
        self.succeed(self.manage("trust", key))
        dry = self.manage_json("import", f"{self.home}/cache.ladder", "--dry-run")
        self.assertEqual(dry["records"], 1)
        self.assertEqual(self.manage_json("list")["records"], [])
        self.assertEqual(self.manage_json("import", f"{self.home}/cache.ladder")["trusted"], True)
        after = self.manage_json("list")["records"]
        self.assertEqual([(r["key"], r["ranked"][0]) for r in after], [(r["key"], r["ranked"][0]) for r in before])
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET)
        self.assertTrue(report["operators"][0]["rows"][0]["cache_hit"])
        self.assertEqual(report["totals"]["compile_ms"], 0)

        self.succeed(self.manage("evict", "--all"))
        self.assertEqual(self.manage_json("list")["records"], [])

    def test_an_untrusted_export_brings_configurations_only(self):
        self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        self.succeed(self.manage("export", f"{self.home}/cache.ladder"))
        shutil.rmtree(self.cache)
        imported = self.manage_json("import", f"{self.home}/cache.ladder")
        self.assertFalse(imported["trusted"])
        self.assertEqual(imported["binaries"], 0)
        self.assertIn("not trusted", self.succeed(self.manage("import", f"{self.home}/cache.ladder")).out)
        self.assertTrue(all(record["kind"] == "seed" for record in self.manage_json("list")["records"]))

    def test_the_cache_lies_where_it_was_asked_to(self):
        self.succeed(self.tune(*SMALL, *FEW, *TARGET, "--cache", f"{self.home}/elsewhere"))
        self.assertFalse(os.path.exists(self.cache))
        listed = self.succeed(self.manage("--cache", f"{self.home}/elsewhere", "list")).out
        self.assertIn("w=nf4", listed)


if __name__ == "__main__":
    unittest.main()
