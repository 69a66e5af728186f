"""What to believe of every clip and tag, from what trained runs or other taggers hear and what was given.

The walk: ears -> `listening` -> scores and votes; both, calibrated on curated clips that an ear never learnt from ->
P(present | heard); with the given labels -> `labelsets` -> P(present | heard, given).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import beliefs, calibration, labelsets
from ..calibration import Calibration
from ..corpus import Store
from ..errors import counted
from ..labelsets import LabelModel, Shrinkage
from ..noiserates import estimate_noise_rates
from . import listening
from .ear import Ear
from .listening import Clips, Sources
from .watcher import UNWATCHED, Watcher

Array = NDArray[np.float64]

# Where fewer out-of-fold tags than this are there to learn from, the calibration is not learnt but assumed.
_LEAST_TAGS = 20
# Shifts of single classes in log-odds that are assumed at least, however well the few curated clips seem to fit.
_LEAST_SHIFT = 0.5
# Where the shift of log-odds is looked for, and how often that is halved: to 1e-5.
_WIDEST_SHIFT, _HALVINGS = 20.0, 22
# Curated labels: what share of tags is taken to be right before anything is heard, and how firmly (in clips).
_CURATED_KEPT, _CURATED_FALSE, _CURATED_LOST = 0.95, 0.05, 1.0
_CURATED_FIRMNESS = Shrinkage(rates_clips=1e6, share_clips=1e6, slope_clips=1e9)


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
    that never learnt from it where there are such, a noisy clip by all. Those that learnt from noisy labels have heard
    of them, the others have not: each kind judges by itself, and what both believe is averaged. `keep` is the folder of
    the journals. `alike` are rows of clips that hold the same recording: like those that name the same one, they have
    no vote on each other. ValueError where there is no ear.
    """
    if not ears:
        raise ValueError("there is no run to judge by: give at least one, as hearing.open_run opens it")
    clips = listening.clips_of(store, alike, watcher)
    note_one_kind(clips.noisy, watcher)
    kinds = ([ear for ear in ears if ear.learnt_noisy], [ear for ear in ears if not ear.learnt_noisy])
    judged = [_judged_by(kind, store, clips, Path(keep), watcher) for kind in kinds if kind]
    return judged[0] if len(judged) == 1 else _agreed(*judged)


def _judged_by(ears: Sequence[Ear], store: Store, clips: Clips, keep: Path, watcher: Watcher) -> Judged:
    """Returns what ears of one kind come to believe."""
    noisy, given = clips.noisy, clips.given
    said = listening.listen(ears, store, clips, keep, watcher)
    held_out = said.out_of_fold & ~noisy
    learnt = calibrated(ears, said.sources, given, noisy, held_out, watcher)
    heard = learnt(list(said.sources))
    combined = combine(
        heard,
        given,
        clips.context,
        noisy,
        held_out,
        given_is_heard=ears[0].learnt_noisy,
        given_right=_mean_of([ear.given_right for ear in ears if ear.given_right is not None]),
    )
    return Judged(
        clips.rows, noisy, given, heard, combined.probability, said.first, said.end, said.out_of_fold, combined.model,
        combined.confusions, learnt, _shift_deviation(heard, given, combined.probability, noisy, held_out),
        clips.apartness,
    )  # fmt: skip


def _agreed(first: Judged, second: Judged) -> Judged:
    """Returns the mean of what two kinds of ears believe, in log-odds; the rest is the first's, as far as it knows.

    The mean and not the sum, as the given labels are in both.
    """
    weights = listening.shares(np.stack([first.out_of_fold, second.out_of_fold]), first.noisy)[:, :, None]

    def mean(one: Array, other: Array) -> Array:
        odds = weights[0] * calibration.log_odds(one) + weights[1] * calibration.log_odds(other)
        return calibration.sigmoid(odds)

    unknown = np.isnan(first.first_frame)
    return replace(
        first,
        heard=mean(first.heard, second.heard),
        probability=mean(first.probability, second.probability),
        first_frame=np.where(unknown, second.first_frame, first.first_frame),
        end_frame=np.where(unknown, second.end_frame, first.end_frame),
        out_of_fold=first.out_of_fold | second.out_of_fold,
        confusions=(first.confusions + second.confusions) / 2,
        shift_deviation=(first.shift_deviation + second.shift_deviation) / 2,
    )


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
    ears: Sequence[Ear],
    sources: Sources,
    given: NDArray[np.float32],
    noisy: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    watcher: Watcher,
) -> Calibration:
    """Returns the calibration learnt on the held-out curated clips; where they are too few, one that takes the heads at
    their word, and notes so, unless there are no curated clips at all (`note_one_kind`)."""
    tags = int(given[held_out].sum())
    if tags >= _LEAST_TAGS:
        return calibration.calibrate([sources.heads[held_out], sources.votes[held_out]], given[held_out])
    if not noisy.all():
        found = f"only {counted(tags, 'tag')} of" if tags else "no"
        if held_out.sum() == (~noisy).sum():
            advice = f"{_LEAST_TAGS} are needed; settle more clips by `earwitness review`"
        elif tags:
            advice = f"{_LEAST_TAGS} are needed; add runs of other folds by --with"
        else:
            advice = "train with --fold 0 to 4, not from weights that know that fold, to have some"
        watcher.note(
            f"{', '.join(str(ear.place) for ear in ears)}: {found} curated clips that were never learnt from, so "
            f"scores are taken as they are, uncalibrated; {advice}"
        )
    return Calibration(np.array([1.0, 0.0]), 0.0)


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
