"""reproduce.sh, rehearsed: every step of the report's three submissions, in tiny sizes, on the built-in sound set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from earwitness import layouts, recipe, tables

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = tuple(name.removeprefix("ensemble/") for name in recipe.names() if name.startswith("ensemble/"))
REPORTED = {1: "0.730", 2: "0.729", 3: "0.712"}


def reproduce(*arguments: object) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"EARWITNESS": f"{sys.executable} -m earwitness", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(ROOT / "reproduce.sh"), *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a rehearsal, stopped once on its way and called again, and what the second call said."""
    out = tmp_path_factory.mktemp("rehearsal") / "out"
    # A folder in the place of a run's lets that step fail, as a full disk would.
    (out / "runs" / "fold-0" / "strange").mkdir(parents=True)
    stopped = reproduce("--rehearse", out, "--threads", 1)
    assert stopped.returncode == 2 and "not a run, and not empty" in stopped.stderr, stopped.stderr
    (out / "runs" / "fold-0" / "strange").rmdir()
    done = reproduce("--rehearse", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def scores(out: Path, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    fnames, found, classes = tables.read_scores(out / f"{name}.csv")
    assert classes == layouts.read_dataset(out / "sounds").vocabulary.names
    return fnames, found


def test_what_was_done_is_not_done_again(rehearsal: tuple[Path, str]) -> None:
    _, said = rehearsal
    for name in ("the built-in sound set", "time and disk", "log-mels: bands-64", "warm-up", "single"):
        assert f"== {name}: already there" in said
    for name in ("fold-0", "separable", "submission 1"):
        assert f"== {name}\n" in said


def test_the_tables_have_all_test_clips_and_classes(rehearsal: tuple[Path, str]) -> None:
    out, _ = rehearsal
    wanted = {clip.fname for clip in layouts.read_dataset(out / "sounds").by_role("test")}
    for number in REPORTED:
        fnames, found = scores(out, f"submission.{number}")
        assert set(fnames) == wanted and len(fnames) == len(wanted)
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
        report = json.loads((out / f"submission.{number}.json").read_text())
        assert set(report["by_usage"]) == {"Public", "Private"}


def test_the_second_submission_is_the_mean_of_13(rehearsal: tuple[Path, str]) -> None:
    out, _ = rehearsal
    (fnames, first), (_, second) = scores(out, "submission.1"), scores(out, "submission.2")
    single_fnames, single = scores(out, "single")
    assert single_fnames == fnames
    np.testing.assert_allclose(second, (12 * first + single) / 13, atol=1e-12)


def test_the_first_submission_is_the_mean_of_its_members(rehearsal: tuple[Path, str]) -> None:
    """The 12 models one by one, from their own files, windows 26 frames apart."""
    from earwitness.tagging import Tagger

    out, _ = rehearsal
    members = [*(f"fold-{fold}" for fold in range(5)), *SYSTEMS]
    taggers = [Tagger.load(out / "runs" / name / "model").with_hop(26) for name in members]
    fnames, found = scores(out, "submission.1")
    for fname, row in list(zip(fnames, found, strict=True))[:2]:
        tagged = [tagger.tag(out / "sounds" / "test" / fname) for tagger in taggers]
        names = taggers[0].vocabulary.names
        np.testing.assert_allclose(row, [np.mean([one[name] for one in tagged]) for name in names], atol=1e-12)


def test_the_third_submission_is_the_single_system_16_frames_apart(rehearsal: tuple[Path, str]) -> None:
    from earwitness.tagging import Tagger

    out, _ = rehearsal
    tagger = Tagger.load(out / "runs" / "single" / "model")
    fnames, found = scores(out, "submission.3")
    assert tagger.recipe.tagging.hop_frames == 16
    tagged = tagger.tag(out / "sounds" / "test" / fnames[0])
    assert [tagged[name] for name in tagger.vocabulary.names] == found[0].tolist()


def test_the_seven_systems_are_seven(rehearsal: tuple[Path, str]) -> None:
    out, _ = rehearsal
    assert len(SYSTEMS) == 7
    kinds = set()
    for name in SYSTEMS:
        settings = recipe.load(out / "runs" / name / "recipe.toml")
        assert settings == recipe.load(["rehearsal", "fine-tuned", f"ensemble/{name}"])
        kinds.add((settings.network.backbone, settings.features))
    assert len(kinds) == 7


def test_it_ends_with_the_figures_beside_the_reports(rehearsal: tuple[Path, str]) -> None:
    out, said = rehearsal
    lines = dict(line.split(maxsplit=2)[1:] for line in said.splitlines() if line.startswith("submission "))
    for number, reported in REPORTED.items():
        parts = json.loads((out / f"submission.{number}.json").read_text())["by_usage"]
        figures = [f"{parts[part]['lwlrap']:.4f}" for part in ("Public", "Private")]
        assert lines[str(number)].split() == [*figures, reported]


def reproduce_with(script: str, folder: Path) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    """Calls it with a shell script in place of earwitness; returns how it ended, and the verbs that were called."""
    program = folder / "earwitness"
    program.write_text(f'#!/bin/sh\nverb=$1\necho "$verb" >>{folder}/called\n{script}')
    program.chmod(0o755)
    (folder / "FSDKaggle2019" / "test").mkdir(parents=True)
    answer = subprocess.run(
        [str(ROOT / "reproduce.sh"), str(folder / "FSDKaggle2019"), str(folder / "out")],
        capture_output=True, text=True, env=os.environ | {"EARWITNESS": str(program)},
    )  # fmt: skip
    return answer, (folder / "called").read_text().split()


def test_it_stops_before_anything_is_made_where_the_disk_is_too_small(tmp_path: Path) -> None:
    """`estimate` refuses; the script ends with it, and with its status."""
    answer, called = reproduce_with('echo "earwitness: too small" >&2\nexit 2\n', tmp_path)
    assert (answer.returncode, answer.stderr) == (2, "earwitness: too small\n")
    assert called == ["estimate"]


def test_single_bad_files_do_not_stop_it(tmp_path: Path) -> None:
    """Verbs that end with 1, done but for the files they list, and make what they should."""
    script = """
    while [ $# -gt 0 ]; do
      case $verb$1 in
        train--out) mkdir -p "$2/model" ;;
        *--out | *--json) echo >"$2" ;;
        *--sounds) with_sounds=yes ;;
      esac
      shift
    done
    case $verb in
      evaluate) for part in Public Private; do echo "lwlrap 0.5000 (95 % interval 0 to 1), $part: 3 clips"; done ;;
      prepare | tag) exit 1 ;;
      ensemble) [ -z "$with_sounds" ] || exit 1 ;;
    esac
    """
    answer, called = reproduce_with(script, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert {verb: called.count(verb) for verb in called} == {
        "estimate": 1, "prepare": 3, "train": 14, "ensemble": 2, "tag": 2, "evaluate": 3,
    }  # fmt: skip
    assert answer.stdout.count("0.5000   0.5000") == 3


def test_bad_calls_are_refused_by_one_line(tmp_path: Path) -> None:
    for arguments in ((), (tmp_path,), ("--loud",), ("--rehearse", "a", "b"), ("--size",)):
        answer = reproduce(*arguments)
        assert answer.returncode == 2 and answer.stdout == ""
        assert len(answer.stderr.splitlines()) == 1 and answer.stderr.startswith("reproduce.sh: ")
