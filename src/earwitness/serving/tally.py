"""What the decisions of a review come to: by reviewer, by class, and how far two reviewers agree."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Any

from ..reviewing.agreement import cohens_kappa
from ..reviewing.decision import NOTHING, SKIPPED, ClipName, Decision
from ..reviewing.folder import ReviewFolder


def agreement(folder: ReviewFolder, decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Returns for each two reviewers how far they agree on the clips that both have heard.

    kappa: Cohen's, over the tags of those clips that are in doubt or were chosen by either.
    """
    candidates = {ClipName(clip.role, clip.fname): {tag.label for tag in clip.tags} for clip in folder.clips}
    heard: dict[str, dict[ClipName, set[str]]] = defaultdict(dict)
    for decision in decisions:
        if decision.outcome != SKIPPED:
            heard[decision.reviewer][decision.clip] = set(decision.labels)
    found = []
    for first, second in combinations(sorted(heard), 2):
        both = sorted(heard[first].keys() & heard[second].keys())
        if not both:
            continue
        pairs = [(heard[first][clip], heard[second][clip], candidates.get(clip, set())) for clip in both]
        asked = [(label in one, label in other) for one, other, known in pairs for label in known | one | other]
        kappa = cohens_kappa([a for a, _ in asked], [b for _, b in asked])
        same = sum(one == other for one, other, _ in pairs)
        found.append({"reviewers": (first, second), "clips": len(both), "same": same, "kappa": kappa})
    return found


def by_class(folder: ReviewFolder, decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Returns for each class that was met: given labels heard and not heard, and tags added by ear."""
    confirmed, wrong, added = Counter[str](), Counter[str](), Counter[str]()
    for decision in decisions:
        if decision.outcome != SKIPPED:
            given, labels = set(decision.given), set(decision.labels)
            confirmed.update(given & labels)
            wrong.update(given - labels)
            added.update(labels - given)
    return [
        {"label": name, "confirmed": confirmed[name], "wrong": wrong[name], "added": added[name]}
        for name in folder.vocabulary.names
        if confirmed[name] + wrong[name] + added[name]
    ]


def by_reviewer(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Returns for each reviewer what they decided, and the median time they took for it."""
    by_name: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        by_name[decision.reviewer].append(decision)
    return [
        {
            "reviewer": name,
            "heard": sum(each.outcome != SKIPPED for each in said),
            "skipped": sum(each.outcome == SKIPPED for each in said),
            "nothing": sum(each.outcome == NOTHING for each in said),
            "changed_given": sum(each.outcome != SKIPPED and set(each.labels) != set(each.given) for each in said),
            "seconds": median(each.seconds for each in said),
        }
        for name, said in sorted(by_name.items())
    ]
