"""Whose the rows of a table are: clips by their names, or where it is clear by the ends of these."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from .dataset import Clip
from .errors import TableError, some_of


def named_as(clips: Sequence[Clip], fnames: Sequence[str]) -> tuple[str, ...]:
    """The `fnames` of a table's rows, with the clips' own in place of those that no clip has, where it is clear whose.

    Of a row and a clip whose names are left, one name has to end in the other, by whole parts of a path:
    `test/Bark/a.wav` and `a.wav`, or `/data/test/Bark/a.wav`. A name that matches none stays.
    Raises TableError where a row may be of several clips, or a clip of several rows.
    """
    known, named = {clip.fname for clip in clips}, set(fnames)
    ends: dict[str, list[str]] = defaultdict(list)
    for clip in known - named:
        for end in _ends(clip):
            ends[end].append(clip)
    found = {fname: fname if fname in known else _clip_of(fname, ends, known - named) for fname in fnames}
    rows: dict[str, str] = {}
    for fname, clip in found.items():
        if rows.setdefault(clip, fname) != fname:
            raise TableError(
                f"{rows[clip]} and {fname} may both be the clip {clip}: give each row its clip's own fname"
            )
    return tuple(found[fname] for fname in fnames)


def _clip_of(fname: str, ends: Mapping[str, Sequence[str]], clips: Set[str]) -> str:
    """The one of the `clips` that a row is of, else its name; `ends` has the clips by each end of their names."""
    longest = next((end for end in _ends(fname) if end in clips), None)
    matching = sorted({*ends.get(fname, ()), *([longest] if longest else ())})
    if len(matching) > 1:
        raise TableError(
            f"{fname} may be one of several clips ({some_of(matching)}): give each row its clip's own fname"
        )
    return matching[0] if matching else fname


def _ends(name: str) -> list[str]:
    """A path's ends by whole parts, the longest first: a/b/c, b/c, c."""
    parts = name.split("/")
    return ["/".join(parts[at:]) for at in range(len(parts))]


def align(clips: Sequence[Clip], fnames: Sequence[str], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows of `scores` (rows, classes), named by `fnames`, in the order of `clips`: (clips, classes).

    Raises TableError if a clip has no row, a row no clip, or a name stands twice; names up to three of each.
    """
    wanted = [clip.fname for clip in clips]
    rows = {fname: row for row, fname in enumerate(fnames)}
    faults = {
        "scored twice": _repeated(fnames),
        "without scores": [fname for fname in wanted if fname not in rows],
        "scored but not in the clip list": sorted(rows.keys() - set(wanted)),
    }
    complaints = [f"{len(names)} {fault} ({some_of(names)})" for fault, names in faults.items() if names]
    if complaints:
        raise TableError(
            f"the scores do not fit the {len(clips)} clips: {'; '.join(complaints)}: "
            "the score table needs exactly one row a clip, under the clip list's fname"
        )
    return scores[[rows[fname] for fname in wanted]]


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
