#!/usr/bin/env python3
"""print_comparison.py REPORT.json: Cairn's points beside each peer's speed at the same recall."""

import json
import math
import sys


def speed_at(points, recall):
    """The most queries/s at `recall` or better, between points along lines of the logarithm."""
    points = sorted((point["recall"], point["qps"]) for point in points)
    speeds = [qps for reached, qps in points if reached >= recall]
    for (low, low_qps), (high, high_qps) in zip(points, points[1:]):
        if low < recall <= high and low_qps > 0 and high_qps > 0:
            share = (recall - low) / (high - low)
            speeds.append(math.exp((1 - share) * math.log(low_qps) + share * math.log(high_qps)))
    return max(speeds, default=None)


def build_line(name, build):
    threads = build.get("threads")
    return f"{name}: built in {build.get('seconds', 0):.2f} s" + (
        f" on {threads} threads" if threads else ""
    )


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    peers = report.get("peers") or []
    print(build_line("Cairn", report.get("build") or {}))
    for peer in peers:
        print(build_line(peer["name"], peer.get("build") or {}))
    header = f"{'asked':>7} {'recall':>8} {'queries/s':>10} {'p50 us':>8} {'p99 us':>8}"
    for peer in peers:
        header += f" {peer['name'] + ' at that recall':>36} {'ratio':>7}"
    print(header)
    for point in report.get("points") or []:
        asked = point.get("target_recall")
        line = f"{'' if asked is None else format(asked, '.3f'):>7} {point['recall']:8.4f}"
        line += f" {point['qps']:10.0f} {point['p50_us']:8.1f} {point['p99_us']:8.1f}"
        for peer in peers:
            speed = speed_at(peer["points"], point["recall"])
            if speed is None:
                line += f" {'never reached':>36} {'':>7}"
            else:
                line += f" {speed:36.0f} {point['qps'] / speed:6.1f}x"
        print(line)


if __name__ == "__main__":
    main()
