"""The tagger: waveforms, files and folders in, one score a class out.

Report: section 2.7. A clip is scored by itself, its windows in chunks of a fixed size and its masks seeded by its own
content, so that its scores are the same alone, in any order, and on every run.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeAlias, TypeVar, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from . import (
    audio,
    augment,
    decoding,
    devices,
    events,
    logmel,
    longsound,
    onnxmodel,
    patches,
    streaming,
    surroundings,
    thresholds,
)
from .ahead import ahead
from .errors import EarwitnessError, ModelError
from .events import Event
from .labels import Vocabulary
from .longsound import LogMel
from .model import ModelConfig, load_config, model_digest
from .recipe import Features, Precision, Recipe, Windows
from .thresholds import Least

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
# (n, frames, bands) float32 normalised patches -> (n, outputs) logits.
Scorer: TypeAlias = Callable[[Floats], Floats]

# Eq. 6: how many further, SpecAugmented passes a clip of 1, 2, ... 7 windows gets.
_EXTRA_PASSES = (9, 5, 3, 2, 2, 1, 1)
# So many patches are given to a scorer at once, and so many windows of a clip are under way: memory stays flat.
_PATCHES_AT_ONCE = 32
_WINDOWS_AT_ONCE = 1024
_READ_AHEAD = 4
_Read = TypeVar("_Read")
_Found = TypeVar("_Found")


class Tagged(NamedTuple):
    """What became of a file: its scores (classes,) float64 in vocabulary order, or the error that says why not."""

    path: Path
    scores: NDArray[np.float64] | None
    error: EarwitnessError | None


class Timed(NamedTuple):
    """What became of a file: what is heard in it from when to when, or the error that says why not."""

    path: Path
    events: list[Event] | None
    error: EarwitnessError | None


@runtime_checkable
class ScoresWindows(Protocol):
    """A scorer that does all windows of a log-mel in its own way, beside patches (`windowed.WindowScorer`).

    `windows` names the way. Where a log-mel is given in parts, `context_frames` more frames on both sides of a part's
    windows count; parts begin at multiples of it.
    """

    windows: Windows
    context_frames: int

    def __call__(self, patches: Floats) -> Floats:
        """Returns the logits (n, outputs) of normalised patches (n, frames, bands)."""

    def of_windows(self, log_mel: Floats, starts: Integers) -> Floats:
        """Returns the logits (n, outputs) of the windows that begin at `starts` (n,) of a log-mel (t, bands)."""


class Sliding:
    """Any scorer as one that does windows: each by itself, a few at a time."""

    windows: Windows = "sliding"
    context_frames = 0

    def __init__(self, scorer: Scorer, *, frames: int) -> None:
        self._scorer, self._frames = scorer, frames

    def __call__(self, patches: Floats) -> Floats:
        return self._scorer(np.ascontiguousarray(patches))

    def of_windows(self, log_mel: Floats, starts: Integers) -> Floats:
        # A few windows at a time: those of an hour of sound together fill gigabytes.
        chunks = (starts[at : at + _PATCHES_AT_ONCE] for at in range(0, len(starts), _PATCHES_AT_ONCE))
        return np.concatenate(
            [self._scorer(np.stack([log_mel[start : start + self._frames] for start in chunk])) for chunk in chunks]
        )


class ShortByOne:
    """Two scorers as one: short clips by the first, which is soon at hand, all others by a second that takes a while.

    `open_second` is called when a clip comes that has more windows than the clips that Eq. 6 has further passes for.
    """

    context_frames = 0

    def __init__(
        self, first: Scorer, open_second: Callable[[], ScoresWindows], *, windows: Windows, frames: int
    ) -> None:
        self._first, self._open_second, self.windows = Sliding(first, frames=frames), open_second, windows
        self._second: ScoresWindows | None = None

    def __call__(self, patches: Floats) -> Floats:
        return self._first(patches)

    def of_windows(self, log_mel: Floats, starts: Integers) -> Floats:
        if len(starts) <= len(_EXTRA_PASSES):
            return self._first.of_windows(log_mel, starts)
        if self._second is None:
            self._second = self._open_second()
        return self._second.of_windows(log_mel, starts)


class TagsFiles(Protocol):
    """Whatever tags files: a `Tagger`, or several of them as one. `digest` tells its scores from those of others."""

    vocabulary: Vocabulary
    digest: str

    def tag_many(self, paths: Iterable[str | Path]) -> Iterator[Tagged]:
        """Yields every file's scores in the order given; a bad file yields its error, and the rest go on."""


def extra_passes(windows: int) -> int:
    """Returns k, the further passes with SpecAugment for a clip of so many windows. Report: Eq. 6."""
    return _EXTRA_PASSES[windows - 1] if windows <= len(_EXTRA_PASSES) else 0


def combine(forward: Floats, backward: Floats | None, *, classes: int) -> NDArray[np.float64]:
    """Returns each patch's scores (n, classes) from the logits of Z-hat and of the reversed Z-tilde.

    Report: section 2.7. The mean of the original half for Z-hat and of the reversed half for Z-tilde, both as sigmoids
    in float64, where they do not saturate into ties. Without doubled classes `backward` is None.
    """
    original = _sigmoid(forward[:, :classes])
    return original if backward is None else 0.5 * (original + _sigmoid(backward[:, classes:]))


class Tagger:
    """Scores sound with a scorer: any callable from normalised patches to logits, or one that also does windows.

    `mean` and `std` (bands,) are the normalisation the scorer was trained with. `digest` tells models apart; it is
    empty for a tagger that was not loaded from a folder.
    """

    def __init__(
        self,
        scorer: Scorer | ScoresWindows,
        *,
        vocabulary: Vocabulary,
        recipe: Recipe,
        mean: Floats,
        std: Floats,
        digest: str = "",
    ) -> None:
        self.vocabulary, self.recipe, self.digest = vocabulary, recipe, digest
        self._mean, self._std = mean, std
        self._scorer: ScoresWindows = (
            scorer if isinstance(scorer, ScoresWindows) else Sliding(scorer, frames=recipe.patches.frames)
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | None = None,
        windows: Windows = "exact",
        precision: Precision = "float32",
        threads: int | None = None,
    ) -> Self:
        """Opens a model folder. `device` as torch names it; None: a GPU where there is one, else the CPU. ModelError.

        ValueError for a device that is not there, and for other values than those below.

        `windows` "sliding" scores every window by itself, "exact" gives the same scores from one pass over the clip,
        "dense" is faster still and differs a little. `precision` is the network's arithmetic; "auto" is bfloat16 where
        the machine is fast in it. `threads` limits all of torch, and the ONNX file's session; None changes nothing.

        Where that is the CPU, and the folder has an ONNX file of these weights (`onnxmodel`), short clips are scored by
        it, and torch is imported when the first longer one comes.
        """
        _refuse_unknown("windows", windows, get_args(Windows))
        _refuse_unknown("precision", precision, get_args(Precision))
        if threads is not None and threads < 1:
            raise ValueError(f"threads is 1 or more, or None for what torch takes, not {threads}")
        config = load_config(Path(folder))
        scorer, marks = _scorer_of(Path(folder), config, device, windows, precision, threads)
        return cls(
            scorer,
            vocabulary=config.vocabulary,
            recipe=config.recipe,
            mean=config.mean,
            std=config.std,
            digest="-".join([model_digest(Path(folder)), *marks]),
        )

    @property
    def windows(self) -> Windows:
        """How windows are done: as asked for, or "sliding" where the network has no other way."""
        return self._scorer.windows

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the sound that the model hears; files, and waveforms at other rates, are resampled to it."""
        return self.recipe.features.sample_rate_hz

    def with_hop(self, frames: int) -> "Tagger":
        """Returns this tagger with its windows so many frames apart, whatever its recipe says. ValueError below 1."""
        if not isinstance(frames, int | np.integer) or frames < 1:
            raise ValueError(f"windows are a whole number of frames apart, 1 or more, not {frames!r}")
        if frames == self.recipe.tagging.hop_frames:
            return self
        tagging = self.recipe.tagging.model_copy(update={"hop_frames": frames})
        return Tagger(
            self._scorer,
            vocabulary=self.vocabulary,
            recipe=self.recipe.model_copy(update={"tagging": tagging}),
            mean=self._mean,
            std=self._std,
            digest=self.digest and f"{self.digest}-hop{frames}",
        )

    def scores_of_log_mel(self, log_mel: LogMel) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a trimmed clip's log-mel (frames, bands) in dB.

        It is rounded to float16 as those of a store are, so that a file and its copy in a store score the same.
        ModelError where the scores are not finite, ValueError for a log-mel of no frame or of other bands.
        """
        starts = self._starts(log_mel)
        total, count = np.zeros(len(self.vocabulary)), len(starts)
        for part, begins in self._parts(log_mel, starts):
            total += self._window_scores(part, begins).sum(axis=0)
        repeats = extra_passes(len(starts)) if self.recipe.tagging.augment_short else 0
        if repeats:
            masked = self._masked(np.asarray(log_mel[:], np.float16), starts, repeats)
            total, count = total + self._patch_scores(masked).sum(axis=0), count * (1 + repeats)
        _refuse_damaged(total)
        return np.asarray(total / count)

    def scores_over_time(self, log_mel: LogMel) -> tuple[Integers, NDArray[np.float64]]:
        """Returns the first frame of every window of a log-mel, (n,), and the windows' scores (n, classes).

        Each window's own, without the further passes for short clips. Errors as `scores_of_log_mel`.
        """
        starts = self._starts(log_mel)
        scores = np.concatenate([self._window_scores(part, begins) for part, begins in self._parts(log_mel, starts)])
        _refuse_damaged(scores)
        return starts, scores

    def scores_of_windows(self, windows: Floats) -> NDArray[np.float64]:
        """Returns the scores (n, classes) of windows (n, frames, bands) in dB, each by itself. ModelError as above."""
        scores = self._patch_scores(self._rounded_and_normal(windows))
        _refuse_damaged(scores)
        return scores

    def stream(
        self, *, sample_rate_hz: float | None = None, memory_seconds: float = streaming.MEMORY_SECONDS
    ) -> streaming.Stream:
        """Returns what scores a sound while it comes: `feed` it chunks at `sample_rate_hz` (None: the model's own).

        Windows are as in files, without trimming, and relative to the loudest moment of the last `memory_seconds`, as
        `streaming.Stream` has it.
        ValueError for a rate outside 1 kHz to 10 MHz, and for less memory than a window.
        """
        rate_hz = self.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
        audio.refuse_rate(rate_hz)
        return streaming.Stream(
            self.scores_of_windows, self.recipe.features,
            frames=self.recipe.patches.frames, hop=self.recipe.tagging.hop_frames,
            rate_hz=rate_hz, memory_seconds=memory_seconds,
        )  # fmt: skip

    def scores(self, waveform: Floats, *, sample_rate_hz: float | None = None) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a waveform (samples,), untrimmed; `sample_rate_hz` None: the model's own.

        One at another rate is resampled, as a file is. ValueError for a waveform of more than one dimension, for
        samples that are not numbers, and for a rate outside 1 kHz to 10 MHz.
        """
        rate_hz = self.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
        return self.scores_of_log_mel(log_mel_of_waveform(waveform, rate_hz, self.recipe.features))

    def tag(self, path: str | Path) -> dict[str, float]:
        """Returns a file's classes with their scores in [0, 1], the highest first. AudioError if it can't be read."""
        log_mel = longsound.read(Path(path), self.recipe.features)
        return best_first(self.scores_of_log_mel(log_mel), self.vocabulary)

    def events(
        self,
        path: str | Path,
        *,
        least: Least = thresholds.DEFAULT,
        around_seconds: float = surroundings.AROUND_SECONDS,
    ) -> list[Event]:
        """Returns from when to when each class is heard in a file: runs of windows that score at least `least`.

        least: one score, or (classes,) of them. A window speaks for what lies nearer to its middle than to its
        neighbours', so seconds are as fine as windows are apart. Sound is relative to the loudest moment of so many
        seconds around it, as `surroundings` has it; `math.inf`: of all the file, as in `tag`. AudioError if the file
        can't be read; ValueError for a score outside 0 to 1, for another number of them, and for seconds below 0.
        """
        reads = self._reads_for_events(around_seconds)
        scores = thresholds.require(least, len(self.vocabulary))
        return self._events_of(reads(Path(path)), scores)

    def events_many(
        self,
        paths: Iterable[str | Path],
        *,
        least: Least = thresholds.DEFAULT,
        around_seconds: float = surroundings.AROUND_SECONDS,
    ) -> Iterator[Timed]:
        """Yields every file's events in the order given, as `tag_many` its scores. ValueError as `events`."""
        reads = self._reads_for_events(around_seconds)
        scores = thresholds.require(least, len(self.vocabulary))
        for found in _each(paths, reads, lambda sound: self._events_of(sound, scores)):
            yield Timed(*found)

    def _reads_for_events(self, around_seconds: float) -> Callable[[Path], longsound.Sound]:
        if not around_seconds >= 0:  # nor any number at all
            raise ValueError(f"around_seconds is a number of seconds, 0 or more, not {around_seconds}")
        return partial(longsound.read_sound, features=self.recipe.features, around_seconds=around_seconds)

    def _events_of(self, sound: longsound.Sound, least: NDArray[np.float64]) -> list[Event]:
        starts, scores = self.scores_over_time(sound.log_mel)
        features, length = self.recipe.features, len(sound.log_mel)
        frames = events.stretches(starts, frames=self.recipe.patches.frames, length=length)
        seconds = (frames * features.hop_length + sound.trimmed_samples) / features.sample_rate_hz
        return events.found(scores, seconds, self.vocabulary.names, least=least)

    def _starts(self, log_mel: LogMel) -> Integers:
        _refuse_other_shape(log_mel, bands=len(self._mean))
        size, hop = self.recipe.patches.frames, self.recipe.tagging.hop_frames
        return patches.window_starts(len(log_mel), frames=size, hop=hop)

    def tag_many(self, paths: Iterable[str | Path]) -> Iterator[Tagged]:
        """Yields every file's scores in the order given; a bad file yields its error, and the rest go on.

        The next files are decoded while one is scored; memory does not grow with their number. TypeError for one path
        that is in no list.
        """
        yield from tag_each(paths, lambda path: longsound.read(path, self.recipe.features), self.scores_of_log_mel)

    def _normal(self, log_mel: NDArray[np.floating]) -> Floats:
        """Returns frames as the scorer gets them: rounded, normalised, and repeat-padded to a patch."""
        normal = self._rounded_and_normal(log_mel)
        return np.asarray(patches.repeat_pad(normal, frames=self.recipe.patches.frames), np.float32)

    def _rounded_and_normal(self, log_mel: NDArray[np.floating]) -> Floats:
        """Returns a log-mel (..., bands) rounded as in a store, and normalised."""
        return logmel.normalise(np.asarray(log_mel, np.float16), self._mean, self._std)

    def _parts(self, log_mel: LogMel, starts: Integers) -> Iterator[tuple[Floats, Integers]]:
        """Yields normalised parts of a log-mel, a bounded number of windows each, and where these begin in them."""
        context = self._scorer.context_frames
        for at in range(0, len(starts), _WINDOWS_AT_ONCE):
            chunk = starts[at : at + _WINDOWS_AT_ONCE]
            first = max(int(chunk[0]) - context, 0)
            first -= first % context if context else 0
            last = int(chunk[-1]) + self.recipe.patches.frames + context
            yield self._normal(log_mel[first:last]), chunk - first

    def _window_scores(self, log_mel: Floats, starts: Integers) -> NDArray[np.float64]:
        """Returns the scores (n, classes) of a log-mel's windows, their reversal averaged in where classes are doubled.

        The windows of the reversed log-mel are the reversed windows, so they share a pass just as well.
        """
        forward, backward = self._scorer.of_windows(log_mel, starts), None
        if self.recipe.augmentation.reversal:
            reversed_starts = len(log_mel) - self.recipe.patches.frames - starts
            backward = self._scorer.of_windows(log_mel[::-1], reversed_starts)
        return combine(forward, backward, classes=len(self.vocabulary))

    def _masked(self, log_mel: NDArray[np.float16], starts: Integers, repeats: int) -> Floats:
        """Returns the windows of the further passes of Eq. 6, with masks that are seeded by the content.

        They share no pass: a frequency mask changes every column of its window, and each window has masks of its own.
        """
        rng, normal = np.random.default_rng(_content_seed(log_mel)), self._normal(log_mel)
        plain = np.stack([patches.apply_crop(normal, start, frames=self.recipe.patches.frames) for start in starts])
        settings = self.recipe.augmentation.spec_augment()
        return np.concatenate([augment.spec_augment(rng, plain, **settings) for _ in range(repeats)])

    def _patch_scores(self, windows: Floats) -> NDArray[np.float64]:
        """Returns each patch's scores (n, classes), its reversal averaged in where the classes are doubled."""
        forward = self._scorer(windows)
        backward = self._scorer(windows[:, ::-1]) if self.recipe.augmentation.reversal else None
        return combine(forward, backward, classes=len(self.vocabulary))


def _scorer_of(
    folder: Path,
    config: ModelConfig,
    device: str | None,
    windows: Windows,
    precision: Precision,
    threads: int | None,
) -> tuple[ScoresWindows, list[str]]:
    """Returns a model's student as a scorer, and what marks its scores where they are not quite the model's own."""
    path = onnxmodel.found_in(folder) if windows != "dense" and precision == "float32" else None
    if path and (device == "cpu" or (device is None and not devices.gpu_found())):
        short = onnxmodel.OnnxScorer(path, threads=threads)
        if short.digest == model_digest(folder):
            frames = config.recipe.patches.frames

            def open_torch() -> ScoresWindows:
                return _torch_scorer(folder, config, device, windows, precision, threads)[0]

            return ShortByOne(short, open_torch, windows=windows, frames=frames), ["onnx"]
    return _torch_scorer(folder, config, device, windows, precision, threads)


def _torch_scorer(
    folder: Path,
    config: ModelConfig,
    device: str | None,
    windows: Windows,
    precision: Precision,
    threads: int | None,
) -> tuple[ScoresWindows, list[str]]:
    import torch

    from . import checkpoint, windowed

    if threads:
        torch.set_num_threads(threads)
    target = devices.named(device) if device else devices.best()
    bfloat16 = devices.in_bfloat16(precision, target)
    network = checkpoint.load_network(folder, config)
    frames = config.recipe.patches.frames
    scorer = windowed.student_scorer(network, target, frames=frames, windows=windows, bfloat16=bfloat16)
    return scorer, ["dense"] * (scorer.windows == "dense") + ["bfloat16"] * bfloat16


def _refuse_damaged(scores: NDArray[np.float64]) -> None:
    if not np.isfinite(scores).all():
        raise ModelError("the model's scores are not finite: its weights are damaged; copy it anew, or train again")


def _refuse_unknown(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")


def _refuse_other_shape(log_mel: LogMel, *, bands: int) -> None:
    """Raises ValueError for an array that is no (frames, bands); a long file's log-mel is one by its making."""
    if isinstance(log_mel, np.ndarray) and (log_mel.ndim != 2 or not len(log_mel) or log_mel.shape[1] != bands):
        raise ValueError(f"a log-mel is (frames, {bands}) of at least one frame; this one has shape {log_mel.shape}")


def log_mel_of_waveform(waveform: Floats, rate_hz: float, features: Features) -> Floats:
    """Returns the log-mel (frames, bands) of a waveform (samples,) at any rate. ValueError as `Tagger.scores`."""
    return decoding.log_mel_of(
        audio.resample(audio.waveform_of(waveform), rate_hz, sample_rate_hz=features.sample_rate_hz), features
    )


def best_first(scores: NDArray[np.float64], vocabulary: Vocabulary) -> dict[str, float]:
    """Returns the classes with their scores (classes,), the highest first."""
    return {vocabulary.names[index]: float(scores[index]) for index in np.argsort(-scores, kind="stable")}


def tag_each(
    paths: Iterable[str | Path], read: Callable[[Path], _Read], score: Callable[[_Read], NDArray[np.float64]]
) -> Iterator[Tagged]:
    """Yields what becomes of every file when it is read and then scored; the next are read while one is scored."""
    yield from (Tagged(*found) for found in _each(paths, read, score))


def _each(
    paths: Iterable[str | Path], read: Callable[[Path], _Read], score: Callable[[_Read], _Found]
) -> Iterator[tuple[Path, _Found | None, EarwitnessError | None]]:
    if isinstance(paths, str | Path):  # else text would be taken for paths of one letter each
        raise TypeError(f"paths are several, and {str(paths)!r} is one: put it into a list, or give it to tag")
    for path, reading in ahead(map(Path, paths), read, count=_READ_AHEAD):
        found: tuple[Path, _Found | None, EarwitnessError | None]
        try:
            found = path, score(reading.result()), None
        except ModelError as error:
            # It knows of no file: what it was given is a log-mel.
            found = path, None, ModelError(f"{path}: {error}")
        except EarwitnessError as error:
            found = path, None, error
        yield found


def _content_seed(log_mel: NDArray[np.float16]) -> int:
    return int.from_bytes(hashlib.blake2b(log_mel.tobytes(), digest_size=8).digest(), "little")


def _sigmoid(logits: Floats) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # infinity, whose inverse is the 0 that is meant
        return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
