"""What verdicts come to, class by class: rates of wrong and missing labels with intervals, confusions; summary.json."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import calibration, domains, files
from ..calibration import Interval
from ..corpus import Store
from ..decoding import SILENT
from .judging import Judged
from .twins import Twins
from .verdicts import Verdict, relabelled

FORMAT = 1
_SEED = 0
_DRAWS = 400
_MOST_CONFUSIONS = 5


class ClassSummary(NamedTuple):
    """A class in the noisy set: how often it was given, what share of that is wrong, what share of the clips that truly
    hold it lack it, and how far apart curated and noisy recordings of it are (0.5 not at all, 1 entirely)."""

    name: str
    given: int
    wrong: Interval
    missing: Interval
    domain: float


def class_summaries(judged: Judged, names: Sequence[str]) -> list[ClassSummary]:
    """Returns a summary of each class over the noisy clips, with 90 % intervals."""
    rng = np.random.default_rng(_SEED)
    p, given = judged.probability[judged.noisy], judged.given[judged.noisy] > 0
    return [
        ClassSummary(name, int(given[:, column].sum()),
                     *rates(rng, p[:, column], given[:, column], shift_deviation=judged.shift_deviation),
                     domain=_domain(judged, column))
        for column, name in enumerate(names)
    ]  # fmt: skip


def rates(
    rng: np.random.Generator, probability: NDArray[np.float64], given: NDArray[np.bool_], *, shift_deviation: float
) -> tuple[Interval, Interval]:
    """Returns the rates of wrong and of missing labels of one class in some clips: (clips,) each.

    What is wrong with the tags given and with those not given is drawn apart: one shift for both, as if a class were
    misheard in the same way in either, leaves too many true rates outside (docs/log.md).
    """
    right, wrong = calibration.share_interval(rng, probability[given], rng.normal(0.0, shift_deviation, _DRAWS))
    lacking, _ = calibration.share_interval(rng, probability[~given], rng.normal(0.0, shift_deviation, _DRAWS))
    with np.errstate(invalid="ignore"):
        return wrong, calibration.interval_of(lacking / (lacking + right))


def _domain(judged: Judged, column: int) -> float:
    curated = ~judged.noisy & (judged.given[:, column] > 0)
    noisy = judged.noisy & (judged.probability[:, column] >= 0.5)
    return domains.chance_of_order(judged.apartness[curated], judged.apartness[noisy])


def silent_clips(store: Store) -> list[str]:
    """Returns the fnames of the clips that hold nothing to hear."""
    return [clip.fname for clip, remark in zip(store.clips, store.remarks, strict=True) if SILENT in remark]


def content_of(
    judged: Judged, store: Store, found: Sequence[Verdict], twins: Twins, left_out: Sequence[str]
) -> dict[str, Any]:
    """Returns what summary.json holds."""
    names = store.vocabulary.names
    counts = {role: dict.fromkeys(("keep", "drop", "add", "unsure"), 0) for role in ("curated", "noisy")}
    not_given = dict.fromkeys(counts, 0)
    for one in found:
        role = store.clips[one.row].role
        counts[role][one.verdict] += 1
        not_given[role] += one.verdict == "unsure" and not one.given
    classes = class_summaries(judged, names)
    return {
        "format": FORMAT,
        "store": str(store.path.resolve()),
        "fingerprint": store.fingerprint(),
        "classes": list(names),
        "seconds_are_in": "the file",
        "clips": {"curated": int((~judged.noisy).sum()), "noisy": int(judged.noisy.sum()),
                  "curated_out_of_fold": int((judged.out_of_fold & ~judged.noisy).sum())},
        "verdicts": counts,
        "unsure_not_given": not_given,
        "noisy_clips_relabelled": relabelled(found, store),
        "noisy_clips_left_without_label": len(left_out),
        "domain": _number(domains.chance_of_order(judged.apartness[~judged.noisy], judged.apartness[judged.noisy])),
        "silent": silent_clips(store),
        "duplicates": {"pairs": len(twins.pairs), "across_splits": len(twins.across)},
        "per_class": {one.name: _as_json(one) for one in classes},
        "confusions": [
            {"given": names[given], "true": names[true], "clips": round(float(judged.confusions[given, true]), 2)}
            for given, true in _strongest(judged.confusions)
        ],
        "calibration": {"weights": [round(float(one), 4) for one in judged.calibration.weights],
                        "bias": round(judged.calibration.bias, 4), "shift_deviation": round(judged.shift_deviation, 4)},
    }  # fmt: skip


def _as_json(one: ClassSummary) -> dict[str, Any]:
    def rate(interval: Interval) -> dict[str, Any]:
        return {"rate": _number(interval.rate), "low": _number(interval.low), "high": _number(interval.high)}

    return {"given": one.given, "wrong": rate(one.wrong), "missing": rate(one.missing), "domain": _number(one.domain)}


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _strongest(confusions: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yields (given, true) for each given class its most frequent confusions, those of half a clip or more."""
    for given, row in enumerate(confusions):
        for true in np.argsort(-row)[:_MOST_CONFUSIONS]:
            if row[true] >= 0.5:
                yield given, int(true)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes summary.json."""
    files.atomic_write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
