"""Batch k as a pure function of (seed, stage, k, rank)."""

from pathlib import Path

import numpy as np
import pytest

from earwitness import batches, logmel
from earwitness.corpus import Store
from earwitness.recipe import Stage


@pytest.fixture
def store(tiny_store: Path) -> Store:
    """The tiny store, opened for one test alone."""
    return Store(tiny_store)


STAGE = Stage(method="teacher-student", curated=2, noisy=3)


def feed(store: Store, **changes: object) -> batches.Batches:
    settings: dict[str, object] = {
        "curated": store.rows("curated"), "noisy": store.rows("noisy"), "stage": STAGE, "stage_number": 2,
        "frames": 64, "seed": 7,
    }  # fmt: skip
    return batches.Batches(store, **(settings | changes))  # type: ignore[arg-type]


def test_a_batch_does_not_depend_on_those_before_it(store: Store) -> None:
    forwards = feed(store)
    in_order = [forwards(step) for step in range(6)]
    alone = feed(store)(5)
    for mine, theirs in zip(in_order[5][:4], alone[:4], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert in_order[5].rng.random() == alone.rng.random()


@pytest.mark.parametrize("change", [{"seed": 8}, {"stage_number": 1}, {"rank": 1, "world": 2}])
def test_seed_stage_and_rank_change_it(store: Store, change: dict[str, int]) -> None:
    assert not np.array_equal(feed(store)(0).w, feed(store, **change)(0).w)


def test_every_pass_holds_every_clip_once(store: Store) -> None:
    noisy = store.rows("noisy")
    source = feed(store)
    drawn = np.concatenate([source(step).w_rows for step in range(2 * len(noisy))])
    passes = drawn.reshape(-1, len(noisy))
    np.testing.assert_array_equal(np.sort(passes, axis=1), np.tile(np.sort(noisy), (6, 1)))
    assert not np.array_equal(passes[0], passes[1])


def test_two_processes_share_a_pass(store: Store) -> None:
    noisy = store.rows("noisy")
    one = feed(store)
    halves = [feed(store, rank=rank, world=2) for rank in range(2)]
    together = np.concatenate([half(step).w_rows for step in range(len(noisy)) for half in halves])
    alone = np.concatenate([one(step).w_rows for step in range(2 * len(noisy))])
    np.testing.assert_array_equal(together, alone)


def test_patches_are_normalised_stretches_of_their_clips(store: Store) -> None:
    batch = feed(store)(3)
    assert batch.v.shape == (2, 64, 128) and batch.w.shape == (3, 64, 128)
    np.testing.assert_array_equal(batch.y_w, store.labels[batch.w_rows])
    for patch, row in zip(batch.w, batch.w_rows, strict=True):
        normal = logmel.normalise(store.log_mel(int(row)), store.moments.mean, store.moments.std)
        first = np.flatnonzero((normal == patch[0]).all(axis=1))
        assert any(np.array_equal(patch[: len(normal) - start], normal[start : start + 64]) for start in first)


@pytest.mark.parametrize(
    ("stage", "curated", "noisy", "world", "steps"),
    [
        (Stage(), 4970, 19815, 1, 310),  # row 20: one pass over the noisy set in batches of 64
        (Stage(method="teacher-student", curated=6, noisy=58), 4970, 19815, 1, 310),
        (Stage(curated=64, noisy=0), 4970, 19815, 1, 78),
        (Stage(), 4970, 19815, 4, 78),
        (Stage(), 0, 3, 1, 1),
    ],
)
def test_an_epoch_is_a_pass_over_the_noisy_set(stage: Stage, curated: int, noisy: int, world: int, steps: int) -> None:
    assert batches.steps_per_epoch(stage, curated=curated, noisy=noisy, world=world) == steps
