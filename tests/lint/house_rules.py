"""How the tree is kept: a README in every folder, short files, each source's own header first, tests with their labels."""

import os
import re

import include_rules

MAXIMUM_LINES = 500
COUNTED_ENDINGS = (".cc", ".h", ".cuh", ".proto", ".py", ".sh", ".cmake", "CMakeLists.txt")
MINIMUM_SENTENCES = 3
# A sentence ends in a mark followed by space or the end; "e.g." and file names such as a.cc end none.
SENTENCE_END = re.compile(r"[^.\s][.!?:](?=\s|$)")


def folders(root):
    """Yields (path from `root`, file names) of every folder with files, leaving out build folders and hidden ones."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in ("build", "__pycache__"))
        if files:
            yield os.path.relpath(folder, root), sorted(files)


def sentences(text):
    """How many sentences of prose a README has; headings, tables and code are none."""
    prose, in_code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith(("#", "|")):
            prose.append(line)
    return len(SENTENCE_END.findall("\n".join(prose)))


def folders_without_readme(root):
    """Folders of sources whose README.md is missing or says less than three sentences."""
    for folder, files in folders(root):
        # Folders of test data and the like are described by the folder above.
        if not any(name.endswith(COUNTED_ENDINGS) for name in files):
            continue
        # So are folders that exist only to spell an include path (proto/ladder/tune/v1).
        parent = os.path.join(root, os.path.dirname(folder))
        if folder != "." and not any(os.path.isfile(os.path.join(parent, name)) for name in os.listdir(parent)):
            continue
        if "README.md" not in files:
            yield f"{folder}/README.md: missing; say what the folder owns, what it may include and where to start"
            continue
        with open(os.path.join(root, folder, "README.md"), encoding="utf-8") as file:
            text = file.read()
        if not text.startswith("# "):
            yield f"{folder}/README.md: must begin with a heading (a formatter for C++ was here?)"
        count = sentences(text)
        if count < MINIMUM_SENTENCES:
            yield f"{folder}/README.md: {count} sentences; say what it owns, what it may include, where to start"


def long_files(root):
    """Files of more than MAXIMUM_LINES lines."""
    for folder, files in folders(root):
        for name in files:
            if not name.endswith(COUNTED_ENDINGS):
                continue
            path = os.path.join(folder, name)
            with open(os.path.join(root, path), encoding="utf-8") as file:
                lines = sum(1 for _ in file)
            if lines > MAXIMUM_LINES:
                yield f"{path}: {lines} lines; split what is over {MAXIMUM_LINES}"


def headers_not_first(root):
    """Sources whose first include isn't the header of the same name: compiling them then proves that it stands alone."""
    for path in include_rules.sources(root):
        header = path[: -len(".cc")] + ".h"
        if not path.endswith(".cc") or not os.path.exists(os.path.join(root, header)):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            first = include_rules.INCLUDE.search(file.read())
        if first is None or first.group(2) != header:
            yield f"{path}: its first include must be {header}"


def lost_labels(root):
    """Lists given to gtest_discover_tests, which takes all but the first item for further properties and their values."""
    for folder, files in folders(root):
        for name in files:
            if name != "CMakeLists.txt":
                continue
            path = os.path.join(folder, name)
            with open(os.path.join(root, path), encoding="utf-8") as file:
                for call in re.findall(r"gtest_discover_tests\(([^)]*;[^)]*)\)", file.read()):
                    yield f"{path}: {call.split()[0]} would lose its labels; use ladder_discover_tests"


def check(root):
    """Every broken rule below `root`, as sentences."""
    return [*folders_without_readme(root), *long_files(root), *headers_not_first(root), *lost_labels(root)]
