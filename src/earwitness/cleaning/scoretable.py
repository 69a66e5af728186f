"""What another tagger hears in the clips of a store, by its table of scores: `fname`, then a column a class."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import tables
from ..clipnames import named_as
from ..corpus import Store
from ..errors import TableError, counted, some_of
from ..lwlrap import lwlrap
from .ear import Floats, Heard

# An ear that has not learnt from clips hardly ever has such an lwlrap on them; one that has nearly always does.
_BY_HEART = 0.98


@dataclass(frozen=True)
class TableEar:
    """The scores (clips, classes) of a store's clips, by their rows in it, NaN for test clips without any.

    Its tagger has learnt from none of these clips, or was trained so often that each clip's scores come from a training
    without it. Where the evidence is in a clip is not known.
    """

    place: Path
    scores: Floats
    digest: str
    remarks: tuple[str, ...] = ()
    loss_slope: float = 1.0
    learnt_noisy: bool = False
    given_right: float | None = None
    where_deaf: str = "see that its rows are those of these clips, and its columns of these classes"

    def never_learnt(self, folds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns that it learnt from no clip."""
        return np.ones(len(folds), bool)

    def hear(self, store: Store, rows: NDArray[np.int64], keep: Path, on_clip: Callable[[], None]) -> Heard:
        """Returns the scores as those of one head."""
        for _ in rows:
            on_clip()
        scores = self.scores[rows]
        nowhere = np.full(scores.shape, np.nan, np.float32)
        return Heard((scores,), np.zeros((len(rows), 0), np.float32), nowhere, nowhere)


def open_table(path: str | Path, store: Store) -> TableEar:
    """Opens a table that has a row for every curated and noisy clip of a store, and a column for each of its classes.

    A row is the clip's whose name, or the end of whose name, it has (`clipnames.named_as`), in other spellings too;
    other columns, whatever they hold, rows of other files and rows without any score are left out. TableError as
    `tables.read_scores` and `named_as`, where rows or columns are missing, and for scores that are no shares from 0
    to 1.
    """
    place = Path(path)
    fnames, scores, _ = tables.read_scores(place, store.vocabulary, among_others=True)
    _refuse_no_shares(place, fnames, scores)
    try:
        row_of = {fname: row for row, fname in enumerate(named_as(store.clips, fnames))}
    except TableError as error:
        raise TableError(f"{place}: {error}") from None
    unheard = [clip.fname for clip in store.clips if clip.role != "test" and clip.fname not in row_of]
    if unheard:
        raise TableError(
            f"{place}: no row for {some_of(unheard)} ({counted(len(unheard), 'clip')} of {store.path}): "
            "add their scores, or prepare a store without them"
        )
    found = np.full((len(store.clips), len(store.vocabulary)), np.nan, np.float32)
    for number, clip in enumerate(store.clips):
        if clip.fname in row_of:
            found[number] = scores[row_of[clip.fname]]
    digest = hashlib.blake2b(place.read_bytes(), digest_size=8).hexdigest()
    others = len(row_of.keys() - {clip.fname for clip in store.clips})
    remarks = [f"{place}: {counted(others, 'row')} of other files not used"] if others else []
    return TableEar(place, found, digest, (*remarks, *_known_by_heart(place, found, store)))


def _known_by_heart(place: Path, scores: Floats, store: Store) -> list[str]:
    """Returns a remark where the curated clips' labels are told so well that they may have been learnt from."""
    curated = store.rows("curated")
    told = lwlrap(store.labels[curated], scores[curated]).overall if len(curated) else 0.0
    if told < _BY_HEART:
        return []
    return [
        f"{place}: the curated clips' labels are told nearly without fault (lwlrap {told:.3f}); if its tagger learnt "
        "from these clips, probabilities will be far off: give scores of trainings without each clip"
    ]


def _refuse_no_shares(place: Path, fnames: tuple[str, ...], scores: NDArray[np.float64]) -> None:
    outside = np.argwhere((scores < 0) | (scores > 1))
    if len(outside):
        row, column = outside[0]
        raise TableError(
            f"{place}: {fnames[row]} scores {scores[row, column]:g}: scores are to lie from 0 to 1, as a sigmoid's do"
        )
