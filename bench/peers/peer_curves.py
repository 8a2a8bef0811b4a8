"""Curves of recall and queries/s: what the comparison of libraries is computed with."""

import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from print_comparison import speed_at

MEDIANS = ("qps", "p50_us", "p99_us", "cpu_us")


def merge_rounds(rounds):
    """One list of points from those of several rounds: the median of each measurement.

    The points of every round must have the same labels in the same order, and the same recalls, or
    it was not the same index that was measured."""
    merged = []
    for points in zip(*rounds, strict=True):
        labels = {point["label"] for point in points}
        recalls = {point["recall"] for point in points}
        if len(labels) > 1 or len(recalls) > 1:
            raise ValueError(f"rounds differ: {sorted(labels)}, recall {sorted(recalls)}")
        point = dict(points[0])
        for key in MEDIANS:
            if key in point:
                point[key] = statistics.median(other[key] for other in points)
        point["qps_of_rounds"] = [other["qps"] for other in points]
        merged.append(point)
    return merged


def pareto_front(points):
    """The points that no other beats in both recall and speed, by ascending recall."""
    front = []
    for point in sorted(points, key=lambda point: (-point["recall"], -point["qps"])):
        if not front or point["qps"] > front[-1]["qps"]:
            front.append(point)
    return front[::-1]


def reach(points, recall):
    """The speed of a curve at `recall`, between the points of its front along lines of the
    logarithm: {qps, is_bound, label, recall_of_label}, or None if the curve never gets there. With
    is_bound even the point of least recall is better than asked, so that the speed at `recall` is at
    least this one. `label` is that of the next point at or above."""
    front = pareto_front(points)
    qps = speed_at(front, recall)
    if qps is None:
        return None
    above = next(point for point in front if point["recall"] >= recall)
    return {
        "qps": qps,
        "is_bound": front[0]["recall"] > recall,
        "label": above["label"],
        "recall_of_label": above["recall"],
    }


def best_reach(libraries, recall):
    """The fastest of several curves at `recall`, with its name, or None."""
    reached = []
    for library in libraries:
        at = reach(library["points"], recall)
        if at is not None:
            reached.append({"name": library["name"], **at})
    return max(reached, key=lambda at: at["qps"], default=None)


def compare(ours, theirs):
    """{times, sign} of two reached speeds, or None. `sign` says what bounds leave of the ratio."""
    if ours is None or theirs is None:
        return None
    signs = {(False, False): "", (True, False): ">=", (False, True): "<=", (True, True): "~"}
    return {
        "times": ours["qps"] / theirs["qps"],
        "sign": signs[ours["is_bound"], theirs["is_bound"]],
    }


def near_front(points, recalls, slack):
    """Labels of the points worth measuring well: at least `slack` times as fast as the front at
    their recall, which is at least the first of `recalls` and no further than the first point that
    reaches the second. All points if none is so good."""
    least, enough = recalls
    end = reach(points, enough)
    most = end["recall_of_label"] if end else enough
    return [
        point["label"]
        for point in points
        if least <= point["recall"] <= most
        and point["qps"] >= slack * reach(points, point["recall"])["qps"]
    ] or [point["label"] for point in points]
