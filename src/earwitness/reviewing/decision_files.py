"""Decisions in and out of files: the reviewers' own database, a CSV, Label Studio's JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import files, tables
from ..errors import ReviewError, TableError
from ..labels import Vocabulary
from ..layouts.listing import split_labels
from . import labelstudio
from .decisions import FILE_NAME, OUTCOMES, Decision, Decisions, moment, now, outcome_of
from .folder import Clip, ReviewFolder

COLUMNS = ("fname", "role", "labels", "reviewer", "outcome", "when", "given", "seconds")
FORMS = ".csv, .json (Label Studio's tasks) or .xml (its labelling interface)"


def write(path: Path, decisions: Sequence[Decision], folder: ReviewFolder) -> None:
    """Writes decisions in the form that the suffix of `path` names. OSError; ReviewError for an unknown suffix."""
    files.atomic_write(path, text_of(path, decisions, folder))


def text_of(path: Path, decisions: Sequence[Decision], folder: ReviewFolder) -> str:
    """Returns what `write` would write."""
    if path.suffix == ".csv":
        return tables.csv_text(COLUMNS, map(_row, decisions))
    if path.suffix == ".json":
        return json.dumps(labelstudio.tasks(folder, decisions), indent=1, ensure_ascii=False) + "\n"
    if path.suffix == ".xml":
        return labelstudio.interface(folder.vocabulary)
    raise ReviewError(f"{path}: cannot tell the form by {path.suffix!r}; name it {FORMS}")


def read(path: Path, clips: Sequence[Clip], vocabulary: Vocabulary) -> tuple[list[Decision], list[str]]:
    """Returns the decisions in a review folder, its database, a CSV or Label Studio's JSON; and names that are no clip.

    ReviewError or TableError for what is none of these.
    """
    if path.is_dir():
        path = path / FILE_NAME
    if path.suffix == Path(FILE_NAME).suffix:
        kept = Decisions(path, None)
        try:
            return kept.all(), []
        finally:
            kept.close()
    if path.suffix == ".json":
        return labelstudio.read(path, clips, vocabulary)
    if path.suffix == ".csv":
        return _read_csv(path, clips, vocabulary), []
    raise ReviewError(f"{path}: no decisions; give a review folder, its {FILE_NAME}, a .csv or Label Studio's .json")


def _row(decision: Decision) -> tuple[str, ...]:
    return (
        decision.fname, decision.role, ",".join(decision.labels), decision.reviewer, decision.outcome, decision.when,
        ",".join(decision.given), f"{decision.seconds:.1f}",
    )  # fmt: skip


def _read_csv(path: Path, clips: Iterable[Clip], vocabulary: Vocabulary) -> list[Decision]:
    """Returns the decisions of a CSV; only `fname` and `labels` are needed, no label means none of the classes."""
    of_clip = {clip.fname: clip for clip in clips}
    decisions = []
    for record in tables.read_records(path, ("fname", "labels"), optional=COLUMNS):
        if record.fault or not record.cells["fname"]:
            raise TableError(f"{record.where}: {record.fault or 'no file name: fill it in or delete the row'}")
        cells = record.cells
        labels = split_labels(cells["labels"])
        vocabulary.encode(labels, where=f"{record.where}, labels")
        outcome, when = cells.get("outcome", ""), cells.get("when", "")
        if outcome and outcome not in OUTCOMES:
            raise TableError(f"{record.where}, outcome: {outcome!r} is none of {', '.join(OUTCOMES)}: correct it")
        if when and not moment(when):
            raise TableError(f"{record.where}, when: {when!r} is no time such as 2026-01-31T12:00:00Z: correct it")
        clip = of_clip.get(cells["fname"])
        given = split_labels(cells.get("given", "")) or (clip.given if clip else ())
        proposed = clip.proposed if clip else ()
        decisions.append(
            Decision(
                cells.get("role", "") or (clip.role if clip else ""),
                cells["fname"],
                labels,
                cells.get("reviewer", "") or path.stem,
                outcome or outcome_of(labels, given=given, proposed=proposed),
                moment(when) or now(),
                given,
                _seconds(record.where, cells.get("seconds", "")),
            )
        )
    return decisions


def _seconds(where: str, cell: str) -> float:
    try:
        return float(cell or 0)
    except ValueError:
        raise TableError(f"{where}, seconds: {cell!r} is no number: correct it") from None
