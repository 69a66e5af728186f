"""The review over HTTP: what comes first, what is kept, what is said of trouble."""

import io
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earwitness.errors import AudioError, ReviewError
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decision import Decision, now
from earwitness.reviewing.decisions import FILE_NAME, Decisions
from earwitness.reviewing.folder import ReviewFolder

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("gradio", reason="the extra `serve` is not installed")
from fastapi.testclient import TestClient

from earwitness.serving import media, run
from earwitness.serving.app import create_app
from earwitness.serving.desk import Desk, ordered, refuse_changed_store, values
from earwitness.serving.media import Media, Shelf, media_of
from earwitness.serving.tally import agreement, by_class, by_reviewer
from earwitness.tables import read_rows

ANNA, BEN = {"reviewer": "Anna", "holder": "page1"}, {"reviewer": "Ben", "holder": "page2"}

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def folder(own_review: Path) -> ReviewFolder:
    return review_folder.read(own_review)


@pytest.fixture
def desk(folder: ReviewFolder) -> Iterator[Desk]:
    decisions = Decisions(folder.path / FILE_NAME, folder.fingerprint)
    yield Desk(folder, decisions)
    decisions.close()


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return TestClient(create_app(desk, reviewer="Anna"))


def posted(client: TestClient, path: str, body: dict[str, Any]) -> Any:
    """The answer to JSON as it is, of what is no JSON as well."""
    return client.post(f"/api/{path}", content=json.dumps(body), headers=JSON)


def review_of(client: TestClient) -> dict[str, Any]:
    return {"review": client.get("/api/about").json()["review"]}


def ask(client: TestClient, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post(f"/api/{path}", json=body | review_of(client) | more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def decide(client: TestClient, who: dict[str, Any], clip: dict[str, Any], labels: list[str] | None) -> dict[str, Any]:
    return ask(client, "decide", who, number=clip["number"], labels=labels, seconds=1.0)


# --- what comes first ---


def test_orders(folder: ReviewFolder) -> None:
    by_value = ordered(folder, "value")
    worth = values(folder)[by_value]
    assert (np.diff(worth) <= 0).all() and worth[0] > worth[-1]
    names = [folder.clips[number].fname for number in ordered(folder, "fname")]
    assert names == sorted(names)
    drawn = ordered(folder, "random")
    assert sorted(drawn) == sorted(by_value) and drawn not in (by_value, ordered(folder, "fname"))
    assert drawn == ordered(folder, "random"), "two servers on one folder agree"
    with pytest.raises(ReviewError, match="loudness: no order of clips; choose value, random, fname"):
        ordered(folder, "loudness")


def test_the_whole_review(client: TestClient, desk: Desk) -> None:
    """Two reviewers, until there is nothing left; every clip comes once, the most valuable first."""
    order = [desk.folder.clips[number].fname for number in ordered(desk.folder, "value")]
    answers = {"Anna": ask(client, "next", ANNA), "Ben": ask(client, "next", BEN)}
    assert [clip["fname"] for clip in answers["Anna"]["clips"] + answers["Ben"]["clips"]] == order[:4]
    seen = []
    while any(answer["clips"] for answer in answers.values()):
        for who in (ANNA, BEN):
            if clips := answers[who["reviewer"]]["clips"]:
                seen.append(clips[0]["fname"])
                proposed = [tag["label"] for tag in clips[0]["tags"] if tag["proposed"]]
                answers[who["reviewer"]] = decide(client, who, clips[0], proposed)
    assert sorted(seen) == sorted(order)
    assert answers["Ben"]["progress"]["settled"] == len(order)


def test_a_clip_is_shown_as_it_is(client: TestClient, desk: Desk) -> None:
    (clip, _) = ask(client, "next", ANNA)["clips"]
    known = desk.folder.clips[clip["number"]]
    assert (clip["fname"], clip["role"]) == (known.fname, known.role)
    assert [tag["label"] for tag in clip["tags"] if tag["given"]] == list(known.given)
    assert [tag["label"] for tag in clip["tags"] if tag["proposed"]] == list(known.proposed)


# --- what is kept ---


def test_decisions_are_kept_with_what_they_come_to(client: TestClient, desk: Desk) -> None:
    answer = ask(client, "next", ANNA)
    clips = []
    for labels in ([], None, ["Purr", "Meow", "Purr"]):
        clips.append(answer["clips"][0])
        answer = decide(client, ANNA, clips[-1], labels)
    known = desk.folder.clips[answer["clips"][0]["number"]]
    decide(client, ANNA, answer["clips"][0], list(known.given))
    kept = desk.decisions.all()
    assert [one.fname for one in kept[:3]] == [clip["fname"] for clip in clips]
    assert [one.labels for one in kept[:3]] == [(), (), ("Purr", "Meow")]
    assert [one.outcome for one in kept[:2]] == ["none", "skipped"]
    assert (kept[3].outcome, kept[3].labels, kept[3].seconds) == ("given", known.given, 1.0)


def test_undo_brings_the_clip_back_as_it_was_left(client: TestClient, desk: Desk) -> None:
    first, second = ask(client, "next", ANNA)["clips"]
    decide(client, ANNA, first, ["Purr"])
    answer = ask(client, "undo", ANNA)
    assert [clip["fname"] for clip in answer["clips"]] == [first["fname"], second["fname"]]
    assert answer["undone"] == {"number": first["number"], "outcome": "changed", "labels": ["Purr"]}
    assert desk.decisions.all() == []
    assert "undone" not in ask(client, "undo", ANNA)


def test_skipped_clips_come_again_when_asked_for(client: TestClient) -> None:
    first = ask(client, "next", ANNA)["clips"][0]
    answer = decide(client, ANNA, first, None)
    assert answer["progress"]["own_skipped"] == 1 and answer["progress"]["settled"] == 0
    assert first["fname"] not in [clip["fname"] for clip in answer["clips"]]
    # The one already before the reviewer stays; what they skipped comes after it.
    answer = ask(client, "skipped", ANNA)
    assert first["fname"] in [clip["fname"] for clip in decide(client, ANNA, answer["clips"][0], [])["clips"]]


def test_overlap_puts_a_share_of_clips_before_two(folder: ReviewFolder) -> None:
    decisions = Decisions(folder.path / FILE_NAME, folder.fingerprint)
    desk = Desk(folder, decisions, overlap=0.4)
    for who in ("Anna", "Ben", "Cleo"):
        while clips := desk.next(who, who)["clips"]:
            desk.decide(who, who, clips[0]["number"], ["Bark"], seconds=1)
    counts = [sum(one.fname == clip.fname for one in decisions.all()) for clip in folder.clips]
    assert set(counts) == {1, 2}
    assert 0.1 < counts.count(2) / len(counts) < 0.7


# --- what it sounds and looks like ---


def test_sound_and_picture(client: TestClient, desk: Desk) -> None:
    number = next(n for n, clip in enumerate(desk.folder.clips) if clip.fname == "noisy0.wav")
    wav = client.get(f"/api/clips/{number}/sound.wav")
    samples, rate_hz = soundfile.read(io.BytesIO(wav.content))
    assert (rate_hz, len(samples) / rate_hz) == (32_000, pytest.approx(1.0, abs=0.05))
    png = client.get(f"/api/clips/{number}/picture.png")
    assert {one.headers["cache-control"] for one in (wav, png)} == {"no-store"}, (
        "the number is another clip's elsewhere"
    )
    assert png.content.startswith(b"\x89PNG") and png.headers["content-type"] == "image/png"
    assert float(png.headers["X-Seconds"]) == pytest.approx(len(samples) / rate_hz)


def test_faint_sounds_are_raised_silence_is_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 32_000)
    for level, expected in ((0.3, 0.9), (0.01, 0.1), (0.0, 0.0)):
        soundfile.write(tmp_path / "a.wav", level * noise, 32_000, subtype="FLOAT")
        samples, _ = soundfile.read(io.BytesIO(media_of(tmp_path / "a.wav").wav))
        assert np.abs(samples).max() == pytest.approx(expected, rel=0.01, abs=1e-4)


def test_an_hour_of_sound_has_a_picture_of_bounded_width(tmp_path: Path) -> None:
    from earwitness.pictures import spectrogram_png

    levels = np.full((100_000, 16), -80.0)
    levels[99_999, 3] = 0
    png = spectrogram_png(levels)
    width, height = np.frombuffer(png[16:24], ">u4")
    assert width <= 1600 and height == 16


def made_of(path: Path) -> Media:
    return Media(bytes(1_000), b"", 1.0)


def test_a_file_asked_for_by_two_at_once_is_decoded_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    begun, go_on, made = threading.Event(), threading.Event(), []

    def make(path: Path) -> Media:
        made.append(path)
        begun.set()
        assert go_on.wait(10)
        return made_of(path)

    shelf = Shelf(make, most_bytes=10)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shelf.get, tmp_path / "a.wav")
        assert begun.wait(10)
        second = pool.submit(shelf.get, tmp_path / "a.wav")
        time.sleep(0.05)
        go_on.set()
        assert first.result() is second.result()
    assert made == [tmp_path / "a.wav"]


def test_what_is_kept_is_bounded_in_bytes(tmp_path: Path) -> None:
    made: list[str] = []

    def make(path: Path) -> Media:
        made.append(path.name)
        return made_of(path)

    for name in "abcd":
        (tmp_path / name).touch()
    shelf = Shelf(make, most_bytes=2_500)
    for name in "ababcabcd":
        shelf.get(tmp_path / name)
    assert "".join(made) == "abcabcd"  # c pushes a out, a then b, b then c
    small = Shelf(make, most_bytes=10)
    made.clear()
    for name in "aab":
        small.get(tmp_path / name)
    assert "".join(made) == "ab"  # picture and sound of one that is larger than all that may be kept


def test_a_file_that_changed_is_decoded_anew_and_a_failure_is_not_kept(tmp_path: Path) -> None:
    path, outcomes = tmp_path / "a.wav", [OSError(5, "Input/output error"), MemoryError(), None, None]

    def make(path: Path) -> Media:
        if error := outcomes.pop(0):
            raise error
        return made_of(path)

    shelf = Shelf(make, most_bytes=10_000)
    path.write_bytes(b"x")
    for words in ("reading broke off .Input/output error.; check the disk", "too long for this machine's memory"):
        with pytest.raises(AudioError, match=words):
            shelf.get(path)
    kept = shelf.get(path)
    assert shelf.get(path) is kept
    path.write_bytes(b"xy")
    assert shelf.get(path) is not kept


# --- trouble ---


def test_a_disk_that_fails_is_one_line(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> Media:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(media, "_SHELF", Shelf(failing, most_bytes=1))
    for name in ("sound.wav", "picture.png"):
        answer = client.get(f"/api/clips/0/{name}")
        assert answer.status_code == 422
        assert "Input/output error" in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_a_locked_database_is_said_and_the_decision_can_be_made_again(client: TestClient, desk: Desk) -> None:
    clip = ask(client, "next", ANNA)["clips"][0]
    desk.decisions._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(desk.decisions.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    body = ANNA | review_of(client) | {"number": clip["number"], "labels": [], "seconds": 1}
    answer = client.post("/api/decide", json=body)
    assert answer.status_code == 503
    assert "locked by another program" in answer.json()["error"] and "\n" not in answer.json()["error"]
    other.execute("ROLLBACK")
    assert client.post("/api/decide", json=body).status_code == 200
    assert len(desk.decisions.all()) == 1


def test_sounds_that_go_or_break_while_it_runs(own_review: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_dataset, tmp_path / "moved")
    folder = review_folder.read(own_review)
    clips = tuple(
        review_folder.Clip(c.fname, c.role, moved / c.path.relative_to(tiny_dataset), c.tags) for c in folder.clips
    )
    folder = ReviewFolder(folder.path, folder.store, folder.fingerprint, folder.vocabulary, clips)
    client = TestClient(create_app(Desk(folder, Decisions(tmp_path / FILE_NAME, "x"))))
    clips[0].path.unlink()
    answer = client.get("/api/clips/0/sound.wav")
    assert answer.status_code == 503 and "the sound file is gone; put it back" in answer.json()["error"]
    clips[1].path.write_bytes(b"no sound at all")
    answer = client.get("/api/clips/1/picture.png")
    assert answer.status_code == 422 and clips[1].path.name in answer.json()["error"]


def test_what_makes_no_sense_is_refused(client: TestClient, desk: Desk) -> None:
    body = ANNA | review_of(client) | {"number": 0, "labels": ["Barc"], "seconds": 1}
    for label, shown in (("Barc", "Barc"), ("\ud800", "\\ud800")):
        answer = posted(client, "decide", body | {"labels": [label]})
        assert answer.status_code == 422 and f"{shown}: no class of this review" in answer.json()["error"]
    assert client.post("/api/decide", json=body | {"number": 99, "labels": []}).status_code == 404
    for change in (
        {"seconds": -1}, {"seconds": float("nan")}, {"reviewer": ""}, {"reviewer": " \t"}, {"reviewer": "A\0"},
        {"reviewer": "\ud800"}, {"holder": "\ud800"}, {"holder": "x" * 101}, {"labels": "Bark"},
    ):  # fmt: skip
        answer = posted(client, "decide", body | {"labels": []} | change)
        (field,) = change
        assert answer.status_code == 422 and answer.json()["error"].startswith(field)
    assert client.post("/api/decide", content=b"{", headers=JSON).status_code == 422
    answer = client.get("/api/clips/99/sound.wav")
    assert answer.status_code == 404 and answer.json()["error"].startswith("there is no clip 99")
    assert desk.decisions.all() == []


@pytest.mark.parametrize("suffix", ["exe", "%E2%82%AC.csv", "a%0d%0aX: 1.csv", "csv.csv", "CSV", ""])
def test_decisions_come_in_no_other_form(client: TestClient, suffix: str) -> None:
    answer = client.get(f"/api/decisions.{suffix}")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (JSON, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        (JSON | {"Origin": "http://testserver"}, 200),
        (JSON | {"Origin": "https://behind.proxy", "Sec-Fetch-Site": "same-origin"}, 200),
        (JSON | {"Origin": "http://elsewhere.example"}, 403),
        (JSON | {"Origin": "http://testserver:8999", "Sec-Fetch-Site": "same-site"}, 403),
        (JSON | {"Origin": "null"}, 403),
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_pages_from_elsewhere_cannot_post(client: TestClient, headers: dict[str, str], status: int) -> None:
    body = json.dumps(ANNA | review_of(client) | {"number": 0, "labels": [], "seconds": 1})
    for path in ("decide", "next", "undo", "skipped", "renew", "release"):
        answer = client.post(f"/api/{path}", content=body.encode(), headers=headers)
        # What is no JSON is refused by newer versions of FastAPI before it comes to us.
        assert answer.status_code == status or (status == 415 and answer.status_code == 422), path
        assert status == 200 or list(answer.json()) == ["error"]


def test_a_page_of_another_review_cannot_decide(client: TestClient, desk: Desk, folder: ReviewFolder) -> None:
    """Numbers are places in a list: after `clean` has judged again, or a sound is gone, they are other clips'."""
    shown = ask(client, "next", ANNA)["clips"][0]
    later = Desk(replace(folder, clips=folder.clips[1:]), desk.decisions)
    body = ANNA | review_of(client) | {"number": shown["number"], "labels": [], "seconds": 1}
    begun_anew = TestClient(create_app(later))
    for path in ("decide", "next", "undo", "skipped"):
        answer = begun_anew.post(f"/api/{path}", json=body)
        assert answer.status_code == 503 and "load the page again" in answer.json()["error"]
    assert desk.decisions.all() == []
    assert Desk(folder, desk.decisions, order="random").review == desk.review, "the same clips in another order"


def test_names_of_reviewers_are_as_a_csv_gives_them_back(client: TestClient, desk: Desk) -> None:
    clip = ask(client, "next", ANNA)["clips"][0]
    decide(client, ANNA | {"reviewer": " Anna \n Lena "}, clip, [])
    assert [one.reviewer for one in desk.decisions.all()] == ["Anna Lena"]


def test_undo_leaves_decisions_on_clips_that_are_not_here(client: TestClient, desk: Desk) -> None:
    """Such as one whose sound is gone: it could not be put before the reviewer again."""
    desk.decisions.add(Decision("noisy", "elsewhere.wav", ("Bark",), "Anna", "changed", now()))
    answer = ask(client, "undo", ANNA)
    assert "undone" not in answer
    assert (answer["progress"]["settled"], answer["progress"]["own"]) == (0, 0), "nor does it count here"
    assert [one.fname for one in desk.decisions.all()] == ["elsewhere.wav"]


def test_the_latest_is_so_by_its_time(client: TestClient, desk: Desk) -> None:
    """Not by when it came into the database: what is brought from a file is often older than what is there."""
    from earwitness.serving.overview import _content

    here, brought, tied = desk.names[:3]
    times = ((here, "2026-01-02"), (brought, "2026-01-01"), (tied, "2026-01-02"))
    desk.decisions.add_all([Decision(*clip, (), "Anna", "none", f"{day}T00:00:00.000000Z") for clip, day in times])
    newest_first = [tied.fname, here.fname, brought.fname]
    assert [row[0] for row in _content(desk)[-1]] == newest_first
    assert [desk.clip(ask(client, "undo", ANNA)["undone"]["number"]).fname for _ in times] == newest_first


def test_a_store_that_changed_since(own_review: Path, tiny_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(tiny_store, tmp_path / "store")
    folder = review_folder.read(own_review)
    folder = ReviewFolder(folder.path, store, folder.fingerprint, folder.vocabulary, folder.clips)
    refuse_changed_store(folder)
    with (store / "clips.csv").open("a") as index:
        index.write("\n")
    with pytest.raises(ReviewError, match="its verdicts are on another state of the store"):
        refuse_changed_store(folder)
    shutil.rmtree(store)
    refuse_changed_store(folder)


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with run.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert run.address_of(listener) == f"http://127.0.0.1:{port}/"
        with pytest.raises(ReviewError, match=f"127.0.0.1:{port}: taken by another program; give another --port"):
            run.listen("127.0.0.1", port)
    with (
        monkeypatch.context() as patched,
        pytest.raises(ReviewError, match="80: not allowed to you; give a --port from"),
    ):
        patched.setattr(run.socket, "socket", forbidden)
        run.listen("127.0.0.1", 80)
    with pytest.raises(ReviewError, match="nosuchhost"):
        run.listen("nosuchhost.invalid", 80)
    with pytest.raises(ReviewError, match=r"^127\.0\.0\.\.1:80: no name of a machine; give another --host$"):
        run.listen("127.0.0..1", 80)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    run.require_extra()
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "gradio" else name)
    with pytest.raises(
        ReviewError, match=r'the page needs gradio: install the extra `serve`, pip install "earwitness\[serve\]"'
    ):
        run.require_extra()


# --- the pages ---


def test_the_page_takes_nothing_from_elsewhere(client: TestClient, desk: Desk) -> None:
    page = client.get("/")
    for rule in ("default-src 'self'", "frame-ancestors 'none'"):
        assert rule in page.headers["content-security-policy"].split("; ")
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    for name in ("review.js", "review.css", "icon.svg"):
        text = client.get(f"/static/{name}").text
        assert f"/static/{name}" in page.text
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), name
    assert client.get("/api/about").json() == {
        "classes": ["Bark", "Child_speech_and_kid_speaking", "Meow", "Purr"],
        "reviewer": "Anna",
        "review": desk.review,
    }


def test_decisions_can_be_downloaded(client: TestClient, tmp_path: Path) -> None:
    clip = ask(client, "next", ANNA)["clips"][0]
    decide(client, ANNA, clip, ["Purr"])
    answer = client.get("/api/decisions.csv")
    assert answer.headers["content-disposition"] == "attachment; filename=decisions.csv"
    assert answer.text.splitlines()[1].startswith(f"{clip['fname']},{clip['role']},Purr,Anna,")
    assert sum(len(task["annotations"]) for task in client.get("/api/decisions.json").json()) == 1
    assert "<View>" in client.get("/api/decisions.xml").text
    sheet = client.get("/api/decisions.xlsx")
    assert sheet.headers["content-disposition"] == "attachment; filename=decisions.xlsx"
    path = tmp_path / "decisions.xlsx"
    path.write_bytes(sheet.content)
    assert [row["fname"] for row in read_rows(path, ("fname",))] == [clip["fname"]]


def test_a_sheet_that_cannot_be_made_is_one_line(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    answer = client.get("/api/decisions.xlsx")
    assert answer.status_code == 503
    assert answer.json()["error"] == "decisions.xlsx: cannot be made here (No space left on device); take the .csv"


def test_the_overview_is_mounted(desk: Desk) -> None:
    from earwitness.serving.overview import WithOverview, _content

    desk.decide("page1", "Anna", 0, ["Purr"], seconds=2)
    with TestClient(WithOverview(create_app(desk), desk)) as client:
        page = client.get("/overview/")
        assert page.status_code == 200 and "gradio" in page.text
        assert client.get("/").text.startswith("<!doctype html>")
    heading, reviewers, pairs, classes, latest = _content(desk)
    assert heading == "# 1 of 20 clips settled by ear"
    assert reviewers == [["Anna", 1, 1, 0, 0, 2]]
    assert pairs == []
    assert ["Purr", 0, 0, "", 1] in classes
    assert latest[0][:3] == [desk.folder.clips[0].fname, "Anna", "Purr"]


# --- what it comes to ---


def said(folder: ReviewFolder, number: int, reviewer: str, *labels: str, skipped: bool = False) -> Decision:
    clip = folder.clips[number]
    outcome = "skipped" if skipped else "changed" if labels else "none"
    return Decision(clip.role, clip.fname, labels, reviewer, outcome, now(), clip.given, 3.0)


def test_agreement_of_two(folder: ReviewFolder) -> None:
    decisions = [
        said(folder, 0, "Anna", "Bark"), said(folder, 0, "Ben", "Bark"),
        said(folder, 1, "Anna", "Meow"), said(folder, 1, "Ben", "Purr"),
        said(folder, 2, "Anna", "Meow"), said(folder, 2, "Ben", skipped=True),
        said(folder, 3, "Cleo"),
    ]  # fmt: skip
    (pair,) = agreement(folder, decisions)
    assert (pair["reviewers"], pair["clips"], pair["same"]) == (("Anna", "Ben"), 2, 1)
    assert -1 <= pair["kappa"] < 1


def test_classes_and_reviewers(folder: ReviewFolder) -> None:
    clip = folder.clips[0]
    (given, *_) = clip.given
    other = next(name for name in folder.vocabulary.names if name not in clip.given)
    decisions = [
        said(folder, 0, "Anna", *clip.given),
        said(folder, 0, "Ben", other),
        said(folder, 1, "Ben", skipped=True),
    ]
    rows = {row["label"]: row for row in by_class(folder, decisions)}
    assert (rows[given]["confirmed"], rows[given]["wrong"], rows[given]["added"]) == (1, 1, 0)
    assert rows[other] == {"label": other, "confirmed": 0, "wrong": 0, "added": 1}
    anna, ben = by_reviewer(decisions)
    assert (anna["heard"], anna["changed_given"], ben["heard"], ben["skipped"], ben["changed_given"]) == (1, 0, 1, 1, 1)
