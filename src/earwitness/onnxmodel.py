"""A model as one ONNX file: written from its weights, and run without torch.

The file maps normalised patches (n, frames, bands) to the student's logits (n, outputs), for any n. It names the
weights it was made from; beside others it is not used.
"""

import importlib.util
import logging
import os
import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import files
from .errors import ModelError
from .model import load_config, model_digest

Floats: TypeAlias = NDArray[np.float32]

NAME = "model.onnx"
# What the digest of the weights is called in the file.
_MARK = "earwitness"
_PATCHES_AT_ONCE = 32
# What a file may differ by from the weights it was made from, as a part of the largest logit, or of 1 if that is less.
_TOLERANCE = 1e-4


def export(folder: Path, out: Path) -> float:
    """Writes a model as an ONNX file; returns the largest difference of its logits from torch's on random patches.

    ModelError where the extra `onnx` is not installed, the folder is no model, or the file does not say what torch
    says to 0.0001 of its largest logit.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]
    if missing:
        raise ModelError(f'{out}: writing it needs {", ".join(missing)}: pip install "earwitness[onnx]"')
    import onnx
    import torch

    from . import checkpoint

    config = load_config(folder)
    network = checkpoint.load_network(folder, config)
    shape = (config.recipe.patches.frames, config.recipe.features.mel_bands)
    patches = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))

    class Logits(torch.nn.Module):
        """What the file does: the student's logits, as a module's forward pass."""

        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network.backbone, network.student

        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return self.head.logits(self.backbone(patches))

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every package it does without
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own ways
        program = torch.onnx.export(
            Logits().eval(), (patches,), dynamo=True, verbose=False, input_names=["patches"], output_names=["logits"],
            dynamic_shapes={"patches": {0: torch.export.Dim("n", min=1)}},
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {_MARK: model_digest(folder)})
    with files.atomic_path(out) as temporary:
        onnx.save_model(model, str(temporary))
        expected = network.student_logits(patches).numpy()
        off = float(np.abs(OnnxScorer(temporary)(patches.numpy()) - expected).max())
        if not off <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ModelError(f"{out}: its logits differ by {off:.2g} from torch's; this model can't be exported")
    return off


def found_in(folder: Path) -> Path | None:
    """Returns a model's ONNX file if it has one, and what it takes to run it is installed."""
    path = folder / NAME
    return path if path.is_file() and importlib.util.find_spec("onnxruntime") else None


class OnnxScorer:
    """A model's ONNX file as a scorer: patches (n, frames, bands) to logits (n, outputs).

    `digest` tells which weights it was made from. `threads` None: as OMP_NUM_THREADS says, else one for each core.
    ModelError for a file that cannot be run.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = threads or _threads_asked_for()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's have no common ancestor of their own
            reason = " ".join(str(error).split())
            raise ModelError(f"{path}: not readable ({reason}); export the model anew, or delete this file") from None
        self.digest = str(self._session.get_modelmeta().custom_metadata_map.get(_MARK, ""))

    def __call__(self, patches: Floats) -> Floats:
        parts = (patches[at : at + _PATCHES_AT_ONCE] for at in range(0, len(patches), _PATCHES_AT_ONCE))
        return np.concatenate([self._session.run(None, {"patches": np.ascontiguousarray(part)})[0] for part in parts])


def _threads_asked_for() -> int:
    """Returns the threads that OMP_NUM_THREADS says, the first number where it has one a level; 0 for none."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() else 0
