"""How far two sets of recordings are apart, whatever can be heard in them: how well their spectra tell them apart."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PARTS = 5
_RIDGE = 0.1


def apartness(rng: np.random.Generator, first: Array, second: Array) -> tuple[Array, Array]:
    """Returns how far each clip of both sets is on the second's side: (clips,) each, judged by the others' clips.

    first, second (clips, k): features such as the mean level of each band. A linear discriminant with a ridge, fitted
    on four fifths of both sets and applied to the fifth left out.
    """
    both = np.concatenate([first, second])
    both = (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-6)
    side = np.repeat([0.0, 1.0], [len(first), len(second)])
    part_of = np.concatenate([rng.permutation(len(one)) % _PARTS for one in (first, second)])
    scores = np.zeros(len(both))
    for part in range(_PARTS):
        rest = part_of != part
        means = [both[rest & (side == one)].mean(axis=0) for one in (0.0, 1.0)]
        inside = both[rest] - np.stack(means)[side[rest].astype(int)]
        spread = inside.T @ inside / rest.sum() + _RIDGE * np.eye(both.shape[1])
        direction = np.linalg.solve(spread, means[1] - means[0])
        scores[~rest] = (both[~rest] - (means[0] + means[1]) / 2) @ direction
    return scores[: len(first)], scores[len(first) :]


def chance_of_order(lower: Array, higher: Array) -> float:
    """Returns the chance that one of `higher` is above one of `lower`, ties half: the area under the ROC curve.

    NaN where either is empty.
    """
    if not len(lower) or not len(higher):
        return float("nan")
    both = np.concatenate([lower, higher])
    _, place, count = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    above = ranks[len(lower) :].sum() - len(higher) * (len(higher) + 1) / 2
    return float(above / (len(lower) * len(higher)))
