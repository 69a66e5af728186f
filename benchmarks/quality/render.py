"""Makes the tables and pictures of docs/results.md and docs/results-nadam.md from the lines that run.py wrote.

    python benchmarks/quality/render.py benchmarks/quality/results/*.jsonl
    python benchmarks/quality/render.py benchmarks/quality/results/nadam/*.jsonl --page docs/results-nadam.md

Every file has a table: each method's mean over seeds, its interval over test clips, and its difference on the same
clips from its bars: the curated clips alone, those with the augmentation that ours has, and ours; the report's two
stages where they are what is taken apart. What stands between the markers of a file is made anew, the rest of the page
is left alone.
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from earwitness import lwlrap

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
OURS = "ours"
WHOLE = "the report's two stages"
BARS = {  # and what the table calls them
    "curated only": "curated only", "curated only, two sounds at once": "curated only with two sounds at once",
    OURS: OURS, WHOLE: WHOLE,
}  # fmt: skip
COLOURS = {OURS: "tab:orange", WHOLE: "tab:orange", "true labels": "tab:green"}
RESAMPLES = 10_000
SETTINGS_SHOWN = 3
Line = dict[str, Any]


def sums(line: Line) -> lwlrap.Floats:
    return np.array(line["clip_sums"], np.float64)


def mean_sums(lines: list[Line]) -> lwlrap.Floats:
    """The clip sums of a method, their mean over its seeds."""
    return np.asarray(np.mean([sums(line) for line in lines], axis=0))


def interval(table: lwlrap.Floats) -> tuple[float, float, float]:
    """A method's lwlrap with its 95 % interval over clips: its difference from nothing."""
    return lwlrap.paired_bootstrap_of_sums(table, table * (1.0, 0.0), resamples=RESAMPLES)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a results file."""
    return rows([json.loads(line) for line in path.read_text("utf-8").splitlines()])


def rows(lines: list[Line]) -> list[dict[str, Any]]:
    """A row a method, best first."""
    methods: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        methods[line["method"]].append(line)
    bars = {bar: mean_sums(methods[bar]) for bar in BARS if bar in methods}
    found = []
    for method, runs in methods.items():
        table = mean_sums(runs)
        seeds = [line["lwlrap"] for line in runs]
        found.append(
            {
                "method": method, "runs": runs, "seeds": seeds, "lwlrap": interval(table),
                "differences": {
                    name: lwlrap.paired_bootstrap_of_sums(table, bar, resamples=RESAMPLES) for name, bar in bars.items()
                },
                "minutes": minutes(runs),
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: -row["lwlrap"][0])


def minutes(runs: list[Line]) -> str:
    """What a run took at the most, CPU minutes: in bfloat16 if one was made so, else in float32, which is said.

    Not on a GPU; and what a resumed run took before it was stopped is not known.
    """
    # Before it was noted, all runs were on CPUs that are fast in bfloat16.
    here = [line for line in runs if line.get("device", "cpu") == "cpu"]
    if here and all(line["resumed"] for line in here):
        return "not known"
    here = [line for line in here if not line["resumed"]]
    for arithmetic, remark in (("bfloat16", ""), ("float32", " in float32")):
        if found := [line["train_cpu_minutes"] for line in here if line.get("arithmetic", "bfloat16") == arithmetic]:
            return f"{max(found):.1f}{remark}"
    return "on a GPU"


def with_interval(triple: tuple[float, float, float], sign: str = "") -> str:
    value, low, high = triple
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def table(found: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    bars = list(found[0]["differences"])
    heads = ["method", "recipes", "lwlrap (95 %)", "each seed", *(f"over {BARS[bar]} (95 %)" for bar in bars)]
    lines = [f"| {' | '.join(heads)} | CPU minutes |", "|---" * (len(heads) + 1) + "|"]
    for row in found:
        first = row["runs"][0]
        changes = first["set"] if len(first["set"]) <= SETTINGS_SHOWN else []
        recipes = ", ".join(f"`{each}`" for each in [*first["recipes"], *changes])
        if len(changes) < len(first["set"]):
            recipes += f", {len(first['set'])} settings in the grid"
        seeds = " ".join(f"{value:.3f}" for value in row["seeds"])
        differences = [
            "" if row["method"] == bar else with_interval(difference, "+")
            for bar, difference in row["differences"].items()
        ]
        name = f"**{row['method']}**" if row["method"] in (OURS, WHOLE) else row["method"]
        cells = [name, recipes, with_interval(row["lwlrap"]), seeds, *differences, row["minutes"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: list[dict[str, Any]], path: Path, title: str) -> None:
    """Draws every method's mean with its interval, and a dot for each seed."""
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(found) + 1.2), layout="constrained")
    for place, row in enumerate(reversed(found)):
        value, low, high = row["lwlrap"]
        colour = COLOURS.get(row["method"], "tab:blue")
        axes.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.5)
        axes.plot(value, place, "o", color=colour)
        axes.plot(row["seeds"], [place] * len(row["seeds"]), "|", color="black", markersize=9)
    axes.set_yticks(range(len(found)), [row["method"] for row in reversed(found)])
    axes.set(xlabel="lwlrap: mean, 95 % interval over clips;\na stroke for each seed", title=title)
    axes.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def placed(text: str, name: str, made: str, page: Path) -> str:
    """Returns a page's text with what was made between the markers of that name. SystemExit where there are none."""
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{page}: no place for {name}; write <!-- {name} --> and <!-- /{name} --> into it")
    return marked.sub(lambda match: match[1] + made + match[2], text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args()
    page = options.page.read_text("utf-8")
    for path in options.results:
        name = path.stem
        found = read(path)
        picture = options.page.parent / "pictures" / f"{options.page.stem}-{name}.png"
        draw(found, picture, name)
        made = f"{table(found)}\n\n![{name}: every method's lwlrap](pictures/{picture.name})\n"
        page = placed(page, name, made, options.page)
    options.page.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
