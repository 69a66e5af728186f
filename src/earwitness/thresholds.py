"""From which score on a class is said to be there: one score for all classes, or a table with one for each."""

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import tables
from .errors import TableError
from .labels import Vocabulary

DEFAULT = 0.5
COLUMNS = ("name", "threshold")

# A score for all classes, or (classes,) of them.
Least: TypeAlias = float | NDArray[np.floating[Any]]


class Thresholds(NamedTuple):
    """The score (classes,) from which on each class is there, and the classes that have `DEFAULT` for want of one."""

    scores: NDArray[np.float64]
    without: tuple[str, ...] = ()


def read(path: Path, vocabulary: Vocabulary) -> Thresholds:
    """Returns the thresholds of a table such as `evaluate --csv` writes, with a row a class: `name`, `threshold`.

    Classes without a row, or with an empty cell, get `DEFAULT`. TableError for a class that the vocabulary lacks, one
    that stands there twice, and what is no score from 0 to 1.
    """
    given: dict[str, float | None] = {}
    for record in tables.read_records(path, COLUMNS):
        if record.fault:
            raise TableError(f"{record.where}: {record.fault}")
        name = record.cells["name"]
        vocabulary.index(name, where=record.where)
        if name in given:
            raise TableError(f"{record.where}: {name} has a row already: delete one")
        cell = record.cells["threshold"]
        given[name] = tables.number(f"{record.where}, threshold", cell, least=0, most=1) if cell else None
    found = [given.get(name) for name in vocabulary.names]
    return Thresholds(
        np.array([DEFAULT if score is None else score for score in found]),
        tuple(name for name, score in zip(vocabulary.names, found, strict=True) if score is None),
    )


def require(least: Least, classes: int) -> NDArray[np.float64]:
    """Returns `least` as (classes,) scores. ValueError for another shape, and for scores outside 0 to 1."""
    scores = np.asarray(least, np.float64)
    if scores.shape not in ((), (classes,)):
        raise ValueError(f"least is a score, or {classes} of them, one a class; this is of shape {scores.shape}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"least is a score, from 0 to 1, not {least!r}")
    return np.broadcast_to(scores, (classes,))
