"""Draws docs/pictures/curves.png and its table in docs/results.md from the lines that run.py wrote by grid-curves.toml.

    cd benchmarks/quality/results
    python ../curves.py curves/esc-noisy.jsonl esc-noisy.jsonl

The second file has the same ways on all curated clips; of it count the seeds that the first has, and the ways that it
lacks there. A panel each: lwlrap against the CPU minutes of a training, a line a width of the network, by the first
file alone, as minutes are those of one machine; against the number of curated clips; against the share of wrong
labels among the noisy clips.
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import matplotlib
from render import ROOT, Line, placed

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

WAYS = {
    "curated only, two sounds at once": "tab:blue", "concatenated": "tab:green", "the report, literal": "tab:red",
    "ours": "tab:orange",
}  # fmt: skip
WIDTHS = {"0.125": ":", "0.25": "-", "0.5": "--"}
CURATED = {"": 395, "-half": 198, "-quarter": 99}
Point = tuple[float, float]
Series = tuple[str | None, str]  # a way, a width


def way_of(line: Line) -> str | None:
    """Returns which of WAYS a line is of, at whatever width and length; None for another."""
    name = line["method"].partition(", network.width=")[0]
    return name if name in WAYS else None


def width_of(line: Line) -> str:
    """Returns the network's width, as the line says or as the recipes have it."""
    return next((change.split("=")[1] for change in line["set"] if change.startswith("network.width=")), "0.25")


def steps_of(line: Line) -> tuple[str, ...]:
    """Returns the settings of a line that say how many steps; none where they are the recipe's."""
    return tuple(change for change in line["set"] if "steps=" in change)


def variant_of(line: Line) -> str:
    """Returns what the store's name says after the benchmark's: "" or "-half", "-noise-20" ..."""
    return re.sub(r"^[^-]+", "", Path(line["store"]).stem)


def by_cost(lines: list[Line]) -> dict[Series, list[Point]]:
    """Returns (CPU minutes, lwlrap) of every way and width, on all clips."""
    found: dict[Series, list[Point]] = defaultdict(list)
    for line in lines:
        if variant_of(line) == "":
            found[way_of(line), width_of(line)].append((line["train_cpu_minutes"], line["lwlrap"]))
    return found


def by_curated(lines: list[Line]) -> dict[Series, list[Point]]:
    """Returns (curated clips, lwlrap) of every way with fewer of them, at the width and in the steps of the recipes."""
    whole = [line for line in lines if not steps_of(line) and width_of(line) == "0.25"]
    fewer = {way_of(line) for line in whole if variant_of(line) in CURATED.keys() - {""}}
    return by_number([line for line in whole if way_of(line) in fewer], CURATED)


def by_noise(lines: list[Line]) -> dict[Series, list[Point]]:
    """Returns (wrong labels of 100, lwlrap) of every way that learns from noisy labels."""
    return by_number(lines, {f"-noise-{share}": share for share in range(101)})


def by_number(lines: list[Line], numbers: dict[str, int]) -> dict[Series, list[Point]]:
    found: dict[Series, list[Point]] = defaultdict(list)
    for line in lines:
        if (variant := variant_of(line)) in numbers:
            found[way_of(line), "0.25"].append((numbers[variant], line["lwlrap"]))
    return found


def draw(axes: Axes, found: dict[Series, list[Point]], label: str) -> None:
    for (way, width), points in found.items():
        axes.plot(*zip(*sorted(points), strict=True), WIDTHS[width], color=WAYS[way], marker="o", markersize=4)
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def table(cost: dict[Series, list[Point]], *others: dict[Series, list[Point]]) -> str:
    """The points of all panels as Markdown."""
    rows = [
        (way, f"width {width}", f"{x:.1f} CPU minutes", y)
        for (way, width), points in cost.items()
        for x, y in sorted(points)
    ]
    for found, unit in zip(others, ("curated clips", "% of the labels wrong"), strict=True):
        rows += [(way, unit, f"{x:g}", y) for (way, _), points in found.items() for x, y in sorted(points)]
    lines = [f"| {way} | {what} | {x} | {y:.3f} |" for way, what, x, y in rows]
    return "\n".join(["| way | of | at | lwlrap |", "|---|---|---|---|", *lines])


def read(first: Path, other: Path) -> tuple[list[Line], list[Line]]:
    """Returns the lines of the first file that are of WAYS, and these with those of the other that they lack."""
    ours, theirs = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in (first, other))
    ours = [line for line in ours if way_of(line)]
    had = {key(line) for line in ours}
    seeds = {line["seed"] for line in ours}
    more = [line for line in theirs if way_of(line) and line["seed"] in seeds and key(line) not in had]
    return ours, ours + more


def key(line: Line) -> tuple[str | None, str, str, tuple[str, ...]]:
    """Returns what was run on what: the way, the variant of the labels, the width, the numbers of steps."""
    return way_of(line), variant_of(line), width_of(line), steps_of(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs=2)
    options = parser.parse_args()
    ours, lines = read(*options.results)
    panels = by_cost(ours), by_curated(lines), by_noise(lines)
    labels = ("CPU minutes of a training", "curated clips", "wrong labels among those of the noisy clips, %")
    shown = [(found, label) for found, label in zip(panels, labels, strict=True) if found]
    figure, places = plt.subplots(
        1, len(shown), figsize=(max(7, 4 * len(shown)), 4.5), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (found, label) in zip(places[0], shown, strict=True):
        draw(axes, found, label)
        if found is panels[0]:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
    places[0][0].set_ylabel("lwlrap on the test clips, one seed")
    handles = [plt.Line2D([], [], color=colour, label=way) for way, colour in WAYS.items()]
    widths = {width for found in panels for _, width in found}
    if len(widths) > 1:
        handles += [plt.Line2D([], [], color="grey", linestyle=WIDTHS[w], label=f"width {w}") for w in sorted(widths)]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(ROOT / "docs" / "pictures" / "curves.png", dpi=110)
    page = ROOT / "docs" / "results.md"
    made = f"{table(*panels)}\n\n![lwlrap against minutes, curated clips, wrong labels](pictures/curves.png)\n"
    page.write_text(placed(page.read_text("utf-8"), "curves", made, page), "utf-8")


if __name__ == "__main__":
    main()
