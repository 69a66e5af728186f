"""Label Studio's JSON: what goes out comes back, and what Label Studio itself exports is understood."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import CLASSES
from earwitness.errors import ReviewError
from earwitness.labels import Vocabulary
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing import labelstudio
from earwitness.reviewing.decision import Decision
from earwitness.reviewing.folder import ReviewFolder

# As Label Studio 1.x exports a task of this interface: accounts as objects, an upload's prefix, fields of its own.
EXPORTED = {
    "id": 17,
    "annotations": [
        {
            "id": 9,
            "completed_by": {"id": 1, "email": "ben@example.com", "first_name": "", "last_name": ""},
            "result": [
                {
                    "value": {"choices": ["Bark", "Meow"]}, "id": "aJ4lEOvT_h", "from_name": "tags",
                    "to_name": "audio", "type": "choices", "origin": "manual",
                }
            ],
            "was_cancelled": False, "ground_truth": False, "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:16:09.728378Z", "draft_created_at": None, "lead_time": 4.288,
            "prediction": {}, "result_count": 1, "unique_id": "2fd8ab1c", "task": 17, "project": 83,
        }
    ],
    "file_upload": "0a1b2c3d-noisy3.wav", "drafts": [], "predictions": [],
    "data": {"audio": "/data/upload/83/0a1b2c3d-noisy3.wav"}, "meta": {},
    "created_at": "2026-03-09T22:10:08.5Z", "updated_at": "2026-03-09T22:16:09.7Z", "inner_id": 1,
    "total_annotations": 1, "cancelled_annotations": 0, "project": 83,
}  # fmt: skip


@pytest.fixture
def folder(tiny_review: Path) -> ReviewFolder:
    return review_folder.read(tiny_review)


def read(tmp_path: Path, content: Any, folder: ReviewFolder) -> tuple[list[Decision], list[str]]:
    path = tmp_path / "export.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return labelstudio.read(path, folder.clips, folder.vocabulary)


def changed(**changes: Any) -> dict[str, Any]:
    """The exported task with another annotation."""
    return EXPORTED | {"annotations": [EXPORTED["annotations"][0] | changes]}  # type: ignore[index, operator]


def choices(*labels: str) -> list[dict[str, Any]]:
    return [{"from_name": "tags", "to_name": "audio", "type": "choices", "value": {"choices": list(labels)}}]


def test_what_goes_out_comes_back(folder: ReviewFolder, tmp_path: Path) -> None:
    given = {clip.fname: clip.given for clip in folder.clips}
    when = "2026-01-02T03:04:05.000006Z"
    decisions = [
        Decision("noisy", "noisy0.wav", ("Bark", "Purr"), "Anna", "changed", when, given["noisy0.wav"], 2.5),
        Decision("noisy", "noisy0.wav", ("Meow",), "Ben é", "changed", when, given["noisy0.wav"], 1.0),
        Decision("noisy", "noisy1.wav", (), "Anna", "none", when, given["noisy1.wav"], 3.0),
        Decision("curated", "curated2.wav", (), "Anna", "skipped", when, given["curated2.wav"], 0.5),
    ]
    back, unknown = read(tmp_path, labelstudio.tasks(folder, decisions), folder)
    assert sorted(back, key=repr) == sorted(decisions, key=repr)
    assert unknown == []


def test_every_clip_is_a_task_with_the_proposal_as_prediction(folder: ReviewFolder) -> None:
    tasks = labelstudio.tasks(folder, [])
    assert [task["data"]["fname"] for task in tasks] == [clip.fname for clip in folder.clips]
    for task, clip in zip(tasks, folder.clips, strict=True):
        (prediction,) = task["predictions"]
        assert prediction["result"][0]["value"]["choices"] == (list(clip.proposed) or ["(none of these)"])
        assert 0.5 <= prediction["score"] <= 1
        assert task["annotations"] == []
        # Served by Label Studio's local file storage, below the folder that all the sounds are in.
        assert task["data"]["audio"] == f"/data/local-files/?d=dataset/{clip.path.parent.name}/{clip.path.name}"


def test_choices_and_controls_are_those_of_the_interface(folder: ReviewFolder) -> None:
    view = ElementTree.fromstring(labelstudio.interface(folder.vocabulary))
    names = {element.get("name"): element for element in view if element.get("name")}
    assert [choice.get("value") for choice in names["tags"]] == [*CLASSES, "(none of these)"]
    assert names["tags"].get("choice") == "multiple"
    decision = Decision("noisy", "noisy0.wav", ("Bark",), "Anna", "changed", "2026-01-01T00:00:00Z")
    (annotation,) = [a for task in labelstudio.tasks(folder, [decision]) for a in task["annotations"]]
    types = {"choices": "Choices", "textarea": "TextArea"}
    for result in annotation["result"]:
        assert names[result["from_name"]].tag == types[result["type"]]
        assert names[result["from_name"]].get("toName") == result["to_name"]
    assert names["audio"].get("value") == "$audio"
    assert "completed_by" not in annotation, "Label Studio refuses annotations of accounts that it lacks"


def test_names_with_marks_are_escaped() -> None:
    view = ElementTree.fromstring(labelstudio.interface(Vocabulary(('Cat & "dog" <wild>',))))
    assert view.find(".//Choice").get("value") == 'Cat & "dog" <wild>'  # type: ignore[union-attr]


def test_tasks_of_clips_at_relative_paths(folder: ReviewFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a review folder has them that was made with a relative --audio-root, beside absolute ones."""
    first, *others = folder.clips
    monkeypatch.chdir(first.path.parent)
    mixed = replace(folder, clips=(replace(first, path=Path(first.path.name)), *others))
    audio = [[task["data"]["audio"] for task in labelstudio.tasks(one, [])] for one in (mixed, folder)]
    assert audio[0] == audio[1]


def test_an_export_of_label_studio(folder: ReviewFolder, tmp_path: Path) -> None:
    ((decision,), unknown) = read(tmp_path, [EXPORTED], folder)
    assert unknown == []
    assert (decision.role, decision.fname, decision.labels) == ("noisy", "noisy3.wav", ("Bark", "Meow"))
    assert decision.reviewer == "Label Studio ben@example.com"
    assert decision.when == "2026-03-09T22:16:09.728378Z"
    assert decision.seconds == 4.288


@pytest.mark.parametrize(
    ("changes", "outcome", "reviewer"),
    [
        ({"completed_by": 7, "result": choices("(none of these)")}, "none", "Label Studio 7"),
        ({"completed_by": None, "was_cancelled": True, "result": []}, "skipped", "Label Studio"),
    ],
)
def test_skips_nothing_and_accounts(
    folder: ReviewFolder, tmp_path: Path, changes: dict[str, Any], outcome: str, reviewer: str
) -> None:
    ((decision,), _) = read(tmp_path, [changed(**changes)], folder)
    assert (decision.outcome, decision.labels, decision.reviewer) == (outcome, (), reviewer)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -3, None, "long"])
def test_times_and_names_that_are_none(folder: ReviewFolder, tmp_path: Path, seconds: Any) -> None:
    blank = {"from_name": "reviewer", "value": {"text": ["  "]}}
    answer = [*choices("Bark"), blank]
    ((decision,), _) = read(tmp_path, [changed(lead_time=seconds, result=answer, completed_by=7)], folder)
    assert (decision.seconds, decision.reviewer) == (0.0, "Label Studio 7")


def test_annotations_that_say_nothing_and_strangers(folder: ReviewFolder, tmp_path: Path) -> None:
    silent = changed(result=[])
    stranger = EXPORTED | {"data": {"audio": "https://example.com/some/other.wav?x=1"}}
    predicted_only = EXPORTED | {"annotations": []}
    nowhere = EXPORTED | {"data": {"audio": "http://[no address"}}
    found = read(tmp_path, [silent, stranger, predicted_only, nowhere], folder)
    assert found == ([], ["other.wav", "http://[no address"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[", "export.json: not JSON"),
        ({"data": {}}, "export.json: no list of tasks"),
        ([{"audio": "a.wav", "tags": "Bark"}], "task 1: has no `data`; .* not JSON-MIN"),
        ([EXPORTED, changed(result=choices("Barc"))], "task 2: the choice 'Barc' is no class"),
        ([changed(result=choices("Bark", "(none of these)"))], "beside 'Bark'"),
        ([changed(result="Bark")], "task 1, result: no list"),
        ([EXPORTED | {"annotations": 3}], "task 1, annotations: no list"),
        ([changed(result=[{"value": {"choices": [1]}}])], "task 1, choices: no list of texts"),
    ],
)
def test_what_is_refused(folder: ReviewFolder, tmp_path: Path, content: Any, complaint: str) -> None:
    with pytest.raises(ReviewError, match=complaint):
        read(tmp_path, content, folder)
