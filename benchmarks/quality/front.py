"""Draws the README's first picture from the lines that run.py wrote: what doubtful labels are worth, way by way.

    python benchmarks/quality/front.py

A panel a benchmark, a row a way of using the same clips, a colour a budget; mean over seeds and 95 % interval over
test clips, as in docs/results.md.
"""

from pathlib import Path
from typing import Any

import matplotlib
from render import ROOT, read

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

RESULTS = Path(__file__).resolve().parent / "results"
PANELS = {
    "esc-noisy": "1,822 unchecked clips, 70 % of their labels wrong",
    "esc-noisy-mild": "1,400 unchecked clips, 33 % of their labels wrong",
}
WAYS = {
    "curated only": "checked clips alone",
    "curated only, two sounds at once": "… with earwitness' augmentation",
    "filtered by cleanlab, then concatenated": "all clips but those cleanlab doubts *",
    "filtered by cleanlab, two sounds at once": "… with earwitness' augmentation *",
    "ours": "earwitness",
    "ours, again on its own cleaned labels": "… again, on labels it cleaned *",
}
BUDGETS = (  # of what files, in what colour, called what
    (("", "-again"), "tab:blue", "minutes: 2,000 steps; *: 2,000 more, for the run that hears the labels"),
    (("-hour",), "tab:orange", "an hour: 12,000 steps, by Nadam"),
)


def rows_of(name: str, suffixes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The rows of a benchmark's files by method; the first file that has a method tells of it."""
    paths = (RESULTS / f"{name}{suffix}.jsonl" for suffix in reversed(suffixes))
    return {row["method"]: row for path in paths if path.is_file() for row in read(path)}


def draw(axes: Axes, name: str) -> None:
    places = {method: place for place, method in enumerate(reversed(WAYS))}
    for number, (suffixes, colour, label) in enumerate(BUDGETS):
        found = rows_of(name, suffixes)
        for method, place in places.items():
            if method in found:
                value, low, high = found[method]["lwlrap"]
                shift = 0.14 - 0.28 * number
                axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=2, alpha=0.5)
                axes.plot(value, place + shift, "o", color=colour, label=label)
                axes.annotate(f"{value:.2f}", (high, place + shift), (4, 0), textcoords="offset points", va="center",
                              fontsize=8, color=colour)  # fmt: skip
                label = "_"  # once in the legend
    axes.set_yticks(list(places.values()), [WAYS[method] for method in places])
    axes.set(title=PANELS[name], xlabel="lwlrap on 400 test clips")
    axes.title.set_fontsize(10)
    axes.margins(x=0.13)
    axes.grid(alpha=0.3, axis="x")


def main() -> None:
    figure, panels = plt.subplots(1, len(PANELS), figsize=(10, 3.9), sharex=True, sharey=True, layout="constrained")
    for axes, name in zip(panels, PANELS, strict=True):
        draw(axes, name)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(ROOT / "docs" / "pictures" / "what-labels-are-worth.png", dpi=110)


if __name__ == "__main__":
    main()
