#!/usr/bin/env python3
"""check_layers.py ROOT: every #include goes where the rooms of docs/design.md allow it."""

import pathlib
import re
import sys

# Which rooms a room sees beside itself and include/.
ROOMS = {
    "include": set(),
    "base": set(),
    "quantize": {"base"},
    "storage": {"base"},
    "index": {"base", "quantize", "storage"},
    "serve": {"base"},
    "cli": set(),
    "bench": set(),
    "examples": set(),
    "tests": {"base", "quantize", "storage", "index", "serve", "cli", "bench"},
}
LIBRARY = ("include/", "base/", "quantize/", "storage/", "index/", "serve/")

# Named exceptions: (where, what).
EXCEPTIONS = (("bench/micro/", "quantize/kernels/kernels.h"),)

# Written by the build, not in the tree.
GENERATED = {"cli/commit.h"}

# The one door of each third party: header pattern, places that may include it.
DOORS = (
    (r"omp\.h", ("base/parallel.h", "bench/peers/compare_faiss.cc")),
    (r"(x86)?[a-z]*intrin\.h|arm_neon\.h", ("quantize/kernels/", "storage/codec_kernels/")),
    (r"xsimd/.*", ("quantize/kernels/",)),
    (r"Eigen/.*", ("quantize/kernels/", "quantize/rotation.cc", "include/cairn/eigen.h")),
    (r"(math|stddef|stdint)\.h", ("include/cairn/cairn_c.h",)),  # C
    (r"xxhash\.h", ("base/checksum.cc",)),
    (r"(zstd|zdict).*\.h", ("storage/block_codec.cc",)),
    (r"CLI/.*", ("cli/",)),
    (r"nlohmann/.*", ("cli/", "bench/")),
    (r"hnswlib/.*", ("bench/peers/",)),
    (r"liburing\.h", ("bench/cold/",)),
    (r"faiss/.*", ("bench/peers/compare_faiss.cc",)),
    (r"benchmark/.*", ("bench/",)),
    (r"g(test|mock)/.*", ()),
    (r"roaring/.*", ()),
    # The operating system.
    (
        r"(sys|linux)/.*\.h|fcntl\.h|unistd\.h|stdlib\.h|malloc\.h|signal\.h|dirent\.h",
        (
            "base/aligned_buffer.cc",
            "storage/atomic_file.cc",
            "storage/file.cc",
            "storage/system_calls.cc",
            "cli/",
            "bench/",
            "examples/",
        ),
    ),
)
STANDARD = re.compile(r"[a-z_0-9]+")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def third_party_allowed(path, header):
    for pattern, places in DOORS:
        if re.fullmatch(pattern, header):
            return path.startswith("tests/") or any(path.startswith(place) for place in places)
    return False


def refusal(path, quote, header, root):
    """Why `path` may not include `header`, or None if it may."""
    room = path.split("/")[0]
    top = header.split("/")[0]
    if top == "cairn":
        if not (root / "include" / header).is_file():
            return "no such public header"
        return None
    if quote == '"':
        if not (root / header).is_file() and header not in GENERATED:
            return "no such file from the top of the tree"
        if top == room or top in ROOMS[room] or (path.startswith("tests/") and top == "tests"):
            return None
        if any(path.startswith(place) and header == what for place, what in EXCEPTIONS):
            return None
        return f"{room} may not see {top}"
    if STANDARD.fullmatch(header) or third_party_allowed(path, header):
        return None
    return "third party without a door here"


def check_file(root, path, problems):
    seen = set()
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        where = f"{path}:{number}"
        if re.match(r"\s*#\s*pragma\s+omp\b", line) and path != "base/parallel.h":
            problems.append(f"{where}: OpenMP outside base/parallel.h")
        match = INCLUDE.match(line)
        if not match:
            continue
        reason = refusal(path, match[1], match[2], root)
        if reason:
            problems.append(f"{where}: {match[2]}: {reason}")
        if match[2] in seen:
            problems.append(f"{where}: {match[2]} is included twice")
        seen.add(match[2])


def check_own_header_first(root, path, problems):
    own = path[: -len(".cc")] + ".h"
    if not (root / own).is_file():
        return
    for line in (root / path).read_text().splitlines():
        match = INCLUDE.match(line)
        if match:
            if match[2] != own:
                problems.append(f"{path}: the first include must be {own}")
            return


def main():
    root = pathlib.Path(sys.argv[1])
    paths = [
        str(path.relative_to(root))
        for room in ROOMS
        for path in sorted((root / room).rglob("*"))
        if path.suffix in (".h", ".cc")
    ]
    problems = []
    by_name = {}
    for path in paths:
        check_file(root, path, problems)
        if path.endswith(".cc"):
            check_own_header_first(root, path, problems)
        name = path.rsplit("/", 1)[-1]
        if name in by_name:
            problems.append(f"{path}: same file name as {by_name[name]}")
        by_name[name] = path
    library = [path for path in paths if path.startswith(LIBRARY)]
    if len(library) < 20:
        problems.append(f"only {len(library)} library files found under {root}: wrong folder?")
    print("\n".join(problems) or f"{len(paths)} files, no forbidden include")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
