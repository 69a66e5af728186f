"""Clips that hold the same recording, told by sub-fingerprints of log-mels, whatever the level, cut or encoding.

Every frame of a clip becomes a word of 24 bits, whether the difference between neighbouring bands rises or falls (a
sub-fingerprint of Haitsma and Kalker, ISMIR 2002), on bands and frames averaged so far that an encoder's traces vanish.
Clips that share many words at one distance in time are compared word by word there, bit for bit. Words are found by
sorting: the work grows as n log n with the frames, the memory by a word a frame.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BITS = 24
# The word of a frame in which no difference moves by this much: silence, which is alike in all clips, or a steady tone.
_NOTHING, _LEAST_RISE_DB = np.uint32(1 << 31), 1e-3
_BANDS = _BITS + 1
# Frames that are averaged into one, and the frames between the two whose difference is taken.
_SMOOTH_FRAMES = 9
_LAG_FRAMES = 8
# Every frame of a clip asks, every second one answers: a cut need not fall on a whole step.
_ANSWER_EVERY = 2
# A word that more frames than this answer to says nothing of a recording: silence, a steady tone. Of more equal clips
# than this only the first is paired with each.
_MANY = 40
_LEAST_HITS = 3
# Frames at one distance in time, a few apart, count as one: the ends of a cut and an encoder's delay blur it.
_DISTANCE_STEP_FRAMES = 4
# The share of bits that may differ over at least so many frames, half a second and a second: strangers differ in about
# half, but one onset looks much like another.
_LEAST_FRAMES, _MOST_ERRORS_IN_FEW = 32, 0.07
_MANY_FRAMES, _MOST_ERRORS = 64, 0.25


class Pair(NamedTuple):
    """Two clips, by their places in the sequence, that hold the same recording: the share of bits that are equal, and
    the frames that they overlap by; the second begins `shift_frames` after the first (may be below 0)."""

    first: int
    second: int
    alike: float
    frames: int
    shift_frames: int


class Words(NamedTuple):
    """The words of all clips, one after the other, uint32; clip k's are those from starts[k] to starts[k + 1]."""

    words: NDArray[np.uint32]
    starts: NDArray[np.int64]

    def of(self, clip: int) -> NDArray[np.uint32]:
        """Returns the words of one clip."""
        return self.words[self.starts[clip] : self.starts[clip + 1]]


def words_of(log_mels: Iterable[NDArray[np.floating]]) -> Words:
    """Returns the words of clips from their log-mels (frames, bands) in dB, read one at a time."""
    found = [_words(log_mel) for log_mel in log_mels]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in found], dtype=np.int64)])
    return Words(np.concatenate(found) if found else np.zeros(0, np.uint32), starts)


def pairs(words: Words) -> list[Pair]:
    """Returns every pair of clips that hold the same recording, each once, the surest first.

    Of many clips that are equal word for word, those of the first of them are all.
    """
    copies = _copies(words)
    index = _Index(words, [same[0] for same in copies])
    best: dict[tuple[int, int], Pair] = {}
    for same in copies:
        for other, shift in index.candidates(same[0]):
            pair = _compared(words, same[0], other, shift)
            known = best.get((same[0], other))
            if pair and (known is None or pair.alike > known.alike):
                best[same[0], other] = pair
    found = [*_among_copies(words, copies), *_of_copies(best.values(), copies)]
    return sorted(found, key=lambda pair: (-pair.alike, pair.first, pair.second))


def _copies(words: Words) -> list[list[int]]:
    """Returns the clips that are equal word for word, together, in the order of the first of each."""
    found: dict[bytes, list[int]] = {}
    for clip in range(len(words.starts) - 1):
        digest = hashlib.blake2b(words.of(clip).tobytes(), digest_size=16).digest()
        found.setdefault(digest, []).append(clip)
    return list(found.values())


def _among_copies(words: Words, copies: list[list[int]]) -> Iterator[Pair]:
    """Yields the pairs of clips that are equal, as far as they say anything; of many the first with each of them."""
    for same in copies:
        pair = _compared(words, same[0], same[1], 0) if len(same) > 1 else None
        if pair:
            firsts = same if len(same) <= _MANY else same[:1]
            yield from (
                pair._replace(first=one, second=other)
                for place, one in enumerate(firsts) for other in same[place + 1 :]
            )  # fmt: skip


def _of_copies(found: Iterable[Pair], copies: list[list[int]]) -> Iterator[Pair]:
    """Yields the pairs found among the first of equal clips, for those equal to them as well; of many the first."""
    same_as = {same[0]: same if len(same) <= _MANY else same[:1] for same in copies}
    for pair in found:
        for one, other in product(same_as[pair.first], same_as[pair.second]):
            swapped = one > other
            yield pair._replace(
                first=min(one, other), second=max(one, other), shift_frames=-pair.shift_frames if swapped else
                pair.shift_frames,
            )  # fmt: skip


class _Index:
    """The answering words of some `clips`, sorted, with the clip and the frame each comes from."""

    def __init__(self, words: Words, clips: Sequence[int]) -> None:
        self._words = words
        # Only of the words that answer: whatever is as long as all frames together is the most memory of a cleaning.
        answers = -(-np.diff(words.starts) // _ANSWER_EVERY)
        counts = np.zeros_like(answers)
        counts[list(clips)] = answers[list(clips)]
        clip_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        frames = np.concatenate([np.arange(count, dtype=np.int32) for count in counts] or [np.zeros(0, np.int32)])
        frames *= _ANSWER_EVERY
        answering = words.words[words.starts[clip_of] + frames]
        order = np.argsort(answering, kind="stable")
        self._sorted, self._clips, self._frames = answering[order], clip_of[order], frames[order]

    def candidates(self, clip: int) -> Iterator[tuple[int, int]]:
        """Yields later clips that share several words with this one at one distance in time, and that distance."""
        asked = self._words.of(clip)
        low = np.searchsorted(self._sorted, asked, "left")
        count = np.searchsorted(self._sorted, asked, "right") - low
        count[(count > _MANY) | (asked == _NOTHING)] = 0
        asking = np.repeat(np.arange(len(asked)), count)
        if not len(asking):
            return
        begin = np.repeat(np.cumsum(count) - count, count)
        answers = np.repeat(low, count) + np.arange(len(asking)) - begin
        later = self._clips[answers] > clip
        others, shifts = self._clips[answers][later], (asking - self._frames[answers])[later]
        steps = np.round(shifts / _DISTANCE_STEP_FRAMES).astype(np.int64)
        keys, place, hits = np.unique(others.astype(np.int64) * (1 << 32) + steps + (1 << 31), return_inverse=True,
                                      return_counts=True)  # fmt: skip
        by_key, end = np.argsort(place, kind="stable"), np.cumsum(hits)
        for key in np.flatnonzero(hits >= _LEAST_HITS):
            agreeing = by_key[end[key] - hits[key] : end[key]]
            yield int(keys[key] >> 32), int(np.median(shifts[agreeing]))


def _words(log_mel: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Returns a clip's words, one a frame; none where it is too short, or the same throughout."""
    frames, bands = log_mel.shape
    if frames < _LEAST_FRAMES or bands < _BANDS:
        return np.zeros(0, np.uint32)
    edges = np.linspace(0, bands, _BANDS + 1).astype(int)
    levels = np.maximum(np.asarray(log_mel, np.float32), np.float32(log_mel.max()) - 70)
    coarse = np.add.reduceat(levels, edges[:-1], axis=1) / np.diff(edges)
    summed = np.cumsum(np.pad(coarse, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    smooth = (summed[_SMOOTH_FRAMES:] - summed[:-_SMOOTH_FRAMES]) / _SMOOTH_FRAMES
    steps = smooth[_LAG_FRAMES:] - smooth[:-_LAG_FRAMES]
    rises = np.diff(steps, axis=1)
    if not len(rises):
        return np.zeros(0, np.uint32)
    found = ((rises > 0) @ (1 << np.arange(_BITS, dtype=np.uint32))).astype(np.uint32)
    found[np.abs(rises).max(axis=1) < _LEAST_RISE_DB] = _NOTHING
    return found


def _compared(words: Words, first: int, second: int, shift: int) -> Pair | None:
    """Returns the pair at the distance near `shift` where most bits are equal, if they are one recording."""
    ours, theirs = words.of(first), words.of(second)
    best: Pair | None = None
    for distance in range(shift - _DISTANCE_STEP_FRAMES, shift + _DISTANCE_STEP_FRAMES + 1):
        begin, end = max(distance, 0), min(len(ours), len(theirs) + distance)
        if end - begin < _LEAST_FRAMES:
            continue
        different, frames = _difference(ours[begin:end], theirs[begin - distance : end - distance])
        allowed = _MOST_ERRORS if frames >= _MANY_FRAMES else _MOST_ERRORS_IN_FEW
        if frames >= _LEAST_FRAMES and different <= allowed and (best is None or 1 - different > best.alike):
            best = Pair(first, second, 1 - different, frames, distance)
    return best


def _difference(ours: NDArray[np.uint32], theirs: NDArray[np.uint32]) -> tuple[float, int]:
    """Returns the share of bits that differ, and the frames that tell: those in which either clip has a word.

    Where one clip has a word and the other nothing, half of the bits differ, as of strangers.
    """
    neither, either = (ours == _NOTHING) & (theirs == _NOTHING), (ours == _NOTHING) | (theirs == _NOTHING)
    bits = np.where(either, _BITS / 2, np.bitwise_count(ours ^ theirs))[~neither]
    return (float(bits.mean()) / _BITS if len(bits) else 1.0), len(bits)


def across(found: Sequence[Pair], groups: Sequence[str]) -> list[Pair]:
    """Returns those pairs whose clips are in different groups."""
    return [pair for pair in found if groups[pair.first] != groups[pair.second]]
