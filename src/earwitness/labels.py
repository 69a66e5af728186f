"""Names of classes, and the rows of zeros and ones they stand for."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import TableError


@dataclass(frozen=True)
class Vocabulary:
    """The classes a tagger knows, in the order of its columns.

    Raises TableError where there are no names, a name is blank, or one stands twice.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise TableError("the vocabulary is empty: it needs at least one name")
        seen: set[str] = set()
        for position, name in enumerate(self.names):
            if not name.strip():
                raise TableError(f"name {position} of the vocabulary (counting from 0) is blank: give it a name")
            if name in seen:
                raise TableError(f"{name!r} stands twice in the vocabulary: remove one")
            seen.add(name)

    @classmethod
    def from_labels(cls, label_sets: Iterable[Iterable[str]]) -> "Vocabulary":
        """The names that occur in `label_sets`, sorted by code point (whatever the locale)."""
        return cls(tuple(sorted({name for labels in label_sets for name in labels})))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    def alike(self) -> tuple[tuple[str, ...], ...]:
        """Groups of names that only letter case, spaces, punctuation or the encoding of accents tell apart."""
        found: dict[str, list[str]] = {}
        for name in self.names:
            plain = unicodedata.normalize("NFC", name).casefold()
            found.setdefault(re.sub(r"[\W_]+", " ", plain).strip(), []).append(name)
        return tuple(tuple(names) for names in found.values() if len(names) > 1)

    def index(self, name: str, *, where: str | None = None) -> int:
        """The column of `name`, counting from 0.

        Raises TableError, opened by `where` (file, row, field) if given, that names the nearest known name.
        """
        try:
            return self._positions[name]
        except KeyError:
            place = f"{where}: " if where else ""
            raise TableError(
                f"{place}unknown label {name!r}, the nearest known is {self._nearest(name)!r}: "
                "correct it, or add it to the vocabulary"
            ) from None

    def encode(self, labels: Iterable[str], *, where: str | None = None) -> NDArray[np.float32]:
        """(classes,) float32: 1 at each of `labels`, 0 elsewhere. Raises TableError as `index` does."""
        row = np.zeros(len(self), dtype=np.float32)
        row[[self.index(name, where=where) for name in labels]] = 1
        return row

    def encode_all(self, label_sets: Sequence[Iterable[str]]) -> NDArray[np.float32]:
        """(clips, classes) float32: the row of each of `label_sets`. Raises TableError as `index` does."""
        rows = np.zeros((len(label_sets), len(self)), dtype=np.float32)
        for row, labels in zip(rows, label_sets, strict=True):
            row[:] = self.encode(labels)
        return rows

    def decode(self, row: ArrayLike) -> tuple[str, ...]:
        """The names whose entry of `row` (classes,) is above one half, in vocabulary order.

        Raises ValueError for a row of another length.
        """
        values = np.asarray(row)
        if values.shape != (len(self),):
            raise ValueError(f"a row must have shape ({len(self)},), not {values.shape}")
        return tuple(self.names[position] for position in np.flatnonzero(values > 0.5))

    def doubled(self) -> tuple[str, ...]:
        """The names of the doubled classes: the originals, then all of them played backwards.

        Report: section 2.2.
        """
        return self.names + tuple(f"{name}_reversed" for name in self.names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def _nearest(self, name: str) -> str:
        """The known name most like `name`, however unlike; letter case does not count."""
        known = {candidate.casefold(): candidate for candidate in self.names}
        return known[get_close_matches(name.casefold(), known, n=1, cutoff=0)[0]]
