#!/usr/bin/env python3
"""Runs clang-tidy over sources joined as the build joins them, since most of its time goes into headers read again.

Usage: tidy_joined.py BUILD; deploy/tidy calls it. A joined source of the build only includes its sources, which clang's
analyzer would pass over as headers: here their texts follow each other in one file, and findings are told at the lines
they come from. Exits with 1 if there are any.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

ROOMS = r"(core|schedules|server|client)/"


def sources_of(entry):
    """The repository's sources that a compile command takes, or none: of the build folder only joined ones."""
    path = entry["file"]
    if "/Unity/" in path:
        with open(path, encoding="utf-8") as file:
            return re.findall(r'^#include "(.*)"', file.read(), re.MULTILINE)
    return [] if path.startswith(entry["directory"] + "/") else [path]


def join(sources, path):
    """Writes their texts to `path`; the line at which each begins."""
    starts, line = [], 1
    with open(path, "w", encoding="utf-8") as out:
        for source in sources:
            with open(source, encoding="utf-8") as file:
                text = file.read()
            starts.append((line, os.path.relpath(source)))
            out.write(text)
            line += text.count("\n")
    return starts


def tell(text, path, starts):
    """`text` with places in the joined file named by its sources."""
    def place(found):
        line = int(found[1])
        first, source = [start for start in starts if start[0] <= line][-1]
        return f"{source}:{line - first + 1}:"
    return re.sub(re.escape(path) + r":(\d+):", place, text)


def check(entry, sources, path):
    starts = join(sources, path)
    done = subprocess.run(["clang-tidy", "-p", os.path.dirname(path), "--quiet", "--warnings-as-errors=*",
                           "--config-file=.clang-tidy", path], capture_output=True, text=True, check=False)
    errors = re.sub(r".*warnings? (and \d+ errors? )?generated\.\n", "", done.stderr)
    return done.returncode, tell(done.stdout + errors, path, starts)


def main(build):
    build = os.path.abspath(build)
    folder = os.path.join(build, "tidy")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    work, commands = [], []
    for entry in entries:
        output = re.search(r" -o (\S+)", entry["command"])[1]
        sources = sources_of(entry) if re.match(ROOMS, output) else []
        if not sources:
            continue
        path = os.path.join(folder, f"{len(work)}.cc")
        commands.append({"directory": entry["directory"], "file": path,
                         "command": entry["command"].replace(entry["file"], path)})
        work.append((entry, sources, path))
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(commands, file)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for status, text in pool.map(lambda item: check(*item), work):
            failed += status != 0
            print(text, end="", flush=True)
    if not failed:
        print(f"ladder: clang-tidy: {sum(len(sources) for _, sources, _ in work)} files without findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
