"""The daemon and its callers in processes of their own."""

import signal
import subprocess
import unittest

from programs import BIN, FEW, SMALL, TARGET, Home


class Daemon(Home):
    def test_tunes_for_a_caller_and_ends_cleanly(self):
        process, address = self.start_daemon()
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET, "--server", address)
        self.assertFalse(report["operators"][0]["rows"][0]["cache_hit"])
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET, "--server", address)
        self.assertTrue(report["operators"][0]["rows"][0]["cache_hit"])
        listed = self.succeed(self.manage("--server", address, "list")).out
        self.assertIn("w=nf4", listed)
        self.assertIn("No tune is running", self.succeed(self.tune("--running", "--server", address)).out)
        self.assertEqual(self.stop(process), 0)
        # Stored: without the daemon the cache still has it.
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET)
        self.assertTrue(report["operators"][0]["rows"][0]["cache_hit"])

    def test_tells_its_health(self):
        _, address = self.start_daemon()
        self.succeed(self.manage("--server", address, "health"))
        self.succeed(self.manage("--server", address, "health", "ladder.tune.v1.KernelCache"))
        self.assert_refused(self.manage("--server", address, "health", "gpu:77"), 2, "gpu:77")

    def test_survives_being_killed(self):
        process, address = self.start_daemon()
        self.succeed(self.tune(*SMALL, *FEW, *TARGET, "--server", address))
        self.stop(process, signal.SIGKILL)
        _, address = self.start_daemon()
        report, _ = self.tune_json(*SMALL, *FEW, *TARGET, "--server", address)
        self.assertTrue(report["operators"][0]["rows"][0]["cache_hit"])
        self.assertEqual(self.manage_json("--server", address, "verify")["problems"], [])

    def test_one_daemon_owns_a_cache(self):
        self.start_daemon()
        result = self.run_program("ladderd", "--listen", f"unix://{self.home}/run/second.sock")
        self.assert_refused(result, 3, "cache")

    def test_tools_talk_to_the_daemon_that_owns_the_cache(self):
        self.start_daemon()
        self.succeed(self.tune(*SMALL, *FEW, *TARGET))
        self.assertEqual(len(self.manage_json("list")["records"]), 1)

    def test_a_cache_of_a_daemon_elsewhere_is_not_touched(self):
        # Not listening where its user's daemon would, so the tool can't ask it, and says who has the cache.
        self.start_daemon("--listen", f"unix://{self.home}/run/other.sock")
        result = self.tune(*SMALL, *FEW, *TARGET)
        self.assert_refused(result, 3, "cache")

    def test_many_callers_cause_one_tune(self):
        _, address = self.start_daemon()
        command = [f"{BIN}/ladder-tune", *SMALL, *FEW, *TARGET, "--server", address]
        callers = [subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True) for _ in range(4)]
        outputs = [caller.communicate(timeout=100) for caller in callers]
        for caller, (out, err) in zip(callers, outputs):
            self.assertEqual(caller.returncode, 0, out + err)
        stats = self.manage_json("--server", address, "stats")
        self.assertEqual(stats["records"], 1)
        self.assertEqual(stats["generation"], 1)  # one Put

    def test_bad_operators_are_told_over_the_wire(self):
        _, address = self.start_daemon()
        self.assert_refused(self.tune("--w", "int9", "--server", address), 2, "--w", "int9")
        # A type that makes sense and that no schedule serves yet: what does is named.
        self.assert_refused(self.tune("--w", "nf4", "--scale", "fp32", "--server", address), 2, "fp32 scales",
                            "nearest: scale=fp16")
        self.assert_refused(self.tune("--m", "0", "--server", address), 2, "--m")


if __name__ == "__main__":
    unittest.main()
