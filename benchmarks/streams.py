"""What is lost where the loudest moment is yet to come: the test clips one after the other, as one stream.

    python benchmarks/streams.py RUN/model STORE [--fold N]

Between two clips lie some seconds of faint pink noise, as of a quiet room. For each way: lwlrap of the means of the
windows whose middle lies in a clip, without the further passes for short clips; its difference from the stream of
`listen`, paired over clips; and of the windows within the noise the share in which some class scores 0.5. The ways: all
as one file, relative to its loudest moment; and streams that remember the loudest moment of so many seconds, of 3 s
only a window's own. --fold N takes the curated clips of that fold in place of the test clips, which a run with the same
--fold has not learnt from.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from earwitness import Tagger, audio, logmel, lwlrap, streaming, voices
from earwitness.corpus import Store

MEMORIES = (3.0, 10.0, 30.0, 100.0, 300.0)
GAP_SECONDS = 6.0
GAP_DBFS = -60.0
Floats = NDArray[np.float64]


class Night(NamedTuple):
    """Clips and gaps in turns: the waveform, and the seconds at which each clip begins and ends."""

    waveform: NDArray[np.float32]
    begins: Floats
    ends: Floats


def night_of(clips: list[NDArray[np.float32]], rate_hz: int) -> Night:
    rng, loudness = np.random.default_rng(0), 10 ** (GAP_DBFS / 20)
    gaps = [loudness * voices.noise(rng, GAP_SECONDS, slope_db=-3.0) for _ in clips]
    begins = np.cumsum([0, *(len(clip) + len(gap) for clip, gap in zip(clips[:-1], gaps, strict=False))])
    ends = begins + [len(clip) for clip in clips]
    return Night(
        np.concatenate([part for pair in zip(clips, gaps, strict=True) for part in pair]),
        begins / rate_hz,
        ends / rate_hz,
    )


def told(night: Night, middles: Floats, scores: Floats, window_seconds: float) -> tuple[Floats, float]:
    """Returns the mean scores (clips, classes) of windows in clips, and the share of alarms among those within gaps."""
    clip = np.searchsorted(night.begins, middles, side="right") - 1
    inside = middles < night.ends[clip]
    sums = np.zeros((len(night.ends), scores.shape[1]))
    np.add.at(sums, clip[inside], scores[inside])
    counts = np.maximum(np.bincount(clip[inside], minlength=len(night.ends)), 1)
    half = window_seconds / 2
    quiet = (middles - half >= night.ends[clip]) & (middles + half <= night.ends[clip] + GAP_SECONDS)
    return sums / counts[:, None], float((scores[quiet].max(axis=1) >= 0.5).mean())


def ways(tagger: Tagger, night: Night) -> dict[str, tuple[Floats, float]]:
    features, frames = tagger.recipe.features, tagger.recipe.patches.frames
    frame_seconds = features.hop_length / features.sample_rate_hz
    starts, scores = tagger.scores_over_time(logmel.log_mel(night.waveform, **features.spectrum()))
    middles = (starts + frames / 2) * frame_seconds
    found = {"all as one file": told(night, middles, scores, frames * frame_seconds)}
    for memory in MEMORIES:
        stream = tagger.stream(memory_seconds=memory)
        heard = [*stream.feed(night.waveform), *stream.finish()]
        found[_name(memory)] = told(night, middles, np.stack([one.scores for one in heard]), frames * frame_seconds)
    return found


def _name(memory_seconds: float) -> str:
    return f"a stream that remembers {memory_seconds:g} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--fold", type=int)
    options = parser.parse_args()
    tagger, store = Tagger.load(options.model, device="cpu"), Store(options.store)
    curated = store.rows("curated")
    chosen = store.rows("test") if options.fold is None else curated[store.folds[curated] == options.fold]
    rows = np.random.default_rng(0).permutation(chosen)
    clips = [audio.read(store.clips[row].path, sample_rate_hz=tagger.sample_rate_hz) for row in rows]
    found, truth = ways(tagger, night_of(clips, tagger.sample_rate_hz)), store.labels[rows]
    for way, (scores, alarms) in found.items():
        difference, low, high = lwlrap.paired_bootstrap(truth, scores, found[_name(streaming.MEMORY_SECONDS)][0])
        overall = lwlrap.lwlrap(truth, scores).overall
        print(f"{way}: {overall:.3f}; {difference:+.3f} ({low:+.3f} to {high:+.3f}); alarms {alarms:.3f}", flush=True)


if __name__ == "__main__":
    main()
