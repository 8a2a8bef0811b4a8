#!/usr/bin/env python3
"""Tests of bench/peers/peer_curves.py, report_peers.py, peers_page.py and measure_peers.py."""

import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "peers"))

from measure_peers import build_seconds, faiss_factories, faiss_settings
from peer_curves import compare, merge_rounds, near_front, pareto_front, reach
from peers_page import render_page
from report_peers import compare_at, cost_rows, speed_rows, title_text


def make_point(label, recall, qps):
    return {"label": label, "recall": recall, "qps": qps, "p50_us": 1e6 / qps, "p99_us": 2e6 / qps}


def make_library(name, *points):
    return {
        "name": name,
        "build": {"seconds": 1.5, "cpu_seconds": 2.5, "threads": 2},
        "ram_bytes": 3_000_000,
        "file_bytes": 4_000_000,
        "points": merge_rounds([[make_point(*point) for point in points]]),
    }


class BuildSeconds(unittest.TestCase):
    @unittest.skipUnless("CAIRN_CLI" in os.environ, "CAIRN_CLI does not name the program")
    def test_reads_what_the_program_prints(self):
        rows, dim = 300, 8
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder) / "base.fbin"
            values = (math.sin(number) for number in range(rows * dim))
            base.write_bytes(struct.pack(f"<2I{rows * dim}f", rows, dim, *values))
            command = [os.environ["CAIRN_CLI"], "build", "--json", "--input", base]
            command += ["--output", base.with_suffix(".cairn")]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.assertGreater(build_seconds(printed), 0)


class MergeRounds(unittest.TestCase):
    def test_takes_the_median_of_each_point(self):
        rounds = [[make_point("a", 0.9, qps), make_point("b", 0.95, 10)] for qps in (100, 700, 300)]
        merged = merge_rounds(rounds)
        self.assertEqual([point["label"] for point in merged], ["a", "b"])
        self.assertEqual(merged[0]["qps"], 300)
        self.assertEqual(merged[0]["p50_us"], 1e6 / 300)
        self.assertEqual(merged[0]["qps_of_rounds"], [100, 700, 300])

    def test_refuses_rounds_of_different_indexes(self):
        with self.assertRaises(ValueError):
            merge_rounds([[make_point("a", 0.9, 1)], [make_point("a", 0.91, 1)]])
        with self.assertRaises(ValueError):
            merge_rounds([[make_point("a", 0.9, 1)], [make_point("b", 0.9, 1)]])
        with self.assertRaises(ValueError):
            merge_rounds([[make_point("a", 0.9, 1)], []])


class Reach(unittest.TestCase):
    points = [
        make_point("fast", 0.9, 1000),
        make_point("beaten", 0.93, 50),
        make_point("slow", 0.98, 100),
    ]

    def test_front_leaves_out_what_is_beaten(self):
        labels = [point["label"] for point in pareto_front(self.points)]
        self.assertEqual(labels, ["fast", "slow"])

    def test_front_keeps_one_of_equal_points(self):
        self.assertEqual(len(pareto_front([make_point("a", 0.9, 10), make_point("b", 0.9, 10)])), 1)

    def test_lies_on_the_line_of_the_logarithm_between_points_of_the_front(self):
        at = reach(self.points, 0.94)
        self.assertAlmostEqual(at["qps"], math.sqrt(1000 * 100))
        self.assertFalse(at["is_bound"])
        self.assertEqual(at["label"], "slow")

    def test_is_the_measured_speed_at_a_measured_recall(self):
        self.assertAlmostEqual(reach(self.points, 0.98)["qps"], 100)
        at = reach(self.points, 0.9)
        self.assertEqual((at["qps"], at["is_bound"], at["label"]), (1000, False, "fast"))

    def test_is_a_bound_below_the_first_point(self):
        at = reach(self.points, 0.5)
        self.assertEqual((at["qps"], at["is_bound"]), (1000, True))

    def test_is_nothing_above_the_last_point(self):
        self.assertIsNone(reach(self.points, 0.99))
        self.assertIsNone(reach([], 0.5))

    def test_ratios_say_what_bounds_leave_of_them(self):
        exact, bound = reach(self.points, 0.98), reach(self.points, 0.5)
        self.assertAlmostEqual(compare(bound, exact)["times"], 10)
        self.assertEqual(compare(bound, exact)["sign"], ">=")
        self.assertAlmostEqual(compare(exact, bound)["times"], 0.1)
        self.assertEqual(compare(exact, bound)["sign"], "<=")
        self.assertEqual(compare(bound, bound)["sign"], "~")
        self.assertEqual(compare(exact, exact)["sign"], "")
        self.assertIsNone(compare(exact, None))

    def test_settings_worth_measuring_are_near_the_front(self):
        points = [
            make_point("poor", 0.5, 5000),
            make_point("first", 0.8, 2000),
            make_point("near", 0.8, 1700),
            make_point("far", 0.8, 1500),
            make_point("enough", 0.999, 200),
            make_point("too much", 0.9999, 100),
        ]
        self.assertEqual(near_front(points, (0.75, 0.998), 0.8), ["first", "near", "enough"])
        self.assertEqual(near_front(points[:1], (0.75, 0.998), 0.8), ["poor"])


class FaissIndexes(unittest.TestCase):
    def test_follow_from_the_shape_alone(self):
        self.assertEqual(
            faiss_factories(60_000, 784),
            ["IVF1024,Flat", "IVF256,PQ392x4fs,RFlat", "IVF1024,PQ392x4fs,RFlat"],
        )
        self.assertEqual(faiss_factories(60_000, 25), ["IVF1024,Flat"])

    def test_settings_probe_at_most_half_of_the_cells(self):
        self.assertEqual(faiss_settings("IVF8,Flat"), ["nprobe=1", "nprobe=2", "nprobe=4"])
        self.assertEqual(faiss_settings("IVF4,PQ2x4fs,RFlat")[0], "nprobe=1,k_factor_rf=2")


class Report(unittest.TestCase):
    def setUp(self):
        self.data = {
            "name": "Toys & <toys>",
            "n": 1000,
            "dim": 8,
            "metric": "l2",
            "queries": 100,
            "k": 10,
            "rounds": 1,
            "machine": {"cpu": "a CPU"},
            "libraries": [
                make_library("Cairn", ("asked 0.9", 0.92, 9000), ("asked 0.99", 0.992, 3000)),
                make_library("hnswlib M=16", ("ef=10", 0.85, 4000), ("ef=20", 0.97, 1000)),
                make_library("FAISS 1 (AVX2) IVF4,Flat", ("nprobe=1", 0.9, 500)),
                make_library("FAISS 1 (AVX2) IVF2,Flat", ("nprobe=2", 0.9, 600)),
            ],
        }
        self.data["at_recall"] = [compare_at(self.data["libraries"], r) for r in (0.9, 0.99)]

    def test_rows_show_bounds_gaps_and_the_fastest_of_faiss(self):
        rows = speed_rows(self.data)[1:]
        hnswlib = 4000 * (1000 / 4000) ** (5 / 12)
        self.assertEqual(rows[0][:4], ["0.900", ">=9,000", f"{hnswlib:,.0f}", "600"])
        self.assertEqual(rows[0][4:], [">=4.0x", ">=15.0x", "IVF2,Flat nprobe=2"])
        self.assertEqual(rows[1][2:], ["-", "-", "-", "-", ""])

    def test_page_draws_every_library_in_well_formed_svg(self):
        page = render_page(
            [(title_text(self.data), self.data, speed_rows(self.data), cost_rows(self.data))]
        )
        charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
        self.assertEqual(len(charts), 1)
        svg = xml.etree.ElementTree.fromstring(charts[0])
        self.assertEqual(len(svg.findall("path")), 4)
        self.assertEqual(len(svg.findall("circle")), 6)
        self.assertIn("prefers-color-scheme: dark", page)
        self.assertIn("data-tip", page)
        self.assertIn("Toys &amp; &lt;toys&gt;", page)
        self.assertNotIn("<toys>", page)
        self.assertNotRegex(page, r'(src|href)="')


if __name__ == "__main__":
    unittest.main()
