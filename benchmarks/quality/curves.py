"""Draws docs/pictures/curves.png and its table in docs/results.md from the lines that run.py wrote by grid-curves.toml.

    cd benchmarks/quality/results
    python ../curves.py curves/esc-noisy.jsonl esc-noisy.jsonl

The second file has the same ways on all curated clips; of it the seeds that the first has count. A panel each, as far
as there are runs for it: lwlrap against the CPU minutes of a training, a line a width of the network; against the
number of curated clips; against the share of wrong labels among the noisy clips.
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

WAYS = {"curated only, two sounds at once": "tab:blue", "concatenated": "tab:green", "ours": "tab:orange"}
WIDTHS = {"0.125": ":", "0.25": "-", "0.5": "--"}
CURATED = {"": 395, "-half": 198, "-quarter": 99}
Point = tuple[float, float]


def way_of(line: Line) -> str | None:
    """Returns which of WAYS a line is of, at whatever width and length; None for another."""
    name = line["method"].partition(", network.width=")[0]
    return name if name in WAYS else None


def width_of(line: Line) -> str | None:
    """Returns the width that a line of the panel of cost says; None for those of other panels."""
    return next((change.split("=")[1] for change in line["set"] if change.startswith("network.width=")), None)


def variant_of(line: Line) -> str:
    """Returns what the store's name says after the benchmark's: "" or "-half", "-noise-20" ..."""
    return re.sub(r"^[^-]+", "", Path(line["store"]).stem)


def by_cost(lines: list[Line]) -> dict[tuple[str, str], list[Point]]:
    """Returns (CPU minutes, lwlrap) of every way and width."""
    found: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for line in lines:
        if width := width_of(line):
            found[way_of(line), width].append((line["train_cpu_minutes"], line["lwlrap"]))
    return found


def by_curated(lines: list[Line]) -> dict[tuple[str, str], list[Point]]:
    """Returns (curated clips, lwlrap) of every way at the width of the recipes, in all of the steps."""
    whole = [line for line in lines if line["set"][-1:] == ["network.width=0.25"] or width_of(line) is None]
    return by_number(whole, CURATED)


def by_noise(lines: list[Line]) -> dict[tuple[str, str], list[Point]]:
    """Returns (wrong labels of 100, lwlrap) of every way that learns from noisy labels."""
    return by_number(lines, {f"-noise-{share}": share for share in range(101)})


def by_number(lines: list[Line], numbers: dict[str, int]) -> dict[tuple[str, str], list[Point]]:
    found: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for line in lines:
        if (variant := variant_of(line)) in numbers:
            found[way_of(line), "0.25"].append((numbers[variant], line["lwlrap"]))
    return found


def draw(axes: Axes, found: dict[tuple[str, str], list[Point]], label: str) -> None:
    for (way, width), points in found.items():
        axes.plot(*zip(*sorted(points), strict=True), WIDTHS[width], color=WAYS[way], marker="o", markersize=4)
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def table(cost: dict[tuple[str, str], list[Point]], *others: dict[tuple[str, str], list[Point]]) -> str:
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


def read(paths: list[Path]) -> list[Line]:
    """Returns the lines that are of WAYS, of the seeds that the first file has."""
    first, *others = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths)
    seeds = {line["seed"] for line in first}
    return [line for lines in (first, *others) for line in lines if way_of(line) and line["seed"] in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    options = parser.parse_args()
    lines = read(options.results)
    panels = by_cost(lines), by_curated(lines), by_noise(lines)
    labels = ("CPU minutes of a training", "curated clips", "wrong labels among those of the noisy clips, %")
    shown = [(found, label) for found, label in zip(panels, labels, strict=True) if found]
    figure, places = plt.subplots(
        1, len(shown), figsize=(max(7, 4 * len(shown)), 4.5), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (found, label) in zip(places[0], shown, strict=True):
        draw(axes, found, label)
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
