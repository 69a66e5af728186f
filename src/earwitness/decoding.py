"""A waveform -> its log-mel, in one piece; and what reading a sound file may come to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import audio, logmel, recipe
from .errors import AudioError

# What a store remarks on a clip.
SILENT = "silent throughout: kept whole"
CUT_SHORT = "breaks off: the sound before is used"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the machine has against reading a file into AudioError."""
    try:
        yield
    except MemoryError:
        raise AudioError(f"{path}: too long for this machine's memory; cut it into parts or leave it out") from None
    except OSError as error:
        raise AudioError(f"{path}: reading broke off ({error.strerror or error}); check the disk it is on") from None


def log_mel_of(waveform: NDArray[np.float32], features: recipe.Features) -> NDArray[np.float32]:
    """Returns the log-mel of a waveform, trimmed first: (samples,) -> (frames, bands) float32 dB. Section 2.1."""
    return logmel.log_mel(
        audio.trim(waveform, below_peak_db=features.trim_below_peak_db),
        **features.spectrum(),
        reference=None if features.reference == "peak" else features.reference,
        floor_db=features.floor_db,
    )
