"""Whoever has heard the clips of a store: a trained run, or any other tagger by its table of scores."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..corpus import Store

Floats = NDArray[np.float32]


class Heard(NamedTuple):
    """What an ear hears in some clips.

    heads: scores (clips, classes) from 0 to 1, of each of its heads. features (clips, k): what else it knows of how
    they sound. first_frame, end_frame (clips, classes): where its evidence is best in the trimmed clip; NaN if unknown.
    """

    heads: tuple[Floats, ...]
    features: Floats
    first_frame: Floats
    end_frame: Floats


class Ear(Protocol):
    """What is asked of it."""

    @property
    def place(self) -> Path:
        """Where it lies, for messages."""

    @property
    def digest(self) -> str:
        """What tells it from any other ear."""

    @property
    def loss_slope(self) -> float:
        """How many times the log-odds of its scores those of probabilities are, by what it was trained to."""

    @property
    def learnt_noisy(self) -> bool:
        """Whether it learnt from noisy clips, by whatever labels, so that what it hears holds these already."""

    @property
    def given_right(self) -> float | None:
        """What share of the given noisy labels is right, as it found before it learnt from them; None if unknown."""

    @property
    def where_deaf(self) -> str:
        """What to do where it tells clips hardly apart."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of it."""

    def never_learnt(self, folds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which curated clips, by their folds (clips,), it never learnt from."""

    def hear(self, store: Store, rows: NDArray[np.int64], keep: Path, on_clip: Callable[[], None]) -> Heard:
        """Returns what it hears in the clips at `rows` of a store; in the folder `keep` may be what it heard before."""
