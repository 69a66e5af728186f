"""What a run will do: which clips it learns from, and how many steps its stages have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earwitness import folds, recipe, stages
from earwitness.corpus import Store
from earwitness.errors import RunError


@pytest.fixture
def store(tiny_store: Path) -> Store:
    """The tiny store, opened for one test alone."""
    return Store(tiny_store)


def clips(curated: int, noisy: int) -> stages.Split:
    return stages.Split(np.arange(curated), np.arange(noisy), np.arange(0))


def test_folds_part_the_curated_set(store: Store) -> None:
    held_out = [stages.split(store, fold).held_out for fold in range(folds.FOLDS)]
    np.testing.assert_array_equal(np.sort(np.concatenate(held_out)), store.rows("curated"))
    for fold, rows in enumerate(held_out):
        learnt = stages.split(store, fold).curated
        assert not set(rows) & set(learnt) and len(rows) + len(learnt) == len(store.rows("curated"))
    assert len(stages.split(store, None).held_out) == 0


def test_noisy_kin_of_held_out_clips_are_not_learnt_from(store: Store) -> None:
    """Two noisy clips of the recording of a held-out clip, one of a learnt clip's: only the former are left out."""
    before = stages.split(store, 0)
    names = {before.held_out[0]: "x", before.curated[0]: "y"}
    names |= {before.noisy[1]: "x", before.noisy[3]: "x", before.noisy[5]: "y"}
    store.clips = tuple(
        replace(clip, recordings=(names[row],) if row in names else ()) for row, clip in enumerate(store.clips)
    )
    after = stages.split(store, 0)
    np.testing.assert_array_equal(after.noisy, np.delete(before.noisy, [1, 3]))
    np.testing.assert_array_equal(after.held_out, before.held_out)
    np.testing.assert_array_equal(stages.split(store, None).noisy, before.noisy)


def test_a_noisy_row_of_a_held_out_file_is_not_learnt_from(store: Store) -> None:
    before = stages.split(store, 0)
    held_out = store.clips[before.held_out[0]].path
    store.clips = tuple(
        replace(clip, path=held_out) if row == before.noisy[2] else clip for row, clip in enumerate(store.clips)
    )
    np.testing.assert_array_equal(stages.split(store, 0).noisy, np.delete(before.noisy, 2))


def test_a_fold_that_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(RunError, match="fold 5: there is none; give a number from 0 to 4, or all"):
        stages.split(store, 5)


def test_the_reports_stages_have_the_reports_steps() -> None:
    """Row 20: 19,815 noisy clips in batches of 64 are 310 steps an epoch; 100 and 300 epochs."""
    planned, notes = stages.plan(recipe.Recipe(), clips(4_970, 19_815))
    assert [(stage.number, stage.ramp_steps, stage.anneal_steps) for stage in planned] == [
        (1, 3_100, 27_900), (2, 4_650, 88_350)
    ]  # fmt: skip
    assert [stage.steps for stage in planned] == [31_000, 93_000] and not notes


def test_a_kind_of_clips_that_is_not_there_is_done_without() -> None:
    (second,), notes = stages.plan(recipe.Recipe(), clips(640, 0))
    assert (second.settings.curated, second.settings.noisy, second.settings.method) == (64, 0, "supervised")
    assert second.steps == 300 * 10 and len(notes) == 2
    first, second = stages.plan(recipe.Recipe(), clips(0, 640))[0]
    assert (second.settings.curated, second.settings.noisy) == (0, 64) and first.settings == recipe.Recipe().stage1


def test_a_stage_without_steps_is_left_out_and_none_at_all_refused() -> None:
    (only,), notes = stages.plan(recipe.load("after-warm-up"), clips(10, 58))
    assert only.number == 2 and not notes
    nothing = [f"{stage}.{length}=0" for stage in ("stage1", "stage2") for length in ("ramp_steps", "anneal_steps")]
    with pytest.raises(RunError, match="nothing to train: no stage has both steps and clips"):
        stages.plan(recipe.load(None, nothing), clips(10, 10))


def test_a_stage_whose_epochs_come_to_no_step_is_left_out_with_a_note() -> None:
    """Else the next stage would not be the first, and ask a teacher that has learnt nothing for labels."""
    settings = recipe.load(None, ["stage1.ramp_epochs=0.1", "stage1.anneal_epochs=0.2"])
    (only,), (note,) = stages.plan(settings, clips(12, 64))
    assert only.number == 2 and "stage 1 is left out" in note
