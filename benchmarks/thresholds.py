"""From which scores on labels are best said to be there, if the scores are found on other clips.

    earwitness evaluate RUN/model STORE --out scores.csv
    python benchmarks/thresholds.py STORE scores.csv

Finds thresholds on so many of the test clips, drawn at random, and takes F1 on the others by them: the mean over
classes (those that some of these clips have) and that of all tags. Mean of 60 draws.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness import precision, tables
from earwitness.corpus import Store

DRAWS = 60
SHARES = (0.25, 0.5, 0.8)


def thresholds(present: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, NDArray[np.float64] | float]:
    """Returns the thresholds of each way, one or (classes,), found on clips (clips, classes)."""
    of_all, drawn = precision.best_scores(present, scores)
    own = np.array([precision.best_score(there, scored) for there, scored in zip(present.T, scores.T, strict=True)])
    return {
        "0.5": 0.5,
        "one for all classes": of_all,
        "each class's own": np.where(np.isnan(own), of_all, own),
        "own, drawn to that of all": drawn,
    }


def f1(present: NDArray[np.bool_], said: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns F1's mean over the classes that are there, and F1 over all tags."""
    right, of = (present & said).sum(axis=0), present.sum(axis=0) + said.sum(axis=0)
    there = present.any(axis=0)
    return float((2 * right / np.maximum(of, 1))[there].mean()), float(2 * right.sum() / of.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("scores", type=Path)
    options = parser.parse_args()
    store = Store(options.store)
    rows = store.rows("test")
    present = store.labels[rows] > 0
    fnames, scores, _ = tables.read_scores(options.scores, store.vocabulary)
    assert fnames == tuple(store.clips[row].fname for row in rows), "the scores are not those of the store's test clips"
    for share in SHARES:
        clips, rng = round(share * len(rows)), np.random.default_rng(0)
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(DRAWS):
            order = rng.permutation(len(rows))
            first, others = order[:clips], order[clips:]
            for way, least in thresholds(present[first], scores[first]).items():
                found.setdefault(way, []).append(f1(present[others], scores[others] >= least))
        for way, figures in found.items():
            of_classes, of_tags = np.mean(figures, axis=0)
            print(f"found on {clips} clips, {way}: F1 of classes {of_classes:.3f}, of all tags {of_tags:.3f}")


if __name__ == "__main__":
    main()
