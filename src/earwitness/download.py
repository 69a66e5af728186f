"""Datasets from where their authors keep them: fetched, gone on with, verified, unpacked.

    DIR/archives/   the files as they are there, *.part while they arrive        DIR/   what is in them

The record of a dataset names its files with sizes and checksums; a file has its name once its checksum is right, and
no sooner. Whatever was interrupted, the same call goes on: what is whole is not fetched again, what is there in part
is gone on with, what is unpacked stays. requests speaks to the server; it does not go on with half a file, nor wait.
"""

import hashlib
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import requests
import urllib3

from . import files, splitzip
from .errors import DownloadError

T = TypeVar("T")
# Told what is being done, how many bytes of it are done, and of how many, where that is known.
OnBytes = Callable[[str, int, int | None], None]

_BLOCK_BYTES = 1 << 20
_PASSING_STATUSES = {408, 425, 429}  # and all from 500 on: these may be gone with the next attempt
_NO_RECORD = "no record that lists files with sizes and checksums; see if the dataset has moved"
_PLAIN_NAME = re.compile(r"\w[\w.+-]*")
_ARCHIVES = "archives"


@dataclass(frozen=True)
class Source:
    """Where a dataset is: a server, and there a record of Zenodo's kind, or one archive without any record.

    folder: which folder of what is unpacked is the dataset's. about_bytes: the size of an archive without a record.
    """

    server: str
    record: str | None = None
    archive: str = ""
    folder: str = "."
    about_bytes: int = 0


SOURCES = {
    "FSDKaggle2019": Source("https://zenodo.org", record="3612637"),
    "FSD50K": Source("https://zenodo.org", record="4060432"),
    "ESC-50": Source(
        "https://github.com",
        archive="karolpiczak/ESC-50/archive/master.zip",
        folder="ESC-50-master",
        about_bytes=650_000_000,
    ),
}


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: seconds of silence, and attempts in a row that bring nothing new.

    Between attempts the wait doubles, up to the longest; a server may ask for longer, up to twice that.
    """

    attempts: int = 7
    silence_seconds: float = 30.0
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0


class RemoteFile(NamedTuple):
    """A file of a dataset: its name, its path on the server, and what its record says of it, if there is one."""

    name: str
    path: str
    about_bytes: int
    size: int | None = None
    md5: str | None = None


class Downloaded(NamedTuple):
    """What `download` left: the folder to prepare, the number of files in it, archives that had no checksum."""

    folder: Path
    files: int
    without_checksum: tuple[str, ...]


def source_of(name: str) -> tuple[str, Source]:
    """The dataset called `name`, in whatever letter case. Raises DownloadError that lists the known ones."""
    for known, source in SOURCES.items():
        if known.lower() == name.lower():
            return known, source
    raise DownloadError(f"{name}: no dataset that can be fetched; give one of {', '.join(SOURCES)}")


def download(
    name: str,
    out: Path,
    *,
    server: str | None = None,
    patience: Patience | None = None,
    on_bytes: OnBytes = lambda doing, done, total: None,
) -> Downloaded:
    """Fetches the dataset called `name` into the folder `out` and unpacks it there.

    `server` takes the place of the dataset's own: an address below which the same paths lead to the same files.
    Raises DownloadError where the server refuses, stays silent or sends something else, where the disk is too small,
    and where another call is at work in the folder.
    """
    _, source = source_of(name)
    archives = out / _ARCHIVES
    archives.mkdir(parents=True, exist_ok=True)
    busy = DownloadError(f"{out}: another `earwitness download` is at work there; wait for it, or give another folder")
    with files.lock(archives / "lock", busy=busy), requests.Session() as session:
        fetcher = _Fetcher(session, (server or source.server).rstrip("/"), patience or Patience(), on_bytes)
        remote = fetcher.listed(source)
        try:
            packed = splitzip.archives(file.name for file in remote)
        except zipfile.BadZipFile as error:
            raise DownloadError(f"{fetcher.server}: its list of files is not whole: {error}") from None
        missing = [file for file in remote if not _is_whole(file, archives)]
        _require_room(out, sum(2 * file.about_bytes - _size(_part(archives, file)) for file in missing))
        for file in missing:
            fetcher.fetch(file, archives)
        unpacked = [_unpack([archives / part for part in parts], out, on_bytes) for parts in packed.values()]
    without_checksum = tuple(file.name for file in remote if file.md5 is None)
    return Downloaded(out / source.folder, sum(unpacked), without_checksum)


class _Passing(Exception):
    """What may be gone with the next attempt; `wait_seconds` is how long the server asks to wait."""

    def __init__(self, what: str, wait_seconds: float = 0.0) -> None:
        super().__init__(what)
        self.wait_seconds = wait_seconds


class _Fetcher:
    """Fetches from one server, as patiently as is wanted."""

    def __init__(self, session: requests.Session, server: str, patience: Patience, on_bytes: OnBytes) -> None:
        self.server = server
        self._session, self._patience, self._on_bytes = session, patience, on_bytes

    def listed(self, source: Source) -> list[RemoteFile]:
        """The files of a dataset, as its record lists them."""
        if source.record is None:
            return [RemoteFile(f"{source.folder}.zip", source.archive, source.about_bytes)]
        path = f"api/records/{source.record}"
        address = f"{self.server}/{path}"
        record = self._patiently(address, lambda: self._json(address))
        try:
            found = [_listed_file(path, entry) for entry in record["files"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            found = []
        if not found:
            raise DownloadError(f"{address}: {_NO_RECORD}")
        return found

    def fetch(self, file: RemoteFile, archives: Path) -> None:
        """Fetches a file into `archives`, under its own name once its checksum is right."""
        address, part = f"{self.server}/{file.path}", _part(archives, file)
        found = None
        for _ in range(2):
            self._patiently(address, lambda: self._go_on(address, file, part), progress=lambda: _size(part))
            found = _md5(part, file.name, self._on_bytes) if file.md5 else None
            if found == file.md5:
                part.replace(archives / file.name)
                return
            part.unlink()
        raise DownloadError(
            f"{address}: its MD5 checksum is {found} and not {file.md5} as recorded, twice in a row; try again later"
        )

    def _patiently(self, address: str, act: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """What `act` returns, tried again while it fails in passing; an attempt that brings something new is free."""
        failures, most = 0, progress()
        while True:
            try:
                return act()
            except _Passing as trouble:
                now = progress()
                failures, most = (0, now) if now > most else (failures + 1, most)
                if failures >= self._patience.attempts:
                    raise DownloadError(
                        f"{address}: {trouble}, {failures} times in a row; what has arrived is kept, "
                        "the same command goes on later"
                    ) from None
                wait = self._patience.first_wait_seconds * 2 ** max(0, failures - 1)
                longest = self._patience.longest_wait_seconds
                self._on_bytes(f"waiting: {trouble}", now, None)
                time.sleep(max(min(wait, longest), min(trouble.wait_seconds, 2 * longest)))

    def _get(self, address: str, headers: dict[str, str]) -> requests.Response:
        """The server's answer, its body still to come; 416 is left to whoever asked for a range."""
        # Compressed on its way, a body's bytes could not be counted.
        asked = {"Accept-Encoding": "identity", "User-Agent": "earwitness", **headers}
        response = self._session.get(address, headers=asked, stream=True, timeout=self._patience.silence_seconds)
        status = response.status_code
        if response.ok or (status == 416 and headers):
            return response
        response.close()
        said = f"the server answers {status} {response.reason}".rstrip()
        if status >= 500 or status in _PASSING_STATUSES:
            asks = response.headers.get("Retry-After", "")
            raise _Passing(said, float(asks) if asks.isascii() and asks.isdigit() else 0.0)
        raise DownloadError(f"{address}: {said}; see if the dataset has moved, or name another server with --from")

    def _json(self, address: str) -> Any:
        with _network(address, self._patience), self._get(address, {}) as response:
            return response.json()

    def _go_on(self, address: str, file: RemoteFile, part: Path) -> None:
        """Fetches what is missing of a file. Raises _Passing where something is still missing afterwards.

        Without a size and a checksum the beginning is not known to be of the same file: all of it is fetched.
        """
        if file.size is None or _size(part) > file.size:
            part.unlink(missing_ok=True)
        if part.is_file() and _size(part) == file.size:
            return
        have = _size(part)
        with (
            _network(address, self._patience),
            self._get(address, {"Range": f"bytes={have}-"} if have else {}) as response,
        ):
            if response.status_code == 416 or (response.status_code == 206 and _first_byte(response) != have):
                part.unlink(missing_ok=True)
                raise _Passing("the server sends another part of the file than was asked for")
            # Servers that know nothing of ranges answer 200 and send all of it.
            have = self._write(response, file, part, have if response.status_code == 206 else 0)
        if file.size is not None and have < file.size:
            raise _Passing(f"it broke off after {have} of {file.size} bytes")

    def _write(self, response: requests.Response, file: RemoteFile, part: Path, have: int) -> int:
        """Writes what comes behind the first `have` bytes; returns how many there are then."""
        with files.naming(part), part.open("ab" if have else "wb") as stream:
            # What has come is taken as it is: whole blocks would be lost where the connection breaks off within one.
            while block := response.raw.read1(_BLOCK_BYTES):
                have += len(block)
                if file.size is not None and have > file.size:
                    stream.close()
                    part.unlink()
                    raise DownloadError(
                        f"{response.url}: more than the {file.size} bytes that its record says; try again later"
                    )
                stream.write(block)
                self._on_bytes(f"fetching {file.name}", have, file.size or _stated_size(response))
        return have


@contextmanager
def _network(address: str, patience: Patience) -> Iterator[None]:
    """Turns what the network may raise into _Passing, and an address that is none into DownloadError."""
    try:
        yield
    except requests.exceptions.JSONDecodeError:
        raise DownloadError(f"{address}: {_NO_RECORD}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if isinstance(error, ValueError):
            raise DownloadError(f"{address}: no address; --from needs one such as https://example.org") from None
        if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
            raise DownloadError(f"{address}: the server does not prove to be the one it is called") from None
        if "timed out" in str(error):
            raise _Passing(f"no answer within {patience.silence_seconds:g} seconds") from None
        raise _Passing("the connection failed") from None


def _listed_file(path: str, entry: dict[str, Any]) -> RemoteFile:
    """One file of a record. Raises what a record of another form gives rise to."""
    name, size = entry["key"], int(entry["size"])
    kind, _, digest = entry["checksum"].partition(":")
    if kind != "md5" or not re.fullmatch(r"[0-9a-f]{32}", digest) or not _PLAIN_NAME.fullmatch(name) or size < 0:
        raise ValueError(name)
    return RemoteFile(name, f"{path}/files/{quote(name)}/content", size, size, digest)


def _first_byte(response: requests.Response) -> int | None:
    """Where the part of a file that a server sends begins, as it says itself."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _stated_size(response: requests.Response) -> int | None:
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isascii() and stated.isdigit() else None


def _part(archives: Path, file: RemoteFile) -> Path:
    return archives / f"{file.name}.part"


def _size(path: Path) -> int:
    """A file's size, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _is_whole(file: RemoteFile, archives: Path) -> bool:
    """Tells whether a file is there already, with the right size where that is known."""
    path = archives / file.name
    return path.is_file() and file.size in (None, _size(path))


def _md5(path: Path, name: str, on_bytes: OnBytes) -> str:
    digest, done, size = hashlib.md5(usedforsecurity=False), 0, _size(path)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            on_bytes(f"verifying {name}", done, size)
    return digest.hexdigest()


def _require_room(out: Path, needed: int) -> None:
    """Raises DownloadError where the disk has not that many bytes left."""
    free = shutil.disk_usage(out).free
    if free < needed:
        raise DownloadError(
            f"{out}: {_gigabytes(free)} are free, and about {_gigabytes(needed)} are needed, archives and what is in "
            "them; make room, or choose another disk"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


def _unpack(parts: Sequence[Path], out: Path, on_bytes: OnBytes) -> int:
    """Unpacks an archive, of one part or several, as far as its files are not there yet; returns how many it holds."""
    name = parts[-1].name
    try:
        with splitzip.opened(parts) as archive:
            members = [(info, _place(out, name, info)) for info in archive.infolist() if not info.is_dir()]
            pending = [
                (info, place) for info, place in members if not place.is_file() or _size(place) != info.file_size
            ]
            total, done = sum(info.file_size for info, _ in pending), 0
            _require_room(out, total)
            for info, place in pending:
                _unpack_one(archive, info, place)
                done += info.file_size
                on_bytes(f"unpacking {name}", done, total)
    except splitzip.DAMAGE as error:
        said = " ".join(str(error).split())
        raise DownloadError(f"{parts[-1]}: a damaged archive ({said}); delete it, and give the command again") from None
    return len(members)


def _place(out: Path, archive: str, info: zipfile.ZipInfo) -> Path:
    """Where a file of an archive goes. Raises DownloadError where that is outside of `out`, or among the archives."""
    inner = PurePosixPath(info.filename)
    first = inner.parts[0] if inner.parts else ""
    if first in ("", "/", _ARCHIVES) or ".." in inner.parts or "\\" in info.filename or ":" in first:
        raise DownloadError(
            f"{archive}: {info.filename!r} would be written where it must not; do not trust this archive"
        )
    return out / inner


def _unpack_one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path) -> None:
    """Unpacks one file; it has its name once all of it is there, with the checksum that the archive has of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".part-{place.name}")
    with files.naming(place), archive.open(info) as source, unfinished.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
    unfinished.replace(place)
