"""How fast do sound files become log-mels: against librosa, against real time, and on two cores?"""

import tempfile
from pathlib import Path

import harness
import numpy as np


def main() -> None:
    given = harness.arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        against_librosa(given)
        against_real_time(given, Path(folder))


def against_librosa(given) -> None:
    import librosa

    from earwitness import audio, logmel

    waveform = sound(10)
    waveform[:3000] *= 1e-4

    def ours() -> np.ndarray:
        return logmel.log_mel(audio.trim(waveform))

    def theirs() -> np.ndarray:
        kept, _ = librosa.effects.trim(waveform, top_db=55)
        mel = librosa.feature.melspectrogram(
            y=kept, sr=32_000, n_fft=1024, hop_length=500, n_mels=128, fmin=0, fmax=16_000, pad_mode="constant"
        )
        return librosa.power_to_db(mel, ref=np.max, top_db=100).T

    one, other = ours(), theirs()
    off = float(np.abs(one - other[: len(one)]).max())
    harness.require(off < 1e-3, f"the log-mel is {off} dB off librosa's")
    times = harness.timed({"librosa": theirs, "earwitness": ours}, repeats=5 if given.quick else 30)
    rows = [
        [name, 1000 * each.median, times["librosa"].median / each.median, each.spread] for name, each in times.items()
    ]
    harness.report(
        "log_mel", given, rows=rows, columns=["way", "milliseconds", "times faster", "spread"],
        largest_difference_db=off,
        note=f"Trimming and log-mel of 10 s at 32 kHz; the two differ by at most {off:.5f} dB.",
    )  # fmt: skip


def against_real_time(given, folder: Path) -> None:
    import sounds

    from earwitness import longsound, recipe

    features, seconds = recipe.Features(), 20.0 if given.quick else 60.0
    rows = []
    for suffix in (".wav", ".mp3", ".ogg", ".flac"):
        for channels in (1, 2):
            path = sounds.write(folder / f"{channels}{suffix}", seconds=seconds, channels=channels)
            time = harness.timed(
                {"": lambda path=path: longsound.read_sound(path, features)}, repeats=2 if given.quick else 7
            )[""]
            rows.append([suffix[1:], channels, seconds / time.median, time.spread])
    columns = ["file", "channels", "times real time", "spread"]
    ratio = two_cores(given, folder, features)
    harness.report(
        "decoding", given, rows=rows, columns=columns, two_cores_over_one=ratio,
        note="File to log-mel on one core: decoding, resampling from 44.1 to 32 kHz, trimming, log-mel. "
             f"`prepare` with two processes takes {ratio:.2f} times less than with one.",
    )  # fmt: skip


def two_cores(given, folder: Path, features) -> float:
    """Returns how many times faster two decoding processes are than one, both started beforehand."""
    import sounds

    from earwitness import corpus

    paths = [
        str(sounds.write(folder / f"clip{number}.mp3", seconds=10, seed=number))
        for number in range(8 if given.quick else 20)
    ]
    paths *= 2 if given.quick else 8

    def decode(workers: int) -> None:
        for _ in corpus._in_pool(paths, features, workers):
            pass

    def start(workers: int) -> None:
        list(corpus._in_pool(paths[:2], features, workers))

    starting = harness.timed({"1": lambda: start(1), "2": lambda: start(2)}, repeats=2)
    times = harness.timed({"1": lambda: decode(1), "2": lambda: decode(2)}, repeats=1 if given.quick else 2)
    return (times["1"].median - starting["1"].median) / (times["2"].median - starting["2"].median)


def sound(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    time = np.arange(int(32_000 * seconds)) / 32_000
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.05 * rng.standard_normal(len(time))).astype(np.float32)


if __name__ == "__main__":
    main()
