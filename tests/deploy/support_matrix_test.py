#!/usr/bin/env python3
"""README.md's support matrix is what ladder-tune --list prints.

Usage: support_matrix_test.py [--update] BUILD_FOLDER. --update writes the table into README.md instead of comparing.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(ROOT, "README.md")
BEGIN = "<!-- support matrix: tests/deploy/support_matrix_test.py --update build/release -->\n"
END = "<!-- end of support matrix -->\n"


def split(text):
    """README.md before, between and after the markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"README.md: the markers {BEGIN.strip()} and {END.strip()} must be there once")
    before, rest = text.split(BEGIN)
    between, after = rest.split(END)
    return before, between, after


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--update"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    # Neither a home for a cache nor a GPU's driver: what it prints comes from the program alone.
    listed = subprocess.run([os.path.join(arguments[0], "bin", "ladder-tune"), "--list"], env={"HOME": "/nonexistent"},
                            capture_output=True, text=True, timeout=100, check=False)
    if listed.returncode != 0 or listed.stderr:
        sys.exit(f"ladder-tune --list ended with {listed.returncode}: {listed.stderr}")
    with open(README, encoding="utf-8") as file:
        before, between, after = split(file.read())
    if "--update" in sys.argv:
        with open(README, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + listed.stdout + END + after)
    elif between != listed.stdout:
        sys.exit("README.md's support matrix is not what ladder-tune --list prints; run "
                 "tests/deploy/support_matrix_test.py --update on a fresh build. It prints:\n" + listed.stdout)


if __name__ == "__main__":
    main()
