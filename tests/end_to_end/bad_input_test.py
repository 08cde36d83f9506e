"""Bad input: one clear sentence that names what is wrong, the right exit status, and nothing lost."""

import os
import unittest

from programs import FEW, SMALL, TARGET, Home


class BadInput(Home):
    def refused_tune(self, options, *words, status=2):
        result = self.tune(*TARGET, *options)
        self.assert_refused(result, status, *words)

    def test_operators_that_make_no_sense(self):
        self.refused_tune(["--w", "int5"], "--w", "int5")
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

    def test_options_that_make_no_sense(self):
        self.refused_tune(["--budget", "soon"], "--budget", "soon")
        self.refused_tune(["--candidates", "0"], "--candidates")
        self.refused_tune(["--frobnicate"], "--frobnicate")
        self.refused_tune(["--json", f"{self.home}/no/such/folder/report.json"], "--json", "no/such/folder")
        self.refused_tune(["--server", "unix:/x", "--cache", "/y"], "--cache", "--server")
        self.assert_refused(self.tune("--target", "voodoo2"), 2, "--target", "voodoo2")

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
        self.assertEqual(self.manage("explain", "--w", "int5").status, 2)

    def test_no_service(self):
        result = self.tune(*SMALL, "--server", f"unix:{self.home}/nobody.sock")
        self.assert_refused(result, 3, "--server", "nobody.sock", "ladderd")

    def test_no_compiler(self):
        # Every place where NVRTC is looked for, turned to nothing, is not possible from outside on a machine that has it in
        # a system folder; a daemon told to look in one empty folder only is what a person can configure.
        os.mkdir(f"{self.home}/empty")
        with open(f"{self.home}/ladderd.json", "w", encoding="utf-8") as file:
            file.write('{"compile": {"nvrtc_paths": ["%s/empty"]}}' % self.home)
        _, address = self.start_daemon("--config", f"{self.home}/ladderd.json")
        result = self.tune(*SMALL, *FEW, *TARGET, "--server", address)
        self.assert_refused(result, 3, "compiler")

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
        result = self.tune(*SMALL, *FEW, *TARGET)
        self.assertNotEqual(result.status, 0, str(result))
        self.assertIn(result.status, (1, 3), str(result))
        self.assertIn("cache.db", result.err)
        # What was there is left for a person to look at.
        with open(f"{self.cache}/cache.db", "rb") as file:
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
