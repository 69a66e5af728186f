"""The run around the method: what it plans, notes, writes and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from accelerate.state import AcceleratorState

from conftest import tone
from earwitness import checkpoint, corpus, layouts, losses, recipe, runfolder, stages, start, training
from earwitness.cleaning import hearing
from earwitness.corpus import Store
from earwitness.errors import Diverged, RunError, StoreError
from earwitness.labels import Vocabulary
from earwitness.learner import StepMetrics
from earwitness.tagging import Tagger


@pytest.fixture
def store(tiny_store: Path) -> Store:
    """The tiny store, opened for one test alone."""
    return Store(tiny_store)


TINY = [
    "network.width=0.03125", "network.input_pooling=4", "patches.frames=64",
    "stage1.noisy=4", "stage1.ramp_steps=1", "stage1.anneal_steps=3",
    "stage2.curated=2", "stage2.noisy=3", "stage2.ramp_steps=1", "stage2.anneal_steps=3",
    "training.checkpoint_every_steps=2", "training.evaluate_every_steps=2",
]  # fmt: skip


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[StepMetrics] = []
        self.lwlraps: dict[int, float] = {}
        self.done = self.total = -1

    def begun(self, *, done: int, total: int) -> None:
        self.done, self.total = done, total

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stepped(self, metrics: StepMetrics) -> None:
        self.steps.append(metrics)

    def evaluated(self, step: int, overall: float) -> None:
        self.lwlraps[step] = overall


def run(store: Store, folder: Path, *changes: str, **how: object) -> Witness:
    witness = Witness()
    training.train(store, folder, recipe.load(None, [*TINY, *changes]), observer=witness, cpu=True, **how)  # type: ignore[arg-type]
    return witness


def without(store: Store, role: str) -> Store:
    """Returns the store as if it had no clips of a role."""
    rows = store.rows
    store.rows = lambda wanted: rows(wanted)[:0] if wanted == role else rows(wanted)  # type: ignore[method-assign]
    return store


def test_a_run_leaves_all_it_should(store: Store, tmp_path: Path) -> None:
    witness = run(store, tmp_path / "run")
    assert [step.step for step in witness.steps] == list(range(1, 9)) and (witness.done, witness.total) == (0, 8)
    assert [step.stage for step in witness.steps] == [1] * 4 + [2] * 4
    assert witness.steps[0].pseudo_labels_per_patch is None
    assert witness.steps[-1].pseudo_labels_per_patch is not None
    assert sorted(witness.lwlraps) == [2, 4, 6, 8] and all(0 < value <= 1 for value in witness.lwlraps.values())
    head = json.loads((tmp_path / "run/run.json").read_text())
    assert head["finished"] and head["steps"] == {"stage1": 4, "stage2": 4}
    assert [file.name for file in checkpoint.checkpoints(tmp_path / "run/checkpoints")] == [
        "stage2-00000002.safetensors", "stage2-00000004.safetensors",
    ]  # fmt: skip
    held_out = [
        line["held_out_lwlrap"] for line in runfolder.read_metrics(tmp_path / "run") if "held_out_lwlrap" in line
    ]
    assert held_out == [witness.lwlraps[step] for step in (2, 4, 6, 8)]
    assert list((tmp_path / "run/tensorboard").iterdir())
    assert recipe.load(tmp_path / "run/recipe.toml") == recipe.load(None, TINY)


def test_the_shipped_model_is_the_student_without_arcface(store: Store, tmp_path: Path) -> None:
    """Section 2.7: backbone and h without ArcFace's weights; its scores are those measured along the way."""
    witness = run(store, tmp_path / "run", "training.precision=float32")  # as a tagger has it, on every machine
    tensors = checkpoint.load_file(tmp_path / "run/model/model.safetensors")
    assert not [name for name in tensors if "arcface" in name or name.startswith("teacher")]
    tagger = Tagger.load(tmp_path / "run/model", device="cpu")
    rows = stages.split(store, 0).held_out
    scores = np.stack([tagger.scores_of_log_mel(store.log_mel(int(row))) for row in rows])
    assert training.lwlrap.lwlrap(store.labels[rows], scores).overall == witness.lwlraps[8]


def test_stage_1_moves_both_heads_and_the_backbone(store: Store, tmp_path: Path) -> None:
    """Rows 10 and 11."""
    settings = recipe.load(None, TINY)
    before = checkpoint.new_network(settings, classes=len(store.vocabulary)).state_dict()
    run(store, tmp_path / "run", "stage2.anneal_steps=0", "stage2.ramp_steps=0")
    after = checkpoint.load_file(checkpoint.checkpoints(tmp_path / "run/checkpoints")[-1])
    for name in (
        "backbone.stages.0.0.weight",
        "teacher.focal.weight",
        "teacher.arcface.weight",
        "student.focal.weight",
    ):
        assert not torch.equal(before[name], after[f"network.{name}"]), name


def test_the_teacher_learns_from_curated_clips_alone(store: Store, tmp_path: Path) -> None:
    """Section 2.3: other noisy labels change nothing, once the pseudo-labels replace them (stage 2 alone)."""
    only_stage_2 = ["stage1.ramp_steps=0", "stage1.anneal_steps=0"]
    run(store, tmp_path / "as-given", *only_stage_2)
    store.labels[store.rows("noisy")] = 1.0
    run(store, tmp_path / "all-ones", *only_stage_2, resume=False)
    found = [checkpoint.load_file(tmp_path / name / "model/model.safetensors") for name in ("as-given", "all-ones")]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_without_noisy_clips_it_says_so_and_does_what_can_be_done(store: Store, tmp_path: Path) -> None:
    witness = run(without(store, "noisy"), tmp_path / "run")
    assert any("stage 1 is left out" in note for note in witness.notes), witness.notes
    assert any("curated clips alone" in note for note in witness.notes)
    assert len(witness.steps) == 4 and (tmp_path / "run/model/config.json").is_file()


def test_without_curated_clips_it_learns_from_the_noisy_ones(store: Store, tmp_path: Path) -> None:
    witness = run(without(store, "curated"), tmp_path / "run")
    assert any("noisy clips alone" in note for note in witness.notes), witness.notes
    assert len(witness.steps) == 8 and not witness.lwlraps


def test_an_empty_class_is_named(store: Store, tmp_path: Path) -> None:
    store.labels[:, 1] = 0
    witness = run(store, tmp_path / "run", "stage2.anneal_steps=0")
    assert any(store.vocabulary.names[1] in note and "no clip" in note for note in witness.notes), witness.notes


def test_of_many_empty_classes_some_are_named(store: Store, tmp_path: Path) -> None:
    names = (*store.vocabulary.names, *(f"Species {number}" for number in range(300)))
    store.vocabulary, store.labels = Vocabulary(names), np.pad(store.labels, ((0, 0), (0, 300)))
    witness = run(store, tmp_path / "run", "stage2.anneal_steps=0")
    (note,) = (note for note in witness.notes if "no clip to learn from" in note)
    assert "Species 4 and 295 more: their scores" in note


def test_only_clips_that_a_stage_learns_from_are_counted(store: Store, tmp_path: Path) -> None:
    """The noisy clips lie in the store, and no stage hears them: nor can they teach a class that they alone have."""
    store.labels[store.rows("curated"), 1] = 0
    assert store.labels[store.rows("noisy"), 1].any()
    curated_alone = "stage1.ramp_steps=0", "stage1.anneal_steps=0", "stage2.method=supervised", "stage2.noisy=0"
    witness = run(store, tmp_path / "run", *curated_alone)
    learnt = len(stages.split(store, 0).curated)
    assert f"learnt from {learnt} curated and 0 noisy clips; stage 2" in (tmp_path / "run/model/README.md").read_text()
    assert any(f"no clip to learn from for {store.vocabulary.names[1]}:" in note for note in witness.notes)
    run(store, tmp_path / "on", *curated_alone, start_from=tmp_path / "run")
    assert "0 noisy clips, from the weights of another run" in (tmp_path / "on/model/README.md").read_text()


def test_divergence_stops_with_step_cause_and_checkpoint(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    focal, calls = losses.focal, iter(range(100))
    monkeypatch.setattr(losses, "focal", lambda *a, **k: focal(*a, **k) * (float("nan") if next(calls) == 7 else 1))
    with pytest.raises(Diverged) as stopped:
        run(store, tmp_path / "run")
    message = str(stopped.value)
    for word in (
        "step 4 of stage 1",
        "the student's focal loss is nan",
        "stage1-00000002.safetensors",
        "learning_rate",
    ):
        assert word in message, message
    assert checkpoint.checkpoints(tmp_path / "run/checkpoints")


@pytest.mark.parametrize(
    ("gpu", "cpu", "on_cpu"), [(True, False, False), (True, True, True), (False, False, True), (False, True, True)]
)
def test_a_run_computes_where_everything_else_does(
    gpu: bool, cpu: bool, on_cpu: bool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate by itself would take whatever there is, such as an Apple's GPU, which nothing else here takes."""

    class Asked(Exception):
        pass

    def accelerator(*, cpu: bool, **rest: object) -> None:
        raise Asked(cpu)

    monkeypatch.setattr(training, "Accelerator", accelerator)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    with pytest.raises(Asked) as asked:
        training.train(store, tmp_path / "run", recipe.load(None, TINY), cpu=cpu)
    assert asked.value.args == (on_cpu,)


def test_the_environment_does_not_choose_the_arithmetic(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accelerate launch` says so to all that it starts, and heads and losses would be in bfloat16, too."""
    found = []
    for arithmetic in ("no", "bf16"):
        AcceleratorState._reset_state(reset_partial_state=True)
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", arithmetic)
        run(store, tmp_path / arithmetic, "training.precision=float32", "stage2.ramp_steps=0", "stage2.anneal_steps=0")
        found.append(weights(tmp_path / arithmetic))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_names_in_place_of_store_and_recipe_are_refused(store: Store, tmp_path: Path) -> None:
    for wrong in ((store.path, recipe.load("rehearsal")), (store, "rehearsal")):
        with pytest.raises(TypeError, match=r"takes a corpus\.Store and a recipe\.Recipe, not "):
            training.train(wrong[0], tmp_path / "run", wrong[1])  # type: ignore[arg-type]


def test_a_store_of_one_class_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone("Bark", seconds=1.0, seed=0), 32_000)
    (tmp_path / "clips.csv").write_text("fname,labels\na.wav,Bark\n")
    corpus.prepare(layouts.read_dataset(tmp_path / "clips.csv"), tmp_path / "store", recipe.Features(), workers=1)
    with pytest.raises(StoreError, match="Bark is its only class, so there is nothing to tell it from"):
        training.train(Store(tmp_path / "store"), tmp_path / "run", recipe.load("rehearsal"))
    assert not (tmp_path / "run").exists()


def test_a_fold_may_be_a_number_of_numpys(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "run", fold=np.int64(1))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["fold"] == 1


def test_another_recipe_store_or_fold_is_refused_on_resume(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "run")
    for how, words in (({"fold": 1}, "--fold is 0, not 1"), ({"fold": None}, "--fold is 0, not all")):
        with pytest.raises(RunError, match=words):
            run(store, tmp_path / "run", resume=True, **how)
    with pytest.raises(RunError, match=r"optimizer\.learning_rate is 0\.0035, not 0\.001"):
        run(store, tmp_path / "run", "optimizer.learning_rate=0.001", resume=True)
    fingerprint = store.fingerprint
    store.fingerprint = lambda: "other"  # type: ignore[method-assign]
    with pytest.raises(RunError, match="the store's content"):
        run(store, tmp_path / "run", resume=True)
    store.fingerprint = fingerprint  # type: ignore[method-assign]
    with pytest.raises(RunError, match="--resume"):
        run(store, tmp_path / "run")
    with pytest.raises(StoreError, match=r"features\.mel_bands is 128, not 64"):
        run(store, tmp_path / "other", "features.mel_bands=64")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/file").touch()
    with pytest.raises(RunError, match="not a run"):
        run(store, tmp_path / "strange")


def test_a_run_stopped_between_steps_is_saved_there(store: Store, tmp_path: Path) -> None:
    """And goes on from there to the same bytes, also after a step that would have been no checkpoint."""

    class Impatient(Witness):
        def stepped(self, metrics: StepMetrics) -> None:
            super().stepped(metrics)
            if metrics.step == 5:
                raise KeyboardInterrupt

    settings = recipe.load(None, [*TINY, "training.checkpoint_every_steps=100"])
    training.train(store, tmp_path / "whole", settings, cpu=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(store, tmp_path / "run", settings, cpu=True, observer=Impatient())
    assert checkpoint.place_of(checkpoint.checkpoints(tmp_path / "run" / "checkpoints")[-1]) == checkpoint.Place(2, 1)
    watcher = Witness()
    training.train(store, tmp_path / "run", settings, cpu=True, observer=watcher, resume=True)
    assert watcher.done == 5
    for name in ("model/model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_is_being_written_is_left_alone(store: Store, tmp_path: Path) -> None:
    class Curious(Witness):
        def stepped(self, metrics: StepMetrics) -> None:
            before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
            with pytest.raises(RunError, match="another `earwitness train` is writing this run"):
                training.train(store, tmp_path / "run", settings, cpu=True, resume=True)
            assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before

    settings = recipe.load(None, TINY)
    training.train(store, tmp_path / "run", settings, cpu=True, observer=Curious())
    training.train(store, tmp_path / "run", settings, cpu=True, resume=True)


def test_a_finished_run_resumes_into_nothing(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "run")
    before = (tmp_path / "run/model/model.safetensors").read_bytes()
    witness = run(store, tmp_path / "run", resume=True)
    assert not witness.steps and (witness.done, witness.total) == (8, 8)
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == before


def test_a_recipe_without_steps_is_refused(store: Store, tmp_path: Path) -> None:
    none = [f"{stage}.{part}_steps=0" for stage in ("stage1", "stage2") for part in ("ramp", "anneal")]
    with pytest.raises(RunError, match="nothing to train"):
        run(store, tmp_path / "run", *none)


@pytest.mark.parametrize("changes", [["loss.kind=cross-entropy"], ["loss.kind=focal", "stage2.apart=true"],
                                     ["augmentation.reversal=false"], ["training.precision=bfloat16"],
                                     ["stage2.pseudo_labels=soft", "stage2.keep_direction=true"],
                                     ["optimizer.clip_norm=1"]])  # fmt: skip
def test_every_option_trains(store: Store, tmp_path: Path, changes: list[str]) -> None:
    witness = run(store, tmp_path / "run", *changes, "training.evaluate_every_steps=0")
    assert len(witness.steps) == 8 and np.isfinite([step.loss for step in witness.steps]).all()


def test_a_band_without_sound_trains_under_overlays(store: Store, tmp_path: Path) -> None:
    """Its deviation in the store is 0, or rounding error."""
    store.moments.std[:2] = 0.0, 1e-7
    witness = run(store, tmp_path / "run", "augmentation.overlay_chance=1", "training.evaluate_every_steps=0")
    assert len(witness.steps) == 8 and np.isfinite([step.loss for step in witness.steps]).all()


# --- starting from another run ---


def halves(store: Store, folder: Path, **how: object) -> Witness:
    """Trains stage 1 in a run of its own, then stage 2 in another that starts from it."""
    run(store, folder / "warm-up", "stage2.ramp_steps=0", "stage2.anneal_steps=0")
    return run(
        store, folder / "rest", "stage1.ramp_steps=0", "stage1.anneal_steps=0", start_from=folder / "warm-up", **how
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_file(checkpoint.checkpoints(folder / "checkpoints")[-1])


def test_two_runs_of_a_stage_each_are_one_run_of_both(store: Store, tmp_path: Path) -> None:
    """Section 2.6: weights, statistics and the optimiser's state, to the last bit."""
    witness = halves(store, tmp_path)
    run(store, tmp_path / "both")
    assert any(str(tmp_path / "warm-up/checkpoints/stage1-00000004.safetensors") in note for note in witness.notes)
    expected, found = weights(tmp_path / "both"), weights(tmp_path / "rest")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_starts_from_a_finished_model(store: Store, tmp_path: Path) -> None:
    """The student becomes the teacher too; ArcFace's matrices are drawn."""
    run(store, tmp_path / "first")
    (last,) = checkpoint.checkpoints(tmp_path / "first/checkpoints")[-1:]
    last.with_name("stage1-00000004.safetensors").write_bytes(last.read_bytes())  # one that lies about from its stage 1
    settings = recipe.load(None, TINY)
    begin = start.find(tmp_path / "first")
    assert begin.path == tmp_path / "first/model/model.safetensors"
    assert begin == start.find(tmp_path / "first/model")
    network = checkpoint.new_network(settings, classes=len(store.vocabulary))
    drawn = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start.fill(network, begin)
    found, model = network.state_dict(), checkpoint.load_file(begin.path)
    for name, tensor in found.items():
        same = drawn[name] if "arcface" in name else model[name.replace("teacher.", "student.")]
        assert torch.equal(tensor, same), name
    witness = run(store, tmp_path / "second", start_from=tmp_path / "first")
    assert len(witness.steps) == 8


def test_a_start_of_another_kind_is_refused_by_its_field(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "first", "stage2.ramp_steps=0", "stage2.anneal_steps=0")
    cases = {
        "network.backbone=residual": 'network.backbone is "vgg", not "residual"',
        "network.width=0.0625": "network.width is 0.03125, not 0.0625",
        "network.input_pooling=2": "network.input_pooling is 4, not 2",
        "augmentation.reversal=false": "augmentation.reversal is true, not false",
    }
    for change, words in cases.items():
        with pytest.raises(RunError) as refused:
            run(store, tmp_path / "second", change, start_from=tmp_path / "first")
        assert words in str(refused.value) and "\n" not in str(refused.value)
    for names, words in ((("Bark", "Howl", "Meow", "Purr"), "Child_speech"), (store.vocabulary.names[::-1], "order")):
        store.vocabulary = Vocabulary(names)
        with pytest.raises(RunError, match=f"the vocabulary is another: .*{words}"):
            run(store, tmp_path / "second", start_from=tmp_path / "first")
    assert not (tmp_path / "second").exists()


def test_weights_that_may_know_the_held_out_clips_are_named(store: Store, tmp_path: Path) -> None:
    """A run of all curated clips, of another fold, of the same one; the warm-up, which hears noisy clips alone."""
    curated_too = "stage1.curated=2"
    run(store, tmp_path / "all", fold=None)
    run(store, tmp_path / "other", curated_too, "stage2.ramp_steps=0", "stage2.anneal_steps=0", fold=1)
    run(store, tmp_path / "same")
    run(store, tmp_path / "warm-up", "stage2.ramp_steps=0", "stage2.anneal_steps=0", fold=None)
    for name, knows in (("all", True), ("all/model", True), ("other", True), ("same", False), ("warm-up", False)):
        again = tmp_path / f"from {name.replace('/', ' ')}"
        witness = run(store, again, "stage2.noisy=0", "stage2.method=supervised", start_from=tmp_path / name)
        noted = [note for note in witness.notes if "may have learnt from the clips held out" in note]
        assert bool(noted) is knows, name
        entry = json.loads((again / "run.json").read_text())["start_from"]
        assert (entry["may_know_held_out"], entry["noisy"]) == (knows, True)
        assert ("held-out lwlrap" in (again / "model/README.md").read_text()) is not knows
        opened = hearing.open_run(again, store)
        assert opened.fold == (None if knows else 0) and opened.noisy_before
    # What the weights know goes on to the run after the next.
    begin = start.find(tmp_path / "from all")
    assert begin.curated and begin.unheard is None
    assert start.find(tmp_path / "from warm-up").unheard == (store.fingerprint(), 0)


def test_noisy_kin_of_held_out_clips_are_known_to_a_warm_up_of_all(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "warm-up", "stage2.ramp_steps=0", "stage2.anneal_steps=0", fold=None)
    begin = start.find(tmp_path / "warm-up")
    assert begin.may_know(store.fingerprint(), 0, noisy_kin=True)
    assert not begin.may_know(store.fingerprint(), 0, noisy_kin=False)
    assert not begin.may_know(store.fingerprint(), None, noisy_kin=True)


def test_what_nothing_can_start_from_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("missing", "empty"):
        with pytest.raises(RunError, match=f"{folder}: neither a run nor a model"):
            run(store, tmp_path / "run", start_from=tmp_path / folder)
    run(store, tmp_path / "stopped")
    head = json.loads((tmp_path / "stopped/run.json").read_text("utf-8"))
    (tmp_path / "stopped/run.json").write_text(json.dumps(head | {"finished": False}), "utf-8")
    with pytest.raises(RunError, match="stopped: not finished"):
        run(store, tmp_path / "run", start_from=tmp_path / "stopped")
    run(store, tmp_path / "damaged")
    (tmp_path / "damaged/model/config.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        run(store, tmp_path / "run", start_from=tmp_path / "damaged")


def test_resuming_needs_the_same_start(store: Store, tmp_path: Path) -> None:
    """Killed before its first checkpoint, a run resumed starts from the same weights, or is refused."""
    halves(store, tmp_path)
    expected = weights(tmp_path / "rest")
    again, changes = tmp_path / "rest", ("stage1.ramp_steps=0", "stage1.anneal_steps=0")
    for kept in checkpoint.checkpoints(again / "checkpoints"):
        kept.unlink()
    with pytest.raises(RunError, match=r"--start-from is weights with the digest .*, not none"):
        run(store, again, *changes, resume=True)
    run(store, tmp_path / "other", "stage2.ramp_steps=0", "stage2.anneal_steps=0", "training.seed=1")
    with pytest.raises(RunError, match="--start-from is weights with the digest"):
        run(store, again, *changes, resume=True, start_from=tmp_path / "other")
    (tmp_path / "warm-up").rename(tmp_path / "elsewhere")
    run(store, again, *changes, resume=True, start_from=tmp_path / "elsewhere")
    found = weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_compiled_network_trains_and_ships(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's compiler without its code generator, which would take a minute."""
    compiled: list[object] = []

    def quickly(network: torch.nn.Module) -> None:
        compiled.append(network)
        compile_(network, backend="eager")

    compile_ = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", quickly)
    run(store, tmp_path / "run", compiled=True)
    run(store, tmp_path / "plain")
    assert len(compiled) == 1
    found, expected = weights(tmp_path / "run"), weights(tmp_path / "plain")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0.05, atol=0.05)
