"""The verb `export`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import ModelArgument, require_room_for
from .screen import say


def export(
    model: ModelArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the ONNX file; default: model.onnx in the model's folder")
    ] = None,
) -> None:
    """Write a model as an ONNX file. Beside the model's weights, it lets `tag` begin at once."""
    from .. import onnxmodel

    path = out or model / onnxmodel.NAME
    require_room_for(path, inputs=[model])
    off = onnxmodel.export(model, path)
    say(f"{path}: normalised patches to logits, within {off:.1g} of torch's")
