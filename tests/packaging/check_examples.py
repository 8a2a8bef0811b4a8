#!/usr/bin/env python3
"""check_examples.py ROOT CXX CC: every C++ and C example in the documentation compiles.

A block with a main() is compiled as it is, any other as the body of a function that sees what
example_prelude.h declares.
"""

import pathlib
import re
import subprocess
import sys

PAGES = ("README.md", "MMAP_STORAGE.md", "CONTRIBUTING.md", "docs")
BLOCK = re.compile(r"^```(cpp|c)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def pages(root):
    for name in PAGES:
        path = root / name
        yield from sorted(path.glob("*.md")) if path.is_dir() else [path]


def program_of(code):
    if re.search(r"^int main\(", code, re.MULTILINE):
        return code
    lines = code.split("\n")
    includes = [line for line in lines if line.startswith("#include")]
    body = [line for line in lines if not line.startswith("#include")]
    return "\n".join(
        ['#include "tests/packaging/example_prelude.h"', *includes]
        + ["namespace example {", "void block() {", *body, "}", "}", ""]
    )


def main():
    root, cxx, cc = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    flags = ["-fsyntax-only", f"-I{root}", f"-I{root}/include", "-isystem", "/usr/include/eigen3"]
    problems, counts = [], {}
    for page in pages(root):
        text = page.read_text()
        for match in BLOCK.finditer(text):
            language, code = match.groups()
            command = [cxx, "-std=c++20", "-x", "c++"] if language == "cpp" else [cc, "-std=c11", "-x", "c"]
            source = program_of(code) if language == "cpp" else code
            result = subprocess.run(
                [*command, *flags, "-"], input=source, capture_output=True, text=True
            )
            name = str(page.relative_to(root))
            counts[name] = counts.get(name, 0) + 1
            if result.returncode != 0:
                line = text[: match.start()].count("\n") + 1
                problems.append(f"{name}:{line}: the example does not compile\n{result.stderr}")
    for name in ("README.md", "docs/api.md"):
        if name not in counts:
            problems.append(f"{name}: no example found")
    print("\n".join(problems) or "compiled: " + ", ".join(f"{n} of {p}" for p, n in counts.items()))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
