"""Soft labels for whole noisy clips: what the teacher hears, weighed by how far the given labels can be believed.

Departs from print: docs/paper.md, row 8. The report labels one patch at a time by a hard threshold and ignores the
labels that came with the clip. Here each clip has one soft label a class, made from windows over all of it, and the
given label moves its odds by a factor that is estimated from the noisy set itself.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import logmel, patches
from .corpus import Store
from .recipe import Recipe
from .tagging import Floats, Scorer, combine

_ROWS = 64
# Rates are kept off 0 and 1, where one label would settle the matter whatever the teacher hears.
_LEAST_RATE, _GREATEST_RATE = 1e-3, 0.99
# A class's own rates count against those of all classes as if this many clips of average weight spoke for the latter.
_SHRINKAGE_CLIPS = 20.0


class NoiseRates(NamedTuple):
    """How labels were given, each (classes,): P(given | truly present) and P(given | truly absent)."""

    kept: NDArray[np.float64]
    false: NDArray[np.float64]


def estimate_noise_rates(heard: NDArray[np.float64], given: NDArray[np.floating]) -> NoiseRates:
    """Returns the rates at which labels were given, from the teacher's probabilities and the given labels.

    heard, given (clips, classes). If `heard` is calibrated, E[given | heard] = false + (kept - false) * heard: a line
    for each class, whose slope and height are fitted by least squares. A class's slope is drawn towards that of all
    classes, the more so the less its `heard` varies.
    """
    heard_deviation = heard - heard.mean(axis=0)
    given_deviation = given - given.mean(axis=0)
    covariance = (heard_deviation * given_deviation).sum(axis=0)
    variance = (heard_deviation**2).sum(axis=0)
    common = covariance.sum() / max(variance.sum(), 1e-12)
    weight = _SHRINKAGE_CLIPS * variance.mean() / max(len(heard), 1)
    slope = (covariance + weight * common) / np.maximum(variance + weight, 1e-12)
    false = np.clip(given.mean(axis=0) - slope * heard.mean(axis=0), _LEAST_RATE, 0.5)
    kept = np.clip(false + slope, false, _GREATEST_RATE)
    return NoiseRates(kept, false)


def expected_noise_rates(heard: NDArray[np.float64], given: NDArray[np.floating]) -> NoiseRates:
    """Returns the rates to begin with: half of what is present was given, and the rest of what was given is false."""
    kept = np.full(given.shape[1], 0.5)
    false = (given.mean(axis=0) - 0.5 * heard.mean(axis=0)) / (1.0 - heard.mean(axis=0))
    return NoiseRates(kept, np.clip(false, _LEAST_RATE, 0.5))


def believed(heard: NDArray[np.float64], given: NDArray[np.floating], rates: NoiseRates) -> NDArray[np.float64]:
    """Returns P(truly present | heard, given) by Bayes' rule, the given label independent of what is heard.

    odds = heard / (1 - heard) * (kept / false if given else (1 - kept) / (1 - false)); all (clips, classes).
    """
    for_present = np.where(given > 0, rates.kept, 1.0 - rates.kept)
    for_absent = np.where(given > 0, rates.false, 1.0 - rates.false)
    present, absent = heard * for_present, (1.0 - heard) * for_absent
    return present / (present + absent)


class ClipLabels:
    """The labels of the noisy clips under way: given at first, then made anew each time the teacher is asked.

    `rows` are the noisy clips' rows in the store, `labels` their (clips, classes) float32 labels, `rates` the noise
    rates found last.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        settings: Recipe,
        *,
        prior: NDArray[np.floating],
        believe_given: bool,
    ) -> None:
        self._store, self._rows, self._settings, self._believe_given = store, rows, settings, believe_given
        self._place = np.full(len(store.clips), -1, dtype=np.int64)
        self._place[rows] = np.arange(len(rows))
        given = store.labels[rows]
        heard = np.broadcast_to(prior, given.shape).astype(np.float64)
        self.rates = expected_noise_rates(heard, given)
        self.labels = (believed(heard, given, self.rates) if believe_given else given).astype(np.float32)

    def refresh(self, teacher: Scorer) -> None:
        """Makes the labels anew from what the teacher hears in each whole clip."""
        given = self._store.labels[self._rows]
        heard = clip_scores(
            teacher, self._store, self._rows,
            frames=self._settings.patches.frames, classes=given.shape[1], reversal=self._settings.augmentation.reversal,
        )  # fmt: skip
        self.rates = estimate_noise_rates(heard, given)
        self.labels = (believed(heard, given, self.rates) if self._believe_given else heard).astype(np.float32)

    def summary(self) -> dict[str, float]:
        """What the given labels are found to be worth, means over all classes and labels.

        given_if_present and given_if_absent: the noise rates. given_labels_right: the belief in a given label.
        """
        given = self._store.labels[self._rows]
        return {
            "given_if_present": float(self.rates.kept.mean()),
            "given_if_absent": float(self.rates.false.mean()),
            "given_labels_right": float((self.labels * given).sum() / max(given.sum(), 1.0)),
        }

    def shares(self, power: float) -> NDArray[np.float64] | None:
        """Returns the chances with which clips are drawn, (clips,): by a power of each one's highest label.

        None for the power 0: all alike.
        """
        if not power:
            return None
        certainty = self.labels.max(axis=1).astype(np.float64) ** power
        return np.asarray(certainty / certainty.sum())

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the labels of some noisy clips, by their rows in the store: (rows, classes)."""
        return np.asarray(self.labels[self._place[rows]])


def clip_scores(
    scorer: Scorer, store: Store, rows: NDArray[np.int64], *, frames: int, classes: int, reversal: bool
) -> NDArray[np.float64]:
    """Returns each clip's mean score over windows that touch but do not overlap: (clips, classes).

    `scorer` maps normalised patches to logits; with `reversal` both directions are averaged as in section 2.7.
    """
    totals = np.zeros((len(rows), classes))
    counts = np.zeros(len(rows))
    feed = _windows(store, rows, frames=frames)
    while chunk := list(islice(feed, _ROWS)):
        windows = np.stack([window for _, window in chunk])
        backward = scorer(np.ascontiguousarray(windows[:, ::-1])) if reversal else None
        places = np.array([place for place, _ in chunk])
        np.add.at(totals, places, combine(scorer(windows), backward, classes=classes))
        np.add.at(counts, places, 1)
    return totals / counts[:, None]


def _windows(store: Store, rows: NDArray[np.int64], *, frames: int) -> Iterator[tuple[int, Floats]]:
    for place, row in enumerate(rows):
        normal = logmel.normalise(store.log_mel(int(row)), store.moments.mean, store.moments.std)
        for window in patches.windows(normal, frames=frames, hop=frames):
            yield place, np.asarray(window, np.float32)
