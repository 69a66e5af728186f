"""A tagger over HTTP."""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("gradio", reason="the extra `serve` is not installed")
from fastapi.testclient import TestClient

from conftest import CLASSES, RATE_HZ, tone
from earwitness import layouts
from earwitness.errors import AudioError
from earwitness.events import Event
from earwitness.serving.tag_app import Tagging, Told, create_app, told
from earwitness.tagging import Tagger


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


@pytest.fixture(scope="module")
def client(tagger: Tagger) -> TestClient:
    return TestClient(create_app(tagger, largest_bytes=1_000_000))


@pytest.fixture(scope="module")
def sounds(tiny_dataset: Path) -> list[Path]:
    return [clip.path for clip in layouts.read_dataset(tiny_dataset).by_role("test")]


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(4 * RATE_HZ), RATE_HZ)
    return tmp_path / "quiet.wav"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "broken.wav", tone("Bark", seconds=4, seed=1), RATE_HZ)
    content = (tmp_path / "broken.wav").read_bytes()
    (tmp_path / "broken.wav").write_bytes(content[: len(content) // 2])
    return tmp_path / "broken.wav"


def post(client: TestClient, name: str, content: bytes, query: str = "") -> Any:
    return client.post(f"/api/tag{query}", files={"file": (name, content)})


def test_a_file_has_the_scores_that_the_tagger_gives_it(client: TestClient, tagger: Tagger, sounds: list[Path]) -> None:
    for path in sounds[:4]:
        answer = post(client, path.name, path.read_bytes())
        assert answer.status_code == 200
        assert answer.json()["fname"] == path.name
        assert {one["label"]: one["score"] for one in answer.json()["tags"]} == tagger.tag(path)
        scores = [one["score"] for one in answer.json()["tags"]]
        assert scores == sorted(scores, reverse=True)


def test_only_the_first_tags(client: TestClient, sounds: list[Path]) -> None:
    whole = post(client, "a.wav", sounds[0].read_bytes()).json()["tags"]
    assert post(client, "a.wav", sounds[0].read_bytes(), "?top=2").json()["tags"] == whole[:2]
    assert post(client, "a.wav", sounds[0].read_bytes(), "?top=-1").json()["tags"] == []


def test_from_when_to_when_each_class_is_heard(client: TestClient, tagger: Tagger, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([tone("Bark", seconds=4, seed=1), tone("Purr", seconds=5, seed=2)]), RATE_HZ)
    assert "events" not in post(client, "long.wav", path.read_bytes()).json()
    for least in (0.0, 0.3, 1.0):
        answer = post(client, "long.wav", path.read_bytes(), f"?top=1&least={least}").json()
        assert [Event(**one) for one in answer["events"]] == tagger.events(path, least=least)
        assert len(answer["tags"]) == 1
    assert post(client, "long.wav", path.read_bytes(), "?least=0").json()["events"]


@pytest.mark.parametrize("least", ["1.1", "-0.1", "nan", "half"])
def test_a_score_that_is_none_gets_one_line(client: TestClient, sounds: list[Path], least: str) -> None:
    answer = post(client, "a.wav", sounds[0].read_bytes(), f"?least={least}")
    assert answer.status_code == 422 and answer.json()["error"].startswith("least: ")


def test_silence_and_a_file_that_breaks_off_are_told(client: TestClient, quiet: Path, broken: Path) -> None:
    sent = {path.name: post(client, path.name, path.read_bytes()).json() for path in (quiet, broken)}
    assert (sent["quiet.wav"]["silent"], sent["quiet.wav"]["cut_short"]) == (True, False)
    assert (sent["broken.wav"]["silent"], sent["broken.wav"]["cut_short"]) == (False, True)
    assert all(len(one["tags"]) == len(CLASSES) for one in sent.values())


@pytest.mark.parametrize(("method", "address"), [("GET", "/api/tag"), ("PUT", "/api/tag"), ("GET", "/api/nothing")])
def test_an_address_that_is_none_gets_one_line(client: TestClient, method: str, address: str) -> None:
    answer = client.request(method, address)
    assert answer.status_code == 404
    assert answer.json() == {"error": f"{method} {address}: not answered here; POST a file to /api/tag"}


def test_what_is_served(client: TestClient, tagger: Tagger) -> None:
    answer = client.get("/api/about").json()
    assert (answer["classes"], answer["model"]) == (list(CLASSES), tagger.digest)


@pytest.mark.parametrize("name", ["../../secret.wav", "no suffix", "x.exe", "line\nend.wav", "a" * 300 + ".wav"])
def test_names_are_names_only(client: TestClient, sounds: list[Path], name: str) -> None:
    answer = post(client, name, sounds[0].read_bytes())
    assert answer.status_code == 200 and "/" not in answer.json()["fname"]


def test_bad_files_get_one_line_that_names_them(client: TestClient) -> None:
    for content in (b"", b"no sound at all", b"RIFF" + bytes(100)):
        answer = post(client, "bad.wav", content)
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("bad.wav: ") and "/tmp" not in answer.json()["error"]


def test_several_files_in_one_request_are_refused(client: TestClient, sounds: list[Path]) -> None:
    answer = client.post("/api/tag", files=[("file", (path.name, path.read_bytes())) for path in sounds[:2]])
    assert (answer.status_code, answer.json()) == (422, {"error": "2 files in one request: post them one by one"})


def test_a_file_that_is_too_large_is_refused(client: TestClient) -> None:
    answer = post(client, "long.wav", bytes(1_000_001))
    assert answer.status_code == 413
    assert answer.json()["error"] == "long.wav: more than 1 MB; cut it into parts, or raise --largest-mb"


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({}, 422, "file: Field required"),
        ({"data": {"file": "text"}}, 422, "file: "),
        ({"files": {"file": b"x"}, "params": {"top": "three"}}, 422, "top: "),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "Missing boundary"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400, ""),
    ],
)
def test_requests_that_make_no_sense_get_one_line(
    sent: dict[str, Any], status: int, words: str, client: TestClient
) -> None:
    answer = client.post("/api/tag", **sent)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    line = answer.json()["error"]
    assert line.startswith(words) and line.endswith("; post the sound file as form field `file`") and "\n" not in line


def test_a_file_whose_name_is_none(client: TestClient, sounds: list[Path]) -> None:
    assert post(client, "/", sounds[0].read_bytes()).json()["fname"] == "file"


def test_a_body_that_is_too_long_is_not_kept(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, sounds: list[Path]
) -> None:
    """Its first bytes are, until it is too long; no more of it than that may reach the disk."""
    from starlette.datastructures import UploadFile

    kept, write = [], UploadFile.write

    async def counted(self: UploadFile, data: bytes) -> None:
        kept.append(len(data))
        await write(self, data)

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
        yield from itertools.repeat(bytes(100_000), 100)
        yield b"\r\n--x--\r\n"

    monkeypatch.setattr(UploadFile, "write", counted)
    answer = client.post("/api/tag", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413
    assert answer.json()["error"] == "the file: more than 1 MB; cut it into parts, or raise --largest-mb"
    assert sum(kept) < 2_100_000
    assert post(client, "a.wav", sounds[0].read_bytes()).status_code == 200


def test_a_full_disk_is_one_line(client: TestClient, sounds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    answer = post(client, "a.wav", sounds[0].read_bytes())
    assert answer.status_code == 503
    assert answer.json() == {"error": "the file cannot be kept here (No space left on device); try again later"}


def test_many_at_once(client: TestClient, sounds: list[Path]) -> None:
    alone = [post(client, path.name, path.read_bytes()).json() for path in sounds]
    together: dict[int, Any] = {}

    def ask(number: int) -> None:
        together[number] = post(client, sounds[number].name, sounds[number].read_bytes()).json()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(sounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(len(sounds))] == alone


def test_nothing_posted_stays_on_the_disk(tagger: Tagger, sounds: list[Path], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = TestClient(create_app(tagger, largest_bytes=10_000_000))
    post(client, "a.wav", sounds[0].read_bytes())
    post(client, "bad.wav", b"no sound")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_the_page_is_given_lies_in_a_folder_of_its_own(tagger: Tagger, monkeypatch: Any) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    create_app(tagger, largest_bytes=10_000_000)
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert folder.name.startswith("earwitness-page-") and folder.stat().st_mode & 0o777 == 0o700


def test_the_page_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "gradio" in page.text


def test_what_the_page_tells_as_more_is_known(tagger: Tagger, sounds: list[Path], monkeypatch: Any) -> None:
    events = [Event(0.0, 2.04, "Bark", 0.876), Event(59.96, 3600.0, "Child_speech_and_kid_speaking", 1.0)]
    monkeypatch.setattr(Tagger, "events", lambda self, path, *, least: events)
    begun, tagged, last = told(Tagging(tagger, largest_bytes=1), str(sounds[0]))
    tags = {label.replace("_", " "): score for label, score in tagger.tag(sounds[0]).items()}
    assert begun == Told(("Listening …",))
    assert tagged == Told(("Listening for when each is heard …",), tags)
    rows = [("0:00.0", "0:02.0", "Bark", 88), ("1:00.0", "60:00.0", "Child speech and kid speaking", 100)]
    assert last == Told((), tags, rows)


def test_the_page_tells_of_silence_of_breaks_and_of_what_is_wrong(
    tagger: Tagger, quiet: Path, broken: Path, tmp_path: Path
) -> None:
    tagging = Tagging(tagger, largest_bytes=1)
    assert list(told(tagging, str(quiet)))[1:] == [Told(("The file is silent throughout: there is nothing to tag.",))]
    _, tagged, last = told(tagging, str(broken))
    breaks_off = "The file breaks off: only the sound before that is heard."
    assert tagged.lines[0] == breaks_off and last.lines == (breaks_off,)
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    _, last = told(tagging, str(text))
    assert last.lines[0].startswith("text.wav: ") and (last.tags, last.rows) == (None, None)


def test_nothing_is_left_of_the_tags_of_a_file_that_goes_wrong_later(
    tagger: Tagger, sounds: list[Path], monkeypatch: Any
) -> None:
    def changed(self: Tagger, path: Path, *, least: float) -> list[Event]:
        raise AudioError(f"{path}: it changed")

    monkeypatch.setattr(Tagger, "events", changed)
    assert list(told(Tagging(tagger, largest_bytes=1), str(sounds[0])))[-1] == Told((f"{sounds[0].name}: it changed",))


def test_the_page_takes_any_file(client: TestClient) -> None:
    """Videos, and kinds of sound that browsers know nothing of, are heard as well as those that they play."""
    (file,) = [one for one in client.get("/config").json()["components"] if one["type"] == "file"]
    assert file["props"].get("file_types") is None
