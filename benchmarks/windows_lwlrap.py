"""What do dense windows and bfloat16 do to the answers of a trained model? Not part of `make bench`: it needs one.

    python benchmarks/windows_lwlrap.py MODEL STORE [MODEL STORE ...]

Every test clip of the store is scored in each way. The difference of lwlrap has a 95 % interval by a paired bootstrap:
the same clips are drawn for both ways, 2,000 times.
"""

import harness
import numpy as np

WAYS = (
    ("exact", "float32"), ("exact", "bfloat16"), ("dense", "float32"), ("dense", "bfloat16"),
)  # fmt: skip
DRAWS = 2000


def main() -> None:
    given = harness.arguments(__doc__, model={"nargs": "+", "help": "model folders and stores, in turns"})
    harness.as_the_program()
    from pathlib import Path

    from earwitness import corpus, evaluation
    from earwitness.lwlrap import lwlrap
    from earwitness.tagging import Tagger

    rows = []
    for model, place in zip(given.model[::2], given.model[1::2], strict=True):
        store = corpus.Store(Path(place))
        found = {}
        for windows, precision in (("sliding", "float32"), *WAYS):
            tagger = Tagger.load(model, windows=windows, precision=precision, device="cpu")
            found[windows, precision] = evaluation.score_store(tagger, store)
        plain = found["sliding", "float32"]
        truth = store.vocabulary.encode_all([clip.labels for clip in plain.clips])
        base = lwlrap(truth, plain.scores).overall
        for way in WAYS:
            scores = found[way].scores
            low, high = interval(truth, scores, plain.scores, lwlrap)
            rows.append([
                Path(model).parent.name, len(truth), " ".join(way), lwlrap(truth, scores).overall,
                lwlrap(truth, scores).overall - base, f"{low:+.4f} to {high:+.4f}",
                float(np.abs(scores - plain.scores).max()),
            ])  # fmt: skip
    harness.report(
        "windows_lwlrap", given, rows=rows,
        columns=["model", "test clips", "windows", "lwlrap", "less sliding float32", "95 % interval",
                 "largest difference of a score"],
        note="The difference to sliding windows in float32, with a paired bootstrap interval over the test clips.",
    )  # fmt: skip


def interval(truth, scores, others, lwlrap) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(truth), len(truth))
        differences.append(lwlrap(truth[drawn], scores[drawn]).overall - lwlrap(truth[drawn], others[drawn]).overall)
    low, high = np.quantile(differences, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
