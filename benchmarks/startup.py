"""How long does a user wait: from the start of the process to its end?"""

import subprocess
import sys
import tempfile
from pathlib import Path

import harness


def main() -> None:
    given = harness.arguments(__doc__)
    harness.as_the_program()
    import sounds
    from plain import settings_of, write_model

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = sounds.write(folder / "clip.wav", seconds=3)
        calls = {"--help": ["--help"]}
        for width, pooling in ((0.25, 2), (1.0, 1)):
            model = write_model(folder / f"model{width}", settings_of(width, f"network.input_pooling={pooling}"))
            calls[f"tag, width {width}"] = ["tag", model, clip]
            if exported(model):
                calls[f"tag, width {width}, with model.onnx"] = ["tag", model, clip]
                twin = write_model(folder / f"twin{width}", settings_of(width, f"network.input_pooling={pooling}"))
                calls[f"tag, width {width}"] = ["tag", twin, clip]
        ways = {name: lambda call=call: run(given.threads, *call) for name, call in calls.items()}
        for name, time in harness.timed(ways, repeats=2 if given.quick else 9).items():
            rows.append([f"`earwitness {name}`" if name == "--help" else name, time.median, time.spread])
    harness.report(
        "startup", given, rows=rows, columns=["call", "seconds", "spread"],
        note="Process start to exit; `tag` of one file of 3 s: 1 window and 9 further passes, both directions.",
    )  # fmt: skip


def exported(model: Path) -> bool:
    """Writes a model's ONNX file where that can be done, and tells whether it could."""
    done = subprocess.run(
        [sys.executable, "-m", "earwitness", "export", model, "--out", model / "model.onnx"], capture_output=True
    )
    return done.returncode == 0


def run(threads: int, *arguments: object) -> None:
    call = [sys.executable, "-m", "earwitness", *map(str, arguments)]
    if arguments[0] == "tag":
        call += ["--threads", str(threads)]
    done = subprocess.run(call, capture_output=True, text=True)
    harness.require(done.returncode == 0, f"{call}: {done.stderr}")


if __name__ == "__main__":
    main()
