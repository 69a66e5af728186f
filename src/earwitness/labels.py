"""Names of classes, and the rows of zeros and ones they stand for."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property
from itertools import combinations

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
            found.setdefault(" ".join(_words(name)), []).append(name)
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


# A misspelt name is rarer than the right one; two names as frequent as each other are more likely two classes.
_TIMES_RARER = 3
_SHORTEST_WORD = 3
_HIGH_RATIO = 0.85


def misspelt(clips: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of names of which the first may be the second misspelt; `clips` are how many each has.

    Those are names that differ in one letter of one word of some length, or in two that changed places, where the first
    has a third of the other's clips at most; and names that differ in blanks or a plural alone, of which the rarer is
    the first. Names that differ in a digit are none, nor those that `Vocabulary.alike` has. The work grows with the
    names, not with their pairs.
    """
    sharing: dict[str, list[str]] = {}
    for name in clips:
        for spelling in _less_a_letter(_joined(name)):
            sharing.setdefault(spelling, []).append(name)
    pairs = {pair for names in sharing.values() for pair in combinations(names, 2)}
    ordered = (sorted(pair, key=lambda name: (clips[name], name)) for pair in pairs)
    return sorted((rare, other) for rare, other in ordered if _may_be_one(rare, other, clips))


def _may_be_one(rare: str, other: str, clips: Mapping[str, int]) -> bool:
    mine, others = _words(rare), _words(other)
    if mine == others or re.sub(r"\D", "", rare) != re.sub(r"\D", "", other):
        return False
    shorter, longer = sorted((_joined(rare), _joined(other)), key=len)
    if longer == shorter or (len(shorter) >= _SHORTEST_WORD and longer in (f"{shorter}s", f"{shorter}es")):
        return True
    differing = [(one, two) for one, two in zip(mine, others, strict=False) if one != two]
    if len(mine) != len(others) or len(differing) > 1 or clips[rare] * _TIMES_RARER > clips[other]:
        return False
    ((one, two),) = differing
    swapped = sorted(one) == sorted(two)
    return min(len(one), len(two)) >= _SHORTEST_WORD and (
        swapped or SequenceMatcher(None, one, two, autojunk=False).ratio() >= _HIGH_RATIO
    )


def _words(name: str) -> list[str]:
    """The words of a name, without what does not tell names apart."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name).casefold()).split()


def _joined(name: str) -> str:
    return "".join(_words(name))


def _less_a_letter(text: str) -> set[str]:
    """A text, and what is left of it without one of its letters, or a plural's two: texts that share one are near."""
    return {text, text.removesuffix("es"), *(text[:place] + text[place + 1 :] for place in range(len(text)))}
