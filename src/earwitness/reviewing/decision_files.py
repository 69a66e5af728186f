"""Decisions in and out of files: the reviewers' own database, tables, Label Studio's JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import files, sheets, tables
from ..errors import ReviewError, TableError
from ..labels import Vocabulary
from ..layouts.listing import split_labels
from . import labelstudio
from .decision import GIVEN, NOTHING, OUTCOMES, SKIPPED, Decision, moment, now, outcome_of
from .decisions import FILE_NAME, Decisions
from .folder import OWN_FILES, Clip, ReviewFolder

COLUMNS = ("fname", "role", "labels", "reviewer", "outcome", "when", "given", "seconds")
Named = Mapping[str, Sequence[Clip]]

FORMS = ".csv, .xlsx, .json (Label Studio's tasks) or .xml (its labelling interface)"


def write(path: Path, decisions: Sequence[Decision], folder: ReviewFolder) -> None:
    """Writes decisions in the form that the suffix of `path` names.

    OSError; ReviewError for an unknown suffix, for a file of the review folder that is something else, and where what
    is there was not written so; TableError where a table would replace another.
    """
    if path.name in OWN_FILES and path.resolve().parent == folder.path.resolve():
        raise ReviewError(f"{path}: is the review folder's own {path.name}; give another name")
    if path.suffix == ".csv" or tables.writes_sheet(path):
        tables.refuse_to_replace(path, COLUMNS)
    else:
        files.refuse_to_replace(path, unless=lambda there: _is_of(there, folder), error=ReviewError)
    if tables.writes_sheet(path):
        tables.write(path, COLUMNS, map(_row, decisions))
    else:
        files.atomic_write(path, text_of(path, decisions, folder))


def _is_of(path: Path, folder: ReviewFolder) -> bool:
    """Tells whether a file holds tasks of this review, or a labelling interface."""
    if path.suffix != ".json":
        return path.read_bytes().startswith(b"<View>")
    try:
        return labelstudio.is_of(files.read_json(path, error=ReviewError), folder.fingerprint)
    except ReviewError:
        return False


def text_of(path: Path, decisions: Sequence[Decision], folder: ReviewFolder) -> str:
    """Returns what `write` would write in a form that is text."""
    if path.suffix == ".csv":
        return tables.csv_text(COLUMNS, map(_row, decisions))
    if path.suffix == ".json":
        return json.dumps(labelstudio.tasks(folder, decisions), indent=1, ensure_ascii=False) + "\n"
    if path.suffix == ".xml":
        return labelstudio.interface(folder.vocabulary)
    raise ReviewError(f"{path}: cannot tell the form by {path.suffix!r}; name it {FORMS}")


def read(path: Path, clips: Sequence[Clip], vocabulary: Vocabulary) -> tuple[list[Decision], list[str]]:
    """Returns the decisions in a review folder, its database, a table, Label Studio's JSON; and names of no clip.

    A decision on a name that only one clip has is on that clip, whatever role it names. ReviewError or TableError for
    what is none of these.
    """
    clips_named: dict[str, list[Clip]] = {}
    for clip in clips:
        clips_named.setdefault(clip.fname, []).append(clip)
    if path.is_dir():
        path = path / FILE_NAME
    if path.suffix == Path(FILE_NAME).suffix:
        kept = Decisions(path, None)
        try:
            return [_of_clip(decision, clips_named) for decision in kept.all()], []
        finally:
            kept.close()
    if path.suffix == ".json":
        return labelstudio.read(path, clips, vocabulary)
    if path.suffix == ".csv" or sheets.is_sheet(path):
        return _read_table(path, clips_named, vocabulary), []
    raise ReviewError(
        f"{path}: no decisions; give a review folder, its {FILE_NAME}, a .csv or .xlsx, or Label Studio's .json"
    )


def _row(decision: Decision) -> tuple[str | float, ...]:
    return (
        decision.fname, decision.role, ",".join(decision.labels), decision.reviewer, decision.outcome, decision.when,
        ",".join(decision.given), round(decision.seconds, 1),
    )  # fmt: skip


def _clip_of(fname: str, role: str, named: Named) -> Clip | None:
    """Returns the clip of a name; of several, that of the role."""
    candidates = named.get(fname, ())
    if len(candidates) == 1:
        return candidates[0]
    return next((clip for clip in candidates if clip.role == role), None)


def _of_clip(decision: Decision, named: Named) -> Decision:
    clip = _clip_of(decision.fname, decision.role, named)
    return replace(decision, role=clip.role) if clip else decision


def _read_table(path: Path, named: Named, vocabulary: Vocabulary) -> list[Decision]:
    """Returns the decisions of a table; only `fname` and `labels` are needed, no label means none of the classes."""
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
        clip = _clip_of(cells["fname"], cells.get("role", ""), named)
        given = split_labels(cells.get("given", "")) or (clip.given if clip else ())
        if _belied(outcome, labels, given):
            outcome = ""  # the labels were edited, and it was not
        proposed = clip.proposed if clip else ()
        decisions.append(
            Decision(
                clip.role if clip else cells.get("role", ""),
                cells["fname"],
                labels,
                cells.get("reviewer", "") or path.stem,
                outcome or outcome_of(labels, given=given, proposed=proposed),
                moment(when) or now(),
                given,
                tables.number(f"{record.where}, seconds", cells.get("seconds", "") or "0", least=0),
            )
        )
    return decisions


def _belied(outcome: str, labels: Sequence[str], given: Sequence[str]) -> bool:
    """Tells whether a row's labels say otherwise than its outcome; those given may be unknown, and are then none."""
    if outcome == SKIPPED:
        return bool(labels)
    changed = outcome == GIVEN and bool(given) and set(labels) != set(given)
    return changed or bool(labels) == (outcome == NOTHING)
