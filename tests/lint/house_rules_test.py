"""Holds how the tree is kept. Usage: house_rules_test.py"""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import house_rules  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = "# a\nOwns a.cc and more. May include b/. Start in a.h.\n"


class HouseRules(unittest.TestCase):
    def test_repository_keeps_the_rules(self):
        found = house_rules.check(ROOT)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def found_in(self, **files):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "README.md"), "w", encoding="utf-8") as file:
                file.write(README)
            for name, text in files.items():
                path = os.path.join(root, "core", name.replace("_cc", ".cc").replace("_h", ".h").replace("_md", ".md"))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return house_rules.check(root)

    def test_a_kept_folder_passes(self):
        self.assertEqual(self.found_in(README_md=README, a_h="", a_cc='#include "core/a.h"\n' + "\n" * 499), [])

    def test_missing_readme(self):
        (problem,) = self.found_in(a_h="")
        self.assertIn("core/README.md: missing", problem)

    def test_folder_that_spells_a_path_needs_none(self):
        self.assertEqual(self.found_in(**{"README_md": README, "path/to/a_h": ""}), [])

    def test_short_readme(self):
        (problem,) = self.found_in(a_h="", README_md="# One. Two. Three.\nOwns v1.2 of a.cc and b.h. Start there.\n")
        self.assertIn("2 sentences", problem)

    def test_readme_without_heading(self):
        (problem,) = self.found_in(a_h="", README_md="#a\nOwns a.cc. May include b. Start in a.h.\n")
        self.assertIn("heading", problem)

    def test_long_file(self):
        (problem,) = self.found_in(README_md=README, a_h="\n" * 501)
        self.assertIn("501 lines", problem)

    def test_own_header_not_first(self):
        (problem,) = self.found_in(README_md=README, a_h="", a_cc='#include <vector>\n#include "core/a.h"\n')
        self.assertIn("core/a.cc: its first include must be core/a.h", problem)

    def test_labels_that_would_be_lost(self):
        cmake = 'gtest_discover_tests(a PROPERTIES LABELS {} TIMEOUT 5)\n'
        self.assertEqual(self.found_in(**{"README_md": README, "CMakeLists.txt": cmake.format("one")}), [])
        (problem,) = self.found_in(**{"README_md": README, "CMakeLists.txt": cmake.format('"one;two"')})
        self.assertIn("core/CMakeLists.txt: a would lose its labels", problem)


if __name__ == "__main__":
    unittest.main()
