"""Batches of random patches from a store: batch k is a pure function of (seed, stage, k, rank).

Report: section 2.2. Nothing has to be remembered to go on where a run stopped: the same k gives the same batch.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from . import logmel, patches
from .corpus import Store
from .recipe import Stage

# What a random stream is for; part of its key, so that no two streams are ever the same.
_ORDER, _BATCH = 0, 1


class Batch(NamedTuple):
    """One step's raw rows and the chance for all that is drawn after them.

    v (N_V, frames, bands) and w (N_W, frames, bands) float32 normalised; y_v and y_w (n, classes) as given;
    `v_rows` and `w_rows` are the clips' rows in the store.
    """

    v: NDArray[np.float32]
    y_v: NDArray[np.float32]
    w: NDArray[np.float32]
    y_w: NDArray[np.float32]
    rng: Generator
    v_rows: NDArray[np.int64]
    w_rows: NDArray[np.int64]


class Batches:
    """The batches of one stage; call it with a step to get that step's batch.

    `curated` and `noisy` are rows of the store. Each set is gone through in passes, every pass in an order of its
    own, independently of the other. With several processes (`world`), each takes its share of every pass.
    """

    def __init__(
        self,
        store: Store,
        *,
        curated: NDArray[np.int64],
        noisy: NDArray[np.int64],
        stage: Stage,
        stage_number: int,
        frames: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._store, self._frames = store, frames
        self._seed, self._stage_number = seed, stage_number
        self._rank, self._world = rank, world
        self._curated = _Passes(curated, stage.curated, seed=seed, key=(stage_number, 0))
        self._noisy = _Passes(noisy, stage.noisy, seed=seed, key=(stage_number, 1))

    def __call__(self, step: int) -> Batch:
        """Returns batch `step` (from 0) of this process."""
        rng = _generator(self._seed, _BATCH, self._stage_number, step, self._rank)
        position = step * self._world + self._rank
        v_rows, w_rows = self._curated(position), self._noisy(position)
        v, w = self._patches(v_rows, rng), self._patches(w_rows, rng)
        labels = self._store.labels
        return Batch(v, labels[v_rows], w, labels[w_rows], rng, v_rows, w_rows)

    def _patches(self, rows: NDArray[np.int64], rng: Generator) -> NDArray[np.float32]:
        """Returns a random patch of each clip, normalised: (rows, frames, bands)."""
        out = np.empty((len(rows), self._frames, self._store.features.mel_bands), np.float32)
        for patch, row in zip(out, rows, strict=True):
            log_mel = self._store.log_mel(int(row))
            start = patches.draw_crop(rng, length=len(log_mel), frames=self._frames)
            patch[:] = patches.apply_crop(log_mel, start, frames=self._frames)
        moments = self._store.moments
        return logmel.normalise(out, moments.mean, moments.std)


class _Passes:
    """Endless passes over some rows, each in an order drawn from (seed, key, pass)."""

    def __init__(self, rows: NDArray[np.int64], count: int, *, seed: int, key: tuple[int, ...]) -> None:
        self._rows, self._count = rows, count
        # Two passes can meet in one batch; the order of a pass is drawn once, not once a batch.
        self._order = lru_cache(maxsize=2)(lambda number: _generator(seed, _ORDER, *key, number).permutation(len(rows)))

    def __call__(self, position: int) -> NDArray[np.int64]:
        """Returns the `count` rows at this position in the sequence of batches."""
        if not self._count:
            return np.empty(0, dtype=np.int64)
        places = np.arange(position * self._count, (position + 1) * self._count)
        numbers, offsets = np.divmod(places, len(self._rows))
        return np.array(
            [self._rows[self._order(int(n))[o]] for n, o in zip(numbers, offsets, strict=True)],
            dtype=np.int64,
        )


def _generator(seed: int, *key: int) -> Generator:
    return np.random.default_rng(SeedSequence(seed, spawn_key=key))


def steps_per_epoch(stage: Stage, *, curated: int, noisy: int, world: int = 1) -> int:
    """Returns the steps of an epoch: one pass over the noisy set in whole batches (docs/paper.md, row 20).

    Where the stage uses no noisy rows, one pass over the curated set.
    """
    rows = (stage.curated + stage.noisy) * world
    return max(1, -(-(noisy if stage.noisy else curated) // rows))
