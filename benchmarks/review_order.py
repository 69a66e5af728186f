"""What the first decisions of a review put right, by the order in which clips come.

    python benchmarks/review_order.py REVIEW_FOLDER TRUTH.csv

A reviewer who answers by the truth (`fname,true_labels`; curated clips are taken to be labelled right, noisy clips that
are not in it are left out) hears the first clips of each order. Prints, as JSON, how many tags are then right that were
wrong as given, and how many that were wrong as proposed; for random order the mean and the 5th and 95th percentiles of
1000 draws.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness import tables
from earwitness.reviewing import folder as review_folder
from earwitness.serving.desk import ordered

FIRST = (25, 50, 100, 200)
DRAWS = 1000


def put_right(wrong: NDArray[np.int64], order: NDArray[np.int64]) -> list[int]:
    """Returns how many of `wrong` (clips,) tags are put right by the first clips of an order."""
    return [int(wrong[order[:count]].sum()) for count in FIRST]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("truth", type=Path)
    wanted = parser.parse_args()
    folder = review_folder.read(wanted.folder)
    rows = tables.read_rows(wanted.truth, ("fname", "true_labels"))
    truth = {row["fname"]: set(filter(None, row["true_labels"].split(","))) for row in rows}
    truth |= {clip.fname: set(clip.given) for clip in folder.clips if clip.role == "curated"}
    known = np.array([clip.fname in truth for clip in folder.clips])
    order = np.array(ordered(folder, "value"))
    order = order[known[order]]
    result: dict[str, object] = {"clips": len(order), "decisions": FIRST}
    rng = np.random.default_rng(0)
    draws = [rng.permutation(order) for _ in range(DRAWS)]
    for what in ("given", "proposed"):
        said = [getattr(clip, what) for clip in folder.clips]
        wrong = np.array(
            [len(set(labels) ^ truth.get(c.fname, set())) for c, labels in zip(folder.clips, said, strict=True)]
        )
        drawn = np.array([put_right(wrong, draw) for draw in draws])
        result[f"wrong as {what}"] = {
            "all": int(wrong[order].sum()),
            "value": put_right(wrong, order),
            "random": drawn.mean(axis=0).round(1).tolist(),
            "random, 5 to 95 %": np.percentile(drawn, (5, 95), axis=0).round().T.tolist(),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
