"""Datasets as they lie on a disk, one file a layout; what is good or bad about a row is judged here, once.

A layout is one function `folder -> Listing | None`: it recognises its tables, says what their rows mean and
where their sound lies, or answers None where the folder is none of its kind. What is wrong about one clip
becomes a `Problem` and the rest go on; what is wrong about a table as a whole is a TableError.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from .. import files
from ..corpus import is_store
from ..dataset import UNLABELLED, Clip, Dataset, Problem
from ..errors import TableError, counted
from ..labels import Vocabulary, misspelt
from . import clip_list, esc50, folders, fsd50k, fsdkaggle2018, fsdkaggle2019, fsdnoisy18k, urbansound8k
from .listing import Listing, Row
from .soundfiles import SoundFiles, is_absolute, same_name

# Names that may be misspelt are told a line each, as long as there are not more than these.
_MOST_MISSPELT = 5
_CLIP_LIST = "a table of clips"
# In this order; the first that answers is believed. Their names are those of docs/data.md.
LAYOUTS: tuple[tuple[str, Callable[[Path], Listing | None]], ...] = (
    ("FSDKaggle2019", fsdkaggle2019.find),
    ("FSD50K", fsd50k.find),
    ("FSDnoisy18k", fsdnoisy18k.find),
    ("FSDKaggle2018", fsdkaggle2018.find),
    ("ESC-50", esc50.find),
    ("UrbanSound8K", urbansound8k.find),
    (_CLIP_LIST, clip_list.find),
    ("a folder for each class", folders.find),
    (_CLIP_LIST, clip_list.find_any),
)


class _Named(NamedTuple):
    """The row that named a file first, and the place of its clip."""

    row: Row
    place: int


def read_dataset(path: str | Path, *, without_sound: bool = False, audio_root: str | Path | None = None) -> Dataset:
    """The clips of the dataset at `path`: a folder in one of the layouts, or a table of clips.

    Labels are separated by commas, semicolons or line ends; columns that a layout does not know are ignored. A file may
    have another suffix than its row says. The classes are those that the dataset states, else all labels that
    occur, sorted. With `without_sound` a clip whose file is nowhere is a clip all the same. With `audio_root` the file
    names of a table of clips are relative to that folder in place of the table's; an absolute one that is nowhere, of
    any system, is looked for there by as many of its last parts as match.
    Raises TableError for a path in none of the layouts, a table that cannot be read or lacks columns, a dataset
    without one usable clip, labelled or not, or an `audio_root` that is no folder or stands beside another layout.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise TableError(f"{place}: no such file or folder: give a dataset's folder or a table")
    if is_store(place):
        raise TableError(f"{place}: a store, as `earwitness prepare` makes it: give the dataset that it was made of")
    root = None if audio_root is None else Path(audio_root).absolute()
    if root and not root.is_dir():
        raise TableError(f"{root}: no such folder; give the one that holds the sound files to --audio-root")
    if place.is_file():
        return _judged(_CLIP_LIST, clip_list.read(place), without_sound, root)
    for layout, find in LAYOUTS:
        listing = find(place)
        if listing is not None:
            if root and layout != _CLIP_LIST:
                raise TableError(
                    f"{place}: read as {layout}, whose sound lies in folders of its own: leave --audio-root out"
                )
            return _judged(layout, listing, without_sound, root)
    raise TableError(
        f"{place}: no dataset found: it needs the tables of a known one (docs/data.md lists them), one CSV or "
        ".xlsx with the columns fname,labels[,split], or a folder of sound files for each class"
        + "".join(f"; {reason}" for reasons in (folders.why_not, clip_list.why_not) for reason in reasons(place)[:1])
    )


def _judged(layout: str, listing: Listing, without_sound: bool, audio_root: Path | None) -> Dataset:
    """Judge every row of `listing`: a clip or a problem."""
    if not listing.rows:
        raise TableError(f"{listing.root}: no usable clip: its tables have no rows: write one for each clip")
    vocabulary = listing.vocabulary or _labels_that_occur(listing)
    clips: list[Clip] = []
    problems: list[Problem] = []
    named: dict[tuple[str, Path], _Named] = {}
    called: dict[tuple[str, str], _Named] = {}
    joined = 0
    sounds = SoundFiles()
    for row in (replace(row, folder=audio_root or row.folder) for row in listing.rows):
        found = sounds.find(row.folder, row.fname)
        if found is None and audio_root:
            found = sounds.find_by_last_parts(audio_root, row.fname)
        if found is None and without_sound:
            found = row.folder / row.fname
        found = found and files.without_dots(found)
        try:
            path = _checked(row, found, vocabulary, named, called, own=listing.own)
        except TableError as error:
            hint = "" if found else _hint(sounds, row)
            problems.append(Problem(row.fname, row.role, found or row.folder / row.fname, f"{error}{hint}"))
            continue
        earlier = named.setdefault((row.role, path), _Named(row, len(clips)))
        if earlier.row is row:
            clips.append(Clip(row.name, row.labels, path, row.role, row.usage, row.recordings))
            called[row.role, row.name] = earlier
        else:
            joined += 1
            clips[earlier.place] = _joined(clips[earlier.place], row)
    unlabelled = tuple(clip for clip in clips if clip.role == UNLABELLED)
    clips = [clip for clip in clips if clip.role != UNLABELLED]
    if not clips and not unlabelled:
        raise TableError(f"{listing.root}: no usable clip: the first of {len(problems)} problems: {problems[0].what}")
    known_bad = [
        Problem(clip.fname, clip.role, clip.path, f"{clip.path}: {listing.known_bad[clip.role, clip.fname]}")
        for clip in clips
        if (clip.role, clip.fname) in listing.known_bad
    ]
    return Dataset(
        listing.root, tuple(clips), vocabulary, tuple(problems), tuple(known_bad),
        layout=layout, unlabelled=unlabelled,
        remarks=listing.remarks + _of_joined(joined) + _of_misspelt(listing, clips) + _of_unlabelled(unlabelled),
    )  # fmt: skip


def _hint(sounds: SoundFiles, row: Row) -> str:
    """What may be the matter with a row whose file is not found, to stand behind the line on it."""
    if closed := sounds.closed(row.folder, row.fname):
        return f"; its folder cannot be searched ({closed})"
    near = sounds.of_number(row.folder, row.fname)
    return f"; did you mean {near}? Spreadsheets drop zeros at the front" if near else ""


def _joined(clip: Clip, row: Row) -> Clip:
    """A clip with what a further row of it says as well."""
    labels, recordings = (dict.fromkeys(both) for both in (clip.labels + row.labels, clip.recordings + row.recordings))
    return replace(clip, labels=tuple(labels), usage=clip.usage or row.usage, recordings=tuple(recordings))


def _of_joined(rows: int) -> tuple[str, ...]:
    if not rows:
        return ()
    return (f"{counted(rows, 'row')} of clips that have a row already: a clip has the labels of all its rows",)


def _of_unlabelled(clips: Sequence[Clip]) -> tuple[str, ...]:
    if not clips:
        return ()
    return (f"{counted(len(clips), 'clip')} without a label: not used, unless --decisions have some for them",)


def _of_misspelt(listing: Listing, clips: Sequence[Clip]) -> tuple[str, ...]:
    """A line on each class that may be another misspelt, where the user names classes and no vocabulary states them."""
    if not listing.own or listing.vocabulary:
        return ()
    times = Counter(label for clip in clips for label in clip.labels)
    pairs = misspelt(times)
    remarks = [
        f"{rare} ({counted(times[rare], 'clip')}): did you mean {other} ({times[other]})?"
        for rare, other in pairs[:_MOST_MISSPELT]
    ]
    if len(pairs) > _MOST_MISSPELT:
        remarks.append(f"{len(pairs) - _MOST_MISSPELT} more classes have names near others'")
    return tuple(remarks)


def _labels_that_occur(listing: Listing) -> Vocabulary:
    """All labels of rows in order, whether or not their files are there."""
    label_sets = [row.labels for row in listing.rows if not row.fault]
    if not any(label_sets):
        faults = [row.fault for row in listing.rows if row.fault]
        if faults:
            raise TableError(f"{listing.root}: no usable clip: the first of {len(faults)} problems: {faults[0]}")
        raise TableError(f"{listing.root}: no row of its tables has a label: fill in their column of labels")
    return Vocabulary.from_labels(label_sets)


def _checked(
    row: Row,
    found: Path | None,
    vocabulary: Vocabulary,
    named: Mapping[tuple[str, Path], _Named],
    called: Mapping[tuple[str, str], _Named],
    *,
    own: bool,
) -> Path:
    """The row's file, if all is well with the row; `named` tells which row named each file first, `called` each clip.

    In a user's `own` table another row may name it again, by the same name. Raises TableError with the line that goes
    into the row's problem.
    """
    if row.fault:
        raise TableError(row.fault)
    fname, labels = (f"{row.where}, {column}" for column in row.columns)
    if not row.fname:
        raise TableError(f"{fname}: no file name: fill it in or delete the row")
    if not row.labels and row.role != UNLABELLED:
        raise TableError(f"{labels}: no label: add one or delete the row")
    for label in row.labels:
        vocabulary.index(label, where=labels)
    if found is None:
        raise TableError(f"{fname}: {_nowhere(row, own=own)}, or delete the row")
    earlier = named.get((row.role, found))
    if earlier and not (own and same_name(earlier.row.fname, row.fname)):
        raise TableError(f"{fname}: {row.fname} was named before ({earlier.row.where}): delete one")
    other = called.get((row.role, row.name))
    if other and not earlier:
        raise TableError(
            f"{row.where}: {row.name} is what {other.row.fname} is called already ({other.row.where}): give each "
            "file a known_as of its own"
        )
    return found


def _nowhere(row: Row, *, own: bool) -> str:
    """Where no file of a row was found, and what to do; known datasets have folders of their own, not --audio-root."""
    if is_absolute(row.fname):
        return f"no sound file {row.fname}, whatever its suffix: give the folder that it is in now to --audio-root"
    where = f"no sound file {row.fname} in {row.folder}, whatever its suffix: put it there"
    return f"{where}, give the folder that it is in to --audio-root, or write that before its name" if own else where
