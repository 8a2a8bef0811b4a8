#!/usr/bin/env python3
"""report_peers.py --json OUT --html OUT SET.json...: what measure_peers.py measured, side by side.

Prints two tables per data set, speed at the same recall and the cost of the index, and writes
everything as JSON and as one page.
"""

import argparse
import json
import pathlib

from peer_curves import best_reach, compare, reach
from peers_page import render_page

RECALLS = (0.9, 0.95, 0.98, 0.99, 0.995)
FAISS = "FAISS "


def faiss_index(name):
    """IVF256,Flat of "FAISS 1.7.3 (AVX2) IVF256,Flat"."""
    return name.split()[-1]


def compare_at(libraries, recall):
    """Cairn, which comes first, beside hnswlib and the fastest of FAISS's index types."""
    ours = reach(libraries[0]["points"], recall)
    of_faiss = [peer for peer in libraries[1:] if peer["name"].startswith(FAISS)]
    others = [peer for peer in libraries[1:] if not peer["name"].startswith(FAISS)]
    hnswlib = best_reach(others, recall)
    faiss = best_reach(of_faiss, recall)
    return {
        "recall": recall,
        "cairn": ours,
        "hnswlib": hnswlib,
        "faiss": faiss,
        "cairn_to_hnswlib": compare(ours, hnswlib),
        "cairn_to_faiss": compare(ours, faiss),
    }


def speed_text(reached):
    if reached is None:
        return "-"
    return (">=" if reached["is_bound"] else "") + f"{reached['qps']:,.0f}"


def times_text(ratio):
    return "-" if ratio is None else f"{ratio['sign']}{ratio['times']:.1f}x"


def title_text(data):
    rounds = data["rounds"]
    return (
        f"{data['name']}: {data['n']:,} x {data['dim']}, {data['metric']}; "
        f"{data['queries']:,} queries, recall@{data['k']}, "
        f"{rounds} round{'' if rounds == 1 else 's'}"
    )


def speed_rows(data):
    """Header and rows of the first table, as texts."""
    rows = [["recall", "Cairn", "hnswlib", "FAISS", "Cairn/hnswlib", "Cairn/FAISS", "FAISS by"]]
    for at in data["at_recall"]:
        faiss = at["faiss"]
        rows.append(
            [
                f"{at['recall']:.3f}",
                speed_text(at["cairn"]),
                speed_text(at["hnswlib"]),
                speed_text(faiss),
                times_text(at["cairn_to_hnswlib"]),
                times_text(at["cairn_to_faiss"]),
                "" if faiss is None else f"{faiss_index(faiss['name'])} {faiss['label']}",
            ]
        )
    return rows


def cost_rows(data):
    rows = [["index", "build s", "CPU s", "threads", "RAM MB", "file MB", "least..most recall"]]
    for library in data["libraries"]:
        build = library["build"]
        recalls = [point["recall"] for point in library["points"]]
        rows.append(
            [
                library["name"],
                f"{build['seconds']:.1f}",
                f"{build['cpu_seconds']:.1f}",
                str(build["threads"]),
                f"{library['ram_bytes'] / 1e6:.0f}",
                f"{library['file_bytes'] / 1e6:.0f}",
                f"{min(recalls):.4f}..{max(recalls):.4f}" if recalls else "-",
            ]
        )
    return rows


def print_table(rows, left):
    """Columns named in `left` start at the left, all others end at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", required=True, type=pathlib.Path)
    parser.add_argument("--html", required=True, type=pathlib.Path)
    parser.add_argument("sets", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    sets = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.sets]
    for data in sets:
        data["at_recall"] = [compare_at(data["libraries"], recall) for recall in RECALLS]
        print(f"\n{title_text(data)}")
        print_table(speed_rows(data), left={6})
        print()
        print_table(cost_rows(data), left={0})
    arguments.json.write_text(json.dumps({"sets": sets}, indent=1) + "\n", encoding="utf-8")
    page = render_page(
        [(title_text(data), data, speed_rows(data), cost_rows(data)) for data in sets]
    )
    arguments.html.write_text(page, encoding="utf-8")
    print(f"\n{arguments.json}\n{arguments.html}")


if __name__ == "__main__":
    main()
