"""The verb `ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import counted
from .options import HopOption, PrecisionOption, ThreadsOption, WindowsOption, require_room_for, use_threads
from .screen import say
from .tag import tag_to_csv, tagger_of


def ensemble(
    members: Annotated[list[Path], typer.Argument(metavar="MEMBER", help="CSVs of scores, or models' folders")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="where the averaged scores go")],
    how: Annotated[str, typer.Option(metavar="arithmetic|geometric|rank", help="which mean")] = "arithmetic",
    weights: Annotated[
        str | None, typer.Option(metavar="W,W,..", help="a weight for each member; default: equal ones")
    ] = None,
    sounds: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", readable=False, help="a sound file or a folder of them for models to tag; repeatable"
        ),
    ] = None,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Average several systems into one CSV. Score tables as they are, or models in one pass over the sound."""
    require_room_for(out, inputs=[*members, *(sounds or [])])
    for member in members:
        if not member.exists():
            raise typer.BadParameter(f"{member}: no such file or folder", param_hint="MEMBER")
    models = [member for member in members if not member.is_file()]
    if models and len(models) < len(members):
        raise typer.BadParameter(f"{models[0]}: no CSV; give CSVs alone or models alone", param_hint="MEMBER")
    if bool(models) != bool(sounds):
        raise typer.BadParameter("needed by models, of no use to CSVs", param_hint="--sounds")
    if hop_frames and not models:
        raise typer.BadParameter("it is for models; a CSV's scores are there already", param_hint="--hop-frames")
    if models:
        use_threads(threads)
    from .. import ensemble as systems
    from .. import scoresheet, tables
    from ..labels import Vocabulary

    mean = systems.mean_of(len(members), how, weights)
    if sounds:
        taggers = [tagger_of(model, hop_frames, windows, precision) for model in models]
        tag_to_csv(
            systems.EnsembleTagger(taggers, names=[str(model) for model in models], mean=mean),
            scoresheet.sound_files(sounds),
            out,
        )
        return
    result = systems.average_tables([systems.read_table(member) for member in members], mean)
    scoresheet.refuse_no_place(out, ("fname", *result.classes))
    tables.write_scores(out, result.fnames, result.scores, Vocabulary(result.classes))
    tables_read, rows = counted(len(members), "table"), counted(len(result.fnames), "file")
    say(f"{out}: {tables_read}, {rows}, {counted(len(result.classes), 'class')}")
