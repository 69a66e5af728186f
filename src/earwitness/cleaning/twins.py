"""Clips of a store that hold the same recording: duplicates.csv."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import tables
from ..corpus import Store
from . import duplicates
from .duplicates import Pair

_COLUMNS = ("fname", "role", "other_fname", "other_role", "alike", "overlap_seconds", "path", "other_path")


class Twins(NamedTuple):
    """Pairs of clips that hold the same recording, by their rows in the store."""

    pairs: list[Pair]
    across: list[Pair]

    @property
    def rows(self) -> list[tuple[int, int]]:
        """The rows of each pair."""
        return [(pair.first, pair.second) for pair in self.pairs]


def find(store: Store, *, on_clip: Callable[[], None] = lambda: None) -> Twins:
    """Returns all pairs of clips that hold the same recording, and those of them whose clips have different roles."""

    def log_mels() -> Iterator[NDArray[np.float16]]:
        for row in range(len(store.clips)):
            yield store.read_log_mel(row)
            on_clip()

    words = duplicates.words_of(log_mels())
    found = duplicates.pairs(words)
    return Twins(found, duplicates.across(found, [clip.role for clip in store.clips]))


def write(path: Path, pairs: Sequence[Pair], store: Store, sounds: Mapping[int, Path]) -> None:
    """Writes duplicates.csv: a row a pair, the surest first."""
    second = store.features.sample_rate_hz / store.features.hop_length
    rows = (
        (
            store.clips[one.first].fname, store.clips[one.first].role, store.clips[one.second].fname,
            store.clips[one.second].role, f"{one.alike:.3f}", f"{one.frames / second:.1f}", sounds[one.first],
            sounds[one.second],
        )
        for one in pairs
    )  # fmt: skip
    tables.write_csv(path, _COLUMNS, rows)
