"""What a run will do: which clips it learns from, and its stages with their steps.

Report: section 2.6 and Table 2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import batches, corpus, recipe
from .errors import RunError
from .folds import FOLDS


class Split(NamedTuple):
    """Rows of the store: curated and noisy clips to learn from, curated clips held out."""

    curated: NDArray[np.int64]
    noisy: NDArray[np.int64]
    held_out: NDArray[np.int64]


class PlannedStage(NamedTuple):
    """A stage as it will be carried out: `number` 1 or 2, steps to ramp up, steps to anneal."""

    number: int
    settings: recipe.Stage
    ramp_steps: int
    anneal_steps: int

    @property
    def steps(self) -> int:
        return self.ramp_steps + self.anneal_steps


def split(store: corpus.Store, fold: int | None) -> Split:
    """Returns which clips to learn from and which to hold out: `fold` of the store's five, None for none.

    Noisy clips of a recording or a file that is held out are neither learnt from nor held out. RunError where there is
    no such fold.
    """
    if fold is not None and fold not in range(FOLDS):
        raise RunError(
            f"fold {fold}: there is none; give a number from 0 to {FOLDS - 1}, or all (in Python None) for none"
        )
    curated = store.rows("curated")
    held_out = store.folds[curated] == fold if fold is not None else np.zeros(len(curated), dtype=bool)
    unheard = {name for row in curated[held_out] for name in store.clips[row].sources}
    noisy = store.rows("noisy")
    kin = np.array([not unheard.isdisjoint(store.clips[row].sources) for row in noisy], dtype=bool)
    return Split(curated[~held_out], noisy[~kin], curated[held_out])


def plan(settings: recipe.Recipe, chosen: Split, *, world: int = 1) -> tuple[tuple[PlannedStage, ...], list[str]]:
    """Returns the stages to carry out, and a note for each that had to be changed for want of clips."""
    planned: list[PlannedStage] = []
    notes: list[str] = []
    for number, stage in enumerate(settings.stages, start=1):
        if stage.is_empty:
            continue
        possible = _possible(stage, curated=len(chosen.curated), noisy=len(chosen.noisy))
        if possible is None:
            notes.append(f"stage {number} is left out: the store has no clips of the kind it learns from")
            continue
        if possible != stage:
            notes.append(
                f"stage {number} learns from {'curated' if possible.curated else 'noisy'} clips alone, by their labels "
                "as given: the store has no others"
            )
        epoch = batches.steps_per_epoch(possible, curated=len(chosen.curated), noisy=len(chosen.noisy), world=world)
        lengths = possible.lengths(epoch)
        if not sum(lengths):
            notes.append(f"stage {number} is left out: its epochs, of {epoch} steps each, come to less than a step")
            continue
        planned.append(PlannedStage(number, possible, *lengths))
    if not planned:
        raise RunError("nothing to train: no stage has both steps and clips; see stage1 and stage2 in the recipe")
    return tuple(planned), notes


def _possible(stage: recipe.Stage, *, curated: int, noisy: int) -> recipe.Stage | None:
    """Returns the stage as far as the store has clips for it: one kind missing, the other kind alone; or None."""
    lacks_curated, lacks_noisy = stage.curated > 0 and not curated, stage.noisy > 0 and not noisy
    if not (lacks_curated or lacks_noisy):
        return stage
    rows = stage.curated + stage.noisy
    if lacks_curated and stage.noisy and noisy:
        return stage.model_copy(update={"method": "supervised", "curated": 0, "noisy": rows})
    if lacks_noisy and stage.curated and curated:
        return stage.model_copy(update={"method": "supervised", "curated": rows, "noisy": 0})
    return None
