"""The labels of many files, those whose scores are high enough, as a clip list: `fname,labels`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tables
from .labels import Vocabulary
from .thresholds import Least, require

COLUMNS = ("fname", "labels")


def write(
    out: Path, fnames: Sequence[str], scores: NDArray[np.floating[Any]], vocabulary: Vocabulary, *, least: Least
) -> int:
    """Writes the classes that score at least `least` (one score, or (classes,) of them) of each file; returns how many
    files have none.

    scores (files, classes). Of a file the highest scoring label comes first; one without any keeps its row. ValueError
    as `thresholds.require`, OSError.
    """
    there = scores >= require(least, len(vocabulary))
    labels = [
        [vocabulary.names[column] for column in np.argsort(-row, kind="stable") if heard[column]]
        for row, heard in zip(scores, there, strict=True)
    ]
    tables.write(out, COLUMNS, ((fname, ",".join(found)) for fname, found in zip(fnames, labels, strict=True)))
    return sum(not found for found in labels)
