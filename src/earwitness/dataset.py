"""What a dataset comes down to, whatever its layout: labelled sound files, and the rows that yield none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .labels import Vocabulary


@dataclass(frozen=True)
class Clip:
    """One labelled sound file.

    fname: its name as the table has it, the column `known_as` before `fname`. labels: in the table's order, each once.
    path: the file itself, absolute, maybe with another suffix than `fname`. role: 'curated', 'noisy' or 'test'. usage:
    the part of the test set, where it has parts. recordings: names of what it was cut from, one, or several where it
    was put together from several; none where that is unknown.
    """

    fname: str
    labels: tuple[str, ...]
    path: Path
    role: str
    usage: str | None = None
    recordings: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Its recordings; where they are unknown, its file, which several rows may name, is a recording of its own."""
        return self.recordings or (str(self.path),)


class Leak(NamedTuple):
    """A recording that a clip to learn from and a test clip were both cut from, with the first of either."""

    recording: str
    learnt: Clip
    test: Clip


@dataclass(frozen=True)
class Problem:
    """A row that yields no clip, and why.

    path: where its file is or was looked for. role: as a clip's, or '' where the row does not tell.
    what: one line that says where (table, line, field), what is wrong, and what to do.
    """

    fname: str
    role: str
    path: Path
    what: str


# The role of clips that are known and have no label yet.
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Dataset:
    """The usable clips of a dataset, in the order of its tables, and the problems with the others.

    known_bad: those of the clips that the dataset's own authors name as wrong. left_out: clips that are
    left out because the user wants it, which is no problem. layout: as what it was read, as docs/data.md calls it.
    remarks: how it was read and what was not, where that may not be meant, a line each. unlabelled: clips that have no
    label yet; a reviewer's decision may give them some.
    """

    root: Path
    clips: tuple[Clip, ...]
    vocabulary: Vocabulary
    problems: tuple[Problem, ...]
    known_bad: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    layout: str = ""
    remarks: tuple[str, ...] = ()
    unlabelled: tuple[Clip, ...] = ()

    def by_role(self, role: str) -> tuple[Clip, ...]:
        """The clips whose role is `role`, in order."""
        return tuple(clip for clip in self.clips if clip.role == role)

    def without(self, unwanted: Iterable[Problem]) -> "Dataset":
        """The dataset less the clips that `unwanted` speaks of, which then are among `left_out`."""
        unwanted = tuple(unwanted)
        places = {(one.role, one.path) for one in unwanted}
        return replace(
            self,
            clips=tuple(clip for clip in self.clips if (clip.role, clip.path) not in places),
            known_bad=tuple(bad for bad in self.known_bad if (bad.role, bad.path) not in places),
            left_out=self.left_out + unwanted,
        )

    def without_known_bad(self) -> "Dataset":
        """The dataset less the clips that its authors name as wrong."""
        return self.without(self.known_bad)


def groups_by_recording(clips: Sequence[Clip], alike: Iterable[tuple[int, int]] = ()) -> list[int]:
    """Returns a number for each clip, the same for clips that share a recording, by themselves or through others.

    A clip without a recording shares one with those of the same file alone. `alike` are places of further clips that
    are known to share one.
    """
    leads_to = list(range(len(clips)))

    def end(place: int) -> int:
        while leads_to[place] != place:
            leads_to[place] = leads_to[leads_to[place]]
            place = leads_to[place]
        return place

    first_with: dict[str, int] = {}
    for place, clip in enumerate(clips):
        for recording in clip.sources:
            leads_to[end(place)] = end(first_with.setdefault(recording, place))
    for one, other in alike:
        leads_to[end(one)] = end(other)
    return [end(place) for place in range(len(clips))]


def leaks(clips: Iterable[Clip]) -> tuple[Leak, ...]:
    """Returns the recordings of which some clips are in the test set and others are to be learnt from."""
    learnt: dict[str, Clip] = {}
    test: dict[str, Clip] = {}
    for clip in clips:
        for recording in clip.sources:
            (test if clip.role == "test" else learnt).setdefault(recording, clip)
    return tuple(Leak(recording, clip, test[recording]) for recording, clip in learnt.items() if recording in test)
