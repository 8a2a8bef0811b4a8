#!/usr/bin/env python3
"""make_pages.py CAIRN [--check]: writes cairn.1 and cairn.bash beside this script from the command's
own --help, so that neither can miss an option. With --check it writes nothing and fails if they are
not what it would write."""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
HELP_COLUMN = 30
OPTION = re.compile(r"-\S+")
ENUMERATED = re.compile(r"\{([^}]*)\}")
# What a value may be where --help does not enumerate it in braces.
VALUES = {"--metric": "l2 ip cosine", "--encoding": "auto int8 int16 half bfloat16 scaled_half "
          "decimal exponent float32 delta16"}

INTRODUCTION = r"""
.B cairn
builds indexes of vectors, searches them for nearest neighbours and measures how fast that is at which recall.
.PP
Files may be named by their options or, without these, by their place, in the order that is told for each
command:
.B cairn search a.cairn q.npy
is
.BR "cairn search --index a.cairn --queries q.npy" .
.PP
The format of a vector file is told by its name:
.BR .fbin ", " .f16bin ", " .u8bin ", " .i8bin ", " .ibin
(two uint32, rows and columns, then the values),
.BR .fvecs ", " .bvecs ", " .ivecs ,
.B .npy
(float16 to float64, bool and integers, in C or Fortran order), and
.B .u64bin
for ids.
A
.B .npy
of one dimension with as many values as a vector has is one query.
.PP
Where queries may come from standard input
.RB ( - ),
a
.B .npy
or
.B .fbin
file is told by how it begins; anything that is text is taken as numbers separated by spaces, commas or
semicolons, a query a line.
.PP
Ids of results are int32 in
.BR .ibin " and " .ivecs ,
-1 where there is none, and uint64 in
.BR .u64bin " and " .npy ,
2^64 - 1 where there is none.
Metrics go by other names, too: euclidean, l2sq; dot, inner_product; angular, cos. Distances are those of l2 (squared), ip (minus
the product) and cosine (1 - cos).
"""

CLOSING = r"""
.SH FILES
Every file is written under a temporary name and renamed when it is complete. A target that is no regular file (a
device, a pipe, a directory) is refused, symbolic links are followed, and permissions of a replaced file are kept. An output that is
an input of the same command, under whatever name, is refused.
.TP
.I .cairn-*.tmp
A file that is being written, or that a killed process left. The next save of the same user into the directory removes
the latter;
.B cairn verify
.I directory
names what remains, which may be deleted.
.SH ENVIRONMENT
.TP
.B COLUMNS
The width that the progress bar keeps to; default: that of the terminal.
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Failed, with one line on standard error.
.TP
.B 2
Wrong usage.
.TP
.BR 130 ", " 143
Interrupted by SIGINT or SIGTERM; no output was touched.
.SH EXAMPLES
.nf
cairn build base.npy wiki.cairn --metric cosine
cairn search wiki.cairn query.npy --k 10 --output found.npy --distances
echo "0.1 0.2 0.3" | cairn search small.cairn - --json
cairn truth --index wiki.cairn query.npy gt.u64bin
cairn bench wiki.cairn query.npy --truth gt.u64bin --html report.html
.fi
"""


def help_of(command, *arguments):
    return subprocess.run([command, *arguments, "--help"], check=True, capture_output=True,
                          text=True).stdout


def sections_of(text):
    """The lines under each heading of a --help, as entries [what, description]."""
    sections = {}
    entries = []
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z]\w*:", line):
            entries = sections.setdefault(line[:-1], [])
        elif line.startswith(" " * HELP_COLUMN) and entries:
            entries[-1][1] = (entries[-1][1] + " " + line.strip()).strip()
        elif line.startswith("  "):
            what, _, description = line.strip().partition("  ")
            if not description and len(line) > HELP_COLUMN and line[HELP_COLUMN - 1] == " ":
                what, description = line[2:HELP_COLUMN].strip(), line[HELP_COLUMN:]
            entries.append([what, description.strip()])
    return sections


def commands_of(command):
    sections = sections_of(help_of(command))
    return [(name, description, sections_of(help_of(command, name)))
            for name, description in sections["Subcommands"]]


def roff(text):
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def places_of(options):
    (_, description), = options["Positionals"]
    return description.partition(",")[0]


def make_page(commands):
    lines = ['.\\" Written by make_pages.py.', '.TH CAIRN 1 "" "Cairn" "User Commands"', ".SH NAME",
             r"cairn \- approximate nearest neighbours: build, search and measure indexes",
             ".SH SYNOPSIS", ".B cairn", ".I command", r"[\fIoptions\fR] [\fIfiles\fR]", ".br",
             r".B cairn \-\-help", ".br", r".B cairn \-\-version", ".SH DESCRIPTION",
             INTRODUCTION.strip(), ".SH COMMANDS"]
    for name, description, sections in commands:
        lines += [f".SS cairn {name} \\fR[\\fIoptions\\fR] \\fI{places_of(sections)}\\fR",
                  roff(description) + "."]
        for what, text in sections["Options"]:
            lines += [".TP", f".B {roff(what)}", roff(text)]
    return "\n".join(lines) + "\n" + CLOSING.strip() + "\n"


def names_in(what):
    return OPTION.findall(what.partition(" ")[0].replace(",", " "))


def make_completion(commands):
    lines = ["# Written by make_pages.py: completion of the cairn command for bash.", "_cairn() {",
             '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"',
             '  local words=""', "  COMPREPLY=()", "  if ((COMP_CWORD == 1)); then",
             '    words="' + " ".join(name for name, _, _ in commands) + ' --help --version"',
             "  else", '    case "${COMP_WORDS[1]} $before" in']
    for name, _, sections in commands:
        for what, _ in sections["Options"]:
            values = ENUMERATED.search(what)
            for option in names_in(what):
                listed = values[1].replace(",", " ") if values else VALUES.get(option)
                if listed:
                    lines.append(f'      "{name} {option}") words="{listed}" ;;')
    lines += ["    esac", '    if [[ -z "$words" && "$word" == -* ]]; then',
              '      case "${COMP_WORDS[1]}" in']
    for name, _, sections in commands:
        options = " ".join(option for what, _ in sections["Options"] for option in names_in(what))
        lines.append(f'        {name}) words="{options}" ;;')
    lines += ["      esac", "    fi", "  fi", '  if [[ -n "$words" ]]; then',
              "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")", "  fi", "}",
              "complete -o bashdefault -o default -F _cairn cairn"]
    return "\n".join(lines) + "\n"


def main():
    commands = commands_of(sys.argv[1])
    is_check = sys.argv[2:] == ["--check"]
    stale = []
    for name, text in (("cairn.1", make_page(commands)), ("cairn.bash", make_completion(commands))):
        path = HERE / name
        if not is_check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(name)
    options = sum(len(sections["Options"]) for _, _, sections in commands)
    if len(commands) < 10 or options < 80:
        sys.exit(f"only {len(commands)} commands with {options} options: is --help laid out anew?")
    if stale:
        sys.exit(f"not what --help says: {' '.join(stale)}; run {HERE.name}/make_pages.py CAIRN")


if __name__ == "__main__":
    main()
