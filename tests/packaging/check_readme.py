#!/usr/bin/env python3
"""check_readme.py ROOT: the README's first C++ block is examples/quickstart.cc, and its files exist."""

import pathlib
import re
import sys


def main():
    root = pathlib.Path(sys.argv[1])
    readme = (root / "README.md").read_text()
    problems = []
    block = re.search(r"```cpp\n(.*?)```", readme, re.DOTALL)
    example = (root / "examples" / "quickstart.cc").read_text()
    if block is None or block[1] != example:
        problems.append("README.md: the first C++ block is not examples/quickstart.cc")
    if readme.count("\n") > 150:
        problems.append(f"README.md: {readme.count(chr(10))} lines, at most 150")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", readme):
        if "://" not in target and not (root / target).exists():
            problems.append(f"README.md: no such file: {target}")
    print("\n".join(problems) or "README.md is in step")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
