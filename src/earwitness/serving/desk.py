"""The reviewers' desk: which clip comes next, what is decided, how far they have come. It knows nothing of the web."""

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import corpus
from ..errors import ReviewError
from ..reviewing.decision import SKIPPED, ClipName, Decision, now, outcome_of
from ..reviewing.decisions import Decisions, Taken
from ..reviewing.folder import Clip, ReviewFolder
from ..reviewing.order import clip_values
from .media import Media, media_of

ORDERS = ("value", "random", "fname")
_AHEAD = 2
_LONGEST_SECONDS = 3600.0


class UnknownClip(ReviewError):
    """A number that no clip of the review has."""


class UnknownLabel(ReviewError):
    """A label that is no class of the review."""


class Desk:
    """A review folder being worked on by any number of reviewers.

    order: which clips come first, one of ORDERS. overlap: the share of clips, 0 to 1, that are put before two
    reviewers, drawn by their names. A holder is one open page of a reviewer's; a clip that it has is given to no other.
    A clip's number is its place in `names`; `review` is a digest of these, as numbers mean nothing in another review.
    """

    def __init__(
        self, folder: ReviewFolder, decisions: Decisions, *, order: str = "value", overlap: float = 0.0
    ) -> None:
        self.folder, self.decisions = folder, decisions
        self.names = [ClipName(clip.role, clip.fname) for clip in folder.clips]
        self.review = _digest("\0".join((folder.fingerprint, *chain.from_iterable(self.names)))).hex()
        self._order = {self.names[number]: number for number in ordered(folder, order)}
        self._twice = {name for name in self.names if _share(name) < overlap}

    def next(self, holder: str, reviewer: str) -> dict[str, Any]:
        """Returns the clip to review now and those to fetch ahead, and how far the review is."""
        taken = self.decisions.take(holder, reviewer, self._order, count=_AHEAD, twice=self._twice)
        return self._answer(taken, reviewer)

    def decide(
        self, holder: str, reviewer: str, number: int, labels: Sequence[str] | None, *, seconds: float
    ) -> dict[str, Any]:
        """Keeps the labels that a reviewer heard in a clip, None where they skip it; returns as `next`.

        UnknownClip, UnknownLabel; ReviewError where the decision cannot be kept.
        """
        clip = self.clip(number)
        chosen = tuple(dict.fromkeys(labels or ()))
        for label in chosen:
            if label not in self.folder.vocabulary:
                raise UnknownLabel(f"{label}: no class of this review; choose one from the list")
        outcome = SKIPPED if labels is None else outcome_of(chosen, given=clip.given, proposed=clip.proposed)
        seconds = min(max(seconds, 0.0), _LONGEST_SECONDS)
        decision = Decision(clip.role, clip.fname, chosen, reviewer, outcome, now(), clip.given, seconds)
        with self.decisions.together():
            self.decisions.add(decision, holder=holder)
            return self.next(holder, reviewer)

    def undo(self, holder: str, reviewer: str) -> dict[str, Any]:
        """Takes back a reviewer's latest decision; returns as `next`, with its clip first and what had been chosen."""
        with self.decisions.together():
            decision = self.decisions.undo(reviewer, holder, among=self._order)
            answer = self.next(holder, reviewer)
        if decision:
            number = self._order[decision.clip]
            others = [clip for clip in answer["clips"] if clip["number"] != number]
            answer["clips"] = [self.shown(number), *others][:_AHEAD]
            answer["undone"] = {"number": number, "outcome": decision.outcome, "labels": list(decision.labels)}
        return answer

    def bring_back_skipped(self, holder: str, reviewer: str) -> dict[str, Any]:
        """Puts the clips that a reviewer skipped before them again; returns as `next`."""
        with self.decisions.together():
            self.decisions.bring_back_skipped(reviewer)
            return self.next(holder, reviewer)

    def refuse_another_review(self, review: str) -> None:
        """Raises ReviewError where a page was loaded from another review: its numbers are those of other clips."""
        if review != self.review:
            raise ReviewError(
                "the review has begun anew, and its clips are others than this page's: load the page again"
            )

    def clip(self, number: int) -> Clip:
        """Returns the clip of a number. UnknownClip."""
        if not 0 <= number < len(self.folder.clips):
            raise UnknownClip(f"there is no clip {number} in this review; load the page again")
        return self.folder.clips[number]

    def media(self, number: int) -> Media:
        """Returns what a clip sounds and looks like. UnknownClip, ReviewError, AudioError."""
        clip = self.clip(number)
        if not clip.path.is_file():
            raise ReviewError(f"{clip.path}: the sound file is gone; put it back, or begin again with --audio-root")
        return media_of(clip.path)

    def shown(self, number: int) -> dict[str, Any]:
        """Returns what a page shows of a clip."""
        clip = self.clip(number)
        return {
            "number": number,
            "fname": clip.fname,
            "role": clip.role,
            "tags": [{**vars(tag), "proposed": tag.proposed} for tag in clip.tags],
        }

    def progress(self, reviewer: str = "") -> dict[str, Any]:
        """Returns how many clips are settled, of how many, and a reviewer's own count."""
        heard, own, skipped = self.decisions.counts(reviewer, among=self._order)
        return {"clips": len(self.names), "settled": heard, "own": own, "own_skipped": skipped}

    def _answer(self, taken: Taken, reviewer: str) -> dict[str, Any]:
        return {
            "clips": [self.shown(self._order[clip]) for clip in taken.clips],
            "held_elsewhere": taken.held_elsewhere,
            "progress": self.progress(reviewer),
        }


def ordered(folder: ReviewFolder, order: str) -> list[int]:
    """Returns the numbers of a folder's clips, the first to be reviewed first. ReviewError for an unknown order."""
    names = [ClipName(clip.role, clip.fname) for clip in folder.clips]
    numbers = range(len(names))
    if order == "fname":
        return sorted(numbers, key=lambda number: names[number][::-1])
    if order == "random":
        return sorted(numbers, key=lambda number: _share(names[number], folder.fingerprint))
    if order != "value":
        raise ReviewError(f"{order}: no order of clips; choose {', '.join(ORDERS)}")
    worth = values(folder)
    return sorted(numbers, key=lambda number: (-worth[number], names[number][::-1]))


def values(folder: ReviewFolder) -> NDArray[np.float64]:
    """Returns what hearing each clip is worth, (clips,) in bits."""
    rows = [(number, tag) for number, clip in enumerate(folder.clips) for tag in clip.tags]
    return clip_values(
        np.array([number for number, _ in rows]),
        np.array([folder.vocabulary.index(tag.label) for _, tag in rows]),
        np.array([tag.probability for _, tag in rows]),
        n_clips=len(folder.clips),
        n_classes=len(folder.vocabulary),
    )


def refuse_changed_store(folder: ReviewFolder) -> None:
    """Raises ReviewError where the store is there, and no longer the one that the verdicts were made from."""
    if corpus.is_store(folder.store) and corpus.Store(folder.store).fingerprint() != folder.fingerprint:
        raise ReviewError(
            f"{folder.path}: its verdicts are on another state of the store {folder.store}; run `earwitness clean` "
            "again into another folder; --export and `prepare --decisions` take what is decided here"
        )


def _share(name: ClipName, salt: str = "") -> float:
    """Returns a number from 0 to 1 that is drawn by a clip's name."""
    return int.from_bytes(_digest("\0".join((salt, *name))), "big") / 2**64


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
