"""Which set of labels a clip truly has, from what is heard and what is given: all small sets are weighed.

A clip truly holds no class of the vocabulary, one, or two. Every such set S explains what is heard and what is given:

    P(S | heard, given)  ~  P(S) * product over c in S of odds_c(heard) / prior odds * P(given | S)

P(S) = rho_|S| * product of the classes' shares, which, like the chance of the empty set, depend on the context: where
a recording comes from says much about what can be in it. P(given | S): a class in S is given with probability kept_c,
one that is not with false_c, or with lost_c where S is empty: clips that hold nothing of the vocabulary carry a label
all the same, and often always the same one. A clip without any given label never occurs, and P(given | S) is divided
by the chance that there is one. All these rates are found without the truth, by expectation maximisation over the
clips themselves; what is heard is calibrated beforehand and stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Singles = NDArray[np.float32]

_LEAST_RATE = 1e-5
# (clips, sets) entries that are held at a time: 32 MB of float64.
_BLOCK_ENTRIES = 4_000_000


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
    sets = _sets(len(model.share))
    parts = [
        (np.asarray(posterior @ _single(sets), np.float64), posterior[:, 0].astype(np.float64))
        for block in _blocks(clips, sets)
        for posterior in [_posterior(block, model, sets)[0]]
    ]
    return Belief(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def confusions(clips: Clips, model: LabelModel) -> Array:
    """Returns (given, true) expected numbers of clips given one class, not truly there, that truly hold another."""
    classes = len(model.share)
    sets = _sets(classes)
    first, second = np.triu_indices(classes, k=1)
    total = np.zeros((classes, classes))
    for block in _blocks(clips, sets):
        posterior, _ = _posterior(block, model, sets)
        total += block.given.T @ (posterior @ _single(sets))
        # Where a pair is there and one of it is given, the given one is no confusion with the other.
        pairs = posterior[:, 1 + classes :].T @ _single(block.given)
        order = np.arange(len(first))
        np.subtract.at(total, (first, second), pairs[order, first])
        np.subtract.at(total, (second, first), pairs[order, second])
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
    sets = _sets(len(model.share))
    events = np.hstack([np.eye(3)[sets.sum(axis=1).astype(int)], sets]).astype(np.float32)
    any_given = -np.expm1(np.log1p(-_rates_of(model, sets)).sum(axis=1))
    sums: list[Array] | None = None
    for block in _blocks(clips, sets):
        posterior, heard_alone = _posterior(block, model, sets)
        whole = np.asarray((posterior * _single(1.0 / any_given)) @ events, np.float64)
        # Columns: sets of 0, 1, 2 classes, then the classes; the empty set and the classes have slopes.
        happened, expected = (np.asarray(one @ events, np.float64) for one in (posterior, heard_alone))
        sloped = [0, *range(3, events.shape[1])]
        empty, present = happened[:, :1], happened[:, 3:]
        absent = 1.0 - present - empty
        variance, context = (expected * (1.0 - expected))[:, sloped], block.context
        found = [
            happened[:, :3].sum(0), present.sum(0), (present * block.given).sum(0),
            (empty * block.given).sum(0), (absent * block.given).sum(0), np.full(len(model.share), whole[:, 0].sum()),
            whole[:, 3:].sum(0), (whole[:, :3].sum(axis=1, keepdims=True) - whole[:, :1] - whole[:, 3:]).sum(0),
            expected[:, :3].sum(0), expected[:, 3:].sum(0), (happened - expected)[:, sloped].T @ context,
            np.einsum("ne,na,nb->eab", variance, context, context, optimize=True),
        ]  # fmt: skip
        sums = found if sums is None else [total + part for total, part in zip(sums, found, strict=True)]
    assert sums is not None
    return Tally(*sums)


def _posterior(clips: Clips, model: LabelModel, sets: Array) -> tuple[Singles, Singles]:
    """Returns P(set | heard, given) and P(set | heard), both (clips, sets)."""
    sizes = sets.sum(axis=1).astype(int)
    prior = np.log(model.size / np.maximum(np.bincount(sizes, minlength=3), 1))[sizes]
    moved = clips.context @ model.slopes.T
    odds = clips.heard_odds + moved[:, 1:] + np.log(model.share * len(model.share))
    heard = _single(odds) @ _single(sets).T + _single(prior)
    heard[:, 0] += _single(moved[:, 0])
    rate = _rates_of(model, sets)
    none_given = np.log1p(-rate).sum(axis=1)
    said = _single(clips.given) @ _single(np.log(rate) - np.log1p(-rate)).T
    said += _single(none_given - np.log1p(-np.exp(none_given)))
    return _normal(heard + said), _normal(heard)


def _rates_of(model: LabelModel, sets: Array) -> Array:
    """Returns P(given | S) of every class, (sets, classes)."""
    base = np.where((sets.sum(axis=1) == 0)[:, None], model.lost, model.false)
    return np.clip(np.where(sets > 0, model.kept, base), _LEAST_RATE, 1.0 - _LEAST_RATE)


def _single(values: Array) -> Singles:
    """Returns an array in float32, which halves the time that thousands of sets a clip take."""
    return values.astype(np.float32)


def _normal(log_weights: Singles) -> Singles:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights)


def _sets(classes: int) -> Array:
    """Returns all sets of at most two classes as rows of zeros and ones: the empty one, single ones, pairs."""
    first, second = np.triu_indices(classes, k=1)
    sets = np.zeros((1 + classes + len(first), classes))
    sets[1 : 1 + classes] = np.eye(classes)
    pairs = np.arange(1 + classes, len(sets))
    sets[pairs, first] = sets[pairs, second] = 1.0
    return sets


def _blocks(clips: Clips, sets: Array) -> Iterator[Clips]:
    size = max(1, _BLOCK_ENTRIES // len(sets))
    return (clips.part(slice(start, start + size)) for start in range(0, len(clips.given), size))
