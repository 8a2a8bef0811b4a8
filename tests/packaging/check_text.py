#!/usr/bin/env python3
"""check_text.py ROOT: sources are ASCII, without tabs or trailing blanks. clang-format does the rest."""

import pathlib
import re
import sys

SUFFIXES = {".h", ".c", ".cc", ".py", ".sh", ".cmake", ".in", ".txt", ".md", ".json", ".yml"}
SKIPPED = re.compile(r"(build|data|report|\.git|\.cache)[^/]*/|.*/golden/")


def problems_of(path, text):
    is_code = path.endswith((".h", ".c", ".cc"))
    for number, line in enumerate(text.split("\n"), 1):
        if not line.isascii():
            yield f"{path}:{number}: not ASCII"
        if line != line.rstrip():
            yield f"{path}:{number}: trailing blank"
        if is_code and "\t" in line:
            yield f"{path}:{number}: tab"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"
    if path.endswith(".h") and "#pragma once" not in text:
        yield f"{path}: no #pragma once"


def main():
    root = pathlib.Path(sys.argv[1])
    problems = []
    count = 0
    for file in sorted(root.rglob("*")):
        path = str(file.relative_to(root))
        if SKIPPED.match(path) or file.suffix not in SUFFIXES or not file.is_file():
            continue
        count += 1
        problems += problems_of(path, file.read_bytes().decode("utf-8", errors="replace"))
    if count < 20:
        problems.append(f"only {count} files found under {root}: wrong folder?")
    print("\n".join(problems) or f"{count} files are clean")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
