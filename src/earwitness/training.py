"""Training: stage 1 on the noisy set, stage 2 on both, one loop; killed anywhere, it goes on as if it never stopped.

Report: section 2.6. A run is a folder:

    recipe.toml    the resolved recipe          metrics.jsonl  one line every few steps and every evaluation
    run.json       store, fold, versions        tensorboard/   the same for TensorBoard
    checkpoints/   the newest two               model/         what `tag` opens, written at the end
"""

import json
import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from . import (
    __version__,
    batches,
    checkpoint,
    corpus,
    files,
    losses,
    lwlrap,
    pseudolabels,
    recipe,
    relabelling,
    schedule,
    start,
    tagging,
    windowed,
)
from .checkpoint import Place
from .errors import Diverged, RunError
from .folds import FOLDS
from .network import fast_in_bfloat16

RUN_FORMAT = 1
_LOG_EVERY_STEPS = 10


@dataclass(frozen=True)
class StepMetrics:
    """What one step showed. `step` counts over the whole run, `stage_step` within the stage, both from 1."""

    step: int
    stage: int
    stage_step: int
    loss: float
    teacher_loss: float
    student_loss: float
    learning_rate: float
    pseudo_labels_per_patch: float | None


class Observer(Protocol):
    """Whoever watches a run; the command line draws progress bars with it."""

    def begun(self, *, done: int, total: int) -> None:
        """The run starts, or goes on, with `done` of `total` steps behind it."""

    def note(self, text: str) -> None:
        """Something a user should know about the run."""

    def stepped(self, metrics: StepMetrics) -> None:
        """A step is done."""

    def evaluated(self, step: int, overall: float) -> None:
        """The held-out fold was tagged: lwlrap after `step` steps of the run."""


class Split(NamedTuple):
    """Rows of the store: curated and noisy clips to learn from, curated clips held out."""

    curated: NDArray[np.int64]
    noisy: NDArray[np.int64]
    held_out: NDArray[np.int64]


class PlannedStage(NamedTuple):
    """A stage as it will be carried out: `number` 1 or 2, steps to ramp up, steps to anneal."""

    number: int
    settings: recipe.Stage
    ramp_steps: int
    anneal_steps: int

    @property
    def steps(self) -> int:
        return self.ramp_steps + self.anneal_steps


def split(store: corpus.Store, fold: int | None) -> Split:
    """Returns which clips to learn from and which to hold out: `fold` of the store's five, None for none.

    RunError where there is no such fold.
    """
    if fold is not None and fold not in range(FOLDS):
        raise RunError(f"fold {fold}: there is none; give a number from 0 to {FOLDS - 1}, or all to hold nothing out")
    curated = store.rows("curated")
    held_out = store.folds[curated] == fold if fold is not None else np.zeros(len(curated), dtype=bool)
    return Split(curated[~held_out], store.rows("noisy"), curated[held_out])


def plan(settings: recipe.Recipe, chosen: Split, *, world: int = 1) -> tuple[tuple[PlannedStage, ...], list[str]]:
    """Returns the stages to carry out, and a note for each that had to be changed for want of clips."""
    planned: list[PlannedStage] = []
    notes: list[str] = []
    for number, stage in enumerate(settings.stages, start=1):
        if sum(stage.lengths(1)) == 0:
            continue
        possible = _possible(stage, curated=len(chosen.curated), noisy=len(chosen.noisy))
        if possible is None:
            notes.append(f"stage {number} is left out: the store has no clips of the kind it learns from")
            continue
        if possible != stage:
            notes.append(
                f"stage {number} learns from {'curated' if possible.curated else 'noisy'} clips alone, by their labels "
                "as given: the store has no others"
            )
        epoch = batches.steps_per_epoch(possible, curated=len(chosen.curated), noisy=len(chosen.noisy), world=world)
        planned.append(PlannedStage(number, possible, *possible.lengths(epoch)))
    if not planned:
        raise RunError("nothing to train: no stage has both steps and clips; see stage1 and stage2 in the recipe")
    return tuple(planned), notes


def _possible(stage: recipe.Stage, *, curated: int, noisy: int) -> recipe.Stage | None:
    """Returns the stage as far as the store has clips for it: one kind missing, the other kind alone; or None."""
    lacks_curated, lacks_noisy = stage.curated > 0 and not curated, stage.noisy > 0 and not noisy
    if not (lacks_curated or lacks_noisy):
        return stage
    rows = stage.curated + stage.noisy
    if lacks_curated and stage.noisy and noisy:
        return stage.model_copy(update={"method": "supervised", "curated": 0, "noisy": rows})
    if lacks_noisy and stage.curated and curated:
        return stage.model_copy(update={"method": "supervised", "curated": rows, "noisy": 0})
    return None


def train(
    store: corpus.Store,
    run: Path,
    settings: recipe.Recipe,
    *,
    observer: Observer,
    fold: int | None = 0,
    resume: bool = False,
    cpu: bool = False,
    start_from: Path | None = None,
    compiled: bool = False,
) -> Path:
    """Trains a network on a store and returns the folder of the model it wrote.

    `fold` (0 to 4) of the curated set is held out and tagged along the way, None learns from all of it. With `resume`
    a run that was stopped goes on from its last checkpoint. `start_from` is the folder of another run, or of a model,
    whose weights are the first ones of this run. With `compiled` torch compiles the backbone, which takes a minute or
    more at the start and changes the last bits of all that follows. RunError where the folder holds another run, or
    the weights are of another kind; StoreError where the store's features are not the recipe's; Diverged where the
    loss stops being a number.
    """
    corpus.refuse_other_features(store.path, store.features, settings.features)
    begin = start.find(start_from) if start_from else None
    if begin:
        start.refuse_another_kind(begin, settings, store.vocabulary)
    return _Run(
        store, run, settings, observer=observer, fold=fold, resume=resume, cpu=cpu, begin=begin, compiled=compiled
    ).carry_out()


class _Run:
    """One run under way: what does not change while it lasts, and the network it changes."""

    def __init__(
        self,
        store: corpus.Store,
        folder: Path,
        settings: recipe.Recipe,
        *,
        observer: Observer,
        fold: int | None,
        resume: bool,
        cpu: bool,
        begin: start.Start | None,
        compiled: bool,
    ) -> None:
        self._accelerator = Accelerator(
            cpu=cpu,
            kwargs_handlers=[
                DistributedDataParallelKwargs(find_unused_parameters=settings.loss.kind != "focal+arcface")
            ],
        )
        self._device = self._accelerator.device
        self._store, self._folder, self._settings, self._observer = store, folder, settings, observer
        self._fold, self._start = fold, begin
        self._split = split(store, fold)
        self._stages, notes = plan(settings, self._split, world=self._accelerator.num_processes)
        if self._accelerator.is_main_process:
            self._begin(resume)
        self._accelerator.wait_for_everyone()
        for note in notes + self._remarks() if self._accelerator.is_main_process else ():
            observer.note(note)
        wanted = settings.training.precision
        bfloat16 = wanted == "bfloat16" or (wanted == "auto" and fast_in_bfloat16(self._device))
        self._plain_network = checkpoint.new_network(
            settings, classes=len(store.vocabulary), mixed_precision=bfloat16
        ).on(self._device)
        if compiled:
            self._plain_network.backbone.compile()
        self._network = self._accelerator.prepare(self._plain_network)
        self._metrics = _Metrics(folder) if self._accelerator.is_main_process else None

    def carry_out(self) -> Path:
        """Does all that is left of the run and writes the model; returns the model's folder."""
        newest = next(iter(checkpoint.checkpoints(self._checkpoints)[::-1]), None)
        begin = checkpoint.place_of(newest) if newest else Place(1, 0)
        if newest:
            checkpoint.restore(newest, self._plain_network, None)
        elif self._start:
            start.fill(self._plain_network, self._start)
        before = self._steps_before(begin.stage) + begin.step
        if self._metrics:
            self._metrics.rewind(before)
        self._observer.begun(done=before, total=sum(stage.steps for stage in self._stages))
        for stage in self._stages:
            if stage.number >= begin.stage:
                from_step = begin.step if stage.number == begin.stage else 0
                self._carry_out_stage(stage, from_step, newest if from_step else None)
        return self._finish()

    def _carry_out_stage(self, stage: PlannedStage, from_step: int, restored: Path | None) -> None:
        optimizer = self._accelerator.prepare(self._new_optimizer())
        if restored:
            checkpoint.restore(restored, self._plain_network, optimizer)
        feed = batches.Batches(
            self._store,
            curated=self._split.curated,
            noisy=self._split.noisy,
            stage=stage.settings,
            stage_number=stage.number,
            frames=self._settings.patches.frames,
            seed=self._settings.training.seed,
            rank=self._accelerator.process_index,
            world=self._accelerator.num_processes,
        )
        labels = self._clip_labels(stage.settings, restored)
        self._network.train()
        for step in range(from_step, stage.steps):
            batch = feed(step)
            if labels:
                if step % stage.settings.relabel_every_steps == 0:
                    labels.refresh(self._teacher_scorer())
                batch = batch._replace(y_w=labels.of(batch.w_rows))
            metrics = self._step(stage, step, batch, optimizer)
            self._after(stage, step + 1, metrics, optimizer, labels)

    def _clip_labels(self, stage: recipe.Stage, restored: Path | None) -> relabelling.ClipLabels | None:
        """Returns the labels by whole clips, as a checkpoint left them, where the stage works with them."""
        if stage.method != "teacher-student" or stage.pseudo_labels != "clip":
            return None
        labels = relabelling.ClipLabels(
            self._store, self._split.noisy, self._settings, believe_given=stage.believe_given
        )
        kept = checkpoint.clip_labels(restored) if restored else None
        if kept is not None:
            labels.labels = kept.numpy()
        return labels

    def _step(
        self, stage: PlannedStage, step: int, batch: batches.Batch, optimizer: torch.optim.Optimizer
    ) -> StepMetrics:
        rate = schedule.learning_rate(
            step,
            peak=self._settings.optimizer.learning_rate,
            ramp_steps=stage.ramp_steps,
            anneal_steps=stage.anneal_steps,
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = self._training_rows(stage.settings, batch)
        teacher, student = self._loss_terms(stage.settings, rows)
        loss = losses.total(teacher, student)
        self._refuse_divergence(stage, step, teacher, student)
        optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        if self._settings.optimizer.clip_norm:
            self._accelerator.clip_grad_norm_(self._network.parameters(), self._settings.optimizer.clip_norm)
        optimizer.step()
        labels = rows.pseudo_labels_per_patch
        return StepMetrics(
            step=self._steps_before(stage.number) + step + 1,
            stage=stage.number,
            stage_step=step + 1,
            loss=loss.item(),
            teacher_loss=sum(term.item() for term in teacher.values()),
            student_loss=sum(term.item() for term in student.values()),
            learning_rate=rate,
            pseudo_labels_per_patch=None if math.isnan(labels) else labels,
        )

    def _training_rows(self, stage: recipe.Stage, batch: batches.Batch) -> pseudolabels.TrainingBatches:
        settings, device = self._settings.augmentation, self._device
        if stage.method == "supervised":
            return pseudolabels.supervised(
                batch.v, batch.y_v, batch.w, batch.y_w, rng=batch.rng, settings=settings, device=device
            )
        return pseudolabels.algorithm_1(
            batch.v, batch.y_v, batch.w, batch.y_w,
            teacher=self._plain_network.teacher_logits, rng=batch.rng, settings=settings, stage=stage, device=device,
        )  # fmt: skip

    def _loss_terms(
        self, stage: recipe.Stage, rows: pseudolabels.TrainingBatches
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        for_teacher = rows.for_teacher or rows.for_student
        x = rows.for_teacher.x if rows.for_teacher else None
        teacher, student = self._network(x, rows.for_student.x, apart=stage.apart)
        settings = self._settings.loss.model_dump()
        return (
            losses.head_terms(teacher.logits, teacher.cosines, for_teacher.y, **settings),
            losses.head_terms(student.logits, student.cosines, rows.for_student.y, **settings),
        )

    def _after(
        self,
        stage: PlannedStage,
        done: int,
        metrics: StepMetrics,
        optimizer: torch.optim.Optimizer,
        labels: relabelling.ClipLabels | None,
    ) -> None:
        """Reports a step, and evaluates and saves where it is time: in that order, so that a save covers them all."""
        if not self._accelerator.is_main_process:
            return
        last = done == stage.steps
        self._observer.stepped(metrics)
        assert self._metrics is not None
        if last or done % _LOG_EVERY_STEPS == 0:
            self._metrics.add(asdict(metrics))
        training = self._settings.training
        if last or (training.evaluate_every_steps and done % training.evaluate_every_steps == 0):
            self._evaluate(metrics.step)
        if last or done % training.checkpoint_every_steps == 0:
            self._metrics.flush()
            checkpoint.save_checkpoint(
                self._checkpoints,
                Place(stage.number, done),
                self._plain_network,
                optimizer,
                torch.from_numpy(labels.labels) if labels else None,
            )

    def _evaluate(self, step: int) -> None:
        """Tags the held-out fold with the tagger that users get, and notes its lwlrap."""
        rows = self._split.held_out
        if not len(rows):
            return
        tagger = self._tagger()
        scores = np.stack([tagger.scores_of_log_mel(self._store.log_mel(int(row))) for row in rows])
        overall = lwlrap.lwlrap(self._store.labels[rows], scores).overall
        assert self._metrics is not None
        self._metrics.add({"step": step, "held_out_lwlrap": overall, "held_out_clips": len(rows)})
        self._observer.evaluated(step, overall)

    def _teacher_scorer(self) -> tagging.Scorer:
        return windowed.teacher_scorer(self._plain_network, self._device, frames=self._settings.patches.frames)

    def _tagger(self) -> tagging.Tagger:
        moments = self._store.moments
        return tagging.Tagger(
            windowed.student_scorer(self._plain_network, self._device, frames=self._settings.patches.frames),
            vocabulary=self._store.vocabulary,
            recipe=self._settings,
            mean=moments.mean,
            std=moments.std,
        )

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings = self._settings.optimizer
        return torch.optim.NAdam(
            self._network.parameters(),
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            momentum_decay=settings.momentum_decay,
        )

    def _refuse_divergence(
        self,
        stage: PlannedStage,
        step: int,
        teacher: dict[str, torch.Tensor],
        student: dict[str, torch.Tensor],
    ) -> None:
        terms = {f"the teacher's {name}": term for name, term in teacher.items()}
        terms |= {f"the student's {name}": term for name, term in student.items()}
        wrong = [f"{name} loss is {term.item()}" for name, term in terms.items() if not torch.isfinite(term)]
        if not wrong:
            return
        broken = [name for name, tensor in self._plain_network.named_parameters() if not torch.isfinite(tensor).all()]
        cause = f"the weights of {broken[0]} are not finite" if broken else "all weights are still finite"
        kept = checkpoint.checkpoints(self._checkpoints)
        raise Diverged(
            f"{self._folder}: step {step + 1} of stage {stage.number}: {wrong[0]}, {cause}; "
            f"last good checkpoint: {kept[-1].name if kept else 'none yet'}; "
            "lower optimizer.learning_rate, or set optimizer.clip_norm, and start another run"
        )

    def _finish(self) -> Path:
        model = self._folder / "model"
        if self._accelerator.is_main_process:
            assert self._metrics is not None
            self._metrics.close()
            moments = self._store.moments
            config = checkpoint.ModelConfig(self._store.vocabulary, self._settings, moments.mean, moments.std)
            checkpoint.save_model(model, config, self._plain_network, card=self._card())
            self._write_head(finished=True)
        self._accelerator.wait_for_everyone()
        return model

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def _steps_before(self, stage_number: int) -> int:
        return sum(stage.steps for stage in self._stages if stage.number < stage_number)

    def _begin(self, resume: bool) -> None:
        """Claims the run's folder, or finds in it the run to go on with."""
        head = self._folder / "run.json"
        if head.is_file():
            if not resume:
                raise RunError(f"{self._folder}: already holds a run; add --resume to go on, or give another --out")
            self._refuse_another_run(head)
        else:
            # A run killed in this very function leaves the first two behind, and no more.
            begun = {"recipe.toml", "checkpoints"}
            found = list(self._folder.iterdir()) if self._folder.exists() else []
            if any(entry.name not in begun and not entry.name.startswith(".part-") for entry in found):
                raise RunError(f"{self._folder}: not a run, and not empty; give another folder to --out")
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        for torn in (*self._folder.glob(".part-*"), *self._checkpoints.glob(".part-*")):
            torn.unlink()
        if not head.is_file():
            files.atomic_write(self._folder / "recipe.toml", recipe.dump(self._settings))
            self._write_head(finished=False)

    def _refuse_another_run(self, head: Path) -> None:
        """Raises RunError where the run in the folder was begun with another recipe, store, fold or team."""
        try:
            begun = json.loads(head.read_text("utf-8"))
            pairs = [
                ("--fold", _fold_name(begun["fold"]), _fold_name(self._fold)),
                ("the number of processes", begun["processes"], self._accelerator.num_processes),
                ("the store's content", begun["store_fingerprint"], self._store.fingerprint()),
                ("--start-from", _start_name(begun.get("start_from")), _start_name(self._start_entry())),
            ]
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{head}: not readable ({error}); start the run anew in another folder") from None
        changed = [f"{name} is {old}, not {new}" for name, old, new in pairs if old != new]
        changed += recipe.differences(recipe.load(self._folder / "recipe.toml"), self._settings)
        if changed:
            raise RunError(
                f"{self._folder}: the run began otherwise: {'; '.join(changed)}; give the same, or another --out"
            )

    def _write_head(self, *, finished: bool) -> None:
        content = {
            "format": RUN_FORMAT,
            "finished": finished,
            "store": str(self._store.path.resolve()),
            "store_fingerprint": self._store.fingerprint(),
            "classes": list(self._store.vocabulary.names),
            "start_from": self._start_entry(),
            "fold": self._fold,
            "curated_clips": len(self._split.curated),
            "noisy_clips": len(self._split.noisy),
            "held_out_clips": len(self._split.held_out),
            "steps": {f"stage{stage.number}": stage.steps for stage in self._stages},
            "device": str(self._device),
            "processes": self._accelerator.num_processes,
            "threads": torch.get_num_threads(),
            "versions": {
                "earwitness": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        files.atomic_write(self._folder / "run.json", json.dumps(content, indent=1) + "\n")

    def _start_entry(self) -> dict[str, str] | None:
        """Returns where the first weights come from, as run.json has it; None for drawn ones."""
        return {"path": str(self._start.path), "digest": self._start.digest} if self._start else None

    def _remarks(self) -> list[str]:
        """Returns what a user should know of weights and clips before the run begins."""
        remarks = [f"the first weights are those of {self._start.path}"] if self._start else []
        used = np.concatenate([self._split.curated, self._split.noisy])
        counts = self._store.labels[used].sum(axis=0)
        empty = [name for name, count in zip(self._store.vocabulary.names, counts, strict=True) if not count]
        if empty:
            remarks.append(f"no clip to learn from for {', '.join(empty)}: their scores will mean nothing")
        if self._store.moments.role != "noisy":
            remarks.append("no noisy clips: log-mels are normalised by the curated set")
        if self._fold is not None and not len(self._split.held_out):
            remarks.append("too few curated clips to hold a fold out: no lwlrap along the way")
        return remarks

    def _card(self) -> str:
        best = [f"held-out lwlrap {value:.4f}" for value in self._last_lwlrap()]
        stages = ", ".join(f"stage {stage.number}: {stage.steps} steps" for stage in self._stages)
        return (
            "# An audio tagger trained by earwitness\n\n"
            f"{len(self._store.vocabulary)} classes; learnt from {len(self._split.curated)} curated and "
            f"{len(self._split.noisy)} noisy clips; {stages}{'; ' + best[0] if best else ''}.\n\n"
            "    earwitness tag . some.wav --out scores.csv\n\n"
            "    from earwitness import Tagger\n"
            '    Tagger.load(".").tag("some.wav")\n'
        )

    def _last_lwlrap(self) -> list[float]:
        found = [line.get("held_out_lwlrap") for line in read_metrics(self._folder)]
        return [value for value in found if value is not None][-1:]


def _start_name(entry: dict[str, str] | None) -> str:
    """Returns what tells the source of a run's first weights from others; its place may change, its content not."""
    return f"weights with the digest {entry['digest']}" if entry else "none"


def _fold_name(fold: int | None) -> str:
    return "all" if fold is None else str(fold)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Returns the lines of a run's metrics.jsonl; a torn last line is left out."""
    path = run / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class _Metrics:
    """metrics.jsonl and TensorBoard, kept in step with the checkpoints."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "metrics.jsonl"

    def rewind(self, step: int) -> None:
        """Drops what was noted after `step` steps: it will be noted again. Then opens both for more."""
        kept = [line for line in read_metrics(self._folder) if line["step"] <= step]
        files.atomic_write(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in line.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, line["step"])

    def flush(self) -> None:
        self._board.flush()

    def close(self) -> None:
        self._file.close()
        self._board.close()
