"""What to believe of every clip and tag, from what trained runs or other taggers hear and what was given.

The walk: ears -> scores of their heads; noisy labels -> `votes`; both, calibrated on curated clips that an
ear never learnt from -> P(present | heard); with the given labels -> `labelsets` -> P(present | heard, given).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import beliefs, calibration, domains, labelsets
from ..calibration import Calibration
from ..corpus import Store
from ..dataset import groups_by_recording
from ..labelsets import LabelModel, Shrinkage
from ..lwlrap import lwlrap
from ..noiserates import estimate_noise_rates
from . import votes
from .ear import Ear, Heard

Array = NDArray[np.float64]
Singles = NDArray[np.float32]

_SEED = 0
# Where fewer out-of-fold tags than this are there to learn from, the calibration is not learnt but assumed.
_LEAST_TAGS = 20
# An ear whose lwlrap is not by this much above that of one answer for all clips hears next to nothing.
_LEAST_LEAD = 0.05
# Shifts of single classes in log-odds that are assumed at least, however well the few curated clips seem to fit.
_LEAST_SHIFT = 0.5
# Where the shift of log-odds is looked for, and how often that is halved: to 1e-5.
_WIDEST_SHIFT, _HALVINGS = 20.0, 22
# Curated labels: what share of tags is taken to be right before anything is heard, and how firmly (in clips).
_CURATED_KEPT, _CURATED_FALSE, _CURATED_LOST = 0.95, 0.05, 1.0
_CURATED_FIRMNESS = Shrinkage(rates_clips=1e6, share_clips=1e6, slope_clips=1e9)


class Watcher(Protocol):
    """Whoever watches; the command line draws a bar with it."""

    def begun(self, what: str, total: int) -> None:
        """A part of the work begins: so many clips."""

    def advanced(self) -> None:
        """A clip of it is done."""

    def note(self, text: str) -> None:
        """Something a user should know."""


class Unwatched:
    """A watcher that looks away."""

    def begun(self, what: str, total: int) -> None: ...

    def advanced(self) -> None: ...

    def note(self, text: str) -> None: ...


UNWATCHED = Unwatched()


@dataclass(frozen=True)
class Judged:
    """What is believed of the curated and noisy clips of a store, `rows` (clips,) of it; arrays are (clips, classes).

    probability: P(truly present). heard: the same by ear alone, which has heard of the given labels where a run learnt
    from them. first_frame, end_frame: where the evidence is strongest, in the trimmed clip. out_of_fold (clips,): no
    run whose scores count here learnt from the clip's own labels. model: how the noisy labels came about.
    shift_deviation: by how much single classes may be misheard.
    """

    rows: NDArray[np.int64]
    noisy: NDArray[np.bool_]
    given: NDArray[np.float32]
    heard: Array
    probability: Array
    first_frame: Array
    end_frame: Array
    out_of_fold: NDArray[np.bool_]
    model: LabelModel | None
    confusions: Array
    calibration: Calibration
    shift_deviation: float
    apartness: Array


class _Sources(NamedTuple):
    """What one ear says of all clips, (clips, classes) each: log-odds of the heads' mean score, and the votes."""

    heads: Array
    votes: Array


def judge(
    ears: Sequence[Ear],
    store: Store,
    keep: str | Path,
    watcher: Watcher = UNWATCHED,
    *,
    alike: Iterable[tuple[int, int]] = (),
) -> Judged:
    """Returns what to believe of every curated and noisy clip of a store.

    `ears` are runs of the same classes, with folds of their own, or tables of scores; a curated clip is judged by those
    that never learnt from it where there are such, a noisy clip by the mean of all. `keep` is the folder of the
    journals. `alike` are rows of clips that hold the same recording: like those that name the same one, they have no
    vote on each other. ValueError where there is no ear.
    """
    if not ears:
        raise ValueError("there is no run to judge by: give at least one, as hearing.open_run opens it")
    rows = np.flatnonzero([clip.role != "test" for clip in store.clips])
    noisy = np.array([store.clips[row].role == "noisy" for row in rows], dtype=bool)
    given = store.labels[rows]
    spectra = _spectra(store, rows, watcher)
    groups = np.array(groups_by_recording(store.clips, alike))[rows[noisy]]
    # What one ear hears is let go of before the next is heard, but for what it comes to.
    sources, evidence = zip(
        *(_listen(ear, store, rows, Path(keep), watcher, noisy, given, spectra, groups) for ear in ears), strict=True
    )
    blind = np.stack([ear.never_learnt(store.folds[rows]) for ear in ears])
    weights = _weights(blind, noisy)
    merged = _Sources(*(np.einsum("rc,rck->ck", weights, np.stack(one)) for one in zip(*sources, strict=True)))
    out_of_fold = noisy | blind.any(axis=0)
    first, end = _evidence(evidence, weights)
    held_out = out_of_fold & ~noisy
    learnt = calibrated(merged, given, held_out, ears[0].loss_slope, watcher)
    note_one_kind(noisy, watcher)
    heard = learnt([merged.heads, merged.votes])
    note_deafness(heard, given, noisy, watcher)
    apartness = domains.noisy_side(spectra, noisy)
    combined = combine(
        heard,
        given,
        domains.context(spectra, noisy, apartness),
        noisy,
        held_out,
        given_is_heard=any(ear.learnt_noisy for ear in ears),
        given_right=_mean_of([ear.given_right for ear in ears if ear.given_right is not None]),
    )
    return Judged(
        rows, noisy, given, heard, combined.probability, first, end, out_of_fold, combined.model, combined.confusions,
        learnt, _shift_deviation(heard, given, combined.probability, noisy, held_out),
        apartness,
    )  # fmt: skip


class Combined(NamedTuple):
    """P(truly present | heard, given) (clips, classes), the model of the noisy labels, and (given, true) confusions."""

    probability: Array
    model: LabelModel | None
    confusions: Array


def combine(
    heard: Array,
    given: NDArray[np.float32],
    context: Array,
    noisy: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    *,
    given_is_heard: bool,
    given_right: float | None = None,
) -> Combined:
    """Returns what to believe after hearing the clips and reading their labels, noisy and curated ones apart.

    `given_is_heard`: what is heard comes from a network that learnt from the noisy labels, so it holds them already:
    given tags are then ranked by it alone, as weighing them once more would count them twice; `given_right` is what
    share of them is right, as the runs found when they first weighed them, None if that is not known. context (clips,
    contexts): where the clips seem to come from. held_out (clips,): the curated clips whose share of present tags
    tells the prior odds behind `heard`.
    """
    classes = given.shape[1]
    known = given[held_out] if held_out.any() else given[~noisy] if (~noisy).any() else given
    clips = beliefs.clips_of(heard, given, context, prior=float(known.mean()))
    probability, mistaken = np.zeros(heard.shape), np.zeros((classes, classes))
    model = None
    if noisy.any():
        ours = clips.part(noisy)
        ours, model = beliefs.fit_sharpened(ours, heard[noisy])
        probability[noisy] = labelsets.believe(ours, model).present
        if given_is_heard:
            probability[noisy] = ranked_by_ear(probability[noisy], heard[noisy], given[noisy], share=given_right)
        mistaken = labelsets.confusions(ours, model)
    if not noisy.all():
        ours = clips.part(~noisy)
        begun = labelsets.begin(
            classes, contexts=clips.context.shape[1], kept=_CURATED_KEPT, false=_CURATED_FALSE, lost=_CURATED_LOST
        )
        fitted = labelsets.fit(ours, begun, shrinkage=_CURATED_FIRMNESS, steps=5)
        firm = replace(fitted, kept=begun.kept, false=begun.false, lost=begun.lost)
        probability[~noisy] = labelsets.believe(ours, firm).present
    return Combined(probability, model, mistaken)


def ranked_by_ear(believed: Array, heard: Array, given: NDArray[np.float32], *, share: float | None = None) -> Array:
    """Returns beliefs in which given tags stand in the order of what is heard, and `share` of them is right.

    All (clips, classes). One shift of the log-odds heard on given tags brings their mean to `share`, or, without one,
    to the mean of what is believed of them.
    """
    tags = given > 0
    if not tags.any():
        return believed
    odds, mean = calibration.log_odds(heard[tags]), believed[tags].mean() if share is None else share
    low, high = -_WIDEST_SHIFT, _WIDEST_SHIFT
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if calibration.sigmoid(odds + middle).mean() < mean else (low, middle)
    found = believed.copy()
    found[tags] = calibration.sigmoid(odds + (low + high) / 2)
    return found


def _mean_of(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def calibrated(
    sources: _Sources, given: NDArray[np.float32], held_out: NDArray[np.bool_], slope: float, watcher: Watcher
) -> Calibration:
    """Returns the calibration learnt on the held-out curated clips; one of this slope alone where they are too few."""
    tags = int(given[held_out].sum())
    if tags >= _LEAST_TAGS:
        return calibration.calibrate([sources.heads[held_out], sources.votes[held_out]], given[held_out])
    if tags:
        found, advice = (
            f"only {tags} tags of curated clips",
            f"{_LEAST_TAGS} are needed; add runs of other folds by --with",
        )
    else:
        found, advice = (
            "no curated clips",
            "train with --fold 0 to 4, not from weights that know that fold, for probabilities that can be checked",
        )
    watcher.note(f"{found} that the run never learnt from, so its scores are taken as they are, uncalibrated; {advice}")
    return Calibration(np.array([slope, 0.0]), 0.0)


def note_one_kind(noisy: NDArray[np.bool_], watcher: Watcher) -> None:
    """Notes where no labels are doubted, or none are known to be right, by which the others could be judged."""
    if not noisy.any():
        watcher.note(
            "no noisy clips: all labels count as checked, so hardly any is doubted; give clips that nobody checked the "
            "split noisy, prepare and train again"
        )
    elif noisy.all():
        watcher.note(
            "no curated clips: the labels are judged by each other alone, and mostly kept; settle some by `earwitness "
            "review`, prepare with --decisions, train and clean again"
        )


def note_deafness(heard: Array, given: NDArray[np.float32], noisy: NDArray[np.bool_], watcher: Watcher) -> None:
    """Notes where the ear tells clips hardly apart: beliefs then follow the labels as given, and vouch for them all."""
    chosen = ~noisy if given[~noisy].any() else noisy
    heard, given = heard[chosen], given[chosen]
    if not given.any():
        return
    ours, same = (lwlrap(given, one).overall for one in (heard, np.broadcast_to(heard.mean(axis=0), heard.shape)))
    if ours < same + _LEAST_LEAD:
        watcher.note(
            f"what is heard hardly tells one clip from another (lwlrap {ours:.2f}; the same answer for every clip: "
            f"{same:.2f}), so the verdicts follow the labels as they are; train longer"
        )


def _spectra(store: Store, rows: NDArray[np.int64], watcher: Watcher) -> Array:
    """Returns the spectra of clips, (clips, 2 bands)."""
    watcher.begun("taking spectra", len(rows))
    found = np.empty((len(rows), 2 * store.features.mel_bands))
    for place, row in enumerate(rows):
        found[place] = domains.spectrum(store.read_log_mel(int(row)))
        watcher.advanced()
    return found


def _listen(
    ear: Ear,
    store: Store,
    rows: NDArray[np.int64],
    keep: Path,
    watcher: Watcher,
    noisy: NDArray[np.bool_],
    given: NDArray[np.float32],
    spectra: Array,
    groups: NDArray[np.int64],
) -> tuple[_Sources, tuple[Singles, Singles]]:
    """Returns what an ear says of clips, and the first and the last frame of its evidence, (clips, classes) each."""
    watcher.begun(f"hearing with {ear.place.name}", len(rows))
    heard = ear.hear(store, rows, keep, watcher.advanced)
    return _sources_of(heard, noisy, given, spectra, groups), (heard.first_frame.copy(), heard.end_frame.copy())


def _sources_of(
    heard: Heard, noisy: NDArray[np.bool_], given: NDArray[np.float32], spectra: Array, groups: NDArray[np.int64]
) -> _Sources:
    heads = calibration.log_odds(np.mean(heard.heads, axis=0, dtype=np.float64))

    def features(part: NDArray[np.bool_]) -> Array:
        each = [calibration.log_odds(np.asarray(one[part], np.float64)) for one in heard.heads]
        return np.hstack([heard.features[part].astype(np.float64), *each, spectra[part]])

    found = votes.vote(np.random.default_rng(_SEED), features(noisy), given[noisy], features(~noisy), groups)
    voted = np.zeros(heads.shape)
    voted[noisy], voted[~noisy] = found
    return _Sources(heads, voted)


def _weights(blind: NDArray[np.bool_], noisy: NDArray[np.bool_]) -> Array:
    """Returns how much each ear counts for each clip, (ears, clips), summing to 1: the `blind`, that never learnt from
    it, where there are any and it is not noisy."""
    counts = np.where(noisy | ~blind.any(axis=0), True, blind).astype(np.float64)
    return np.asarray(counts / counts.sum(axis=0))


def _evidence(found: Sequence[tuple[Singles, Singles]], weights: Array) -> tuple[Array, Array]:
    """Returns first and last frames by the ear that counts most for each clip, among those that know of any."""
    knows = np.array([bool(np.isfinite(first).any()) for first, _ in found])
    judge_of = np.where(knows[:, None], weights, -1).argmax(axis=0), np.arange(weights.shape[1])
    first, end = (np.stack(frames)[judge_of].astype(np.float64) for frames in zip(*found, strict=True))
    return first, end


def _shift_deviation(
    heard: Array, given: NDArray[np.float32], probability: Array, noisy: NDArray[np.bool_], held_out: NDArray[np.bool_]
) -> float:
    """Returns by how much, in log-odds, what is believed of single classes may be off.

    Two errors that know nothing of each other, whose variances add: the ear mishears a class, by what curated clips
    show and by no less than is assumed; and its labels are weighed wrongly, by how far the model of sets and the slope
    of given on heard disagree about how many of a class's given labels are right.
    """
    misheard = calibration.spread_between_classes(heard[held_out], given[held_out]) if held_out.any() else 0.0
    return float(np.hypot(max(misheard, _LEAST_SHIFT), _misweighed(heard[noisy], given[noisy], probability[noisy])))


def _misweighed(heard: Array, given: NDArray[np.float32], probability: Array) -> float:
    """Returns the deviation between classes, in log-odds, of two estimates of the share of given labels that is right.

    All (clips, classes), of noisy clips; 0 where fewer than two classes are given.
    """
    labels = given.sum(axis=0)
    seen = labels > 0
    if seen.sum() < 2:
        return 0.0
    kept = estimate_noise_rates(heard, given).kept
    by_slope = np.clip((kept * heard.sum(axis=0))[seen] / labels[seen], 0.02, 0.98)
    by_model = (probability * given).sum(axis=0)[seen] / labels[seen]
    return float((calibration.log_odds(by_slope) - calibration.log_odds(by_model)).std())
