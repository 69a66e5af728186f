"""The file that a row means, whatever its suffix, and however other systems spell its name."""

import errno
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from ..audio import SUFFIXES
from ..soundwalk import is_folder, may_be_file, sounds_below

# What a system says of a folder that is not there.
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}


@dataclass
class _Listing:
    """What a folder holds: files by their stem, and by their stem as `plain_name` has it; folders by their name so.

    numbers: sound files whose stem is a number, by that number without zeros at its front. closed: why the folder
    cannot be listed, where it is not just absent.
    """

    by_stem: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    alike: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    folders: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    closed: str | None = None


class SoundFiles:
    """Finds files. Lists each folder once: asking for 25,000 one by one takes minutes over a network."""

    def __init__(self) -> None:
        self._listings: dict[Path, _Listing] = {}
        self._below: dict[Path, dict[str, list[Path]]] = {}

    def find(self, folder: Path, fname: str) -> Path | None:
        """The file `fname` in `folder`, else a sound file so called but for its suffix, else one spelt otherwise.

        Spelt otherwise: in another letter case, with accents encoded in another way, or with backslashes between
        folders. None where there is no such file, or several are spelt otherwise.
        """
        wanted = folder / fname
        names = self._listed(wanted.parent).by_stem
        if wanted.name in names.get(wanted.stem, ()):
            return wanted
        # First the whole name: a table may leave the suffix out, and 'take.2' is then not the stem 'take'.
        candidates = _sounds([*names.get(wanted.name, ()), *names.get(wanted.stem, ())])
        return wanted.with_name(candidates[0]) if candidates else self._spelt_otherwise(folder, fname)

    def find_by_last_parts(self, root: Path, fname: str) -> Path | None:
        """The file below `root` that an absolute name of another place means, by as many of its last parts as match.

        The name may be one of Windows. None where there is no such file, or the name is not absolute.
        """
        if not is_absolute(fname):
            return None
        parts = PureWindowsPath(fname).parts  # at slashes as well
        ends = ("/".join(parts[start:]) for start in range(1, len(parts)))
        return next((found for end in ends if (found := self.find(root, end))), None)

    def find_below(self, root: Path, fname: str) -> list[Path]:
        """The sound files below `root`, at any depth, whose paths end in `fname`, whatever their suffixes and spelling.

        All folders below are searched, once.
        """
        if root not in self._below:
            by_stem: dict[str, list[Path]] = defaultdict(list)
            for path in sounds_below(root):
                by_stem[plain_stem(path.name)].append(path)
            self._below[root] = by_stem
        stem, name = plain_stem(fname), plain_name(fname)
        alike = self._below[root].get(stem.rpartition("/")[2], [])
        found = [path for path in alike if f"/{plain_stem(str(path))}".endswith(f"/{stem}")]
        return [path for path in found if f"/{plain_name(str(path))}".endswith(f"/{name}")] or found

    def of_number(self, folder: Path, fname: str) -> str | None:
        """The only sound file in `folder` whose name is the number `fname`, but for zeros at its front; else None."""
        names = self._listed(folder).numbers.get(fname.lstrip("0"), []) if fname.isdecimal() else []
        return names[0] if len(names) == 1 else None

    def closed(self, folder: Path, fname: str) -> str | None:
        """Why nobody can look for the file `fname` in `folder`: what the system says of the folder that it is in."""
        return self._listed((folder / fname).parent).closed

    def _spelt_otherwise(self, folder: Path, fname: str) -> Path | None:
        *between, name = Path(fname.replace("\\", "/")).parts or ("",)
        for part in between:
            if not is_folder(folder / part):
                found = self._listed(folder).folders.get(plain_name(part), ())
                if len(found) != 1:
                    return None
                part = found[0]
            folder = folder / part
        names = self._listed(folder).alike
        stem = Path(name).stem
        same = [one for one in names.get(plain_name(stem), ()) if plain_name(one) == plain_name(name)]
        found = same or _sounds(dict.fromkeys([*names.get(plain_name(name), ()), *names.get(plain_name(stem), ())]))
        return folder / found[0] if len(found) == 1 else None

    def _listed(self, folder: Path) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _listing(folder)
        return self._listings[folder]


def _listing(folder: Path) -> _Listing:
    """What `folder` holds, its names sorted; nothing if it cannot be listed."""
    found = _Listing()
    try:
        with os.scandir(folder) as entries:
            held = sorted(entries, key=lambda one: one.name)
    except OSError as error:
        found.closed = None if error.errno in _NO_FOLDER else error.strerror
        return found
    for entry in held:
        if may_be_file(entry):
            stem = Path(entry.name).stem
            found.by_stem[stem].append(entry.name)
            found.alike[plain_name(stem)].append(entry.name)
            if stem.isdecimal() and _sounds([entry.name]):
                found.numbers[stem.lstrip("0")].append(entry.name)
        else:
            found.folders[plain_name(entry.name)].append(entry.name)
    return found


def _sounds(names: Iterable[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in SUFFIXES]


def is_absolute(name: str) -> bool:
    """Tells whether a name begins at the root of a disk, on any system."""
    return bool(PureWindowsPath(name).root)


def same_name(one: str, other: str) -> bool:
    """Tells whether two names are one but for what systems spell in their own ways."""
    return plain_name(one) == plain_name(other)


def plain_name(name: str) -> str:
    """A name without what systems spell in their own ways: letter case, accents as one character or two, slashes."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def plain_stem(name: str) -> str:
    """As `plain_name`, and without the suffix, where it is that of a sound file."""
    path = Path(name)
    return plain_name(name.removesuffix(path.suffix) if _sounds([name]) else name)
