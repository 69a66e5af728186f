"""Atomic files: whole or not there, and nothing left behind."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earwitness import files
from earwitness.errors import TableError, some_of
from earwitness.files import (
    atomic_path,
    atomic_write,
    lock,
    naming,
    read_json,
    remove_parts,
    whole_lines,
    without_dots,
)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def names_in(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(("data", "expected"), [(b"\x00\xff", b"\x00\xff"), ("é\r\n\n", b"\xc3\xa9\r\n\n"), ("", b"")])
def test_write_holds_exactly_the_data(tmp_path, data, expected):
    atomic_write(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == expected
    assert names_in(tmp_path) == ["file"]


def test_write_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "new" / "deep" / "file.txt"
    atomic_write(str(path), "one")
    atomic_write(path, "two")
    assert path.read_text() == "two"
    assert names_in(path.parent) == ["file.txt"]


def test_temporary_path_is_a_neighbour_with_the_same_suffix(tmp_path):
    path = tmp_path / "scores.csv"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"


@pytest.mark.skipif(files.fcntl is None, reason="no locks on this system")
def test_where_a_file_system_has_no_locks_nothing_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Callable[..., None]:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return flock

    monkeypatch.setattr(files.fcntl, "flock", refuse(errno.ENOLCK))
    with files.lock(tmp_path / "lock", busy=RuntimeError("busy")):
        pass
    monkeypatch.setattr(files.fcntl, "flock", refuse(errno.EIO))
    with pytest.raises(OSError, match="error"), files.lock(tmp_path / "lock", busy=RuntimeError("busy")):
        pass


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_no_part(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_a_full_disk_names_the_innermost_file(tmp_path):
    """Never the temporary one, which nobody has given."""
    for named in (None, tmp_path / ".part-0123456789abcdef.csv"):
        with pytest.raises(OSError) as full, naming(tmp_path / "table"), atomic_path(tmp_path / "inner"):
            raise OSError(errno.ENOSPC, "No space left on device", named)
        assert full.value.filename == str(tmp_path / "inner")


@POSIX
@pytest.mark.parametrize("below", ["", "file"])
def test_a_link_to_itself_leads_nowhere(tmp_path, below):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="leads back to itself"):
        atomic_write(tmp_path / "loop" / below, "x")
    assert (tmp_path / "loop").is_symlink()


def test_what_a_killed_process_left_can_be_removed(tmp_path):
    with atomic_path(tmp_path / "file.csv") as temporary:
        temporary.write_text("whole")
        (tmp_path / ".part-0123456789abcdef.csv").write_text("half")
    remove_parts(tmp_path)
    assert names_in(tmp_path) == ["file.csv"]


def test_block_that_wrote_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file"):
        pass
    assert names_in(tmp_path) == []


def test_folder_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FileExistsError, match="not an ordinary file"):
        atomic_write(tmp_path, "x")


@POSIX
def test_device_is_not_replaced():
    with pytest.raises(FileExistsError, match="not an ordinary file"):
        atomic_write("/dev/null", "x")


@POSIX
def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@POSIX
def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    atomic_write(tmp_path / "atomic", "x")
    with atomic_path(tmp_path / "private") as temporary:
        temporary.touch(0o600)  # as some libraries make their files
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic", "private")]
    assert modes[0] == modes[1] == modes[2]
    (tmp_path / "plain").chmod(0o640)
    atomic_write(tmp_path / "plain", "y")
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o640


def test_long_names_work(tmp_path):
    path = tmp_path / ("x" * 250 + ".csv")
    atomic_write(path, "x")
    assert path.read_text() == "x"


@pytest.mark.parametrize(
    ("content", "found", "good_bytes"),
    [(b"", [], 0), (b"1\n22\n", [1, 22], 5), (b"1\n2", [1], 2), (b"1\nx\n3\n", [1], 2), (b"x\n1\n", [], 0)],
)
def test_lines_are_read_up_to_the_first_that_is_torn_or_refused(content, found, good_bytes, tmp_path):
    (tmp_path / "lines").write_bytes(content)
    with (tmp_path / "lines").open("rb") as lines:
        read = whole_lines(lines, lambda line: int(line) if line.strip().isdigit() else None)
    assert read == (found, good_bytes)


def test_json_is_read_or_refused_in_one_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    assert read_json(path, error=TableError) == {"a": [1]}
    assert read_json(path, error=TableError, pairs=list) == [("a", [1])]
    for content, complaint in (
        (b"{", "not JSON in UTF-8"),
        (b"\xff", "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON"),
    ):
        path.write_bytes(content)
        with pytest.raises(TableError, match=complaint) as caught:
            read_json(path, error=TableError)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    with pytest.raises(TableError, match="cannot be read"):
        read_json(tmp_path, error=TableError)


@POSIX
def test_a_path_without_dots_leads_to_the_same_place(tmp_path):
    (tmp_path / "far" / "deep" / "down").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "deep")
    for name, expected in {
        "near/../far/a": "far/a",
        "near/gone/../../far": "far",
        "near/link/down/../a": "near/link/a",
        "near/link/../a": "far/a",
        "near/link": "near/link",
    }.items():
        path = without_dots(tmp_path / name)
        assert path == tmp_path / expected
        assert path.resolve() == (tmp_path / name).resolve()
    assert without_dots(Path("/../..")) == Path("/")


def test_of_many_names_the_first_are_told_and_how_many_more():
    assert some_of(["a"]) == "a"
    assert some_of(["a", "b", "c"]) == "a, b, c"
    assert some_of(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


@POSIX
@pytest.mark.parametrize("anew", [False, True])
def test_a_lock_on_a_file_that_its_holder_removed_is_none(anew, tmp_path, monkeypatch):
    """One call is done and removes its file between another's opening it and locking it; a third may have begun."""
    import fcntl

    path, flock = tmp_path / "x.partial", fcntl.flock

    def late(stream, kind):
        path.unlink()
        if anew:
            path.touch()
        flock(stream, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(TableError, match="busy"), lock(path, busy=TableError("busy")):
        raise AssertionError
