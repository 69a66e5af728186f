"""How fast are long files tagged, and how much memory does it take: the verb `tag`, in a process of its own?"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

FASTEST, DEFAULT = ("--windows", "dense", "--precision", "bfloat16"), ()


def main() -> None:
    given = harness.arguments(__doc__, hours={"type": float, "default": 1.0}, widths={"default": "0.25/2,0.25,1"})
    import sounds
    from plain import settings_of, write_model

    rows, minutes = [], 5.0 if given.quick else 60 * given.hours
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entry in given.widths.split(","):
            width, _, pooling = entry.partition("/")
            settings = settings_of(float(width), f"network.input_pooling={pooling or 1}")
            model = write_model(folder / f"model{entry.replace('/', '-')}", settings)
            # The default takes its time on a wide network: a fifth of the file will do.
            for way, options, part in (("dense bfloat16", FASTEST, 1.0), ("default: exact float32", DEFAULT, 0.2)):
                path = sounds.write(folder / f"{part}.wav", seconds=60 * minutes * part, rate_hz=32_000, channels=1)
                seconds, megabytes = tag(given.threads, model, path, *options)
                speed = 60 * minutes * part / seconds
                rows.append([float(width), int(pooling or 1), way, minutes * part, speed, megabytes])
    columns = ["width", "input pooling", "windows", "minutes", "times real time", "peak memory, MB"]
    note = f"`earwitness tag` of one 32 kHz wav, process start to exit, {given.threads} thread, both directions."
    harness.report("long_files", given, rows=rows, columns=columns, note=note)


def tag(threads: int, model: Path, sound: Path, *options: str) -> tuple[float, int]:
    """Returns the seconds of tagging a file, and the peak memory of the process in MB."""
    call = [sys.executable, "-m", "earwitness", "tag", model, sound, "--threads", threads, *options]
    began = time.perf_counter()
    process = subprocess.Popen([*map(str, call)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    harness.require(os.waitstatus_to_exitcode(status) == 0, f"{call} failed")
    scale = 1024 if sys.platform == "linux" else 1024**2
    return time.perf_counter() - began, usage.ru_maxrss // scale


if __name__ == "__main__":
    main()
