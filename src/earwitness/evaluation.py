"""How good a table of scores is: overall, per class, and on each part of the test set."""

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clipnames import align, named_as
from .corpus import Store, refuse_other_features
from .dataset import Clip, Dataset, Problem
from .errors import TableError, some_of
from .labels import Vocabulary
from .lwlrap import Lwlrap, bootstrap_interval, lwlrap
from .precision import Threshold, average_precision, best_scores, threshold
from .tables import read_scores, write

if TYPE_CHECKING:
    # It needs torch, which takes seconds to import; a table of scores is evaluated without.
    from .tagging import Tagger

PER_CLASS_COLUMNS = ("name", "clips", "lwlrap", "weight", "average_precision", "threshold", "precision", "recall")


@dataclass(frozen=True)
class Figure:
    """The lwlrap of some clips.

    lwlrap: 0..1. interval: (low, high), 95 % by bootstrap over clips. clips: how many there were.
    tied_clips: how many hold equal scores that make the last decimals of `lwlrap` a matter of chance.
    """

    lwlrap: float
    interval: tuple[float, float]
    clips: int
    tied_clips: int

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return {
            "lwlrap": self.lwlrap,
            "interval": list(self.interval),
            "clips": self.clips,
            "tied_clips": self.tied_clips,
        }


@dataclass(frozen=True)
class ClassFigure:
    """One class: the clips that carry it, its lwlrap (NaN if none does), its weight in the overall figure.

    average_precision: over the clips, NaN if none carries the class. threshold: from which score on to say that it is
    there (`precision.best_scores`), with precision and recall on these very clips.
    """

    name: str
    clips: int
    lwlrap: float
    weight: float
    average_precision: float
    threshold: Threshold


@dataclass(frozen=True)
class Evaluation:
    """All that `evaluate` reports; `by_usage` is empty where the test set is not divided.

    threshold: the best one for all classes, with precision and recall over all tags.
    """

    overall: Figure
    threshold: Threshold
    per_class: tuple[ClassFigure, ...]
    by_usage: dict[str, Figure] = field(default_factory=dict)

    @property
    def mean_average_precision(self) -> float:
        """The mean over the classes that some clip carries."""
        return float(np.mean([each.average_precision for each in self.per_class if each.clips]))

    def as_json(self) -> dict[str, Any]:
        """What `evaluate --json` writes; figures that a class has none of, as no clip carries it, are null."""
        report = self.overall.as_json() | {
            "mean_average_precision": self.mean_average_precision,
            **_threshold_as_json(self.threshold),
        }
        report["per_class"] = {
            each.name: {
                "lwlrap": _unless_nan(each.lwlrap), "weight": each.weight, "clips": each.clips,
                "average_precision": _unless_nan(each.average_precision),
                **_threshold_as_json(each.threshold),
            }
            for each in self.per_class
        }  # fmt: skip
        if self.by_usage:
            report["by_usage"] = {usage: figure.as_json() for usage, figure in self.by_usage.items()}
        return report

    def write_per_class_csv(self, path: str | Path) -> None:
        """Write `PER_CLASS_COLUMNS`, one row a class; without clips, all but weight and threshold is empty."""
        rows = (
            (
                each.name, each.clips, _unless_nan(each.lwlrap), each.weight,
                *map(_unless_nan, (each.average_precision, *each.threshold)),
            )
            for each in self.per_class
        )  # fmt: skip
        write(path, PER_CLASS_COLUMNS, rows)


def evaluate_scores(
    truth: NDArray[Any],
    scores: NDArray[Any],
    vocabulary: Vocabulary,
    usage: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Evaluation:
    """The evaluation of `scores` (clips, classes) against the labels `truth` (clips, classes).

    usage: for each clip its part of the test set (FSDKaggle2019: Public or Private), or None for no part.
    seed: of the bootstrap.
    Raises ValueError for shapes that do not fit, a NaN score, or a part without any label.
    """
    if truth.shape[1:] != (len(vocabulary),):
        raise ValueError(f"truth {truth.shape} does not have the vocabulary's {len(vocabulary)} classes")
    if usage is not None and len(usage) != len(truth):
        raise ValueError(f"{len(usage)} usages for {len(truth)} clips")
    result = lwlrap(truth, scores)
    of_all, of_each = best_scores(truth, scores)
    return Evaluation(
        overall=_figure(result, truth, scores, seed),
        threshold=threshold(truth, scores, of_all),
        per_class=_class_figures(result, truth, scores, vocabulary, of_each),
        by_usage={
            part: _figure(lwlrap(truth[rows], scores[rows]), truth[rows], scores[rows], seed)
            for part, rows in _parts(usage or ())
        },
    )


class Scored(NamedTuple):
    """Test clips with their scores (clips, classes) float64, and those that could not be scored."""

    clips: tuple[Clip, ...]
    scores: NDArray[np.float64]
    problems: tuple[Problem, ...]


def score_dataset(
    tagger: "Tagger", dataset: Dataset, *, on_clip: Callable[[int, int], None] = lambda done, total: None
) -> Scored:
    """The scores of a dataset's test clips, from their sound files; a file that can't be read becomes a problem.

    `on_clip(done, total)` is called after each clip. Raises TableError where there is no test clip to score, or one
    has a label that the model does not know.
    """
    clips = _known_test_clips(dataset.by_role("test"), tagger.vocabulary, dataset.root)
    good: list[tuple[Clip, NDArray[np.float64]]] = []
    problems = [problem for problem in dataset.problems if problem.role in ("test", "")]
    for done, (clip, tagged) in enumerate(zip(clips, tagger.tag_many(clip.path for clip in clips), strict=True), 1):
        if tagged.scores is None:
            problems.append(Problem(clip.fname, clip.role, clip.path, str(tagged.error)))
        else:
            good.append((clip, tagged.scores))
        on_clip(done, len(clips))
    if not good:
        raise TableError(f"{dataset.root}: not one test clip could be scored; first: {problems[0].what}")
    return Scored(tuple(clip for clip, _ in good), np.stack([scores for _, scores in good]), tuple(problems))


def score_store(
    tagger: "Tagger", store: Store, *, on_clip: Callable[[int, int], None] = lambda done, total: None
) -> Scored:
    """The scores of a store's test clips, from their prepared log-mels.

    Raises StoreError where these were made otherwise than the model's, TableError as `score_dataset` does.
    """
    refuse_other_features(store.path, store.features, tagger.recipe.features)
    rows = store.rows("test")
    clips = _known_test_clips([store.clips[row] for row in rows], tagger.vocabulary, store.path)
    scores: list[NDArray[np.float64]] = []
    for row in rows:
        scores.append(tagger.scores_of_log_mel(store.log_mel(int(row))))
        on_clip(len(scores), len(rows))
    return Scored(clips, np.stack(scores), ())


def given_scores(table: Path, source: Store | Dataset, where: Path) -> Scored:
    """The scores that a table in the submission form has for the test clips of a store or a dataset.

    It has all test clips, or all of one part of the test set: then it is judged on that part. Its columns are the
    classes, in any order. A row is a clip's where its fname is, else where one of both names is the end of the other,
    as `tag` names files and as a store of folders names clips, in other spellings too (`named_as`).
    Raises TableError as `tables.read_scores`, `named_as` and `align` do, and where there is no test clip.
    """
    tested = _known_test_clips([clip for clip in source.clips if clip.role == "test"], source.vocabulary, where)
    fnames, scores, _ = read_scores(table, source.vocabulary)
    try:
        fnames = named_as(tested, fnames)
        tested = _part_named(tested, set(fnames))
        return Scored(tested, align(tested, fnames, scores), ())
    except TableError as error:
        raise TableError(f"{table}: {error}") from None


def _part_named(tested: tuple[Clip, ...], fnames: set[str]) -> tuple[Clip, ...]:
    """Those of the test clips that make up the part with exactly these names, where there is one; else all."""
    parts = (tuple(clip for clip in tested if clip.usage == part) for part in {clip.usage for clip in tested})
    return next((part for part in parts if {clip.fname for clip in part} == fnames), tested)


def _known_test_clips(clips: Sequence[Clip], known: Vocabulary, where: Path) -> tuple[Clip, ...]:
    """Test clips with their labels as the vocabulary has them. TableError where there is none, and for other labels."""
    if not clips:
        raise TableError(
            f"{where}: no test clips; give test_post_competition.csv (fname,labels[,usage]) beside a folder test, "
            "or a CSV whose column split says test"
        )
    clips = tuple(_spelt_as_in(known, clip) for clip in clips)
    unknown = [label for label in dict.fromkeys(chain(*(clip.labels for clip in clips))) if label not in known]
    if unknown:
        raise TableError(
            f"{where}: the test clips have labels that the model does not know ({some_of(unknown)}): "
            "give a model that was trained on them, or correct the labels"
        )
    return clips


def _spelt_as_in(known: Vocabulary, clip: Clip) -> Clip:
    """A clip whose labels have their accents encoded as the one class has that is else the same.

    Some disks give a folder's name back encoded otherwise than it was written.
    """
    labels = (label if label in known else _only_alike(label, known) or label for label in clip.labels)
    return replace(clip, labels=tuple(dict.fromkeys(labels)))


def _only_alike(label: str, known: Vocabulary) -> str | None:
    found = [name for name in known.names if _composed(name) == _composed(label)]
    return found[0] if len(found) == 1 else None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _figure(result: Lwlrap, truth: NDArray[Any], scores: NDArray[Any], seed: int) -> Figure:
    interval = bootstrap_interval(truth, scores, seed=seed)
    return Figure(result.overall, interval, clips=len(truth), tied_clips=result.tied_clips)


def _class_figures(
    result: Lwlrap, truth: NDArray[Any], scores: NDArray[Any], vocabulary: Vocabulary, thresholds: NDArray[np.float64]
) -> tuple[ClassFigure, ...]:
    columns = zip(vocabulary.names, truth.T, scores.T, result.per_class, result.weights, thresholds, strict=True)
    return tuple(
        ClassFigure(
            name, int((present > 0).sum()), float(value), float(weight), average_precision(present, scored),
            threshold(present, scored, float(least)),
        )
        for name, present, scored, value, weight, least in columns
    )  # fmt: skip


def _parts(usage: Sequence[str | None]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each part of the test set with the mask (clips,) of its clips, in alphabetical order."""
    names = sorted({part for part in usage if part is not None})
    return [(name, np.array([part == name for part in usage])) for name in names]


def _threshold_as_json(one: Threshold) -> dict[str, float | None]:
    return {"threshold": one.score, "precision": _unless_nan(one.precision), "recall": _unless_nan(one.recall)}


def _unless_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
