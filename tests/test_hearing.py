"""What runs hear: scores against the tagger's, evidence where a sound is, resuming, and runs that won't do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness import logmel, patches, recipe, runfolder, tagging
from earwitness.cleaning import hearing
from earwitness.corpus import Store
from earwitness.errors import EarwitnessError, RunError


def test_scores_are_means_over_windows_and_both_directions(
    tiny_trained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """As a tagger's with windows half a patch apart and no further passes."""
    store = Store(tiny_store)
    run = hearing.open_run(tiny_trained_run, store)
    heard = run.hear(store, store.rows("noisy"), tmp_path / "kept")
    size = run.settings.patches.frames
    for place, row in enumerate(store.rows("noisy")):
        normal = logmel.normalise(store.log_mel(int(row)), store.moments.mean, store.moments.std)
        windows = patches.windows(normal, frames=size, hop=size // 2).astype(np.float32)
        both = [torch.from_numpy(np.ascontiguousarray(one)) for one in (windows, windows[:, ::-1])]
        for found, logits in zip(heard.heads, (run.network.teacher_logits, run.network.student_logits), strict=True):
            expected = tagging.combine(*(logits(one).numpy() for one in both), classes=len(store.vocabulary))
            np.testing.assert_allclose(found[place], expected.mean(axis=0), atol=1e-5)
    lengths = np.array([[store.length(int(row))] for row in store.rows("noisy")])
    assert (heard.first_frame >= 0).all() and (heard.end_frame > heard.first_frame).all()
    assert (heard.end_frame <= lengths).all()


def test_what_was_heard_is_not_heard_again(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    run, rows = hearing.open_run(tiny_trained_run, store), store.rows("noisy")
    first = run.hear(store, rows[:4], tmp_path / "kept")
    kept = tmp_path / "kept" / f"{run.digest}.jsonl"
    lines = kept.read_bytes()
    again = run.hear(store, rows, tmp_path / "kept")
    assert kept.read_bytes().startswith(lines)
    np.testing.assert_array_equal(again.heads[0][:4], first.heads[0])
    head, *_ = lines.splitlines(keepends=True)
    kept.write_bytes(head + json.dumps([str(rows[0]), "AAAAAA=="]).encode() + b"\n")
    np.testing.assert_array_equal(run.hear(store, rows[:4], tmp_path / "kept").heads[0], first.heads[0])


def test_a_run_hears_by_the_moments_it_learnt_by(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_store, tmp_path / "other")
    head = json.loads((other / "store.json").read_text("utf-8"))
    head["moments"]["mean"] = [mean + 20 for mean in head["moments"]["mean"]]
    (other / "store.json").write_text(json.dumps(head), "utf-8")
    found = []
    for place in (tiny_store, other):
        store = Store(place)
        run = hearing.open_run(tiny_trained_run, store)
        found.append(run.hear(store, store.rows("noisy")[:2], tmp_path / f"kept-{place.name}"))
    np.testing.assert_array_equal(found[0].heads[0], found[1].heads[0])


def test_evidence_is_the_best_stretch_and_its_neighbours() -> None:
    """One class: stretches of 60 frames every 30; the third and fourth score, the first does a little."""
    logits = np.array([[-2.0], [-9.0], [3.0], [2.0], [-9.0]], np.float32)
    first, end = hearing._evidence(logits, np.array([0, 30, 60, 90, 120]), 60, 180)
    assert (first[0], end[0]) == (60, 150)


def test_evidence_in_a_short_clips_repetitions_lies_in_the_clip() -> None:
    logits = np.array([[-9.0], [-9.0], [5.0]], np.float32)
    first, end = hearing._evidence(logits, np.array([0, 60, 120]), 60, 100)
    assert (first[0], end[0]) == (20, 80)
    first, end = hearing._evidence(logits, np.array([0, 60, 120]), 60, 30)
    assert (first[0], end[0]) == (0, 30)


def test_which_clips_are_out_of_fold(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    assert hearing.open_run(tiny_trained_run, store).fold == 0
    other = shutil.copytree(tiny_store, tmp_path / "other")
    text = (other / "clips.csv").read_text().replace(",curated,Bark,", ",curated,Purr,", 1)
    (other / "clips.csv").write_text(text)
    run = hearing.open_run(tiny_trained_run, Store(other))
    assert run.fold is None and not run.same_store


def refusal(folder: Path, store: Path) -> str:
    with pytest.raises(EarwitnessError) as caught:
        hearing.open_run(folder, Store(store))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_runs_that_will_not_do(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert "a shipped model, which has no teacher" in refusal(tiny_trained_run / "model", tiny_store)
    assert "not a run" in refusal(tmp_path, tiny_store)
    damaged = shutil.copytree(tiny_trained_run, tmp_path / "damaged")
    head = json.loads((damaged / "run.json").read_text())
    (damaged / "run.json").write_text(json.dumps(head | {"finished": False}))
    assert "not finished" in refusal(damaged, tiny_store)
    (damaged / "run.json").write_text(json.dumps(head | {"classes": ["Bark", "Moo"]}))
    assert "the vocabulary is another" in refusal(damaged, tiny_store)
    for nonsense in ({"classes": 3}, {"classes": [1, 2]}, {"fold": "0"}, {"store_fingerprint": None}):
        (damaged / "run.json").write_text(json.dumps(head | nonsense))
        assert f"run.json: damaged ({next(iter(nonsense))})" in refusal(damaged, tiny_store)
    (damaged / "run.json").write_text("{")
    assert "not readable" in refusal(damaged, tiny_store)
    (damaged / "run.json").write_text(json.dumps(head))
    newest = sorted((damaged / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert newest.name in refusal(damaged, tiny_store)


def test_a_journal_in_use_is_refused(tiny_trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    from earwitness import journal

    store = Store(tiny_store)
    run = hearing.open_run(tiny_trained_run, store)
    with (
        journal.opened(tmp_path / "kept" / f"{run.digest}.jsonl", "x", busy=RunError("")),
        pytest.raises(RunError, match="another `earwitness clean`"),
    ):
        run.hear(store, store.rows("noisy"), tmp_path / "kept")


def test_doubled_classes_are_averaged(tiny_trained_run: Path) -> None:
    """The rehearsal is the report's: its classes are doubled, so the tests above go both ways."""
    assert recipe.load(tiny_trained_run / "recipe.toml").augmentation.reversal


def test_what_share_of_given_labels_is_right_is_what_was_found_before_learning(
    tiny_store: Path, tiny_trained_run: Path, tmp_path: Path
) -> None:
    """Not what was believed later, nor after a first stage of noisy clips or a start from weights of one, nor hard
    pseudo-labels of patches, nor labels by what is heard alone."""
    from earwitness import training

    store = Store(tiny_store)
    assert hearing.open_run(tiny_trained_run, store).given_right is None
    curated_first = ["stage1.curated=8", "stage1.noisy=0"]
    for name, first, begun in (
        ("sets", curated_first, None), ("heard", curated_first, None), ("sets-after-noisy", [], None),
        ("sets-begun", curated_first, tiny_trained_run / "model"),
    ):  # fmt: skip
        believe = name.partition("-")[0]
        changes = ["stage2.pseudo_labels=clip", f"stage2.believe={believe}", "stage2.relabel_every_steps=1", *first]
        folder = tmp_path / name
        training.train(store, folder, recipe.load("rehearsal", changes), fold=0, cpu=True, start_from=begun)
        told = [line["given_labels_right"] for line in runfolder.read_metrics(folder) if "given_labels_right" in line]
        assert len(told) > 1 and told[0] != told[-1]
        assert hearing.open_run(folder, store).given_right == (told[0] if name == "sets" else None), name
    (tmp_path / "sets" / "metrics.jsonl").write_text("no JSON\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl: damaged"):
        hearing.open_run(tmp_path / "sets", store)


def test_what_share_is_right_is_told_by_the_stage_that_was_carried_out(tiny_store: Path, tmp_path: Path) -> None:
    """A first stage of whole-clip labels that no second one follows; one by masks, before none of whole clips."""
    from earwitness import training

    alone = ["stage1.method=teacher-student", "stage1.curated=4", "stage2.ramp_steps=0", "stage2.anneal_steps=0"]
    masked = ["loss.kind=cross-entropy", "stage1.pseudo_labels=masked", "stage2.pseudo_labels=clip"]
    by_clips = ["stage1.pseudo_labels=clip", "stage1.relabel_every_steps=1"]
    for name, changes in (("clip", by_clips), ("masked", masked)):
        settings = recipe.load("rehearsal", [*alone, *changes])
        training.train(Store(tiny_store), tmp_path / name, settings, fold=0, cpu=True)
        found = hearing.open_run(tmp_path / name, Store(tiny_store)).given_right
        assert (found is not None and 0 < found < 1) if name == "clip" else found is None
