"""Sound events: from when to when a class is heard, by the scores of windows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Event(NamedTuple):
    """A class that is heard from one second of a file to another, and its highest score there."""

    start_seconds: float
    end_seconds: float
    label: str
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
    scores: NDArray[np.float64],
    seconds: NDArray[np.float64],
    names: Sequence[str],
    *,
    least: float | NDArray[np.float64],
) -> list[Event]:
    """Returns the events of a clip, by their begin, then by the order of their classes.

    An event is a run of windows in which a class scores at least `least`, one score or (classes,) of them. scores (n,
    classes) are those of the windows, seconds (n, 2) what of the file they speak for, names (classes,) the classes.
    """
    finder = Finder(names, least=least)
    events = [
        event
        for (start, end), of_window in zip(seconds.tolist(), scores, strict=True)
        for event in finder.add(start, end, of_window)[1]
    ]
    place = {name: column for column, name in enumerate(names)}
    return sorted([*events, *finder.rest()], key=lambda event: (event.start_seconds, place[event.label]))


class Finder:
    """Finds the events of windows that come one after the other: `add` each, then `rest`.

    names (classes,) are the classes, `least` one score or (classes,) of them.
    """

    def __init__(self, names: Sequence[str], *, least: float | NDArray[np.float64]) -> None:
        self._names, self._least = names, least
        self._under_way: dict[int, Event] = {}

    def add(
        self, start_seconds: float, end_seconds: float, scores: NDArray[np.float64]
    ) -> tuple[list[Event], list[Event]]:
        """Returns the events that begin with a window of scores (classes,), and those that ended before it."""
        heard = {int(column) for column in np.flatnonzero(scores >= self._least)}
        ended = [self._under_way.pop(column) for column in sorted(self._under_way.keys() - heard)]
        begun = []
        for column in sorted(heard):
            score = float(scores[column])
            before = self._under_way.get(column)
            event = Event(start_seconds, end_seconds, self._names[column], score)
            if before:
                event = before._replace(end_seconds=end_seconds, score=max(before.score, score))
            else:
                begun.append(event)
            self._under_way[column] = event
        return begun, ended

    def rest(self) -> list[Event]:
        """Returns the events that last to the end."""
        return [self._under_way.pop(column) for column in sorted(self._under_way)]
