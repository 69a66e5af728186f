"""No table at all: a folder of sound files for each class, maybe in folders for curated, noisy and test."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .. import files
from ..errors import counted
from ..soundwalk import is_sound, sounds_below
from . import clip_list
from .listing import Listing, Row, split_labels

_ROLE_OF_FOLDER = {"curated": "curated", "train": "curated", "noisy": "noisy", "test": "test"}


def find(root: Path) -> Listing | None:
    """The clips of a folder for each class, all of them curated, or of such folders in folders named for a role.

    A clip's fname is its path in `root`. A folder's name is the label, or several, separated by commas. Where any such
    folder holds sound files itself, those deeper in it and in the others count as well. These are remarked on, and so
    are sound files that lie elsewhere, and tables.
    """
    roles = {folder: _ROLE_OF_FOLDER[folder.name.lower()] for folder in _folders(root) if _is_role(folder)}
    rows = [row for folder, role in (roles or {root: "curated"}).items() for row in _rows(root, folder, role)]
    if not rows:
        return None
    fnames = [row.fname for row in rows]
    remarks = _deeper(fnames, below=2 if roles else 1) + clip_list.why_not(root) + _elsewhere(root, fnames)
    return Listing(root, rows, remarks=remarks, own=True)


def why_not(root: Path) -> tuple[str, ...]:
    """A line on the sound files that there are in `root` or a little deeper, where no folder in it is that of a class.

    Only so deep as it takes to say which folder may be meant.
    """
    alone = _sounds(root)
    if alone:
        what = f"{counted(len(alone), 'sound file')} in no folder, the first {files.text_of(alone[0].name)}"
        return (f"it holds {what}: put them in a folder for each class, or list them in a table",)
    for outer in _folders(root):
        for inner in _folders(outer):
            if first := next(iter(_sounds(inner)), None):
                return (
                    f"sound files lie deeper, as {files.text_of(first.relative_to(root).as_posix())}: give "
                    f"{files.text_of(outer)} if the folders in it are the classes, or list the files in a table",
                )
    return ()


def _deeper(fnames: Sequence[str], *, below: int) -> tuple[str, ...]:
    """A line on the files that lie more than `below` folders deep, where there are any."""
    deep = [fname for fname in fnames if fname.count("/") > below]
    if not deep:
        return ()
    where = f"{counted(len(deep), 'sound file')} in folders within those of classes"
    return (f"{where} have the label of the outer one; the first is {deep[0]}",)


def _elsewhere(root: Path, read: Iterable[str]) -> tuple[str, ...]:
    """A line on the sound files in `root`, at any depth, that are not among those `read`, where there are any."""
    known = set(read)
    # `read` are names in UTF-8, with escapes for what is none.
    others = [one for one in sounds_below(root) if files.text_of(one.relative_to(root).as_posix()) not in known]
    sounds = [one for one in others if is_sound(one)]
    closed = sorted(set(others).difference(sounds))
    remarks = [f"{files.text_of(one)}: a folder that may not be searched, so nothing in it is read" for one in closed]
    if sounds:
        remarks.append(
            f"{counted(len(sounds), 'sound file')} in no class's folder, so not read; "
            f"the first is {files.text_of(sounds[0])}"
        )
    return tuple(remarks)


def _is_role(folder: Path) -> bool:
    """Tells whether a folder is named for a role, and is not itself the folder of a class of that name."""
    return folder.name.lower() in _ROLE_OF_FOLDER and _holds_classes(folder)


def _holds_classes(folder: Path) -> bool:
    """Tells whether any folder in `folder` holds sound files itself; were all deeper, they would not be the classes."""
    return any(_sounds(inner) for inner in _folders(folder))


def _rows(root: Path, folder: Path, role: str) -> Iterator[Row]:
    for named in _folders(folder) if _holds_classes(folder) else ():
        # What may not be searched comes along, and is no sound file.
        for sound in filter(is_sound, sounds_below(named)):
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
