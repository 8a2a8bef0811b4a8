#!/usr/bin/env python3
"""Measures Cairn and other libraries on one data set, in turn: one thread, one query at a time.

In every round each library is measured once, one after another on the same core, so that a slow
hour of the machine is everybody's; of the rounds the median of each point counts. Indexes are built
once and read from disk by every round. Only the standard library.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time

from peer_curves import merge_rounds, near_front

K = 10
HNSWLIB_EFS = "10,20,40,80,160,320,640"
CAIRN_RECALLS = "0.8,0.9,0.95,0.98,0.99,0.995,0.999"
FAISS_FACTORS = (2, 4, 8, 16, 32, 64)

# FAISS has two knobs where the others have one: its settings are chosen on the first queries, and
# those measured that are nearly as fast as the fastest of their recall.
MOST_TUNING_QUERIES = 1000
TUNING_SHARE = 5
TUNING_SLACK = 0.8
TUNED_RECALLS = (0.75, 0.998)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--hnswlib", required=True)
    parser.add_argument("--faiss")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int)
    return parser.parse_args()


def read_shape(path):
    with open(path, "rb") as file:
        return struct.unpack("<II", file.read(8))


def power_of_two_near(number):
    return 2 ** round(math.log2(number))


def faiss_factories(rows, dim):
    """Index types by FAISS's own advice, from the shape of the data alone: cells of about sqrt(n),
    and four times as many, scanned as vectors or as 4-bit codes of two dimensions each."""
    few, many = power_of_two_near(math.sqrt(rows)), power_of_two_near(4 * math.sqrt(rows))
    factories = [f"IVF{many},Flat"]
    if dim % 2 == 0:
        factories += [f"IVF{cells},PQ{dim // 2}x4fs,RFlat" for cells in (few, many)]
    return factories


def faiss_settings(factory):
    cells = int(re.match(r"IVF(\d+)", factory)[1])
    probes = [2**i for i in range(int(math.log2(cells)))]
    if not factory.endswith(",RFlat"):
        return [f"nprobe={probe}" for probe in probes]
    return [f"nprobe={probe},k_factor_rf={factor}" for factor in FAISS_FACTORS for probe in probes]


class Failure(Exception):
    pass


def run_command(command, log):
    """Runs it to its end: {wall_seconds, cpu_seconds, peak_rss_bytes} and what it printed."""
    start = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    log.write(f"$ {' '.join(command)}\n{text}\n")
    log.flush()
    if process.returncode != 0:
        raise Failure(f"{command[0]}: {text.strip()}")
    return {
        "wall_seconds": wall,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }, text


def pin_command():
    """What puts a command on one core: the last of those that this process may use."""
    if shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


class Bench:
    """One data set: how each library's programs are called on it, and where they write."""

    def __init__(self, arguments, log):
        self.arguments = arguments
        self.log = log
        self.rows, self.dim = read_shape(arguments.data / "base.fbin")
        available, _ = read_shape(arguments.data / "query.fbin")
        self.queries = min(arguments.queries or available, available)
        self.threads = len(os.sched_getaffinity(0))
        self.scratch = arguments.output.with_suffix(".round.json")

    def files(self, queries):
        data = self.arguments.data
        return ["--queries", str(data / "query.fbin"), "--truth", str(data / "gt100.ibin")] + [
            "--max-queries", str(queries), "--k", str(K), "--json", str(self.scratch)
        ]  # fmt: skip

    def base(self):
        base = self.arguments.data / "base.fbin"
        return ["--input", str(base), "--metric", self.arguments.metric]

    def run(self, command):
        """What a measuring program wrote as JSON, and what it took, on one core."""
        cost, _ = run_command(pin_command() + command, self.log)
        with open(self.scratch, encoding="utf-8") as file:
            report = json.load(file)
        self.scratch.unlink()
        return report, cost


def build_seconds(text):
    """Wall seconds out of what `cairn build --json` printed."""
    return json.loads(text)["seconds"]


class Cairn:
    def __init__(self, bench):
        self.bench = bench
        self.name = "Cairn"
        self.index = bench.arguments.data / "peers.cairn"
        command = [bench.arguments.cairn, "build", "--output", str(self.index)]
        command += ["--threads", str(bench.threads), "--json"]
        cost, text = run_command(command + bench.base(), bench.log)
        # CPU time is that of the whole command: reading the vectors and saving the index, too.
        self.build = {
            "seconds": build_seconds(text),
            "cpu_seconds": cost["cpu_seconds"],
            "threads": bench.threads,
        }
        self.machine = None

    def measure(self):
        arguments = self.bench.arguments
        command = [arguments.cairn, "bench", "--index", str(self.index), "--storage", "memory"]
        command += ["--recall", CAIRN_RECALLS, "--repeat", "1"]
        command += self.bench.files(self.bench.queries)
        report, cost = self.bench.run(command)
        self.machine = report["machine"]
        for point in report["points"]:
            point["label"] = f"asked {point['target_recall']:g}"
        report["build"] = {**report["build"], **self.build}
        report["ram_bytes"] = report["build"]["index_bytes_ram"]
        report["file_bytes"] = self.index.stat().st_size
        return report, cost


class Peer:
    """hnswlib, or one index type of FAISS: a program of bench/peers."""

    def __init__(self, bench, program, cache, settings):
        self.bench = bench
        self.command = [program, "--cache", str(cache), "--threads", str(bench.threads)]
        self.command += [*bench.base(), "--repeats", "1"]
        self.settings = settings
        if not cache.exists():
            print(f"  building {cache.name}", flush=True)
            run_command(self.command + settings + bench.files(1), bench.log)
        self.name = cache.name

    def measure(self, queries=None):
        files = self.bench.files(queries or self.bench.queries)
        report, cost = self.bench.run(self.command + self.settings + files)
        self.name = report["name"]
        return report, cost


def make_hnswlib(bench):
    cache = bench.arguments.data / "hnswlib.bin"
    return Peer(bench, bench.arguments.hnswlib, cache, ["--ef", HNSWLIB_EFS])


def make_faiss(bench, factory):
    cache = bench.arguments.data / f"faiss-{factory.replace(',', '_')}.index"
    kind = ["--factory", factory]
    peer = Peer(bench, bench.arguments.faiss, cache, kind)
    print(f"  choosing settings of {factory}", flush=True)
    peer.settings = [*kind, "--points", ":".join(faiss_settings(factory))]
    report, _ = peer.measure(min(MOST_TUNING_QUERIES, max(1, bench.queries // TUNING_SHARE)))
    chosen = near_front(report["points"], TUNED_RECALLS, TUNING_SLACK)
    peer.settings = [*kind, "--points", ":".join(chosen)]
    return peer


def measure_in_turn(libraries, rounds):
    """Per library, the reports and costs of its rounds."""
    measured = [[] for _ in libraries]
    for number in range(1, rounds + 1):
        for library, of_library in zip(libraries, measured):
            report, cost = library.measure()
            of_library.append((report, cost))
            wall, cpu = cost["wall_seconds"], cost["cpu_seconds"]
            note = "  (it waited: for the core or the disk)" if cpu < 0.9 * wall else ""
            print(
                f"  round {number} of {rounds}: {library.name:44} "
                f"{wall:7.1f} s, CPU {cpu:7.1f} s{note}",
                flush=True,
            )
    return measured


def summarise(reports_and_costs, name):
    reports = [report for report, _ in reports_and_costs]
    return {
        "name": name,
        "build": reports[0]["build"],
        "ram_bytes": reports[0]["ram_bytes"],
        "file_bytes": reports[0]["file_bytes"],
        "points": merge_rounds([report["points"] for report in reports]),
        "rounds": [cost for _, cost in reports_and_costs],
    }


def measure_set(arguments, log):
    bench = Bench(arguments, log)
    cairn = Cairn(bench)
    libraries = [cairn, make_hnswlib(bench)]
    if arguments.faiss:
        factories = faiss_factories(bench.rows, bench.dim)
        libraries += [make_faiss(bench, factory) for factory in factories]
    measured = measure_in_turn(libraries, arguments.rounds)
    return {
        "name": arguments.name,
        "n": bench.rows,
        "dim": bench.dim,
        "metric": arguments.metric,
        "queries": bench.queries,
        "k": K,
        "rounds": arguments.rounds,
        "machine": cairn.machine,
        "libraries": [
            summarise(of_library, library.name) for library, of_library in zip(libraries, measured)
        ],
    }


def main():
    arguments = parse_arguments()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(arguments.output.with_suffix(".log"), "w", encoding="utf-8") as log:
            result = measure_set(arguments, log)
    except Failure as failure:
        sys.exit(f"error: {failure}")
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
