"""The command line: what each verb prints, writes and answers; one line for whatever is wrong; nothing cut off."""

import csv
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.cells import cell_len

from conftest import CLASSES, Answer, Earwitness, tiny_recipe, tiny_sounds, tone, write_tables, write_tiny_model
from earwitness import cli, corpus, layouts, livesound, recipe, streaming, surroundings
from earwitness.corpus import Store
from earwitness.errors import EarwitnessError
from earwitness.evaluation import evaluate_scores
from earwitness.labels import Vocabulary
from earwitness.tables import read_rows, read_scores, write_csv, write_scores

VERBS = tuple(command.callback.__name__ for command in cli.app.registered_commands if command.callback)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no such names, limits or terminals")


def program(*arguments: Any, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Gives a command line in a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, **options)


def command(*arguments: Any) -> list[str]:
    """What a process of its own is begun with."""
    return [sys.executable, "-c", "from earwitness.cli import main; main()", *map(str, arguments)]


def refusal(answer: Answer) -> str:
    """The one line with which a call was refused."""
    assert answer.status == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("earwitness: ")
    return line.removeprefix("earwitness: ")


# --- help ---


@pytest.mark.parametrize("arguments", [("--help",), *((verb, "--help") for verb in VERBS)], ids=" ".join)
def test_help_is_whole_and_fits_80_columns(arguments: tuple[str, ...], earwitness: Earwitness) -> None:
    answer = earwitness(*arguments)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("Usage: earwitness")
    for line in answer.out.splitlines():
        assert len(line) <= 80
    assert not re.search(r"\w\.\.\.$", answer.out, re.MULTILINE)
    assert "SETTINGS" not in answer.out and "json-file" not in answer.out and "json_file" not in answer.out


def test_help_names_every_verb(earwitness: Earwitness) -> None:
    out = earwitness("--help").out
    for verb in VERBS:
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {verb} ")]
        assert line.endswith(".")
    assert "Exit status: 0 all done, 1 done but for the files listed, 2 refused." in out


def test_nothing_and_h_ask_for_help(earwitness: Earwitness) -> None:
    assert earwitness() == earwitness("-h") == earwitness("--help")


def test_version(earwitness: Earwitness) -> None:
    assert re.fullmatch(r"earwitness \d+\.\d+\.\d+\S*\n", earwitness("--version").out)


def test_defaults_that_help_states_by_itself_are_those_of_python() -> None:
    """The command line names them anew, as what has them loads numpy."""
    defaults = (inspect.signature(verb).parameters for verb in (cli.tag.tag, cli.listen.listen))
    around, memory = (found[name].default for found, name in zip(defaults, ("around", "memory"), strict=True))
    assert (around, memory) == (surroundings.AROUND_SECONDS, streaming.MEMORY_SECONDS)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from earwitness import cli; sys.argv = ['earwitness', 'tag', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'soundfile'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


# --- prepare ---


def test_prepare_says_what_it_did(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    store, figures = tmp_path / "store", tmp_path / "new" / "figures.json"
    answer = earwitness("prepare", tiny_dataset, "--out", store, "--workers", 1, "--json", figures)
    assert (answer.status, answer.err) == (0, "")
    read = f"{tiny_dataset}: read as FSDKaggle2019; 4 classes: Bark, Child_speech_and_kid_speaking, Meow and 1 more"
    following = f"next: earwitness train {store} --out RUN --recipe laptop"
    first, done, last = answer.out.splitlines()
    assert (first, last) == (read, following)
    expected = (
        rf"{re.escape(str(store))}: 10 curated, 10 noisy, 6 test; 26 files decoded at \d+ a second, 0 already there"
    )
    assert re.fullmatch(expected, done)
    report = json.loads(figures.read_text())
    assert report.pop("seconds") > 0
    assert report == {
        "clips": {"curated": 10, "noisy": 10, "test": 6}, "decoded": 26, "kept": 0, "left_out": 0, "silent": 0,
        "cut_short": 0, "curated_groups": 10, "recordings_in_two_roles": 0, "known_bad": 0, "relabelled": 0,
        "removed": 0, "reviewed": 0, "nothing_heard": 0, "unknown_fnames": 0,
    }  # fmt: skip
    answer = earwitness("prepare", tiny_dataset, "--out", store)
    done = f"{store}: 10 curated, 10 noisy, 6 test; 0 files decoded, 26 already there"
    assert answer == (0, f"{read}\n{done}\n{following}\n", "")


def test_prepare_says_how_it_reads_before_it_decodes(
    tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "decoded", broken_off)
    answer = earwitness("prepare", tiny_dataset, "--out", tmp_path / "store")
    assert answer.status == cli.INTERRUPTED and "read as FSDKaggle2019; 4 classes" in answer.out


def test_prepare_says_what_may_not_be_meant_so(tmp_path: Path, earwitness: Earwitness) -> None:
    for name in ("Bark/a.wav", "bark/b.wav", "c.wav", "Bark/deeper/d.wav", ".hidden/e.wav"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "mine" / name, tone("Bark", seconds=0.2, seed=1), 32_000)
    (tmp_path / "mine" / "list.csv").write_text("file;tag\nc.wav;Bark\n")
    answer = earwitness("prepare", tmp_path / "mine", "--out", tmp_path / "store", "--workers", 1)
    table, first = tmp_path / "mine" / "list.csv", tmp_path / "mine" / "c.wav"
    assert answer.out.splitlines()[:6] == [
        f"{tmp_path / 'mine'}: read as a folder for each class; 2 classes: Bark, bark",
        "note: 1 sound file in folders within those of classes have the label of the outer one; the first is "
        "Bark/deeper/d.wav",
        f"note: {table}: a list of clips whose columns have other names, so folders of classes go before it, and it "
        "is not read: give its path to have it read",
        f"note: 1 sound file in no class's folder, so not read; the first is {first}",
        "note: Bark and bark are classes of their own; if they are meant as one, write them alike",
        "1 class has one clip to learn from, or none: bark",
    ]


def test_prepare_remarks_on_labels_joined_otherwise_and_counts_in_the_singular(
    tmp_path: Path, earwitness: Earwitness
) -> None:
    (tmp_path / "mine").mkdir()
    soundfile.write(tmp_path / "mine" / "a.wav", tone("Bark", seconds=0.2, seed=1), 32_000)
    (tmp_path / "mine" / "clips.csv").write_text("fname,labels\na.wav,Bark|Meow\n")
    answer = earwitness("prepare", tmp_path / "mine", "--out", tmp_path / "store", "--workers", 1)
    assert "; 1 class: Bark|Meow\n" in answer.out and "1 file decoded" in answer.out
    assert "note: Bark|Meow: one class each; where a | parts two labels, write a comma in its place\n" in answer.out


def test_prepare_keeps_short_what_it_says_of_many_classes(tmp_path: Path, earwitness: Earwitness) -> None:
    (tmp_path / "mine").mkdir()
    soundfile.write(tmp_path / "mine" / "a.wav", tone("Bark", seconds=0.2, seed=1), 32_000)
    names = ["Rare", *(name for number in range(8) for name in (f"Parus {number}", f"parus {number}"))]
    clips = tmp_path / "mine" / "clips.csv"
    clips.write_text("fname,labels\n" + f"a.wav,{';'.join(names)}\n")
    said = earwitness("prepare", clips, "--out", tmp_path / "store", "--workers", 1).out.splitlines()
    assert sum("classes of their own" in line for line in said) == 5
    assert "note: so are 3 more groups of names that look alike" in said
    assert (
        "17 classes have one clip to learn from, or none: Parus 0, Parus 1, Parus 2, Parus 3, Parus 4 and 12 more"
        in said
    )
    clips.write_text("fname,labels\na.wav,Rare\n")
    said = earwitness("prepare", clips, "--out", tmp_path / "other", "--workers", 1).out.splitlines()
    assert "1 class has one clip to learn from, or none: Rare" in said


def test_prepare_a_table_whose_sound_is_elsewhere(tmp_path: Path, earwitness: Earwitness) -> None:
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", tone("Bark", seconds=0.2, seed=1), 32_000)
    (tmp_path / "clips.csv").write_text("file,tag\na.wav,Bark\na.wav,Meow\n")
    call = ("prepare", tmp_path / "clips.csv", "--out", tmp_path / "store", "--workers", 1)
    answer = earwitness(*call, "--audio-root", tmp_path / "sounds")
    assert answer.status == 0 and "note: clips.csv: column 'file' as fname, 'tag' as labels\n" in answer.out
    (clip,) = Store(tmp_path / "store").clips
    assert (clip.path, clip.labels) == (tmp_path / "sounds" / "a.wav", ("Bark", "Meow"))


def test_prepare_lists_what_is_left_out(own_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    for path in (own_dataset / "train_noisy").iterdir():
        path.write_bytes(b"no sound")
    (own_dataset / "test" / "test0.wav").unlink()
    (own_dataset / "test" / "test1.flac").write_bytes(b"")
    answer = earwitness("prepare", own_dataset, "--out", tmp_path / "store", "--workers", 1)
    assert answer.status == 1
    assert "10 curated, 5 test" not in answer.out and "10 curated, 4 test; 14 files decoded" in answer.out
    assert "no noisy clips, so every label counts as checked, and log-mels are normalised by the curated" in answer.out
    for path in (own_dataset / "train_curated").iterdir():
        path.write_bytes(b"no sound")
    soundfile.write(own_dataset / "train_noisy" / "noisy0.wav", tone("Bark", seconds=0.2, seed=1), 32_000)
    again = earwitness("prepare", own_dataset, "--out", tmp_path / "store", "--workers", 1)
    assert "no curated clips, so none to measure by: mark some" in again.out and "no noisy" not in again.out
    *listed, more, last = answer.err.splitlines()
    assert len(listed) == 10
    assert "test0.wav" in listed[0]
    assert more == "... and 2 more"
    assert last == f"clips left out: 12; all of them in {tmp_path / 'store' / 'bad_files.csv'}"


def test_prepare_tells_of_recordings(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    clips = layouts.read_dataset(tiny_dataset).clips
    recordings = {"curated0.wav": "x", "curated1.wav": "x", "noisy3.wav": "n;t", "test2.wav": "t", "test4.wav": "x,t"}
    rows = [(one.path, ",".join(one.labels), one.role, recordings.get(one.fname, "")) for one in clips]
    write_csv(tmp_path / "list.csv", ("fname", "labels", "split", "recording"), rows)
    figures = tmp_path / "figures.json"
    answer = earwitness(
        "prepare", tmp_path / "list.csv", "--out", tmp_path / "store", "--workers", 1, "--json", figures
    )
    assert answer.status == 0
    paths = {one.fname: one.path for one in clips}
    assert answer.out.splitlines()[2:-1] == [
        "curated clips of one recording are kept in one fold: 10 clips in 9 groups",
        "recordings with clips both in the test set and among those to learn from: 2, so scores on the "
        f"test set will flatter; one is x: {paths['curated0.wav']} (curated) and {paths['test4.wav']} (test)",
    ]
    found = json.loads(figures.read_text("utf-8"))
    assert (found["curated_groups"], found["recordings_in_two_roles"]) == (9, 2)


def test_prepare_another_recipe(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    (tmp_path / "mine.toml").write_text("[features]\nmel_bands = 64\n")
    options = ("--recipe", tmp_path / "mine.toml", "--set", "features.fmin_hz=20", "--set", "features.hop_length=640")
    assert earwitness("prepare", tiny_dataset, "--out", tmp_path / "store", "--workers", 1, *options).status == 0
    features = json.loads((tmp_path / "store" / "store.json").read_text())["features"]
    assert (features["mel_bands"], features["fmin_hz"], features["hop_length"]) == (64, 20, 640)


def test_prepare_with_corrections(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    heard, again, figures = tmp_path / "heard.json", tmp_path / "again.json", tmp_path / "figures.json"
    heard.write_text('{"noisy0.wav": "Purr", "noisy1.wav": "remove", "noisy2.wav": "remove", "stranger.wav": "Bark"}')
    again.write_text('{"noisy2.wav": "Bark,Meow"}')
    store = tmp_path / "store"
    options = ("--corrections", heard, "--corrections", again, "--workers", 1, "--json", figures)
    answer = earwitness("prepare", tiny_dataset, "--out", store, *options)
    assert (answer.status, answer.err) == (0, "")
    said = answer.out.splitlines()
    assert said[0] == "corrections: 2 clips have other labels, 1 are left out"
    assert said[1] == "1 corrections and decisions for names that no clip of the dataset has: stranger.wav"
    assert "10 curated, 9 noisy, 6 test" in said[3]
    report = json.loads(figures.read_text())
    assert [report[name] for name in ("relabelled", "removed", "unknown_fnames", "left_out")] == [2, 1, 1, 0]
    labels = {row["fname"]: row["labels"] for row in read_rows(store / "clips.csv", ("fname", "labels"))}
    assert labels["noisy0.wav"] == "Purr" and labels["noisy2.wav"] == "Bark,Meow" and "noisy1.wav" not in labels
    assert "unknown label 'Howl'" in refusal(
        earwitness(
            "prepare", tiny_dataset, "--out", store, "--corrections", written(tmp_path, '{"noisy0.wav": "Howl"}')
        )
    )


def written(folder: Path, text: str) -> Path:
    (folder / "written").write_text(text)
    return folder / "written"


def test_prepare_tells_of_known_bad_clips_and_leaves_them_out(
    tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    data, store, figures = tmp_path / "data", tmp_path / "store", tmp_path / "figures.json"
    shutil.copytree(tiny_dataset, data)
    (data / "train_curated" / "curated0.wav").rename(data / "train_curated" / "1d44b0bd.wav")
    table = data / "train_curated.csv"
    table.write_text(table.read_text().replace("curated0.wav", "1d44b0bd.wav"))
    call = ("prepare", data, "--out", store, "--workers", 1, "--json", figures)
    answer = earwitness(*call)
    told = "1 clips are named as wrong by the dataset's authors; --leave-out-known-bad leaves them out"
    assert (answer.status, answer.out.splitlines()[0]) == (0, told)
    assert "10 curated" in answer.out
    answer = earwitness(*call, "--leave-out-known-bad")
    told = "1 clips that the dataset's authors name as wrong are left out"
    assert (answer.status, answer.err, answer.out.splitlines()[0]) == (0, "", told)
    assert "9 curated" in answer.out and json.loads(figures.read_text())["known_bad"] == 1
    (row,) = read_rows(store / "bad_files.csv", ("fname", "problem"))
    assert row["fname"] == "1d44b0bd.wav" and "it holds no signal" in row["problem"]


# --- train ---

SMALL = [
    argument
    for setting in (
        "network.width=0.015625", "network.input_pooling=4", "training.precision=float32", "stage1.noisy=4",
        "stage1.ramp_steps=1", "stage1.anneal_steps=1", "stage2.curated=2", "stage2.noisy=2",
        "stage2.ramp_steps=1", "stage2.anneal_steps=1",
    )
    for argument in ("--set", setting)
]  # fmt: skip


def test_show_recipe_is_the_recipe(earwitness: Earwitness, tmp_path: Path) -> None:
    answer = earwitness("train", "--show-recipe", "--set", "stage2.ramp_epochs=5", "--set", "loss.kind=focal")
    assert (answer.status, answer.err) == (0, "")
    (tmp_path / "shown.toml").write_text(answer.out)
    assert recipe.load(tmp_path / "shown.toml") == recipe.load(None, ["stage2.ramp_epochs=5", "loss.kind=focal"])
    (line,) = [line for line in answer.out.splitlines() if line.startswith("focal_gamma")]
    assert line.endswith("# gamma: focusing parameter of focal loss")


def test_a_run_from_store_to_tags(tiny_store: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    run = tmp_path / "my run"
    answer = earwitness("train", tiny_store, "--out", run, "--fold", "all", "--threads", 1, "--cpu", *SMALL)
    assert (answer.status, answer.err) == (0, "")
    written, *following = answer.out.splitlines()[-3:]
    assert written.startswith(f"{run / 'model'}: written after ")
    assert following == [
        f"next: earwitness evaluate '{run / 'model'}' {tiny_store}",
        f"next: earwitness clean '{run}' {tiny_store} --out DOUBTS",
    ]
    assert f"did you mean {run / 'model'}?" in refusal(earwitness("tag", run, tiny_store))
    assert earwitness("evaluate", run / "model", tiny_store, "--threads", 1).status == 0


def test_the_bar_ends_with_the_last_lwlrap() -> None:
    watcher = cli.train.TrainingBar()
    watcher.begun(done=0, total=2)
    for step, lwlrap in ((1, 0.25), (2, 0.5)):
        metrics = SimpleNamespace(step=step, stage=1, loss=1.5, learning_rate=0.01, pseudo_labels_per_patch=None)
        watcher.stepped(metrics)  # type: ignore[arg-type]
        watcher.evaluated(step, lwlrap)
    (task,) = watcher.bar.tasks
    assert task.fields["state"] == "loss 1.5 lr 0.0100 lwlrap 0.500"


# --- evaluate ---


def test_evaluate_prints_and_writes_its_figures(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    options = ("--json", tmp_path / "f.json", "--csv", tmp_path / "c.csv", "--out", tmp_path / "s.csv")
    answer = earwitness("evaluate", tiny_model, tiny_dataset, "--threads", 1, *options)
    assert (answer.status, answer.err) == (0, "")
    report = json.loads((tmp_path / "f.json").read_text())
    assert set(report) == {
        "lwlrap",
        "interval",
        "clips",
        "tied_clips",
        "mean_average_precision",
        "threshold",
        "precision",
        "recall",
        "per_class",
        "by_usage",
        "not_scored",
    }
    assert list(report["per_class"]) == list(CLASSES)
    assert (report["clips"], report["not_scored"]) == (6, 0)
    assert {usage: figure["clips"] for usage, figure in report["by_usage"].items()} == {"Private": 4, "Public": 2}
    fnames, scores, _ = read_scores(tmp_path / "s.csv", Vocabulary(CLASSES))
    clips = layouts.read_dataset(tiny_dataset).by_role("test")
    assert fnames == tuple(clip.fname for clip in clips)
    truth = Vocabulary(CLASSES).encode_all([clip.labels for clip in clips])
    assert evaluate_scores(truth, scores, Vocabulary(CLASSES)).overall.lwlrap == report["lwlrap"]
    rows = read_rows(tmp_path / "c.csv", ("name", "clips", "lwlrap", "weight"))
    assert [float(row["lwlrap"]) for row in rows] == [one["lwlrap"] for one in report["per_class"].values()]
    head, *lines = answer.out.splitlines()
    assert head.split() == ["class", "clips", "lwlrap", "AP", "from", "P", "R"]
    for line, row in zip(lines, rows, strict=False):
        figures = [row[key] for key in ("lwlrap", "average_precision", "threshold", "precision", "recall")]
        assert line.split() == [row["name"], row["clips"], *(f"{float(figure):.3f}" for figure in figures)]
    assert lines[4] == f"mean average precision {report['mean_average_precision']:.4f}, over 4 classes"
    said = (f"{report[key]:.3f}" for key in ("threshold", "precision", "recall"))
    assert lines[5] == "one threshold for all classes: from {} on, precision {}, recall {}".format(*said)
    assert [line.rpartition(", ")[2] for line in lines[6:]] == ["all: 6 clips", "Private: 4 clips", "Public: 2 clips"]
    assert lines[6].startswith(f"lwlrap {report['lwlrap']:.4f} (95 % interval ")


def test_sound_of_a_table_that_lies_elsewhere(
    tiny_model: Path, tiny_dataset: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    clips = [clip for clip in Store(tiny_store).clips if clip.role == "test"]
    write_csv(
        tmp_path / "tests.csv",
        ("fname", "labels", "split"),
        [(clip.fname, ",".join(clip.labels), "test") for clip in clips],
    )
    call = ("evaluate", tiny_model, tmp_path / "tests.csv", "--threads", 1)
    assert "no usable clip" in refusal(earwitness(*call))
    answer = earwitness(*call, "--audio-root", tiny_dataset / "test")
    assert (answer.status, answer.err) == (0, "") and "all: 6 clips" in answer.out
    root = ("--audio-root", tiny_dataset)
    assert "a store has heard its sound" in refusal(earwitness("evaluate", tiny_model, tiny_store, *root))


def test_evaluate_of_store_and_dataset_agree(
    tiny_model: Path, tiny_dataset: Path, tiny_store: Path, earwitness: Earwitness
) -> None:
    answers = [earwitness("evaluate", tiny_model, path, "--threads", 1) for path in (tiny_dataset, tiny_store)]
    assert answers[0] == answers[1]


def test_evaluate_lists_what_could_not_be_scored(
    tiny_model: Path, own_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    (own_dataset / "test" / "test3.mp3").write_bytes(b"no sound")
    answer = earwitness("evaluate", tiny_model, own_dataset, "--threads", 1, "--json", tmp_path / "f.json")
    assert answer.status == 1
    assert "5 clips" in answer.out
    assert "test3.mp3" in answer.err.splitlines()[0]
    assert answer.err.splitlines()[1:] == ["test clips that could not be scored: 1"]
    assert json.loads((tmp_path / "f.json").read_text())["not_scored"] == 1


def test_names_of_classes_are_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "A_class_whose_name_is_longer_than_any_terminal_is_wide_and_then_some_more_and_more"
    names = ("Accelerating_and_revving_and_vroom", long, "[red]Traffic_noise[/red]", "Nobody")
    cli.evaluate.print_evaluation(evaluate_scores(np.eye(4)[:3], np.eye(4)[:3], Vocabulary(names)))
    out = capsys.readouterr().out
    for line in out.splitlines():
        assert cell_len(line) <= 80
    assert re.search(rf"^{names[0]}( +1)( +1\.000){{2}} +0\.\d{{3}}( +1\.000){{2}}$", out, re.MULTILINE)
    assert "[red]Traffic_noise[/red]" in out and "…" not in out
    assert long in "".join(line.split(" ")[0] for line in out.splitlines())
    assert "no test clip to measure Nobody by\n" in out and not re.search("^Nobody", out, re.MULTILINE)


# --- tag ---


@pytest.fixture
def folder(tiny_dataset: Path, tmp_path: Path) -> Path:
    """Six sounds, of the test's own, in a folder whose name asks for trouble."""
    return shutil.copytree(tiny_dataset / "test", tmp_path / "my [bold] sounds")


def test_tags_on_screen(tiny_model: Path, folder: Path, earwitness: Earwitness) -> None:
    answer = earwitness("tag", tiny_model, folder, "--threads", 1)
    assert (answer.status, answer.err) == (0, "")
    for line, path in zip(answer.out.splitlines(), sorted(folder.iterdir()), strict=True):
        name, _, tags = line.partition(": ")
        assert name == path.name
        assert len(tags.split(", ")) == 3
        assert all(re.fullmatch(rf"({'|'.join(CLASSES)}) [01]\.\d{{3}}", tag) for tag in tags.split(", "))
    assert earwitness("tag", tiny_model, folder, "--top", 1, "--threads", 1).out.count(",") == 0
    assert earwitness("tag", tiny_model, folder, "--top", 99, "--threads", 1).out.count(",") == 6 * 3


def test_tags_in_a_table(tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    out = tmp_path / "not yet" / "my scores.csv"
    answer = earwitness("tag", tiny_model, folder, "--out", out, "--threads", 1)
    assert answer == (0, f"{out}: 6 files, 4 classes\n", "")
    fnames, _, names = read_scores(out)
    assert (fnames, names) == (tuple(sorted(path.name for path in folder.iterdir())), CLASSES)


def test_when_each_class_is_heard(tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    out, track = tmp_path / "times.csv", tmp_path / "times.txt"
    answer = earwitness("tag", tiny_model, folder, "--times", out, "--least", 0, "--threads", 1)
    assert answer == (0, f"{out}: 6 files, scores from 0\n", "")
    rows = read_rows(out, ("fname", "start_seconds", "end_seconds", "label", "score"))
    assert len(rows) == 6 * len(CLASSES), "at no threshold each class is heard throughout"
    (sound, *_) = sorted(folder.iterdir())
    answer = earwitness("tag", tiny_model, sound, "--times", track, "--least", 0, "--threads", 1)
    assert answer == (0, f"{track}: 4 events\n", "")
    assert len(track.read_text("utf-8").splitlines()) == 4
    selections = tmp_path / "times.selections.txt"
    assert earwitness("tag", tiny_model, sound, "--times", selections, "--least", 0, "--threads", 1).status == 0
    boxes = list(csv.DictReader(selections.read_text("utf-8").splitlines(), delimiter="\t"))
    assert [box["Label"] for box in boxes] == list(CLASSES)
    assert {(box["Begin Time (s)"], box["Low Freq (Hz)"], box["High Freq (Hz)"]) for box in boxes} == {
        ("0.000", "0", "16000")
    }
    assert "a .txt has the labels of one sound file" in refusal(earwitness("tag", tiny_model, folder, "--times", track))
    both = ("--times", out, "--out", tmp_path / "scores.csv")
    assert "a row an event" in refusal(earwitness("tag", tiny_model, folder, *both))


class RawInput:
    """A standard input of raw samples."""

    def __init__(self, samples: np.ndarray) -> None:
        self.buffer = io.BytesIO(np.round(samples * 32_767).astype("<i2").tobytes())

    def isatty(self) -> bool:
        return False


def test_sound_that_comes_live(
    tiny_model: Path, tmp_path: Path, earwitness: Earwitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no threshold each class begins at once and lasts to the end; said when it begins, written when it ends."""
    sound, out = np.tile(tone("Bark", seconds=2.0, seed=1), 3), tmp_path / "live.csv"
    call = ("listen", tiny_model, "-", "--times", out, "--least", 0, "--threads", 1)
    monkeypatch.setattr(sys, "stdin", RawInput(sound))
    answer = earwitness(*call)
    assert (answer.status, answer.err) == (0, "")
    first, *lines = answer.out.splitlines()
    assert first == f"{tiny_model}: listening; Control-C ends it"
    assert [line.split()[:2] for line in lines] == [["0:00:00", name] for name in CLASSES]
    rows = read_rows(out, ("time", "start_seconds", "end_seconds", "label", "score"))
    assert [(row["label"], float(row["start_seconds"]), float(row["end_seconds"])) for row in rows] == [
        (name, 0.0, 6.0) for name in CLASSES
    ]
    monkeypatch.setattr(sys, "stdin", RawInput(np.repeat(sound, 2)))
    assert earwitness(*call, "--channels", 2).status == 0
    again = read_rows(out, ("label", "end_seconds", "score"))
    assert [row["label"] for row in again] == [*CLASSES, *CLASSES], "what is there stays"
    assert [(row["end_seconds"], row["score"]) for row in again[4:]] == [
        (row["end_seconds"], row["score"]) for row in rows
    ]


def test_live_sound_that_ends_badly(
    tiny_model: Path, tmp_path: Path, earwitness: Earwitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", RawInput(np.zeros(0)))
    assert refusal(earwitness("listen", tiny_model, "-")).startswith("-: no sound came")
    monkeypatch.setattr(sys, "stdin", RawInput(np.zeros(9)))
    assert "a stream remembers at least a window" in refusal(earwitness("listen", tiny_model, "-", "--memory", 0.1))

    def stopped(*_: object, **__: object) -> Iterator[np.ndarray]:
        yield tone("Bark", seconds=5.0, seed=1)
        raise KeyboardInterrupt

    out = tmp_path / "live.csv"
    monkeypatch.setattr(livesound, "from_microphone", stopped)
    answer = earwitness("listen", tiny_model, "--times", out, "--least", 0, "--threads", 1)
    assert (answer.status, answer.err) == (0, "")
    assert [row["end_seconds"] for row in read_rows(out, ("end_seconds",))] == ["5.0"] * 4


def test_labels_that_score_enough(tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    out, labels = tmp_path / "scores.csv", tmp_path / "labels.csv"
    call = ("tag", tiny_model, folder, "--threads", 1)
    answer = earwitness(*call, "--out", out, "--labels", labels, "--least", 0.45)
    fnames, scores, names = read_scores(out)
    rows = read_rows(labels, ("fname", "labels"))
    heard = [[names[column] for column in np.argsort(-row) if row[column] >= 0.45] for row in scores]
    assert [(row["fname"], row["labels"]) for row in rows] == [
        (fname, ",".join(found)) for fname, found in zip(fnames, heard, strict=True)
    ]
    assert answer == (0, f"{labels}: 6 files, {sum(not found for found in heard)} without a label\n", "")
    assert sorted(tmp_path.glob("*.csv*")) == [labels, out]


def test_a_score_for_each_class(tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    """None reaches 1 but the first, which is there from 0 on."""
    table, labels, times = (tmp_path / name for name in ("least.csv", "labels.csv", "times.csv"))
    table.write_text("name,threshold\n" + "".join(f"{name},{int(name != CLASSES[0])}\n" for name in CLASSES[:-1]))
    call = ("tag", tiny_model, folder, "--threads", 1, "--least", table)
    remark = f"{table}: no threshold for {CLASSES[-1]}; 0.5 counts there\n"
    assert earwitness(*call, "--labels", labels).out == f"{remark}{labels}: 6 files, 0 without a label\n"
    assert all(CLASSES[0] in row["labels"] for row in read_rows(labels, ("labels",)))
    assert earwitness(*call, "--times", times).out == f"{remark}{times}: 6 files, scores from each class's own\n"
    assert all(CLASSES[1] not in line for line in earwitness(*call).out.splitlines())
    assert earwitness(*call[:-1], 1).out.count("nothing that scores enough") == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--least", "high"), "high: neither a score nor a file"),
        (("--least", "50"), "50: a score is from 0 to 1"),
        (("--least", "0.5", "--out", "x.csv"), "--out has all scores"),
        (("--labels", "x.csv", "--times", "y.csv"), "a row an event"),
        (("--labels", "x.txt"), "no table is written as .txt"),
    ],
)
def test_what_counts_is_asked_for_rightly(
    options: tuple[str, ...], told: str, tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    given = (tmp_path / option if option[:2] in ("x.", "y.") else option for option in options)
    assert told in refusal(earwitness("tag", tiny_model, folder, "--threads", 1, *given))


@pytest.mark.parametrize("option", ["--out", "--csv"])
def test_evaluate_replaces_no_table_but_its_own(
    option: str, tiny_model: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    (tmp_path / "mine.csv").write_text("fname,labels\na.wav,Bark\n")
    call = ("evaluate", tiny_model, tiny_store, "--threads", 1, option)
    assert "it holds something else, which would be lost" in refusal(earwitness(*call, tmp_path / "mine.csv"))
    assert [earwitness(*call, tmp_path / "new.csv").status for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("to_table", [True, False])
def test_a_bad_file_is_listed_and_the_rest_tagged(
    to_table: bool, tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    (folder / "[red]broken[red].wav").write_bytes(b"no sound")
    options = ("--out", tmp_path / "x.csv") if to_table else ()
    answer = earwitness("tag", tiny_model, folder, "--threads", 1, *options)
    assert answer.status == 1
    what, last = answer.err.splitlines()
    assert what.startswith(f"{folder / '[red]broken[red].wav'}: ")
    assert last == "files that could not be tagged: 1"
    assert len(read_scores(tmp_path / "x.csv")[0] if to_table else answer.out.splitlines()) == 6


@LINUX
def test_names_are_printed_as_they_are(tiny_model: Path, folder: Path, earwitness: Earwitness) -> None:
    name = "a name in [bold]brackets[bold] with :dog: and ünï🐶 that goes on " + "and on " * 20 + ".wav"
    (folder / "test0.wav").rename(folder / name)
    (folder / "test4.wav").rename(folder / "\x1b[31mred\nline\x07.wav")
    shutil.copy(folder / "test5.flac", os.fsencode(folder) + b"/caf\xe9.flac")
    out = earwitness("tag", tiny_model, folder, "--threads", 1).out
    assert len(out.splitlines()) == 7
    assert f"{name}: " in out
    assert "\\x1b[31mred\\nline\\x07.wav: " in out
    assert "caf\\xe9.flac: " in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)


@LINUX
def test_a_terminal_that_knows_no_such_letters(tiny_model: Path, folder: Path) -> None:
    (folder / "test0.wav").rename(folder / "ünï🐶.wav")
    ended = program("tag", tiny_model, folder, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\xfcn\\xef\\U0001f436.wav: " in ended.stdout


def test_every_bad_file_is_listed(tiny_model: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    """Nothing else lists them."""
    for number in range(30):
        (tmp_path / f"{number}.wav").write_bytes(b"no sound")
    answer = earwitness("tag", tiny_model, tmp_path, "--threads", 1)
    assert (answer.status, answer.out) == (1, "")
    assert len(answer.err.splitlines()) == 31
    assert all(f"{number}.wav: " in answer.err for number in range(30))


# --- refused ---

MEL_64 = ("--set", "features.mel_bands=64")
PREPARE = ("prepare", "DATASET", "--out", "s")
NONSENSE = {
    "no such verb": (("frobnicate",), "No such command 'frobnicate'; see `earwitness --help`"),
    "no such option": (("tag", "m", "p", "--frob"), "No such option: --frob"),
    "no dataset": (("prepare", "--out", "s"), "Missing argument 'DATASET'; see `earwitness prepare --help`"),
    "no out": (("prepare", "DATASET"), "Missing option '--out'; see `earwitness prepare --help`"),
    "missing dataset": (("prepare", "no/such", "--out", "s"), "no/such: no such file or folder: give a"),
    "dataset of another kind": (("prepare", "MODEL", "--out", "s"), "no dataset found: it needs the tables of"),
    "store in a dataset": (("prepare", "DATASET", "--out", "DATASET"), "not a store, and not empty"),
    "store in a file": (("prepare", "DATASET", "--out", "FILE"), "FILE: "),
    "store below a file": (("prepare", "DATASET", "--out", "FILE/s"), "FILE"),
    "no workers": ((*PREPARE, "--workers", "0"), "--workers"),
    "workers in words": ((*PREPARE, "--workers", "two"), "--workers"),
    "setting without a value": ((*PREPARE, "--set", "features.mel_bands"), "write it as section"),
    "unknown setting": ((*PREPARE, "--set", "features.mel_band=3"), "did you mean features.mel_bands?"),
    "setting out of range": ((*PREPARE, "--set", "features.mel_bands=3"), "features.mel_bands = 3: "),
    "unknown recipe": ((*PREPARE, "--recipe", "frob"), "frob: no such recipe; give a TOML file"),
    "a folder for a recipe": ((*PREPARE, "--recipe", "DATASET"), "not readable as a TOML recipe"),
    "json in a folder": ((*PREPARE, "--json", "DATASET"), "Is a directory; choose another name"),
    "json below a file": ((*PREPARE, "--json", "FILE/x.json"), "FILE: Not a directory"),
    "other features": (("prepare", "DATASET", "--out", "STORE", *MEL_64), "features.mel_bands is 128, not 64"),
    "nothing to train on": (("train",), "train needs a STORE and --out RUN"),
    "train on no store": (("train", "DATASET", "--out", "r"), "not a store; make one with `earwitness prepare"),
    "no run to go on with": (("train", "STORE", "--out", "r", "--resume"), "r: no run there to go on with; correct"),
    "train on nothing": (("train", "no/such", "--out", "r"), "no/such: not a store"),
    "fold 5": (("train", "STORE", "--out", "r", "--fold", "5"), "give 0, 1, 2, 3, 4 or all"),
    "fold -1": (("train", "STORE", "--out", "r", "--fold", "-1"), "give 0, 1, 2, 3, 4 or all"),
    "no threads": (("train", "STORE", "--out", "r", "--threads", "0"), "--threads"),
    "run in a file": (("train", "STORE", "--out", "FILE"), "FILE"),
    "recipe and store differ": (("train", "STORE", "--out", "r", *MEL_64), "features.mel_bands is 128, not 64"),
    "no model": (("tag", "no/such", "DATASET"), "no/such: not a model"),
    "a dataset for a model": (("tag", "DATASET", "DATASET"), "not a model, it has no config.json"),
    "export a table": (("export", "DATASET/train_curated.csv"), "not a model, it has no config.json"),
    "nothing to tag": (("tag", "MODEL"), "Missing argument 'PATH'"),
    "tag what is not there": (("tag", "MODEL", "no/such.wav"), "no/such.wav: no such file or folder; give sound files"),
    "tag a folder without sounds": (("tag", "MODEL", "MODEL"), "no sound files there"),
    "tags in a folder": (("tag", "MODEL", "DATASET", "--out", "MODEL"), "Is a directory; choose another name"),
    "no tags": (("tag", "MODEL", "DATASET", "--top", "0"), "--top"),
    "evaluate on nothing": (("evaluate", "MODEL", "no/such"), "no/such: no such file or folder"),
    "evaluate on a model": (("evaluate", "MODEL", "MODEL"), "no dataset found"),
    "evaluate the wrong way round": (("evaluate", "DATASET", "MODEL"), "DATASET: not a model, it has no config.json"),
    "evaluate a store": (("evaluate", "STORE", "STORE"), "not a model"),
    "no such table": (("evaluate", "--scores", "no.csv", "DATASET"), "no.csv: cannot be read (No such file"),
    "a model for a table": (("evaluate", "--scores", "MODEL", "DATASET"), "MODEL: cannot be read (Is a directory)"),
    "a table of clips for scores": (
        ("evaluate", "--scores", "DATASET/train_curated.csv", "DATASET"), "line 1: unknown label 'labels'"
    ),
    "no dataset to fetch": (("download", "AudioSet"), "AudioSet: no dataset that can be fetched; give"),
    "fetched into a file": (("download", "ESC-50", "--out", "FILE"), "FILE"),
    "fetched from nowhere": (("download", "ESC-50", "--from", "nowhere"), "master.zip: no address; --from needs"),
    "listen to a file": (("listen", "MODEL", "a.wav"), "a.wav: give - for the standard input, or nothing; for files"),
    "a pipe from a microphone": (("listen", "MODEL", "-", "--device", "USB"), "--device: it is for the microphone"),
    "a microphone's rate": (("listen", "MODEL", "--rate", "8000"), "--rate, --channels: for the samples of -"),
    "no megabytes": (("serve", "MODEL", "--largest-mb", "nan"), "--largest-mb"),
    "endless megabytes": (("serve", "MODEL", "--largest-mb", "inf"), "--largest-mb"),
    "windows far apart": (("tag", "MODEL", "DATASET", "--hop-frames", "9" * 30), "--hop-frames"),
    "a name too long": (("tag", "MODEL", "x" * 5_000), "no such file or folder"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused_in_one_line(
    arguments: tuple[str, ...],
    words: str,
    tiny_dataset: Path,
    tiny_store: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earwitness: Earwitness,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("a file")
    for name, path in {"DATASET": tiny_dataset, "STORE": tiny_store, "MODEL": tiny_model}.items():
        Path(name).symlink_to(path)
    before = sorted(tiny_dataset.rglob("*"))
    message = refusal(earwitness(*arguments))
    assert words in message
    assert "Traceback" not in message and len(message) < 6_000
    assert sorted(tiny_dataset.rglob("*")) == before


def test_an_unfinished_store_is_refused(
    tiny_store: Path, tiny_model: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    store = shutil.copytree(tiny_store, tmp_path / "store")
    head = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps(head | {"complete": False}))
    for arguments in (("train", store, "--out", tmp_path / "run"), ("evaluate", tiny_model, store)):
        assert "the store is not finished; run `earwitness prepare` again" in refusal(earwitness(*arguments))


def test_labels_that_the_model_does_not_know(
    tiny_model: Path, own_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    write_tables(own_dataset, [one._replace(labels=("Howl",)) for one in tiny_sounds()])
    (own_dataset / "vocabulary.csv").unlink()
    message = refusal(earwitness("evaluate", tiny_model, own_dataset, "--json", tmp_path / "f.json"))
    assert "the test clips have labels that the model does not know (Howl)" in message
    assert not (tmp_path / "f.json").exists()


def test_traceback_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["earwitness", "--traceback", "prepare", "no/such", "--out", str(tmp_path / "s")])
    with pytest.raises(EarwitnessError):
        cli.main()


# --- the machine's own trouble ---


@LINUX
def test_a_full_disk_is_one_line(tiny_model: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    def full() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    ended = program("tag", tiny_model, tiny_dataset, "--out", tmp_path / "x.csv", preexec_fn=full)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"earwitness: {tmp_path / 'x.csv'}: File too large\n"
    assert not (tmp_path / "x.csv").exists()
    assert program("tag", tiny_model, tiny_dataset, "--out", tmp_path / "x.csv").returncode == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_one_may_not_write_to(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    for arguments in (
        ("tag", tiny_model, tiny_dataset, "--out", tmp_path / "closed" / "x.csv"),
        ("prepare", tiny_dataset, "--out", tmp_path / "closed" / "store"),
    ):
        assert "Permission denied; choose another place, or change its permissions" in refusal(earwitness(*arguments))


def test_nothing_that_a_call_reads_is_written_over(
    two_tables: tuple[Path, Path],
    tiny_model: Path,
    own_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earwitness: Earwitness,
) -> None:
    model, (first, second) = shutil.copytree(tiny_model, tmp_path / "model"), two_tables
    sound, link = own_dataset / "test" / "test0.wav", tmp_path / "link"
    link.symlink_to(sound)
    clips = tmp_path / "clips.csv"
    clips.write_text(f"fname,labels,split\n{sound},Bark,test\n")
    heard = tmp_path / "heard.json"
    heard.write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    read_here = "it is read here, and would be overwritten; choose another name"
    for arguments, words in (
        (("tag", model, "--out", sound, own_dataset / "test"), "that is the name of a sound file; give the name of a"),
        (("tag", model, "--out", link, sound), read_here),
        (("ensemble", first, second, "--out", second), read_here),
        (("ensemble", model, "--sounds", own_dataset, "--out", model / "config.json"), read_here),
        (("evaluate", "--scores", first, own_dataset, "--csv", first), read_here),
        (("evaluate", model, clips, "--out", clips), read_here),
        (("export", model, "--out", model / "model.safetensors"), read_here),
        (("export", model, "--out", clips), "clips.csv: it holds something else, which would be lost; give another"),
        (("prepare", clips, "--out", "s", "--json", clips), read_here),
        (("prepare", clips, "--out", "s", "--corrections", heard, "--json", heard), read_here),
        (("prepare", clips, "--out", "s", "--decisions", heard, "--json", heard), read_here),
        (("estimate", clips, "--out", "x", "--system", "demo", "--json", clips), read_here),
        (("evaluate", model, own_dataset, "--out", "x", "--csv", tmp_path / "x"), "it was given for two outputs"),
    ):
        monkeypatch.chdir(tmp_path)
        assert words in refusal(earwitness(*arguments))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_figures_replace_nothing_but_figures(
    tiny_model: Path,
    tiny_store: Path,
    own_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earwitness: Earwitness,
) -> None:
    monkeypatch.chdir(tmp_path)
    store = shutil.copytree(tiny_store, tmp_path / "store")
    (tmp_path / "cut.json").write_text('{"lwlrap": 0.')
    (tmp_path / "empty.json").touch()
    (own_dataset / "info.json").write_text('{"12.wav": {"title": "a bark"}}')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    lost = "it holds something else, which would be lost; give another name, or delete it"
    made = "which is written here; choose another name"
    for arguments, words in (
        (("evaluate", tiny_model, own_dataset, "--json", own_dataset / "train_curated.csv"), lost),
        (("evaluate", tiny_model, own_dataset, "--json", own_dataset / "test" / "test0.wav"), lost),
        (("evaluate", tiny_model, own_dataset, "--json", own_dataset / "info.json"), lost),
        (("evaluate", tiny_model, store, "--json", store / "store.json"), lost),
        (("evaluate", tiny_model, store, "--json", "cut.json"), lost),
        (("prepare", own_dataset, "--out", store, "--json", store / "clips.csv"), made),
        (("prepare", own_dataset, "--out", "new", "--json", "new/clips.csv"), "it lies in new, " + made),
        (("download", "ESC-50", "--json", "ESC-50/meta/esc50.csv"), "it lies in ESC-50, " + made),
    ):
        assert words in refusal(earwitness(*arguments))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for _ in range(2):
        assert earwitness("evaluate", tiny_model, store, "--json", "empty.json").status == 0
    assert earwitness("prepare", own_dataset, "--out", store, "--json", "empty.json").status in (0, 1)
    assert "kept" in json.loads((tmp_path / "empty.json").read_text())


@LINUX
def test_figures_go_to_a_device_or_a_pipe(tiny_model: Path, tiny_store: Path, tmp_path: Path) -> None:
    call = ("evaluate", tiny_model, tiny_store, "--threads", 1, "--json")
    ended = program(*call, "/dev/stdout")
    assert (ended.returncode, ended.stderr) == (0, "")
    said, brace, figures = ended.stdout.partition("{")
    assert json.loads(brace + figures)["lwlrap"] and "mean average precision" in said
    with (tmp_path / "log").open("w") as log:
        subprocess.run(command(*call, "/dev/stdout"), stdout=log, check=True, timeout=60)
    assert (tmp_path / "log").read_text() == ended.stdout
    assert program(*call, "/dev/null").stdout == said
    assert Path("/dev/null").is_char_device()


@LINUX
def test_a_table_or_a_model_goes_to_no_device(tiny_model: Path, tiny_store: Path, earwitness: Earwitness) -> None:
    for arguments in (("evaluate", tiny_model, tiny_store, "--csv"), ("export", tiny_model, "--out")):
        assert refusal(earwitness(*arguments, "/dev/null")) == "/dev/null: not an ordinary file; choose another name"


@LINUX
def test_a_link_to_itself_is_one_line(tiny_model: Path, folder: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    message = refusal(earwitness("tag", tiny_model, folder, "--out", loop))
    assert message == f"{loop}: a link that leads back to itself; choose another name"


def test_tables_are_written_under_names_of_tables_alone(
    two_tables: tuple[Path, Path], tiny_model: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    for name, words in (("m.wav", "that is the name of a sound file"), ("m.xls", "no table is written as .xls")):
        for arguments in (
            ("ensemble", *two_tables, "--out"),
            ("evaluate", tiny_model, tiny_store, "--out"),
            ("evaluate", tiny_model, tiny_store, "--csv"),
        ):
            assert words in refusal(earwitness(*arguments, tmp_path / name))
            assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("tag", "MODEL", ""), "argument 3"),
        (("prepare", ""), "argument 2"),
        (("prepare", "data", "--out", ""), "--out"),
        (("prepare", "data", "--out="), "--out"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(
    arguments: tuple[str, ...], what: str, earwitness: Earwitness
) -> None:
    assert refusal(earwitness(*arguments)).startswith(f"{what} is empty, as from a variable that is not set: fill it")


def test_a_file_that_may_not_be_written_to_is_not_replaced(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earwitness: Earwitness
) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("kept")
    kept.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and Path(path) == kept))  # as for root
    assert "kept.csv: Permission denied; choose another" in refusal(
        earwitness("tag", tiny_model, tiny_dataset, "--out", kept)
    )
    assert kept.read_text() == "kept"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "No space left on device; make room, and give the same command again"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied; choose another place, or change its"),
        (FileExistsError("/dev/null is not an ordinary file"), "/dev/null is not an ordinary file"),
        (OSError(5, "Input/output error", "a\nb\x1b"), "a\\nb\\x1b: Input/output error"),
    ],
)
def test_trouble_with_files_is_one_line(
    error: OSError, line: str, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch, earwitness: Earwitness
) -> None:
    def troubled(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(layouts, "read_dataset", troubled)
    assert refusal(earwitness("prepare", tiny_dataset, "--out", "x")).startswith(line)


def test_control_c_is_one_line(
    tiny_dataset: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, earwitness: Earwitness
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(layouts, "read_dataset", stopped)
    answer = earwitness("prepare", tiny_dataset, "--out", "x")
    assert (answer.status, answer.out) == (130, "")
    assert answer.err.startswith("earwitness: stopped; what was done is kept, the same command goes on")
    assert answer.err.count("\n") == 1
    answer = earwitness("evaluate", tiny_model, tiny_dataset)
    assert answer == (130, "", "earwitness: stopped; nothing was written; the same command begins anew\n")


@LINUX
@pytest.mark.parametrize(
    "arguments", [("train", "--show-recipe"), ("tag", "MODEL", "DATASET"), ("--help",)], ids=" ".join
)
def test_a_reader_that_has_enough(arguments: tuple[str, ...], tiny_model: Path, tiny_dataset: Path) -> None:
    """`earwitness ... | head -1`: no complaint."""
    places = {"MODEL": str(tiny_model), "DATASET": str(tiny_dataset)}
    line = command(*(places.get(argument, argument) for argument in arguments))
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@LINUX
def test_complaints_that_nobody_reads_change_no_status(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    for arguments, status in ((("tag", tiny_model, tmp_path), 1), (("tag", tmp_path, tmp_path), 2)):
        with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout and process.stderr
            process.stderr.close()
            process.stdout.read()
        assert process.returncode == status


@LINUX
@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_stream_that_is_closed_is_no_trouble(
    descriptor: int, tiny_model: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.csv"
    line = command("tag", tiny_model, tiny_dataset / "test", "--out", out)
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {descriptor}>&-', "sh", *line], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(read_scores(out)[0]) == 6


@LINUX
def test_a_terminal_gets_a_bar_and_a_file_gets_plain_lines(tiny_dataset: Path, tmp_path: Path) -> None:
    import pty

    line = command("prepare", tiny_dataset, "--out", tmp_path / "a")
    parent, child = pty.openpty()
    with subprocess.Popen(line, stdout=child, stderr=child, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(child)
        seen = b""
        try:
            while data := os.read(parent, 65_536):
                seen += data
        except OSError:  # the terminal's way to say that it was the last
            pass
    os.close(parent)
    assert process.returncode == 0
    assert b"decoding" in seen and b"26/26" in seen and b"\x1b[" in seen
    plain = program("prepare", tiny_dataset, "--out", tmp_path / "b")
    assert plain.stderr == ""
    assert len(plain.stdout.splitlines()) == 3 and "\x1b" not in plain.stdout


# --- several systems ---


@pytest.fixture
def two_tables(tmp_path: Path) -> tuple[Path, Path]:
    """Two CSVs of scores for two clips and the tiny classes, the second in another order."""
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    header = ",".join(CLASSES)
    first.write_text(f"fname,{header}\nx.wav,0.1,0.9,0.4,0.2\ny.wav,0.5,0.6,0.2,0.1\n")
    second.write_text(f"fname,{header}\ny.wav,0.9,0.0,0.4,0.3\nx.wav,0.4,0.1,0.8,0.6\n")
    return first, second


def test_ensemble_averages_tables(two_tables: tuple[Path, Path], tmp_path: Path, earwitness: Earwitness) -> None:
    out = tmp_path / "mean.csv"
    answer = earwitness("ensemble", *two_tables, "--out", out)
    assert answer == (0, f"{out}: 2 tables, 2 files, 4 classes\n", "")
    (tmp_path / "mine.csv").write_text("fname,labels\nx.wav,Bark\n")
    answer = earwitness("ensemble", *two_tables, "--out", tmp_path / "mine.csv")
    assert "it holds something else, which would be lost" in refusal(answer)
    fnames, scores, classes = read_scores(out)
    assert (fnames, classes) == (("x.wav", "y.wav"), CLASSES)
    np.testing.assert_allclose(scores, [[0.25, 0.5, 0.6, 0.4], [0.7, 0.3, 0.3, 0.2]])
    earwitness("ensemble", *two_tables, "--out", out, "--how", "geometric", "--weights", "1,0")
    np.testing.assert_allclose(read_scores(out)[1], read_scores(two_tables[0])[1])
    earwitness("ensemble", *two_tables, "--out", out, "--how", "rank")
    np.testing.assert_allclose(read_scores(out)[1][0], [0.375, 0.625, 0.875, 0.625])


def test_ensemble_tags_with_several_models(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    both, alone = tmp_path / "both.csv", tmp_path / "alone.csv"
    sounds = tiny_dataset / "test"
    answer = earwitness("ensemble", tiny_model, tiny_model, "--sounds", sounds, "--out", both, "--hop-frames", 32)
    assert answer == (0, f"{both}: 6 files, 4 classes\n", "")
    earwitness("tag", tiny_model, sounds, "--out", alone, "--hop-frames", 32)
    np.testing.assert_allclose(read_scores(both)[1], read_scores(alone)[1], rtol=1e-12)
    assert read_scores(both)[0] == read_scores(alone)[0]


def test_ensemble_lists_files_it_cannot_tag(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    good = next((tiny_dataset / "test").iterdir())
    answer = earwitness(
        "ensemble", tiny_model, "--sounds", tmp_path / "bad.wav", "--sounds", good, "--out", tmp_path / "scores.csv"
    )
    assert answer.status == 1 and "bad.wav" in answer.err and answer.out.endswith("1 file, 4 classes\n")


def test_ensemble_refuses_what_does_not_go_together(
    two_tables: tuple[Path, Path], tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    first, second = two_tables
    out, sounds = ("--out", tmp_path / "mean.csv"), ("--sounds", tiny_dataset)
    other = tmp_path / "c.csv"
    other.write_text(first.read_text().replace("x.wav", "z.wav"))
    for arguments, words in (
        ((first, tiny_model, *out), "CSVs alone or models alone"),
        ((first, second, *out, *sounds), "of no use to CSVs"),
        ((first, second, *out, "--hop-frames", 26), "it is for models"),
        ((tiny_model, *out), "needed by models"),
        ((first, second, *out, "--how", "mode"), "arithmetic, geometric, rank"),
        ((first, second, *out, "--weights", "1,2,3"), "3 for 2 members"),
        ((first, other, *out), "it lacks x.wav, it alone has z.wav"),
        ((tmp_path / "no.csv", *out, *sounds), "no.csv: no such file or folder"),
        ((first, tmp_path / "no.csv", *out), "no.csv: no such file or folder"),
    ):
        assert words in refusal(earwitness("ensemble", *arguments))
    assert not (tmp_path / "mean.csv").exists()


# --- windows, and score tables, at the door ---


def test_hop_frames_replaces_the_recipes(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    scores = {}
    for name, options in (("own", ()), ("same", ("--hop-frames", 16)), ("wide", ("--hop-frames", 64))):
        earwitness("evaluate", tiny_model, tiny_store, "--out", tmp_path / f"{name}.csv", *options)
        scores[name] = read_scores(tmp_path / f"{name}.csv")[1]
    assert (scores["own"] == scores["same"]).all() and (scores["own"] != scores["wide"]).any()


@pytest.mark.parametrize("source", ["tiny_store", "tiny_dataset"])
def test_evaluate_takes_a_table_of_scores(
    source: str, tiny_model: Path, tmp_path: Path, earwitness: Earwitness, request: pytest.FixtureRequest
) -> None:
    """It says of a table what it says of the model that made it, and says no more than that."""
    dataset, scores, figures = request.getfixturevalue(source), tmp_path / "scores.csv", tmp_path / "figures.json"
    by_model = earwitness("evaluate", tiny_model, dataset, "--out", scores)
    by_table = earwitness("evaluate", "--scores", scores, dataset, "--json", figures)
    assert by_table == by_model and by_table.status == 0
    assert set(json.loads(figures.read_text())["by_usage"]) == {"Public", "Private"}


def test_a_table_is_judged_without_the_sound(
    tiny_model: Path, own_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    scores = tmp_path / "scores.csv"
    by_model = earwitness("evaluate", tiny_model, own_dataset, "--out", scores)
    shutil.rmtree(own_dataset / "test")
    assert earwitness("evaluate", "--scores", scores, own_dataset) == by_model


def test_a_table_of_one_part_is_judged_on_that_part(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    whole, part, figures = tmp_path / "whole.csv", tmp_path / "part.csv", tmp_path / "figures.json"
    earwitness("evaluate", tiny_model, tiny_dataset, "--out", whole, "--json", figures)
    expected = json.loads(figures.read_text())["by_usage"]["Public"]
    public = {sound.fname for sound in tiny_sounds() if sound.usage == "Public"}
    head, *rows = whole.read_text().splitlines(keepends=True)
    part.write_text(head + "".join(row for row in rows if row.partition(",")[0] in public))
    assert earwitness("evaluate", "--scores", part, tiny_dataset, "--json", figures).status == 0
    report = json.loads(figures.read_text())
    assert (report["clips"], report["lwlrap"]) == (len(public), expected["lwlrap"])


# What may be wrong with a table of scores: how its lines are changed, and the words of the refusal.
BAD_TABLES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a clip missing": (lambda lines: lines[:-1], "1 without scores (test5.wav)"),
    "a clip too many": (
        lambda lines: [*lines, "other.wav,0.1,0.2,0.3,0.4"], "1 scored but not in the clip list (other.wav)"
    ),
    "a clip twice": (lambda lines: [*lines, lines[1]], "line 8, fname: test0.wav has a row already: delete one"),
    "a column missing": (
        lambda lines: [line.rpartition(",")[0] for line in lines], "line 1: no column for Purr (1 missing): add them"
    ),
    "a column too many": (
        lambda lines: [f"{lines[0]},Howl", *(f"{line},0.5" for line in lines[1:])], "line 1: unknown label 'Howl'"
    ),
    "a column twice": (lambda lines: [lines[0].replace("Purr", "Meow"), *lines[1:]], "'Meow' stands twice"),
    "a cell too few": (lambda lines: [*lines[:3], lines[3].rpartition(",")[0], *lines[4:]], "line 4: 4 cells under a"),
    "no number": (lambda lines: [*lines[:2], "test1.wav,0.1,much,0.3,0.4", *lines[3:]],
                  "line 3, Child_speech_and_kid_speaking: 'much' is not a finite number"),
    "not a number": (lambda lines: [*lines[:2], "test1.wav,0.1,0.2,NaN,0.4", *lines[3:]],
                     "line 3, Meow: 'NaN' is not a finite number"),
    "no rows": (lambda lines: lines[:1], "no rows under the header"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table_is_refused_in_one_line(
    change: Callable[[list[str]], list[str]], words: str, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    table = tmp_path / "scores.csv"
    good = [",".join(("fname", *CLASSES)), *(f"test{n}.wav,0.1,0.2,0.3,0.4" for n in range(6))]
    table.write_text("\n".join(change(good)) + "\n")
    message = refusal(earwitness("evaluate", "--scores", table, tiny_dataset))
    assert words in message and message.startswith(str(table))


def test_real_submissions_are_judged_by_the_genuine_tables(tmp_path: Path, earwitness: Earwitness) -> None:
    """One for the Public clips by the dataset's own test table; one for curated clips by a list of these."""
    genuine = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdkaggle2019"
    if not genuine.is_dir():
        pytest.skip(f"{genuine} is absent")
    public, curated = (
        genuine / "submissions" / f"{name}.csv" for name in ("AlfredWGA_submission", "mixmatch_split_train_dev_a")
    )
    figures = tmp_path / "figures.json"
    assert earwitness("evaluate", "--scores", public, genuine, "--json", figures).status == 0
    report = json.loads(figures.read_text())
    assert (report["clips"], len(report["per_class"])) == (1120, 80)
    assert report["lwlrap"] == pytest.approx(0.424673, abs=5e-7)
    chosen = set(read_scores(curated)[0])
    rows = [
        row for row in read_rows(genuine / "meta" / "train_curated.csv", ("fname", "labels")) if row["fname"] in chosen
    ]
    shutil.copy(genuine / "meta" / "vocabulary.csv", tmp_path)
    write_csv(
        tmp_path / "list.csv", ("fname", "labels", "split"), ([row["fname"], row["labels"], "test"] for row in rows)
    )
    assert earwitness("evaluate", "--scores", curated, tmp_path / "list.csv", "--json", figures).status == 0
    report = json.loads(figures.read_text())
    assert report["clips"] == 497
    assert report["lwlrap"] == pytest.approx(0.848685, abs=5e-7)
    refused = refusal(earwitness("evaluate", "--scores", curated, genuine))
    assert "4481 without scores" in refused and "497 scored but not in the clip list" in refused


def test_rows_and_columns_of_a_table_may_stand_in_any_order(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    scores, figures = tmp_path / "scores.csv", [tmp_path / "a.json", tmp_path / "b.json"]
    earwitness("evaluate", tiny_model, tiny_dataset, "--out", scores, "--json", figures[0])
    fnames, found, _ = read_scores(scores)
    order = [2, 0, 3, 1]
    write_scores(scores, fnames[::-1], found[::-1, order], Vocabulary(tuple(CLASSES[column] for column in order)))
    assert earwitness("evaluate", "--scores", scores, tiny_dataset, "--json", figures[1]).status == 0
    by_model, by_table = (json.loads(path.read_text()) for path in figures)
    assert by_table["lwlrap"] == pytest.approx(by_model["lwlrap"], abs=1e-12)
    assert by_table["per_class"] == by_model["per_class"]


def test_either_a_model_or_a_table(
    tiny_model: Path, tiny_dataset: Path, two_tables: tuple[Path, Path], earwitness: Earwitness
) -> None:
    table, _ = two_tables
    neither = "give MODEL and DATASET, or --scores TABLE and DATASET; see `earwitness evaluate --help`"
    assert refusal(earwitness("evaluate", tiny_dataset)) == neither
    assert neither in refusal(earwitness("evaluate", tiny_model, tiny_model, tiny_dataset))
    assert neither in refusal(earwitness("evaluate", tiny_model, tiny_dataset, "--scores", table))
    assert f"give a table of scores as --scores {table}" in refusal(earwitness("evaluate", table, tiny_dataset))
    assert "it is for models" in refusal(earwitness("evaluate", "--scores", table, tiny_dataset, "--hop-frames", 26))


# --- what it takes, and sounds to try it with ---


def test_estimate_says_steps_time_and_disk(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    figures = tmp_path / "figures.json"
    answer = earwitness(
        "estimate", tiny_dataset, "--out", tmp_path / "not there yet", "--cpu", "--json", figures,
        "--system", "rehearsal+fine-tuned+ensemble/separable", "--system", "rehearsal+ensemble/bands-64",
    )  # fmt: skip
    assert (answer.status, answer.err) == (0, "")
    first, second, stores, total = answer.out.splitlines()
    assert re.fullmatch(r"rehearsal\+fine-tuned\+ensemble/separable: 8 steps, \d+ s, \d+\.\d MB", first)
    assert second.startswith("rehearsal+ensemble/bands-64: 8 steps, ")
    assert re.fullmatch(r"log-mels of 2 kinds: \d+\.\d MB", stores)
    assert re.fullmatch(r"in all \d+ s on cpu, \d+\.\d MB; [\d.]+ [GM]B are free", total)
    report = json.loads(figures.read_text())
    assert len(report["systems"]) == 2 and report["free_bytes"] > 0 and report["device"] == "cpu"


def test_estimate_refuses_a_disk_that_is_too_small(
    tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    answer = earwitness("estimate", tiny_dataset, "--out", tmp_path, "--cpu", "--system", "rehearsal")
    assert answer.status == 2
    assert re.fullmatch(r"earwitness: .*: 0\.0 GB are needed there, .*; make room, .*", answer.err.strip())
    answer = earwitness("estimate", tiny_dataset, "--out", tmp_path, "--system", "rehearsal+rehersal")
    assert "rehersal: no such recipe; did you mean rehearsal?" in refusal(answer)


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (125, "2 min 5 s"), (9_000, "2 h 30 min"), (200_000, "2 days 7 h")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert cli.screen.duration(seconds) == text


def test_sounds_writes_the_sound_set(tmp_path: Path, earwitness: Earwitness) -> None:
    out = tmp_path / "sounds"
    answer = earwitness("sounds", "--out", out, "--curated", 1, "--noisy", 0, "--test", 1, "--seed", 3)
    assert answer == (0, f"{out}: 24 clips of 12 classes\n", "")
    assert len(list(out.glob("*/*.wav"))) == 24 and (out / "test_post_competition.csv").is_file()


def test_train_takes_several_recipes_and_a_start(tiny_store: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    begun = ("train", tiny_store, "--threads", 1, "--cpu", "--recipe", "rehearsal")
    answer = earwitness(*begun, "--recipe", "warm-up", "--out", tmp_path / "warm")
    assert answer.status == 0, answer.err
    rest = (*begun, "--recipe", "after-warm-up", "--out", tmp_path / "rest", "--start-from", tmp_path / "warm")
    answer = earwitness(*rest)
    assert answer.status == 0 and "the first weights are those of" in answer.out
    settings = recipe.load(tmp_path / "rest" / "recipe.toml")
    assert settings == recipe.load(["rehearsal", "after-warm-up"])
    assert earwitness(*rest, "--resume").status == 0
    assert "--start-from is" in refusal(earwitness(*rest[:-2], "--resume"))
    answer = earwitness(*rest, "--recipe", "ensemble/residual", "--resume")
    assert 'network.backbone is "vgg", not "residual"' in refusal(answer)
    assert "--fold is 0, not 3" in refusal(earwitness(*rest, "--resume", "--fold", 3))
    rest = (*begun, "--recipe", "ensemble/residual", "--out", tmp_path / "other", "--start-from", tmp_path / "warm")
    assert 'network.backbone is "vgg", not "residual"' in refusal(earwitness(*rest))


@pytest.mark.parametrize(("recipes", "noted"), [((), True), (("--recipe", "rehearsal"), False)])
def test_train_without_a_recipe_says_what_that_is(
    recipes: tuple[str, ...], noted: bool, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    small = ("network.width=0.05", "stage1.ramp_steps=1", "stage1.anneal_steps=1", "stage2.ramp_steps=0",
             "stage2.anneal_steps=0")  # fmt: skip
    settings = [part for one in small for part in ("--set", one)]
    answer = earwitness("train", tiny_store, "--out", tmp_path / "run", *recipes, *settings, "--threads", 1, "--cpu")
    assert answer.status == 0, answer.err
    assert ("begin with --recipe laptop" in answer.out + answer.err) is noted


# --- windows, arithmetic ---


def test_windows_and_precision_choose_how_a_model_scores(
    tiny_model: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    """The same scores by exact windows as by sliding ones; dense windows and bfloat16 are near, and not the same."""
    sound = tmp_path / "long.wav"
    soundfile.write(sound, np.random.default_rng(0).uniform(-0.5, 0.5, 200_000).astype(np.float32), 32_000)
    scores = {}
    for name, options in {
        "exact": (), "sliding": ("--windows", "sliding"), "dense": ("--windows", "dense"),
        "rough": ("--precision", "bfloat16"),
    }.items():  # fmt: skip
        assert earwitness("tag", tiny_model, sound, "--out", tmp_path / name, *options).status == 0
        scores[name] = read_scores(tmp_path / name)[1]
    assert np.abs(scores["exact"] - scores["sliding"]).max() < 1e-5
    for name in ("dense", "rough"):
        assert 0 < np.abs(scores[name] - scores["exact"]).max() < 0.05, name


def test_the_command_line_knows_the_recipes_choices() -> None:
    assert typing.get_args(recipe.Windows) == cli.options.WINDOWS
    assert typing.get_args(recipe.Precision) == cli.options.PRECISIONS


def test_a_wrong_choice_is_refused(tiny_model: Path, own_dataset: Path, earwitness: Earwitness) -> None:
    answer = earwitness("evaluate", tiny_model, own_dataset, "--windows", "loose")
    assert answer.status == cli.REFUSED and "sliding, exact, dense" in answer.err and answer.err.count("\n") == 1


def test_a_network_without_such_windows_says_so(tmp_path: Path, tiny_store: Path, earwitness: Earwitness) -> None:
    store = Store(tiny_store)
    model = write_tiny_model(tmp_path / "model", tiny_recipe("network.input_pooling=4"), store.moments)
    answer = earwitness("tag", model, store.clips[0].path)
    assert answer.status == 0 and "no exact windows; each is scored by itself" in answer.out
