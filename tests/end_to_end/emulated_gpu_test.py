"""The whole main job with a GPU that is an emulator: tuned and measured by a daemon, fetched by another process."""

import json
import os
import subprocess
import unittest

from programs import Home

WORKER = os.environ.get("LADDER_EMULATOR_WORKER", "")
PROBE = os.environ.get("LADDER_CLIENT_PROBE", "")


class EmulatedGpu(Home):
    def start(self):
        with open(f"{self.home}/ladderd.json", "w", encoding="utf-8") as file:
            json.dump({"compile": {"worker": WORKER, "workers": 2}, "gpu": {"worker": WORKER},
                       "tuning": {"candidates": 2, "finalists": 2}}, file)
        _, address = self.start_daemon("--config", f"{self.home}/ladderd.json")
        return address

    def probe(self, address, mode, n, k):
        completed = subprocess.run([PROBE, address, mode, str(n), str(k)], env=self.environment, capture_output=True,
                                   text=True, timeout=120)
        self.assertEqual(completed.returncode, 0, completed.stdout + completed.stderr)
        return json.loads(completed.stdout)

    def test_measures_and_serves_another_process(self):
        address = self.start()
        report, result = self.tune_json("--w", "nf4", "--n", "64", "--k", "128", "--m", "1", "--budget", "60s", "--server",
                                        address)
        row = report["operators"][0]["rows"][0]
        self.assertTrue(row["measured"], str(result))
        self.assertGreater(row["ranked"][0]["measurement"]["median_us"], 0)
        self.assertLessEqual(row["ranked"][0]["worst_ratio"], 1)  # verified
        self.assertNotIn("nothing was measured", result.out)

        got = self.probe("", "found", 64, 128)  # at the address that a client finds by itself
        # The client checked the binary's digest before it loaded it; it is the one that the record names.
        self.assertEqual(got["blob_sha256"], row["ranked"][0]["blob_sha256"])
        self.assertEqual(got["candidate"], row["ranked"][0]["candidate"])
        self.assertEqual(got["launches"], 2)  # packing, and the product

    def test_verifies_an_epilogue_and_explains_it(self):
        address = self.start()
        epilogue = ("--act", "swiglu", "--bias", "--output-scale", "--residual")
        options = ("--w", "int4", "--n", "64", "--k", "128", "--m", "2", "--server", address)
        report, result = self.tune_json(*options, *epilogue, "--budget", "60s")
        row = report["operators"][0]["rows"][0]
        self.assertTrue(row["measured"], str(result))
        self.assertLessEqual(row["ranked"][0]["worst_ratio"], 1)
        explained = self.manage_json("explain", *options, *epilogue)["entries"][0]
        self.assertEqual(explained["verdict"], "hit")
        self.assertIn("bias=1 act=swiglu output_scale=1 residual=1", explained["key_text"])
        self.assertIn("miss", self.manage_json("explain", *options)["entries"][0]["verdict"])

    def test_answers_fast_and_swaps_the_winner_in(self):
        address = self.start()
        got = self.probe(address, "fast", 128, 128)
        self.assertFalse(got["first_searched"])
        self.assertTrue(got["searched"])


if __name__ == "__main__":
    unittest.main()
