"""How often labels were given rightly and wrongly, found without the truth, and what to believe then, class by class.

Not in the report, which leaves the labels that came with noisy clips out of account: docs/paper.md, row 8.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Rates are kept off 0 and 1, where one label would settle the matter whatever the teacher hears.
_LEAST_RATE, _GREATEST_RATE = 1e-3, 0.99
# A class's own rates count against those of all classes as if this many clips of average weight spoke for the latter.
_SHRINKAGE_CLIPS = 20.0


class NoiseRates(NamedTuple):
    """How labels were given, each (classes,): P(given | truly present) and P(given | truly absent)."""

    kept: NDArray[np.float64]
    false: NDArray[np.float64]


def refuse_other_tables(heard: NDArray[np.floating], given: NDArray[np.floating]) -> None:
    """Raises ValueError unless both are (clips, classes) of at least one, and from 0 to 1, as logits are not.

    What is not a number passes: it makes beliefs of no number, which training sees in its loss.
    """
    if np.ndim(heard) != 2 or np.shape(heard) != np.shape(given) or not np.size(heard):
        raise ValueError(
            f"heard {np.shape(heard)} and given {np.shape(given)} must both be (clips, classes), and not empty"
        )
    for name, table in (("heard", heard), ("given", given)):
        low, high = float(np.min(table)), float(np.max(table))
        if low < 0 or high > 1:
            raise ValueError(f"{name} goes from {low:.4g} to {high:.4g}: probabilities and labels are from 0 to 1")


def estimate_noise_rates(heard: NDArray[np.float64], given: NDArray[np.floating]) -> NoiseRates:
    """Returns the rates at which labels were given, from the teacher's probabilities and the given labels.

    heard, given (clips, classes). If `heard` is calibrated, E[given | heard] = false + (kept - false) * heard: a line
    for each class, whose slope and height are fitted by least squares. A class's slope is drawn towards that of all
    classes, the more so the less its `heard` varies. ValueError for tables that are none, or not alike.
    """
    refuse_other_tables(heard, given)
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


def masked(heard: NDArray[np.float64], given: NDArray[np.floating], *, share: float) -> NDArray[np.float64]:
    """Returns the given labels with NaN, not known, where a class that was not given is heard most: (clips, classes).

    Not in the report. Fonseca and others (arXiv 2005.00878): of each class's clips without the label, the `share` that
    the teacher scores highest is left out of that class's loss, as the label may be missing there.
    """
    found = given.astype(np.float64)
    for column, (scores, labels) in enumerate(zip(heard.T, given.T, strict=True)):
        absent = np.flatnonzero(labels == 0)
        doubted = absent[np.argsort(-scores[absent], kind="stable")[: round(share * len(absent))]]
        found[doubted, column] = np.nan
    return found
