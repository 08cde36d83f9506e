"""Bad input: one clear sentence that names what is wrong, the right exit status, and nothing lost."""

import glob
import os
import unittest

from programs import FEW, SMALL, TARGET, Home


class BadInput(Home):
    def refused_tune(self, options, *words, status=2):
        result = self.tune(*TARGET, *options)
        self.assert_refused(result, status, *words)

    def test_operators_that_make_no_sense(self):
        self.refused_tune(["--w", "int9"], "--w", "int9")
        self.refused_tune(["--a", "fp64"], "--a", "fp64")
        self.refused_tune(["--op", "convolve"], "--op", "convolve")
        self.refused_tune(["--n", "-5"], "--n", "-5")
        self.refused_tune(["--k", "0"], "--k")
        self.refused_tune(["--n", "99999999999"], "--n", "99999999999")
        self.refused_tune(["--n", "many"], "--n", "many")
        self.refused_tune(["--w", "nf4", "--k", "1000", "--group", "64"], "--group", "64", "1000")
        self.refused_tune(["--m", "0"], "--m", "0")
        self.refused_tune(["--m", "1..x"], "--m", "1..x")
        self.refused_tune(["--w", "nf4", "--zeros", "original"], "--zeros")

    def test_formats_that_nothing_serves(self):
        self.refused_tune(["--w", "nf4", "--a", "int8", "--scale", "fp32"], "int8", "nf4", "nearest: scale=fp16")
        self.refused_tune(["--w", "int4", "--scale", "fp32"], "fp32 scales", "nearest: scale=fp16")
        self.refused_tune(["--w", "mxfp4", "--group", "64"], "--group", "mxfp4", "groups of 32")

    def test_weight_types_that_make_no_sense(self):
        def refused(text, *words):
            with open(f"{self.home}/mine.json", "w", encoding="utf-8") as file:
                file.write(text)
            self.refused_tune(["--w", "@mine.json"], *words)

        refused("{", "--w", "mine.json", "JSON")
        refused('{"bits": 4}', "--w", "mine.json", "element")
        refused('{"bits": 2, "table": [1, 2, 3]}', "table: 3 values, and 2 bits have 4 codes")
        refused('{"bits": 1, "table": [1, "x"]}', "--w", "mine.json", "table[1]")
        refused('{"float": {"exponent_bits": 9, "mantissa_bits": 1}}', "float.exponent_bits")
        # Every field, of another kind and of no value that it can have.
        layout = '{"float": {"exponent_bits": 3, "mantissa_bits": 2, %s}}'
        for text, field in [('{"name": 3, "element": "int4"}', "name: must be a text"),
                            ('{"bits": "4", "table": [1]}', "bits: must be a whole number"),
                            ('{"bits": 9, "table": [1]}', "bits: 9"),
                            ('{"bits": 4, "element": "int4"}', "bits: given beside element"),
                            ('{"bits": 1, "table": [1, 1e39]}', "table[1]: 1e+39"),
                            ('{"element": "int9"}', "int9"),
                            ('{"element": 4}', "element: must be a text"),
                            ('{"element": "int4", "bits": 4, "table": [1]}', "element: exactly one"),
                            ('{"element": "int4", "scale": 3}', "scale: must be a text"),
                            ('{"element": "int4", "scale": "fp17"}', "scale: unknown type"),
                            ('{"element": "int4", "group": "x"}', "group: must be a whole number"),
                            ('{"element": "int4", "group": 48}', "group: must be -1"),
                            ('{"element": "uint4", "zeros": "bad"}', "zeros: unknown mode"),
                            ('{"element": "uint4", "zeros": 1}', "zeros: must be a text"),
                            ('{"element": "int4", "tensor_scale": "yes"}', "tensor_scale: must be true or false"),
                            ('{"element": "int4", "foo": 1}', "foo: unknown key"),
                            (layout % '"specials": "zzz"', "float.specials: unknown kind"),
                            (layout % '"specials": 1', "float.specials: must be a text"),
                            (layout % '"bias": "q"', "float.bias: must be a whole number"),
                            (layout % '"unsigned": 1', "float.unsigned: must be true or false"),
                            (layout % '"foo": 1', "float.foo: unknown key"),
                            ("[1]", "must be an object")]:
            refused(text, field)
        self.refused_tune(["--w", "@missing.json"], "--w", "missing.json")

    def test_options_that_make_no_sense(self):
        self.refused_tune(["--budget", "soon"], "--budget", "soon")
        self.refused_tune(["--candidates", "0"], "--candidates")
        self.refused_tune(["--frobnicate"], "--frobnicate")
        self.refused_tune(["--json", f"{self.home}/no/such/folder/report.json"], "--json", "no/such/folder")
        self.refused_tune(["--server", "unix:/x", "--cache", "/y"], "--cache", "--server")
        self.assert_refused(self.tune("--target", "voodoo2"), 2, "--target", "voodoo2")

    def test_a_gpu_that_no_schedule_serves(self):
        for target in ("gfx90a", "mi300x"):
            for options in (SMALL, [*SMALL, "--plan"]):
                self.assert_refused(self.tune(*options, "--target", target), 2, "AMD", "gfx9", "NVIDIA")

    def test_files_that_cannot_be_read(self):
        self.refused_tune(["--ops", f"{self.home}/missing.json"], "--ops", "missing.json")
        with open(f"{self.home}/broken.json", "w", encoding="utf-8") as file:
            file.write('[{"w": "nf4", ')
        self.refused_tune(["--ops", f"{self.home}/broken.json"], "broken.json", "JSON")
        with open(f"{self.home}/key.json", "w", encoding="utf-8") as file:
            file.write('[{"w": "nf4", "rows": 5}]')
        self.refused_tune(["--ops", f"{self.home}/key.json"], "key.json", "operator 1", "rows")
        self.assert_refused(self.manage("import", f"{self.home}/missing.ladder"), 2, "missing.ladder")
        with open(f"{self.home}/noise.ladder", "wb") as file:
            file.write(os.urandom(4096))
        result = self.manage("import", f"{self.home}/noise.ladder")
        self.assertIn(result.status, (1, 2), str(result))
        self.assertNotEqual(result.err, "")

    def test_ladder_cache_options(self):
        self.assert_refused(self.manage("evict"), 2, "evict")
        self.assert_refused(self.manage("evict", "--down-to", "lots"), 2, "--down-to", "lots")
        self.assert_refused(self.manage("explode"), 2)
        self.assertEqual(self.manage().status, 2)
        self.assertEqual(self.manage("trust", "no key").status, 2)
        self.assertEqual(self.manage("explain", "--w", "int9").status, 2)

    def test_no_service(self):
        result = self.tune(*SMALL, "--server", f"unix:{self.home}/nobody.sock")
        self.assert_refused(result, 3, "--server", "nobody.sock", "ladderd")

    @unittest.skipIf(not os.environ.get("LADDER_NO_NVRTC"), "nothing can be preloaded into this build")
    def test_no_compiler(self):
        without = {"LD_PRELOAD": os.environ["LADDER_NO_NVRTC"]}
        result = self.tune(*SMALL, *FEW, *TARGET, environment=without)
        self.assert_refused(result, 3, "compiler", "nvidia-cuda-nvrtc")
        # What needs no compiler goes on.
        self.succeed(self.tune(*SMALL, *TARGET, "--plan", environment=without))
        self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET)
        self.assertTrue(report["operators"][0]["rows"][0]["cache_hit"])

    def test_help_and_version(self):
        for program in ("ladder-tune", "ladder-cache"):
            self.assertIn("Exit status", self.succeed(self.run_program(program, "--help")).out)
            self.assertRegex(self.succeed(self.run_program(program, "--version")).out, r"\d+\.\d+")

    def test_the_example_without_a_gpu(self):
        if os.path.exists("/dev/nvidia0"):
            self.skipTest("there is a GPU")
        result = self.run_program("ladder-example")
        self.assertEqual(result.status, 2, str(result))
        self.assertIn("driver", result.err)
        self.assertEqual(self.run_program("ladder-example", "1", "2", "3", "4").status, 2)


class DamagedCache(Home):
    def test_a_database_that_is_none(self):
        os.makedirs(self.cache)
        with open(f"{self.cache}/cache.db", "wb") as file:
            file.write(b"This is not a database. " * 500)
        result = self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        told = [line for line in result.err.splitlines() if "damaged" in line]
        self.assertEqual(len(told), 1, str(result))
        self.assertIn("cache.db", told[0])
        self.assertIn("set aside", told[0])
        # What was there is left for a person to look at.
        aside = glob.glob(f"{self.cache}/cache.db.corrupt-*")
        self.assertEqual(len(aside), 1)
        with open(aside[0], "rb") as file:
            self.assertTrue(file.read().startswith(b"This is not a database."))

    def test_damage_is_found_and_never_served(self):
        self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        path = f"{self.cache}/cache.db"
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            at = data.find(b"w=nf4")
            self.assertGreater(at, 0)
            while at > 0:  # every copy of the record's text
                data[at + 2] ^= 0x01
                at = data.find(b"w=nf4", at)
            file.seek(0)
            file.write(data)
        for side in ("-wal", "-shm"):
            if os.path.exists(path + side):
                os.remove(path + side)
        verified = self.manage("verify")
        listed = self.manage("list")
        # Either the whole file is refused, or the record is set aside; it never counts as a hit.
        if verified.status == 0:
            self.fail("verify found nothing:\n" + str(verified))
        self.assertNotIn("w=of4", listed.out)


if __name__ == "__main__":
    unittest.main()
