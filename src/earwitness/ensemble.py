"""Several systems as one: their score tables averaged, or their models in one pass over the sound.

Report: section 3. How the scores of the systems are averaged is not said there; the arithmetic mean is what it uses
for the patches of a clip (section 2.7), and what is used here unless told otherwise (docs/paper.md, row 28).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from . import longsound, tables
from .errors import ModelError, RecipeError, TableError, some_of
from .labels import Vocabulary
from .longsound import LogMel
from .recipe import Features, Precision, Windows
from .tagging import Floats, Tagged, Tagger, best_first, log_mel_of_waveform, tag_each

How: TypeAlias = Literal["arithmetic", "geometric", "rank"]
Scores: TypeAlias = NDArray[np.float64]


class Mean(NamedTuple):
    """Which mean is taken, and the members' weights in their order; none for equal ones."""

    how: How = "arithmetic"
    weights: tuple[float, ...] = ()


EQUAL = Mean()


class ScoreTable(NamedTuple):
    """Scores (clips, classes) with the names of their rows and columns, and where they come from."""

    source: str
    fnames: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Scores


def combine_scores(
    members: Sequence[Scores], *, how: How = "arithmetic", weights: Sequence[float] | NDArray[np.floating] = ()
) -> Scores:
    """Returns the weighted mean of score tables of one shape, (clips, classes) or (classes,).

        arithmetic  sum_k w_k s_k
        geometric   exp(sum_k w_k log s_k), which lets a low score of one member weigh more; 0 where one says 0
        rank        sum_k w_k rank(s_k) / classes

    Ranks are counted from 1, the lowest score, among the classes of one clip, equal scores sharing their mean: lwlrap
    ranks the classes of every clip by itself and asks no more of a table, so members weigh the same however their
    scores are spread. The weights w_k are scaled to sum 1; without any, all are equal.
    Raises ValueError for no members, other shapes, weights that are no weights, and logarithms of negative scores.
    """
    if not members or len({member.shape for member in members}) > 1:
        raise ValueError(f"members must have one shape, not {[member.shape for member in members]}")
    shares = np.array(weights if len(weights) else [1.0] * len(members), np.float64)
    if shares.shape != (len(members),) or not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError(f"{len(members)} members need a weight of 0 or more each, not all 0: {list(weights)}")
    if how == "geometric" and any((member < 0).any() for member in members):
        raise ValueError("the geometric mean is of scores of 0 or more")
    # A member without weight is left out: 0 times the logarithm of 0 is not 0.
    parts = [
        share * _as_summed(member, how) for share, member in zip(shares / shares.sum(), members, strict=True) if share
    ]
    mean = np.sum(parts, axis=0)
    return np.asarray(np.exp(mean) if how == "geometric" else mean)


def mean_of(members: int, how: str, weights: str | None = None) -> Mean:
    """Returns the mean asked for in words: a kind, and weights with commas between; RecipeError for what is none."""
    for known in get_args(How):
        if how == known:
            return Mean(known, () if weights is None else _weights(members, weights))
    raise RecipeError(f"no mean called {how}; take one of {', '.join(get_args(How))}")


def _weights(members: int, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RecipeError(f"weights {text}: not numbers with commas between; write them like 2,1,0.5") from None
    if len(found) != members:
        raise RecipeError(f"weights {text}: {len(found)} for {members} members; give one each")
    if not (all(weight >= 0 for weight in found) and 0 < sum(found) < math.inf):
        raise RecipeError(f"weights {text}: below 0, infinite, or all 0; give weights of 0 or more")
    return found


def _as_summed(scores: Scores, how: How) -> Scores:
    if how == "geometric":
        with np.errstate(divide="ignore"):  # minus infinity, whose exponential is the 0 that is meant
            return np.log(scores)
    return np.apply_along_axis(_ranks, -1, scores) / scores.shape[-1] if how == "rank" else scores


def _ranks(row: Scores) -> Scores:
    """Returns the rank of every score in a row, 1 for the lowest; equal ones share the mean of their ranks."""
    ordered = np.sort(row)
    return (np.searchsorted(ordered, row, "left") + np.searchsorted(ordered, row, "right") + 1) / 2


def read_table(path: Path) -> ScoreTable:
    """Returns a CSV of scores in the challenge's form. TableError as `tables.read_scores`."""
    fnames, scores, classes = tables.read_scores(path)
    return ScoreTable(str(path), fnames, classes, scores)


def average_tables(members: Sequence[ScoreTable], mean: Mean = EQUAL) -> ScoreTable:
    """Returns the mean of score tables as `combine_scores` takes it, in the order of the first one's rows and columns.

    Raises TableError where a table has not the same clips and classes as the first, naming up to three of them, and
    for a geometric mean with negative scores.
    """
    first = members[0]
    if mean.how == "geometric":
        for member in members:
            _refuse_negative(member)
    scores = combine_scores([aligned(member, first) for member in members], how=mean.how, weights=mean.weights)
    return ScoreTable(" + ".join(member.source for member in members), first.fnames, first.classes, scores)


def aligned(table: ScoreTable, model: ScoreTable) -> Scores:
    """Returns a table's scores in the order of another one's rows and columns; TableError where they are others."""
    rows = _places(table.fnames, model.fnames, "clips", table.source, model.source)
    columns = _places(table.classes, model.classes, "classes", table.source, model.source)
    return table.scores[np.ix_(rows, columns)]


class EnsembleTagger:
    """Several taggers as one: each clip is read once for each kind of features, and scored by all.

    Every member keeps its own normalisation, patches, windows and passes. `scores`, `tag`, `tag_many`, `vocabulary` and
    `digest` are as those of a `Tagger`.
    Raises ModelError, with its name, for a member whose classes are not those of the first, in their order.
    """

    def __init__(self, members: Sequence[Tagger], *, names: Sequence[str], mean: Mean = EQUAL) -> None:
        for name, member in zip(names, members, strict=True):
            _refuse_other_classes(name, member.vocabulary, names[0], members[0].vocabulary)
        self.members, self.mean = tuple(members), mean
        self.vocabulary = members[0].vocabulary
        self.digest = self._digest() if all(member.digest for member in members) else ""

    @classmethod
    def load(
        cls,
        folders: Sequence[str | Path],
        *,
        mean: Mean = EQUAL,
        hop_frames: int | None = None,
        device: str | None = None,
        windows: Windows = "exact",
        precision: Precision = "float32",
        threads: int | None = None,
    ) -> "EnsembleTagger":
        """Opens several model folders; `hop_frames` replaces the distance of windows in all recipes. ModelError.

        `device`, `windows`, `precision` and `threads` are as in `Tagger.load`. ValueError where `folders` is no list of
        any.
        """
        if isinstance(folders, str | Path) or not folders:
            raise ValueError(f"folders is a list of at least one model's folder, not {folders!r}")
        members = [
            Tagger.load(folder, device=device, windows=windows, precision=precision, threads=threads)
            for folder in folders
        ]
        if hop_frames is not None:
            members = [member.with_hop(hop_frames) for member in members]
        return cls(members, names=[str(folder) for folder in folders], mean=mean)

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the sound that the members hear; the highest, where they hear it at several."""
        return max(member.sample_rate_hz for member in self.members)

    def scores(self, waveform: Floats, *, sample_rate_hz: float | None = None) -> Scores:
        """Returns the scores (classes,) of a waveform (samples,), untrimmed; `sample_rate_hz` None: the members' own.

        It is resampled for each member that hears it at another rate. ValueError as `Tagger.scores`.
        """
        rate_hz = self.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
        return self._score({kind: log_mel_of_waveform(waveform, rate_hz, kind) for kind in self._kinds()})

    def tag(self, path: str | Path) -> dict[str, float]:
        """Returns a file's classes with their scores in [0, 1], the highest first. AudioError if it can't be read."""
        return best_first(self._score(self._read(Path(path))), self.vocabulary)

    def tag_many(self, paths: Iterable[str | Path]) -> Iterator[Tagged]:
        """Yields every file's scores in the order given; a bad file yields its error, and the rest go on."""
        yield from tag_each(paths, self._read, self._score)

    def _read(self, path: Path) -> dict[Features, LogMel]:
        """Returns a file's log-mels, one for each kind of features among the members."""
        return {kind: longsound.read(path, kind) for kind in self._kinds()}

    def _kinds(self) -> dict[Features, None]:
        """Returns the kinds of features among the members, each once."""
        return dict.fromkeys(member.recipe.features for member in self.members)

    def _score(self, log_mels: Mapping[Features, LogMel]) -> Scores:
        scores = [member.scores_of_log_mel(log_mels[member.recipe.features]) for member in self.members]
        return combine_scores(scores, how=self.mean.how, weights=self.mean.weights)

    def _digest(self) -> str:
        content = repr(([member.digest for member in self.members], *self.mean))
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def _places(found: Sequence[str], wanted: Sequence[str], what: str, table: str, model: str) -> list[int]:
    """Returns where each wanted name stands among those found; TableError where they are not the same names."""
    place = {name: position for position, name in enumerate(found)}
    faults = {
        "lacks": [name for name in wanted if name not in place],
        "alone has": sorted(place.keys() - set(wanted)),
    }
    complaints = [f"it {fault} {some_of(names)}" for fault, names in faults.items() if names]
    if complaints:
        raise TableError(
            f"{table}: its {what} are not those of {model}: {', '.join(complaints)}; give tables of the same {what}"
        )
    return [place[name] for name in wanted]


def _refuse_other_classes(name: str, found: Vocabulary, first: str, wanted: Vocabulary) -> None:
    if found.names == wanted.names:
        return
    here = [each for each in wanted.names if each not in found] + [each for each in found.names if each not in wanted]
    raise ModelError(
        f"{name}: its classes are not those of {first}: {some_of(here) if here else 'they stand in another order'}; "
        "give models of one vocabulary"
    )


def _refuse_negative(table: ScoreTable) -> None:
    for row, column in np.argwhere(table.scores < 0)[:1]:
        raise TableError(
            f"{table.source}: the score of {table.fnames[row]} for {table.classes[column]} is below 0, and has no "
            "logarithm; take the arithmetic or rank mean"
        )
