"""What a reviewer said of a clip, and what several of them come to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

SKIPPED, NOTHING, GIVEN, PROPOSED, CHANGED = OUTCOMES = ("skipped", "none", "given", "proposed", "changed")


class ClipName(NamedTuple):
    """What a clip is called: its name and its role, as two roles may have files of one name."""

    role: str
    fname: str


@dataclass(frozen=True)
class Decision:
    """What a reviewer said of a clip.

    role: the clip's, or '' for whichever has that fname. labels: what is truly in it; none where nothing of the
    vocabulary is. given: what it came with. when: ISO 8601, UTC. seconds: how long it took. outcome: one of OUTCOMES.
    """

    role: str
    fname: str
    labels: tuple[str, ...]
    reviewer: str
    outcome: str
    when: str
    given: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def clip(self) -> ClipName:
        """The clip it is about."""
        return ClipName(self.role, self.fname)

    @property
    def says(self) -> frozenset[str] | None:
        """What it says of the clip: the labels in it, whatever their order; None for a skip, which says nothing."""
        return None if self.outcome == SKIPPED else frozenset(self.labels)


def now() -> str:
    """Returns the time as decisions carry it."""
    return _as_kept(datetime.now(UTC))


def moment(text: str) -> str | None:
    """Returns a time in any form of ISO 8601 as decisions carry it, UTC where no zone is named; None if it is none."""
    try:
        time_ = datetime.fromisoformat(text)
        return _as_kept(time_ if time_.tzinfo else time_.replace(tzinfo=UTC))
    except (ValueError, OverflowError):  # the first or last day there is, in a zone where it is another
        return None


def _as_kept(time_: datetime) -> str:
    """Returns a time as text whose order is that of time."""
    return time_.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def outcome_of(labels: Sequence[str], *, given: Sequence[str], proposed: Sequence[str]) -> str:
    """Returns what a choice of labels comes to: none of them, those given, those proposed, or others."""
    if not labels:
        return NOTHING
    if set(labels) == set(given):
        return GIVEN
    return PROPOSED if set(labels) == set(proposed) else CHANGED


def settled(decisions: Iterable[Decision]) -> dict[ClipName, Decision]:
    """Returns one decision a clip: the latest, its labels those that more than half of the clip's reviewers heard.

    Where a label divides them evenly, the latest has the say. Skipped clips are not among them.
    """
    of_clip: dict[ClipName, list[Decision]] = defaultdict(list)
    for decision in sorted(decisions, key=lambda each: each.when):
        if decision.outcome != SKIPPED:
            of_clip[decision.clip].append(decision)
    return {clip: _settled(said) for clip, said in of_clip.items()}


def _settled(said: Sequence[Decision]) -> Decision:
    votes = Counter(label for decision in said for label in decision.labels)
    latest = said[-1]
    labels = tuple(
        label
        for label in dict.fromkeys((*latest.labels, *votes))
        if 2 * votes[label] > len(said) or (2 * votes[label] == len(said) and label in latest.labels)
    )
    return Decision(
        latest.role, latest.fname, labels, latest.reviewer,
        outcome_of(labels, given=latest.given, proposed=()), latest.when, latest.given,
    )  # fmt: skip
