"""Training: stage 1 on the noisy set, stage 2 on both, one loop; killed anywhere, it goes on as if it never stopped.

Report: section 2.6. What a run keeps, and where, is `runfolder`.
"""

import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from . import (
    __version__,
    batches,
    checkpoint,
    corpus,
    devices,
    logmel,
    losses,
    lwlrap,
    optimizers,
    pseudolabels,
    recipe,
    relabelling,
    runfolder,
    schedule,
    stages,
    start,
    tagging,
    windowed,
)
from .ahead import ahead
from .checkpoint import Place
from .errors import Diverged, some_of
from .folds import FOLDS
from .network import TeacherStudent

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


class Unwatched:
    """An observer that looks away."""

    def begun(self, *, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def stepped(self, metrics: StepMetrics) -> None: ...

    def evaluated(self, step: int, overall: float) -> None: ...


UNWATCHED = Unwatched()


def train(
    store: corpus.Store,
    run: str | Path,
    settings: recipe.Recipe,
    *,
    observer: Observer = UNWATCHED,
    fold: int | None = 0,
    resume: bool = False,
    cpu: bool = False,
    start_from: str | Path | None = None,
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
    if not isinstance(store, corpus.Store) or not isinstance(settings, recipe.Recipe):
        given = f"{type(store).__name__} and {type(settings).__name__}"
        raise TypeError(f"train takes a corpus.Store and a recipe.Recipe, not {given}")
    if fold is not None and fold in range(FOLDS):
        fold = int(fold)  # a number of numpy's could not be written to run.json
    corpus.refuse_other_features(store.path, store.features, settings.features)
    begin = start.find(Path(start_from)) if start_from else None
    if begin:
        start.refuse_another_kind(begin, settings, store.vocabulary)
    return _Run(
        store, Path(run), settings, observer=observer, fold=fold, resume=resume, cpu=cpu, begin=begin, compiled=compiled
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
        self._split = stages.split(store, fold)
        noisy_kin = len(self._split.noisy) < len(store.rows("noisy"))
        self._known = begin is not None and begin.may_know(store.fingerprint(), fold, noisy_kin=noisy_kin)
        self._stages, notes = stages.plan(settings, self._split, world=self._accelerator.num_processes)
        if self._accelerator.is_main_process:
            runfolder.begin(folder, self._head(), settings, resume=resume)
        self._accelerator.wait_for_everyone()
        for note in notes + self._remarks() if self._accelerator.is_main_process else ():
            observer.note(note)
        bfloat16 = devices.in_bfloat16(settings.training.precision, self._device)
        self._plain_network = checkpoint.new_network(
            settings, classes=len(store.vocabulary), mixed_precision=bfloat16
        ).on(self._device)
        if compiled:
            self._plain_network.backbone.compile()
        self._network = self._accelerator.prepare(self._plain_network)
        self._metrics = runfolder.Metrics(folder) if self._accelerator.is_main_process else None

    def carry_out(self) -> Path:
        """Does all that is left of the run and writes the model; returns the model's folder."""
        newest = next(iter(checkpoint.checkpoints(self._checkpoints)[::-1]), None)
        begin = checkpoint.place_of(newest) if newest else Place(1, 0)
        if newest:
            checkpoint.restore(newest, self._plain_network)
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

    def _carry_out_stage(self, stage: stages.PlannedStage, from_step: int, restored: Path | None) -> None:
        optimizer = self._accelerator.prepare(self._new_optimizer())
        average = self._new_average(stage.settings.teacher_average)
        if restored:
            checkpoint.restore(restored, self._plain_network, optimizer, average)
        self._labeller = cast(TeacherStudent, average.module) if average else self._plain_network
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
        for step, coming in ahead(range(from_step, stage.steps), feed, count=2):
            if labels:
                self._relabel(stage, step, labels)
            batch = coming.result()
            if labels:
                batch = batch._replace(y_w=labels.of(batch.w_rows))
            metrics = self._step(stage, step, batch, optimizer)
            if average:
                average.update_parameters(self._plain_network)
            self._after(stage, step + 1, metrics, optimizer, labels, average)

    def _clip_labels(self, stage: recipe.Stage, restored: Path | None) -> relabelling.ClipLabels | None:
        """Returns the labels by whole clips, as a checkpoint left them, where the stage works with them."""
        if stage.method != "teacher-student" or stage.pseudo_labels not in ("clip", "masked"):
            return None
        labels = relabelling.ClipLabels(
            self._store,
            self._split.noisy,
            self._settings,
            stage=stage,
            curated=self._split.curated,
        )
        kept = checkpoint.clip_labels(restored) if restored else None
        if kept is not None:
            labels.labels = kept.numpy()
        return labels

    def _relabel(self, stage: stages.PlannedStage, step: int, labels: relabelling.ClipLabels) -> None:
        """Makes the labels anew where it is time, and notes what the given ones are worth.

        Not before the very first step of a run, when there is no teacher yet worth asking.
        """
        new = step == 0 and not self._start and stage.number == self._stages[0].number
        if new or step % stage.settings.relabel_every_steps:
            return
        labels.refresh(self._teacher_scorer())
        if self._metrics:
            self._metrics.add({"step": self._steps_before(stage.number) + step + 1, **labels.summary()})

    def _step(
        self, stage: stages.PlannedStage, step: int, batch: batches.Batch, optimizer: torch.optim.Optimizer
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
        self._share_statistics()
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

    def _share_statistics(self) -> None:
        """Gives all processes the first one's batch normalisation, which a checkpoint holds: they label by it."""
        if self._accelerator.num_processes > 1:
            for statistics in self._plain_network.buffers():
                torch.distributed.broadcast(statistics, src=0)

    def _training_rows(self, stage: recipe.Stage, batch: batches.Batch) -> pseudolabels.TrainingBatches:
        settings, device = self._settings.augmentation, self._device
        if stage.method == "supervised":
            return pseudolabels.supervised(
                batch.v,
                batch.y_v,
                batch.w,
                batch.y_w,
                rng=batch.rng,
                settings=settings,
                std=logmel.deviation(self._store.moments.std),
                device=device,
            )
        return pseudolabels.algorithm_1(
            batch.v, batch.y_v, batch.w, batch.y_w,
            teacher=self._labeller.teacher_logits, rng=batch.rng, settings=settings, stage=stage,
            std=logmel.deviation(self._store.moments.std), device=device,
        )  # fmt: skip

    def _loss_terms(
        self, stage: recipe.Stage, rows: pseudolabels.TrainingBatches
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        x, y = rows.for_teacher or (None, rows.for_student.y[: rows.teacher_rows])
        teacher, student = self._network(x, rows.for_student.x, apart=stage.apart, teacher_rows=rows.teacher_rows)
        settings = self._settings.loss.model_dump()
        return (
            losses.head_terms(teacher.logits, teacher.cosines, y, **settings, curated_rows=rows.curated_rows),
            losses.head_terms(
                student.logits, student.cosines, rows.for_student.y, **settings, curated_rows=rows.curated_rows
            ),
        )

    def _after(
        self,
        stage: stages.PlannedStage,
        done: int,
        metrics: StepMetrics,
        optimizer: torch.optim.Optimizer,
        labels: relabelling.ClipLabels | None,
        average: AveragedModel | None,
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
                clip_labels=torch.from_numpy(labels.labels) if labels else None,
                average=average,
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
        return windowed.teacher_scorer(self._labeller, self._device, frames=self._settings.patches.frames)

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
        return optimizers.new(
            self._network,
            settings.kind,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            momentum_decay=settings.momentum_decay,
        )

    def _new_average(self, decay: float) -> AveragedModel | None:
        """Returns a moving average of the network's weights and statistics that begins where it stands; None for 0."""
        if not decay:
            return None
        averaging = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        return AveragedModel(self._plain_network, multi_avg_fn=averaging, use_buffers=True)

    def _refuse_divergence(
        self,
        stage: stages.PlannedStage,
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
            runfolder.write_head(self._folder, self._head(), finished=True)
        self._accelerator.wait_for_everyone()
        return model

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def _steps_before(self, stage_number: int) -> int:
        return sum(stage.steps for stage in self._stages if stage.number < stage_number)

    def _head(self) -> dict[str, Any]:
        """Returns what run.json says of the run."""
        return {
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

    def _start_entry(self) -> dict[str, str | bool] | None:
        """Returns where the first weights come from and what they know, as run.json has it; None for drawn ones."""
        if not self._start:
            return None
        return {
            "path": str(self._start.path),
            "digest": self._start.digest,
            "noisy": self._start.noisy,
            "curated": self._start.curated,
            "may_know_held_out": self._known,
        }

    def _remarks(self) -> list[str]:
        """Returns what a user should know of weights and clips before the run begins."""
        remarks = [f"the first weights are those of {self._start.path}"] if self._start else []
        if self._known:
            remarks.append(
                "the first weights may have learnt from the clips held out: lwlrap along the way means little"
            )
        if slow := devices.remark(self._settings.training.precision, self._device):
            remarks.append(f"precision: {slow}")
        used = np.concatenate([self._split.curated, self._split.noisy])
        counts = self._store.labels[used].sum(axis=0)
        empty = [name for name, count in zip(self._store.vocabulary.names, counts, strict=True) if not count]
        if empty:
            remarks.append(f"no clip to learn from for {some_of(empty, 5)}: their scores will mean nothing")
        if self._store.moments.role != "noisy":
            remarks.append("no noisy clips: log-mels are normalised by the curated set")
        if self._fold is not None and not len(self._split.held_out):
            remarks.append("too few curated clips of different recordings to hold a fold out: no lwlrap along the way")
        return remarks

    def _card(self) -> str:
        best = [f"held-out lwlrap {value:.4f}" for value in self._last_lwlrap() if not self._known]
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
        found = [line.get("held_out_lwlrap") for line in runfolder.read_metrics(self._folder)]
        return [value for value in found if value is not None][-1:]
