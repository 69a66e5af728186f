"""How much faster is a training step of stage 2 than done plainly, and how much of it is spent beside the network?

The plain way: float32, channels first, V' and U' apart, the teacher with gradients, in a process that handles memory as
torch does by itself; and the same with freed memory kept, as the command line has it. Ours: bfloat16, channels last,
one pass, the teacher without. All on the same batch; full width on a quarter of it.
"""

import harness
import numpy as np

# Multiply-adds of one patch through Table 1 at full width.
PATCH = 5.0e9


def main() -> None:
    given = harness.arguments(__doc__, step={"help": "be the process of the plain way: width,pooling,curated,noisy"})
    import torch

    torch.set_num_threads(given.threads)
    if given.step:
        width, *counts = given.step.split(",")
        return harness.serve(Step(float(width), *map(int, counts), plain=True))
    harness.as_the_program()
    peak = measured_peak(torch)
    rows = []
    for width, pooling, curated, noisy in (
        ((0.25, 2, 6, 58),) if given.quick else ((0.25, 2, 6, 58), (0.25, 1, 6, 58), (0.5, 1, 6, 58), (1.0, 1, 2, 14))
    ):
        steps = {
            "plain": harness.Elsewhere(
                __file__, "--threads", given.threads, "--step", f"{width},{pooling},{curated},{noisy}"
            ),
            "plain, memory kept": Step(width, pooling, curated, noisy, plain=True),
            "float32": Step(width, pooling, curated, noisy, bfloat16=False),
            "bfloat16": Step(width, pooling, curated, noisy),
        }
        losses = {name: steps[name]() for name in ("float32", "bfloat16")}
        harness.require(
            abs(losses["float32"] - losses["bfloat16"]) < 0.02 * losses["float32"], f"losses differ: {losses}"
        )
        times = harness.timed(steps, repeats=1 if given.quick else 2)
        work = 2 * PATCH * (noisy + 3 * (2 * curated + noisy)) * of_full_width(width) / pooling**2
        for name, each in times.items():
            beside = steps["bfloat16"].seconds_beside()
            rows.append([
                width, pooling, curated + noisy, name, each.median, times["plain"].median / each.median,
                work / each.median / 1e9, work / each.median / peak, beside / each.median,
            ])  # fmt: skip
        steps["plain"].end()
    return harness.report(
        "training_step", given, rows=rows, peak_gflops=peak / 1e9,
        columns=["width", "input pooling", "rows", "way", "seconds", "times faster", "GFLOP/s", "of the bfloat16 peak",
                 "beside the network"],
        note="Stage 2. The peak is the best convolution of this machine, measured in the same run. Beside the network: "
             "batch building, augmentation, mixup and pseudo-label bookkeeping, as a part of the step. "
             "Full width on a quarter of the rows.",
    )  # fmt: skip


def of_full_width(width: float) -> float:
    """Returns the part of full width's multiply-adds: all but the first convolution's fall with the square."""
    return width**2


def measured_peak(torch) -> float:
    """Returns the operations a second of a convolution of Table 1's middle, bfloat16, channels last."""
    x = torch.randn(8, 256, 48, 32, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = harness.timed({"": lambda: torch.conv2d(x, weight, padding=1)}, repeats=15)[""]
    return 2 * 9 * 256 * 256 * 8 * 48 * 32 / found.shortest


class Step:
    """One step after another of stage 2 on batches of a random store, as `training` makes them."""

    def __init__(
        self, width: float, pooling: int, curated: int, noisy: int, *, plain: bool = False, bfloat16: bool = True
    ) -> None:
        import torch
        from plain import CLASSES, PlainBackbone, log_mel_like, settings_of

        from earwitness.network import Backbone, TeacherStudent

        changes = (f"network.input_pooling={pooling}", f"stage2.curated={curated}", f"stage2.noisy={noisy}")
        self.settings = settings_of(width, *changes)
        torch.manual_seed(0)
        self.network = TeacherStudent(
            width=width, input_pooling=pooling, outputs=2 * CLASSES, mixed_precision=bfloat16 and not plain,
            backbone=PlainBackbone if plain else Backbone,
        )  # fmt: skip
        self.network = (self.network if plain else self.network.on(torch.device("cpu"))).train()
        self.plain, self.optimizer = plain, torch.optim.NAdam(self.network.parameters(), lr=1e-4)
        patches = log_mel_like((curated + noisy) * 192).reshape(-1, 192, 128)
        labels = (np.random.default_rng(0).random((len(patches), CLASSES)) < 0.02).astype(np.float32)
        self.v, self.w, self.y_v, self.y_w = patches[:curated], patches[curated:], labels[:curated], labels[curated:]

    def _teacher(self, x):
        if not self.plain:
            return self.network.teacher_logits(x)
        self.network.eval()
        logits = self.network.teacher(self.network.embed(x)).logits
        self.network.train()
        return logits.detach()

    def rows(self, teacher):
        import torch

        from earwitness import pseudolabels

        return pseudolabels.algorithm_1(
            self.v, self.y_v, self.w, self.y_w, teacher=teacher, rng=np.random.default_rng(1),
            settings=self.settings.augmentation, stage=self.settings.stage2,
            std=np.ones(self.v.shape[2], np.float32), device=torch.device("cpu"),
        )  # fmt: skip

    def __call__(self) -> float:
        from earwitness import losses

        rows = self.rows(self._teacher)
        teacher, student = self.network(rows.for_teacher.x, rows.for_student.x, apart=self.plain)
        options = self.settings.loss.model_dump()
        loss = losses.total(
            losses.head_terms(
                teacher.logits, teacher.cosines, rows.for_teacher.y, **options, curated_rows=rows.curated_rows
            ),
            losses.head_terms(
                student.logits, student.cosines, rows.for_student.y, **options, curated_rows=rows.curated_rows
            ),
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def seconds_beside(self) -> float:
        """Returns the seconds of a step in which no network runs: the batch built from a store, then Algorithm 1."""
        import torch
        from plain import CLASSES

        from earwitness import batches, corpus

        class Clips:
            """A store in memory: every patch of this step, twice as long."""

            features, labels = self.settings.features, np.concatenate([self.y_v, self.y_w])
            moments = corpus.Moments(np.zeros(128, np.float32), np.ones(128, np.float32), "noisy")
            frames = np.concatenate([self.v, self.w]).repeat(2, axis=1).astype(np.float16)

            def log_mel(self, row: int):
                return self.frames[row]

        feed = batches.Batches(
            Clips(), curated=np.arange(len(self.v)), noisy=np.arange(len(self.v), len(Clips.frames)),
            stage=self.settings.stage2, stage_number=2, frames=192, seed=0,
        )  # fmt: skip
        logits = torch.zeros(len(self.w), 2 * CLASSES)
        building = harness.timed({"": lambda: feed(0)}, repeats=7)[""].median
        return building + harness.timed({"": lambda: self.rows(lambda _: logits)}, repeats=7)[""].median


if __name__ == "__main__":
    main()
