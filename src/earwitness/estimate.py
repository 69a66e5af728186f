"""What it takes to train and use some systems on a dataset: time on this machine, and room on the disk.

It is an estimate: lengths of clips are taken from their headers, and time from one step of each network on a few
patches. Decoding and silence to be trimmed are left out.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from . import audio, checkpoint, corpus, logmel, patches, recipe, stages, tagging, windowed
from .dataset import Dataset
from .devices import in_bfloat16
from .errors import RunError
from .network import TeacherStudent

# A step forward and back takes three times the forward pass.
_FORWARD_AND_BACK = 3
# Two checkpoints are kept while a third is written; each has weights and two moments of Nadam.
_CHECKPOINTS, _PARTS_OF_A_CHECKPOINT = 3, 3
_BYTES_OF_A_WEIGHT = 4
# What fills stores, and the folders of runs.
_LOG_MELS, _WEIGHTS = "log_mels.f16", ".safetensors"
# Fewer bytes a second than any sound has: a header that promises more is not believed. And what mp3 often has.
_FEWEST_BYTES_A_SECOND, _USUAL_BYTES_A_SECOND = 1_000, 16_000


class System(NamedTuple):
    """A system to be trained, by its name and recipe."""

    name: str
    recipe: recipe.Recipe


@dataclass(frozen=True)
class SystemCost:
    """Steps of a system's training, seconds to train it and to tag the test clips, bytes of its run."""

    name: str
    steps: int
    training_seconds: float
    tagging_seconds: float
    run_bytes: int


@dataclass(frozen=True)
class Estimate:
    """What all systems take together; stores of the same features are one store."""

    systems: tuple[SystemCost, ...]
    stores: int
    store_bytes: int

    @property
    def seconds(self) -> float:
        """Seconds of training and tagging, one system after the other."""
        return sum(system.training_seconds + system.tagging_seconds for system in self.systems)

    @property
    def run_bytes(self) -> int:
        """Bytes of all runs."""
        return sum(system.run_bytes for system in self.systems)

    @property
    def bytes(self) -> int:
        """Bytes on the disk: stores and runs."""
        return self.store_bytes + self.run_bytes

    def as_json(self) -> dict[str, Any]:
        """What `estimate --json` writes."""
        return asdict(self) | {"seconds": self.seconds, "bytes": self.bytes}


def estimate(
    dataset: Dataset,
    systems: Sequence[System],
    *,
    device: torch.device,
    on_system: Callable[[], None] = lambda: None,
) -> Estimate:
    """Returns what training the systems on all of a dataset's clips takes; `on_system` is called after each."""
    lengths = {role: [seconds_of(clip.path) for clip in dataset.by_role(role)] for role in corpus.ROLES}
    classes = len(dataset.vocabulary)
    found: dict[str, SystemCost] = {}
    for system in systems:
        if system.name not in found:
            found[system.name] = _cost(system, lengths, classes, device)
        on_system()
    kinds = dict.fromkeys(system.recipe.features for system in systems)
    everything = [seconds for role in lengths.values() for seconds in role]
    return Estimate(
        tuple(found[system.name] for system in systems),
        len(kinds),
        sum(store_bytes(everything, features) for features in kinds),
    )


def refuse_too_little_room(needed: Estimate, out: Path, free: int) -> None:
    """Raises RunError where more bytes are needed than what is free at `out` and what is written in place of others.

    That is log-mels and weights of stores and runs that lie below `out`: no more of either than the systems take.
    """
    stores = sum(path.stat().st_size for path in out.rglob(_LOG_MELS))
    weights = chain.from_iterable(run.parent.glob(f"*/*{_WEIGHTS}") for run in out.rglob("run.json"))
    runs = sum(path.stat().st_size for path in weights)
    there = free + min(stores, needed.store_bytes) + min(runs, needed.run_bytes)
    if needed.bytes > there:
        raise RunError(
            f"{out}: {needed.bytes / 1e9:.1f} GB are needed there, and {there / 1e9:.1f} GB are to be had; "
            "make room, or choose another place"
        )


def seconds_of(path: Path) -> float:
    """Returns about how long a sound file lasts: as its header says, within reason, else by its size."""
    size = path.stat().st_size
    try:
        # Bytes, where the system has them: a name may hold some that are not text in any encoding.
        with audio.quiet_c_stderr:
            told = float(soundfile.info(os.fsencode(path) if os.name == "posix" else str(path)).duration)
    except (RuntimeError, OSError, TypeError):  # TypeError: a headerless .raw
        return size / _USUAL_BYTES_A_SECOND
    return min(told, size / _FEWEST_BYTES_A_SECOND)


def store_bytes(seconds: Iterable[float], features: recipe.Features) -> int:
    """Returns the bytes that clips of these lengths fill in a store: two for each band of each frame."""
    return sum(2 * features.mel_bands * frames for frames in _frames(seconds, features))


def passes_of_a_step(stage: recipe.Stage) -> int:
    """Returns how many patches a step sends through the network; forward and back counts as three.

    Report: Algorithm 1, where the noisy patches go through the teacher, then V' and U' through the network. A stage
    that is `shared` has no V', and labels that were made beforehand, or given, are asked of no teacher.
    """
    rows = stage.curated + stage.noisy
    if stage.method == "supervised":
        return _FORWARD_AND_BACK * rows
    asked = stage.noisy if stage.pseudo_labels in ("hard", "soft") else 0
    return asked + _FORWARD_AND_BACK * (rows + (0 if stage.shared else stage.curated))


def passes_to_relabel(stage: stages.PlannedStage, seconds: Iterable[float], settings: recipe.Recipe) -> int:
    """Returns how many patches the teacher hears in a stage to label whole noisy clips of these lengths.

    Windows lie one after the other (`relabelling.clip_scores`). A run that begins with this stage, and with drawn
    weights, labels them once less than that.
    """
    if stage.settings.method != "teacher-student" or stage.settings.pseudo_labels not in ("clip", "masked"):
        return 0
    times = -(-stage.steps // stage.settings.relabel_every_steps)
    windows = _windows(seconds, settings, hop=settings.patches.frames)
    return times * _directions(settings) * sum(len(starts) for starts in windows)


def passes_to_tag(
    seconds: Iterable[float], settings: recipe.Recipe, passes: Callable[[NDArray[np.int64]], float] = len
) -> float:
    """Returns how many patches go through the network to tag clips of these lengths. Report: section 2.7, Eq. 6.

    `passes` says what windows cost that begin at frames (n,), in patches: their number, if each goes by itself.
    """
    tagged = settings.tagging
    return _directions(settings) * sum(
        passes(starts) + len(starts) * tagging.extra_passes(len(starts)) * tagged.augment_short
        for starts in _windows(seconds, settings, hop=tagged.hop_frames)
    )


def _directions(settings: recipe.Recipe) -> int:
    return 2 if settings.augmentation.reversal else 1


def _windows(seconds: Iterable[float], settings: recipe.Recipe, *, hop: int) -> Iterator[NDArray[np.int64]]:
    """Yields where the windows of each clip begin, (n,) in frames."""
    for frames in _frames(seconds, settings.features):
        yield patches.window_starts(frames, frames=settings.patches.frames, hop=hop)


def _frames(seconds: Iterable[float], features: recipe.Features) -> list[int]:
    return [logmel.frames_of(int(each * features.sample_rate_hz), features.hop_length) for each in seconds]


def _cost(system: System, lengths: dict[str, list[float]], classes: int, device: torch.device) -> SystemCost:
    settings = system.recipe
    planned, _ = stages.plan(settings, stages.Split(_rows(lengths["curated"]), _rows(lengths["noisy"]), _rows([])))
    network, seconds = _timed(settings, classes, device)
    weights = sum(tensor.numel() for tensor in network.state_dict().values())
    learning = sum(
        stage.steps * passes_of_a_step(stage.settings) + passes_to_relabel(stage, lengths["noisy"], settings)
        for stage in planned
    )
    scorer = windowed.student_scorer(network, device, frames=settings.patches.frames)  # as `tag` does it
    return SystemCost(
        system.name,
        steps=sum(stage.steps for stage in planned),
        training_seconds=seconds * learning,
        tagging_seconds=seconds * passes_to_tag(lengths["test"], settings, scorer.passes),
        run_bytes=weights * _BYTES_OF_A_WEIGHT * (_CHECKPOINTS * _PARTS_OF_A_CHECKPOINT + 1),
    )


def _rows(lengths: Sequence[float]) -> NDArray[np.int64]:
    return np.arange(len(lengths), dtype=np.int64)


def _timed(settings: recipe.Recipe, classes: int, device: torch.device) -> tuple[TeacherStudent, float]:
    """Returns the network of a recipe, and the seconds that a patch takes through it."""
    mixed = in_bfloat16(settings.training.precision, device)
    network = checkpoint.new_network(settings, classes=classes, mixed_precision=mixed).on(device)
    rows = 64 if device.type == "cuda" else 2
    x = torch.zeros(rows, settings.patches.frames, settings.features.mel_bands, device=device)
    # The first pass is slow: it chooses its ways.
    return network, min(_seconds_of_step(network, x) for _ in range(2)) / (_FORWARD_AND_BACK * rows)


def _seconds_of_step(network: TeacherStudent, x: torch.Tensor) -> float:
    started = time.perf_counter()
    teacher, student = network(None, x)
    loss = teacher.logits.sum() + student.logits.sum()
    loss.backward()
    loss.item()
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started
