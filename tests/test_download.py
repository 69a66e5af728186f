"""Fetching a dataset from a server on this machine that does all that servers do wrong."""

import dataclasses
import hashlib
import io
import json
import shutil
import sys
import threading
import time
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from earwitness import cli, download, files, layouts
from earwitness.download import Patience
from earwitness.errors import DownloadError
from test_splitzip import split_zip

RECORD = "/api/records/3612637"
# Where the server answers at all, a busy machine may take its time.
HASTE = Patience(attempts=3, silence_seconds=30.0, first_wait_seconds=0.0, longest_wait_seconds=0.0)
NO_ANSWER = dataclasses.replace(HASTE, silence_seconds=0.4)
NOISY = "FSDKaggle2019.audio_train_noisy"
META = "FSDKaggle2019.meta.zip"


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.fixture(scope="module")
def archives(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tiny dataset as Zenodo would keep it: an archive for each folder, the noisy one in several parts."""

    def inside(folder: str, paths: Iterator[Path]) -> dict[str, bytes]:
        return {f"{folder}/{path.name}": path.read_bytes() for path in paths}

    found = {META: zipped(inside("FSDKaggle2019.meta", tiny_dataset.glob("*.csv")))}
    for name, role in (("FSDKaggle2019.audio_train_curated", "train_curated"), ("FSDKaggle2019.audio_test", "test")):
        found[f"{name}.zip"] = zipped(inside(name, (tiny_dataset / role).iterdir()))
    folder = tmp_path_factory.mktemp("parts")
    noisy = inside(NOISY, (tiny_dataset / "train_noisy").iterdir())
    return found | {path.name: path.read_bytes() for path in split_zip(folder, noisy, 150_000, stem=NOISY)}


class Server(ThreadingHTTPServer):
    """Serves `content` by path. What is in `faults[path]` befalls the next answers for it, one each.

    `asked` are the requests: path, and the first byte asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.faults: dict[str, deque[Callable[[Handler, bytes, int], None]]] = defaultdict(deque)
        self.asked: list[tuple[str, int]] = []
        self.sent_bytes = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def keep(self, archives: dict[str, bytes], **changes: Any) -> None:
        """Keeps archives as a record does; `changes` are other entries for single files in its list."""
        entries = [
            {"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
            for name, data in archives.items()
        ]
        entries = [entry | changes.get(str(entry["key"]), {}) for entry in entries]
        self.content = {RECORD: json.dumps({"files": entries}).encode()}
        self.content |= {f"{RECORD}/files/{name}/content": data for name, data in archives.items()}

    def fails(self, name: str, *faults: Callable[["Handler", bytes, int], None]) -> None:
        self.faults[f"{RECORD}/files/{name}/content"].extend(faults)

    def fetched(self) -> list[str]:
        """The names of the files that were asked for, without the record."""
        return [path.split("/")[-2] for path, _ in self.asked if path != RECORD]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of the test's business."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request, well or badly."""

    server: Server

    def do_GET(self) -> None:
        path = unquote(self.path)
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.server.asked.append((path, begin))
        data = self.server.content.get(path)
        if data is None:
            self.send_error(404)
        elif self.server.faults[path]:
            self.server.faults[path].popleft()(self, data, begin)
        else:
            self.answer(data, begin)

    def answer(self, data: bytes, begin: int, *, status: int | None = None, length: int | None = None) -> None:
        self.send_response(status or (206 if begin else 200))
        if begin and status is None:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin if length is None else length))
        self.end_headers()
        self.send(data[begin:])

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.server.sent_bytes += len(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing goes to the screen."""


Fault = Callable[[Handler, bytes, int], None]


def cut_after(part: float) -> Fault:
    """The connection breaks after a part of what was promised."""

    def fault(handler: Handler, data: bytes, begin: int) -> None:
        handler.answer(data[: begin + int(part * (len(data) - begin))], begin, length=len(data) - begin)

    return fault


def shorter(handler: Handler, data: bytes, begin: int) -> None:
    """It promises half, and sends half."""
    half = data[: begin + (len(data) - begin) // 2]
    handler.answer(half, begin)


def longer(handler: Handler, data: bytes, begin: int) -> None:
    """It promises more than it has."""
    handler.answer(data, begin, length=len(data) - begin + 100)


def more(handler: Handler, data: bytes, begin: int) -> None:
    """It sends more than its record says."""
    handler.answer(data + bytes(100), begin)


def wrong(handler: Handler, data: bytes, begin: int) -> None:
    """As many bytes, but others."""
    handler.answer(bytes(len(data)), begin)


def no_ranges(handler: Handler, data: bytes, begin: int) -> None:
    """It sends all of it, whatever was asked for."""
    handler.answer(data, 0, status=200)


def refused_range(handler: Handler, data: bytes, begin: int) -> None:
    handler.send_error(416)


def other_range(handler: Handler, data: bytes, begin: int) -> None:
    """It sends another part than it was asked for."""
    handler.answer(data, begin // 2)


def silent(handler: Handler, data: bytes, begin: int) -> None:
    time.sleep(2 * NO_ANSWER.silence_seconds)


def falls_silent(handler: Handler, data: bytes, begin: int) -> None:
    handler.answer(data[: begin + 100], begin, length=len(data) - begin)
    handler.wfile.flush()
    time.sleep(2 * NO_ANSWER.silence_seconds)


def answers(status: int, retry_after: str | None = None) -> Fault:
    def fault(handler: Handler, data: bytes, begin: int) -> None:
        handler.send_response(status)
        if retry_after is not None:
            handler.send_header("Retry-After", retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


@pytest.fixture
def server(archives: dict[str, bytes]) -> Iterator[Server]:
    with Server() as served:
        served.keep(archives)
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield served
        served.shutdown()


def fetch(
    server: Server, out: Path, name: str = "FSDKaggle2019", patience: Patience = HASTE, **options: Any
) -> download.Downloaded:
    return download.download(name, out, server=server.address, patience=patience, **options)


def refused(server: Server, out: Path, **options: Any) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(server, out, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_whole(folder: Path) -> bool:
    dataset = layouts.read_dataset(folder)
    return (len(dataset.clips), dataset.problems) == (26, ())


# --- all is well ---


def test_a_dataset_arrives_and_is_unpacked(server: Server, archives: dict[str, bytes], tmp_path: Path) -> None:
    seen: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    result = fetch(server, tmp_path, on_bytes=lambda doing, done, total: seen[doing].append((done, total)))
    assert result == (tmp_path, 30, ())
    assert is_whole(tmp_path)
    assert server.fetched() == list(archives)
    for name, data in archives.items():
        assert (tmp_path / "archives" / name).read_bytes() == data
        assert seen[f"fetching {name}"][-1] == seen[f"verifying {name}"][-1] == (len(data), len(data))
    assert not list(tmp_path.rglob("*part*"))


def test_a_second_call_does_nothing(server: Server, tmp_path: Path) -> None:
    first = fetch(server, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    server.asked.clear()
    assert fetch(server, tmp_path) == first
    assert server.asked == [(RECORD, 0)]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_is_missing_is_fetched_or_unpacked_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    (tmp_path / "archives" / META).unlink()
    shutil.rmtree(tmp_path / NOISY)
    torn = next((tmp_path / "FSDKaggle2019.audio_test").iterdir())
    torn.write_bytes(torn.read_bytes()[:10])
    server.asked.clear()
    fetch(server, tmp_path)
    assert server.fetched() == [META]
    assert is_whole(tmp_path)


def test_datasets_are_known_by_name(tmp_path: Path) -> None:
    assert download.source_of("esc-50")[0] == "ESC-50"
    with pytest.raises(DownloadError, match="no dataset that can be fetched; give one of FSDKaggle2019, FSD50K"):
        download.download("AudioSet", tmp_path / "x")
    assert not (tmp_path / "x").exists()


# --- what may be gone with the next attempt ---


@pytest.mark.parametrize(
    "faults",
    [
        [cut_after(0.5)],
        [cut_after(0.0), cut_after(0.9)],
        [shorter],
        [longer],
        [answers(503), answers(429, "0")],
        [answers(500), answers(408)],
        [answers(503, "Wed, 21 Oct 2015 07:28:00 GMT")],
        [cut_after(0.5), no_ranges],
        [cut_after(0.5), refused_range],
        [cut_after(0.5), other_range],
        [wrong],
        [cut_after(0.5), wrong],
        [silent],
        [falls_silent, falls_silent],
    ],
    ids=lambda faults: "-".join(fault.__qualname__.split(".")[0] for fault in faults),
)
def test_passing_trouble_passes(faults: list[Fault], server: Server, tmp_path: Path) -> None:
    server.fails(f"{NOISY}.z01", *faults)
    waits = silent in faults or falls_silent in faults
    fetch(server, tmp_path, patience=dataclasses.replace(NO_ANSWER, attempts=9) if waits else HASTE)
    assert is_whole(tmp_path)
    assert not server.faults[f"{RECORD}/files/{NOISY}.z01/content"]


def test_a_server_that_cuts_every_answer(server: Server, archives: dict[str, bytes], tmp_path: Path) -> None:
    """Every answer brings something new: it takes many, and no byte comes twice."""
    for name in archives:
        server.fails(name, *[cut_after(0.4)] * 9)
    fetch(server, tmp_path)
    assert is_whole(tmp_path)
    assert len(server.fetched()) == 10 * len(archives)
    assert server.sent_bytes == sum(map(len, archives.values())) + len(server.content[RECORD])


def test_trouble_with_the_record_passes_too(server: Server, tmp_path: Path) -> None:
    server.faults[RECORD].extend([answers(503), cut_after(0.5), silent])
    fetch(server, tmp_path, patience=dataclasses.replace(NO_ANSWER, attempts=9))
    assert is_whole(tmp_path)


def test_waits_double_and_a_server_may_ask_for_more(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.fails(META, *[answers(503)] * 6, answers(503, "7"), answers(429, "100000"))
    patience = Patience(attempts=9, first_wait_seconds=1.0, longest_wait_seconds=20.0)
    said: list[str] = []
    download.download(
        "FSDKaggle2019", tmp_path, server=server.address, patience=patience,
        on_bytes=lambda doing, done, total: said.append(doing),
    )  # fmt: skip
    assert waits == [1, 2, 4, 8, 16, 20, 20, 40]
    assert said.count("waiting: the server answers 503 Service Unavailable") == 7


# --- what does not pass ---


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (wrong, "its MD5 checksum is {zeros} and not {md5} as recorded, twice in a row"),
        (more, "more than the {size} bytes that its record says"),
        (answers(404), "the server answers 404 Not Found; see if the dataset has moved"),
        (answers(403), "the server answers 403 Forbidden"),
        (answers(503), "the server answers 503 Service Unavailable, 3 times in a row; what has arrived is kept"),
        (silent, "no answer within 0.4 seconds, 3 times in a row"),
        (cut_after(0.0), "3 times in a row; what has arrived is kept, the same command goes on later"),
    ],
    ids=lambda value: getattr(value, "__qualname__", "").split(".")[0],
)
def test_lasting_trouble_is_one_line_and_the_next_call_goes_on(
    fault: Fault, words: str, server: Server, archives: dict[str, bytes], tmp_path: Path
) -> None:
    server.fails(META, *[fault] * 4)
    data = archives[META]
    zeros, md5 = (hashlib.md5(content).hexdigest() for content in (bytes(len(data)), data))
    message = refused(server, tmp_path, patience=NO_ANSWER if fault is silent else HASTE)
    assert message.startswith(f"{server.address}{RECORD}/files/{META}/content: ")
    assert words.format(zeros=zeros, md5=md5, size=len(data)) in message
    assert not (tmp_path / "archives" / META).exists()
    assert not (tmp_path / "FSDKaggle2019.meta").exists()
    server.faults.clear()
    fetch(server, tmp_path)
    assert is_whole(tmp_path)


def test_a_file_that_breaks_off_for_good_is_gone_on_with_later(
    server: Server, archives: dict[str, bytes], tmp_path: Path
) -> None:
    server.fails(META, cut_after(0.5), *[cut_after(0.0)] * 3)
    refused(server, tmp_path)
    kept = (tmp_path / "archives" / f"{META}.part").stat().st_size
    assert kept == len(archives[META]) // 2
    server.asked.clear()
    fetch(server, tmp_path)
    assert (f"{RECORD}/files/{META}/content", kept) in server.asked


def test_stopped_in_the_middle_it_goes_on(server: Server, archives: dict[str, bytes], tmp_path: Path) -> None:
    """Control-C wherever it may come: while something is fetched, verified or unpacked."""
    stops = iter([f"fetching {META}", f"verifying {NOISY}.z01", f"unpacking {NOISY}.zip"])
    stop = next(stops)

    def on_bytes(doing: str, done: int, total: int | None) -> None:
        if doing == stop:
            raise KeyboardInterrupt

    for following in [*stops, None]:
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path, on_bytes=on_bytes)
        stop = following or "nothing"
    fetch(server, tmp_path, on_bytes=on_bytes)
    assert is_whole(tmp_path)
    assert len(server.fetched()) == len(archives)


def test_a_part_of_another_file_is_not_gone_on_with(server: Server, archives: dict[str, bytes], tmp_path: Path) -> None:
    part = tmp_path / "archives" / f"{META}.part"
    part.parent.mkdir()
    for stale in (bytes(len(archives[META])), bytes(100), bytes(10_000_000)):
        part.write_bytes(stale)
        fetch(server, tmp_path)
        assert is_whole(tmp_path)
        (tmp_path / "archives" / META).unlink()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"<html>", "no record that lists files with sizes and checksums; see if the dataset has moved"),
        (b"[]", "no record that lists files"),
        (b'{"files": []}', "no record that lists files"),
        (b'{"files": [{"key": "a.zip", "size": 1}]}', "no record that lists files"),
        (b'{"files": [{"key": "a.zip", "size": 1, "checksum": "sha256:00"}]}', "no record that lists files"),
        (b'{"files": [{"key": "../a.zip", "size": 1, "checksum": "md5:%s"}]}' % (b"0" * 32), "no record that lists"),
        (b'{"files": [{"key": "a.z01", "size": 1, "checksum": "md5:%s"}]}' % (b"0" * 32), "a.zip, which is missing"),
    ],
)
def test_a_record_that_is_none(record: bytes, words: str, server: Server, tmp_path: Path) -> None:
    server.content[RECORD] = record
    assert words in refused(server, tmp_path)
    assert server.asked == [(RECORD, 0)]


def test_a_size_that_the_record_lies_about(server: Server, archives: dict[str, bytes], tmp_path: Path) -> None:
    """Too small a size: more comes than it says. Too large: it breaks off, and there is no more."""
    server.keep(archives, **{META: {"size": len(archives[META]) - 1}})
    assert "more than the" in refused(server, tmp_path)
    server.keep(archives, **{META: {"size": len(archives[META]) + 1}})
    assert "times in a row" in refused(server, tmp_path)


def test_nobody_answers(tmp_path: Path) -> None:
    with Server() as server:
        address = server.address
    for where, words in (
        (address, "the connection failed, 3 times in a row"),
        ("nonsense", "--from needs one such as"),
    ):
        with pytest.raises(DownloadError, match=words):
            download.download("FSDKaggle2019", tmp_path, server=where, patience=HASTE)


def test_a_disk_that_is_too_small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1_000_000})())
    message = refused(server, tmp_path)
    assert message.startswith(f"{tmp_path}: 0.00 GB are free, and about 0.00 GB are needed")
    assert not server.fetched()


def test_a_disk_that_is_full_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left") as trouble:
        download.download("FSDKaggle2019", tmp_path, server=server.address, patience=HASTE)
    assert Path(trouble.value.filename).parent.parent == tmp_path


def test_two_calls_at_once(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    with files.lock(tmp_path / "archives" / "lock", busy=AssertionError()):
        assert "another `earwitness download` is at work there" in refused(server, tmp_path)
    assert not server.asked


# --- what is in archives ---


@pytest.mark.parametrize(
    "name", ["../out.wav", "/out.wav", "a/../../out.wav", "C:/out.wav", "a\\..\\..\\out.wav", "archives/lock"]
)
def test_names_that_lead_elsewhere_are_refused(name: str, server: Server, tmp_path: Path) -> None:
    server.keep({"x.zip": zipped({"good.wav": b"", name: b"bad"})})
    message = refused(server, tmp_path / "in" / "here")
    assert "would be written where it must not; do not trust this archive" in message
    assert not list(tmp_path.rglob("*.wav"))


def test_an_archive_without_a_checksum_is_verified_by_its_own(server: Server, tmp_path: Path) -> None:
    """ESC-50 comes from a server that states neither size nor checksum, and knows no ranges."""
    good = zipped(
        {"ESC-50-master/meta/esc50.csv": b"filename,fold,category\n", "ESC-50-master/audio/a.wav": b"ab" * 99}
    )
    path = "/karolpiczak/ESC-50/archive/master.zip"
    at = good.index(b"a.wav") + 10
    server.content = {path: good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]}
    message = refused(server, tmp_path, name="ESC-50")
    archive = tmp_path / "archives" / "ESC-50-master.zip"
    assert message.startswith(f"{archive}: a damaged archive (")
    assert message.endswith("); delete it, and give the command again")
    archive.unlink()
    server.content = {path: good}
    server.faults[path].extend([cut_after(0.5), no_ranges])
    result = fetch(server, tmp_path, name="ESC-50")
    assert result == (tmp_path / "ESC-50-master", 2, ("ESC-50-master.zip",))
    assert (result.folder / "audio" / "a.wav").read_bytes() == b"ab" * 99
    assert not list(tmp_path.rglob("*part*"))


# --- at the door ---


def test_the_verb_ends_with_what_comes_next(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def earwitness(line: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", line.split())
        cli.main()
        out, err = capsys.readouterr()
        assert err == ""
        return str(out).splitlines()

    said = earwitness(f"earwitness download fsdkaggle2019 --from {server.address} --json figures.json")
    assert said[-2:] == ["FSDKaggle2019: 30 files", "next: earwitness prepare FSDKaggle2019 --out FSDKaggle2019.store"]
    assert f"fetching {NOISY}.z01" in said and f"unpacking {NOISY}.zip" in said
    figures = json.loads(Path("figures.json").read_text())
    assert figures.pop("seconds") > 0
    assert figures == {"folder": "FSDKaggle2019", "files": 30, "without_checksum": []}
    assert "26 files decoded" in earwitness(said[-1].removeprefix("next: "))[1]
