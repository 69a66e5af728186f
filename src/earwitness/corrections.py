"""Somebody's opinion on labels, applied to a dataset: clips that get other labels, and clips that go.

A file of corrections is JSON: an object that gives, for each fname, its labels separated by commas, or "remove".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from .dataset import Clip, Dataset, Problem
from .errors import TableError
from .labels import Vocabulary
from .layouts.listing import split_labels

REMOVE = "remove"


class Correction(NamedTuple):
    """What a file says of one fname: its labels, none where the clip is to go; and where it says so."""

    labels: tuple[str, ...]
    where: str


class Corrected(NamedTuple):
    """A dataset after corrections: how many clips have other labels now, how many went, which fnames it lacks."""

    dataset: Dataset
    relabelled: int
    removed: int
    unknown: tuple[str, ...]


def correct(dataset: Dataset, paths: Sequence[Path]) -> Corrected:
    """A dataset with the corrections of all files applied by fname, whatever a clip's role; later files win.

    A clip that goes is among `left_out` afterwards. What a file speaks of is no longer known to be bad: whoever wrote
    it has heard the clip. Raises TableError for a file that holds no corrections, and for unknown labels.
    """
    corrections: dict[str, Correction] = {}
    for path in paths:
        corrections |= _read(path, dataset.vocabulary)
    clips = [_relabelled(clip, corrections.get(clip.fname)) for clip in dataset.clips]
    removed = [
        Problem(clip.fname, clip.role, clip.path, f"{corrections[clip.fname].where}: {REMOVE}")
        for clip in clips
        if clip.fname in corrections and not corrections[clip.fname].labels
    ]
    corrected = replace(
        dataset,
        clips=tuple(clips),
        known_bad=tuple(bad for bad in dataset.known_bad if bad.fname not in corrections),
    ).without(removed)
    known = {clip.fname for clip in clips}
    return Corrected(
        corrected,
        relabelled=sum(set(old.labels) != set(new.labels) for old, new in zip(dataset.clips, clips, strict=True)),
        removed=len(removed),
        unknown=tuple(fname for fname in corrections if fname not in known),
    )


def _relabelled(clip: Clip, correction: Correction | None) -> Clip:
    return replace(clip, labels=correction.labels) if correction and correction.labels else clip


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
    try:
        said = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=lambda pairs: _unique(path, pairs))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path}: not JSON in UTF-8 ({' '.join(str(error).split())}): correct it") from None
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
