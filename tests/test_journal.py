"""Journals survive being killed, and are bound to what they were made from."""

from pathlib import Path

import numpy as np
import pytest

from earwitness import journal
from earwitness.errors import RunError

BUSY = RunError("busy")


def write(path: Path, tie: str = "a") -> None:
    with journal.opened(path, tie, busy=BUSY) as kept:
        kept.add("0", np.array([0.1, np.pi], np.float32))
        kept.add("1", np.array([-1e-30], np.float32))


def test_what_was_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    write(tmp_path / "j")
    with journal.opened(tmp_path / "j", "a", busy=BUSY) as kept:
        assert kept.done["0"].tolist() == np.array([0.1, np.pi], np.float32).tolist()
        assert kept.done["1"][0] == np.float32(-1e-30)


def test_what_was_kept_last_comes_last(tmp_path: Path) -> None:
    with journal.opened(tmp_path / "j", "a", busy=BUSY) as kept:
        for value, key in enumerate("aba"):
            kept.add(key, np.full(1, value, np.float32))
    with journal.opened(tmp_path / "j", "a", busy=BUSY) as kept:
        assert [(key, values[0]) for key, values in kept.done.items()] == [("b", 1), ("a", 2)]


def test_cut_anywhere_the_whole_lines_before_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path)
    content = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == 10]
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        with journal.opened(path, "a", busy=BUSY) as kept:
            assert len(kept.done) == max(sum(end <= length for end in ends) - 1, 0)
            kept.add("9", np.ones(1, np.float32))
        with journal.opened(path, "a", busy=BUSY) as kept:
            assert kept.done["9"] == 1


def test_another_tie_begins_anew(tmp_path: Path) -> None:
    write(tmp_path / "j")
    with journal.opened(tmp_path / "j", "b", busy=BUSY) as kept:
        assert not kept.done


def test_what_a_journal_is_of_can_be_asked(tmp_path: Path) -> None:
    write(tmp_path / "j")
    assert journal.tie_of(tmp_path / "j") == "a"
    for content in (b"", b"fname\n", b"[1]\n", b'{"of": "a"}\n', (tmp_path / "j").read_bytes()[:20]):
        (tmp_path / "other").write_bytes(content)
        assert journal.tie_of(tmp_path / "other") is None


def test_a_full_disk_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with journal.opened(tmp_path / "j", "a", busy=BUSY) as kept:
        kept.add("one", np.ones(3, np.float32))
        with monkeypatch.context() as patched:
            patched.setattr(kept, "_stream", FullDisk())
            with pytest.raises(OSError, match="j'") as caught:
                kept.add("two", np.ones(3, np.float32))
        assert caught.value.filename == str(tmp_path / "j")
    with journal.opened(tmp_path / "j", "a", busy=BUSY) as kept:
        assert list(kept.done) == ["one"]


class FullDisk:
    def write(self, _: bytes) -> None: ...

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        journal.opened(tmp_path / "j", "a", busy=BUSY),
        pytest.raises(RunError, match="busy"),
        journal.opened(tmp_path / "j", "a", busy=BUSY),
    ):
        pass
