#!/usr/bin/env python3
"""check_symbols.py NM LIBRARY: the library refers to nothing that prints, aborts or exits.

__assert_fail is left to debug builds; std::terminate is the language's own.
"""

import subprocess
import sys

FORBIDDEN = {
    "abort", "exit", "_exit", "_Exit", "quick_exit", "raise", "kill",
    "printf", "fprintf", "vprintf", "vfprintf", "dprintf", "puts", "fputs", "fputc", "putc",
    "putchar", "fwrite", "perror", "psignal", "syslog", "warn", "warnx", "err", "errx",
    "__printf_chk", "__fprintf_chk", "__vprintf_chk", "__vfprintf_chk", "__dprintf_chk",
    "stdout", "stderr", "_ZSt4cout", "_ZSt4cerr", "_ZSt4clog",
}  # fmt: skip


def main():
    nm, library = sys.argv[1:]
    listing = subprocess.run([nm, library], check=True, capture_output=True, text=True).stdout
    member, problems, count = "", [], 0
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        fields = line.split()
        if len(fields) == 2 and fields[0] == "U":
            count += 1
            name = fields[1].split("@")[0]
            if name in FORBIDDEN:
                problems.append(f"{member}: {name}")
    if count == 0:
        problems.append(f"{library}: no undefined symbol at all, so nothing was checked")
    print("\n".join(problems) or f"{count} references, none forbidden")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
