"""Writes a table of scores in which no clip's scores come from a training on it, for `earwitness clean TABLE STORE`.

    earwitness train STORE --out run0 --recipe laptop-curated-only --fold 0     # and so on to run4
    earwitness tag run0/model DATASET/train_curated DATASET/train_noisy --out heard0.csv
    python benchmarks/out_of_fold.py STORE heard0.csv heard1.csv heard2.csv heard3.csv heard4.csv --out scores.csv

A curated clip has the scores of the run that held its fold out, a noisy one the mean of all runs. Any other tagger that
is trained once for each fold makes such a table the same way.
"""

import argparse
from pathlib import Path

import numpy as np

from earwitness import tables
from earwitness.clipnames import named_as
from earwitness.corpus import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("heard", type=Path, nargs="+", help="by the run that held out fold 0, 1, ..")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    store = Store(options.store)
    rows = [row for row, clip in enumerate(store.clips) if clip.role != "test"]
    clips = [store.clips[row] for row in rows]
    found = []
    for path in options.heard:
        fnames, scores, _ = tables.read_scores(path, store.vocabulary)
        row_of = {fname: row for row, fname in enumerate(named_as(clips, fnames))}
        found.append(scores[[row_of[clip.fname] for clip in clips]])
    folds, by_run = store.folds[rows], np.stack(found)
    held_out = (folds[:, None] == np.arange(len(found))).astype(float)  # (clips, runs)
    weights = np.where(held_out.any(axis=1, keepdims=True), held_out, 1 / len(found))
    tables.write_scores(
        options.out, [clip.fname for clip in clips], np.einsum("cr,rck->ck", weights, by_run), store.vocabulary
    )


if __name__ == "__main__":
    main()
