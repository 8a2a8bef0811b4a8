#!/usr/bin/env python3
"""Builds an index of one data set with each library in turn, all cores, and prints wall and CPU seconds.

In every round each library builds once, so that a slow hour of the machine is everybody's; medians
count. Cairn builds in memory from a matrix, as the others do; no time of reading or writing files is
counted. Only the standard library.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--programs", required=True, type=pathlib.Path,
                        help="directory of compare_cairn, compare_hnswlib and compare_faiss")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def libraries(programs):
    """Program and its arguments of each library that was built; Cairn comes first."""
    found = [("compare_cairn", ["--recalls", "95"]), ("compare_hnswlib", ["--ef", "10"]),
             ("compare_faiss", ["--factory", "IVF2048,Flat", "--points", "nprobe=1"])]
    return [(programs / name, options) for name, options in found if (programs / name).exists()]


def build_once(program, options, arguments):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run(
            [program, "--input", arguments.base, "--queries", arguments.queries, "--truth",
             arguments.truth, "--metric", arguments.metric, "--threads", str(arguments.threads),
             "--repeats", "1", "--max-queries", "100", "--json", report, *options],
            check=True, stdout=subprocess.DEVNULL)
        measured = json.loads(report.read_text(encoding="utf-8"))
    return measured["name"], measured["build"]["seconds"], measured["build"]["cpu_seconds"]


def main():
    arguments = parse_arguments()
    seconds = {}
    for number in range(1, arguments.rounds + 1):
        for program, options in libraries(arguments.programs):
            name, wall, cpu = build_once(program, options, arguments)
            seconds.setdefault(name, []).append((wall, cpu))
            print(f"round {number}: {name}: {wall:.2f} s, {cpu:.2f} CPU s", file=sys.stderr)
    print(f"{arguments.name}, {arguments.threads} threads, medians of {arguments.rounds} rounds")
    first = None
    for name, runs in seconds.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs))
        first = first or (wall, cpu)
        print(f"  {name:32} {wall:8.2f} s {cpu:8.2f} CPU s   {wall / first[0]:6.1f} x"
              f" {cpu / first[1]:6.1f} x CPU")


if __name__ == "__main__":
    main()
