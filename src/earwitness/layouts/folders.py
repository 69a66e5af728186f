"""No table at all: a folder of sound files for each class, maybe in folders for curated, noisy and test."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .. import files
from ..soundwalk import is_sound, sounds_below
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
    others = [one for one in sounds_below(root) if one.relative_to(root).as_posix() not in known]
    sounds = [one for one in others if is_sound(one)]
    closed = sorted(set(others).difference(sounds))
    remarks = [f"{one}: a folder that may not be searched, so nothing in it is read" for one in closed]
    if sounds:
        remarks.append(f"{len(sounds)} sound files are in no class's folder, so not read; the first is {sounds[0]}")
    return tuple(remarks)


def _is_role(folder: Path) -> bool:
    """Tells whether a folder is named for a role, and is not itself the folder of a class of that name."""
    return folder.name.lower() in _ROLE_OF_FOLDER and any(_sounds(inner) for inner in _folders(folder))


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
    return [path for path in _entries(folder) if path.is_dir() and not path.name.startswith(".")]


def _sounds(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if is_sound(path)]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted; nothing if it cannot be searched, which `_elsewhere` remarks on."""
    with suppress(PermissionError):
        return sorted(folder.iterdir())
    return []
