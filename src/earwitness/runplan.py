"""What a run is going to do, settled before its first step, and what it says of itself: head, remarks, model card."""

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import __version__, devices, recipe, stages
from .corpus import Store
from .errors import some_of
from .start import Start


@dataclass(frozen=True)
class RunPlan:
    """A store, a recipe and the fold held out; the clips and stages they come to, with a note for each change.

    knows_held_out: whether the first weights, those of `start`, may have learnt from the clips held out.
    """

    store: Store
    settings: recipe.Recipe
    fold: int | None
    split: stages.Split
    stages: tuple[stages.PlannedStage, ...]
    notes: tuple[str, ...]
    start: Start | None
    knows_held_out: bool

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def steps_before(self, stage_number: int) -> int:
        """Returns how many steps come before a stage."""
        return sum(stage.steps for stage in self.stages if stage.number < stage_number)

    def head(self, device: torch.device, *, processes: int) -> dict[str, Any]:
        """Returns what run.json says of the run."""
        return {
            "store": str(self.store.path.resolve()),
            "store_fingerprint": self.store.fingerprint(),
            "classes": list(self.store.vocabulary.names),
            "start_from": self._start_entry(),
            "fold": self.fold,
            "curated_clips": len(self.split.curated),
            "noisy_clips": len(self.split.noisy),
            "held_out_clips": len(self.split.held_out),
            "steps": {f"stage{stage.number}": stage.steps for stage in self.stages},
            "device": str(device),
            "processes": processes,
            "threads": torch.get_num_threads(),
            "versions": {
                "earwitness": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    def _start_entry(self) -> dict[str, str | bool] | None:
        """Returns where the first weights come from and what they know, as run.json has it; None for drawn ones."""
        if not self.start:
            return None
        return {
            "path": str(self.start.path),
            "digest": self.start.digest,
            "noisy": self.start.noisy,
            "curated": self.start.curated,
            "may_know_held_out": self.knows_held_out,
        }

    def remarks(self, device: torch.device) -> list[str]:
        """Returns what a user should know of stages, weights and clips before the run begins."""
        remarks = list(self.notes)
        if self.start:
            remarks.append(f"the first weights are those of {self.start.path}")
        if self.knows_held_out:
            remarks.append(
                "the first weights may have learnt from the clips held out: lwlrap along the way means little"
            )
        if slow := devices.remark(self.settings.training.precision, device):
            remarks.append(f"precision: {slow}")
        counts = self.store.labels[np.concatenate(self._learnt_from())].sum(axis=0)
        empty = [name for name, count in zip(self.store.vocabulary.names, counts, strict=True) if not count]
        if empty:
            remarks.append(f"no clip to learn from for {some_of(empty, 5)}: their scores will mean nothing")
        if self.store.moments.role != "noisy":
            remarks.append("no noisy clips: log-mels are normalised by the curated set")
        if self.fold is not None and not len(self.split.held_out):
            remarks.append("too few curated clips of different recordings to hold a fold out: no lwlrap along the way")
        return remarks

    def card(self, held_out: float | None) -> str:
        """Returns the model's README.md; `held_out` is the last lwlrap of the held-out fold, where there was one."""
        begun = ", from the weights of another run or model" if self.start else ""
        known = "" if held_out is None or self.knows_held_out else f"; held-out lwlrap {held_out:.4f}"
        steps = ", ".join(f"stage {stage.number}: {stage.steps} steps" for stage in self.stages)
        curated, noisy = self._learnt_from()
        return (
            "# An audio tagger trained by earwitness\n\n"
            f"{len(self.store.vocabulary)} classes; learnt from {len(curated)} curated and {len(noisy)} noisy "
            f"clips{begun}; {steps}{known}.\n\n"
            "    earwitness tag . some.wav --out scores.csv\n\n"
            "    from earwitness import Tagger\n"
            '    Tagger.load(".").tag("some.wav")\n'
        )

    def _learnt_from(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the rows of the curated and of the noisy clips that some stage learns from."""
        curated, noisy, _ = self.split
        if not any(stage.settings.curated for stage in self.stages):
            curated = curated[:0]
        if not any(stage.settings.hears_noisy for stage in self.stages):
            noisy = noisy[:0]
        return curated, noisy


def plan(store: Store, settings: recipe.Recipe, *, fold: int | None, start: Start | None, world: int) -> RunPlan:
    """Returns the plan of a run of `world` processes. RunError where there is no such fold, or nothing to train."""
    split = stages.split(store, fold)
    planned, notes = stages.plan(settings, split, world=world)
    noisy_kin = len(split.noisy) < len(store.rows("noisy"))
    knows = start is not None and start.may_know(store.fingerprint(), fold, noisy_kin=noisy_kin)
    return RunPlan(store, settings, fold, split, planned, tuple(notes), start, knows)
