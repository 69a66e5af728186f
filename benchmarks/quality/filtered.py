"""Writes a clip list without the noisy clips that cleanlab takes for wrongly labelled: filter, then train as usual.

    earwitness tag RUN/model DATASET/train_noisy --out heard.csv
    python benchmarks/quality/filtered.py DATASET heard.csv filtered.csv
    earwitness prepare filtered.csv --out filtered.store

DATASET has FSDKaggle2019's layout. RUN learnt from the curated clips alone, so that its scores of noisy clips are out
of fold. cleanlab's own default for several labels a clip decides which clips go. Needs the extra `clean`.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from cleanlab.multilabel_classification.filter import find_label_issues
from variants import Rows, read, write

from earwitness import tables


def filtered(noisy: Rows, names: tuple[str, ...], scores: np.ndarray, classes: tuple[str, ...]) -> Rows:
    """The noisy rows that cleanlab finds no fault with; scores (clips, classes) in the order of `names`."""
    place = {name: index for index, name in enumerate(names)}
    number = {name: index for index, name in enumerate(classes)}
    heard = [row for row in noisy if row[0].name in place]
    given = [[number[label] for label in labels.split(",")] for _, labels, _ in heard]
    faulty = find_label_issues(given, scores[[place[row[0].name] for row in heard]])
    return [row for row, wrong in zip(heard, faulty, strict=True) if not wrong]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("heard", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    dataset = options.dataset.resolve()
    names, scores, classes = tables.read_scores(options.heard)
    noisy = read(dataset / "train_noisy.csv", dataset / "train_noisy", "noisy")
    kept = filtered(noisy, names, scores, classes)
    curated = read(dataset / "train_curated.csv", dataset / "train_curated", "curated")
    test = read(dataset / "test_post_competition.csv", dataset / "test", "test")
    write(options.out, curated + kept + test)
    shutil.copy(dataset / "vocabulary.csv", options.out.parent)
    print(f"{len(kept)} of {len(noisy)} noisy clips kept")


if __name__ == "__main__":
    main()
