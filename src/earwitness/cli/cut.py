"""The verb `cut`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import counted
from .options import AudioRootOption, one_of
from .screen import bar, end_with_problems, say, say_next

if TYPE_CHECKING:
    from ..clipfolder import Report

SPLITS = ("noisy", "curated", "test")


def cut(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE",
            help="what was heard from when to when: a CSV or .xlsx, or a .txt of Raven or Audacity",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder of clips; made, or gone on with")],
    audio_root: AudioRootOption = None,
    split: Annotated[
        str,
        typer.Option(metavar="|".join(SPLITS), callback=one_of(SPLITS), help="what the clips are to `prepare`"),
    ] = "noisy",
    least: Annotated[
        float | None, typer.Option(metavar="SCORE", help="leave out what scores below; what has no score counts")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(metavar="N", min=0, max=86_400, help="widen what is shorter to so much, within the recording"),
    ] = 0.0,
) -> None:
    """Cut long recordings into clips by tables of detections. Stopped anywhere, it goes on when run again."""
    from .. import clipfolder, detections

    clipfolder.refuse_strange(out)
    found = detections.read(tables, audio_root=audio_root, least=-math.inf if least is None else least)
    for remark in found.remarks:
        say(remark)
    with bar("cutting") as advance:
        report = clipfolder.make(
            found.detections, out, root=found.root, split=split, seconds=seconds, problems=found.problems,
            on_clip=advance,
        )  # fmt: skip
    _say_what_came_of_it(report, out)
    say_next("prepare", out, "--out", "STORE")
    end_with_problems(report.problems, "rows and recordings left out", listed_in=out / clipfolder.LEFT_OUT)


def _say_what_came_of_it(report: "Report", out: Path) -> None:
    clips, recordings = counted(report.clips, "clip"), counted(report.recordings, "recording")
    say(f"{out}: {clips} of {recordings}, {report.already} already there")
    if report.shortened:
        say(f"note: {counted(report.shortened, 'clip')} shorter than in the table, as the recording ends before")
    if report.others:
        say(f"note: {counted(report.others, 'clip')} there that only earlier tables name: no longer in the list")
