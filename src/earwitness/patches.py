"""From log-mels of any length to patches of one length: repeat-padding, random crops, sliding windows.

Report: section 2.2 (training) and 2.7 (inference).
"""

from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating]
Integers: TypeAlias = NDArray[np.int64]


def repeat_pad(log_mel: Floats, *, frames: int) -> Floats:
    """Returns `log_mel` repeated along time until it has at least `frames` frames, cut there if it was shorter.

    Report: section 2.2, "we pad the spectrogram to 192 frames repeatedly".
    A log-mel that is long enough comes back as it is. (t, mels) -> (max(t, frames), mels). ValueError for no frame.
    """
    length = len(log_mel)
    if length >= frames:
        return log_mel
    if not length:
        raise ValueError("a log-mel of no frame has nothing to repeat")
    repeats = -(-frames // length)
    return np.tile(log_mel, (repeats, 1))[:frames]


def draw_crop(rng: Generator, *, length: int, frames: int) -> int:
    """Draws the first frame of a random patch, uniform over all that fit; 0 for a log-mel that is too short."""
    return int(rng.integers(max(length - frames, 0) + 1))


def apply_crop(log_mel: Floats, start: int, *, frames: int) -> Floats:
    """Returns the patch of `frames` frames that begins at `start`, repeat-padded where the log-mel is short."""
    return repeat_pad(log_mel[start : start + frames], frames=frames)


def window_starts(length: int, *, frames: int, hop: int) -> Integers:
    """Returns the first frame of every sliding window over `length` frames.

    Report: section 2.7. One window where the log-mel is no longer than a patch; else ceil((T - frames) / hop) + 1
    of them, the last one aligned to the end so that no frame is left out (docs/paper.md, row 23). ValueError for a hop
    below 1.
    """
    if hop < 1:
        raise ValueError(f"windows are 1 frame apart or more, not {hop}")
    if length <= frames:
        return np.zeros(1, dtype=np.int64)
    count = -(-(length - frames) // hop) + 1
    return np.minimum(np.arange(count, dtype=np.int64) * hop, length - frames)


def windows(log_mel: Floats, *, frames: int, hop: int) -> Floats:
    """Returns all sliding windows of a log-mel, repeat-padded first: (t, mels) -> (windows, frames, mels)."""
    padded = repeat_pad(log_mel, frames=frames)
    starts = window_starts(len(padded), frames=frames, hop=hop)
    return np.stack([padded[start : start + frames] for start in starts])
