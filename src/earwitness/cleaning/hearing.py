"""What both heads of a trained run hear in whole clips, and where in them: kept as it comes, so that work survives.

A clip is cut into windows that overlap by half. For each class the mean scores of teacher and student over the
windows are its scores. Where the evidence is strongest is found in the same pass: the backbone's maps are cut into
stretches of about a second, which the teacher judges one by one.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import calibration, checkpoint, corpus, devices, journal, logmel, patches, recipe, runfolder, start
from ..errors import RecipeError, RunError
from ..network import FRAME_STRIDE, TeacherStudent
from ..tagging import combine
from .ear import Floats, Heard

_CHUNK = 32
_STRETCH_SECONDS = 1.0
# A stretch belongs to the evidence while it scores at least this share of the best one.
_SHARE_OF_BEST = 0.5
# What run.json says of a run that is needed here.
_KINDS = {"classes": list, "finished": bool, "fold": int | None, "store_fingerprint": str}


@dataclass(frozen=True)
class Run:
    """A finished run, opened: its network with both heads, its recipe, the digest of its weights.

    `fold` is the fifth of this store's curated clips that it never learnt from; None where there is none, or where the
    run learnt from another store, of whose clips nothing is known here, or began with weights that may know that fifth.
    `given_right` is the share of given noisy labels that it found to be right before it learnt from them, where it had
    weighed them.
    `noisy_before` tells whether the weights that it began with had learnt from noisy clips.
    `mean` and `std` (bands,) dB are what its patches were normalised by; another store's moments would be others.
    """

    folder: Path
    settings: recipe.Recipe
    network: TeacherStudent
    digest: str
    fold: int | None
    same_store: bool
    given_right: float | None
    noisy_before: bool
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @property
    def place(self) -> Path:
        """Where the run lies."""
        return self.folder

    @property
    def loss_slope(self) -> float:
        """By how much its loss's best scores are nearer to one half than the posterior, in log-odds."""
        return calibration.slope_of_loss(self.settings.loss.kind, self.settings.loss.focal_gamma)

    @property
    def learnt_noisy(self) -> bool:
        """Whether the run learnt from noisy clips, by whatever labels, or began with weights that did."""
        return self.noisy_before or any(stage.hears_noisy for stage in self.settings.stages)

    @property
    def where_deaf(self) -> str:
        """That it has learnt too little."""
        return "train longer"

    @property
    def remarks(self) -> tuple[str, ...]:
        """That it learnt from another store, where it did."""
        if self.same_store:
            return ()
        return (f"{self.folder}: learnt from another store, so none of its clips count as held out",)

    def never_learnt(self, folds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which curated clips, by their folds (clips,), are of the fold that it held out."""
        return folds == self.fold if self.fold is not None else np.zeros(len(folds), bool)

    def hear(
        self, store: corpus.Store, rows: NDArray[np.int64], keep: Path, on_clip: Callable[[], None] = lambda: None
    ) -> Heard:
        """Returns what both heads hear in the clips at `rows`; what its journal in `keep` has is not heard again."""
        return _hear(self, store, rows, keep / f"{self.digest}.jsonl", on_clip)


def open_run(folder: str | Path, store: corpus.Store) -> Run:
    """Opens a finished run for a store. RunError for what is no run, is not finished, or knows other classes."""
    folder = Path(folder)
    head = _head(folder)
    try:
        settings = recipe.load(folder / "recipe.toml")
        different = start.other_classes(head["classes"], store.vocabulary.names)
    except (OSError, RecipeError) as error:
        raise RunError(f"{folder}: damaged ({error}); give another run") from None
    if different:
        raise RunError(f"{folder}: does not fit {store.path}: {'; '.join(different)}; give the store it learnt from")
    corpus.refuse_other_features(store.path, store.features, settings.features)
    newest = checkpoint.checkpoints(folder / "checkpoints")[-1:]
    if not head["finished"] or not newest:
        raise RunError(f"{folder}: the run is not finished; go on with `earwitness train --resume`, or give another")
    network = checkpoint.new_network(settings, classes=len(store.vocabulary))
    checkpoint.restore(newest[0], network, None)
    with newest[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    same, fold = head["store_fingerprint"] == store.fingerprint(), head["fold"]
    before = head["start_from"] if isinstance(head.get("start_from"), dict) else {}
    given_right = _given_right(settings, folder, newest[0]) if same and not before.get("noisy") else None
    blind = fold if same and not before.get("may_know_held_out") else None
    network = network.on(devices.best()).eval()
    config = checkpoint.load_config(folder / "model")
    return Run(
        folder, settings, network, digest, blind, same, given_right, bool(before.get("noisy")), config.mean, config.std
    )


def _given_right(settings: recipe.Recipe, folder: Path, newest: Path) -> float | None:
    """Returns what share of given noisy labels a run found to be right; None where it did not weigh them.

    When it first weighed them: later it had learnt from them, and believes them the more. None as well where it had
    learnt from them in an earlier stage.
    """
    *before, stage = settings.stages[: checkpoint.place_of(newest).stage]  # up to the last that had steps
    if stage.method != "teacher-student" or stage.pseudo_labels != "clip" or stage.believe == "heard":
        return None
    if any(earlier.hears_noisy for earlier in before):
        return None
    try:
        told = [line.get("given_labels_right") for line in runfolder.read_metrics(folder)]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{folder}/metrics.jsonl: damaged ({error}); give another run") from None
    return next((share for share in told if share is not None), None)


def _hear(run: Run, store: corpus.Store, rows: NDArray[np.int64], keep: Path, on_clip: Callable[[], None]) -> Heard:
    """Returns what a run hears, kept in the journal `keep`. Evidence is the teacher's, features are the backbone's."""
    classes = len(store.vocabulary)
    tie = f"{run.digest} {store.fingerprint()}"
    busy = RunError(f"{keep}: another `earwitness clean` is writing there; give another --out")
    table = np.empty((len(rows), 4 * classes + run.network.backbone.features), np.float32)
    with journal.opened(keep, tie, busy=busy) as kept:
        for place, row in enumerate(rows):
            # What is in the table is let go of: there is no second copy of all that was heard.
            values = kept.done.pop(str(row), None)
            if values is None or len(values) != table.shape[1]:  # not kept, or damaged
                values = _hear_clip(run, store, int(row))
                kept.add(str(row), values)
            table[place] = values
            on_clip()
    teacher, student, first, end, features = np.split(table, np.arange(1, 5) * classes, axis=1)
    return Heard((teacher, student), features, first, end)


def _head(folder: Path) -> dict[str, Any]:
    """Returns a run's run.json, or says what the folder is instead."""
    try:
        head = json.loads((folder / "run.json").read_text("utf-8"))
        if isinstance(head, dict):
            wrong = [key for key, kind in _KINDS.items() if not isinstance(head.get(key, ...), kind)]
            if wrong or not all(isinstance(name, str) for name in head["classes"]):
                raise RunError(f"{folder}/run.json: damaged ({', '.join(wrong) or 'classes'}); give another run")
            return head
    except (FileNotFoundError, NotADirectoryError):
        if (folder / "config.json").is_file():
            raise RunError(
                f"{folder}: a shipped model, which has no teacher; give the folder of the run it came from"
            ) from None
        raise RunError(f"{folder}: not a run, it has no run.json; make one with `earwitness train`") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder}/run.json: not readable ({error}); give another run") from None
    raise RunError(f"{folder}/run.json: damaged; give another run")


def _hear_clip(run: Run, store: corpus.Store, row: int) -> Floats:
    """Returns teacher's and student's scores, first and end frames (classes each), then features, as one row."""
    size, classes = run.settings.patches.frames, len(store.vocabulary)
    normal = logmel.normalise(store.read_log_mel(row), run.mean, run.std)
    starts = patches.window_starts(len(normal), frames=size, hop=size // 2)
    parts, stretches, places = [], [], []
    for at in range(0, len(starts), _CHUNK):
        chunk = starts[at : at + _CHUNK]
        windows = np.stack([patches.apply_crop(normal, begin, frames=size) for begin in chunk]).astype(np.float32)
        scores, stretch, offsets = _judged(run, windows, classes)
        parts.append(scores)
        stretches.append(stretch.reshape(-1, classes))
        places.append((np.array(chunk)[:, None] + offsets).ravel())
    scores = np.concatenate(parts).mean(axis=0)
    length = _stretch_columns(run) * _column_frames(run)
    first, end = _evidence(np.concatenate(stretches), np.concatenate(places), length, len(normal))
    return np.concatenate([scores[: 2 * classes], first, end, scores[2 * classes :]]).astype(np.float32)


def _judged(run: Run, windows: Floats, classes: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Returns windows' scores of both heads and features (n, 2 classes + k), their stretches' logits by the teacher
    (n, stretches, classes), and where the stretches begin in a window, in frames."""
    network, reversal = run.network, run.settings.augmentation.reversal
    device = next(network.parameters()).device
    with torch.no_grad():
        maps = network.backbone.maps(torch.from_numpy(windows).to(device))
        features = network.backbone.summarise(maps).float()
        backward = None
        if reversal:
            backward = network.embed(torch.from_numpy(np.ascontiguousarray(windows[:, ::-1])).to(device))
        heads = [
            combine(_numpy(head.logits(features)), None if backward is None else _numpy(head.logits(backward)),
                    classes=classes)
            for head in (network.teacher, network.student)
        ]  # fmt: skip
        width = _stretch_columns(run)
        begins = list(range(0, maps.shape[2] - width + 1, max(1, width // 2)))
        pieces = [network.backbone.summarise(maps[:, :, begin : begin + width]).float() for begin in begins]
        stretches = np.stack([_numpy(network.teacher.logits(piece))[:, :classes] for piece in pieces], axis=1)
    offsets = np.array(begins, np.int64) * _column_frames(run)
    return np.hstack([*heads, _numpy(features)]), stretches, offsets


def _evidence(
    logits: Floats, places: NDArray[np.int64], length: int, frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns first and end frame (classes,) of the best stretch of each class, with its neighbours that score nearly
    as well. Stretches (n, classes) begin at `places`; those in a short clip's repetitions fold back into it."""
    begins, group = np.unique(np.minimum(places % frames, max(frames - length, 0)), return_inverse=True)
    scores = np.zeros((len(begins), logits.shape[1]))
    np.maximum.at(scores, group, 1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
    best = scores.argmax(axis=0)
    good = scores >= _SHARE_OF_BEST * scores.max(axis=0)
    order = np.arange(len(begins))[:, None]
    columns = np.arange(logits.shape[1])
    before = np.maximum.accumulate(np.where(good, -1, order), axis=0)[best, columns] + 1
    after = np.minimum.accumulate(np.where(good, len(begins), order)[::-1], axis=0)[::-1][best, columns] - 1
    return begins[before], np.minimum(begins[after] + length, frames)


def _column_frames(run: Run) -> int:
    """Returns how many frames a column of the backbone's maps stands for."""
    frames: int = FRAME_STRIDE * run.settings.network.input_pooling
    return frames


def _stretch_columns(run: Run) -> int:
    features = run.settings.features
    frames = _STRETCH_SECONDS * features.sample_rate_hz / features.hop_length
    columns: int = run.settings.patches.frames // _column_frames(run)
    return int(max(1, min(columns, round(frames / _column_frames(run)))))


def _numpy(tensor: torch.Tensor) -> Floats:
    return np.asarray(tensor.float().cpu())
