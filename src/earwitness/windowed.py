"""The logits of all sliding windows over a log-mel, with the convolutions that they have in common done once.

Windows 16 frames apart hear each frame 12 times. The convolutions move with the sound: 8 frames later, the last maps
are one column later. So windows that begin a multiple of 8 frames apart (times `input_pooling`) can share one pass:

    sliding   every window by itself
    exact     one pass, and of every window those columns anew that see the zeros beyond its ends: the same answer
    dense     one pass and nothing anew: at its ends a window hears the sound around it, and scores differ a little

With Table 1, 4 of a window's 24 columns at either end see the zeros. Batch normalisation is folded into the
convolutions, and weights are brought to their arithmetic once.
"""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import fusion

from .backbones import ResidualBlock
from .network import FRAME_STRIDE, Backbone, Head, TeacherStudent
from .recipe import Windows

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]

# So many frames of a shared pass (half as many where windows have ends of their own), windows' columns, or patches are
# under way at once: memory stays flat.
_FRAMES_AT_ONCE = 2048
_WINDOWS_AT_ONCE = 256
_PATCHES_AT_ONCE = 32


class NotShareable(Exception):
    """A layer of a kind whose columns nobody has worked out."""


class Maps(NamedTuple):
    """The maps of one scale, for w + 1 windows that share a pass.

    `whole` (1, k, time, frequency) are those of all frames, from the first window's begin to the last one's end.
    `edges` (2 w, k, seen, frequency) are the columns that see zeros beyond a window's end: at the begin of all windows
    but the first, then at the end of all but the last, whose columns `whole` has. `firsts` and `lasts` (w,) are where
    those windows begin and end in `whole`.
    """

    whole: torch.Tensor
    edges: torch.Tensor
    firsts: torch.Tensor
    lasts: torch.Tensor

    @property
    def seen(self) -> int:
        return self.edges.shape[2]

    def around(self, width: int, *, zeros: int) -> torch.Tensor:
        """Returns the edges `width` columns wide: outside some zeros, inside columns of the shared pass."""
        if width == self.seen:
            return self.edges
        steps = torch.arange(width, device=self.whole.device)
        places = torch.cat([self.firsts[:, None] - zeros + steps, self.lasts[:, None] + zeros - width + steps])
        found = columns_of(self.whole, places.clamp_(0, self.whole.shape[2] - 1))
        begins, ends = found.chunk(2)
        begins[:, :, :zeros], ends[:, :, width - zeros :] = 0, 0
        begins[:, :, zeros : zeros + self.seen], ends[:, :, width - zeros - self.seen : width - zeros] = (
            self.edges.chunk(2)
        )
        return found


class Cost(NamedTuple):
    """Multiply-adds: of each cell of the maps, and of each band of a window's edge."""

    cell: int
    edge: int


def columns_of(whole: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Returns columns of maps (1, k, time, frequency) by their places (n, c): (n, k, c, frequency), channels last."""
    return whole[0].permute(1, 2, 0)[places].permute(0, 3, 1, 2)


class Layer(Protocol):
    """A layer made ready for inference. `reach`: how many columns further to each side its maps hear."""

    reach: int

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the maps after it; x (n, k, time, frequency) with zeros on all sides."""

    def shared(self, maps: Maps) -> Maps:
        """Returns the maps after it of windows that share a pass."""

    def cost(self, seen: int) -> "Cost":
        """Returns what it costs where `seen` columns see zeros before it."""


class Convolution:
    """A convolution that keeps the resolution, batch normalisation folded in, and ReLU where it follows."""

    def __init__(self, convolution: nn.Conv2d, *, rectified: bool, dtype: torch.dtype) -> None:
        size = convolution.kernel_size[0]
        kept = (size, size), (size // 2, size // 2), (1, 1), (1, 1)
        if (convolution.kernel_size, convolution.padding, convolution.stride, convolution.dilation) != kept:
            raise NotShareable("a convolution that changes the resolution")
        assert convolution.bias is not None
        self.reach = size // 2
        self._weight = convolution.weight.detach().to(dtype, memory_format=torch.channels_last)
        self._bias, self._groups, self._rectified = convolution.bias.detach().to(dtype), convolution.groups, rectified

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        return self._applied(x, self.reach)

    def shared(self, maps: Maps) -> Maps:
        whole, width = self.plain(maps.whole), maps.seen + 3 * self.reach
        if not width:  # a convolution of single cells, before any other
            return maps._replace(
                whole=whole, edges=whole.new_empty((len(maps.edges), whole.shape[1], 0, whole.shape[3]))
            )
        return maps._replace(whole=whole, edges=self._applied(maps.around(width, zeros=self.reach), 0))

    def cost(self, seen: int) -> Cost:
        return Cost(self._weight.numel(), self._weight.numel() * (seen + self.reach))

    def _applied(self, x: torch.Tensor, padding: int) -> torch.Tensor:
        one_channel = self._weight.shape[1] == self._groups == 1
        if one_channel:
            made = self._of_one_channel(functional.pad(x, (self.reach, self.reach, padding, padding)))
        else:
            made = functional.conv2d(x, self._weight, self._bias, padding=(padding, self.reach), groups=self._groups)
        return made.relu_() if self._rectified else made

    def _of_one_channel(self, x: torch.Tensor) -> torch.Tensor:
        # The libraries' convolutions take ten times as long over a single channel as this product does.
        size = 2 * self.reach + 1
        around = x[:, 0].unfold(1, size, 1).unfold(2, size, 1)
        weight = self._weight.reshape(len(self._weight), size * size)
        made = torch.addmm(self._bias, around.reshape(-1, size * size), weight.T)
        return made.view(*around.shape[:3], -1).permute(0, 3, 1, 2)


class Shrink:
    """Half the frames and half the bands, as the backbone does it between its stages."""

    reach = 0

    def __init__(self, backbone: Backbone) -> None:
        self._shrink = backbone.shrink

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        return self._shrink(x)

    def shared(self, maps: Maps) -> Maps:
        edges = self._shrink(maps.around(maps.seen + maps.seen % 2, zeros=0))
        return Maps(self._shrink(maps.whole), edges, maps.firsts // 2, maps.lasts // 2)

    def cost(self, seen: int) -> Cost:
        return Cost(0, 0)


class Residual:
    """A residual block: its body's maps and its shortcut's, added, and ReLU."""

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        self._body, self._shortcut = layers_of(block.body, dtype), layers_of(block.shortcut, dtype)
        self.reach = sum(layer.reach for layer in self._body)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu_(plain(self._body, x) + plain(self._shortcut, x))

    def shared(self, maps: Maps) -> Maps:
        body, beside = shared(self._body, maps), shared(self._shortcut, maps)
        edges = functional.relu_(body.edges + beside.around(body.seen, zeros=0))
        return body._replace(whole=functional.relu_(body.whole + beside.whole), edges=edges)

    def cost(self, seen: int) -> Cost:
        total = Cost(0, 0)
        for layer in self._shortcut:
            total = Cost(*map(sum, zip(total, layer.cost(seen), strict=True)))
        for layer in self._body:
            total = Cost(*map(sum, zip(total, layer.cost(seen), strict=True)))
            seen += layer.reach
        return total


class Opaque:
    """A stage that holds a layer of an unknown kind, as it is: patches go through it, windows cannot share it."""

    reach = 0

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self._module = copy.deepcopy(module).to(dtype)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._module(x)
        return made

    def shared(self, maps: Maps) -> Maps:
        raise NotShareable("a stage of an unknown kind")

    def cost(self, seen: int) -> Cost:
        return Cost(sum(weights.numel() for weights in self._module.parameters()), 0)


def plain(layers: list[Layer], x: torch.Tensor) -> torch.Tensor:
    """Returns the maps after some layers, one after the other."""
    for layer in layers:
        x = layer.plain(x)
    return x


def shared(layers: list[Layer], maps: Maps) -> Maps:
    """Returns the maps after some layers of windows that share a pass."""
    for layer in layers:
        maps = layer.shared(maps)
    return maps


def layers_of(module: nn.Module, dtype: torch.dtype) -> list[Layer]:
    """Returns a module's layers made ready for inference; NotShareable where one is of an unknown kind."""
    leaves = list(_leaves(module))
    found: list[Layer] = []
    while leaves:
        first = leaves.pop(0)
        if isinstance(first, ResidualBlock):
            found.append(Residual(first, dtype))
        elif isinstance(first, nn.Conv2d) and leaves and isinstance(normalisation := leaves[0], nn.BatchNorm2d):
            folded = fusion.fuse_conv_bn_eval(first, normalisation)
            del leaves[0]
            rectified = bool(leaves) and isinstance(leaves[0], nn.ReLU)
            found.append(Convolution(folded, rectified=rectified, dtype=dtype))
            del leaves[: int(rectified)]
        else:
            raise NotShareable(f"a layer of the kind {type(first).__name__}")
    return found


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _leaves(child)
    elif not isinstance(module, nn.Identity):
        yield module


class Folded:
    """A backbone made ready for inference, as it is now: log-mels in, columns and features out.

    `frames_per_column` is how far the sound has to move for the columns to move by one. `edge_columns` are those of a
    window that see zeros, at either end; doing them anew costs as much as `edge_frames` frames of a pass.
    """

    def __init__(self, backbone: Backbone, *, dtype: torch.dtype) -> None:
        self._backbone, self._dtype = copy.deepcopy(backbone).eval().float(), dtype
        self._layers: list[Layer] = []
        for number, stage in enumerate(self._backbone.stages):
            try:
                layers = layers_of(stage, dtype)
            except NotShareable:
                layers = [Opaque(stage, dtype)]
            self._layers += [Shrink(self._backbone)] * (number > 0) + layers
        self.shareable = not any(isinstance(layer, Opaque) for layer in self._layers)
        self.frames_per_column = FRAME_STRIDE * backbone.input_pooling
        self.edge_columns, self.edge_frames = self._edges()

    def _edges(self) -> tuple[int, float]:
        seen, scale, of_a_frame, of_an_edge = 0, self._backbone.input_pooling, 0.0, 0.0
        for layer in self._layers:
            if isinstance(layer, Shrink):
                seen, scale = (seen + 1) // 2, scale * 2
            cost = layer.cost(seen)
            of_a_frame, of_an_edge = of_a_frame + cost.cell / scale**2, of_an_edge + cost.edge / scale
            seen += layer.reach
        return seen, 2 * of_an_edge / of_a_frame

    def columns(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the columns of patches with zeros around them: (n, frames, bands) -> (n, features, columns)."""
        return self._backbone.over_frequency(plain(self._layers, self._input(x)).float())

    def columns_of_windows(self, x: torch.Tensor, starts: Integers, *, frames: int) -> torch.Tensor:
        """Returns the columns of windows as if each had zeros around it: (n, features, columns).

        x (t, bands) goes from the first window's begin to the last one's end; `starts` (n,) are multiples of
        `frames_per_column`, rising from 0.
        """
        if len(starts) == 1:
            return self.columns(x[None])
        p = self._backbone.input_pooling
        begins = torch.from_numpy(starts).to(x.device) // p
        whole = self._input(x[None])
        none = whole.new_empty((2 * len(starts) - 2, 1, 0, whole.shape[3]))
        maps = shared(self._layers, Maps(whole, none, begins[1:], begins[:-1] + frames // p))
        whole, edges = (self._backbone.over_frequency(each.float()) for each in (maps.whole, maps.edges))
        at_begins, at_ends = edges.chunk(2)
        found = _gathered(whole, torch.from_numpy(starts).to(x.device), frames, self.frames_per_column)
        found[1:, :, : maps.seen], found[:-1, :, found.shape[2] - maps.seen :] = at_begins, at_ends
        return found

    def columns_of_all(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the columns of a log-mel of any length, in flat memory: (t, bands) -> (1, features, columns)."""
        around = self.edge_columns * self.frames_per_column
        at_once = _FRAMES_AT_ONCE // self.frames_per_column * self.frames_per_column
        found = []
        for begin in range(0, len(x) // self.frames_per_column * self.frames_per_column, at_once):
            first = max(begin - around, 0)
            columns = self.columns(x[None, first : begin + at_once + around])
            skipped = (begin - first) // self.frames_per_column
            found.append(columns[:, :, skipped : skipped + at_once // self.frames_per_column])
        return torch.cat(found, dim=2)

    def features(self, columns: torch.Tensor) -> torch.Tensor:
        """Returns the features (n, k) of windows' columns (n, k, columns)."""
        return self._backbone.over_time(columns)

    def _input(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(1)
        if self._backbone.input_pooling > 1:
            x = functional.avg_pool2d(x, self._backbone.input_pooling)
        return x.to(self._dtype)


def _gathered(columns: torch.Tensor, starts: torch.Tensor, frames: int, frames_per_column: int) -> torch.Tensor:
    """Returns the windows' columns out of those of all frames: (1, k, all) -> (n, k, columns)."""
    steps = torch.arange(frames // frames_per_column, device=columns.device)
    return columns[0].T[(starts // frames_per_column)[:, None] + steps].transpose(1, 2)


class WindowScorer:
    """A head's logits for patches, and for all windows of a log-mel; the network as it is when this is made.

    `windows` is how they are done: as asked for, or "sliding" where a window has too few columns, or the backbone a
    layer whose columns are not known.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        *,
        frames: int,
        windows: Windows,
        bfloat16: bool,
        device: torch.device,
    ) -> None:
        backbone, self._head = backbone.to(device), copy.deepcopy(head).eval().float().to(device)
        self._folded = Folded(backbone, dtype=torch.bfloat16 if bfloat16 else torch.float32)
        self._frames, self._device = frames, device
        unit, edge = self._folded.frames_per_column, self._folded.edge_columns
        possible = self._folded.shareable and frames % unit == 0 and (windows == "dense" or 2 * edge * unit <= frames)
        self.windows: Windows = windows if possible else "sliding"
        # So many frames before and after its windows count, where a log-mel is given in parts.
        self.context_frames = edge * unit if self.windows == "dense" else 0

    @torch.inference_mode()
    def __call__(self, patches: Floats) -> Floats:
        """Returns the logits (n, outputs) of normalised patches (n, frames, bands)."""
        parts = (patches[at : at + _PATCHES_AT_ONCE] for at in range(0, len(patches), _PATCHES_AT_ONCE))
        return np.concatenate([self._logits(self._folded.columns(self._tensor(part))) for part in parts])

    @torch.inference_mode()
    def of_windows(self, log_mel: Floats, starts: Integers) -> Floats:
        """Returns the logits (n, outputs) of the windows that begin at `starts` (n,) of a log-mel (t, bands)."""
        if self.windows == "dense":
            return self._dense(log_mel, starts)
        if self.windows == "sliding":
            return self(np.stack([log_mel[start : start + self._frames] for start in starts]))
        logits: dict[int, Floats] = {}
        for run in self._runs(starts):
            part = self._tensor(log_mel[run[0] : run[-1] + self._frames])
            columns = self._folded.columns_of_windows(part, run - run[0], frames=self._frames)
            logits |= zip(run.tolist(), self._logits(columns), strict=True)
        return np.stack([logits[start] for start in starts.tolist()])

    def passes(self, starts: Integers) -> float:
        """Returns what the windows that begin at `starts` (n,) cost, in patches that go through the convolutions."""
        if self.windows == "sliding":
            return float(len(starts))
        if self.windows == "dense":
            return float(starts[-1] + self._frames) / self._frames
        runs = list(self._runs(starts))
        shared = sum(int(run[-1] - run[0]) + self._frames for run in runs)
        return (shared + self._folded.edge_frames * sum(len(run) - 1 for run in runs)) / self._frames

    def _runs(self, starts: Integers) -> Iterator[Integers]:
        """Yields windows that share a pass: a whole number of columns apart, and so near that sharing pays."""
        unit, farthest = self._folded.frames_per_column, self._frames - self._folded.edge_frames
        for rest in range(unit):
            alike = np.unique(starts[starts % unit == rest])
            first = 0
            for at, (before, after) in enumerate(pairwise(alike), start=1):
                if after - before > farthest or after - alike[first] > _FRAMES_AT_ONCE // 2:
                    yield alike[first:at]
                    first = at
            if len(alike):
                yield alike[first:]

    def _dense(self, log_mel: Floats, starts: Integers) -> Floats:
        columns = self._folded.columns_of_all(self._tensor(log_mel))
        places, unit, some = torch.from_numpy(starts).to(self._device), self._folded.frames_per_column, _WINDOWS_AT_ONCE
        parts = (places[at : at + some] for at in range(0, len(places), some))
        return np.concatenate([self._logits(_gathered(columns, part, self._frames, unit)) for part in parts])

    def _logits(self, columns: torch.Tensor) -> Floats:
        return np.asarray(self._head.logits(self._folded.features(columns)).cpu())

    def _tensor(self, array: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def student_scorer(
    network: TeacherStudent,
    device: torch.device,
    *,
    frames: int,
    windows: Windows = "exact",
    bfloat16: bool | None = None,
) -> WindowScorer:
    """Returns the student h of a network as a scorer, as it is now; `bfloat16` None: in the network's arithmetic."""
    return WindowScorer(
        network.backbone,
        network.student,
        frames=frames,
        windows=windows,
        bfloat16=network.mixed_precision if bfloat16 is None else bfloat16,
        device=device,
    )


def teacher_scorer(network: TeacherStudent, device: torch.device, *, frames: int) -> WindowScorer:
    """Returns the teacher g of a network as a scorer, as it is now, in the network's arithmetic."""
    return WindowScorer(
        network.backbone,
        network.teacher,
        frames=frames,
        windows="exact",
        bfloat16=network.mixed_precision,
        device=device,
    )
