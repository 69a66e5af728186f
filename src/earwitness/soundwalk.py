"""The sound files below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from .audio import SUFFIXES


def sounds_below(top: Path) -> Iterator[Path]:
    """Yields the sound files in `top` at any depth, folder by folder.

    Hidden files and folders are left out, and no link to a folder is followed. Folders that cannot be searched come
    last, as if they were files: reading them says why.
    """
    closed: list[Path] = []
    for folder, inner, names in os.walk(top, onerror=lambda error: closed.append(Path(error.filename))):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (path for name in sorted(names) if is_sound(path := Path(folder, name)))
    yield from closed


def is_sound(path: Path) -> bool:
    """Tells whether a path names a sound file, by its suffix, that is there and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and may_be_file(path)


def is_folder(path: Path) -> bool:
    """Tells whether a path is a folder; one that is too long to be any, or where nobody may look, is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path's raises at these


def may_be_file(entry: Path | os.DirEntry[str]) -> bool:
    """Tells whether there is a file, or what may stand for one: a link that leads nowhere, as to a file that was not
    fetched, and what cannot be told, as its folder lets nobody look. Reading it says what is wrong."""
    try:
        return entry.is_file() or (entry.is_symlink() and not entry.is_dir())
    except OSError:
        return True
