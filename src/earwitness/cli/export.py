"""The verb `export`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from .options import ModelArgument, require_room_for
from .screen import say


def export(
    model: ModelArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the ONNX file; default: model.onnx in the model's folder")
    ] = None,
) -> None:
    """Write a model as an ONNX file. Beside the model's weights, it lets `tag` do short clips without torch."""
    from .. import files, onnxmodel
    from ..model import load_config

    load_config(model)  # before its folder is looked at as a place to write to
    path = out or model / onnxmodel.NAME
    require_room_for(path, inputs=[model])
    files.refuse_to_replace(path, unless=_is_onnx, error=ModelError)
    off = onnxmodel.export(model, path)
    say(f"{path}: normalised patches to logits, within {off:.1g} of torch's")


def _is_onnx(path: Path) -> bool:
    """Tells whether a file begins with the number of ONNX's version, as a field of protobuf; no text begins so."""
    with path.open("rb") as stream:
        return stream.read(1) == b"\x08"
