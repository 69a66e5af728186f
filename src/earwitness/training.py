"""Training: stage 1 on the noisy set, stage 2 on both, one loop; killed anywhere, it goes on as if it never stopped.

Report: section 2.6. What a run keeps, and where, is `runfolder`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from . import (
    batches,
    checkpoint,
    corpus,
    devices,
    lwlrap,
    recipe,
    relabelling,
    runfolder,
    runplan,
    stages,
    start,
    tagging,
    windowed,
)
from .ahead import ahead
from .checkpoint import Place
from .errors import Diverged
from .folds import FOLDS
from .learner import Learner, StepMetrics
from .network import TeacherStudent

_LOG_EVERY_STEPS = 10


class Observer(Protocol):
    """Whoever watches a run; the command line draws progress bars with it."""

    def begun(self, *, done: int, total: int) -> None:
        """The run starts, or goes on, with `done` of `total` steps behind it."""

    def note(self, text: str) -> None:
        """Something a user should know about the run."""

    def stepped(self, metrics: StepMetrics) -> None:
        """A step is done. KeyboardInterrupt, raised from here, stops the run, which is saved first."""

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
    is being written by another process, or the weights are of another kind; StoreError where the store's features are
    not the recipe's, or it has one class; Diverged where the loss stops being a number.
    """
    if not isinstance(store, corpus.Store) or not isinstance(settings, recipe.Recipe):
        given = f"{type(store).__name__} and {type(settings).__name__}"
        raise TypeError(f"train takes a corpus.Store and a recipe.Recipe, not {given}")
    if fold is not None and fold in range(FOLDS):
        fold = int(fold)  # a number of numpy's could not be written to run.json
    corpus.refuse_other_features(store.path, store.features, settings.features)
    corpus.refuse_one_class(store)
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
            # By itself it would take any accelerator there is; which of several GPUs a process has is its to say.
            cpu=devices.best(cpu=cpu).type == "cpu",
            # Nor is the environment to put the heads into bfloat16, as `accelerate launch` may.
            mixed_precision="no",
            kwargs_handlers=[
                DistributedDataParallelKwargs(find_unused_parameters=settings.loss.kind != "focal+arcface")
            ],
        )
        self._device = self._accelerator.device
        self._store, self._folder, self._settings, self._observer = store, folder, settings, observer
        self._plan = runplan.plan(store, settings, fold=fold, start=begin, world=self._accelerator.num_processes)
        self._head = self._plan.head(self._device, processes=self._accelerator.num_processes)
        self._resume = resume
        if self._accelerator.is_main_process:  # before the network is made
            runfolder.refuse_what_is_there(folder, self._head, settings, resume=resume)
        bfloat16 = devices.in_bfloat16(settings.training.precision, self._device)
        self._network = checkpoint.new_network(settings, classes=len(store.vocabulary), mixed_precision=bfloat16).on(
            self._device
        )
        if compiled:
            self._network.backbone.compile()
        self._learner = Learner(self._accelerator, self._network, settings, store.moments.std)
        self._metrics = runfolder.Metrics(folder) if self._accelerator.is_main_process else None

    def carry_out(self) -> Path:
        """Does all that is left of the run and writes the model; returns the model's folder."""
        if not self._accelerator.is_main_process:
            self._accelerator.wait_for_everyone()
            return self._carry_out()
        with runfolder.held(self._folder, self._head, self._settings, resume=self._resume):
            self._accelerator.wait_for_everyone()
            for remark in self._plan.remarks(self._device):
                self._observer.note(remark)
            return self._carry_out()

    def _carry_out(self) -> Path:
        newest = next(iter(checkpoint.checkpoints(self._checkpoints)[::-1]), None)
        begin = checkpoint.place_of(newest) if newest else Place(1, 0)
        if newest:
            checkpoint.restore(newest, self._network)
        elif self._plan.start:
            start.fill(self._network, self._plan.start)
        before = self._plan.steps_before(begin.stage) + begin.step
        if self._metrics:
            self._metrics.rewind(before)
        self._observer.begun(done=before, total=self._plan.steps)
        for stage in self._plan.stages:
            if stage.number >= begin.stage:
                from_step = begin.step if stage.number == begin.stage else 0
                self._carry_out_stage(stage, from_step, newest if from_step else None)
        return self._finish()

    def _carry_out_stage(self, stage: stages.PlannedStage, from_step: int, restored: Path | None) -> None:
        optimizer = self._learner.new_optimizer()
        average = self._new_average(stage.settings.teacher_average)
        if restored:
            checkpoint.restore(restored, self._network, optimizer, average)
        self._labeller = cast(TeacherStudent, average.module) if average else self._network
        feed = batches.Batches(
            self._store,
            curated=self._plan.split.curated,
            noisy=self._plan.split.noisy,
            stage=stage.settings,
            stage_number=stage.number,
            frames=self._settings.patches.frames,
            seed=self._settings.training.seed,
            rank=self._accelerator.process_index,
            world=self._accelerator.num_processes,
        )
        labels = self._clip_labels(stage.settings, restored)
        self._learner.begin_stage()
        for step, coming in ahead(range(from_step, stage.steps), feed, count=2):
            if labels:
                self._relabel(stage, step, labels)
            batch = coming.result()
            if labels:
                batch = batch._replace(y_w=labels.of(batch.w_rows))
            metrics = self._step(stage, step, batch, optimizer)
            if average:
                average.update_parameters(self._network)
            self._after(stage, step + 1, metrics, optimizer, labels, average)

    def _clip_labels(self, stage: recipe.Stage, restored: Path | None) -> relabelling.ClipLabels | None:
        """Returns the labels by whole clips, as a checkpoint left them, where the stage works with them."""
        if stage.method != "teacher-student" or stage.pseudo_labels not in ("clip", "masked"):
            return None
        labels = relabelling.ClipLabels(
            self._store,
            self._plan.split.noisy,
            self._settings,
            stage=stage,
            curated=self._plan.split.curated,
        )
        kept = checkpoint.clip_labels(restored) if restored else None
        if kept is not None:
            labels.labels = kept.numpy()
        return labels

    def _relabel(self, stage: stages.PlannedStage, step: int, labels: relabelling.ClipLabels) -> None:
        """Makes the labels anew where it is time, and notes what the given ones are worth.

        Not before the very first step of a run, when there is no teacher yet worth asking.
        """
        new = step == 0 and not self._plan.start and stage.number == self._plan.stages[0].number
        if new or step % stage.settings.relabel_every_steps:
            return
        labels.refresh(self._teacher_scorer())
        if self._metrics:
            self._metrics.add({"step": self._plan.steps_before(stage.number) + step + 1, **labels.summary()})

    def _step(
        self, stage: stages.PlannedStage, step: int, batch: batches.Batch, optimizer: torch.optim.Optimizer
    ) -> StepMetrics:
        try:
            return self._learner.step(
                stage, step, batch, before=self._plan.steps_before(stage.number), labeller=self._labeller,
                optimizer=optimizer,
            )  # fmt: skip
        except Diverged as error:
            kept = checkpoint.checkpoints(self._checkpoints)
            raise Diverged(
                f"{self._folder}: {error}; last good checkpoint: {kept[-1].name if kept else 'none yet'}; "
                "lower optimizer.learning_rate, or set optimizer.clip_norm, and start another run"
            ) from None

    def _after(
        self,
        stage: stages.PlannedStage,
        done: int,
        metrics: StepMetrics,
        optimizer: torch.optim.Optimizer,
        labels: relabelling.ClipLabels | None,
        average: AveragedModel | None,
    ) -> None:
        """Reports a step, and evaluates and saves where it is time: in that order, so that a save covers them all.

        An observer that is stopped while it is told of a step stops the run after that, saved.
        """
        if not self._accelerator.is_main_process:
            return
        last, stopped = done == stage.steps, False
        try:
            self._observer.stepped(metrics)
        except KeyboardInterrupt:
            stopped = True
        assert self._metrics is not None
        if last or done % _LOG_EVERY_STEPS == 0:
            self._metrics.add(asdict(metrics))
        training = self._settings.training
        if last or (training.evaluate_every_steps and done % training.evaluate_every_steps == 0):
            self._evaluate(metrics.step)
        if last or stopped or done % training.checkpoint_every_steps == 0:
            self._metrics.flush()
            checkpoint.save_checkpoint(
                self._checkpoints,
                Place(stage.number, done),
                self._network,
                optimizer,
                clip_labels=torch.from_numpy(labels.labels) if labels else None,
                average=average,
            )
        if stopped:
            raise KeyboardInterrupt

    def _evaluate(self, step: int) -> None:
        """Tags the held-out fold with the tagger that users get, and notes its lwlrap."""
        rows = self._plan.split.held_out
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
            windowed.student_scorer(self._network, self._device, frames=self._settings.patches.frames),
            vocabulary=self._store.vocabulary,
            recipe=self._settings,
            mean=moments.mean,
            std=moments.std,
        )

    def _new_average(self, decay: float) -> AveragedModel | None:
        """Returns a moving average of the network's weights and statistics that begins where it stands; None for 0."""
        if not decay:
            return None
        averaging = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        return AveragedModel(self._network, multi_avg_fn=averaging, use_buffers=True)

    def _finish(self) -> Path:
        model = self._folder / "model"
        if self._accelerator.is_main_process:
            assert self._metrics is not None
            self._metrics.close()
            moments = self._store.moments
            config = checkpoint.ModelConfig(self._store.vocabulary, self._settings, moments.mean, moments.std)
            checkpoint.save_model(model, config, self._network, card=self._plan.card(self._last_lwlrap()))
            runfolder.write_head(self._folder, self._head, finished=True)
        self._accelerator.wait_for_everyone()
        return model

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def _last_lwlrap(self) -> float | None:
        found = [line.get("held_out_lwlrap") for line in runfolder.read_metrics(self._folder)]
        return next((value for value in reversed(found) if value is not None), None)
