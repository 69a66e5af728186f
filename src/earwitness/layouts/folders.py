"""No table at all: a folder of sound files for each class, maybe in folders for curated, noisy and test."""

from collections.abc import Iterator
from pathlib import Path

from .. import files
from ..audio import SUFFIXES
from .listing import Listing, Row, split_labels

_ROLE_OF_FOLDER = {"curated": "curated", "train": "curated", "noisy": "noisy", "test": "test"}


def find(root: Path) -> Listing | None:
    """The clips of a folder for each class, all of them curated, or of such folders in folders named for a role.

    A clip's fname is its path in `root`. A folder's name is the label, or several, separated by commas.
    """
    roles = {folder: _ROLE_OF_FOLDER[folder.name.lower()] for folder in _folders(root) if _is_role(folder)}
    rows = [row for folder, role in (roles or {root: "curated"}).items() for row in _rows(root, folder, role)]
    return Listing(root, rows) if rows else None


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


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sounds(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
