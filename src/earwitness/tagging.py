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
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from . import audio, augment, checkpoint, corpus, logmel, patches
from .errors import EarwitnessError
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


class Tagged(NamedTuple):
    """What became of a file: its scores (classes,) float64 in vocabulary order, or the error that says why not."""

    path: Path
    scores: NDArray[np.float64] | None
    error: EarwitnessError | None


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

    def scores_of_log_mel(self, log_mel: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a trimmed clip's log-mel (frames, bands) in dB."""
        size, hop = self.recipe.patches.frames, self.recipe.tagging.hop_frames
        normal = logmel.normalise(np.asarray(log_mel, np.float32), self._mean, self._std)
        plain = patches.windows(normal, frames=size, hop=hop)
        passes = [plain, *self._augmented(plain, log_mel)]
        scores = np.concatenate([self._patch_scores(one) for one in passes])
        return np.asarray(scores.mean(axis=0))

    def scores(self, waveform: Floats) -> NDArray[np.float64]:
        """Returns the scores (classes,) of a waveform (samples,) at the recipe's sampling rate, untrimmed."""
        return self.scores_of_log_mel(corpus.log_mel_of(waveform, self.recipe.features))

    def tag(self, path: str | Path) -> dict[str, float]:
        """Returns a file's classes with their scores in [0, 1], the highest first. AudioError if it can't be read."""
        scores = self.scores(self._read(Path(path)))
        order = np.argsort(-scores, kind="stable")
        return {self.vocabulary.names[index]: float(scores[index]) for index in order}

    def tag_many(self, paths: Iterable[str | Path]) -> Iterator[Tagged]:
        """Yields every file's scores in the order given; a bad file yields its error, and the rest go on.

        The next files are decoded while one is scored; memory does not grow with their number.
        """
        for path, log_mel in self._read_ahead(Path(path) for path in paths):
            try:
                yield Tagged(path, self.scores_of_log_mel(log_mel.result()), None)
            except EarwitnessError as error:
                yield Tagged(path, None, error)

    def _read(self, path: Path) -> Floats:
        return audio.read(path, sample_rate_hz=self.recipe.features.sample_rate_hz)

    def _read_ahead(self, paths: Iterator[Path]) -> Iterator[tuple[Path, Future[Floats]]]:
        def log_mel(path: Path) -> Floats:
            return corpus.log_mel_of(self._read(path), self.recipe.features)

        with ThreadPoolExecutor(1) as pool:
            queue = deque((path, pool.submit(log_mel, path)) for path in islice(paths, _READ_AHEAD))
            while queue:
                yield queue.popleft()
                queue.extend((path, pool.submit(log_mel, path)) for path in islice(paths, 1))

    def _augmented(self, plain: Floats, log_mel: NDArray[np.floating]) -> Iterator[Floats]:
        """Yields the further passes of Eq. 6, each with masks of its own, seeded by the clip's content."""
        repeats = extra_passes(len(plain)) if self.recipe.tagging.augment_short else 0
        if not repeats:
            return
        rng = np.random.default_rng(_content_seed(log_mel))
        settings = self.recipe.augmentation.spec_augment()
        for _ in range(repeats):
            yield augment.spec_augment(rng, plain, **settings)

    def _patch_scores(self, windows: Floats) -> NDArray[np.float64]:
        """Returns every window's scores (n, classes), its reversal averaged in where the classes are doubled."""
        forward = self._logits(windows)
        backward = self._logits(windows[:, ::-1]) if self.recipe.augmentation.reversal else None
        return combine(forward, backward, classes=len(self.vocabulary))

    def _logits(self, windows: Floats) -> Floats:
        chunks = (np.ascontiguousarray(windows[at : at + _CHUNK]) for at in range(0, len(windows), _CHUNK))
        return np.concatenate([self._scorer(chunk) for chunk in chunks])


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


def _content_seed(log_mel: NDArray[np.floating]) -> int:
    content = np.ascontiguousarray(log_mel, dtype=np.float32).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _sigmoid(logits: Floats) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
