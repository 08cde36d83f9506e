"""Packs a built tree and runs it unpacked elsewhere. Usage: bundle_test.py BUILD_FOLDER"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the target system brings.
SYSTEM = re.compile(r"^(linux-vdso|ld-linux-[\w-]+|libc|libm|libpthread|libdl|librt|libresolv|libutil|libanl)\.so(\.\d+)*$")
LIMIT_MIB = 64


def kept_environment():
    """A bare environment, but with the compiler that this build uses: the bundle leaves CUDA to the system."""
    environment = {"PATH": "/usr/bin:/bin"}
    if os.path.exists(os.path.join(BUILD, "lib", "libnvrtc.so.13")):
        environment["LADDER_NVRTC"] = os.path.join(BUILD, "lib")
    if "CUDA_HOME" in os.environ:
        environment["CUDA_HOME"] = os.environ["CUDA_HOME"]
    return environment


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.archive = os.path.join(cls.folder.name, "ladder.tar.gz")
        subprocess.run([os.path.join(ROOT, "deploy", "make-bundle"), "--build", BUILD, "--output", cls.archive], check=True)
        with tarfile.open(cls.archive) as archive:
            archive.extractall(cls.folder.name)
        (name,) = (entry for entry in os.listdir(cls.folder.name) if entry.startswith("ladder-"))
        cls.bundle = os.path.join(cls.folder.name, name)
        cls.programs = sorted(os.listdir(os.path.join(cls.bundle, "bin")))

    def run_program(self, name, *arguments, **variables):
        return subprocess.run([os.path.join(self.bundle, "bin", name), *arguments], capture_output=True, text=True,
                              env={**kept_environment(), "HOME": self.folder.name, **variables}, check=False)

    def test_has_the_programs_and_no_test(self):
        for name in ("ladderd", "ladder-tune", "ladder-cache", "ladder-compile-worker", "ladder-profile-worker"):
            self.assertIn(name, self.programs)
        self.assertEqual([name for name in self.programs if name.endswith("_test")], [])

    def test_is_small(self):
        self.assertLess(os.path.getsize(self.archive), LIMIT_MIB << 20)

    def test_takes_only_the_c_library_from_the_system(self):
        for name in self.programs:
            path = os.path.join(self.bundle, "bin", name)
            listing = subprocess.run(["ldd", path], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
                                     check=True).stdout
            self.assertNotIn("not found", listing, name)
            for line in listing.splitlines():
                soname, _, rest = line.strip().partition(" => ")
                soname = os.path.basename(soname.split()[0])
                if not SYSTEM.match(soname):
                    resolved = os.path.realpath(rest.split()[0])
                    self.assertTrue(resolved.startswith(os.path.realpath(self.bundle) + "/lib/"), f"{name}: {line}")

    def test_programs_start(self):
        for name in ("ladderd", "ladder-tune", "ladder-cache"):
            done = self.run_program(name, "--help")
            self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
            self.assertIn(name, done.stdout)

    def test_ranks_for_a_target(self):
        cache = os.path.join(self.folder.name, "cache")
        done = self.run_program("ladder-tune", "--op", "matmul", "--w", "nf4", "--n", "256", "--k", "256", "--m", "1",
                                "--target", "h200", "--cache", cache)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("measured", done.stdout + done.stderr)
        listing = self.run_program("ladder-cache", "list", "--cache", cache)
        self.assertEqual(listing.returncode, 0, listing.stderr)
        self.assertIn("nf4", listing.stdout)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
