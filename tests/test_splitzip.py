"""Split archives: built here byte by byte as APPNOTE.TXT has them, and by Info-ZIP where it is installed."""

import shutil
import struct
import subprocess
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness import splitzip

MARK = b"PK\7\x08"  # what a split archive begins with
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
MEMBERS = {"a/one.txt": b"one " * 100, "a/two.bin": bytes(range(256)) * 3, "ünï.txt": b"", "last": b"x"}


def local_header(name: bytes, data: bytes, packed: bytes) -> bytes:
    fields = (20, 0x800, 8, 0, 0x21, zlib.crc32(data), len(packed), len(data), len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name


def entry(name: bytes, data: bytes, packed: bytes, *, part: int, offset: int, wide: bool = False) -> bytes:
    """A directory's entry; `wide` puts every number that can be there into the 64-bit extra field."""
    extra = struct.pack("<2H3QL", 1, 28, len(data), len(packed), offset, part) if wide else b""
    sizes = (FULL_32, FULL_32) if wide else (len(packed), len(data))
    place = (FULL_16, 0, 0, FULL_32) if wide else (part, 0, 0, offset)
    fields = (20, 20, 0x800, 8, 0, 0x21, zlib.crc32(data), *sizes, len(name), len(extra), 0, *place)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name + extra


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def ends(entries: bytes, count: int, *, part: int, offset: int, last: int, wide: bool, wide_at: int) -> bytes:
    """The records after a directory; `wide_at` is where the 64-bit one will lie in the last part."""
    if not wide:
        return struct.pack("<4s4H2LH", b"PK\5\6", last, part, count, count, len(entries), offset, 0)
    wide_end = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, last, part, count, count, len(entries), offset
    )  # fmt: skip
    locator = struct.pack("<4sLQL", b"PK\6\7", last, wide_at, last + 1)
    narrow = struct.pack("<4s4H2LH", b"PK\5\6", *[FULL_16] * 4, FULL_32, FULL_32, 0)
    return wide_end + locator + narrow


def split_zip(
    folder: Path, members: dict[str, bytes], part_bytes: int, *, wide: bool = False, stem: str = "x"
) -> list[Path]:
    """Writes an archive in parts of `part_bytes` each; returns them in order."""
    whole, entries = bytearray(MARK), bytearray()
    for text, data in members.items():
        name, packed = text.encode(), deflated(data)
        part, offset = divmod(len(whole), part_bytes)
        entries += entry(name, data, packed, part=part, offset=offset, wide=wide)
        whole += local_header(name, data, packed) + packed
    part, offset = divmod(len(whole), part_bytes)
    whole += entries
    # The parts are cut without regard to what they cut through; but for a wide end, which a locator has to find.
    rest = 22 + wide * (56 + 20)
    last, wide_at = divmod(len(whole), part_bytes)
    if wide_at + rest > part_bytes:
        whole += bytes(part_bytes - wide_at)
        last, wide_at = last + 1, 0
    whole += ends(bytes(entries), len(members), part=part, offset=offset, last=last, wide=wide, wide_at=wide_at)
    paths = [folder / f"{stem}.z{number:02d}" for number in range(1, last + 1)] + [folder / f"{stem}.zip"]
    for number, path in enumerate(paths):
        path.write_bytes(whole[number * part_bytes : (number + 1) * part_bytes])
    return paths


def content(parts: list[Path]) -> dict[str, bytes]:
    with splitzip.opened(parts) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("part_bytes", [150, 200, 333])
def test_what_was_packed_comes_out(part_bytes: int, wide: bool, tmp_path: Path) -> None:
    parts = split_zip(tmp_path, MEMBERS, part_bytes, wide=wide)
    assert len(parts) > 1
    assert content(parts) == MEMBERS


@given(
    members=st.dictionaries(
        st.text("abc/.é", min_size=1, max_size=12), st.binary(max_size=300), min_size=1, max_size=8
    ),
    part_bytes=st.integers(100, 600),
    wide=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_wherever_the_parts_are_cut(members: dict[str, bytes], part_bytes: int, wide: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert content(split_zip(Path(folder), members, part_bytes, wide=wide)) == members


def test_an_archive_in_one_part_is_opened_as_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", b"1")
    assert content([tmp_path / "x.zip"]) == {"a": b"1"}


def test_a_member_beyond_4_gb_is_found(tmp_path: Path) -> None:
    """Its place in the whole does not fit 32 bits, though it does in its part. The first part is a hole."""
    first, last = tmp_path / "x.z01", tmp_path / "x.zip"
    with first.open("wb") as stream:
        stream.truncate(FULL_32 + 100)
    data = b"far away"
    packed = deflated(data)
    head = local_header(b"far", data, packed) + packed
    entries = entry(b"far", data, packed, part=1, offset=0)
    last.write_bytes(head + entries + ends(entries, 1, part=1, offset=len(head), last=1, wide=False, wide_at=0))
    assert content([first, last]) == {"far": data}


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP's zip is not installed")
def test_archives_of_info_zip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {f"inner/{number}.bin": rng.bytes(60_000 + number) for number in range(6)}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "x.zip", "inner"], cwd=tmp_path, check=True)
    (names,) = splitzip.archives(path.name for path in tmp_path.iterdir() if path.is_file()).values()
    assert len(names) == 6
    found = content([tmp_path / name for name in names])
    assert {name: data for name, data in found.items() if not name.endswith("/")} == files


# --- which files are archives ---


def test_parts_find_their_archive() -> None:
    names = ["b.zip", "a.z02", "readme.txt", "a.zip", "a.z01", "a.z03"]
    assert splitzip.archives(names) == {"a.zip": ["a.z01", "a.z02", "a.z03", "a.zip"], "b.zip": ["b.zip"]}
    hundred = [f"a.z{number:02d}" for number in range(1, 101)]
    assert splitzip.archives([*sorted(hundred), "a.zip"])["a.zip"] == [*hundred, "a.zip"]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["a.z01"], "a.z01 is a part of a.zip, which is missing"),
        (["a.zip", "a.z02"], "a.z01 is missing, a part of a.zip"),
        (["a.zip", "a.z01", "a.z03"], "a.z02 is missing, a part of a.zip"),
    ],
)
def test_a_missing_part_is_named(names: list[str], complaint: str) -> None:
    with pytest.raises(zipfile.BadZipFile, match=complaint):
        splitzip.archives(names)


# --- damaged ones ---


def test_a_part_too_few_is_noticed(tmp_path: Path) -> None:
    parts = split_zip(tmp_path, MEMBERS, 200)
    with pytest.raises(zipfile.BadZipFile, match=f"it has {len(parts)} parts, of which {len(parts) - 1} are here"):
        content(parts[1:])


def test_an_archive_without_its_end_is_none(tmp_path: Path) -> None:
    parts = split_zip(tmp_path, MEMBERS, 200)
    parts[-1].write_bytes(parts[-1].read_bytes()[:-5])
    with pytest.raises(zipfile.BadZipFile, match="it has no end"):
        content(parts)


@pytest.mark.parametrize("wide", [False, True])
def test_damage_anywhere_is_noticed_or_does_no_harm(wide: bool, tmp_path: Path) -> None:
    """A byte turned round in turn: what is read is right, or it is an error that says so."""
    parts = split_zip(tmp_path, {"one": b"some words" * 5, "two": b"and others" * 9}, 150, wide=wide)
    good = content(parts)
    unnoticed = 0
    for path in parts:
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            try:
                found = content(parts)
            except splitzip.DAMAGE:
                continue
            # Names, dates and the like are nowhere else: a wrong one can't be told.
            assert sorted(found.values()) == sorted(good.values())
            unnoticed += 1
        path.write_bytes(whole)
    assert unnoticed < 200
