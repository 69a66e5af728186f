"""What ears say of the clips of a store, before any label is weighed: scores as log-odds, votes, where evidence is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import calibration, domains
from ..corpus import Store
from ..dataset import groups_by_recording
from ..lwlrap import lwlrap
from . import votes
from .ear import Ear, Heard
from .watcher import Watcher

Array = NDArray[np.float64]
Singles = NDArray[np.float32]

_SEED = 0
# An ear that tells clips apart has an lwlrap higher by this at least than one answer for all clips, or by this share of
# what that one lacks, where it is little: nearly all clips may have the same labels.
_LEAST_LEAD, _LEAST_SHARE = 0.05, 0.5


@dataclass(frozen=True)
class Clips:
    """The curated and noisy clips of a store, by their `rows` (clips,) in it.

    noisy (clips,): which are. given (clips, classes): their labels. folds (clips,): of the curated ones. spectra
    (clips, 2 bands). groups (clips,): those of one number hold the same recording.
    """

    rows: NDArray[np.int64]
    noisy: NDArray[np.bool_]
    given: NDArray[np.float32]
    folds: NDArray[np.int64]
    spectra: Array
    groups: NDArray[np.int64]

    @cached_property
    def apartness(self) -> Array:
        """How far each clip is on the noisy set's side by its spectrum, (clips,)."""
        return domains.noisy_side(self.spectra, self.noisy)

    @cached_property
    def context(self) -> Array:
        """Where the clips seem to come from, (clips, contexts)."""
        return domains.context(self.spectra, self.noisy, self.apartness)


class Sources(NamedTuple):
    """What is said of all clips, (clips, classes) each: the log-odds that the heads' mean stands for, and the votes."""

    heads: Array
    votes: Array


class Said(NamedTuple):
    """What several ears say of all clips together; `first` and `end` frame of the evidence, (clips, classes), NaN where
    none knows; which clips no ear that counts has learnt from, (clips,)."""

    sources: Sources
    first: Array
    end: Array
    out_of_fold: NDArray[np.bool_]


def clips_of(store: Store, alike: Iterable[tuple[int, int]], watcher: Watcher) -> Clips:
    """Returns the clips to judge. `alike` are rows of clips that hold the same recording, beside those that say so."""
    rows = np.flatnonzero([clip.role != "test" for clip in store.clips])
    noisy = np.array([store.clips[row].role == "noisy" for row in rows], dtype=bool)
    groups = np.array(groups_by_recording(store.clips, alike))[rows]
    return Clips(rows, noisy, store.labels[rows], store.folds[rows], _spectra(store, rows, watcher), groups)


def listen(ears: Sequence[Ear], store: Store, clips: Clips, keep: Path, watcher: Watcher) -> Said:
    """Returns what ears say: of a curated clip those that never learnt from it, where there are any, else all."""
    # What one ear hears is let go of before the next is heard, but for what it comes to.
    sources, evidence = zip(*(_listen(ear, store, clips, keep, watcher) for ear in ears), strict=True)
    blind = np.stack([ear.never_learnt(clips.folds) for ear in ears])
    weights = shares(blind, clips.noisy)
    merged = Sources(*(np.einsum("rc,rck->ck", weights, np.stack(one)) for one in zip(*sources, strict=True)))
    return Said(merged, *_evidence(evidence, weights), clips.noisy | blind.any(axis=0))


def shares(blind: NDArray[np.bool_], noisy: NDArray[np.bool_]) -> Array:
    """Returns how much each of several counts for each clip, (several, clips), summing to 1: the `blind`, which never
    learnt from it, where there are any and it is not noisy."""
    counts = np.where(noisy | ~blind.any(axis=0), True, blind).astype(np.float64)
    return np.asarray(counts / counts.sum(axis=0))


def _spectra(store: Store, rows: NDArray[np.int64], watcher: Watcher) -> Array:
    watcher.begun("taking spectra", len(rows))
    found = np.empty((len(rows), 2 * store.features.mel_bands))
    for place, row in enumerate(rows):
        found[place] = domains.spectrum(store.read_log_mel(int(row)))
        watcher.advanced()
    return found


def _listen(
    ear: Ear, store: Store, clips: Clips, keep: Path, watcher: Watcher
) -> tuple[Sources, tuple[Singles, Singles]]:
    """Returns what an ear says of clips, and the first and the last frame of its evidence, (clips, classes) each."""
    watcher.begun(f"hearing with {ear.place.name}", len(clips.rows))
    heard = ear.hear(store, clips.rows, keep, watcher.advanced)
    note_deafness(ear, np.mean(heard.heads, axis=0, dtype=np.float64), clips, watcher)
    return _sources_of(ear, heard, clips), (heard.first_frame.copy(), heard.end_frame.copy())


def note_deafness(ear: Ear, heard: Array, clips: Clips, watcher: Watcher) -> None:
    """Notes where an ear tells clips hardly apart by its mean scores (clips, classes): beliefs then follow the labels
    as given, and vouch for them all."""
    chosen = ~clips.noisy if clips.given[~clips.noisy].any() else clips.noisy
    heard, given = heard[chosen], clips.given[chosen]
    if not given.any():
        return
    ours, same = (lwlrap(given, one).overall for one in (heard, np.broadcast_to(heard.mean(axis=0), heard.shape)))
    if ours < same + min(_LEAST_LEAD, _LEAST_SHARE * (1.0 - same)):
        watcher.note(
            f"{ear.place}: what it hears hardly tells one clip from another (lwlrap {ours:.2f}; the same answer for "
            f"every clip: {same:.2f}), so its verdicts follow the labels as they are; {ear.where_deaf}"
        )


def _sources_of(ear: Ear, heard: Heard, clips: Clips) -> Sources:
    # Ears that were trained to other losses speak one language, so that their mean is one of like things.
    heads = ear.loss_slope * calibration.log_odds(np.mean(heard.heads, axis=0, dtype=np.float64))
    noisy = clips.noisy

    def features(part: NDArray[np.bool_]) -> Array:
        each = [calibration.log_odds(np.asarray(one[part], np.float64)) for one in heard.heads]
        return np.hstack([heard.features[part].astype(np.float64), *each, clips.spectra[part]])

    rng = np.random.default_rng(_SEED)
    voted = np.zeros(heads.shape)
    voted[noisy], voted[~noisy] = votes.vote(
        rng, features(noisy), clips.given[noisy], features(~noisy), clips.groups[noisy], clips.groups[~noisy]
    )
    return Sources(heads, voted)


def _evidence(found: Sequence[tuple[Singles, Singles]], weights: Array) -> tuple[Array, Array]:
    """Returns first and last frames by the ear that counts most for each clip, among those that know of any."""
    knows = np.array([bool(np.isfinite(first).any()) for first, _ in found])
    judge_of = np.where(knows[:, None], weights, -1).argmax(axis=0), np.arange(weights.shape[1])
    first, end = (np.stack(frames)[judge_of].astype(np.float64) for frames in zip(*found, strict=True))
    return first, end
