"""Score sheets: the challenge's form, numbers unrounded, and nothing scored twice or passed off for another's."""

import csv
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from conftest import CLASSES, Earwitness, tiny_recipe, tone
from earwitness import Tagger
from earwitness.errors import TableError
from earwitness.files import lock
from earwitness.labels import Vocabulary
from earwitness.scoresheet import Named, sound_files, tag_to_csv
from earwitness.tables import read_scores
from earwitness.tagging import Tagged


class Killed(Exception):
    """What stands for a kill in the middle."""


@pytest.fixture
def tagger() -> Tagger:
    return tagger_called("a")


def tagger_called(digest: str) -> Tagger:
    """A tagger that is a model of its own by its digest, and quick."""

    def scorer(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        trend = np.linspace(-1, 1, windows.shape[1], dtype=np.float32)
        return np.einsum("t,ntb->nb", trend, windows[:, :, :8]) * len(digest)

    return Tagger(
        scorer,
        vocabulary=Vocabulary(CLASSES),
        recipe=tiny_recipe("tagging.augment_short=false"),
        mean=np.full(128, -50, np.float32),
        std=np.full(128, 25, np.float32),
        digest=digest,
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "sounds"
    for number, name in enumerate(("b.wav", "a.flac", "deep/d.wav", "deep/er/c.WAV", "deep/er/z.ogg")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, tone("Bark", seconds=0.2 + number / 10, seed=number), 32_000)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """Five sounds, of the test's own."""
    return shutil.copytree(template, tmp_path / "sounds")


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def killed_after(count: int) -> Callable[[Tagged], None]:
    counter = itertools.count(1)

    def on_file(tagged: Tagged) -> None:
        if next(counter) == count:
            raise Killed

    return on_file


# --- which files ---


def test_folders_are_searched_and_sorted(folder: Path) -> None:
    for name in ("notes.txt", "cover.jpg", "._b.wav", ".hidden.wav", "wav"):
        (folder / name).write_text("x")
    (folder / "folder.wav").mkdir()
    assert [one.path.relative_to(folder).as_posix() for one in sound_files([folder])] == [
        "a.flac", "b.wav", "deep/d.wav", "deep/er/c.WAV", "deep/er/z.ogg",
    ]  # fmt: skip
    assert [one.name for one in sound_files([folder])] == ["a.flac", "b.wav", "d.wav", "c.WAV", "z.ogg"]


def test_hidden_folders_and_links_to_folders_are_left_out(folder: Path) -> None:
    (folder / "deep").rename(folder / ".deep")
    (folder / "link").symlink_to(".deep")
    (folder / "loop").symlink_to(".")
    assert [one.name for one in sound_files([folder])] == ["a.flac", "b.wav"]
    assert [one.name for one in sound_files([folder / ".deep"])] == ["d.wav", "c.WAV", "z.ogg"]
    assert [one.name for one in sound_files([folder / "link"])] == ["d.wav", "c.WAV", "z.ogg"]


def test_a_folder_that_may_not_be_searched_is_listed(
    tagger: Tagger, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:  # permissions say nothing to root
        if Path(path) == folder / "deep" / "er":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    (bad,) = tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv")
    assert bad.path == folder / "deep" / "er" and "cannot be opened (Permission denied)" in str(bad.error)
    assert [row[0] for row in rows(tmp_path / "x.csv")[1:]] == ["a.flac", "b.wav", "d.wav"]


def test_a_folder_whose_files_may_not_be_looked_at_ends_nothing(
    tagger: Tagger, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def closed(path: Path) -> bool:
        if path.parent == folder / "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", closed)
    (bad,) = tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv")
    assert bad.path.name == "d.wav" and "cannot be opened (Permission denied)" in str(bad.error)


def test_a_path_that_leads_nowhere_or_may_not_be_looked_at_is_listed(
    tagger: Tagger, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone.wav").symlink_to("nowhere.wav")
    given = [folder / "b.wav", folder / "gone.wav", folder / "closed" / "d.wav"]
    stat, lstat = os.stat, os.lstat

    def refuse(path: Any) -> None:  # permissions say nothing to root
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", lambda path, **how: (refuse(path), stat(path, **how))[1])
    monkeypatch.setattr(os, "lstat", lambda path, **how: (refuse(path), lstat(path, **how))[1])
    bad = tag_to_csv(tagger, sound_files(given), tmp_path / "x.csv")
    assert [one.path for one in bad] == given[1:]
    assert "gone.wav: a link that leads nowhere" in str(bad[0].error)
    assert "cannot be opened (Permission denied)" in str(bad[1].error)
    assert [row[0] for row in rows(tmp_path / "x.csv")[1:]] == ["b.wav"]


def test_a_file_that_may_not_be_read_ends_nothing(
    tiny_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, earwitness: Earwitness
) -> None:
    access = os.access
    # Permissions say nothing to root.
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and access(path, mode))
    (folder / "closed.wav").write_bytes(b"")
    answer = earwitness("tag", tiny_model, folder / "closed.wav", folder / "b.wav", "--threads", 1)
    assert (answer.status, answer.out.split(":")[0]) == (1, "b.wav")
    assert "closed.wav: " in answer.err and answer.err.endswith("files that could not be tagged: 1\n")


def test_paths_stay_in_the_order_given_and_come_once(folder: Path) -> None:
    given = [folder / "deep", folder / "b.wav", folder / "deep" / "d.wav", folder / "." / "b.wav"]
    assert [one.name for one in sound_files(given)] == ["d.wav", "c.WAV", "z.ogg", "b.wav"]


def test_a_file_given_by_name_is_tried_whatever_its_suffix(folder: Path) -> None:
    (folder / "a.dat").write_text("x")
    assert [one.name for one in sound_files([folder / "a.dat"])] == ["a.dat"]


def test_files_of_one_name_are_told_apart_by_their_paths(folder: Path) -> None:
    shutil.copy(folder / "b.wav", folder / "deep" / "b.wav")
    names = [one.name for one in sound_files([folder])]
    assert len(set(names)) == 6
    assert names[1:3] == [(folder / "b.wav").as_posix(), (folder / "deep" / "b.wav").as_posix()]


def test_what_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(TableError, match=r"missing.wav: no such file or folder; give"):
        sound_files([folder / "b.wav", folder / "missing.wav"])
    (folder / "empty").mkdir()
    with pytest.raises(TableError, match="empty: no sound files there; give"):
        sound_files([folder / "empty"])


# --- the form ---


def test_a_sheet_has_a_column_a_class_and_a_row_a_file(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    assert tag_to_csv(tagger, sound_files([folder]), tmp_path / "new" / "x.csv") == []
    sheet = rows(tmp_path / "new" / "x.csv")
    assert sheet[0] == ["fname", *CLASSES]
    assert [row[0] for row in sheet[1:]] == ["a.flac", "b.wav", "d.wav", "c.WAV", "z.ogg"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.csv"]


def test_scores_are_not_rounded(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    tag_to_csv(tagger, sounds, tmp_path / "x.csv")
    fnames, scores, names = read_scores(tmp_path / "x.csv", tagger.vocabulary)
    assert (fnames, names) == (tuple(one.name for one in sounds), CLASSES)
    expected = [tagged.scores for tagged in tagger.tag_many(one.path for one in sounds)]
    np.testing.assert_array_equal(scores, np.stack(expected))  # type: ignore[arg-type]


def test_bad_files_are_returned_and_have_no_row(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    (folder / "b.wav").write_bytes(b"nothing to hear")
    (folder / "deep" / "d.wav").write_bytes(b"")
    seen: list[Path] = []
    bad = tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv", on_file=lambda one: seen.append(one.path))
    assert [one.path for one in bad] == [folder / "b.wav", folder / "deep" / "d.wav"]
    assert all(str(one.path) in str(one.error) for one in bad)
    assert [row[0] for row in rows(tmp_path / "x.csv")[1:]] == ["a.flac", "c.WAV", "z.ogg"]
    assert len(seen) == 5


def test_nothing_but_bad_files(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert len(tag_to_csv(tagger, sound_files([tmp_path]), tmp_path / "x.csv")) == 1
    assert rows(tmp_path / "x.csv") == [["fname", *CLASSES]]


ODD_NAMES = ["a, b.wav", 'a "q".wav', "ünï🐶.wav", "two\nlines.wav", "line\u2028sep\x85.wav", "[b]#'.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_odd_names(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        shutil.copy(folder / "b.wav", folder / name)
    sounds = sound_files([folder])
    tag_to_csv(tagger, sounds, tmp_path / "whole.csv")
    for killed in range(1, len(sounds) + 1):
        with pytest.raises(Killed):
            tag_to_csv(tagger, sounds, tmp_path / "x.csv", on_file=killed_after(1))
        assert len((tmp_path / "x.csv.partial").read_bytes().splitlines()) == 1 + killed
    tag_to_csv(tagger, sounds, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert {row[0] for row in rows(tmp_path / "x.csv")} > set(ODD_NAMES)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_that_are_no_text(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "b.wav", os.fsencode(folder) + b"/caf\xe9.wav")
    assert tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv") == []
    assert "caf\\xe9.wav" in [row[0] for row in rows(tmp_path / "x.csv")]


# --- killed and run again ---


def test_killed_it_goes_on(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    tag_to_csv(tagger, sounds, tmp_path / "whole.csv")
    with pytest.raises(Killed):
        tag_to_csv(tagger, sounds, tmp_path / "x.csv", on_file=killed_after(3))
    assert not (tmp_path / "x.csv").exists()
    scored: list[Path] = []
    tag_to_csv(tagger, sounds, tmp_path / "x.csv", on_file=lambda one: scored.append(one.path))
    assert scored == [one.path for one in sounds[3:]]
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "x.csv.partial").exists()


def left_by(tagger: Tagger, sounds: list[Named], out: Path, count: int = 3) -> Path:
    """What a call that was killed after `count` files leaves."""
    with pytest.raises(Killed):
        tag_to_csv(tagger, sounds, out, on_file=killed_after(count))
    return out.with_name(out.name + ".partial")


def scored_by(tagger: Tagger, sounds: list[Named], out: Path) -> int:
    """How many files another call scores anew; the sheet is checked to be that of an undisturbed call."""
    count = 0

    def on_file(tagged: Tagged) -> None:
        nonlocal count
        count += 1

    tag_to_csv(tagger, sounds, out, on_file=on_file)
    tag_to_csv(tagger, sounds, out.with_name("undisturbed.csv"))
    assert out.read_bytes() == out.with_name("undisturbed.csv").read_bytes()
    return count


def test_a_torn_line_is_scored_again(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    whole = left_by(tagger, sounds, tmp_path / "x.csv").read_bytes()
    starts = [0, *itertools.accumulate(map(len, whole.splitlines(keepends=True)))]
    for cut in (1, 20, starts[1], starts[2] - 1, starts[3], starts[3] + 5, len(whole) - 1):
        (tmp_path / "x.csv.partial").write_bytes(whole[:cut])
        kept = max(0, sum(start <= cut for start in starts) - 2)
        assert scored_by(tagger, sounds, tmp_path / "x.csv") == 5 - kept


@pytest.mark.parametrize(
    "damage",
    [b"\n", b"x\n", b"[]\n", b"[1,2,3]\n", b'["/a", "1-2", "x"]\n', b'{"a": 1}\n', b"null\n", b"\xff\n", bytes(9)],
)
def test_damage_is_scored_again(damage: bytes, tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    partial = left_by(tagger, sounds, tmp_path / "x.csv")
    lines = partial.read_bytes().splitlines(keepends=True)
    for place in (0, 2, 4):
        partial.write_bytes(b"".join([*lines[:place], damage, *lines[place:]]))
        assert scored_by(tagger, sounds, tmp_path / "x.csv") == (5 if place == 0 else 5 - (place - 1))


def test_another_models_scores_are_not_kept(folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    left_by(tagger_called("a"), sounds, tmp_path / "x.csv")
    assert scored_by(tagger_called("bb"), sounds, tmp_path / "x.csv") == 5


def test_a_model_without_a_digest_keeps_none(folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    left_by(tagger_called(""), sounds, tmp_path / "x.csv")
    assert scored_by(tagger_called(""), sounds, tmp_path / "x.csv") == 5


def test_another_folders_scores_are_not_kept(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    for path in (other / "a.flac", other / "b.wav"):
        soundfile.write(path, tone("Purr", seconds=0.3, seed=77), 32_000)
    left_by(tagger, sound_files([folder]), tmp_path / "x.csv")
    assert scored_by(tagger, sound_files([other]), tmp_path / "x.csv") == 5


def test_a_file_that_changed_is_scored_again(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    left_by(tagger, sounds, tmp_path / "x.csv")
    soundfile.write(folder / "a.flac", tone("Purr", seconds=0.3, seed=77), 32_000)
    assert scored_by(tagger, sounds, tmp_path / "x.csv") == 3


def test_scores_are_kept_for_the_files_asked_for(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    """Fewer files, another order, other names for them: a row is the file's, not the name's."""
    left_by(tagger, sound_files([folder]), tmp_path / "x.csv")
    shutil.copy(folder / "b.wav", folder / "deep" / "b.wav")
    asked = sound_files([folder / "deep" / "b.wav", folder / "b.wav", folder / "a.flac"])
    assert scored_by(tagger, asked, tmp_path / "x.csv") == 1
    assert [row[0] for row in rows(tmp_path / "x.csv")[1:]] == [one.name for one in asked]


def test_bad_files_are_tried_again(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    good = (folder / "a.flac").read_bytes()
    (folder / "a.flac").write_bytes(b"")
    left_by(tagger, sound_files([folder]), tmp_path / "x.csv")
    (folder / "a.flac").write_bytes(good)
    assert scored_by(tagger, sound_files([folder]), tmp_path / "x.csv") == 3


def test_a_finished_sheet_is_made_anew(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])
    tag_to_csv(tagger, sounds, tmp_path / "x.csv")
    assert scored_by(tagger, sounds[:2], tmp_path / "x.csv") == 2


def test_a_file_that_vanishes_later_keeps_its_row(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    def vanish(tagged: Tagged) -> None:
        (folder / "a.flac").unlink(missing_ok=True)

    assert tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv", on_file=vanish) == []
    assert len(rows(tmp_path / "x.csv")) == 6


def test_the_old_sheet_stays_until_the_new_one_is_whole(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    old = ",".join(("fname", *CLASSES)) + "\nold"
    (tmp_path / "x.csv").write_text(old)
    left_by(tagger, sound_files([folder]), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == old


@pytest.mark.parametrize("content", ["File Name,Tags\na.wav,Bark\n", "fname,labels\n", "\x89PNG\n"])
def test_what_is_no_sheet_of_this_model_is_not_replaced(
    content: str, tagger: Tagger, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(TableError, match=r"x\.csv: it holds something else, which would be lost"):
        tag_to_csv(tagger, sound_files([folder]), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == content and not (tmp_path / "x.csv.partial").exists()


# --- refused ---


def test_two_at_once_are_refused(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    sounds = sound_files([folder])

    def tag_too(tagged: Tagged) -> None:
        with pytest.raises(TableError, match="another `earwitness tag` is writing this file"):
            tag_to_csv(tagger, sounds, tmp_path / "x.csv")

    tag_to_csv(tagger, sounds, tmp_path / "x.csv", on_file=tag_too)
    with lock(tmp_path / "other", busy=AssertionError()):
        assert scored_by(tagger, sounds, tmp_path / "x.csv") == 5


def test_a_place_for_no_file_is_refused_before_anything_is_scored(folder: Path, tmp_path: Path) -> None:
    class Never:
        vocabulary = Vocabulary(CLASSES)

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    with pytest.raises(TableError, match="not an ordinary file"):
        tag_to_csv(Never(), sound_files([folder]), tmp_path)  # type: ignore[arg-type]
    assert not tmp_path.with_name(tmp_path.name + ".partial").exists()


def test_partial_says_whose_it_is(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    partial = left_by(tagger, sound_files([folder]), tmp_path / "x.csv")
    head, *lines = [json.loads(line) for line in partial.read_text().splitlines()]
    assert head["model"] == "a"
    assert [line[0] for line in lines] == [str(folder / name) for name in ("a.flac", "b.wav", "deep/d.wav")]
