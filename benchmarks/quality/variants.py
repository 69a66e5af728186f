"""Writes variants of a benchmark dataset as CSVs of clips, for bounds and for other amounts and kinds of noise.

    python benchmarks/quality/variants.py DATASET OUT

DATASET has FSDKaggle2019's layout and train_noisy_truth_half.csv (fname,labels,true_labels,..), the true labels of a
part of the noisy clips. Each variant is OUT/NAME.csv, which `earwitness prepare` reads:

    oracle      that part with its true labels among the curated clips: what is there to win
    right       that part as noisy clips whose labels are all right
    random      all noisy clips with labels drawn from those of other noisy clips: worthless, but of the same frequency
    noise-20, noise-40, noise-60, noise-80
                that part with so many in a hundred of its true labels swapped for others
    half, quarter
                so much of the curated set, all noisy clips as they are
"""

import argparse
import csv
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.random import Generator

Rows = list[tuple[Path, str, str]]  # file, labels, split


def read(table: Path, folder: Path, split: str, column: str = "labels") -> Rows:
    """The rows of a clip list that have labels in a column."""
    with table.open(newline="", encoding="utf-8") as lines:
        found = [(folder / row["fname"], row[column], split) for row in csv.DictReader(lines)]
    return [row for row in found if row[1]]


def shuffled_labels(rng: Generator, rows: Rows) -> Rows:
    """The rows with each other's labels."""
    order = rng.permutation(len(rows))
    return [(path, rows[other][1], split) for (path, _, split), other in zip(rows, order, strict=True)]


def swapped(rng: Generator, rows: Rows, share: float, classes: list[str]) -> Rows:
    """The rows with a share of their single labels swapped for any other class."""

    def one(label: str) -> str:
        return str(rng.choice([each for each in classes if each != label])) if rng.random() < share else label

    return [(path, ",".join(dict.fromkeys(map(one, labels.split(",")))), split) for path, labels, split in rows]


def part(rng: Generator, rows: Rows, share: float) -> Rows:
    """A share of the rows, and at least one of each class's."""
    order = [rows[index] for index in rng.permutation(len(rows))]
    kept: Rows = []
    seen: set[str] = set()
    for row in order:
        if set(row[1].split(",")) - seen:
            kept.append(row)
            seen |= set(row[1].split(","))
    rest = [row for row in order if row not in kept]
    return kept + rest[: max(0, round(share * len(rows)) - len(kept))]


def variants(dataset: Path) -> dict[str, Callable[[], Rows]]:
    """Every variant by name, less the test clips, which all share."""
    curated = read(dataset / "train_curated.csv", dataset / "train_curated", "curated")
    noisy = read(dataset / "train_noisy.csv", dataset / "train_noisy", "noisy")
    true = read(dataset / "train_noisy_truth_half.csv", dataset / "train_noisy", "noisy", "true_labels")
    classes = sorted({label for _, labels, _ in curated for label in labels.split(",")})

    def rng() -> Generator:
        return np.random.default_rng(2019)

    found: dict[str, Callable[[], Rows]] = {
        "oracle": lambda: curated + [(path, labels, "curated") for path, labels, _ in true],
        "right": lambda: curated + true,
        "random": lambda: curated + shuffled_labels(rng(), noisy),
        "half": lambda: part(rng(), curated, 0.5) + noisy,
        "quarter": lambda: part(rng(), curated, 0.25) + noisy,
    }
    for percent in (20, 40, 60, 80):
        found[f"noise-{percent}"] = lambda share=percent / 100: curated + swapped(rng(), true, share, classes)
    return found


def write(path: Path, rows: Iterable[tuple[Path, str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("fname", "labels", "split"))
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    dataset = options.dataset.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    test = read(dataset / "test_post_competition.csv", dataset / "test", "test")
    for name, make in variants(dataset).items():
        write(options.out / f"{name}.csv", make() + test)
    shutil.copy(dataset / "vocabulary.csv", options.out)


if __name__ == "__main__":
    main()
