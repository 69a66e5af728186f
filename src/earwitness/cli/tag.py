"""The verb `tag`, and tagging into a CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import counted
from .options import (
    HopOption,
    ModelArgument,
    PrecisionOption,
    ThreadsOption,
    WindowsOption,
    require_room_for,
    use_threads,
)
from .screen import bar, end_with_problems, say

if TYPE_CHECKING:
    from ..recipe import Precision, Windows
    from ..scoresheet import Named
    from ..tagging import Tagged, Tagger, TagsFiles, Timed


def tag(
    model: ModelArgument,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="sound files, and folders of them")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV with a column a class; default: tags on screen")
    ] = None,
    times: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="from when to when each class is heard: a CSV, or a .txt of labels for Audacity"
        ),
    ] = None,
    least: Annotated[
        float, typer.Option(metavar="SCORE", min=0, max=1, help="lowest score that counts for --times")
    ] = 0.5,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="tags to print for each file")] = 3,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Tag sound files. One that can't be read is listed at the end. Stopped, --out goes on when run again."""
    require_room_for(out, times, inputs=[model, *paths])
    if out and times:
        raise typer.BadParameter("--out has a row a file, --times a row an event; give one of them")
    use_threads(threads)
    from .. import scoresheet
    from ..tagging import Tagged

    tagger = tagger_of(model, hop_frames, windows, precision)
    sounds = scoresheet.sound_files(paths)
    if out:
        tag_to_csv(tagger, sounds, out)
        return
    if times:
        _write_times(tagger, sounds, times, least)
        return
    bad: list[Tagged] = []
    for sound, tagged in zip(sounds, tagger.tag_many(sound.path for sound in sounds), strict=True):
        if tagged.scores is None:
            bad.append(tagged)
        else:
            _print_tags(sound.name, tagged.scores, tagger.vocabulary.names, top)
    end_with_untagged(bad)


def _write_times(tagger: "Tagger", sounds: "list[Named]", out: Path, least: float) -> None:
    """Writes from when to when each class is heard, and says so; ends with status 1 if some could not be tagged."""
    from .. import eventsheet

    if out.suffix.lower() == ".txt":
        if len(sounds) > 1:
            raise typer.BadParameter(f"a label track is of one sound file, these are {len(sounds)}; give a .csv")
        found = tagger.events(sounds[0].path, least=least)
        eventsheet.write_audacity(out, found)
        say(f"{out}: {counted(len(found), 'event')}")
        return
    with bar("tagging", total=len(sounds)) as advance:
        bad = eventsheet.tag_to_csv(tagger, sounds, out, least=least, on_file=lambda _: advance())
    say(f"{out}: {counted(len(sounds) - len(bad), 'file')}, scores from {least:g}")
    end_with_untagged(bad)


def tagger_of(model: Path, hop_frames: int | None, windows: str, precision: str) -> "Tagger":
    from ..tagging import Tagger

    tagger = Tagger.load(model, windows=cast("Windows", windows), precision=cast("Precision", precision))
    say_if_sliding(tagger, windows)
    return tagger.with_hop(hop_frames) if hop_frames else tagger


def say_if_sliding(tagger: "Tagger", windows: str) -> None:
    if tagger.windows != windows:
        say(f"this model's network has no {windows} windows; each is scored by itself")


def tag_to_csv(tagger: "TagsFiles", sounds: "list[Named]", out: Path) -> None:
    """Writes the scores of sound files to a CSV, and says so; ends with status 1 if some could not be tagged."""
    from .. import scoresheet

    with bar("tagging", total=len(sounds)) as advance:
        bad = scoresheet.tag_to_csv(tagger, sounds, out, on_file=lambda _: advance())
    say(f"{out}: {counted(len(sounds) - len(bad), 'file')}, {counted(len(tagger.vocabulary), 'class')}")
    end_with_untagged(bad)


def end_with_untagged(bad: "Sequence[Tagged | Timed]") -> None:
    from ..dataset import Problem

    problems = [Problem(one.path.name, "", one.path, str(one.error)) for one in bad]
    end_with_problems(problems, "files that could not be tagged")


def _print_tags(name: str, scores: Any, names: tuple[str, ...], top: int) -> None:
    best = (-scores).argsort(kind="stable")[:top]
    say(f"{name}: " + ", ".join(f"{names[index]} {scores[index]:.3f}" for index in best))
