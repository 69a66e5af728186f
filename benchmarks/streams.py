"""What is lost where the loudest moment is yet to come: the test clips one after the other, as one stream.

    python benchmarks/streams.py RUN/model STORE [--fold N]

lwlrap of the means of the windows whose middle lies in a clip, without the further passes for short clips: each clip by
itself; all of them as one file, relative to its loudest moment; as a stream that remembers so many seconds. With each
way's difference from the stream of `listen`, paired over clips. --fold N takes the curated clips of that fold in place
of the test clips, which a run with the same --fold has not learnt from.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness import Tagger, audio, logmel, lwlrap
from earwitness.corpus import Store

OWN = "a stream, each window relative to its own loudest moment"
MEMORIES = (None, 10.0, 30.0, 100.0, 300.0)


def by_clip(
    middles: NDArray[np.float64], scores: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the mean scores (clips, classes) of windows by where their middles lie; clips end at `ends`, in order."""
    clip = np.minimum(np.searchsorted(ends, middles, side="right"), len(ends) - 1)
    sums = np.zeros((len(ends), scores.shape[1]))
    np.add.at(sums, clip, scores)
    return sums / np.maximum(np.bincount(clip, minlength=len(ends)), 1)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--fold", type=int)
    options = parser.parse_args()
    tagger, store = Tagger.load(options.model, device="cpu"), Store(options.store)
    curated = store.rows("curated")
    chosen = store.rows("test") if options.fold is None else curated[store.folds[curated] == options.fold]
    rows = np.random.default_rng(0).permutation(chosen)
    clips = [audio.read(store.clips[row].path, sample_rate_hz=tagger.sample_rate_hz) for row in rows]
    ends = np.cumsum([len(clip) for clip in clips]) / tagger.sample_rate_hz
    night, half = np.concatenate(clips), tagger.recipe.patches.frames / 2
    per_second = tagger.sample_rate_hz / tagger.recipe.features.hop_length
    found = {"each clip by itself": np.stack([np.mean(over_time(tagger, clip)[1], axis=0) for clip in clips])}
    starts, scores = over_time(tagger, night)
    found["all of them as one file"] = by_clip((starts + half) / per_second, scores, ends)
    for memory in MEMORIES:
        stream = tagger.stream(memory_seconds=memory)
        heard = [*stream.feed(night), *stream.finish()]
        middles = np.array([(one.start_seconds + one.end_seconds) / 2 for one in heard])
        way = f"a stream that remembers {memory:g} s" if memory else OWN
        found[way] = by_clip(middles, np.stack([one.scores for one in heard]), ends)
    truth = store.labels[rows]
    own = found[OWN]
    for way, scored in found.items():
        difference, low, high = lwlrap.paired_bootstrap(truth, scored, own)
        print(f"{way}: {lwlrap.lwlrap(truth, scored).overall:.3f}; {difference:+.3f} ({low:+.3f} to {high:+.3f})")


def over_time(tagger: Tagger, waveform: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return tagger.scores_over_time(logmel.log_mel(waveform, **tagger.recipe.features.spectrum()))


if __name__ == "__main__":
    main()
