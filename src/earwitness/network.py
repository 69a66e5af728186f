"""The network of the report: backbone f, label-cleaning head g (the teacher), classification head h (the student).

Report: Table 1, Fig. 1; what Table 1 leaves out is docs/paper.md, row 5.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

# Table 1: channels of the two convolutions of each stage, average pooling by 2 after all stages but the last.
STAGES = (64, 128, 256, 512)
FRAME_STRIDE = 2 ** (len(STAGES) - 1)


class HeadOutput(NamedTuple):
    """What a head says of n patches: `logits` for focal loss and all inference, `cosines` for ArcFace; (n, outputs)."""

    logits: torch.Tensor
    cosines: torch.Tensor


def channels(width: float) -> tuple[int, ...]:
    """Returns Table 1's channels scaled by `width`, at least 1 each; width 1 is the report's network."""
    return tuple(max(1, round(width * stage)) for stage in STAGES)


class Stage(nn.Sequential):
    """Two times 3x3 convolution, batch normalisation, ReLU; the convolutions have no bias. Report: Table 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Backbone(nn.Module):
    """The backbone f: patches (n, frames, mels) -> features (n, channels of the last stage).

    Report: Table 1. After the last stage: the mean over frequency, then the maximum over time. `input_pooling` p
    averages p x p cells of the log-mel before the first convolution (1: none, as in the report).

    Backbones that differ from Table 1 (`backbones`) override `stage`, `shrink`, `over_frequency` or `over_time`.
    """

    def __init__(self, *, width: float, input_pooling: int) -> None:
        super().__init__()
        self.input_pooling = input_pooling
        sizes = channels(width)
        self.stages = nn.ModuleList(
            self.stage(inputs, outputs) for inputs, outputs in zip((1, *sizes), sizes, strict=False)
        )
        self.features = sizes[-1]

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.summarise(self.maps(patches))

    def maps(self, patches: torch.Tensor) -> torch.Tensor:
        """Returns the last stage's maps of patches (n, frames, mels): (n, features, frames / 8 p, mels / 8 p)."""
        # Pooled with the one channel first in memory, where torch is three times as fast. Then it comes last: else the
        # first stage is laid out otherwise than the rest, and half of a narrow network's time goes into copies.
        if self.input_pooling > 1:
            patches = functional.avg_pool2d(patches.unsqueeze(1), self.input_pooling).squeeze(1)
        x = patches.unsqueeze(-1).permute(0, 3, 1, 2)
        for number, stage in enumerate(self.stages):
            x = stage(self.shrink(x) if number else x)
        return x

    def stage(self, inputs: int, outputs: int) -> nn.Module:
        """Returns the layers of one stage, with so many channels before and after it."""
        return Stage(inputs, outputs)

    def shrink(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the maps between two stages at half the frames and half the bands."""
        return functional.avg_pool2d(x, 2)

    def summarise(self, maps: torch.Tensor) -> torch.Tensor:
        """Returns the features (n, k) of maps (n, k, time, frequency)."""
        return self.over_time(self.over_frequency(maps))

    def over_frequency(self, maps: torch.Tensor) -> torch.Tensor:
        """Returns the columns (n, k, time) of maps (n, k, time, frequency), each column of its own."""
        return maps.mean(dim=3)

    def over_time(self, columns: torch.Tensor) -> torch.Tensor:
        """Returns the features (n, k) of a patch's columns (n, k, time)."""
        # amax, not max: it has no index to keep and runs in one pass.
        return columns.amax(dim=2)


class Head(nn.Module):
    """A head, g or h: features (n, k) -> logits and cosines (n, outputs).

    Report: Fig. 1, section 2.5. Linear, PReLU, batch normalisation; then focal logits without bias, and ArcFace's
    cosines between that feature and a weight matrix of their own.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, features), nn.PReLU(), nn.BatchNorm1d(features))
        self.focal = nn.Linear(features, outputs, bias=False)
        self.arcface = nn.Linear(features, outputs, bias=False)

    def forward(self, features: torch.Tensor) -> HeadOutput:
        embedded = self.embed(features)
        directions = functional.normalize(self.arcface.weight)
        return HeadOutput(
            logits=self.focal(embedded),
            cosines=functional.linear(functional.normalize(embedded), directions),
        )

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the focal logits alone, (n, outputs): all that inference needs (section 2.7)."""
        logits: torch.Tensor = self.focal(self.embed(features))
        return logits


class TeacherStudent(nn.Module):
    """Backbone f with the heads g and h. Report: Fig. 1.

    `backbone` is the kind of f, Table 1 unless given. `mixed_precision` runs it in bfloat16; the heads, small and
    delicate, always stay in float32.
    """

    def __init__(
        self,
        *,
        width: float,
        input_pooling: int,
        outputs: int,
        mixed_precision: bool = False,
        backbone: type[Backbone] = Backbone,
    ) -> None:
        super().__init__()
        self.backbone = backbone(width=width, input_pooling=input_pooling)
        self.teacher = Head(self.backbone.features, outputs)
        self.student = Head(self.backbone.features, outputs)
        self.mixed_precision = mixed_precision

    def on(self, device: torch.device) -> "TeacherStudent":
        """Returns this network moved to a device, its kernels in channels-last order: faster on CPU and GPU alike."""
        self.to(device)
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Returns the backbone's features of patches (n, frames, mels) as float32 (n, features)."""
        with torch.autocast(patches.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            features: torch.Tensor = self.backbone(patches)
        return features.float()

    def forward(
        self,
        for_teacher: torch.Tensor | None,
        for_student: torch.Tensor,
        *,
        apart: bool = False,
        teacher_rows: int | None = None,
    ) -> tuple[HeadOutput, HeadOutput]:
        """Returns (g(f(V')), h(f(U'))): the teacher of its own rows, the student of its own.

        One pass of the backbone over both, so that batch normalisation sees both sets at once, or two where `apart`
        is asked for (docs/paper.md, row 12). Without rows for the teacher it reads the student's, the first
        `teacher_rows` of them or all.
        """
        if for_teacher is None:
            features = self.embed(for_student)
            return self.teacher(features[:teacher_rows]), self.student(features)
        if apart:
            return self.teacher(self.embed(for_teacher)), self.student(self.embed(for_student))
        features = self.embed(torch.cat([for_teacher, for_student]))
        rows = len(for_teacher)
        return self.teacher(features[:rows]), self.student(features[rows:])

    def teacher_logits(self, patches: torch.Tensor) -> torch.Tensor:
        """Returns g's logits (n, outputs) in evaluation mode, without gradient (docs/paper.md, row 7)."""
        return self._logits(patches, self.teacher)

    def student_logits(self, patches: torch.Tensor) -> torch.Tensor:
        """Returns h's logits (n, outputs) in evaluation mode, without gradient."""
        return self._logits(patches, self.student)

    def _logits(self, patches: torch.Tensor, head: Head) -> torch.Tensor:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return head.logits(self.embed(patches))
        finally:
            self.train(was_training)
