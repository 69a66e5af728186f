"""What a clip is worth to a reviewer's ear: the doubt that listening to it would settle."""

import numpy as np
from numpy.typing import NDArray


def clip_values(
    clips: NDArray[np.integer],
    classes: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    n_clips: int,
    n_classes: int,
) -> NDArray[np.float64]:
    """Returns the value (n_clips,) of hearing each clip, in bits of a class of ordinary size.

    A row of `clips`, `classes` and `probabilities` (rows,) is a tag in doubt: its clip, its class, and how probable
    it is that the class is truly in the clip. Hearing a clip settles all its tags, each worth its entropy

        H(p) = -p log2 p - (1 - p) log2 (1 - p)
        value of a clip = sum over its tags of H(p) * w(class)
        w(c) = (1 + mean of n) / (1 + n(c)),  n(c) = sum over all tags of c of p

    n(c) is the number of clips that c is expected to be in: the same bit is worth more where a class has few.
    """
    p = np.asarray(probabilities, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -np.where(p > 0, p * np.log2(p), 0.0) - np.where(p < 1, (1 - p) * np.log2(1 - p), 0.0)
    expected = np.bincount(classes, weights=p, minlength=n_classes)
    weights = (1 + expected.mean()) / (1 + expected)
    return np.asarray(np.bincount(clips, weights=bits * weights[classes], minlength=n_clips), np.float64)
