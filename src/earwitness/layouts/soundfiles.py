"""The file that a row means, whatever its suffix."""

import os
from contextlib import suppress
from pathlib import Path

from ..audio import SUFFIXES


class SoundFiles:
    """Finds files. Lists each folder once: asking for 25,000 one by one takes minutes over a network."""

    def __init__(self) -> None:
        self._names_by_stem: dict[Path, dict[str, list[str]]] = {}

    def find(self, folder: Path, fname: str) -> Path | None:
        """The file `fname` in `folder`, else a sound file so called but for its suffix, else None."""
        wanted = folder / fname
        names = self._listed(wanted.parent)
        if wanted.name in names.get(wanted.stem, ()):
            return wanted
        # First the whole name: a table may leave the suffix out, and 'take.2' is then not the stem 'take'.
        candidates = names.get(wanted.name, []) + names.get(wanted.stem, [])
        sounds = (name for name in candidates if Path(name).suffix.lower() in SUFFIXES)
        return next((wanted.with_name(name) for name in sounds), None)

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names_by_stem:
            self._names_by_stem[folder] = _names_by_stem(folder)
        return self._names_by_stem[folder]


def _names_by_stem(folder: Path) -> dict[str, list[str]]:
    """The names of the files in `folder` by their stem, sorted; none if it cannot be listed."""
    names: dict[str, list[str]] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for name in sorted(entry.name for entry in entries if entry.is_file()):
            names.setdefault(Path(name).stem, []).append(name)
    return names
