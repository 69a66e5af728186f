"""The tagger: waveforms, files and folders in, one score a class out.

Report: section 2.7. A clip is scored by itself, its windows in chunks of a fixed size and its masks seeded by its own
content, so that its scores are the same alone, in any order, and on every run.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from . import augment, checkpoint, corpus, logmel, patches
from .errors import EarwitnessError, ModelError
from .labels import Vocabulary
from .network import TeacherStudent
from .recipe import Recipe

Floats: TypeAlias = NDArray[np.float32]
# (n, frames, bands) float32 normalised patches -> (n, outputs) logits.
Scorer: TypeAlias = Callable[[Floats], Floats]

# Eq. 6: how many further, SpecAugmented passes a clip of 1, 2, ... 7 windows gets.
_EXTRA_PASSES = (9, 5, 3, 2, 2, 1, 1)
_CHUNK = 32
_READ_AHEAD = 4
_Read = TypeVar("_Read")


class Tagged(NamedTuple):
    """What became of a file: its scores (classes,) float64 in vocabulary order, or the error that says why not."""

    path: Path
    scores: NDArray[np.float64] | None
    error: EarwitnessError | None


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
    """Scores sound with a scorer: any callable from normalised patches to logits.

    `mean` and `std` (bands,) are the normalisation the scorer was trained with. `digest` tells models apart; it is
    empty for a tagger that was not loaded from a folder.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        vocabulary: Vocabulary,
        recipe: Recipe,
        mean: Floats,
        std: Floats,
        digest: str = "",
    ) -> None:
        self.vocabulary, self.recipe, self.digest = vocabulary, recipe, digest
        self._scorer, self._mean, self._std = scorer, mean, std

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> Self:
        """Opens a model folder. `device` as torch names it; a GPU where there is one, else the CPU. ModelError."""
        config = checkpoint.load_config(Path(folder))
        network = checkpoint.load_network(Path(folder), config)
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = network.on(target)
        return cls(
            student_scorer(network, target),
            vocabulary=config.vocabulary,
            recipe=config.recipe,
            mean=config.mean,
            std=config.std,
            digest=checkpoint.model_digest(Path(folder)),
        )

    def with_hop(self, frames: int) -> "Tagger":
        """Returns this tagger with its windows so many frames apart, whatever its recipe says."""
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

    def scores_of_log_mel(self, log_mel: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a trimmed clip's log-mel (frames, bands) in dB.

        It is rounded to float16 as those of a store are, so that a file and its copy in a store score the same.
        ModelError where the scores are not finite.
        """
        size, hop = self.recipe.patches.frames, self.recipe.tagging.hop_frames
        kept = np.asarray(log_mel, np.float16)
        normal = logmel.normalise(kept, self._mean, self._std)
        starts = patches.window_starts(len(normal), frames=size, hop=hop)
        # A few windows at a time: those of an hour of sound together fill gigabytes.
        chunks = (starts[at : at + _CHUNK] for at in range(0, len(starts), _CHUNK))
        windows = (np.stack([patches.apply_crop(normal, start, frames=size) for start in chunk]) for chunk in chunks)
        repeats = extra_passes(len(starts)) if self.recipe.tagging.augment_short else 0
        batches = [self._with_augmented(next(windows), kept, repeats)] if repeats else windows
        scores = np.concatenate([self._patch_scores(batch) for batch in batches]).mean(axis=0)
        if not np.isfinite(scores).all():
            raise ModelError("the model's scores are not finite: its weights are damaged; copy it anew, or train again")
        return np.asarray(scores)

    def scores(self, waveform: Floats) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a waveform (samples,) at the recipe's sampling rate, untrimmed.

        ValueError for a waveform of more than one dimension, and for samples that are not numbers.
        """
        samples = np.asarray(waveform, np.float32)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise ValueError(f"a waveform is (samples,) of finite numbers; this one has shape {samples.shape}")
        return self.scores_of_log_mel(corpus.log_mel_of(samples, self.recipe.features))

    def tag(self, path: str | Path) -> dict[str, float]:
        """Returns a file's classes with their scores in [0, 1], the highest first. AudioError if it can't be read."""
        log_mel, _ = corpus.read(Path(path), self.recipe.features)
        return best_first(self.scores_of_log_mel(log_mel), self.vocabulary)

    def tag_many(self, paths: Iterable[str | Path]) -> Iterator[Tagged]:
        """Yields every file's scores in the order given; a bad file yields its error, and the rest go on.

        The next files are decoded while one is scored; memory does not grow with their number.
        """
        yield from tag_each(paths, lambda path: corpus.read(path, self.recipe.features)[0], self.scores_of_log_mel)

    def _with_augmented(self, plain: Floats, log_mel: NDArray[np.float16], repeats: int) -> Floats:
        """Returns the windows of all passes of Eq. 6: plain, then `repeats` times with masks seeded by the content."""
        rng = np.random.default_rng(_content_seed(log_mel))
        settings = self.recipe.augmentation.spec_augment()
        return np.concatenate([plain, *(augment.spec_augment(rng, plain, **settings) for _ in range(repeats))])

    def _patch_scores(self, windows: Floats) -> NDArray[np.float64]:
        """Returns every window's scores (n, classes), its reversal averaged in where the classes are doubled."""
        forward = self._logits(windows)
        backward = self._logits(windows[:, ::-1]) if self.recipe.augmentation.reversal else None
        return combine(forward, backward, classes=len(self.vocabulary))

    def _logits(self, windows: Floats) -> Floats:
        return self._scorer(np.ascontiguousarray(windows))


def best_first(scores: NDArray[np.float64], vocabulary: Vocabulary) -> dict[str, float]:
    """Returns the classes with their scores (classes,), the highest first."""
    return {vocabulary.names[index]: float(scores[index]) for index in np.argsort(-scores, kind="stable")}


def tag_each(
    paths: Iterable[str | Path], read: Callable[[Path], _Read], score: Callable[[_Read], NDArray[np.float64]]
) -> Iterator[Tagged]:
    """Yields what becomes of every file when it is read and then scored; the next are read while one is scored."""
    for path, reading in _read_ahead((Path(path) for path in paths), read):
        try:
            tagged = Tagged(path, score(reading.result()), None)
        except EarwitnessError as error:
            tagged = Tagged(path, None, error)
        yield tagged


def _read_ahead(paths: Iterator[Path], read: Callable[[Path], _Read]) -> Iterator[tuple[Path, Future[_Read]]]:
    pool = ThreadPoolExecutor(1)
    try:
        queue = deque((path, pool.submit(read, path)) for path in islice(paths, _READ_AHEAD))
        while queue:
            yield queue.popleft()
            queue.extend((path, pool.submit(read, path)) for path in islice(paths, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def student_scorer(network: TeacherStudent, device: torch.device) -> Scorer:
    """Returns the student h of a network as a scorer."""
    return _scorer(network.student_logits, device)


def teacher_scorer(network: TeacherStudent, device: torch.device) -> Scorer:
    """Returns the teacher g of a network as a scorer."""
    return _scorer(network.teacher_logits, device)


def _scorer(logits: Callable[[torch.Tensor], torch.Tensor], device: torch.device) -> Scorer:

    def score(windows: Floats) -> Floats:
        return np.asarray(logits(torch.from_numpy(windows).to(device)).float().cpu())

    return score


def _content_seed(log_mel: NDArray[np.float16]) -> int:
    return int.from_bytes(hashlib.blake2b(log_mel.tobytes(), digest_size=8).digest(), "little")


def _sigmoid(logits: Floats) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # infinity, whose inverse is the 0 that is meant
        return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
