"""What is lost where a recording is longer than the clips that a model has learnt from: test clips in one recording.

    python benchmarks/recordings.py RUN/model STORE [--fold N] [--nearer DB] [--gap SECONDS] [--noise DBFS]

The clips come one after the other, up to so many decibels fainter by chance (--nearer), with some seconds of faint pink
noise between any two and a minute of it after every tenth, as of a quiet room. Ways to hear it: relative to the loudest
moment of all of it, as one clip; to that of some seconds around each moment, with the recording's quiet left as it is
(`tag --times`); and as a stream, to that of some seconds before each window's end, with the quiet of the last minutes
left as it is (`listen`). For each: lwlrap of the
means of the windows whose middle lies in a clip, without the further passes for short clips; its difference from `tag
--times`, paired over clips; average precision over all windows and classes, in clips and out of them; and of the
windows within the noise the share in which some class scores 0.5. --fold N takes the curated clips of that fold in
place of the test clips, which a run with the same --fold has not learnt from.
"""

import argparse
import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from earwitness import Tagger, audio, longsound, lwlrap, streaming, surroundings, voices
from earwitness.corpus import Store

AROUND = (math.inf, 60.0, 15.0, surroundings.AROUND_SECONDS, 3.0)
MEMORIES = (3.0, streaming.MEMORY_SECONDS, 30.0, 100.0)
LONG_GAP_SECONDS, CLIPS_BETWEEN = 60.0, 10
Floats = NDArray[np.float64]


class Recording(NamedTuple):
    """Clips and gaps in turns: the sound file, at which seconds each clip begins and ends, and what is true of each."""

    path: Path
    begins: Floats
    ends: Floats
    truth: NDArray[np.float32]


class Heard(NamedTuple):
    """The middles of windows (n,) in seconds, and their scores (n, classes)."""

    middles: Floats
    scores: Floats


def recorded(path: Path, clips: list[NDArray[np.float32]], truth: NDArray[np.float32], given: argparse.Namespace,
             rate_hz: int) -> Recording:  # fmt: skip
    rng, loudness = np.random.default_rng(0), 10 ** (given.noise / 20)
    parts: list[NDArray[np.float32]] = []
    for number, clip in enumerate(clips, 1):
        gap = LONG_GAP_SECONDS if given.gap and not number % CLIPS_BETWEEN else given.gap
        farther = 10 ** (-rng.uniform(0, given.nearer) / 20)
        parts += [farther * clip, loudness * voices.noise(rng, gap, slope_db=-3.0) if gap else clip[:0]]
    edges = np.cumsum([0, *map(len, parts)]) / rate_hz
    soundfile.write(path, np.concatenate(parts), rate_hz, subtype="FLOAT")
    return Recording(path, edges[:-1:2], edges[1::2], truth)


def ways(tagger: Tagger, recording: Recording) -> dict[str, Heard]:
    features, half = tagger.recipe.features, tagger.recipe.patches.frames / 2
    frame_seconds = features.hop_length / features.sample_rate_hz
    found = {}
    for around in AROUND:
        sound = longsound.read_sound(recording.path, features, around_seconds=around)
        starts, scores = tagger.scores_over_time(sound.log_mel)
        begin = sound.trimmed_samples / features.sample_rate_hz
        found[_name(around)] = Heard((starts + half) * frame_seconds + begin, scores)
    waveform = audio.read(recording.path, sample_rate_hz=features.sample_rate_hz)
    for memory in MEMORIES:
        stream = tagger.stream(memory_seconds=memory)
        heard = [*stream.feed(waveform), *stream.finish()]
        starts = np.arange(len(heard)) * tagger.recipe.tagging.hop_frames
        scores = np.stack([one.scores for one in heard])
        found[f"stream, {memory:g} s before"] = Heard((starts + half) * frame_seconds, scores)
    return found


def _name(around_seconds: float) -> str:
    return "as one clip" if math.isinf(around_seconds) else f"{around_seconds:g} s around"


def figures(recording: Recording, heard: Heard, window_seconds: float) -> tuple[Floats, float, float]:
    """Returns the mean scores (clips, classes) of windows in clips, the average precision, and the share of alarms."""
    clip = np.searchsorted(recording.begins, heard.middles, side="right") - 1
    inside = heard.middles < recording.ends[clip]
    sums = np.zeros(recording.truth.shape)
    np.add.at(sums, clip[inside], heard.scores[inside])
    counts = np.maximum(np.bincount(clip[inside], minlength=len(sums)), 1)
    truth = np.where(inside[:, None], recording.truth[clip], 0)
    half, next_begin = window_seconds / 2, np.append(recording.begins[1:], math.inf)[clip]
    quiet = (heard.middles - half >= recording.ends[clip]) & (heard.middles + half <= next_begin)
    alarms = float((heard.scores[quiet].max(axis=1) >= 0.5).mean()) if quiet.any() else math.nan
    return sums / counts[:, None], float(average_precision_score(truth.ravel(), heard.scores.ravel())), alarms


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--nearer", type=float, default=0.0)
    parser.add_argument("--gap", type=float, default=6.0)
    parser.add_argument("--noise", type=float, default=-60.0)
    given = parser.parse_args()
    tagger, store = Tagger.load(given.model, device="cpu"), Store(given.store)
    curated = store.rows("curated")
    chosen = store.rows("test") if given.fold is None else curated[store.folds[curated] == given.fold]
    rows = np.random.default_rng(0).permutation(chosen)
    clips = [audio.read(store.clips[row].path, sample_rate_hz=tagger.sample_rate_hz) for row in rows]
    features, frames = tagger.recipe.features, tagger.recipe.patches.frames
    window_seconds = frames * features.hop_length / features.sample_rate_hz
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recording.wav")
        recording = recorded(path, clips, store.labels[rows], given, tagger.sample_rate_hz)
        found = {way: figures(recording, heard, window_seconds) for way, heard in ways(tagger, recording).items()}
    chosen_way = found[_name(surroundings.AROUND_SECONDS)][0]
    for way, (scores, precision, alarms) in found.items():
        difference, low, high = lwlrap.paired_bootstrap(recording.truth, scores, chosen_way)
        overall = lwlrap.lwlrap(recording.truth, scores).overall
        print(f"{way}: lwlrap {overall:.3f}; {difference:+.3f} ({low:+.3f} to {high:+.3f}); "
              f"AP {precision:.3f}; alarms {alarms:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
