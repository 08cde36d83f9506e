"""Runs the real programs as a person would, each test in a home of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = os.environ.get("LADDER_BIN", "build/release/bin")
# A small operator and a single M: the pipeline is the same for every size, and the machine may be slow.
SMALL = ["--op", "matmul", "--w", "nf4", "--n", "128", "--k", "256", "--m", "1"]
TARGET = ["--target", "sm_90a"]
FEW = ["--candidates", "2"]


class Result:
    def __init__(self, completed):
        self.status = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Home(unittest.TestCase):
    """A test with its own home, cache and runtime folder, and no GPU unless the machine has one."""

    maxDiff = None

    def setUp(self):
        # Short: the path of a Unix socket has at most 107 characters.
        self.home = tempfile.mkdtemp(prefix="ladder-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.environment = dict(os.environ, HOME=self.home, XDG_CACHE_HOME=f"{self.home}/cache",
                                XDG_RUNTIME_DIR=f"{self.home}/run", TZ="UTC")
        os.mkdir(f"{self.home}/run", 0o700)
        self.cache = f"{self.home}/cache/ladder"

    def run_program(self, name, *arguments, environment=None, timeout=100):
        completed = subprocess.run([f"{BIN}/{name}", *map(str, arguments)], env={**self.environment, **(environment or {})},
                                   cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        return Result(completed)

    def tune(self, *arguments, **options):
        return self.run_program("ladder-tune", *arguments, **options)

    def manage(self, *arguments, **options):
        return self.run_program("ladder-cache", *arguments, **options)

    def succeed(self, result):
        self.assertEqual(result.status, 0, str(result))
        return result

    def assert_refused(self, result, status, *words):
        """One sentence that names what is wrong, the right exit status, no crash."""
        self.assertEqual(result.status, status, str(result))
        lines = [line for line in result.err.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, str(result))
        for word in words:
            self.assertIn(word, lines[0], str(result))

    def tune_json(self, *arguments, **options):
        path = f"{self.home}/report.json"
        result = self.succeed(self.tune(*arguments, "--json", path, **options))
        with open(path, encoding="utf-8") as file:
            return json.load(file), result

    def manage_json(self, *arguments):
        return json.loads(self.succeed(self.manage("--json", *arguments)).out)

    def start_daemon(self, *arguments, environment=None):
        """A daemon on this home's cache; returns (process, address). Ended with the test."""
        process = subprocess.Popen([f"{BIN}/ladderd", "--log-level", "warning", *arguments],
                                   env={**self.environment, **(environment or {})}, cwd=self.home,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop, process)
        line = process.stdout.readline()
        match = re.search(r"serves on (\S+)", line)
        if match is None:
            process.wait(timeout=20)
            self.fail(f"the daemon did not start: {line}{process.stderr.read()}")
        return process, match.group(1)

    def stop(self, process, by=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(by)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        process.stderr.close()
        return process.returncode


def has_gpu():
    return os.path.exists("/dev/nvidia0")


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
