"""A tagger over HTTP."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("gradio", reason="the extra `serve` is not installed")
from fastapi.testclient import TestClient

from conftest import CLASSES
from earwitness import layouts
from earwitness.serving.tag_app import Tagging, create_app
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
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "gradio" in page.text


def test_tags_for_the_page(tagger: Tagger, sounds: list[Path]) -> None:
    tags = Tagging(tagger, largest_bytes=1).tags_of(sounds[0], "a.wav")
    assert [one["label"] for one in tags] == list(tagger.tag(sounds[0]))
