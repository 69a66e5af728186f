"""Soft labels for whole noisy clips: what the teacher hears, weighed by how far the given labels can be believed.

Departs from print: docs/paper.md, row 8. The report labels one patch at a time by a hard threshold and ignores the
labels that came with the clip. Here each clip has one soft label a class, made from windows over all of it, and what
was given moves its odds by as much as it is found to be worth in the noisy set itself: class by class (`noiserates`),
or by weighing all small sets of labels (`labelsets`).
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from . import beliefs, calibration, domains, labelsets, logmel, patches
from .corpus import Store
from .noiserates import believed, estimate_noise_rates, expected_noise_rates, masked
from .recipe import Recipe, Stage
from .tagging import Floats, Scorer, combine

_ROWS = 64


class ClipLabels:
    """The labels of the noisy clips under way: given at first, then made anew each time the teacher is asked.

    `rows` are the noisy clips' rows in the store, `labels` their (clips, classes) float32 labels, `rates` the noise
    rates found last. The curated clips, by their rows, say how frequent classes are and what the noisy ones are not.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        settings: Recipe,
        *,
        stage: Stage,
        curated: NDArray[np.int64],
    ) -> None:
        self._store, self._rows, self._settings, self._stage = store, rows, settings, stage
        self._curated = curated
        self._place = np.full(len(store.clips), -1, dtype=np.int64)
        self._place[rows] = np.arange(len(rows))
        given = store.labels[rows]
        prior = (store.labels[curated].sum(axis=0) + 0.5) / (len(curated) + 1.0)
        heard = np.broadcast_to(prior, given.shape).astype(np.float64)
        self.rates = expected_noise_rates(heard, given)
        believes = stage.pseudo_labels == "clip" and stage.believe != "heard"
        self.labels = (believed(heard, given, self.rates) if believes else given).astype(np.float32)

    def refresh(self, teacher: Scorer) -> None:
        """Makes the labels anew from what the teacher hears in each whole clip."""
        given = self._store.labels[self._rows]
        heard = clip_scores(
            teacher, self._store, self._rows,
            frames=self._settings.patches.frames, classes=given.shape[1], reversal=self._settings.augmentation.reversal,
        )  # fmt: skip
        slope = calibration.slope_of_loss(self._settings.loss.kind, self._settings.loss.focal_gamma)
        if slope != 1.0:  # else they can be taken as probabilities
            heard = calibration.sigmoid(slope * calibration.log_odds(heard))
        self.rates = estimate_noise_rates(heard, given)
        self.labels = self._labels(heard, given).astype(np.float32)

    def _labels(self, heard: NDArray[np.float64], given: NDArray[np.floating]) -> NDArray[np.float64]:
        if self._stage.pseudo_labels == "masked":
            return masked(heard, given, share=self._stage.masked_share)
        if self._stage.believe == "classes":
            return believed(heard, given, self.rates)
        if self._stage.believe == "sets":
            prior = float(self._store.labels[self._curated].mean())
            clips = beliefs.clips_of(heard, given, self._context, prior=prior)
            return labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
        return heard

    @cached_property
    def _context(self) -> NDArray[np.float64]:
        """Where the noisy clips seem to come from, (clips, contexts)."""
        rows = np.concatenate([self._rows, self._curated])
        spectra = np.stack([domains.spectrum(self._store.log_mel(int(row))) for row in rows])
        noisy = np.arange(len(rows)) < len(self._rows)
        return domains.context(spectra, noisy, domains.noisy_side(spectra, noisy))[noisy]

    def summary(self) -> dict[str, float]:
        """What the given labels are found to be worth, means over all classes and labels.

        given_if_present and given_if_absent: the noise rates. given_labels_right: the belief in a given label.
        """
        given = self._store.labels[self._rows]
        return {
            "given_if_present": float(self.rates.kept.mean()),
            "given_if_absent": float(self.rates.false.mean()),
            "given_labels_right": float(self.labels[given > 0].sum() / max(given.sum(), 1.0)),
        }

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the labels of some noisy clips, by their rows in the store: (rows, classes)."""
        return np.asarray(self.labels[self._place[rows]])


def clip_scores(
    scorer: Scorer, store: Store, rows: NDArray[np.int64], *, frames: int, classes: int, reversal: bool
) -> NDArray[np.float64]:
    """Returns each clip's mean score over windows one after the other, the last aligned to the end: (clips, classes).

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
