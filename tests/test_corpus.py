"""Stores: right numbers in the right place, nothing done twice, and whole again after whatever befell them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import CLASSES, TinySound, tiny_sounds, tone, write_sounds, write_tables
from earwitness import audio, corpus, files, layouts, logmel, recipe, tables
from earwitness.corpus import Store
from earwitness.errors import StoreError

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# Two clips of each role, for tests that prepare many times.
FEW = [one for one in tiny_sounds() if one.fname[-5] in "01"]


def prepared(
    dataset: Path, out: Path, *settings: str, workers: int = 1, on_clip: Callable[[int, int], None] | None = None
) -> corpus.Report:
    features = recipe.load(None, settings).features
    callback = on_clip or (lambda done, total: None)
    return corpus.prepare(layouts.read_dataset(dataset), out, features, workers=workers, on_clip=callback)


def content(store: Path) -> tuple[Any, ...]:
    """All that a store holds, whatever the order of its frames on disk."""
    opened = Store(store)
    clips = [
        (clip, opened.labels[row].tolist(), opened.log_mel(row).tobytes()) for row, clip in enumerate(opened.clips)
    ]
    return clips, opened.moments.mean.tolist(), opened.moments.std.tolist(), opened.moments.role, opened.vocabulary


def times(store: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.iterdir()}


def bad_files(store: Path) -> dict[str, str]:
    """What bad_files.csv says about each file, checked to be one line that names it."""
    with (store / "bad_files.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        assert "\n" not in row["problem"]
    return {row["fname"]: row["problem"] for row in rows}


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of six clips, and beside it a store prepared from it; not to be written to."""
    root = tmp_path_factory.mktemp("six") / "dataset"
    write_sounds(root, FEW)
    write_tables(root, FEW)
    prepared(root, root.parent / "store")
    return root


@pytest.fixture
def few(six: Path, tmp_path: Path) -> Path:
    """A dataset of six clips, of the test's own."""
    return shutil.copytree(six, tmp_path / "few")


# --- what a store holds ---


def test_clips_come_in_the_tables_order_with_their_labels(tiny_store: Path) -> None:
    store = Store(tiny_store)
    assert [(clip.role, clip.fname, clip.labels, clip.usage or "") for clip in store.clips] == tiny_sounds()
    assert store.vocabulary.names == CLASSES
    assert store.labels.shape == (26, 4)
    assert [store.vocabulary.decode(row) for row in store.labels] == [
        tuple(sorted(one.labels, key=CLASSES.index)) for one in tiny_sounds()
    ]
    assert store.rows("noisy").tolist() == list(range(10, 20))
    assert store.rows("test").tolist() == list(range(20, 26))
    assert store.rows("nothing").tolist() == []


def test_log_mels_are_those_of_the_trimmed_files(tiny_store: Path) -> None:
    store = Store(tiny_store)
    for row, clip in enumerate(store.clips):
        expected = logmel.log_mel(audio.trim(audio.read(clip.path)))
        assert store.length(row) == len(expected)
        assert store.log_mel(row).dtype == np.float16
        np.testing.assert_array_equal(store.read_log_mel(row), store.log_mel(row))
        np.testing.assert_allclose(store.log_mel(row), expected, rtol=0, atol=0.032)  # half a step at 64 to 128 dB


def test_moments_are_those_of_the_noisy_frames(tiny_store: Path) -> None:
    store = Store(tiny_store)
    frames = np.concatenate([store.log_mel(row) for row in store.rows("noisy")]).astype(np.float64)
    assert store.moments.role == "noisy"
    np.testing.assert_allclose(store.moments.mean, frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(store.moments.std, frames.std(axis=0), rtol=1e-6)


def test_without_noisy_clips_the_moments_are_the_curated_sets(few: Path, tmp_path: Path) -> None:
    write_tables(few, [one for one in FEW if one.role != "noisy"])
    assert prepared(few, tmp_path / "store").clips == {"curated": 2, "noisy": 0, "test": 2}
    store = Store(tmp_path / "store")
    frames = np.concatenate([store.log_mel(row) for row in store.rows("curated")]).astype(np.float64)
    assert store.moments.role == "curated"
    np.testing.assert_allclose(store.moments.mean, frames.mean(axis=0), rtol=1e-6)


def test_bands_that_noisy_recordings_lack_do_not_drown_the_others(few: Path, tmp_path: Path) -> None:
    """Noisy clips at 8 kHz, curated ones of full band."""
    rng = np.random.default_rng(0)
    for path in few.glob("train_*/*"):
        rate_hz = 8_000 if "noisy" in path.parent.name else 32_000
        soundfile.write(path.with_suffix(".wav"), 0.1 * rng.normal(size=2 * rate_hz), rate_hz)
    report = prepared(few, tmp_path / "store")
    assert 30 < report.uneven_bands < 128 and prepared(few, tmp_path / "store").uneven_bands == report.uneven_bands
    store = Store(tmp_path / "store")
    normal = np.concatenate(
        [logmel.normalise(store.log_mel(row), store.moments.mean, store.moments.std) for row in store.rows("curated")]
    )
    assert np.sqrt(np.square(normal).mean(axis=0)).max() < 8.5


def test_a_log_mel_is_a_view_of_the_file(tiny_store: Path) -> None:
    store = Store(tiny_store)
    assert isinstance(store.log_mel(3), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.log_mel(3)[0, 0] = 0


def test_features_are_those_asked_for(few: Path, tmp_path: Path) -> None:
    prepared(few, tmp_path / "store", "features.mel_bands=40", "features.hop_length=320")
    store = Store(tmp_path / "store")
    assert store.log_mel(0).shape[1] == 40
    assert store.features.hop_length == 320
    assert len(store.moments.mean) == 40


def test_one_worker_or_two_make_the_same_bytes(tiny_dataset: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert prepared(tiny_dataset, tmp_path / "store", workers=2).decoded == 26
    for name in ("log_mels.f16", "clips.csv", "journal.jsonl", "store.json", "bad_files.csv"):
        assert (tmp_path / "store" / name).read_bytes() == (tiny_store / name).read_bytes(), name


def test_memory_is_that_of_one_clip(tmp_path: Path) -> None:
    def peak_bytes(clips: int) -> int:
        root = tmp_path / str(clips)
        root.mkdir()
        soundfile.write(root / "0.wav", tone("Bark", seconds=1, seed=0), 32_000)
        for number in range(1, clips):
            os.link(root / "0.wav", root / f"{number}.wav")
        tables.write_csv(root / "list.csv", ("fname", "labels"), [(f"{number}.wav", "Bark") for number in range(clips)])
        dataset = layouts.read_dataset(root)
        tracemalloc.start()
        corpus.prepare(dataset, root / "store", recipe.Features(), workers=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(1)  # whatever is made once
    # 16 kB a log-mel, 128 kB a waveform.
    assert peak_bytes(105) - peak_bytes(5) < 100 * 4_000


# --- a second call does what is left ---


def test_nothing_changed_nothing_written(own_dataset: Path, tmp_path: Path) -> None:
    (own_dataset / "train_noisy" / "noisy3.wav").write_bytes(b"no sound")
    first = prepared(own_dataset, tmp_path / "store")
    before = times(tmp_path / "store")
    second = prepared(own_dataset, tmp_path / "store")
    assert times(tmp_path / "store") == before
    assert (first.decoded, first.kept, len(first.problems)) == (25, 0, 1)
    assert (second.decoded, second.kept, second.problems) == (0, 25, first.problems)
    assert (second.clips, second.silent) == (first.clips, first.silent)


def test_a_changed_file_is_decoded_again(own_dataset: Path, tmp_path: Path) -> None:
    prepared(own_dataset, tmp_path / "store")
    soundfile.write(own_dataset / "train_noisy" / "noisy0.ogg", tone("Purr", seconds=2, seed=99), 32_000)
    assert prepared(own_dataset, tmp_path / "store").decoded == 1
    prepared(own_dataset, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_other_labels_rewrite_only_the_index(own_dataset: Path, tmp_path: Path) -> None:
    prepared(own_dataset, tmp_path / "store")
    before, fingerprint = times(tmp_path / "store"), Store(tmp_path / "store").fingerprint()
    write_tables(own_dataset, [one._replace(labels=("Purr",)) for one in tiny_sounds()])
    assert prepared(own_dataset, tmp_path / "store").decoded == 0
    after = times(tmp_path / "store")
    assert {name for name in after if after[name] != before[name]} == {"clips.csv", "store.json"}
    assert {clip.labels for clip in Store(tmp_path / "store").clips} == {("Purr",)}
    assert Store(tmp_path / "store").fingerprint() != fingerprint


def test_clips_added_and_taken_away(own_dataset: Path, tmp_path: Path) -> None:
    without = [one for one in tiny_sounds() if one.fname not in ("curated2.wav", "noisy5.wav", "test1.wav")]
    write_tables(own_dataset, without)
    assert prepared(own_dataset, tmp_path / "store").clips == {"curated": 9, "noisy": 9, "test": 5}
    write_tables(own_dataset, tiny_sounds()[1:])
    report = prepared(own_dataset, tmp_path / "store")
    assert (report.decoded, report.kept) == (3, 22)
    prepared(own_dataset, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")
    assert [clip.fname for clip in Store(tmp_path / "store").clips] == [one.fname for one in tiny_sounds()[1:]]


def with_recordings(dataset: Path, recordings: dict[str, str]) -> None:
    """Gives the curated clips of a tiny dataset their recordings, by fname."""
    sounds = [one for one in tiny_sounds() if one.role == "curated"]
    rows = [(one.fname, ",".join(one.labels), recordings.get(one.fname, "")) for one in sounds]
    tables.write_csv(dataset / "train_curated.csv", ("fname", "labels", "recording"), rows)


def folds_in(store: Path) -> dict[str, int]:
    """The folds of a store's curated clips, by fname."""
    opened = Store(store)
    return {opened.clips[row].fname: int(opened.folds[row]) for row in opened.rows("curated")}


def test_clips_of_one_recording_are_in_one_fold(own_dataset: Path, tmp_path: Path) -> None:
    """Recordings that become known move the clips that they tie together, and nothing is decoded for it."""
    out = tmp_path / "store"
    assert prepared(own_dataset, out).curated_groups == 10
    before, index = Store(out), (out / "clips.csv").read_bytes()
    fingerprint = before.fingerprint()
    assert index.startswith(b"fname,role,labels,usage,fold,path,first_frame,frames,remark\n")
    apart = next(n for n in range(1, 10) if before.folds[n] != before.folds[0])
    with_recordings(own_dataset, {"curated0.wav": "x", f"curated{apart}.wav": "x; y"})
    report = prepared(own_dataset, out)
    assert (report.decoded, report.curated_groups, report.leaks) == (0, 9, ())
    store = Store(out)
    assert store.folds[apart] == store.folds[0] and store.fingerprint() != fingerprint
    assert [clip.recordings for clip in store.clips if clip.recordings] == [("x",), ("x", "y")]
    assert set(store.folds[:10].tolist()) == set(range(5))
    written = times(out)
    prepared(own_dataset, out)
    assert times(out) == written
    with_recordings(own_dataset, {})
    prepared(own_dataset, out)
    np.testing.assert_array_equal(Store(out).folds, store.folds)


def test_clips_keep_their_folds_when_others_come_and_go(own_dataset: Path, tmp_path: Path) -> None:
    """What a run held out is held out by the next as well, or the figures of before and after would not compare."""
    out = tmp_path / "store"
    write_tables(own_dataset, tiny_sounds()[3:])
    prepared(own_dataset, out)
    before = folds_in(out)
    reviewed = ("noisy0.wav", "noisy1.wav")
    heard = [one._replace(role="curated") if one.fname in reviewed else one for one in tiny_sounds()]
    for one in heard:
        if one.fname in reviewed:
            (path,) = (own_dataset / "train_noisy").glob(f"{Path(one.fname).stem}.*")
            shutil.copy(path, own_dataset / "train_curated")
    write_tables(own_dataset, heard)
    prepared(own_dataset, out)
    after = folds_in(out)
    assert len(after) == len(before) + 5 and before.items() <= after.items()
    sizes = Counter(after.values())
    assert max(sizes.values()) - min(sizes.values()) <= 2
    (out / "clips.csv").write_text("fname,role\n")
    prepared(own_dataset, out)
    prepared(own_dataset, tmp_path / "fresh")
    assert folds_in(out) == folds_in(tmp_path / "fresh"), "of a damaged index nothing is kept"


def test_a_recording_has_the_fold_of_most_of_its_clips(own_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    prepared(own_dataset, out)
    before = folds_in(out)
    (largest, _), (second, clips), *_ = Counter(before.values()).most_common()
    moved = next(name for name, fold in before.items() if fold == second)
    one = [name for name, fold in before.items() if fold == largest]
    with_recordings(own_dataset, dict.fromkeys([*one, moved], "one"))
    prepared(own_dataset, out)
    assert clips > 1 and folds_in(out) == before | {moved: largest}


def test_folds_are_drawn_anew_where_one_would_be_empty(own_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    prepared(own_dataset, out)
    emptied = sorted(name for name, fold in folds_in(out).items() if fold == 3)
    other = sorted(name for name, fold in folds_in(out).items() if fold == 0)
    with_recordings(own_dataset, dict.fromkeys([*emptied, *other], "one"))
    prepared(own_dataset, out)
    assert set(folds_in(out).values()) == set(range(5))
    prepared(own_dataset, tmp_path / "fresh")
    assert folds_in(out) == folds_in(tmp_path / "fresh")


def test_fewer_recordings_than_folds_are_in_none(own_dataset: Path, tmp_path: Path) -> None:
    with_recordings(own_dataset, {f"curated{n}.wav": str(n % 4) for n in range(10)})
    assert prepared(own_dataset, tmp_path / "store").curated_groups == 4
    assert set(Store(tmp_path / "store").folds.tolist()) == {-1}


def test_a_file_in_two_roles_is_decoded_once(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone("Bark", seconds=1, seed=0), 32_000)
    rows = [("a.wav", "Bark", "curated"), ("a.wav", "Meow", "noisy")]
    tables.write_csv(tmp_path / "list.csv", ("fname", "labels", "split"), rows)
    report = prepared(tmp_path / "list.csv", tmp_path / "store")
    assert (report.decoded, report.kept) == (1, 0)
    store = Store(tmp_path / "store")
    assert [clip.labels for clip in store.clips] == [("Bark",), ("Meow",)]
    np.testing.assert_array_equal(store.log_mel(0), store.log_mel(1))


def test_a_file_that_failed_is_tried_again(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its permissions or a missing extra may have been the trouble, which leave no trace in the file."""
    with monkeypatch.context() as patched:
        patched.setattr(audio, "blocks", broken_disk(audio.blocks, "noisy1"))
        report = prepared(few, tmp_path / "store")
        assert (report.decoded, report.clips["noisy"]) == (5, 1)
        assert "Input/output error" in bad_files(tmp_path / "store")["noisy1.wav"]
    assert prepared(few, tmp_path / "store").decoded == 1
    assert bad_files(tmp_path / "store") == {}
    prepared(few, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def broken_disk(read: Callable[..., Any], stem: str) -> Callable[..., Any]:
    def breaking(path: Path, **options: Any) -> Any:
        if path.stem == stem:
            raise OSError(5, "Input/output error")
        return read(path, **options)

    return breaking


# --- killed ---


def killed_at(point: int, few: Path, out: Path) -> bool:
    """Prepares in a process that is killed at the point of that number, counted from 1; False if there are fewer.

    Points: before and after each file is moved to its place, between a clip's frames and its line, after each clip.
    """
    child = os.fork()
    if child == 0:
        passed = 0

        def pass_point(*_: object) -> None:
            nonlocal passed
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

        def watched(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                pass_point()
                result = function(*arguments, **options)
                pass_point()
                return result

            return call

        Path.replace = watched(Path.replace)  # type: ignore[method-assign]
        json.dumps = watched(json.dumps)
        prepared(few, out, on_clip=pass_point)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@POSIX
def test_killed_at_any_point_it_goes_on(few: Path, tmp_path: Path) -> None:
    prepared(few, tmp_path / "undisturbed")
    expected = content(tmp_path / "undisturbed")
    point = 1
    while killed_at(point, few, store := tmp_path / f"killed{point}"):
        journal = store / "journal.jsonl"
        lines = len(journal.read_bytes().splitlines()) if journal.exists() else 0
        assert prepared(few, store).decoded == 6 - lines
        assert content(store) == expected, point
        assert sorted(times(store)) == sorted(times(tmp_path / "undisturbed")), point
        point += 1
    assert point > 25


@POSIX
def test_killed_while_it_is_brought_up_to_date(few: Path, tmp_path: Path) -> None:
    """Until the end a reader has the old clips, or is refused; never a mixture."""
    write_tables(few, FEW[:1] + FEW[2:4])
    prepared(few, tmp_path / "old")
    old = content(tmp_path / "old")
    write_tables(few, FEW)
    prepared(few, tmp_path / "new")
    new = content(tmp_path / "new")
    point, refused = 1, 0
    while True:
        store = shutil.copytree(tmp_path / "old", tmp_path / f"killed{point}")
        if not killed_at(point, few, store):
            break
        try:
            assert content(store) in (old, new), point
        except StoreError as error:
            assert "not finished" in str(error)
            refused += 1
        prepared(few, store)
        assert content(store) == new, point
        point += 1
    assert 0 < refused < point / 2


def test_a_killed_call_leaves_no_workers_behind(tiny_dataset: Path, tmp_path: Path) -> None:
    driver = script(tmp_path, "os.kill(os.getpid(), signal.SIGKILL) if done == 3 else None")
    # Workers hold the pipes: this would not return while one of them lives.
    ended = subprocess.run([sys.executable, driver, tiny_dataset, tmp_path / "store"], timeout=30, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    prepared(tiny_dataset, tmp_path / "store")
    prepared(tiny_dataset, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


@POSIX
def test_control_c_is_the_parents_alone(tiny_dataset: Path, tmp_path: Path) -> None:
    # Workers that wait for work are the ones that would complain.
    on_clip = "(time.sleep(0.5), os.killpg(0, signal.SIGINT)) if done == 20 else None"
    # A shell that starts the tests in the background has Control-C ignored, and that is inherited.
    driver = script(tmp_path, on_clip, top="signal.signal(signal.SIGINT, signal.default_int_handler)")
    ended = subprocess.run(
        [sys.executable, driver, tiny_dataset, tmp_path / "store"],
        timeout=30, capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
    assert ended.stderr.count("Traceback") == 1
    assert "KeyboardInterrupt" in ended.stderr
    assert "Process" not in ended.stderr
    assert len((tmp_path / "store" / "journal.jsonl").read_bytes().splitlines()) == 20


def script(folder: Path, on_clip: str, *, top: str = "", guard: str = 'if __name__ == "__main__":') -> Path:
    """A program that prepares the dataset and store it is given with two workers."""
    path = folder / "driver.py"
    path.write_text(
        f"""
import os, signal, sys, time
from pathlib import Path
from earwitness import audio, corpus, layouts, recipe
{top}
{guard}
    corpus.prepare(
        layouts.read_dataset(sys.argv[1]), Path(sys.argv[2]), recipe.Features(), workers=2,
        on_clip=lambda done, total: {on_clip},
    )
"""
    )
    return path


# --- damaged ---


def cut_to(name: str, part: float) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        os.truncate(store / name, int((store / name).stat().st_size * part))

    return damage


def cut_by(name: str, count: int) -> Callable[[Path], None]:
    return lambda store: os.truncate(store / name, (store / name).stat().st_size - count)


def extended(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda store: (store / name).write_bytes((store / name).read_bytes() + data) and None


def put(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda store: (store / name).write_bytes(data) and None


def removed(*names: str) -> Callable[[Path], None]:
    return lambda store: [(store / name).unlink() for name in names] and None


def line_replaced(data: bytes) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        lines = (store / "journal.jsonl").read_bytes().splitlines(keepends=True)
        (store / "journal.jsonl").write_bytes(b"".join([*lines[:2], data, *lines[3:]]))

    return damage


def head_changed(**changes: Any) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        head = json.loads((store / "store.json").read_text())
        (store / "store.json").write_text(json.dumps(head | changes))

    return damage


INDEX = b"fname,role,labels,usage,path,first_frame,frames,remark\n"
REPAIRABLE = {
    "journal torn": cut_by("journal.jsonl", 7),
    "journal without its last line end": cut_by("journal.jsonl", 1),
    "half a journal": cut_to("journal.jsonl", 0.5),
    "no lines in the journal": cut_to("journal.jsonl", 0),
    "no journal": removed("journal.jsonl"),
    "half a line more": extended("journal.jsonl", b'{"path": "/x", "stamp"'),
    "journal of zeros at its end": extended("journal.jsonl", bytes(100)),
    "a line that is a list": line_replaced(b"[1, 2]\n"),
    "a line with other fields": line_replaced(b'{"path": "x"}\n'),
    "a line with words for numbers": line_replaced(
        b'{"path":"x","stamp":"","first_frame":"a","frames":1,"remark":"","error":""}\n'
    ),
    "a line below zero": line_replaced(
        b'{"path":"x","stamp":"","first_frame":-9,"frames":1,"remark":"","error":""}\n'
    ),
    "a line that is no text": line_replaced(b"\xff\xfe\x00\n"),
    "frames torn within a number": cut_by("log_mels.f16", 1),
    "frames torn within a frame": cut_by("log_mels.f16", 100),
    "half of the frames": cut_to("log_mels.f16", 0.5),
    "no frames": cut_to("log_mels.f16", 0),
    "no file of frames": removed("log_mels.f16"),
    "frames without a line": extended("log_mels.f16", bytes(1000)),
    "neither frames nor journal": removed("log_mels.f16", "journal.jsonl"),
    "no index": removed("clips.csv"),
    "half an index": cut_to("clips.csv", 0.5),
    "an index that is no text": put("clips.csv", b"\xff\xfe\x00"),
    "an index with words for numbers": put("clips.csv", INDEX + b"a,curated,Bark,,/a,x,1,\n"),
    "an index of another vocabulary": put("clips.csv", INDEX + b"a,curated,Howl,,/a,0,1,\n"),
    "no moments": head_changed(moments=None),
    "no vocabulary": head_changed(vocabulary=None),
    "not finished": head_changed(complete=False),
    "no list of bad files": removed("bad_files.csv"),
}  # fmt: skip


@pytest.mark.parametrize("damage", REPAIRABLE.values(), ids=REPAIRABLE.keys())
def test_a_damaged_store_is_refused_or_right_and_prepare_mends_it(
    damage: Callable[[Path], None], six: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(six.parent / "store", tmp_path / "store")
    expected = content(store)
    damage(store)
    try:
        assert content(store) == expected
    except StoreError as error:
        assert "\n" not in str(error)
        assert "`earwitness prepare` again" in str(error)
    prepared(six, store)
    assert content(store) == expected


def test_moments_follow_a_clip_that_is_decoded_into_the_place_of_another(few: Path, tmp_path: Path) -> None:
    write_tables(few, [one for one in FEW if one.role != "test"])
    prepared(few, tmp_path / "store")
    lines = (tmp_path / "store" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "store" / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    path = layouts.read_dataset(few).by_role("noisy")[1].path
    soundfile.write(path, tone("Purr", seconds=len(audio.read(path)) / 32_000, seed=7), 32_000)
    prepared(few, tmp_path / "store")
    prepared(few, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', '{"format": 1, "features": 3}'])
def test_a_head_that_says_nothing_is_refused(text: str, few: Path, tmp_path: Path) -> None:
    prepared(few, tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text(text)
    for call in (lambda: Store(tmp_path / "store"), lambda: prepared(few, tmp_path / "store")):
        with pytest.raises(StoreError, match="store") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_what_of_a_store_is_of_no_clip_any_more_is_counted(own_dataset: Path, tmp_path: Path) -> None:
    """A dataset that moved is decoded anew, as its files are known by their paths."""
    first = prepared(own_dataset, tmp_path / "store")
    shutil.move(own_dataset, tmp_path / "elsewhere")
    second = prepared(tmp_path / "elsewhere", tmp_path / "store")
    assert (first.stale_bytes, second.stale_bytes) == (0, first.frame_bytes)
    assert second.frame_bytes == 2 * first.frame_bytes == (tmp_path / "store" / "log_mels.f16").stat().st_size


# --- clips that cannot be used ---


def test_every_unusable_row_is_named_and_the_rest_is_there(own_dataset: Path, tmp_path: Path) -> None:
    root = own_dataset
    (root / "train_curated" / "curated1.flac").write_bytes(b"")
    (root / "train_curated" / "curated4.wav").write_bytes(b"these are no samples")
    (root / "train_noisy" / "noisy2.wav").write_bytes((root / "train_noisy" / "noisy2.wav").read_bytes()[:40])
    (root / "train_noisy" / "noisy3.flac").unlink()
    (root / "test" / "test0.wav").write_bytes(os.urandom(5_000))
    soundfile.write(root / "train_noisy" / "noisy6.wav", np.zeros(64_000), 32_000)
    whole = (root / "train_curated" / "curated8.wav").read_bytes()
    (root / "train_curated" / "curated8.wav").write_bytes(whole[: len(whole) // 2])
    extra = [
        TinySound("noisy", "noisy7.wav", ("Howl",)),
        TinySound("curated", "curated0.wav", ("Bark",)),
        TinySound("curated", "curated9.wav", ()),
    ]
    write_tables(root, [one for one in tiny_sounds() if one.fname not in ("noisy7.wav", "curated9.wav")] + extra)
    report = prepared(root, tmp_path / "store")
    assert report.clips == {"curated": 7, "noisy": 7, "test": 5}
    assert (report.silent, report.cut_short) == (("noisy6.wav",), ("curated8.wav",))
    problems = bad_files(tmp_path / "store")
    assert len(report.problems) == len(problems) == 8
    expected = {
        "curated0.wav": "train_curated.csv line 11, fname: curated0.wav was named before",
        "curated1.wav": "curated1.flac: the file is empty",
        "curated4.wav": "curated4.wav: ",
        "curated9.wav": "line 12, labels: no label",
        "noisy2.wav": "noisy2.wav: ",
        "noisy3.wav": "no sound file noisy3.wav in",
        "noisy7.wav": "unknown label 'Howl', the nearest known is",
        "test0.wav": "test0.wav: ",
    }
    for fname, words in expected.items():
        assert words in problems[fname]
    with (tmp_path / "store" / "bad_files.csv").open(newline="") as stream:
        roles = {row["fname"]: row["role"] for row in csv.DictReader(stream)}
    assert all(role == fname.rstrip("0123456789.wav") for fname, role in roles.items())
    store = Store(tmp_path / "store")
    (silent,) = [row for row, clip in enumerate(store.clips) if clip.fname == "noisy6.wav"]
    assert store.length(silent) == 128
    assert (store.log_mel(silent) == -100).all()


def test_a_set_without_one_usable_clip_is_refused(few: Path, tmp_path: Path) -> None:
    for path in (*few.glob("train_*/*"),):
        path.write_bytes(b"nothing")
    with pytest.raises(StoreError, match="not one clip could be used for training") as caught:
        prepared(few, tmp_path / "store")
    assert str(tmp_path / "store" / "bad_files.csv") in str(caught.value)
    assert len(bad_files(tmp_path / "store")) == 4
    with pytest.raises(StoreError, match="not finished"):
        Store(tmp_path / "store")


def test_a_set_of_test_clips_alone_is_refused_as_such(few: Path, tmp_path: Path) -> None:
    for table in few.glob("train_*.csv"):
        table.unlink()
    with pytest.raises(StoreError, match="test clips alone; give clips to learn from as well, curated or noisy ones"):
        prepared(few, tmp_path / "store")


def test_a_set_without_any_label_is_refused_as_such(few: Path, tmp_path: Path) -> None:
    dataset = replace(layouts.read_dataset(few), clips=())
    with pytest.raises(StoreError, match="no clip with a label; give clips to learn from as well"):
        corpus.prepare(dataset, tmp_path / "store", recipe.Features(), workers=1)


def test_a_file_that_kills_its_decoder_is_named(tiny_dataset: Path, tmp_path: Path) -> None:
    deadly = """
read = audio.blocks
def deadly(path, **options):
    if path.stem == "curated5":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.stem == "test5":
        os._exit(9)
    return read(path, **options)
audio.blocks = deadly
"""
    driver = script(tmp_path, "None", top=deadly)
    subprocess.run([sys.executable, driver, tiny_dataset, tmp_path / "store"], check=True, timeout=60)
    problems = bad_files(tmp_path / "store")
    assert sorted(problems) == ["curated5.wav", "test5.wav"]
    assert all("took the decoder down; convert the file or leave it out" in what for what in problems.values())
    assert len(Store(tmp_path / "store").clips) == 24
    assert prepared(tiny_dataset, tmp_path / "store").decoded == 2  # with a decoder that lives


def test_a_program_without_a_main_guard_is_told_so(tiny_dataset: Path, tmp_path: Path) -> None:
    driver = script(tmp_path, "None", guard="if True:")
    ended = subprocess.run(
        [sys.executable, driver, tiny_dataset, tmp_path / "store"], capture_output=True, text=True, timeout=60
    )
    assert "call prepare under `if __name__ == '__main__':`" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "store" / "bad_files.csv").exists()


def test_too_long_for_memory_is_a_problem_of_that_file(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, **options: Any) -> Any:
        if path.stem == "test0":
            raise MemoryError
        return keep(path, **options)

    keep = audio.blocks
    monkeypatch.setattr(audio, "blocks", read)
    prepared(few, tmp_path / "store")
    assert "test0.wav: too long for this machine's memory" in bad_files(tmp_path / "store")["test0.wav"]


# --- refused ---


def test_other_features_are_refused_by_field(few: Path, tmp_path: Path) -> None:
    prepared(few, tmp_path / "store")
    before = times(tmp_path / "store")
    with pytest.raises(StoreError) as caught:
        prepared(few, tmp_path / "store", "features.mel_bands=64", "features.floor_db=-80")
    message = str(caught.value)
    assert "features.mel_bands is 128, not 64; features.floor_db is -100.0, not -80.0" in message
    assert message.startswith(str(tmp_path / "store"))
    assert times(tmp_path / "store") == before


def test_what_is_no_dataset_and_no_features_leaves_no_store_behind(few: Path, tmp_path: Path) -> None:
    settings = recipe.load()
    with pytest.raises(TypeError, match=r"dataset is what layouts\.read_dataset returns"):
        corpus.prepare(few, tmp_path / "store", settings.features, workers=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="features is a recipe's section of that name, not a Recipe"):
        corpus.prepare(layouts.read_dataset(few), tmp_path / "store", settings, workers=1)  # type: ignore[arg-type]
    assert not (tmp_path / "store").exists()


def test_a_folder_that_is_no_store_is_left_alone(few: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("two years of work")
    with pytest.raises(StoreError, match=r"not a store, and not empty \(thesis.txt\)"):
        prepared(few, tmp_path / "mine")
    assert list(times(tmp_path / "mine")) == ["thesis.txt"]


def test_an_empty_folder_will_do(few: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert prepared(few, tmp_path / "empty").decoded == 6


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_store_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "store"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("no store")
    assert not corpus.is_store(path)
    with pytest.raises(StoreError, match=f"{path}: not a store; make one with"):
        Store(path)


def test_a_clip_list_in_place_of_its_store_is_told_so(few: Path) -> None:
    table = few / "train_curated.csv"
    with pytest.raises(StoreError, match=rf"{table}: not a store; make one with .* {few / 'train_curated.store'}`"):
        Store(table)


def test_two_at_once_are_refused(few: Path, tmp_path: Path) -> None:
    def prepare_too(done: int, total: int) -> None:
        if done == 2:
            with pytest.raises(StoreError, match="another `earwitness prepare` is writing this store"):
                prepared(few, tmp_path / "store")
            with pytest.raises(StoreError, match="not finished"):
                Store(tmp_path / "store")

    assert prepared(few, tmp_path / "store", on_clip=prepare_too).decoded == 6
    assert len(Store(tmp_path / "store").clips) == 6


@POSIX
@pytest.mark.parametrize("limit_bytes", [60_000, 700])
def test_a_full_disk_ends_it_and_room_lets_it_go_on(limit_bytes: int, few: Path, tmp_path: Path) -> None:
    import resource

    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        try:
            prepared(few, tmp_path / "store")
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    prepared(few, tmp_path / "store")
    prepared(few, tmp_path / "fresh")
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_odd_names_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "my [bold] data, ünï"
    names = ['a "quoted", b.wav', "emoji 🐶.wav", "[red]x[red].wav", " lead.wav", "semi;colon.wav"]
    for number, name in enumerate(names):
        root.mkdir(exist_ok=True)
        soundfile.write(root / name.strip(), tone("Bark", seconds=0.5, seed=number), 32_000)
    tables.write_csv(root / "list.csv", ("fname", "labels"), [(name, "Bark") for name in names])
    prepared(root, tmp_path / "store of mine")
    assert [clip.fname for clip in Store(tmp_path / "store of mine").clips] == [name.strip() for name in names]
    assert prepared(root, tmp_path / "store of mine").decoded == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_folder_whose_name_is_no_text(few: Path, tmp_path: Path) -> None:
    odd = few.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    prepared(odd, tmp_path / "store")
    assert len(Store(tmp_path / "store").clips) == 6
    assert "caf\\xe9" in (tmp_path / "store" / "clips.csv").read_text()


@pytest.fixture(autouse=True)
def no_lock_left(tmp_path: Path) -> Iterator[None]:
    """Whatever a test did to a store, its lock is free afterwards."""
    yield
    for lock in tmp_path.glob("*/lock"):
        with files.lock(lock, busy=AssertionError(f"{lock} is held")):
            pass
