"""What the install functions do when packages or a toolkit are missing, with made-up system commands on PATH."""

import os
import stat
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIB = os.path.join(ROOT, "deploy", "lib.sh")
# Says of every package whose name starts with "have" that it is installed.
DPKG_QUERY = '#!/bin/sh\ncase "$3" in have*) echo installed;; *) exit 1;; esac\n'
RECORD = '#!/bin/sh\necho "$(basename "$0") $*" >>"$RECORD"\n'


class Install(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.bin = os.path.join(self.folder.name, "bin")
        self.record = os.path.join(self.folder.name, "record")
        os.mkdir(self.bin)
        for tool in ("bash", "dirname", "sed", "head", "readlink", "basename"):
            os.symlink(subprocess.check_output(["bash", "-c", f"type -P {tool}"], text=True).strip(),
                       os.path.join(self.bin, tool))

    def tool(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def run_bash(self, script, user_id=1000, **variables):
        # EUID is read-only in bash, so the script under test reads a copy in which the name is replaced.
        with open(LIB, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("EUID", text)
        # The copy lies one folder below a root, as the original does.
        os.makedirs(os.path.join(self.folder.name, "deploy"), exist_ok=True)
        copy = os.path.join(self.folder.name, "deploy", "lib.sh")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text.replace("EUID", "TEST_USER_ID"))
        environment = {"PATH": self.bin, "RECORD": self.record, "TEST_USER_ID": str(user_id), **variables}
        return subprocess.run([os.path.join(self.bin, "bash"), "-c", f"set -euo pipefail; . {copy}; {script}"],
                              env=environment, capture_output=True, text=True, check=False)

    def recorded(self):
        if not os.path.exists(self.record):
            return []
        with open(self.record, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_nothing_missing_needs_no_root_and_no_apt(self):
        self.tool("dpkg-query", DPKG_QUERY)
        done = self.run_bash("install_packages have-a have-b")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_missing_goes_through_sudo(self):
        self.tool("dpkg-query", DPKG_QUERY)
        self.tool("sudo", RECORD)
        done = self.run_bash("install_packages have-a lack-b lack-c")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("installing what is missing: lack-b lack-c", done.stdout)
        update, install = self.recorded()
        self.assertEqual(update, "sudo apt-get update -qq")
        self.assertIn("apt-get install", install)
        self.assertTrue(install.endswith("lack-b lack-c"), install)

    def test_root_needs_no_sudo(self):
        self.tool("dpkg-query", DPKG_QUERY)
        self.tool("apt-get", RECORD)
        self.tool("env", '#!/bin/bash\nexec "${@:2}"\n')
        done = self.run_bash("install_packages lack-b", user_id=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.recorded()[0], "apt-get update -qq")

    def test_neither_root_nor_sudo_is_one_sentence(self):
        self.tool("dpkg-query", DPKG_QUERY)
        done = self.run_bash("install_packages have-a lack-b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing: lack-b; neither root nor sudo", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_another_distribution_is_told_what_to_install(self):
        done = self.run_bash("install_packages lack-b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no dpkg", done.stderr)
        self.assertIn("lack-b", done.stderr)

    def test_user_may_keep_packages_to_herself(self):
        done = self.run_bash("ensure_packages lack-b", LADDER_SKIP_PACKAGES="1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def toolkit(self, version, with_nvrtc=True):
        root = os.path.join(self.folder.name, f"cuda-{version}")
        os.makedirs(os.path.join(root, "include"))
        os.makedirs(os.path.join(root, "lib64"))
        with open(os.path.join(root, "include", "cuda.h"), "w", encoding="utf-8") as file:
            file.write(f"#ifndef X\n#define CUDA_VERSION {version}\n#endif\n")
        for name in ("include/nvrtc.h",) + (("lib64/libnvrtc.so.13",) if with_nvrtc else ()):
            with open(os.path.join(root, name), "w", encoding="utf-8"):
                pass
        return root

    def find(self, **variables):
        done = self.run_bash("find_toolkit", LADDER_TOOLKIT_DEFAULT="/nonexistent", **variables)
        return done.stdout.strip() if done.returncode == 0 else None

    def test_toolkit_by_variable(self):
        root = self.toolkit(13000)
        self.assertEqual(self.find(CUDA_HOME=root), root)

    def test_toolkit_by_nvcc(self):
        root = self.toolkit(13000)
        self.tool("nvcc", "#!/bin/sh\n")
        self.assertIsNone(self.find())
        os.makedirs(os.path.join(root, "bin"))
        os.rename(os.path.join(self.bin, "nvcc"), os.path.join(root, "bin", "nvcc"))
        os.symlink(os.path.join(root, "bin", "nvcc"), os.path.join(self.bin, "nvcc"))
        self.assertEqual(self.find(), root)

    def test_no_toolkit(self):
        self.assertIsNone(self.find())

    def test_old_toolkit_is_passed_over(self):
        self.assertIsNone(self.find(CUDA_HOME=self.toolkit(12040)))

    def test_toolkit_without_nvrtc_is_passed_over(self):
        self.assertIsNone(self.find(CUDA_HOME=self.toolkit(13000, with_nvrtc=False)))


if __name__ == "__main__":
    unittest.main()
