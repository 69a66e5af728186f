"""No table at all: a folder of sound files for each class, maybe in folders for curated, noisy and test."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .. import files
from ..audio import SUFFIXES
from . import clip_list
from .listing import Listing, Row, split_labels

_ROLE_OF_FOLDER = {"curated": "curated", "train": "curated", "noisy": "noisy", "test": "test"}


def find(root: Path) -> Listing | None:
    """The clips of a folder for each class, all of them curated, or of such folders in folders named for a role.

    A clip's fname is its path in `root`. A folder's name is the label, or several, separated by commas. Sound files
    that lie elsewhere, and tables, are remarked on.
    """
    roles = {folder: _ROLE_OF_FOLDER[folder.name.lower()] for folder in _folders(root) if _is_role(folder)}
    rows = [row for folder, role in (roles or {root: "curated"}).items() for row in _rows(root, folder, role)]
    if not rows:
        return None
    return Listing(root, rows, remarks=clip_list.why_not(root) + _elsewhere(root, (row.fname for row in rows)))


def _elsewhere(root: Path, read: Iterable[str]) -> tuple[str, ...]:
    """A line on the sound files in `root`, at any depth, that are not among those `read`, where there are any."""
    known = set(read)
    others = [one for one in _below(root) if one.relative_to(root).as_posix() not in known]
    if not others:
        return ()
    return (f"{len(others)} sound files are in no class's folder, so not read; the first is {others[0]}",)


def _is_role(folder: Path) -> bool:
    """Tells whether a folder is named for a role, and is not itself the folder of a class of that name."""
    return folder.name.lower() in _ROLE_OF_FOLDER and any(any(_sounds(inner)) for inner in _folders(folder))


def _rows(root: Path, folder: Path, role: str) -> Iterator[Row]:
    for named in _folders(folder):
        for sound in _sounds(named):
            fname = sound.relative_to(root).as_posix()
            text = files.text_of(fname)
            yield Row(
                where=files.text_of(named),
                fname=text,
                labels=split_labels(named.name),
                role=role,
                folder=root,
                columns=("file", "folder"),
                fault=None if text == fname else f"{text} is no name in UTF-8, and no table could hold it: rename it",
            )


def _below(root: Path) -> Iterator[Path]:
    """The sound files in `root` at any depth, hidden ones left out; no link to a folder is followed."""
    for folder, inner, _ in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from _sounds(Path(folder))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sounds(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
