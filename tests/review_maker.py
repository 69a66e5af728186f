"""A review folder of the built-in sound set, as `clean` would leave it.

    python tests/review_maker.py OUT [noisy clips a class]

The probabilities are drawn around the truth, more often right than wrong; the seconds are the loudest of each clip.
"""

import json
import sys
from pathlib import Path

import numpy as np

from earwitness import audio, corpus, layouts, recipe, synthetic, tables
from earwitness.reviewing import folder as review_folder


def write_review(out: Path, store: Path, truth: dict[str, set[str]] | None = None, *, seed: int = 0) -> Path:
    """Writes a review folder on the curated and noisy clips of a store; returns it."""
    opened = corpus.Store(store)
    names = opened.vocabulary.names
    rng = np.random.default_rng(seed)
    rows = []
    for clip in opened.clips:
        if clip.role == "test":
            continue
        true = truth.get(clip.fname, set(clip.labels)) if truth else set(clip.labels)
        heard = {name: float(1 / (1 + np.exp(-rng.normal(2.2 if name in true else -3.4, 1.4)))) for name in names}
        start, end = loudest_second(clip.path)
        for name in names:
            given = name in clip.labels
            if not given and heard[name] < 0.08:
                continue
            odds = heard[name] / (1 - heard[name]) * (3 if given else 0.6)
            probability = odds / (1 + odds)
            keep, drop = ("keep", "drop") if given else ("add", "unsure")
            verdict = keep if probability > 0.75 else drop if probability < 0.25 else "unsure"
            rows.append(
                (clip.fname, clip.role, name, int(given), verdict, f"{probability:.4f}", f"{heard[name]:.4f}",
                 f"{start:.2f}", f"{end:.2f}", clip.path)
            )  # fmt: skip
    tables.write_csv(out / "verdicts.csv", review_folder.COLUMNS, rows)
    summary = {
        "format": 1, "store": str(store.absolute()), "fingerprint": opened.fingerprint(), "classes": list(names)
    }  # fmt: skip
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    return out


def loudest_second(path: Path) -> tuple[float, float]:
    """Where a file is loudest, in seconds: the start and the end of about a second."""
    power = np.square(audio.read(path, sample_rate_hz=8_000))
    sums = np.convolve(power, np.ones(min(8_000, len(power))), mode="valid")
    start = int(sums.argmax())
    return start / 8_000, min(start + 8_000, len(power)) / 8_000


def main(out: Path, noisy_per_class: int = 12) -> None:
    sounds = out / "sounds"
    synthetic.write_dataset(sounds, curated_per_class=5, noisy_per_class=noisy_per_class, test_per_class=1, seed=7)
    corpus.prepare(layouts.read_dataset(sounds), out / "sounds.store", recipe.Features(), workers=1)
    rows = tables.read_rows(sounds / "train_noisy_truth.csv", ("fname", "true_labels"))
    truth = {row["fname"]: set(filter(None, row["true_labels"].split(","))) for row in rows}
    write_review(out / "review", out / "sounds.store", truth)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
