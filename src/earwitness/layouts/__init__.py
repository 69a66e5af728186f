"""Datasets as they lie on a disk, one file a layout; what is good or bad about a row is judged here, once.

A layout is one function `folder -> Listing | None`: it recognises its tables, says what their rows mean and
where their sound lies, or answers None where the folder is none of its kind. What is wrong about one clip
becomes a `Problem` and the rest go on; what is wrong about a table as a whole is a TableError.
"""

from collections.abc import Callable
from pathlib import Path

from ..dataset import Clip, Dataset, Problem
from ..errors import TableError
from ..labels import Vocabulary
from . import clip_list, esc50, folders, fsd50k, fsdkaggle2018, fsdkaggle2019, fsdnoisy18k, urbansound8k
from .listing import Listing, Row
from .soundfiles import SoundFiles

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


def read_dataset(path: str | Path, *, without_sound: bool = False) -> Dataset:
    """The clips of the dataset at `path`: a folder in one of the layouts, or a table of clips.

    Labels are separated by commas or semicolons; columns that a layout does not know are ignored. A file may
    have another suffix than its row says. The classes are those that the dataset states, else all labels that
    occur, sorted. With `without_sound` a clip whose file is nowhere is a clip all the same.
    Raises TableError for a path in none of the layouts, a table that cannot be read or lacks columns, or a dataset
    without one usable clip.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise TableError(f"{place}: no such file or folder: give a dataset's folder or a table")
    if place.is_file():
        return _judged(_CLIP_LIST, clip_list.read(place), without_sound)
    for layout, find in LAYOUTS:
        listing = find(place)
        if listing is not None:
            return _judged(layout, listing, without_sound)
    raise TableError(
        f"{place}: no dataset found: it needs the tables of a known one (docs/data.md lists them), one CSV or "
        ".xlsx with the columns fname,labels[,split], or a folder of sound files for each class"
        + "".join(f"; {reason}" for reason in clip_list.why_not(place)[:1])
    )


def _judged(layout: str, listing: Listing, without_sound: bool) -> Dataset:
    """Judge every row of `listing`: a clip or a problem."""
    vocabulary = listing.vocabulary or _labels_that_occur(listing)
    clips: list[Clip] = []
    problems: list[Problem] = []
    named: dict[tuple[str, Path], str] = {}
    files = SoundFiles()
    for row in listing.rows:
        found = files.find(row.folder, row.fname)
        if found is None and without_sound:
            found = row.folder / row.fname
        try:
            path = _checked(row, found, vocabulary, named)
        except TableError as error:
            problems.append(Problem(row.fname, row.role, found or row.folder / row.fname, str(error)))
        else:
            named[row.role, path] = row.where
            clips.append(Clip(row.known_as or row.fname, row.labels, path, row.role, row.usage, row.recordings))
    if not clips:
        first = f"the first of {len(problems)} problems: {problems[0].what}" if problems else "its tables are empty"
        raise TableError(f"{listing.root}: no usable clip: {first}")
    known_bad = [
        Problem(clip.fname, clip.role, clip.path, f"{clip.path}: {listing.known_bad[clip.role, clip.fname]}")
        for clip in clips
        if (clip.role, clip.fname) in listing.known_bad
    ]
    return Dataset(
        listing.root, tuple(clips), vocabulary, tuple(problems), tuple(known_bad),
        layout=layout, remarks=listing.remarks,
    )  # fmt: skip


def _labels_that_occur(listing: Listing) -> Vocabulary:
    """All labels of rows in order, whether or not their files are there."""
    label_sets = [row.labels for row in listing.rows if not row.fault]
    if not any(label_sets):
        faults = [row.fault for row in listing.rows if row.fault]
        if faults:
            raise TableError(f"{listing.root}: no usable clip: the first of {len(faults)} problems: {faults[0]}")
        raise TableError(f"{listing.root}: no row of its tables has a label: fill in their column of labels")
    return Vocabulary.from_labels(label_sets)


def _checked(row: Row, found: Path | None, vocabulary: Vocabulary, named: dict[tuple[str, Path], str]) -> Path:
    """The row's file, if all is well with the row; `named` tells where each file was named before.

    Raises TableError with the line that goes into the row's problem.
    """
    if row.fault:
        raise TableError(row.fault)
    fname, labels = (f"{row.where}, {column}" for column in row.columns)
    if not row.fname:
        raise TableError(f"{fname}: no file name: fill it in or delete the row")
    if not row.labels:
        raise TableError(f"{labels}: no label: add one or delete the row")
    for label in row.labels:
        vocabulary.index(label, where=labels)
    if found is None:
        raise TableError(
            f"{fname}: no sound file {row.fname} in {row.folder}, whatever its suffix: put it there, write the folder "
            "that it is in before its name, or delete the row"
        )
    if (row.role, found) in named:
        raise TableError(f"{fname}: {row.fname} was named before ({named[row.role, found]}): delete one")
    return found
