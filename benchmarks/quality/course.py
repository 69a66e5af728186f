"""How a run's pseudo-labels come about: trains it, keeps its checkpoints, and holds the teacher's labels to the truth.

    python benchmarks/quality/course.py STORE TRUTH RUN --kept FOLDER --results results.jsonl --picture course.png \
        --recipe report --set network.width=0.25 --set network.input_pooling=2

Trains RUN on all clips (or goes on with it) and links each checkpoint into FOLDER before the run deletes it. Then, for
each of them: how many pseudo-labels Eq. 1 gives a patch of the noisy clips in TRUTH (`fname,true_labels`), how many of
those are right, how many of the true labels they hold, the score that is highest in a patch; and the lwlrap of both
heads on the test clips, in windows that touch. The truth and the test clips are only ever measured with. Checkpoints
that have a line in the results are not measured again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

from earwitness import checkpoint, logmel, lwlrap, patches, pseudolabels, recipe, relabelling, tables
from earwitness.corpus import Store
from earwitness.network import TeacherStudent

matplotlib.use("Agg")
from matplotlib import pyplot as plt

POLL_SECONDS = 2.0
CHUNK = 128
Line = dict[str, Any]


def train(options: argparse.Namespace) -> None:
    """Trains the run to its end, and links every checkpoint that it writes."""
    command = [sys.executable, "-m", "earwitness", "train", options.store, "--out", options.run, "--fold", "all"]
    if (options.run / "run.json").is_file():
        command += ["--resume"]
    for kind in ("recipe", "set"):
        for value in getattr(options, kind):
            command += [f"--{kind}", value]
    process = subprocess.Popen([*map(str, command), "--threads", "1"])
    while process.poll() is None:
        keep(options.run / "checkpoints", options.kept)
        try:
            process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    keep(options.run / "checkpoints", options.kept)
    if process.returncode:
        raise SystemExit(process.returncode)


def keep(folder: Path, kept: Path) -> None:
    """Links the checkpoints of a run, which are whole once they have their names, into another folder."""
    kept.mkdir(parents=True, exist_ok=True)
    for path in checkpoint.checkpoints(folder):
        if not (kept / path.name).exists():
            (kept / path.name).hardlink_to(path)


def windows_of(store: Store, row: int, frames: int) -> np.ndarray:
    """Returns a clip's windows that touch: (n, frames, mels), normalised."""
    normal = logmel.normalise(store.log_mel(row), store.moments.mean, store.moments.std)
    return np.asarray(patches.windows(normal, frames=frames, hop=frames), np.float32)


def in_chunks(head: Any, windows: np.ndarray) -> torch.Tensor:
    parts = [head(torch.from_numpy(windows[at : at + CHUNK])) for at in range(0, len(windows), CHUNK)]
    return torch.cat(parts)


def pseudo_figures(
    network: TeacherStudent, store: Store, truth: dict[int, np.ndarray], settings: recipe.Recipe
) -> Line:
    """Returns what Eq. 1 gives the patches of the noisy clips whose truth is known."""
    each = {row: windows_of(store, row, settings.patches.frames) for row in truth}
    logits = in_chunks(network.teacher_logits, np.concatenate(list(each.values())))
    fired = pseudolabels.pseudo_labels(logits, threshold=settings.stage2.threshold).numpy()
    true = np.concatenate([np.repeat(truth[row][None], len(windows), axis=0) for row, windows in each.items()])
    right = (fired[:, : true.shape[1]] * true).sum()
    return {
        "patches": len(true),
        "pseudo_labels_per_patch": float(fired.sum(axis=1).mean()),
        "precision": float(right / fired.sum()) if fired.any() else None,
        "recall": float(right / true.sum()),
        "highest_score": float(torch.sigmoid(logits).max(dim=1).values.mean()),
    }


def heads_lwlrap(network: TeacherStudent, store: Store, settings: recipe.Recipe) -> Line:
    """Returns the lwlrap of teacher and student on the test clips."""
    rows = store.rows("test")
    found = {}
    for name, head in (("teacher", network.teacher_logits), ("student", network.student_logits)):
        scores = relabelling.clip_scores(
            lambda windows, head=head: head(torch.from_numpy(windows)).numpy(), store, rows,
            frames=settings.patches.frames, classes=len(store.vocabulary), reversal=settings.augmentation.reversal,
        )  # fmt: skip
        found[f"{name}_lwlrap"] = lwlrap.lwlrap(store.labels[rows], scores).overall
    return found


def measure(options: argparse.Namespace) -> list[Line]:
    """Returns the lines of all kept checkpoints, and appends those that are new to the results."""
    store = Store(options.store)
    settings = recipe.load(options.run / "recipe.toml")
    said = {row["fname"]: row["true_labels"] for row in tables.read_rows(options.truth, ("fname", "true_labels"))}
    truth = {
        int(row): store.vocabulary.encode([name for name in said[store.clips[row].fname].split(",") if name])
        for row in store.rows("noisy")
        if store.clips[row].fname in said
    }
    old = options.results.read_text("utf-8").splitlines() if options.results.is_file() else []
    lines = {line["checkpoint"]: line for line in map(json.loads, old)}
    network = checkpoint.new_network(settings, classes=len(store.vocabulary)).on(torch.device("cpu"))
    first_stage = max(
        (checkpoint.place_of(path).step for path in checkpoint.checkpoints(options.kept) if path.name[5] == "1"),
        default=0,
    )
    for path in checkpoint.checkpoints(options.kept):
        if path.name in lines:
            continue
        checkpoint.restore(path, network)
        place = checkpoint.place_of(path)
        line = {"checkpoint": path.name, "stage": place.stage, "step": place.step + first_stage * (place.stage == 2)}
        line |= pseudo_figures(network, store, truth, settings) | heads_lwlrap(network, store, settings)
        lines[path.name] = line
        with options.results.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
    return sorted(lines.values(), key=lambda line: int(line["step"]))


def draw(lines: list[Line], path: Path) -> None:
    """Draws the course of the pseudo-labels above that of both heads' lwlrap."""
    steps = [line["step"] for line in lines]
    begun = max((line["step"] for line in lines if line["stage"] == 1), default=0)
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    for key, name in (
        ("pseudo_labels_per_patch", "pseudo-labels a patch"), ("precision", "of those, right"),
        ("recall", "of the true labels, among them"), ("highest_score", "highest score of a patch, mean"),
    ):  # fmt: skip
        above.plot(steps, [np.nan if line[key] is None else line[key] for line in lines], marker=".", label=name)
    for key in ("teacher", "student"):
        below.plot(
            steps, [line[f"{key}_lwlrap"] for line in lines], marker=".", label=f"{key}: lwlrap of the test clips"
        )
    for axes in (above, below):
        axes.axvline(begun, color="black", linewidth=0.8, linestyle=":")
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize="small")
    above.set_title("The report's two stages: stage 2 begins at the dotted line", fontsize="medium")
    below.set_xlabel("steps")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("store", "truth", "run"):
        parser.add_argument(name, type=Path)
    for name in ("kept", "results", "picture"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("recipe", "set"):
        parser.add_argument(f"--{name}", action="append", default=[])
    options = parser.parse_args()
    if not (options.run / "model" / "config.json").is_file():
        train(options)
    torch.set_num_threads(1)
    draw(measure(options), options.picture)


if __name__ == "__main__":
    main()
