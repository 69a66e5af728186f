"""How far two sets of recordings are apart, whatever can be heard in them: how well their spectra tell them apart."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PARTS = 5
# Of a long clip so many frames are in float64 at a time.
_FRAMES_AT_ONCE = 8192
_RIDGE = 0.1
_SEED = 0
# Fewer clips than this on either side say nothing of a difference.
_LEAST_CLIPS = 10
# Main parts of the spectra that make the context.
_CONTEXT_PARTS = 4


def spectrum(log_mel: NDArray[np.floating]) -> Array:
    """Returns mean and deviation of every band of a clip, (2 bands,) dB: what a recording sounds like as a whole."""
    parts = [log_mel[first : first + _FRAMES_AT_ONCE] for first in range(0, len(log_mel), _FRAMES_AT_ONCE)]
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / len(log_mel)
    variance = sum(np.square(part - mean).sum(axis=0) for part in parts) / len(log_mel)
    return np.concatenate([mean, np.sqrt(variance)])


def noisy_side(spectra: Array, noisy: NDArray[np.bool_]) -> Array:
    """Returns how far each clip (clips,) is on the noisy set's side by its spectrum; 0 where one set is too small."""
    apart = np.zeros(len(noisy))
    if min(noisy.sum(), (~noisy).sum()) >= _LEAST_CLIPS:
        apart[~noisy], apart[noisy] = apartness(np.random.default_rng(_SEED), spectra[~noisy], spectra[noisy])
    return apart


def context(spectra: Array, noisy: NDArray[np.bool_], apart: Array) -> Array:
    """Returns where clips seem to come from, (clips, 1 + parts): `noisy_side`, and the main parts of their spectra.

    `apart` (clips,) is what `noisy_side` found. Mean 0 and deviation 1 over the noisy clips; no column where there are
    too few of them.
    """
    if noisy.sum() < _LEAST_CLIPS:
        return np.zeros((len(noisy), 0))
    mean, deviation = spectra[noisy].mean(axis=0), spectra[noisy].std(axis=0) + 1e-6
    standard = (spectra - mean) / deviation
    _, _, directions = np.linalg.svd(standard[noisy], full_matrices=False)
    parts = np.column_stack([apart, standard @ directions[:_CONTEXT_PARTS].T])
    return np.asarray((parts - parts[noisy].mean(axis=0)) / (parts[noisy].std(axis=0) + 1e-9))


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
