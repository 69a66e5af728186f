"""Whose the rows of a table are: clips by their names, or where it is clear by the ends or other spellings of these."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from .dataset import Clip
from .errors import TableError, some_of
from .layouts.soundfiles import plain_name, plain_stem

# Names are compared so where they are not the same, one after the other: as a table's names are with those of files.
_SPELLINGS = (plain_name, plain_stem)


def named_as(clips: Sequence[Clip], fnames: Sequence[str]) -> tuple[str, ...]:
    """The `fnames` of a table's rows, with the clips' own in place of those that no clip has, where it is clear whose.

    Of a row and a clip whose names are left, one name has to end in the other, by whole parts of a path:
    `test/Bark/a.wav` and `a.wav`, or `/data/test/Bark/a.wav`. What is left then may be spelt otherwise
    (`other_spellings`). A name that matches none stays. Raises TableError where a row may be of several clips by their
    names as they are, or a clip of several rows.
    """
    known, named = {clip.fname for clip in clips}, set(fnames)
    found: dict[str, str] = {}
    rows: dict[str, str] = {}
    for fname, matching in _matches(named - known, known - named, str, _ends).items():
        if len(matching) > 1:
            raise TableError(
                f"{fname} may be one of several clips ({some_of(matching)}): give each row its clip's own fname"
            )
        clip = found[fname] = matching[0]
        if rows.setdefault(clip, fname) != fname:
            raise TableError(
                f"{rows[clip]} and {fname} may both be the clip {clip}: give each row its clip's own fname"
            )
    found |= other_spellings(named - known - found.keys(), known - named - rows.keys(), parts=_ends)
    return tuple(found.get(fname, fname) for fname in fnames)


def other_spellings(
    fnames: Iterable[str], clips: Iterable[str], parts: Callable[[str], list[str]] = lambda name: [name]
) -> dict[str, str]:
    """The names of `clips` that some of the `fnames` are in another spelling, where each fits one of the other alone.

    Spelt otherwise: in another letter case, with accents encoded in another way, or with backslashes between folders;
    where none is so, with another suffix of sound files, or without. Either name may be one of the other's `parts`.
    """
    found: dict[str, str] = {}
    fnames, clips = set(fnames), set(clips)
    for spelling in _SPELLINGS:
        if fnames == found.keys():
            break
        matches = _matches(fnames - found.keys(), clips - set(found.values()), spelling, parts)
        times = Counter(clip for matching in matches.values() for clip in matching)
        found |= {
            fname: matching[0] for fname, matching in matches.items() if len(matching) == 1 and times[matching[0]] == 1
        }
    return found


def _matches(
    fnames: Set[str], clips: Set[str], spelling: Callable[[str], str], parts: Callable[[str], list[str]]
) -> dict[str, list[str]]:
    """The clips that each of the `fnames` may be, sorted, where there are any, by their names as `spelling` has them.

    One of both names is among the `parts` of the other; of several clips whose names are an fname's, the longest count.
    """
    whole, ends = defaultdict(list), defaultdict(list)
    for clip in clips:
        spelt = spelling(clip)
        whole[spelt].append(clip)
        for end in parts(spelt):
            ends[end].append(clip)
    found = {}
    for fname in sorted(fnames):
        spelt = spelling(fname)
        longest = next((end for end in parts(spelt) if end in whole), "")
        found[fname] = sorted({*ends.get(spelt, ()), *whole.get(longest, ())})
    return {fname: matching for fname, matching in found.items() if matching}


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
