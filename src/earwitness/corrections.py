"""Somebody's opinion on labels, applied to a dataset: clips that get other labels, and clips that go.

A file of corrections is JSON: an object that gives, for each fname, its labels separated by commas, or "remove".
Decisions of reviewers say the same of clips they have heard, which thereby become curated.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from . import files
from .clipnames import other_spellings
from .dataset import UNLABELLED, Clip, Dataset, Problem
from .errors import TableError, counted, some_of
from .labels import Vocabulary
from .layouts.listing import split_labels
from .reviewing.decision import Decision, settled

REMOVE = "remove"


NOTHING_HEARD = "a reviewer heard none of the classes"


class Correction(NamedTuple):
    """What is said of one clip: its labels, none where it is to go; where that stands; whether a reviewer heard it."""

    labels: tuple[str, ...]
    where: str
    heard: bool = False


class Corrected(NamedTuple):
    """A dataset after corrections, and how many clips they changed.

    relabelled, removed: clips with other labels, and clips that went, by files of corrections. reviewed: clips that
    have a reviewer's labels and are curated. nothing_heard: clips left out because a reviewer heard none of the
    classes. unknown: fnames that the dataset lacks.
    """

    dataset: Dataset
    relabelled: int
    removed: int
    unknown: tuple[str, ...]
    reviewed: int = 0
    nothing_heard: int = 0


def correct(
    dataset: Dataset, paths: Sequence[Path], reviews: Iterable[tuple[Path, Sequence[Decision]]] = ()
) -> Corrected:
    """A dataset with the corrections of all files applied by fname, whatever a clip's role, then those of reviewers.

    A name that no clip has is the one clip's that has it in another spelling (`clipnames.other_spellings`).
    Later files win, and reviewers over all files. Decisions never concern test clips; their role counts only where
    two clips have one fname. Clips without a label, of which files say nothing, get a reviewer's. A clip that goes is
    among `left_out` afterwards. What is spoken of is no longer known to be bad: whoever wrote it has heard the clip.
    Raises TableError for a file that holds no corrections, for one of whose names not one is a clip's, and for unknown
    labels.
    """
    clips, rows = dataset.clips + dataset.unlabelled, defaultdict(list)
    for row, clip in enumerate(clips):
        rows[clip.fname].append(row)
    said: dict[int, Correction] = {}
    unknown: dict[str, None] = {}
    for path in paths:
        corrections = _read(path, dataset.vocabulary)
        named = _named(corrections, rows, dataset)
        places = [[row for row in rows.get(name, ()) if clips[row].role != UNLABELLED] for name in named]
        _refuse_strangers(path, tuple(corrections), places, dataset)
        for (fname, correction), found in zip(corrections.items(), places, strict=True):
            said |= dict.fromkeys(found, correction)
            unknown |= {} if found else {fname: None}
    for path, decisions in reviews:
        decided = tuple(settled(decisions).values())
        named = _named([decision.fname for decision in decided], rows, dataset)
        places = [_rows_of(decision, rows.get(name, ()), clips) for decision, name in zip(decided, named, strict=True)]
        _refuse_strangers(path, tuple(decision.fname for decision in decided), places, dataset)
        for decision, found in zip(decided, places, strict=True):
            if found:
                said |= dict.fromkeys(found, _heard(path, decision, dataset.vocabulary))
            else:
                unknown[decision.fname] = None
    return _applied(dataset, said, tuple(unknown))


def _named(fnames: Iterable[str], clips: Iterable[str], dataset: Dataset) -> list[str]:
    """The `fnames` as the `clips` are named, where that is clear."""
    fnames = tuple(fnames)
    # A file that yields no clip is none of those that are named nearly as it is.
    strangers = set(fnames).difference(clips, (gone.fname for gone in dataset.problems + dataset.left_out))
    spelt = other_spellings(strangers, set(clips).difference(fnames))
    return [spelt.get(fname, fname) for fname in fnames]


def _refuse_strangers(path: Path, fnames: Sequence[str], places: Sequence[Sequence[int]], dataset: Dataset) -> None:
    """Raises TableError where names are given, and not one has a row in the dataset: they are of another."""
    if fnames and not any(places):
        raise TableError(
            f"{path}: of its {counted(len(fnames), 'name')} ({some_of(fnames)}) not one is a clip's of {dataset.root}: "
            "give what was said of this dataset"
        )


def _rows_of(decision: Decision, rows: Iterable[int], clips: Sequence[Clip]) -> list[int]:
    """The rows among `rows` of the clips that a decision speaks of."""
    trained_on = [row for row in rows if clips[row].role != "test"]
    if len(trained_on) < 2:
        return trained_on
    # What `clean` leaves without a label was a noisy clip.
    roles = {decision.role, UNLABELLED} if decision.role == "noisy" else {decision.role}
    return [row for row in trained_on if clips[row].role in roles]


def _heard(path: Path, decision: Decision, vocabulary: Vocabulary) -> Correction:
    where = f"{path}, {decision.fname}"
    try:
        vocabulary.encode(decision.labels, where=where)
    except TableError as error:
        if not path.is_dir():
            raise
        # Classes that were renamed after the review: its database is nothing to edit by hand.
        advice = f"`earwitness review {path} --export FILE.csv` writes a table to correct and to give to --decisions"
        raise TableError(f"{error}; {advice}") from None
    return Correction(decision.labels, where, heard=True)


def _applied(dataset: Dataset, said: Mapping[int, Correction], unknown: tuple[str, ...]) -> Corrected:
    """A dataset with what is said of its clips, by row."""
    old = dataset.clips + dataset.unlabelled
    clips = [_relabelled(clip, said.get(row)) for row, clip in enumerate(old)]
    gone = [
        Problem(old[row].fname, old[row].role, old[row].path, f"{one.where}: {NOTHING_HEARD if one.heard else REMOVE}")
        for row, one in sorted(said.items())
        if not one.labels
    ]
    places = {(old[row].role, old[row].path) for row in said}
    known_bad = tuple(bad for bad in dataset.known_bad if (bad.role, bad.path) not in places)
    files_say = [(row, one) for row, one in said.items() if not one.heard]
    reviewers_say = [one for one in said.values() if one.heard]
    return Corrected(
        replace(
            dataset,
            clips=tuple(clip for clip in clips if clip.role != UNLABELLED),
            known_bad=known_bad,
            unlabelled=tuple(clip for row, clip in enumerate(clips) if clip.role == UNLABELLED and row not in said),
        ).without(gone),
        relabelled=sum(set(old[row].labels) != set(clips[row].labels) for row, _ in files_say),
        removed=sum(not one.labels for _, one in files_say),
        unknown=unknown,
        reviewed=sum(bool(one.labels) for one in reviewers_say),
        nothing_heard=sum(not one.labels for one in reviewers_say),
    )


def _relabelled(clip: Clip, correction: Correction | None) -> Clip:
    if correction is None or not correction.labels:
        return clip
    return replace(clip, labels=correction.labels, role="curated" if correction.heard else clip.role)


def _read(path: Path, vocabulary: Vocabulary) -> Mapping[str, Correction]:
    """The corrections of a file by fname."""
    return {fname: _correction(f"{path}, {fname}", said, vocabulary) for fname, said in _said(path).items()}


def _correction(where: str, said: Any, vocabulary: Vocabulary) -> Correction:
    if said == REMOVE:
        return Correction((), where)
    labels = split_labels(said) if isinstance(said, str) else ()
    if not labels:
        raise TableError(f'{where}: neither labels nor "{REMOVE}": write "Bark" or "Bark,Meow"')
    vocabulary.encode(labels, where=where)
    return Correction(labels, where)


def _said(path: Path) -> dict[str, Any]:
    """What stands in a file of corrections, each fname once."""
    said = files.read_json(path, error=TableError, pairs=lambda pairs: _unique(path, pairs))
    if not isinstance(said, dict):
        raise TableError(f'{path}: no corrections: it needs one object such as {{"a.wav": "Bark", "b.wav": "remove"}}')
    return said


def _unique(path: Path, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for fname, said in pairs:
        if unique.get(fname, said) != said:
            raise TableError(f"{path}, {fname}: stands there twice, with different corrections: delete one")
        unique[fname] = said
    return unique
