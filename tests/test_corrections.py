"""Corrections: labels replaced, clips removed, what no clip has is said, and a file that is none is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from earwitness import corpus, layouts, recipe
from earwitness.corrections import Corrected, correct
from earwitness.dataset import Dataset, Problem
from earwitness.errors import TableError
from earwitness.reviewing.decision import Decision
from earwitness.tables import read_rows, write_csv

FSDKAGGLE2019 = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdkaggle2019"


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return layouts.read_dataset(tiny_dataset)


def corrected(dataset: Dataset, folder: Path, *sayings: Any) -> Corrected:
    """What becomes of a dataset by files of corrections, one for each of `sayings`."""
    paths = [folder / f"{number}.json" for number in range(len(sayings))]
    for path, said in zip(paths, sayings, strict=True):
        path.write_text(said if isinstance(said, str) else json.dumps(said), "utf-8")
    return correct(dataset, paths)


def labels_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {clip.fname: clip.labels for clip in dataset.clips}


def test_labels_are_replaced_and_clips_removed(dataset: Dataset, tmp_path: Path) -> None:
    before = labels_of(dataset)
    found = corrected(dataset, tmp_path, {"noisy0.wav": "Purr, Meow", "curated1.wav": "remove", "test2.wav": "Bark"})
    after = labels_of(found.dataset)
    assert (found.relabelled, found.removed, found.unknown) == (2, 1, ())
    assert after.pop("noisy0.wav") == ("Purr", "Meow") and after.pop("test2.wav") == ("Bark",)
    assert after == {name: labels for name, labels in before.items() if name in after}
    assert before.keys() - after.keys() == {"noisy0.wav", "test2.wav", "curated1.wav"}
    (gone,) = found.dataset.left_out
    assert (gone.fname, gone.role) == ("curated1.wav", "curated")
    assert gone.what == f"{tmp_path / '0.json'}, curated1.wav: remove"
    assert labels_of(dataset) == before


def test_labels_that_are_the_same_are_no_change(dataset: Dataset, tmp_path: Path) -> None:
    before = labels_of(dataset)
    same = {name: ",".join(reversed(labels)) for name, labels in before.items()}
    assert corrected(dataset, tmp_path, same)[1:4] == (0, 0, ())


def test_later_files_win(dataset: Dataset, tmp_path: Path) -> None:
    first = {"noisy0.wav": "remove", "noisy1.wav": "Purr", "noisy2.wav": "Purr"}
    found = corrected(dataset, tmp_path, first, {"noisy0.wav": "Purr", "noisy1.wav": "remove"})
    after = labels_of(found.dataset)
    assert after["noisy0.wav"] == after["noisy2.wav"] == ("Purr",) and "noisy1.wav" not in after
    assert [gone.what for gone in found.dataset.left_out] == [f"{tmp_path / '1.json'}, noisy1.wav: remove"]


def test_names_that_no_clip_has_are_told(dataset: Dataset, tmp_path: Path) -> None:
    said = {"x.wav": "Bark", "oisy0.wav": "remove", "noisy1.wav": "Purr"}
    assert corrected(dataset, tmp_path, said).unknown == ("x.wav", "oisy0.wav")


def named(dataset: Dataset, *fnames: str) -> Dataset:
    """A dataset of as many of the clips, so named."""
    clips = tuple(replace(clip, fname=fname) for fname, clip in zip(fnames, dataset.clips, strict=False))
    return replace(dataset, clips=clips)


def test_names_in_another_spelling_are_the_one_clips_that_they_fit(dataset: Dataset, tmp_path: Path) -> None:
    own = named(dataset, "d/V\u00f6gel.wav", "b.wav", "c.wav", "C.WAV", "e.wav", "f.wav")
    said = {
        "d\\Vo\u0308gel.WAV": "Purr", "b": "Purr", "c.Wav": "Purr",
        "e.wav": "Purr", "e.mp3": "remove", "f": "remove", "f.ogg": "Purr",
    }  # fmt: skip
    found = corrected(own, tmp_path, said)
    changed = {clip.fname for clip, old in zip(found.dataset.clips, own.clips, strict=True) if clip != old}
    assert changed == {"d/V\u00f6gel.wav", "b.wav", "e.wav"} and labels_of(found.dataset)["e.wav"] == ("Purr",)
    assert found.unknown == ("c.Wav", "e.mp3", "f", "f.ogg"), "several may be meant, or it is somebody else's"


@pytest.mark.parametrize("among", ["problems", "left_out"])
def test_what_is_said_of_a_file_that_yields_no_clip_is_of_no_other(
    dataset: Dataset, tmp_path: Path, among: str
) -> None:
    gone = (Problem("noisy0.mp3", "noisy", Path("noisy0.mp3"), "empty"),)
    own = replace(dataset, problems=gone) if among == "problems" else replace(dataset, left_out=gone)
    found = corrected(own, tmp_path, {"noisy0.mp3": "remove", "noisy1.mp3": "remove"})
    assert labels_of(own).keys() - labels_of(found.dataset).keys() == {"noisy1.wav"}
    assert found.unknown == ("noisy0.mp3",)


def test_a_reviewers_names_may_be_spelt_otherwise(dataset: Dataset) -> None:
    decision = Decision("noisy", "NOISY0", ("Purr",), "Anna", "changed", "1")
    found = correct(dataset, (), [(Path("review"), [decision])])
    assert (found.reviewed, labels_of(found.dataset)["noisy0.wav"]) == (1, ("Purr",))


def test_what_was_said_of_another_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    told = r"1\.json: of its 2 names \(x\.wav, y\.wav\) not one is a clip's"
    with pytest.raises(TableError, match=told):
        corrected(dataset, tmp_path, {"noisy0.wav": "Purr"}, {"x.wav": "Bark", "y.wav": "remove"})
    decision = Decision("noisy", "x.wav", ("Bark",), "Anna", "changed", "1")
    with pytest.raises(TableError, match=r"review: of its 1 name \(x\.wav\)"):
        correct(dataset, (), [(Path("review"), [decision])])
    assert correct(dataset, (), [(Path("review"), [])]).unknown == (), "nothing was decided yet"


def test_a_clip_that_somebody_heard_is_no_longer_known_to_be_bad(tiny_dataset: Path, tmp_path: Path) -> None:
    bad = ["f76181c4.wav", "77b925c2.wav", "6a1f682a.wav"]
    sound = next((tiny_dataset / "train_curated").glob("*.wav")).read_bytes()
    (tmp_path / "train_curated").mkdir()
    for name in bad:
        (tmp_path / "train_curated" / name).write_bytes(sound)
    write_csv(tmp_path / "train_curated.csv", ("fname", "labels"), ([name, "Bark,Meow"] for name in bad))
    found = corrected(layouts.read_dataset(tmp_path), tmp_path, {bad[0]: "Bark", bad[1]: "remove"}).dataset
    assert [one.fname for one in found.known_bad] == bad[2:]
    assert [one.fname for one in found.left_out] == [bad[1]]
    assert labels_of(found.without_known_bad()) == {bad[0]: ("Bark",)}


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{", "not JSON in UTF-8 (Expecting property name"),
        ("[" * 100_000, "not JSON in UTF-8"),
        ('["noisy0.wav"]', 'no corrections: it needs one object such as {"a.wav": "Bark", "b.wav": "remove"}'),
        ({"noisy0.wav": ""}, 'noisy0.wav: neither labels nor "remove": write "Bark" or "Bark,Meow"'),
        ({"noisy0.wav": " , "}, "noisy0.wav: neither labels"),
        ({"noisy0.wav": None}, "noisy0.wav: neither labels"),
        ({"noisy0.wav": ["Bark"]}, "noisy0.wav: neither labels"),
        ({"noisy0.wav": "Bark,Moew"}, "noisy0.wav: unknown label 'Moew', the nearest known is 'Meow'"),
        ({"stranger.wav": "Howl"}, "stranger.wav: unknown label 'Howl'"),
        ('{"noisy0.wav": "Bark", "noisy0.wav": "Meow"}', "noisy0.wav: stands there twice, with different corrections"),
    ],
)
def test_what_are_no_corrections_is_refused_in_one_line(
    said: Any, complaint: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=re.escape(complaint)) as caught:
        corrected(dataset, tmp_path, said)
    assert str(caught.value).startswith(f"{tmp_path / '0.json'}") and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.json: cannot be read \(No such file or directory\)"):
        correct(dataset, [tmp_path / "none.json"])
    (tmp_path / "latin.json").write_bytes('{"é.wav": "remove"}'.encode("latin-1"))
    with pytest.raises(TableError, match=r"latin\.json: not JSON in UTF-8"):
        correct(dataset, [tmp_path / "latin.json"])


def test_a_store_has_the_corrected_labels(dataset: Dataset, tmp_path: Path) -> None:
    found = corrected(dataset, tmp_path, {"noisy0.wav": "Purr", "curated1.wav": "remove"})
    corpus.prepare(found.dataset, tmp_path / "store", recipe.Features(), workers=1)
    store = corpus.Store(tmp_path / "store")
    assert {clip.fname: clip.labels for clip in store.clips} == labels_of(found.dataset)
    listed = read_rows(tmp_path / "store" / "bad_files.csv", ("fname", "problem"))
    assert [(row["fname"], row["problem"]) for row in listed] == [
        ("curated1.wav", f"{tmp_path / '0.json'}, curated1.wav: remove")
    ]


@pytest.mark.skipif(not FSDKAGGLE2019.is_dir(), reason=f"{FSDKAGGLE2019} is absent")
def test_genuine_opinions() -> None:
    """Another team's judgement of the dataset's clips; what it comes to is counted here by hand, from its JSON."""
    paths = sorted((FSDKAGGLE2019 / "opinions").glob("*.json"))
    dataset = layouts.read_dataset(FSDKAGGLE2019, without_sound=True)
    before = labels_of(dataset)
    said = {fname: text for path in paths for fname, text in json.loads(path.read_text("utf-8")).items()}
    assert len(said) == 8_817
    found = correct(dataset, paths)
    removed = {fname for fname, text in said.items() if text == "remove"}
    changed = {
        fname for fname, text in said.items() if fname not in removed and set(text.split(",")) != set(before[fname])
    }
    assert (found.removed, found.relabelled, found.unknown) == (len(removed), len(changed), ())
    assert len(found.dataset.clips) == 4_970 + 19_815 + 4_481 - len(removed)
    assert len(found.dataset.known_bad) == 6 - len(said.keys() & {bad.fname for bad in dataset.known_bad})
    after = labels_of(found.dataset)
    assert all(set(after[fname]) == set(said[fname].split(",")) for fname in changed)
