"""Sound events: from when to when a class is heard, by the scores of windows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Event(NamedTuple):
    """A class, by its place in the vocabulary, from one second of a file to another, and its highest score there."""

    start_seconds: float
    end_seconds: float
    column: int
    score: float


def stretches(starts: NDArray[np.int64], *, frames: int, length: int) -> NDArray[np.float64]:
    """Returns from which to which frame of a clip each window speaks, (n, 2): all of the clip, and no frame twice.

    `starts` (n,) are where windows of so many `frames` begin in a clip of so many (`length`). Two neighbours part half
    way between their middles; the first speaks from the clip's begin, the last to its end.
    """
    middles = starts + min(frames, length) / 2
    between = (middles[1:] + middles[:-1]) / 2
    return np.column_stack([np.r_[0.0, between], np.r_[between, float(length)]])


def found(
    scores: NDArray[np.float64], spans: NDArray[np.float64], *, least: float, second: float, offset_seconds: float = 0.0
) -> list[Event]:
    """Returns the events of a clip, by their begin, then their class.

    An event is a run of windows in which a class scores at least `least`. scores (n, classes) are those of the windows,
    spans (n, 2) the frames that they speak for, `second` is how many frames make one; `offset_seconds` is what was cut
    off the file's beginning.
    """
    heard = np.pad(scores >= least, ((1, 1), (0, 0))).astype(np.int8)
    turns = np.diff(heard, axis=0).T
    begins, ends = np.argwhere(turns > 0), np.argwhere(turns < 0)
    events = [
        Event(
            offset_seconds + spans[first, 0] / second, offset_seconds + spans[end - 1, 1] / second, int(column),
            float(scores[first:end, column].max()),
        )
        for (column, first), (_, end) in zip(begins, ends, strict=True)
    ]  # fmt: skip
    return sorted(events, key=lambda event: (event.start_seconds, event.column))
