"""Scores runs on pairs of curated clips that they never learnt from, laid over each other.

    python benchmarks/quality/mixtures.py RUN [RUN ...] --work FOLDER --results mixtures.jsonl

Clips of the fold that a run held out are drawn in pairs of different classes, one 5 dB softer to 5 dB louder than the
other, the shorter one repeated. A few dozen clips make 250 such pairs, the same for every run of a fold, and a harder
question: where lwlrap of the clips themselves stands at 0.85, it stands at 0.65 here. It says how well two sounds at
once are heard, and not how well sounds of new recordings are (docs/log.md). Each run appends a line; runs that have one
are not scored again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from earwitness import audio, tables
from earwitness.corpus import Store
from earwitness.lwlrap import lwlrap

PAIRS = 250
LOUDER_DB = 5.0
RATE_HZ = 32_000


def make(store: Store, fold: int, folder: Path) -> None:
    """Writes the pairs of a fold as sound files, and what is in them as truth.json."""
    rng = np.random.default_rng(fold)
    rows = [row for row in store.rows("curated") if store.folds[row] == fold]
    sounds = {row: audio.read(store.clips[row].path) for row in rows}
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, list[str]] = {}
    while len(truth) < PAIRS:
        one, other = rng.choice(rows, 2, replace=False)
        labels = [set(store.clips[row].labels) for row in (one, other)]
        if labels[0].isdisjoint(labels[1]):
            name = f"{len(truth):03d}.wav"
            soundfile.write(folder / name, laid_over(sounds[one], sounds[other], rng), RATE_HZ)
            truth[name] = sorted(labels[0] | labels[1])
    (folder / "truth.json").write_text(json.dumps(truth), "utf-8")


def laid_over(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns two waveforms as one, as long as the longer of them, the second up to 5 dB softer or louder."""
    length = max(len(one), len(other))
    one, other = np.resize(one, length), np.resize(other, length)
    level = 10 ** (rng.uniform(-LOUDER_DB, LOUDER_DB) / 20)
    total = one + other * level * np.sqrt((one**2).mean() / max((other**2).mean(), 1e-12))
    return np.asarray(total / max(1.0, np.abs(total).max()), np.float32)


def score(run: Path, work: Path) -> dict[str, object]:
    """Returns a run's line: lwlrap of the pairs, and of the clips themselves as the run noted it last."""
    head = json.loads((run / "run.json").read_text("utf-8"))
    store = Store(Path(head["store"]))
    folder = work / f"{store.path.stem}-{head['fold']}"
    if not (folder / "truth.json").is_file():
        make(store, head["fold"], folder)
    scored = work / f"{run.name}.csv"
    command = ["tag", run / "model", folder, "--out", scored, "--threads", 1, "--windows", "dense"]
    subprocess.run([sys.executable, "-m", "earwitness", *map(str, command)], check=True, stderr=subprocess.DEVNULL)
    names, scores, _ = tables.read_scores(scored, store.vocabulary)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    labels = store.vocabulary.encode_all([truth[Path(name).name] for name in names])
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    clips = [line["held_out_lwlrap"] for line in metrics if "held_out_lwlrap" in line]
    return {"run": run.name, "fold": head["fold"], "pairs": lwlrap(labels, scores).overall, "clips": clips[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    lines = options.results.read_text("utf-8").splitlines() if options.results.is_file() else []
    done = {json.loads(line)["run"] for line in lines}
    for run in options.runs:
        if run.name not in done:
            line = json.dumps(score(run, options.work))
            print(line, flush=True)
            with options.results.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")


if __name__ == "__main__":
    main()
