"""Which folder may include what. Pure functions over paths and text, so that a made-up tree can be checked too."""

import os
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)

# A rule is (folder, allowed project includes). The longest folder that contains a file decides. A project include is a
# path from the repository's root or of a generated header; everything else in <> is a library's or the system's.
PROTO = "ladder/tune/v1/"
PROJECT_FOLDERS = ("core/", "schedules/", "server/", "client/", "tests/", PROTO)
ALLOWED = {
    "core/": ("core/",),
    "schedules/": ("schedules/", "core/"),
    "server/": ("server/", "schedules/", "core/", PROTO),
    "client/": ("client/", PROTO),
    # The tools run the same service in their own process when no daemon is named, and what needs none; nothing else of the
    # server is theirs.
    "client/tools/": ("client/", PROTO, "server/embedded_host.h", "server/config/", "server/offline/"),
    "tests/": PROJECT_FOLDERS,
}

# A library is allowed only below the folders named with it.
LIBRARIES = (
    # Vendor headers stay in the backends. One test compares the client's own declarations of the driver with them.
    (re.compile(r"^(cuda|cuda_.*|nvrtc|nvJitLink|cublas.*|cudnn.*|device_launch_parameters|hip/.*|hipblas.*)(\.h)?$"),
     ("core/backend/cuda/", "core/backend/hip/", "tests/client/cuda_types_test.cc")),
    (re.compile(r"^(grpc|grpcpp|grpc\+\+)/"), ("server/", "client/", "tests/")),
    (re.compile(r"^google/protobuf/"), ("server/", "client/", "tests/")),
    (re.compile(r"^sqlite3\.h$"), ("server/storage/", "tests/server/")),
    (re.compile(r"^nlohmann/"), ("server/", "client/tools/", "tests/")),
    (re.compile(r"^spdlog/"), ("server/", "client/tools/", "tests/")),
    (re.compile(r"^prometheus/"), ("server/monitoring/", "server/embedded_host.cc", "tests/")),
    (re.compile(r"^httplib\.h$"), ("server/monitoring/", "tests/")),
    (re.compile(r"^CLI/"), ("server/", "client/tools/", "client/example/", "tests/")),
    (re.compile(r"^zstd\.h$"), ("server/storage/", "tests/server/")),
    (re.compile(r"^openssl/"), ("server/", "client/", "tests/")),
    (re.compile(r"^(gtest|gmock|benchmark)/"), ("tests/",)),
    (re.compile(r"^boost/"), ("tests/emulator/",)),
)
SOURCE_ENDINGS = (".cc", ".h", ".cuh")


def sources(root):
    """Yields the path from `root` of every source, leaving out build folders and hidden ones."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in ("build", "__pycache__"))
        for name in sorted(files):
            if name.endswith(SOURCE_ENDINGS):
                yield os.path.relpath(os.path.join(folder, name), root)


def rule_of(path):
    """The allowed project includes of `path`, or None for a file outside every known folder."""
    matching = [folder for folder in ALLOWED if path.startswith(folder)]
    return ALLOWED[max(matching, key=len)] if matching else None


def problems_of(path, text):
    """Every broken rule of one file, as sentences."""
    allowed = rule_of(path)
    if allowed is None:
        yield f"{path}: lies in no folder of the include rules; put it in one or add the folder to ALLOWED"
        return
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        quote, target = match.groups()
        where = f"{path}:{line}: includes {quote}{target}{'>' if quote == '<' else quote}"
        if path.endswith(".cuh"):
            # NVRTC is given the embedded sources, generated headers by the name ladder/*.cuh, and nothing else.
            mine = ("schedules/", "ladder/") + (("tests/",) if path.startswith("tests/") else ())
            if not (target.endswith(".cuh") and target.startswith(mine)):
                yield f"{where}, but a device source may include only device sources of {', '.join(mine)}"
            continue
        if target.startswith(".") or "/../" in target:
            yield f"{where}, but project includes are paths from the repository's root"
        elif target.startswith(PROJECT_FOLDERS):
            if not target.startswith(allowed):
                yield f"{where}, but its folder may include only {', '.join(allowed)}"
        elif quote == '"' and "/" not in target:
            yield f"{where}, but project includes are paths from the repository's root"
        for library, folders in LIBRARIES:
            if library.match(target) and not path.startswith(folders):
                yield f"{where}, but that library belongs to {', '.join(folders)}"


def check(root):
    """Every broken rule below `root`."""
    found = []
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            found.extend(problems_of(path, file.read()))
    return found
