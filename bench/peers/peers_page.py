"""The page of the comparison: curves of all libraries as inline SVG, styled as `cairn bench` does."""

import html
import math
import pathlib
import re

from peer_curves import pareto_front

STYLE_HEADER = pathlib.Path(__file__).resolve().parents[2] / "cli" / "html_style.h"
OWN_STYLE = """
main > h2 { font-size: 22px; margin: 36px 0 12px; }
.side th, .side td { padding: 7px 5px; }
"""

WIDTH, HEIGHT = 640, 480
LEFT, RIGHT, TOP, BOTTOM = 78, 22, 16, 64
NUM_COLOURS = 6
MAX_NINES = 4.0  # recall 0.9999 and above share the right edge
LEAST_SHOWN = 0.75
TICKS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def style_and_script():
    """Those of the report of `cairn bench`, from the header that holds them."""
    text = STYLE_HEADER.read_text(encoding="utf-8")
    style = re.search(r'R"css\((.*?)\)css"', text, re.DOTALL)
    script = re.search(r'R"js\((.*?)\)js"', text, re.DOTALL)
    return style[1] + OWN_STYLE, script[1]


def nines(recall):
    """The recall axis: logarithmic in what is missed."""
    return min(MAX_NINES, -math.log10(max(1 - recall, 1e-9)))


class Scales:
    """Places of recall and speed for all curves of a chart."""

    def __init__(self, curves):
        points = [point for _, curve in curves for point in curve]
        speeds = [math.log10(point["qps"]) for point in points]
        highest = max(nines(point["recall"]) for point in points)
        self.nines = (nines(LEAST_SHOWN), max(highest + 0.05, nines(0.99)))
        self.speeds = (min(speeds) - 0.1, max(speeds) + 0.1)

    def x(self, recall):
        low, high = self.nines
        return LEFT + (nines(recall) - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    def y(self, qps):
        low, high = self.speeds
        return HEIGHT - BOTTOM - (math.log10(qps) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)


def draw_line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>\n'


def draw_text(x, y, anchor, text, css_class="tick"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css_class}">'
        f"{html.escape(text)}</text>\n"
    )


def draw_grid(scales):
    out, bottom = "", HEIGHT - BOTTOM
    for recall in TICKS:
        if nines(recall) > scales.nines[1]:
            continue
        x = scales.x(recall)
        out += draw_line(x, TOP, x, bottom) + draw_text(x, bottom + 24, "middle", f"{recall:g}")
    low, high = scales.speeds
    for decade in range(math.floor(low), math.ceil(high)):
        for step in (1, 2, 5):
            qps = step * 10**decade
            if low <= math.log10(qps) <= high:
                y = scales.y(qps)
                out += draw_line(LEFT, y, WIDTH - RIGHT, y)
                out += draw_text(LEFT - 8, y + 5, "end", f"{qps:,.0f}")
    out += draw_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "middle", "recall@10", "axis")
    middle = (TOP + bottom) / 2
    return out + (
        f'<text transform="translate(17,{middle:.1f}) rotate(-90)" text-anchor="middle" '
        'class="axis ytitle">queries per second</text>\n'
    )


def tip_text(name, point):
    text = f"{name}\n{point['label']}\nrecall {point['recall']:.4f}\n{point['qps']:,.0f} queries/s"
    rounds = point["qps_of_rounds"]
    if len(rounds) > 1:
        text += f" ({min(rounds):,.0f} to {max(rounds):,.0f})"
    return text + f"\np50 {point['p50_us']:.1f} us, p99 {point['p99_us']:.1f} us"


def draw_curve(name, points, place, scales):
    colour = f"c{place % NUM_COLOURS}"
    places = [(scales.x(point["recall"]), scales.y(point["qps"])) for point in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    out = f'<path d="{path}" class="curve {"ours " if place == 0 else ""}{colour}"/>\n'
    for (x, y), point in zip(places, points):
        tip = html.escape(tip_text(name, point)).replace("\n", "&#10;")
        out += (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if place == 0 else 4}" '
            f'class="dot {colour}" data-tip="{tip}" tabindex="0"/>\n'
        )
    return out


def draw_chart(libraries):
    """An SVG of the fronts of all libraries, and its legend; the first library is ours."""
    curves = [
        (
            library["name"],
            [point for point in pareto_front(library["points"]) if point["recall"] >= LEAST_SHOWN],
        )
        for library in libraries
    ]
    curves = [curve for curve in curves if curve[1]]
    if not curves:
        return ""
    scales = Scales(curves)
    out = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Queries per second against recall">\n'
    ) + draw_grid(scales)
    for place, (name, points) in reversed(list(enumerate(curves))):
        out += draw_curve(name, points, place, scales)
    legend = "".join(
        f'<span><i class="c{place % NUM_COLOURS}"></i>{html.escape(name)}</span>'
        for place, (name, _) in enumerate(curves)
    )
    return out + f'</svg>\n<div class="legend">{legend}</div>\n'


def render_table(rows):
    out = "<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0]) + "</tr>\n"
    for row in rows[1:]:
        out += "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
    return f'<div class="scroll"><table>{out}</table></div>\n'


def render_card(title, css_class, content):
    return f'<section class="card {css_class}"><h2>{title}</h2>\n{content}</section>\n'


def render_set(title, data, speed_rows, cost_rows):
    header = ["recall", "Cairn", "hnswlib", "ratio", "FAISS", "ratio"]
    speeds = [[row[column] for column in (0, 1, 2, 4, 3, 5)] for row in speed_rows[1:]]
    faiss_by = "".join(
        f'<p class="small">{row[0]} <span class="soft">{html.escape(row[6])}</span></p>\n'
        for row in speed_rows[1:]
        if row[6]
    )
    return (
        f"<h2>{html.escape(title)}</h2>\n"
        '<div class="charts">\n'
        + render_card("Recall against speed", "main", draw_chart(data["libraries"]))
        + render_card("Queries/s at the same recall", "side", render_table([header, *speeds]))
        + (render_card("The fastest of FAISS", "side", faiss_by) if faiss_by else "")
        + render_card("Indexes", "wide", render_table(cost_rows))
        + "</div>\n"
    )


def render_page(sets):
    """`sets`: (title, what was measured, rows of the speed table, rows of the cost table)."""
    style, script = style_and_script()
    machine = sets[0][1]["machine"]
    facts = [machine.get(key, "") for key in ("cpu", "isa", "compiler")]
    facts.append("commit " + machine["commit"] if machine.get("commit") else "")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>Cairn beside its peers</title>\n<style>{style}</style></head>\n<body><main>\n"
        "<header><div><h1>Cairn beside its peers</h1>\n"
        "<p>One thread, one query at a time, the same queries and truth, in turn on one core; "
        "medians of the rounds. Up and to the right is better.</p>\n"
        f'<p class="soft small">{html.escape(" - ".join(fact for fact in facts if fact))}</p>'
        "</div></header>\n"
        + "".join(render_set(*one) for one in sets)
        + "<footer><p>Speeds at a recall lie between measured points, along lines of the "
        "logarithm; &gt;= marks the speed of a curve that starts at a better recall, - one that "
        "ends before. RAM: what Cairn says of its index, by how much the process grew for the "
        "others.</p>"
        "<p>Made by <b>scripts/bench_peers.sh</b>.</p></footer>\n"
        f'</main><div id="tip" role="tooltip"></div>\n<script>{script}</script></body></html>\n'
    )
