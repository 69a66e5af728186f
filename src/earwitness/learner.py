"""One step of training: Algorithm 1's rows, the losses of both heads, the gradient, the optimiser.

Report: sections 2.4 to 2.6.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from . import logmel, losses, optimizers, pseudolabels, recipe, schedule
from .batches import Batch
from .errors import Diverged
from .network import TeacherStudent
from .stages import PlannedStage


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


class Learner:
    """A network that learns batch by batch, in one process or several.

    std (bands,): the deviation by which the patches were normalised; laying two sounds over each other needs it.
    """

    def __init__(
        self, accelerator: Accelerator, network: TeacherStudent, settings: recipe.Recipe, std: NDArray[np.float32]
    ) -> None:
        self._accelerator, self._settings, self._std = accelerator, settings, logmel.deviation(std)
        self._plain_network = network
        self._network = accelerator.prepare(network)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Returns an optimiser of the network's weights that has not seen a gradient."""
        settings = self._settings.optimizer
        optimizer: torch.optim.Optimizer = self._accelerator.prepare(
            optimizers.new(
                self._network,
                settings.kind,
                lr=settings.learning_rate,
                betas=(settings.beta1, settings.beta2),
                momentum_decay=settings.momentum_decay,
            )
        )
        return optimizer

    def begin_stage(self) -> None:
        """Makes the network ready to learn."""
        self._network.train()

    def step(
        self,
        stage: PlannedStage,
        step: int,
        batch: Batch,
        *,
        before: int,
        labeller: TeacherStudent,
        optimizer: torch.optim.Optimizer,
    ) -> StepMetrics:
        """Learns from a batch and says how it went; Diverged where the loss is not a number, before anything moves.

        `step` counts from 0 within the stage, `before` are the run's steps before the stage; `labeller` gives the
        pseudo-labels, where the stage wants them.
        """
        rate = schedule.learning_rate(
            step,
            peak=self._settings.optimizer.learning_rate,
            ramp_steps=stage.ramp_steps,
            anneal_steps=stage.anneal_steps,
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = self._training_rows(stage.settings, batch, labeller)
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
            step=before + step + 1,
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

    def _training_rows(
        self, stage: recipe.Stage, batch: Batch, labeller: TeacherStudent
    ) -> pseudolabels.TrainingBatches:
        settings, std, device = self._settings.augmentation, self._std, self._accelerator.device
        if stage.method == "supervised":
            return pseudolabels.supervised(
                batch.v, batch.y_v, batch.w, batch.y_w, rng=batch.rng, settings=settings, std=std, device=device
            )
        return pseudolabels.algorithm_1(
            batch.v, batch.y_v, batch.w, batch.y_w,
            teacher=labeller.teacher_logits, rng=batch.rng, settings=settings, stage=stage, std=std, device=device,
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

    def _refuse_divergence(
        self, stage: PlannedStage, step: int, teacher: dict[str, torch.Tensor], student: dict[str, torch.Tensor]
    ) -> None:
        terms = {f"the teacher's {name}": term for name, term in teacher.items()}
        terms |= {f"the student's {name}": term for name, term in student.items()}
        wrong = [f"{name} loss is {term.item()}" for name, term in terms.items() if not torch.isfinite(term)]
        if not wrong:
            return
        broken = [name for name, tensor in self._plain_network.named_parameters() if not torch.isfinite(tensor).all()]
        cause = f"the weights of {broken[0]} are not finite" if broken else "all weights are still finite"
        raise Diverged(f"step {step + 1} of stage {stage.number}: {wrong[0]}, {cause}")
