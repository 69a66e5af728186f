"""Decisions and proposals as Label Studio's JSON, and back.

The labelling interface has a Choices control `tags` on an Audio object `audio`, with every class and one choice for a
clip that holds none of them, and a TextArea `reviewer`: Label Studio knows annotators by accounts of its own, and
refuses annotations of accounts it lacks. Sounds are named as its local file storage serves them, relative to a folder.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from .. import files
from ..errors import ReviewError
from ..labels import Vocabulary
from .decision import NOTHING, SKIPPED, ClipName, Decision, moment, now, outcome_of
from .folder import Clip, ReviewFolder

NONE_OF_THESE = "(none of these)"
_LOCAL = "/data/local-files/?d="
# Label Studio puts eight hexadecimal digits before the name of a file that is uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def interface(vocabulary: Vocabulary) -> str:
    """Returns the labelling interface for a project, as XML."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in (*vocabulary.names, NONE_OF_THESE))
    return (
        "<View>\n"
        '  <Audio name="audio" value="$audio"/>\n'
        '  <Choices name="tags" toName="audio" choice="multiple" required="true" showInline="true">\n'
        f"{choices}"
        "  </Choices>\n"
        '  <TextArea name="reviewer" toName="audio" maxSubmissions="1" placeholder="reviewer"/>\n'
        "</View>\n"
    )


def tasks(folder: ReviewFolder, decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Returns a task for each clip, the proposal as its prediction and each decision as an annotation.

    What Label Studio calls skipped, or cancelled, is a skip; a clip of no class has the one choice that says so.
    """
    said: dict[ClipName, list[Decision]] = {}
    for decision in decisions:
        said.setdefault(decision.clip, []).append(decision)
    root = Path(commonpath([clip.path.absolute().parent for clip in folder.clips]))
    return [
        _task(number, clip, root, said.get(ClipName(clip.role, clip.fname), []), folder.fingerprint)
        for number, clip in enumerate(folder.clips, start=1)
    ]


def is_of(content: Any, fingerprint: str) -> bool:
    """Tells whether the content of a JSON file is what `tasks` makes of a review with this fingerprint."""
    try:
        return bool(content) and all(task["predictions"][0]["model_version"] == fingerprint for task in content)
    except (TypeError, KeyError, IndexError):
        return False


def read(path: Path, clips: Sequence[Clip], vocabulary: Vocabulary) -> tuple[list[Decision], list[str]]:
    """Returns the decisions in an export of Label Studio, and the names of tasks that are none of the clips.

    A skipped task is a skip; an annotation without any choice says nothing and is passed over. ReviewError for a file
    that is no such export, or speaks of classes that the vocabulary lacks.
    """
    exactly = {ClipName(clip.role, clip.fname): clip for clip in clips}
    names: dict[str, list[Clip]] = {}
    for clip in clips:
        names.setdefault(clip.fname, []).append(clip)
        if clip.path.name != clip.fname:
            names.setdefault(clip.path.name, []).append(clip)
    found: list[Decision] = []
    unknown: list[str] = []
    for place, task in _tasks_of(path):
        data = task["data"]
        named = exactly.get(ClipName(str(data.get("role", "")), str(data.get("fname", ""))))
        candidates = [named] if named else names.get(_name_of(data), [])
        if len(candidates) != 1:
            unknown.append(_name_of(data))
            continue
        annotations = task.get("annotations", [])
        if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
            raise ReviewError(f"{place}, annotations: no list of objects; export it from Label Studio as JSON")
        for annotation in annotations:
            decision = _decision(place, annotation, candidates[0], vocabulary)
            if decision:
                found.append(decision)
    return found, unknown


# --- out ---


def _task(number: int, clip: Clip, root: Path, said: Sequence[Decision], fingerprint: str) -> dict[str, Any]:
    relative = clip.path.absolute().relative_to(root).as_posix()
    certainties = [max(tag.probability, 1 - tag.probability) for tag in clip.tags]
    return {
        "id": number,
        "data": {
            "audio": _LOCAL + quote(f"{root.name}/{relative}"),
            "fname": clip.fname,
            "role": clip.role,
            "given": list(clip.given),
        },
        "annotations": [
            {
                "id": 1000 * number + place,
                "result": ([] if each.outcome == SKIPPED else _choices(each.labels)) + [_reviewer(each.reviewer)],
                "was_cancelled": each.outcome == SKIPPED,
                "ground_truth": False,
                "created_at": each.when,
                "updated_at": each.when,
                "lead_time": each.seconds,
                "task": number,
            }
            for place, each in enumerate(said, start=1)
        ],
        "predictions": [
            {"model_version": fingerprint, "score": min(certainties, default=0.0), "result": _choices(clip.proposed)}
        ],
    }


def _choices(labels: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": "tags",
            "from_name": "tags",
            "to_name": "audio",
            "type": "choices",
            "origin": "manual",
            "value": {"choices": list(labels) or [NONE_OF_THESE]},
        }
    ]


def _reviewer(name: str) -> dict[str, Any]:
    return {
        "id": "reviewer",
        "from_name": "reviewer",
        "to_name": "audio",
        "type": "textarea",
        "origin": "manual",
        "value": {"text": [name]},
    }


# --- in ---


def _tasks_of(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = files.read_json(path, error=ReviewError)
    if not isinstance(content, list):
        raise ReviewError(f"{path}: no list of tasks; export it from Label Studio in the format JSON")
    for number, task in enumerate(content, start=1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise ReviewError(
                f"{path}, task {number}: has no `data`; export it from Label Studio in the format JSON, not JSON-MIN"
            )
        yield f"{path}, task {number}", task


def _name_of(data: Mapping[str, Any]) -> str:
    """Returns the file name that a task's data come down to."""
    if data.get("fname"):
        return str(data["fname"])
    try:
        parts = urlsplit(str(data.get("audio", "")))
    except ValueError:  # no address at all
        return str(data["audio"])
    local = parse_qs(parts.query).get("d", [""])[0]
    name = Path(local or unquote(parts.path)).name
    return _UPLOADED.sub("", name) if "/upload/" in parts.path else name


def _decision(place: str, annotation: Mapping[str, Any], clip: Clip, vocabulary: Vocabulary) -> Decision | None:
    results = annotation.get("result") or []
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise ReviewError(f"{place}, result: no list of objects; export it from Label Studio as JSON")
    labels = tuple(dict.fromkeys(label for each in results for label in _texts(place, each, "choices")))
    skipped = bool(annotation.get("was_cancelled"))
    if not labels and not skipped:
        return None
    if NONE_OF_THESE in labels and len(labels) > 1:
        raise ReviewError(f"{place}: {NONE_OF_THESE!r} beside {labels[0]!r}: unchoose one in Label Studio")
    labels = () if skipped or NONE_OF_THESE in labels else labels
    for label in labels:
        if label not in vocabulary:
            raise ReviewError(f"{place}: the choice {label!r} is no class of the review; correct it")
    said_by = (name for each in results if each.get("from_name") == "reviewer" for name in _texts(place, each, "text"))
    names = [name.strip() for name in said_by if name.strip()]
    lead_time = annotation.get("lead_time")
    return Decision(
        clip.role,
        clip.fname,
        labels,
        names[0] if names else _account(annotation.get("completed_by")),
        SKIPPED if skipped else outcome_of(labels, given=clip.given, proposed=clip.proposed) if labels else NOTHING,
        moment(str(annotation.get("updated_at") or annotation.get("created_at"))) or now(),
        clip.given,
        float(lead_time) if isinstance(lead_time, int | float) and 0 <= lead_time < math.inf else 0.0,
    )


def _texts(place: str, result: Mapping[str, Any], key: str) -> list[str]:
    value = result.get("value")
    found = value.get(key, []) if isinstance(value, dict) else []
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ReviewError(f"{place}, {key}: no list of texts; export it from Label Studio as JSON")
    return found


def _account(completed_by: Any) -> str:
    """Returns what to call a Label Studio account: a number, or an object with its address."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "Label Studio" if completed_by is None else f"Label Studio {completed_by}"
