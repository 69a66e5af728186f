"""From which score on a class is there: tables of thresholds, and labels by them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from earwitness import evaluation, labelsheet, thresholds
from earwitness.errors import TableError
from earwitness.labels import Vocabulary

VOCABULARY = Vocabulary(("Bark", "Knock", "Rain"))


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["name,threshold", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_table_has_one_for_each_class_and_names_those_it_lacks(tmp_path: Path) -> None:
    found = thresholds.read(table(tmp_path / "t.csv", "Rain,0.25", "Bark,"), VOCABULARY)
    assert (found.scores.tolist(), found.without) == ([0.5, 0.5, 0.25], ("Bark", "Knock"))


def test_it_is_what_evaluate_writes(tmp_path: Path) -> None:
    """A class of no clip has the score of all classes."""
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    scores = np.array([[0.7, 0.2, 0.9], [0.6, 0.4, 0.1], [0.5, 0.3, 0.2]])
    result = evaluation.evaluate_scores(truth, scores, VOCABULARY)
    result.write_per_class_csv(tmp_path / "classes.csv")
    found = thresholds.read(tmp_path / "classes.csv", VOCABULARY)
    assert (found.scores.tolist(), found.without) == ([one.threshold.score for one in result.per_class], ())
    assert found.scores[2] == result.threshold.score


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["Rian,0.2"], "line 2.*Rian.*Rain"),
        (["Rain,0.2", "Rain,0.3"], "line 3: Rain has a row already"),
        (["", "Rain,20"], "line 3, threshold: '20' is not a finite number from 0 to 1"),
        (["Rain,20"], "line 2, threshold: '20' is not a finite number from 0 to 1"),
        (["Rain,nan"], "'nan' is not a finite number from 0 to 1"),
        (["Rain,high"], "'high' is not a finite number from 0 to 1"),
    ],
)
def test_what_is_no_threshold_is_refused(rows: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=told):
        thresholds.read(table(tmp_path / "t.csv", *rows), VOCABULARY)


@pytest.mark.parametrize("least", [-0.1, 1.5, np.nan, [0.5, 0.5], [0.1, 0.2, 3.0]])
def test_least_is_a_score_or_one_a_class(least: object) -> None:
    with pytest.raises(ValueError, match="least is a score"):
        thresholds.require(least, 3)  # type: ignore[arg-type]


def test_labels_are_those_that_score_enough_the_highest_first(tmp_path: Path) -> None:
    scores = np.array([[0.4, 0.6, 0.3], [0.1, 0.5, 0.1], [0.0, 0.0, 0.24]])
    least = np.array([0.4, 0.6, 0.25])
    assert labelsheet.write(tmp_path / "x.csv", ("a", "b", "c"), scores, VOCABULARY, least=least) == 2
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["fname", "labels"], ["a", "Knock,Bark,Rain"], ["b", ""], ["c", ""]]
    assert labelsheet.write(tmp_path / "x.csv", ("a", "b", "c"), scores, VOCABULARY, least=0.0) == 0
