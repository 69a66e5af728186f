"""Which set of labels a clip truly has, from what is heard and what is given: all small sets are weighed.

A clip truly holds no class of the vocabulary, one, or two. Every such set S explains what is heard and what is given:

    P(S | heard, given)  ~  P(S) * product over c in S of odds_c(heard) / prior odds * P(given | S)

P(S) = rho_|S| * product of the classes' shares, which, like the chance of the empty set, depend on the context: where
a recording comes from says much about what can be in it. P(given | S): a class in S is given with probability kept_c,
one that is not with false_c, or with lost_c where S is empty: clips that hold nothing of the vocabulary carry a label
all the same, and often always the same one. A clip without any given label never occurs, and P(given | S) is divided
by the chance that there is one. All these rates are found without the truth, by expectation maximisation over the
clips themselves; what is heard is calibrated beforehand and stays as it is.

No set is written out. All but that last chance is a product over classes, and that chance is no matter of the clip: a
pair's weight is factor_a * factor_b * pairs_ab, and what is believed of a class is a sum over pairs, factor @ pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST_RATE = 1e-5
# (clips, classes) entries that are held at a time: 8 MB of float64 for each of a dozen arrays.
_BLOCK_ENTRIES = 1_000_000


@dataclass(frozen=True)
class LabelModel:
    """How labels come about: `size` (3,) weights of sets of 0, 1, 2 classes, `share` (classes,) of each class among
    true ones, `kept`, `false`, `lost` (classes,) the rates of the module's docstring; `slopes` (1 + classes, contexts)
    by how much a unit of each context moves the log-odds of the empty set, and of each class."""

    size: Array
    share: Array
    kept: Array
    false: Array
    lost: Array
    slopes: Array


class Clips(NamedTuple):
    """What is known of clips: heard_odds (clips, classes), the log of each class's odds in what is heard, divided by
    its prior odds; given (clips, classes) labels; context (clips, contexts), of mean 0 and deviation 1 or so."""

    heard_odds: Array
    given: Array
    context: Array

    def part(self, block: slice | NDArray[np.bool_]) -> "Clips":
        """Returns some of the clips."""
        return Clips(self.heard_odds[block], self.given[block], self.context[block])


class Belief(NamedTuple):
    """What is believed of clips: P(truly present) (clips, classes), and P(nothing of the vocabulary) (clips,)."""

    present: Array
    empty: Array


class _Chances(NamedTuple):
    """What a model comes to, whatever the clip: the rates within limits, (classes,); P(S) before shares and contexts of
    the empty set, of a class alone and of a pair; P(any given | S) of the empty set, of each class alone (classes,) and
    of pairs (classes, classes). `pairs` is `pair` over the last, 0 where a class would be its own partner."""

    kept: Array
    false: Array
    lost: Array
    empty: float
    alone: float
    pair: float
    empty_given: float
    alone_given: Array
    pairs_given: Array
    pairs: Array


class _Sets(NamedTuple):
    """P(S) of all sets of at most two classes, of each clip: of the `empty` one (clips,); by class, of it `alone` and
    of it `paired` with any other, (clips, classes). A pair's own is factor_a * factor_b * pairs_ab, with the pairs that
    it was weighed by."""

    empty: Array
    alone: Array
    paired: Array
    factor: Array

    @property
    def present(self) -> Array:
        """P(class) (clips, classes)."""
        return self.alone + self.paired

    @property
    def sizes(self) -> Array:
        """P(0, 1, 2 classes) (clips, 3)."""
        return np.column_stack([self.empty, self.alone.sum(axis=1), self.paired.sum(axis=1) / 2])

    @property
    def sloped(self) -> Array:
        """P of what has a slope, the empty set and each class, (clips, 1 + classes)."""
        return np.column_stack([self.empty, self.present])


class Shrinkage(NamedTuple):
    """How many clips' worth the rates of all classes together count against a class's own."""

    rates_clips: float = 20.0
    share_clips: float = 20.0
    slope_clips: float = 20.0


class Tally(NamedTuple):
    """Sums over clips that the rates follow from: sizes (3,), and by class: present, present and given, empty and
    given, absent and given though not empty; what the model expects of sizes and classes without looking at what is
    given; slope and bend of the likelihood in the model's slopes. The three `all_` count, beside the clips there are,
    those that are not there because no label was given to them: 1 / P(any given | S) - 1 for each that is there."""

    size: Array
    present: Array
    present_given: Array
    empty_given: Array
    absent_given: Array
    all_empty: Array
    all_present: Array
    all_absent: Array
    expected_size: Array
    expected_present: Array
    slope: Array
    bend: Array


def begin(classes: int, *, contexts: int = 0, kept: float = 0.5, false: float = 0.3, lost: float = 1.2) -> LabelModel:
    """Returns a model to start from: `kept` of true labels given, `false` and `lost` wrong ones a clip."""
    flat = np.ones(classes)
    return LabelModel(
        np.array([0.3, 0.6, 0.1]), flat / classes, flat * kept, flat * false / classes, flat * lost / classes,
        np.zeros((1 + classes, contexts)),
    )  # fmt: skip


def fit(clips: Clips, start: LabelModel, *, shrinkage: Shrinkage, steps: int = 30) -> LabelModel:
    """Returns the model that explains the given labels best beside what is heard."""
    model = start
    for _ in range(steps):
        model = _improved(model, _tally(clips, model), shrinkage)
    return model


def believe(clips: Clips, model: LabelModel) -> Belief:
    """Returns what to believe of clips after hearing them and reading their labels."""
    chances = _chances(model)
    parts = [_posterior(block, model, chances) for block in _blocks(clips)]
    return Belief(np.concatenate([part.present for part in parts]), np.concatenate([part.empty for part in parts]))


def confusions(clips: Clips, model: LabelModel) -> Array:
    """Returns (given, true) expected numbers of clips given one class, not truly there, that truly hold another."""
    chances = _chances(model)
    total = np.zeros_like(chances.pairs)
    for block in _blocks(clips):
        posterior = _posterior(block, model, chances)
        total += block.given.T @ posterior.present
        # Where a pair is there and one of it is given, the given one is no confusion with the other.
        both = (block.given * posterior.factor).T @ posterior.factor
        total -= both * chances.pairs
    np.fill_diagonal(total, 0.0)
    return np.maximum(total, 0.0)


def _improved(model: LabelModel, tally: Tally, shrinkage: Shrinkage) -> LabelModel:
    rates, shares = shrinkage.rates_clips, shrinkage.share_clips
    size = model.size * (tally.size + 2.0) / (tally.expected_size + 2.0)
    share = model.share * (tally.present + shares) / (tally.expected_present + shares)
    slopes = model.slopes
    if slopes.size:
        ridge = shrinkage.slope_clips
        bend = tally.bend + ridge * np.eye(slopes.shape[1])
        step = np.linalg.solve(bend, (tally.slope - ridge * slopes)[:, :, None])[:, :, 0]
        slopes = slopes + np.clip(step, -0.5, 0.5)
    return LabelModel(
        size=size / size.sum(),
        share=share / share.sum(),
        kept=_rate(tally.present_given, tally.all_present, rates, 0.995),
        false=_rate(tally.absent_given, tally.all_absent, rates, 0.5),
        lost=_rate(tally.empty_given, tally.all_empty, rates, 0.9),
        slopes=slopes,
    )


def _rate(hits: Array, clips: Array, shrinkage_clips: float, most: float) -> Array:
    common = hits.sum() / max(clips.sum(), 1e-9)
    return np.asarray(np.clip((hits + shrinkage_clips * common) / (clips + shrinkage_clips), _LEAST_RATE, most))


def _tally(clips: Clips, model: LabelModel) -> Tally:
    chances = _chances(model)
    sums: list[Array] | None = None
    for block in _blocks(clips):
        happened, expected = _posterior(block, model, chances), _heard_alone(block, model, chances)
        present, empty, given = happened.present, happened.empty[:, None], block.given
        absent = 1.0 - present - empty
        # The same, each set with those clips of it that nobody gave a label to.
        whole_empty = happened.empty / chances.empty_given
        alone = happened.alone / chances.alone_given
        paired = _paired(happened.factor, chances.pairs / chances.pairs_given)
        whole_present = alone + paired
        whole_some = alone.sum(axis=1) + paired.sum(axis=1) / 2
        sloped, context = expected.sloped, block.context
        found = [
            happened.sizes.sum(0), present.sum(0), (present * given).sum(0), (empty * given).sum(0),
            (absent * given).sum(0), np.full(given.shape[1], whole_empty.sum()), whole_present.sum(0),
            whole_some.sum() - whole_present.sum(0), expected.sizes.sum(0), expected.present.sum(0),
            (happened.sloped - sloped).T @ context,
            np.einsum("ne,na,nb->eab", sloped * (1.0 - sloped), context, context, optimize=True),
        ]  # fmt: skip
        sums = found if sums is None else [total + part for total, part in zip(sums, found, strict=True)]
    assert sums is not None
    return Tally(*sums)


def _chances(model: LabelModel) -> _Chances:
    kept, false, lost = (
        np.clip(rate, _LEAST_RATE, 1.0 - _LEAST_RATE) for rate in (model.kept, model.false, model.lost)
    )
    classes = len(kept)
    # Of all classes none is given where none is present; each one present instead changes that by a factor.
    none, changed = np.exp(np.log1p(-false).sum()), (1.0 - kept) / (1.0 - false)
    empty, alone, pair = model.size / np.array([1, classes, max(1, classes * (classes - 1) // 2)])
    pairs_given = 1.0 - none * np.outer(changed, changed)
    return _Chances(
        kept, false, lost, float(empty), float(alone), float(pair), float(-np.expm1(np.log1p(-lost).sum())),
        1.0 - none * changed, pairs_given, pair * (1.0 - np.eye(classes)) / pairs_given,
    )  # fmt: skip


def _heard_alone(clips: Clips, model: LabelModel, chances: _Chances) -> _Sets:
    """Returns P(S | heard)."""
    empty, factors = _log_heard(clips, model)
    return _weighed(empty, factors, chances.empty, chances.alone, chances.pair)


def _posterior(clips: Clips, model: LabelModel, chances: _Chances) -> _Sets:
    """Returns P(S | heard, given), whose pairs are those of P(S) over P(any given | S)."""
    empty, factors = _log_heard(clips, model)
    false = chances.false
    # Of the labels given and not given, relative to their chances where classes are there and these are not.
    for_lost = _log_odds(chances.lost) - _log_odds(false)
    empty = empty + clips.given @ for_lost + (np.log1p(-chances.lost) - np.log1p(-false)).sum()
    factors = factors + clips.given * (_log_odds(chances.kept) - _log_odds(false))
    factors += np.log1p(-chances.kept) - np.log1p(-false)
    return _weighed(
        empty, factors, chances.empty / chances.empty_given, chances.alone / chances.alone_given, chances.pairs
    )


def _log_heard(clips: Clips, model: LabelModel) -> tuple[Array, Array]:
    """Returns log weights of the empty set (clips,) and of each class (clips, classes), but for the sets' sizes."""
    moved = clips.context @ model.slopes.T
    return moved[:, 0], clips.heard_odds + moved[:, 1:] + np.log(model.share * len(model.share))


def _weighed(log_empty: Array, log_factors: Array, empty: float, alone: Array | float, pairs: Array | float) -> _Sets:
    """Returns P(S) from clips' log weights, (clips,) and (clips, classes), and what sets weigh whatever the clip: the
    same for all classes alone, or all pairs, where it is a number."""
    # The largest pair, class or empty set of a clip weighs 1 or so: nothing overflows.
    level = np.maximum(np.maximum(log_factors.max(axis=1), log_empty / 2), 0.0)
    factor = np.exp(log_factors - level[:, None])
    by_empty, by_alone = empty * np.exp(log_empty - 2 * level), alone * factor * np.exp(-level)[:, None]
    by_pairs = _paired(factor, pairs)
    total = by_empty + by_alone.sum(axis=1) + by_pairs.sum(axis=1) / 2
    each = total[:, None]
    return _Sets(by_empty / total, by_alone / each, by_pairs / each, factor / np.sqrt(each))


def _paired(factor: Array, pairs: Array | float) -> Array:
    """Returns the weight of each class's pairs with all others, (clips, classes); pairs have a diagonal of 0."""
    if isinstance(pairs, float):
        # A sum in place of a product of matrices; rounding must not leave less than nothing of it.
        return np.asarray(factor * pairs * np.maximum(factor.sum(axis=1, keepdims=True) - factor, 0.0))
    return np.asarray(factor * (factor @ pairs))


def _log_odds(rate: Array) -> Array:
    return np.asarray(np.log(rate) - np.log1p(-rate))


def _blocks(clips: Clips) -> Iterator[Clips]:
    size = max(1, _BLOCK_ENTRIES // clips.given.shape[1])
    return (clips.part(slice(start, start + size)) for start in range(0, len(clips.given), size))
