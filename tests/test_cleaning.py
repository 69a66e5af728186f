"""Verdicts and the files of a cleaning, from beliefs made by hand; the verb end to end, and its refusals."""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import RATE_HZ, Earwitness, tone
from earwitness import audio, corpus, files, layouts, recipe, tables
from earwitness.calibration import Calibration
from earwitness.cleaning import clean, judging, originals, page, summary, verdicts
from earwitness.cleaning.judging import Judged
from earwitness.cleaning.verdicts import Limits, Verdict
from earwitness.cleaning.watcher import UNWATCHED
from earwitness.corpus import Store
from earwitness.corrections import correct
from earwitness.errors import EarwitnessError
from earwitness.reviewing import decision_files
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decision import Decision
from earwitness.reviewing.decisions import FILE_NAME, Decisions


def beliefs(store: Store, probability: np.ndarray) -> Judged:
    """What is believed of all curated and noisy clips of a store, the evidence from frame 64 to 128 everywhere."""
    rows = np.concatenate([store.rows("curated"), store.rows("noisy")])
    noisy = np.array([store.clips[row].role == "noisy" for row in rows])
    flat = np.ones(probability.shape)
    return Judged(
        rows, noisy, store.labels[rows], probability, probability, 64 * flat, 128 * flat, noisy, None,
        np.zeros((4, 4)), Calibration(np.ones(2), 0.0), 0.5, np.linspace(0, 1, len(rows)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "probability", "expected"),
    [(True, 0.8, "keep"), (True, 0.5, "unsure"), (True, 0.1, "drop"), (False, 0.8, "add"), (False, 0.5, "unsure"),
     (False, 0.1, "unsure")],
)  # fmt: skip
def test_verdicts_by_hand(given: bool, probability: float, expected: str) -> None:
    assert verdicts.verdict(given, probability, Limits(sure=0.75)) == expected


def test_given_tags_and_likely_ones_are_listed(tiny_store: Path) -> None:
    store = Store(tiny_store)
    p = np.full((20, 4), 0.01)
    p[15, 2] = 0.3
    found = verdicts.verdicts(beliefs(store, p), store, np.full(20, 0.5), Limits(least=0.05))
    listed = {(one.place, one.column) for one in found}
    assert listed == {(int(place), int(column)) for place, column in np.argwhere(store.labels[:20] > 0)} | {(15, 2)}
    # 64 frames a second, and half a second that was cut off.
    assert {(one.start_seconds, one.end_seconds) for one in found} == {(1.5, 2.5)}


def test_cleaned_labels_are_those_believed() -> None:
    def one(kind: str, p: float) -> Verdict:
        return Verdict(0, 0, 0, 1, kind, p, p, 0.0, 1.0)

    assert verdicts.is_believed(one("keep", 0.9)) and verdicts.is_believed(one("add", 0.9))
    assert verdicts.is_believed(one("unsure", 0.6)) and not verdicts.is_believed(one("unsure", 0.4))
    assert not verdicts.is_believed(one("drop", 0.1))


def test_rates_of_certain_beliefs() -> None:
    """Of four given, one is wrong; of four truly there, one was not given: no doubt, hardly an interval."""
    p = np.array([0.9999, 0.9999, 0.9999, 0.0001, 0.9999, 0.0001])
    given = np.array([True, True, True, True, False, False])
    wrong, missing = summary.rates(np.random.default_rng(0), p, given, shift_deviation=0.1)
    assert wrong.rate == pytest.approx(0.25, abs=0.01) and missing.rate == pytest.approx(0.25, abs=0.01)
    assert wrong.high - wrong.low < 0.01


def test_the_cut_is_undone(tmp_path: Path) -> None:
    """Half a second of silence before the sound: the evidence's seconds are those of the file."""
    sound = np.concatenate([np.zeros(RATE_HZ // 2, np.float32), tone("Bark", seconds=1.0, seed=0)])
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE_HZ)
    (tmp_path / "clips.csv").write_text("fname,labels\na.wav,Bark\nb.wav,Bark\n")
    corpus.prepare(layouts.read_dataset(tmp_path / "clips.csv"), tmp_path / "store", recipe.Features(), workers=1)
    store = Store(tmp_path / "store")
    found = originals.trimmed_seconds(
        store, np.array([0, 1]), originals.require_sounds(store, None), tmp_path / "kept", UNWATCHED
    )
    np.testing.assert_allclose(found.seconds, 0.5, atol=0.04)


def test_a_store_tells_what_was_cut_off_and_one_of_before_is_decoded_for_it(
    own_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new", "old"):
        corpus.prepare(layouts.read_dataset(own_dataset), tmp_path / name, recipe.Features(), workers=1)
    journal = tmp_path / "old" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    assert all(line.pop("trimmed_samples") >= 0 for line in lines)
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    new, old = Store(tmp_path / "new"), Store(tmp_path / "old")
    assert new.fingerprint() == old.fingerprint()
    report = corpus.prepare(layouts.read_dataset(own_dataset), old.path, recipe.Features(), workers=1)
    assert report.decoded == 0

    decode, decoded = audio.blocks, []

    def counted(path: Path, **options: int) -> Iterator[np.ndarray]:
        decoded.append(path)
        return decode(path, **options)

    monkeypatch.setattr(audio, "blocks", counted)

    def cut(store: Store, name: str) -> np.ndarray:
        rows, sounds = store.rows("curated"), originals.require_sounds(store, None)
        return originals.trimmed_seconds(store, rows, sounds, tmp_path / name, UNWATCHED).seconds

    told = cut(new, "told")
    assert not decoded
    np.testing.assert_array_equal(cut(old, "found"), told)
    assert len(decoded) == 10
    changed = new.clips[int(new.rows("curated")[0])].path
    os.utime(changed, (1, 1))
    np.testing.assert_array_equal(cut(new, "again"), told)
    assert decoded[10:] == [changed]


@pytest.fixture(scope="module")
def cleaned(tiny_trained_run: Path, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `clean` makes of the tiny run; not to be written to."""
    out = tmp_path_factory.mktemp("clean") / "out"
    carry_out(tiny_trained_run, tiny_store, out)
    return out


def carry_out(run: Path, store: Path, out: Path, *, audio_root: Path | None = None, page: bool = True) -> dict:
    return clean.clean([run], Store(store), out, audio_root=audio_root, page=page)


def test_every_given_tag_has_its_verdict(cleaned: Path, tiny_store: Path) -> None:
    rows = list(csv.DictReader((cleaned / "verdicts.csv").open(encoding="utf-8")))
    assert tuple(rows[0]) == review_folder.COLUMNS
    store = Store(tiny_store)
    wanted = {(clip.fname, label) for clip in store.clips if clip.role != "test" for label in clip.labels}
    assert {(row["fname"], row["label"]) for row in rows if row["given"] == "1"} == wanted
    for row in rows:
        assert row["verdict"] in {"keep", "drop", "add", "unsure"} and 0 <= float(row["probability"]) <= 1
        assert 0 <= float(row["start_seconds"]) < float(row["end_seconds"]) <= 4.1 and Path(row["path"]).is_file()


def test_a_row_a_clip_says_what_to_do_with_it(cleaned: Path, tiny_store: Path) -> None:
    """Of every clip that was judged, by the verdicts on its tags."""
    of_tags: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for one in tables.read_rows(cleaned / "verdicts.csv", ()):
        of_tags.setdefault((one["role"], one["fname"]), {})[one["label"]] = one
    rows = tables.read_rows(cleaned / "clips.xlsx", ())
    assert [(row["role"], row["fname"]) for row in rows] == list(of_tags)
    labels = {(clip.role, clip.fname): ",".join(clip.labels) for clip in Store(tiny_store).clips}
    listed = {
        row["known_as"]: row["labels"]
        for row in tables.read_rows(cleaned / "cleaned.csv", ())
        if row["split"] == "noisy"
    }
    for row in rows:
        assert row["given"] == labels[row["role"], row["fname"]]
        given, believed = ({name for name in row[what].split(",") if name} for what in ("given", "believed"))
        tags = {name: tag for name, tag in of_tags[row["role"], row["fname"]].items() if name in given | believed}
        unsure = any(tag["verdict"] == "unsure" for tag in tags.values())
        assert row["verdict"] == ("change" if given != believed else "unsure" if unsure else "keep")
        if row["role"] == "noisy":
            assert row["believed"] == listed.get(row["fname"], "")
        right = [abs(float(tag["probability"]) - (name not in believed)) for name, tag in tags.items()]
        assert float(row["probability"]) == pytest.approx(min(right), abs=1e-3)
        assert row["verdict"] != "keep" or float(row["probability"]) >= 0.7499
    of_noisy = [row for row in rows if row["role"] == "noisy"]
    summary = json.loads((cleaned / "summary.json").read_text("utf-8"))
    assert summary["noisy_clips_relabelled"] == sum(row["verdict"] == "change" for row in of_noisy)


def test_the_cleaned_list_can_be_prepared(cleaned: Path, tiny_store: Path, tmp_path: Path) -> None:
    dataset = layouts.read_dataset(cleaned / "cleaned.csv")
    assert not dataset.problems
    store = Store(tiny_store)
    for role in ("curated", "test"):
        labels = {str(clip.path): set(clip.labels) for clip in store.clips if clip.role == role}
        assert {str(clip.path): set(clip.labels) for clip in dataset.by_role(role)} == labels
    report = corpus.prepare(dataset, tmp_path / "again", recipe.Features(), workers=1)
    assert report.clips["curated"] == 10


def test_a_class_that_is_believed_of_no_clip_stays_in_the_vocabulary(
    cleaned: Path, tiny_store: Path, tmp_path: Path
) -> None:
    names = Store(tiny_store).vocabulary.names
    rows = tables.read_rows(cleaned / "cleaned.csv", ("fname", "labels", "split"))
    without = [(row["fname"], row["labels"], row["split"]) for row in rows if names[0] not in row["labels"].split(",")]
    tables.write_csv(tmp_path / "cleaned.csv", ("fname", "labels", "split"), without)
    assert layouts.read_dataset(tmp_path / "cleaned.csv").vocabulary.names == names[1:]
    shutil.copy(cleaned / "vocabulary.csv", tmp_path)
    assert layouts.read_dataset(tmp_path / "cleaned.csv").vocabulary.names == names


def test_the_cleaned_list_keeps_recordings(cleaned: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert (cleaned / "cleaned.csv").read_text().startswith("fname,labels,split,known_as,usage\n")
    store = Store(tiny_store)
    store.clips = (replace(store.clips[0], recordings=("x", "y")), *store.clips[1:])
    verdicts.write_cleaned(tmp_path / "cleaned.csv", [], store, originals.require_sounds(store, None))
    clips = layouts.read_dataset(tmp_path / "cleaned.csv").clips
    assert [clip.recordings for clip in clips if clip.recordings] == [("x", "y")]
    assert clips[0].path == store.clips[0].path


def test_the_cleaned_list_keeps_names_and_the_parts_of_the_test_set(cleaned: Path, tiny_store: Path) -> None:
    store = Store(tiny_store)
    known = {clip.path: (clip.fname, clip.role, clip.usage) for clip in store.clips}
    clips = layouts.read_dataset(cleaned / "cleaned.csv").clips
    assert {clip.usage for clip in clips} == {None, "Public", "Private"}
    assert [(clip.fname, clip.role, clip.usage) for clip in clips] == [known[clip.path] for clip in clips]


def test_a_clip_left_without_a_label_gets_a_reviewers(cleaned: Path, tiny_store: Path, tmp_path: Path) -> None:
    """Nothing that somebody heard is lost; until then the clip is not used."""
    store = Store(tiny_store)
    left = verdicts.write_cleaned(tmp_path / "cleaned.csv", [], store, originals.require_sounds(store, None))
    noisy = [store.clips[row].fname for row in store.rows("noisy")]
    assert left == noisy
    dataset = layouts.read_dataset(tmp_path / "cleaned.csv")
    assert not dataset.by_role("noisy") and [clip.fname for clip in dataset.unlabelled] == noisy
    assert any(f"{len(noisy)} clips without a label: not used" in remark for remark in dataset.remarks)
    said = [
        Decision("noisy", noisy[0], ("Bark", "Meow"), "Anna", "changed", "2026-01-01T00:00:00.000000Z"),
        Decision("noisy", noisy[1], (), "Anna", "nothing", "2026-01-01T00:00:00.000000Z"),
    ]
    found = correct(dataset, [], [(tmp_path, said)])
    assert (found.reviewed, found.nothing_heard, found.unknown) == (1, 1, ())
    (clip,) = [clip for clip in found.dataset.clips if clip.fname == noisy[0]]
    assert (clip.role, clip.labels) == ("curated", ("Bark", "Meow"))
    assert [clip.fname for clip in found.dataset.unlabelled] == noisy[2:]
    assert len(found.dataset.clips) == len(dataset.clips) + 1


def test_the_ear_counts_where_there_is_one_and_the_cleaned_list_elsewhere(
    cleaned: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    """Decisions in every form, and corrections, speak of the store's names; cleaned.csv names files."""
    listed = {clip.fname: clip for clip in layouts.read_dataset(cleaned / "cleaned.csv").by_role("noisy")}
    heard, corrected, *others = sorted(listed)
    folder = review_folder.read(cleaned)
    said = Decision("noisy", heard, ("Bark", "Meow"), "Anna", "changed", "2026-01-01T00:00:00.000000Z")
    kept = Decisions(tmp_path / FILE_NAME, folder.fingerprint)
    kept.add(said)
    kept.close()
    for name in ("said.csv", "said.json"):
        decision_files.write(tmp_path / name, [said], folder)
    (tmp_path / "corrections.json").write_text(json.dumps({corrected: "Purr,Bark,Meow"}))
    for form in (".", FILE_NAME, "said.csv", "said.json"):
        answer = earwitness(
            "prepare", cleaned / "cleaned.csv", "--out", tmp_path / "store", "--workers", 1,
            "--decisions", tmp_path / form, "--corrections", tmp_path / "corrections.json",
        )  # fmt: skip
        assert answer.status == 0 and "no clip of the dataset" not in answer.out + answer.err
        clips = {clip.fname: clip for clip in Store(tmp_path / "store").clips}
        assert (clips[heard].role, set(clips[heard].labels)) == ("curated", {"Bark", "Meow"})
        assert (clips[corrected].role, set(clips[corrected].labels)) == ("noisy", {"Purr", "Bark", "Meow"})
        assert all(clips[fname].labels == listed[fname].labels for fname in others)


@pytest.mark.parametrize("form", [".", "said.csv", "said.json"])
def test_a_reviewers_labels_come_to_the_clip_without_any_and_not_to_its_namesake(
    form: str, cleaned: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    store = Store(tiny_store)
    verdicts.write_cleaned(tmp_path / "cleaned.csv", [], store, originals.require_sounds(store, None))
    left, namesake = (store.clips[store.rows(role)[0]] for role in ("noisy", "curated"))
    text = (tmp_path / "cleaned.csv").read_text("utf-8")
    assert f",curated,{namesake.fname}," in text
    (tmp_path / "cleaned.csv").write_text(text.replace(f",curated,{namesake.fname},", f",curated,{left.fname},"))
    folder = review_folder.read(cleaned)
    said = Decision("noisy", left.fname, ("Bark", "Meow"), "Anna", "changed", "2026-01-01T00:00:00.000000Z")
    kept = Decisions(tmp_path / FILE_NAME, folder.fingerprint)
    kept.add(said)
    kept.close()
    if form != ".":
        decision_files.write(tmp_path / form, [said], folder)
    answer = earwitness(
        "prepare", tmp_path / "cleaned.csv", "--out", tmp_path / "store", "--workers", 1, "--decisions", tmp_path / form
    )
    assert answer.status == 0
    clips = {clip.path: (clip.role, set(clip.labels)) for clip in Store(tmp_path / "store").clips}
    assert clips[left.path] == ("curated", {"Bark", "Meow"})
    assert clips[namesake.path] == ("curated", set(namesake.labels))


def test_no_pass_over_the_store_maps_it(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """What is mapped counts as memory, of which hours of sound would need gigabytes; the page looks at few clips."""
    store = Store(tiny_store)
    del store._frames
    clean.clean([tiny_trained_run], store, tmp_path / "out", limits=Limits(), audio_root=None, page=False,
                watcher=UNWATCHED)  # fmt: skip
    assert (tmp_path / "out" / "verdicts.csv").read_bytes() == (cleaned / "verdicts.csv").read_bytes()


def test_the_summary_has_rates_with_intervals(cleaned: Path, tiny_store: Path) -> None:
    summary = json.loads((cleaned / "summary.json").read_text("utf-8"))
    store = Store(tiny_store)
    assert (summary["format"], summary["fingerprint"]) == (1, store.fingerprint())
    assert summary["classes"] == list(store.vocabulary.names) == list(summary["per_class"])
    assert summary["clips"] == {"curated": 10, "noisy": 10, "curated_out_of_fold": 2}
    rows = list(csv.DictReader((cleaned / "verdicts.csv").open(encoding="utf-8")))
    for role, count in summary["unsure_not_given"].items():
        assert count == sum((row["role"], row["given"], row["verdict"]) == (role, "0", "unsure") for row in rows)
    for one in summary["per_class"].values():
        assert one["wrong"]["low"] <= one["wrong"]["rate"] <= one["wrong"]["high"]


def test_run_again_it_comes_out_the_same(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """Killed after some clips: with half of what was heard, the same files."""
    out = tmp_path / "out"
    shutil.copytree(cleaned / "heard", out / "heard")
    for kept in (out / "heard").iterdir():
        content = kept.read_bytes()
        kept.write_bytes(content[: len(content) // 2])
    carry_out(tiny_trained_run, tiny_store, out, page=False)
    for name in ("verdicts.csv", "cleaned.csv", "duplicates.csv"):
        assert (out / name).read_bytes() == (cleaned / name).read_bytes()


def test_the_page_stands_alone(cleaned: Path, tiny_store: Path) -> None:
    text = (cleaned / "report.html").read_text("utf-8")
    assert "data:audio/mpeg;base64," in text and "data:image/jpeg;base64," in text
    assert "http" not in text.replace("http-equiv", "") and 'src="/' not in text
    for name in Store(tiny_store).vocabulary.names:
        assert f">{name}" in text


def test_a_page_of_many_classes_folds_and_is_searched_and_says_what_found_no_room(
    tiny_trained_run: Path, tiny_store: Path, cleaned: Path, tmp_path: Path, monkeypatch
) -> None:
    few = (cleaned / "report.html").read_text("utf-8")
    monkeypatch.setattr(page, "_MOST_CLASSES", 1)
    monkeypatch.setattr(page, "_MOST_BYTES", 1)
    carry_out(tiny_trained_run, tiny_store, tmp_path / "out")
    many = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "3 more classes" in many and 'id="find"' in many and "found no room" in many
    assert "more classes" not in few and 'id="find"' not in few and "found no room" not in few
    assert many.count('class="card"') < few.count('class="card"')
    for text in (few, many):
        assert len(re.findall('class="row"', text)) == 4 == len(re.findall("<details id=", text))


def test_moved_sounds_are_asked_for_and_found(tiny_trained_run: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    """A store whose clips' paths lead nowhere any more."""
    store = shutil.copytree(tiny_dataset.parent / "store", tmp_path / "store")
    text = (store / "clips.csv").read_text("utf-8")
    (store / "clips.csv").write_text(text.replace(str(tiny_dataset), "/gone/dataset"), "utf-8")
    with pytest.raises(EarwitnessError, match=r"no such file \(all 26 clips .*--audio-root"):
        carry_out(tiny_trained_run, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(EarwitnessError, match="nor is it below"):
        carry_out(tiny_trained_run, store, tmp_path / "out", audio_root=tmp_path)
    carry_out(tiny_trained_run, store, tmp_path / "out", audio_root=tiny_dataset, page=False)
    assert str(tiny_dataset) in (tmp_path / "out" / "verdicts.csv").read_text("utf-8")


def test_a_sound_that_is_gone_or_broken_costs_its_seconds_alone(
    tiny_trained_run: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_dataset.parent / "store", tmp_path / "store")
    moved = shutil.copytree(tiny_dataset, tmp_path / "moved")
    text = (store / "clips.csv").read_text("utf-8")
    (store / "clips.csv").write_text(text.replace(str(tiny_dataset), str(moved)), "utf-8")
    gone, broken = (next(moved.glob(f"*/noisy{number}.*")) for number in (1, 3))
    gone.unlink()
    broken.write_bytes(b"no sound")

    out = tmp_path / "out"
    problems = clean.clean([tiny_trained_run], Store(store), out).problems
    assert [problem.path for problem in problems] == [gone, broken]
    rows = list(csv.DictReader((out / "verdicts.csv").open(encoding="utf-8")))
    mute = {(row["fname"], row["end_seconds"]) for row in rows if not row["start_seconds"]}
    assert mute == {("noisy1.wav", ""), ("noisy3.wav", "")}
    assert len({row["fname"] for row in rows}) == 20 and all(0 <= float(row["probability"]) <= 1 for row in rows)
    assert (out / "report.html").is_file()
    found, lost = review_folder.find_sounds(review_folder.read(out).clips, None)
    assert [clip.fname for clip in lost] == ["noisy1.wav"] and len(found) == 19

    (lost_since := next(moved.glob("*/noisy5.*"))).unlink()
    problems = clean.clean([tiny_trained_run], Store(store), out).problems
    assert [problem.path for problem in problems] == [gone, broken, lost_since], "whatever an earlier call found"


def test_the_verb_says_what_it_found_and_wrote(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    out = tmp_path / "out"
    shutil.copytree(cleaned / "heard", out / "heard")
    answer = earwitness("clean", tiny_trained_run, tiny_store, "--out", out, "--no-page")
    assert answer.status == 0
    counts = json.loads((out / "summary.json").read_text("utf-8"))["verdicts"]["noisy"]
    (noisy,) = [line for line in answer.out.splitlines() if line.startswith("noisy: of the tags given ")]
    assert sum(map(int, re.findall(r"\d+", noisy))) == sum(counts.values())
    assert answer.out.splitlines()[-2:] == [
        f"{out}: verdicts.csv, clips.xlsx, cleaned.csv, duplicates.csv, summary.json",
        f"next: earwitness review {out}",
    ]
    assert not (out / "report.html").exists()


def test_folders_of_something_else_are_left_alone(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(EarwitnessError, match=r"holds something else \(letter.txt\)"):
        carry_out(tiny_trained_run, tiny_store, tmp_path)
    out = shutil.copytree(cleaned, tmp_path / "out")
    content = json.loads((out / "summary.json").read_text())
    (out / "summary.json").write_text(json.dumps(content | {"fingerprint": "other"}))
    with pytest.raises(EarwitnessError, match="made from another store"):
        carry_out(tiny_trained_run, tiny_store, out)
    with pytest.raises(EarwitnessError, match="give each once"):
        clean.clean([tiny_trained_run] * 2, Store(tiny_store), tmp_path / "new")


def test_a_sound_that_cannot_be_read_any_more_has_no_seconds(
    tiny_trained_run: Path, tiny_store: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    """All else is as it would be; once it can be read, another call finds its seconds."""
    moved = shutil.copytree(tiny_dataset, tmp_path / "dataset")
    store = shutil.copytree(tiny_store, tmp_path / "store")
    text = (store / "clips.csv").read_text("utf-8")
    (store / "clips.csv").write_text(text.replace(str(tiny_dataset), str(moved)), "utf-8")
    bad = next(clip.path for clip in Store(store).clips if clip.fname == "noisy3.wav")
    whole = bad.read_bytes()
    bad.write_bytes(b"")
    arguments = ("clean", tiny_trained_run, store, "--out", tmp_path / "out")
    status, _, err = earwitness(*arguments)
    assert status == 1 and f"{bad}: the file is empty" in err
    assert err.endswith("sound files that cannot be read any more; their tags have no seconds: 1\n")
    for clip in review_folder.read(tmp_path / "out").clips:
        known = [tag.start_seconds is not None and tag.end_seconds is not None for tag in clip.tags]
        assert known == [clip.fname != "noisy3.wav"] * len(known)
    bad.write_bytes(whole)
    assert earwitness(*arguments)[::2] == (0, "")
    carry_out(tiny_trained_run, store, tmp_path / "other")
    found = [(folder / "verdicts.csv").read_bytes() for folder in (tmp_path / "out", tmp_path / "other")]
    assert found[0] == found[1]


def test_one_class_alone_cannot_be_judged(tiny_trained_run: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    soundfile.write(tmp_path / "a.wav", tone("Bark", seconds=1.0, seed=0), RATE_HZ)
    (tmp_path / "clips.csv").write_text("fname,labels\na.wav,Bark\n")
    corpus.prepare(layouts.read_dataset(tmp_path / "clips.csv"), tmp_path / "store", recipe.Features(), workers=1)
    status, _, err = earwitness("clean", tiny_trained_run, tmp_path / "store", "--out", tmp_path / "out")
    assert status == 2 and "Bark is its only class, so there is nothing to tell it from" in err
    assert err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_what_was_heard_in_another_store_is_not_lost(
    tiny_trained_run: Path, tiny_store: Path, cleaned: Path, tmp_path: Path
) -> None:
    """Stopped before summary.json was there, then given a store with other labels: its journals would begin anew."""
    out = tmp_path / "out"
    shutil.copytree(cleaned / "heard", out / "heard")
    before = {path.name: path.read_bytes() for path in (out / "heard").iterdir()}
    other = shutil.copytree(tiny_store, tmp_path / "store")
    text = (other / "clips.csv").read_text("utf-8")
    (other / "clips.csv").write_text(text.replace("noisy0.wav,noisy,Bark", "noisy0.wav,noisy,Meow"), "utf-8")
    with pytest.raises(EarwitnessError, match=r"keeps what was heard in another store.*give another --out"):
        carry_out(tiny_trained_run, other, out)
    assert {path.name: path.read_bytes() for path in (out / "heard").iterdir()} == before


def test_without_a_run_nothing_is_judged(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    for none in ([], tiny_trained_run, str(tiny_trained_run)):
        with pytest.raises(ValueError, match="runs is a list of at least one run's folder"):
            clean.clean(none, Store(tiny_store), tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no run to judge by"):
        judging.judge([], Store(tiny_store), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_call_at_a_time_writes_into_a_folder(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "heard").mkdir(parents=True)
    held = files.lock(tmp_path / "out" / "heard" / "lock", busy=ValueError())
    with held, pytest.raises(EarwitnessError, match="another `earwitness clean` is writing there; wait for it"):
        carry_out(tiny_trained_run, tiny_store, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["heard", "lock"]


def test_without_a_page_none_is_left_from_before(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    """Nor what a killed call had half written."""
    out = shutil.copytree(cleaned, tmp_path / "out")
    (out / ".part-0123456789abcdef.html").write_text("<!doctype")
    status, said, _ = earwitness("clean", tiny_trained_run, tiny_store, "--out", out, "--no-page")
    assert status == 0 and f"{out}: verdicts.csv, clips.xlsx, cleaned.csv, duplicates.csv, summary.json\n" in said
    assert {path.name for path in out.iterdir()} == {path.name for path in cleaned.iterdir()} - {"report.html"}
    assert "report.html" in earwitness("clean", tiny_trained_run, tiny_store, "--out", out)[1]


def test_a_full_disk_loses_nothing(
    cleaned: Path, tiny_trained_run: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when a file shall be moved to its place: the old one is whole, and a later call goes through."""
    out = shutil.copytree(cleaned, tmp_path / "out")
    before = (out / "verdicts.csv").read_bytes()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files, "_flush_to_disk", full)
        with pytest.raises(OSError, match="No space left") as caught:
            carry_out(tiny_trained_run, tiny_store, out, page=False)
    assert caught.value.filename == str(out / "verdicts.csv")
    assert (out / "verdicts.csv").read_bytes() == before
    assert not list(out.glob(".part-*"))
    carry_out(tiny_trained_run, tiny_store, out, page=False)
