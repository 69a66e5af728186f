"""Voices: synthesised sounds of twelve classes, and of two that are none.

Every sound is made from a physical idea (struck modes, plucked strings, bubbles, shaped noise) whose numbers are drawn
widely, so that there is something to learn and no two sounds are alike. The class names are FSDKaggle2019's.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

SAMPLE_RATE_HZ = 32000

Waveform: TypeAlias = NDArray[np.float32]
Voice: TypeAlias = Callable[[Generator, float], Waveform]

# How far a sound has fallen when it counts as over: decays are the seconds until -60 dB.
_SIXTY_DB = math.log(1000.0)
_HIGHEST_HZ = 0.48 * SAMPLE_RATE_HZ
_FFT_BLOCK = 4096
_MODE_BLOCK = 512


# ── chance ──────────────────────────────────────────────────────────────────────────────────────────────────


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draws a number whose logarithm is uniform: the natural spread of pitches, decays and tempos."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def chance(rng: Generator, probability: float) -> bool:
    """Draws True with the given probability."""
    return bool(rng.random() < probability)


def regular_onsets(rng: Generator, seconds: float, *, period_seconds: float, jitter: float) -> list[float]:
    """Draws times in seconds that follow a beat, each off by up to `jitter` periods.

    At least one, and the first within (0.4 + jitter) of the whole, so that no clip stays empty.
    """
    beats = np.arange(rng.uniform(0.0, min(period_seconds, 0.4 * seconds)), seconds, period_seconds)
    times = beats + rng.uniform(-jitter, jitter, len(beats)) * min(period_seconds, seconds)
    return [max(0.0, float(time)) for time in times]


def random_onsets(rng: Generator, seconds: float, *, per_second: float) -> list[float]:
    """Draws times in seconds that come without any beat (a Poisson process); at least one."""
    count = max(1, int(rng.poisson(per_second * seconds)))
    return [float(time) for time in rng.uniform(0.0, 0.95 * seconds, count)]


# ── the stuff of sounds ─────────────────────────────────────────────────────────────────────────────────────


def samples_of(seconds: float) -> int:
    """Returns the number of samples in `seconds`, at least one."""
    return max(1, round(seconds * SAMPLE_RATE_HZ))


def falling(seconds: float, decay_seconds: float) -> Waveform:
    """Returns an envelope that starts at 1 and falls by 60 dB every `decay_seconds`: (samples,)."""
    time = np.arange(samples_of(seconds), dtype=np.float32) / SAMPLE_RATE_HZ
    return np.exp(-np.float32(_SIXTY_DB / decay_seconds) * time)


def faded(waveform: Waveform, *, attack_seconds: float, release_seconds: float = 0.005) -> Waveform:
    """Returns the waveform with its start raised from 0 and its end lowered to 0 along straight lines."""
    place = np.arange(len(waveform), dtype=np.float32)
    rise = place / samples_of(attack_seconds)
    fall = place[::-1] / samples_of(release_seconds)
    return waveform * np.minimum(1.0, np.minimum(rise, fall))


def swept(frequency_hz: NDArray[np.floating]) -> Waveform:
    """Returns a sine of amplitude 1 that follows a frequency given for every sample: (samples,)."""
    cycles = np.cumsum(frequency_hz, dtype=np.float64) / SAMPLE_RATE_HZ
    return np.sin((2 * np.pi * (cycles % 1.0)).astype(np.float32))


def ringing(hz: ArrayLike, decay_seconds: ArrayLike, levels: ArrayLike, seconds: float) -> Waveform:
    """Returns the ringing of struck modes, sum_k levels_k exp(-t / tau_k) sin(2 pi hz_k t): (samples,).

    Modes near or above half the sample rate are left out. It is a product of two thin matrices, because
    exp(r (aB + b)) = exp(r aB) exp(r b).
    """
    frequency, decay, level = np.broadcast_arrays(*map(np.atleast_1d, (hz, decay_seconds, levels)))
    heard = frequency < _HIGHEST_HZ
    rate = (2j * np.pi * frequency[heard] - _SIXTY_DB / decay[heard]) / SAMPLE_RATE_HZ
    count = samples_of(seconds)
    blocks = -(-count // _MODE_BLOCK)
    coarse = np.exp(np.outer(np.arange(blocks) * _MODE_BLOCK, rate)).astype(np.complex64)
    fine = (level[heard, None] * np.exp(np.outer(rate, np.arange(_MODE_BLOCK)))).astype(np.complex64)
    # Not `coarse @ fine`, whose rounding depends on the number of threads.
    ring = np.einsum("ak,kb->ab", coarse, fine)
    return np.asarray(ring.imag.reshape(-1)[:count], dtype=np.float32)


def fast_length(samples: int) -> int:
    """Returns a length of at least `samples` whose Fourier transform is quick."""
    return -(-samples // _FFT_BLOCK) * _FFT_BLOCK


def frequencies(samples: int) -> NDArray[np.float32]:
    """Returns the frequency in Hz of every bin of a real transform of `samples`, with 1 Hz in place of 0."""
    return np.asarray(np.maximum(np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE_HZ), 1.0), dtype=np.float32)


def transferred(waveform: Waveform, transfer: NDArray[np.inexact]) -> Waveform:
    """Returns the waveform with its spectrum multiplied by `transfer`: (samples,), (size / 2 + 1,)."""
    size = 2 * (len(transfer) - 1)
    heard = np.fft.irfft(np.fft.rfft(waveform, size) * transfer, size)
    return heard[: len(waveform)].astype(np.float32)


def filtered(waveform: Waveform, gain: Callable[[NDArray[np.float32]], ArrayLike]) -> Waveform:
    """Returns the waveform with every frequency multiplied by `gain(hz)`; (samples,) -> the same."""
    size = fast_length(len(waveform) + _FFT_BLOCK // 4)
    return transferred(waveform, np.asarray(gain(frequencies(size)), dtype=np.float32))


def band(waveform: Waveform, *, low_hz: float = 1.0, high_hz: float = 1e9, order: int = 4) -> Waveform:
    """Returns what lies between two frequencies, with Butterworth slopes of 6 * `order` dB an octave."""
    return filtered(
        waveform,
        lambda hz: 1.0 / np.sqrt((1.0 + (low_hz / hz) ** (2 * order)) * (1.0 + (hz / high_hz) ** (2 * order))),
    )


def noise(rng: Generator, seconds: float, *, slope_db: float = 0.0) -> Waveform:
    """Draws noise of RMS 1 that tilts by `slope_db` an octave (0 white, -3 pink, -6 brown): (samples,)."""
    white = rng.standard_normal(samples_of(seconds), dtype=np.float32)
    if slope_db == 0.0:
        return white
    tilted = filtered(white, lambda hz: np.maximum(hz, 20.0) ** (slope_db / 6.02))
    return tilted / np.float32(np.sqrt(np.mean(tilted**2)))


def convolved(waveform: Waveform, response: Waveform) -> Waveform:
    """Returns the waveform heard through an impulse response, cut to its own length."""
    size = fast_length(len(waveform) + len(response))
    return transferred(waveform, np.fft.rfft(response, size))


def scattered(events: Iterable[tuple[float, Waveform]], seconds: float) -> Waveform:
    """Returns the sum of events, each starting at its time in seconds, cut at the end: (samples,)."""
    scene = np.zeros(samples_of(seconds), dtype=np.float32)
    for time, event in events:
        start = round(time * SAMPLE_RATE_HZ)
        scene[start : start + len(event)] += event[: max(0, len(scene) - start)]
    return scene


# ── voices: instruments ─────────────────────────────────────────────────────────────────────────────────────


def plucked_string(rng: Generator, hz: float, *, decay_seconds: float, brightness: float) -> Waveform:
    """Returns a plucked string: a burst of noise going round a damped delay line (Karplus-Strong)."""
    period = max(4, round(SAMPLE_RATE_HZ / hz))
    pluck = band(noise(rng, period / SAMPLE_RATE_HZ), high_hz=brightness, order=2)
    pluck = pluck - np.roll(pluck, int(period * rng.uniform(0.08, 0.5)))
    loss = 10.0 ** (-3.0 * period / (SAMPLE_RATE_HZ * decay_seconds))
    blend = rng.uniform(0.1, 0.5)
    string = np.zeros(samples_of(decay_seconds) + 2 * period, dtype=np.float32)
    string[1 : period + 1] = pluck - pluck.mean()
    for start in range(period + 1, len(string) - period, period):
        here, before = string[start - period : start], string[start - period - 1 : start - 1]
        string[start : start + period] = loss * ((1.0 - blend) * here + blend * before)
    return string


def strum(rng: Generator, seconds: float) -> list[tuple[float, float]]:
    """Draws the (time, semitones) of chords whose strings sound within some tens of milliseconds."""
    chord = (0, 7, 12, 15 + int(chance(rng, 0.6)), 19, 24)[: rng.integers(3, 7)]
    period = log_uniform(rng, 0.35, 2.5)
    spread = rng.uniform(0.008, 0.05)
    beats = regular_onsets(rng, seconds, period_seconds=period, jitter=0.03)
    return [(beat + place * spread, tone) for beat in beats for place, tone in enumerate(chord)]


def tune(rng: Generator, seconds: float) -> list[tuple[float, float]]:
    """Draws the (time, semitones) of a wandering melody on a five-tone scale; sometimes a single note."""
    if chance(rng, 0.15):
        return [(rng.uniform(0.0, 0.3 * seconds), 0.0)]
    scale = [octave + tone for octave in (-12, 0, 12) for tone in (0, 2, 4, 7, 9)]
    onsets = regular_onsets(rng, seconds, period_seconds=log_uniform(rng, 0.12, 0.9), jitter=0.06)
    places = np.clip(5 + np.cumsum(rng.integers(-2, 3, len(onsets))), 0, len(scale) - 1)
    notes = [(onset, float(scale[place])) for onset, place in zip(onsets, places, strict=True)]
    return notes[:1] + [note for note in notes[1:] if chance(rng, 0.9)]


def acoustic_guitar(rng: Generator, seconds: float) -> Waveform:
    """Returns plucked strings, as a melody or strummed, heard through the low resonances of a wooden body."""
    root_hz, decay_seconds = log_uniform(rng, 75.0, 300.0), log_uniform(rng, 0.5, 3.0)
    brightness = log_uniform(rng, 1000.0, 9000.0)
    notes = strum(rng, seconds) if chance(rng, 0.45) else tune(rng, seconds)
    strings = {
        tone: plucked_string(rng, root_hz * 2 ** (tone / 12), decay_seconds=decay_seconds, brightness=brightness)
        for tone in sorted({tone for _, tone in notes})
    }
    played = scattered(((time, rng.uniform(0.4, 1.0) * strings[tone]) for time, tone in notes), seconds)
    body_hz = rng.uniform(0.9, 1.1) * np.array([105.0, 205.0, 390.0, 560.0])
    body = ringing(body_hz, 0.06, rng.uniform(0.01, 0.05, 4), 0.08)
    return played + convolved(played, body)


def marimba_bar(rng: Generator, hz: float, *, ratios: Sequence[float], decay_seconds: float) -> Waveform:
    """Returns a struck bar: few modes far apart, the higher the shorter, and the mallet's dull click."""
    hardness = rng.uniform(0.1, 1.0)
    decays = decay_seconds / np.array(ratios) ** 0.9
    bar = ringing(hz * np.array(ratios), decays, [1.0, 0.5 * hardness, 0.35 * hardness**2], decay_seconds)
    mallet = band(noise(rng, 0.012), high_hz=800.0 + 4000.0 * hardness, order=2) * falling(0.012, 0.012)
    return scattered([(0.0, bar), (0.0, 0.25 * hardness * mallet)], decay_seconds)


def marimba(rng: Generator, seconds: float) -> Waveform:
    """Returns a melody or a roll on wooden bars tuned 1 : 4 : 10 (marimba) or 1 : 3 : 6 (xylophone)."""
    ratios = (1.0, 3.98, 9.9) if chance(rng, 0.5) else (1.0, 3.01, 6.15)
    root_hz = log_uniform(rng, 130.0, 1400.0)
    decay_seconds = log_uniform(rng, 0.25, 1.6) * (300.0 / root_hz) ** 0.3
    if chance(rng, 0.2):
        onsets = regular_onsets(rng, seconds, period_seconds=rng.uniform(0.06, 0.12), jitter=0.1)
        notes: list[tuple[float, float]] = [(onset, 0.0) for onset in onsets]
    else:
        notes = tune(rng, seconds)
    bars = {
        tone: marimba_bar(rng, root_hz * 2 ** (tone / 12), ratios=ratios, decay_seconds=decay_seconds)
        for tone in sorted({tone for _, tone in notes})
    }
    return scattered(((time, rng.uniform(0.3, 1.0) * bars[tone]) for time, tone in notes), seconds)


def church_bell(rng: Generator, seconds: float) -> Waveform:
    """Returns strokes of bells: hum, prime, tierce, quint, nominal and above, each a slowly beating pair."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17, 5.43, 6.8])
    prime_hz, hum_seconds = log_uniform(rng, 140.0, 900.0), log_uniform(rng, 1.2, 12.0)
    bells = []
    for _ in range(rng.integers(1, 4) if chance(rng, 0.4) else 1):
        hz = prime_hz * ratios * rng.uniform(0.985, 1.015, len(ratios))
        levels = rng.uniform(0.2, 1.0, len(ratios)) * ratios ** -rng.uniform(0.0, 1.0)
        beating = hz * (1.0 + rng.uniform(0.0005, 0.004, len(hz)))
        decays = np.tile(hum_seconds / (ratios / 0.5) ** 0.8, 2)
        bell = ringing(np.concatenate([hz, beating]), decays, np.tile(levels, 2), min(seconds, hum_seconds))
        bells.append(faded(bell, attack_seconds=rng.uniform(0.0005, 0.004)))
        prime_hz *= 2 ** (rng.choice([2, 3, 4, 5]) / 12)
    onsets = regular_onsets(rng, seconds, period_seconds=log_uniform(rng, 0.35, 3.5), jitter=0.05)
    return scattered(
        ((time, rng.uniform(0.5, 1.0) * bells[stroke % len(bells)]) for stroke, time in enumerate(onsets)),
        seconds,
    )


def drum_pattern(rng: Generator, seconds: float) -> list[tuple[float, float]]:
    """Draws the (time, level) of drum strokes: one stroke, or a bar of eighths repeated with accents."""
    if chance(rng, 0.25):
        return [(rng.uniform(0.0, 0.3 * seconds), 1.0)]
    step_seconds = 30.0 / rng.uniform(70.0, 190.0)
    bar = np.where(rng.random(8) < rng.uniform(0.25, 0.8), rng.uniform(0.3, 1.0, 8), 0.0)
    bar[0] = 1.0
    onsets = regular_onsets(rng, seconds, period_seconds=step_seconds, jitter=0.03)
    return [(time, level) for time, level in zip(onsets, np.resize(bar, len(onsets)), strict=True) if level > 0]


def bass_drum(rng: Generator, seconds: float) -> Waveform:
    """Returns a kick: an overdriven sine that falls to the pitch of the skin, and a beater's click."""
    low_hz, decay_seconds = log_uniform(rng, 38.0, 95.0), log_uniform(rng, 0.15, 1.0)
    time = np.arange(samples_of(decay_seconds)) / SAMPLE_RATE_HZ
    sweep = low_hz * (1.0 + rng.uniform(0.5, 6.0) * np.exp(-time / log_uniform(rng, 0.005, 0.05)))
    skin = np.tanh(rng.uniform(0.7, 4.0) * swept(sweep)) * falling(decay_seconds, decay_seconds)
    click = band(noise(rng, 0.03), low_hz=300.0, high_hz=log_uniform(rng, 1500.0, 7000.0), order=2)
    stroke = scattered([(0.0, skin), (0.0, rng.uniform(0.0, 0.35) * click * falling(0.03, 0.025))], decay_seconds)
    stroke = faded(stroke, attack_seconds=0.0006, release_seconds=0.02)
    return scattered(((start, level * stroke) for start, level in drum_pattern(rng, seconds)), seconds)


def hi_hat(rng: Generator, seconds: float) -> Waveform:
    """Returns a hi-hat, closed or open: six clashing square waves and noise, above some kHz only."""
    decays = (log_uniform(rng, 0.04, 0.2), log_uniform(rng, 0.3, 1.5))
    time = np.arange(samples_of(decays[1])) / SAMPLE_RATE_HZ
    clash_hz = log_uniform(rng, 250.0, 600.0) * np.array([1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523])
    metal = np.sign(np.sin(2 * np.pi * np.outer(clash_hz, time) + rng.uniform(0, 6, (6, 1)))).sum(axis=0)
    mixed = rng.uniform(0.1, 0.6) * metal.astype(np.float32) + noise(rng, decays[1])
    cymbal = band(mixed, low_hz=log_uniform(rng, 2500.0, 8000.0), high_hz=rng.uniform(9000.0, 16000.0), order=3)
    strokes = [cymbal[: samples_of(decay)] * falling(decay, decay) for decay in decays]
    openness = rng.choice([0.0, 0.2, 1.0], p=[0.5, 0.3, 0.2])
    return scattered(
        ((start, level * strokes[chance(rng, openness)]) for start, level in drum_pattern(rng, seconds)),
        seconds,
    )


# ── voices: things struck and ticking ───────────────────────────────────────────────────────────────────────


def knock(rng: Generator, seconds: float) -> Waveform:
    """Returns groups of knocks on wood: some low, quickly damped modes and the thud of the knuckle."""
    modes = rng.integers(5, 10)
    panel_hz = np.sort(log_uniform(rng, 70.0, 350.0) * np.exp(rng.uniform(0.0, 2.2, modes)))
    decays = log_uniform(rng, 0.05, 0.25) * (panel_hz[0] / panel_hz) ** 0.4
    panel = ringing(panel_hz, decays, rng.uniform(0.2, 1.0, modes), 0.3)
    thud = band(noise(rng, 0.02), high_hz=log_uniform(rng, 900.0, 6000.0), order=2) * falling(0.02, 0.02)
    blow = scattered([(0.0, panel), (0.0, rng.uniform(0.3, 1.5) * thud)], 0.3)
    blow = faded(blow, attack_seconds=rng.uniform(0.0002, 0.003))
    gap_seconds = log_uniform(rng, 0.09, 0.4)
    onsets = [
        group + place * gap_seconds * rng.uniform(0.9, 1.1)
        for group in regular_onsets(rng, seconds, period_seconds=rng.uniform(1.0, 3.0), jitter=0.1)
        for place in range(rng.integers(1, 6))
    ]
    return scattered(((time, rng.uniform(0.4, 1.0) * blow) for time in onsets), seconds)


def tick(rng: Generator, *, hz: float, decay_seconds: float) -> Waveform:
    """Returns one beat of an escapement: one to three clicks within milliseconds, ringing in metal parts."""
    modes_hz = hz * np.array([1.0, rng.uniform(1.3, 1.8), rng.uniform(2.0, 3.2), rng.uniform(0.2, 0.5)])
    part = ringing(modes_hz, decay_seconds * rng.uniform(0.4, 1.0, 4), rng.uniform(0.1, 1.0, 4), decay_seconds)
    click = noise(rng, 0.002) * falling(0.002, 0.002)
    clicks = [(place * rng.uniform(0.004, 0.014), rng.uniform(0.3, 1.0)) for place in range(rng.integers(1, 4))]
    pieces = [(time, level * piece) for time, level in clicks for piece in (part, 0.5 * click)]
    return scattered(pieces, decay_seconds + 0.04)


def tick_tock(rng: Generator, seconds: float) -> Waveform:
    """Returns a clock or watch: two kinds of tick in strict alternation."""
    hz, decay_seconds = log_uniform(rng, 900.0, 6500.0), log_uniform(rng, 0.015, 0.12)
    other_hz = hz * rng.uniform(0.7, 1.0)
    beats = (
        tick(rng, hz=hz, decay_seconds=decay_seconds),
        rng.uniform(0.4, 1.0) * tick(rng, hz=other_hz, decay_seconds=decay_seconds),
    )
    onsets = regular_onsets(rng, seconds, period_seconds=log_uniform(rng, 0.17, 1.0), jitter=0.004)
    return scattered(((time, beats[beat % 2]) for beat, time in enumerate(onsets)), seconds)


# ── voices: water, air, insects ─────────────────────────────────────────────────────────────────────────────


def bubble(rng: Generator, *, hz: float, decay_seconds: float) -> Waveform:
    """Returns an air bubble under water: a sine that rises in pitch while it dies."""
    time = np.arange(samples_of(decay_seconds)) / SAMPLE_RATE_HZ
    rising = hz * (1.0 + rng.uniform(0.05, 0.9) * time / decay_seconds)
    return faded(swept(rising) * falling(decay_seconds, decay_seconds), attack_seconds=0.001)


def splash(rng: Generator, *, seconds: float) -> Waveform:
    """Returns the short click of water that hits something, in a band drawn at random."""
    low_hz = log_uniform(rng, 500.0, 4000.0)
    return band(noise(rng, seconds), low_hz=low_hz, high_hz=4.0 * low_hz, order=1) * falling(seconds, seconds)


def drip(rng: Generator, seconds: float) -> Waveform:
    """Returns single drops into water, nearly regular: each a faint splash, then a bubble or two."""
    hz, decay_seconds = log_uniform(rng, 350.0, 2600.0), log_uniform(rng, 0.03, 0.22)
    sounds = []
    for time in regular_onsets(rng, seconds, period_seconds=log_uniform(rng, 0.2, 1.8), jitter=0.12):
        sounds.append((time, rng.uniform(0.05, 0.5) * splash(rng, seconds=0.01)))
        for _ in range(1 + chance(rng, 0.35)):
            drop = bubble(rng, hz=hz * rng.uniform(0.8, 1.25), decay_seconds=decay_seconds)
            sounds.append((time + rng.uniform(0.005, 0.06), rng.uniform(0.4, 1.0) * drop))
    return scattered(sounds, seconds)


def raindrop(rng: Generator, seconds: float) -> Waveform:
    """Returns drops on a surface, from a few a second to a patter, over far rain; a tin roof may ring."""
    drops = [splash(rng, seconds=rng.uniform(0.002, 0.012)) for _ in range(10)]
    drops += [bubble(rng, hz=log_uniform(rng, 1200.0, 6000.0), decay_seconds=0.02) for _ in range(5)]
    onsets = random_onsets(rng, seconds, per_second=log_uniform(rng, 6.0, 150.0))
    near = scattered(((time, rng.exponential() * drops[rng.integers(len(drops))]) for time in onsets), seconds)
    if chance(rng, 0.4):
        roof_hz = log_uniform(rng, 200.0, 1500.0) * np.exp(rng.uniform(0.0, 2.0, 8))
        near = near + convolved(near, ringing(roof_hz, rng.uniform(0.03, 0.2, 8), 0.03, 0.2))
    far = band(noise(rng, seconds, slope_db=rng.uniform(-4.0, 0.0)), low_hz=400.0, order=1)
    return near + np.float32(log_uniform(rng, 0.005, 0.12)) * far


def waves_and_surf(rng: Generator, seconds: float) -> Waveform:
    """Returns the sea: noise that swells slowly, breaks with foam (the highs), and washes out."""
    time = np.arange(samples_of(seconds), dtype=np.float32) / SAMPLE_RATE_HZ
    swell = np.full(len(time), rng.uniform(0.03, 0.4), dtype=np.float32)
    for crest in regular_onsets(rng, seconds, period_seconds=rng.uniform(1.8, 6.0), jitter=0.2):
        rise, wash = rng.uniform(0.2, 1.5), rng.uniform(0.5, 2.5)
        swell += np.exp(-np.abs(time - crest - 0.5) / np.where(time < crest + 0.5, rise, wash)).astype(np.float32)
    body = noise(rng, seconds, slope_db=rng.uniform(-7.0, -3.0))
    foam = band(noise(rng, seconds, slope_db=-1.5), low_hz=log_uniform(rng, 500.0, 2500.0), order=1)
    return swell * body + rng.uniform(0.1, 1.0) * swell**2 * foam


def hiss(rng: Generator, seconds: float) -> Waveform:
    """Returns escaping gas, a snake or steam: noise without lows, steady or in puffs."""
    low_hz = log_uniform(rng, 1000.0, 6500.0)
    air = noise(rng, seconds, slope_db=rng.uniform(-5.0, 2.0))
    air = band(air, low_hz=low_hz, high_hz=rng.uniform(1.8, 6.0) * low_hz, order=int(rng.integers(1, 4)))
    if chance(rng, 0.4):
        return faded(air, attack_seconds=rng.uniform(0.02, 0.5), release_seconds=rng.uniform(0.05, 1.0))
    puffs = []
    for time in regular_onsets(rng, seconds, period_seconds=log_uniform(rng, 0.5, 3.0), jitter=0.2):
        length = log_uniform(rng, 0.15, 2.5)
        puff = air[: samples_of(length)] * falling(length, length * rng.uniform(0.8, 6.0))[: len(air)]
        attack_seconds = min(0.4 * length, log_uniform(rng, 0.005, 0.3))
        puffs.append((time, faded(puff, attack_seconds=attack_seconds, release_seconds=0.3 * length)))
    return scattered(puffs, seconds)


def chirper(rng: Generator, seconds: float) -> Waveform:
    """Returns one cricket: pulses of a pure high tone, in chirps of a few or in one long trill."""
    hz, pulse_seconds = log_uniform(rng, 2200.0, 7500.0), rng.uniform(0.006, 0.02)
    length = samples_of(pulse_seconds)
    glide = hz * np.linspace(1.0, rng.uniform(0.92, 1.02), length)
    pulse = swept(glide) * np.hanning(length).astype(np.float32)
    gap_seconds = pulse_seconds * rng.uniform(1.2, 2.2)
    pulses = math.ceil(seconds / gap_seconds) if chance(rng, 0.25) else int(rng.integers(2, 9))
    period_seconds = max(log_uniform(rng, 0.15, 1.2), 1.3 * pulses * gap_seconds)
    onsets = regular_onsets(rng, seconds, period_seconds=period_seconds, jitter=0.03)
    pulses_heard = (
        (onset + place * gap_seconds, min(1.0, 0.5 + 0.2 * place) * pulse)
        for onset in onsets
        for place in range(pulses)
    )
    return scattered(pulses_heard, seconds)


def cricket(rng: Generator, seconds: float) -> Waveform:
    """Returns a cricket, now and then with fainter ones behind it."""
    levels = [1.0, *rng.uniform(0.1, 0.5, rng.binomial(3, 0.25))]
    return scattered(((0.0, level * chirper(rng, seconds)) for level in levels), seconds)


# ── strangers: sounds of no class ───────────────────────────────────────────────────────────────────────────


def sawtooth(frequency_hz: NDArray[np.floating]) -> Waveform:
    """Returns a sawtooth between -1 and 1 that follows a frequency given for every sample."""
    cycles = np.cumsum(frequency_hz, dtype=np.float64) / SAMPLE_RATE_HZ
    return (2.0 * (cycles % 1.0) - 1.0).astype(np.float32)


def syllable(rng: Generator, *, pitch_hz: float, length_seconds: float) -> Waveform:
    """Returns something like a spoken vowel: a glottis's buzz through three formants, now and then an s."""
    count = samples_of(length_seconds)
    buzz = sawtooth(pitch_hz * np.linspace(rng.uniform(0.9, 1.2), rng.uniform(0.8, 1.1), count))
    formants_hz = rng.uniform([250.0, 800.0, 2200.0], [900.0, 2300.0, 3200.0])[:, None]
    formant_levels = np.array([1.0, 0.6, 0.3])
    vowel = filtered(buzz, lambda hz: formant_levels @ (1.0 / (1.0 + ((hz - formants_hz) / 90.0) ** 2)))
    vowel = faded(vowel, attack_seconds=0.03, release_seconds=0.06)
    if chance(rng, 0.7):
        return vowel
    fricative = band(noise(rng, 0.09), low_hz=rng.uniform(2500.0, 5000.0), order=2)
    return scattered([(0.0, 0.03 * faded(fricative, attack_seconds=0.02)), (0.06, vowel)], length_seconds + 0.06)


def babble(rng: Generator, seconds: float) -> Waveform:
    """Returns one to three voices that speak no language."""
    spoken = []
    for _ in range(rng.integers(1, 4)):
        pitch_hz, time = log_uniform(rng, 85.0, 320.0), rng.uniform(0.0, 0.3)
        while time < seconds:
            length = rng.uniform(0.1, 0.35)
            spoken.append((time, syllable(rng, pitch_hz=pitch_hz, length_seconds=length)))
            time += length * rng.uniform(0.8, 1.1) + rng.choice([0.0, 0.4], p=[0.85, 0.15])
    return scattered(spoken, seconds)


def engine(rng: Generator, seconds: float) -> Waveform:
    """Returns a motor that idles or revs: a low sawtooth of wandering speed through pipes, and its rumble."""
    count = samples_of(seconds)
    wander = np.interp(np.arange(count), np.linspace(0, count, 8), np.exp(rng.normal(0.0, 0.2, 8)))
    motor = sawtooth(log_uniform(rng, 22.0, 110.0) * wander)
    pipes_hz = log_uniform(rng, 80.0, 200.0) * np.array([1.0, 2.3, 4.1, 7.7])
    piped = convolved(motor, ringing(pipes_hz, 0.06, [0.05, 0.04, 0.02, 0.01], 0.08))
    return piped + rng.uniform(0.1, 0.5) * np.std(piped) * noise(rng, seconds, slope_db=-5.0)


VOICES: Mapping[str, Voice] = MappingProxyType(
    {
        "Acoustic_guitar": acoustic_guitar,
        "Bass_drum": bass_drum,
        "Church_bell": church_bell,
        "Cricket": cricket,
        "Drip": drip,
        "Hi-hat": hi_hat,
        "Hiss": hiss,
        "Knock": knock,
        "Marimba_and_xylophone": marimba,
        "Raindrop": raindrop,
        "Tick-tock": tick_tock,
        "Waves_and_surf": waves_and_surf,
    }
)
CLASSES: tuple[str, ...] = tuple(VOICES)

# Sounds outside the vocabulary.
STRANGERS: Mapping[str, Voice] = MappingProxyType({"babble": babble, "engine": engine})
