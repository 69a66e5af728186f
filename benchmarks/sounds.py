"""Sound files to measure with: noise with a melody, written once into a folder."""

from pathlib import Path

import numpy as np
import soundfile

_BLOCK = 1 << 16


def write(path: Path, *, seconds: float, rate_hz: int = 44_100, channels: int = 2, seed: int = 0) -> Path:
    """Writes a sound file of the kind its suffix says, unless it is there; returns its path."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng, left, at = np.random.default_rng(seed), int(seconds * rate_hz), 0
    part = path.with_name("part-" + path.name)
    with soundfile.SoundFile(part, "w", rate_hz, channels) as file:
        while left:
            time = (at + np.arange(min(_BLOCK, left))) / rate_hz
            melody = 0.3 * np.sin(2 * np.pi * (220 + 30 * (time // 0.4 % 12)) * time)
            noise = 0.05 * rng.standard_normal((len(time), channels))
            file.write((melody[:, None] + noise).astype(np.float32))
            left, at = left - len(time), at + len(time)
    return part.rename(path)
