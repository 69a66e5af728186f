"""Zip archives in one piece or in several (.z01, .z02, ..., .zip), opened as they lie, without joining them on disk.

In a split archive every place is the number of a part and an offset in that part. Laid end to end the parts are nearly
an ordinary archive: only those places are wrong. So the directory at the end is read, written anew with places in the
whole, and laid over the old one in memory; `zipfile` then reads it like any other.
"""

import io
import re
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

# The records at an archive's end, as PKWARE's APPNOTE.TXT has them in sections 4.3.12 to 4.3.16.
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_EXTRA = struct.Struct("<2H")
_ENTRY_MARK, _END_MARK, _LOCATOR_64_MARK, _END_64_MARK = b"PK\1\2", b"PK\5\6", b"PK\6\7", b"PK\6\6"
_EXTRA_64 = 1
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF  # the number stands elsewhere, in 64 bits
_VERSION_64 = 45
# What reading a damaged archive may raise, its directory or a file in it.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
_PART = re.compile(r"(.+)\.z(\d\d+)")


def archives(names: Iterable[str]) -> dict[str, list[str]]:
    """The zip archives among file names: each one's .zip, with all its parts in order, the .zip last.

    Raises zipfile.BadZipFile where a part is missing.
    """
    names = sorted(names)
    found = {name: [name] for name in names if name.endswith(".zip")}
    numbered = [(match[1], int(match[2]), match[0]) for name in names if (match := _PART.fullmatch(name))]
    for stem, number, name in sorted(numbered):
        parts = found.get(f"{stem}.zip")
        if parts is None:
            raise zipfile.BadZipFile(f"{name} is a part of {stem}.zip, which is missing")
        if number != len(parts):
            raise zipfile.BadZipFile(f"{stem}.z{len(parts):02d} is missing, a part of {stem}.zip")
        parts.insert(-1, name)
    return found


@contextmanager
def opened(parts: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """The archive whose parts these are, in order, for reading. Raises what `DAMAGE` lists, OSError."""
    with ExitStack() as stack:
        streams = [stack.enter_context(path.open("rb")) for path in parts]
        whole: BinaryIO = streams[0] if len(streams) == 1 else _joined(streams)
        yield stack.enter_context(zipfile.ZipFile(whole))


class _EndToEnd(io.RawIOBase):
    """Streams laid end to end, of each as many bytes as are given."""

    def __init__(self, pieces: Sequence[tuple[BinaryIO, int]]) -> None:
        self._streams = [stream for stream, _ in pieces]
        self.starts = [0, *accumulate(length for _, length in pieces)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.starts[-1]}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self.starts[-1]:
            return 0
        piece = bisect_right(self.starts, self._at) - 1
        self._streams[piece].seek(self._at - self.starts[piece])
        data = self._streams[piece].read(min(len(buffer), self.starts[piece + 1] - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Directory(NamedTuple):
    """Where an archive's directory begins, by part and offset, and its size in bytes and entries."""

    parts: int
    part: int
    offset: int
    size: int
    entries: int


def _joined(streams: Sequence[BinaryIO]) -> BinaryIO:
    """The parts of a split archive as one ordinary archive."""
    lengths = [stream.seek(0, io.SEEK_END) for stream in streams]
    raw = _EndToEnd(list(zip(streams, lengths, strict=True)))
    whole = io.BufferedReader(raw)
    starts = raw.starts
    try:
        directory = _directory(whole, starts)
        if directory.parts != len(streams):
            raise zipfile.BadZipFile(f"it has {directory.parts} parts, of which {len(streams)} are here")
        begins = starts[directory.part] + directory.offset
        if begins + directory.size > starts[-1]:
            raise zipfile.BadZipFile("its directory is damaged (it lies outside of the archive)")
        whole.seek(begins)
        entries = list(_entries(whole.read(directory.size), starts))
        if len(entries) != directory.entries:
            raise zipfile.BadZipFile(f"its directory has {len(entries)} entries, not {directory.entries}")
    except (struct.error, IndexError) as error:
        raise zipfile.BadZipFile(f"its directory is damaged ({error})") from None
    places = zip(streams, starts, starts[1:], strict=False)
    before = [(stream, min(end, begins) - start) for stream, start, end in places if start < begins]
    tail = _tail(entries, begins)
    return io.BufferedReader(_EndToEnd([*before, (io.BytesIO(tail), len(tail))]))


def _directory(whole: BinaryIO, starts: Sequence[int]) -> _Directory:
    """What the records at the end say of the directory."""
    tail_begins = max(0, starts[-1] - _END.size - _FULL_16)
    whole.seek(tail_begins)
    tail = whole.read()
    at = tail.rfind(_END_MARK, 0, len(tail) - _END.size + len(_END_MARK))
    while at >= 0 and at + _END.size + _END.unpack_from(tail, at)[-1] != len(tail):
        at = tail.rfind(_END_MARK, 0, at)
    if at < 0:
        raise zipfile.BadZipFile("it has no end: not a zip, or its last part is missing")
    _, last, part, _, entries, size, offset, _ = _END.unpack_from(tail, at)
    whole.seek(max(0, tail_begins + at - _LOCATOR_64.size))
    locator = whole.read(_LOCATOR_64.size)
    if not locator.startswith(_LOCATOR_64_MARK):
        return _Directory(last + 1, part, offset, size, entries)
    _, end_part, end_offset, parts = _LOCATOR_64.unpack(locator)
    whole.seek(starts[end_part] + end_offset)
    mark, _, _, _, _, part, _, entries, size, offset = _END_64.unpack(whole.read(_END_64.size))
    if mark != _END_64_MARK:
        raise zipfile.BadZipFile("its 64-bit end is not where it should be")
    return _Directory(parts, part, offset, size, entries)


def _entries(directory: bytes, starts: Sequence[int]) -> Iterator[bytes]:
    """The directory's entries, their places counted from the beginning of the whole."""
    at = 0
    while at < len(directory):
        mark, *fields = _ENTRY.unpack_from(directory, at)
        if mark != _ENTRY_MARK:
            raise zipfile.BadZipFile("its directory is damaged (an entry does not begin where it should)")
        begins, (name, extra, comment) = at + _ENTRY.size, fields[9:12]
        at = begins + name + extra + comment
        texts = directory[begins:at]
        wide, others = _extras(texts[name : name + extra])
        # Sizes that do not fit stand in the wide extra; then come place and part, where these do not fit.
        sizes = [wide.pop(0) for size in (fields[8], fields[7]) if size == _FULL_32]
        offset = wide.pop(0) if fields[15] == _FULL_32 else fields[15]
        part = wide.pop(0) if fields[12] == _FULL_16 else fields[12]
        place = starts[part] + offset
        if place >= starts[-1]:
            raise zipfile.BadZipFile("its directory is damaged (an entry lies outside of the archive)")
        far = place >= _FULL_32
        numbers = [*sizes, place] if far else sizes
        extras = (
            (_EXTRA.pack(_EXTRA_64, 8 * len(numbers)) + struct.pack(f"<{len(numbers)}Q", *numbers)) if numbers else b""
        )
        extras += others
        fields[10], fields[12], fields[15] = len(extras), 0, _FULL_32 if far else place
        yield _ENTRY.pack(_ENTRY_MARK, *fields) + texts[:name] + extras + texts[name + extra :]


def _extras(extra: bytes) -> tuple[list[int], bytes]:
    """The numbers of an entry's 64-bit extra field, and its other extra fields."""
    wide: list[int] = []
    others = b""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        data = extra[at + _EXTRA.size : at + _EXTRA.size + length]
        if kind == _EXTRA_64:
            eights = len(data) // 8
            wide = list(struct.unpack_from(f"<{eights}Q", data))
            if len(data) - 8 * eights == 4:
                wide += struct.unpack_from("<L", data, 8 * eights)
        else:
            others += _EXTRA.pack(kind, len(data)) + data
        at += _EXTRA.size + length
    return wide, others


def _tail(entries: Sequence[bytes], begins: int) -> bytes:
    """The end of an ordinary archive whose directory, of these entries, begins at `begins`."""
    directory = b"".join(entries)
    count, size = len(entries), len(directory)
    end_64 = _END_64.pack(_END_64_MARK, _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, count, count, size, begins)
    locator = _LOCATOR_64.pack(_LOCATOR_64_MARK, 0, begins + size, 1)
    few = min(count, _FULL_16)
    end = _END.pack(_END_MARK, 0, 0, few, few, min(size, _FULL_32), min(begins, _FULL_32), 0)
    return directory + end_64 + locator + end
