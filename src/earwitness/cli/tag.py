"""The verb `tag`, and tagging into a CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import counted, some_of
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
    from ..labels import Vocabulary
    from ..recipe import Precision, Windows
    from ..scoresheet import Named
    from ..tagging import Tagged, Tagger, TagsFiles, Timed
    from ..thresholds import Least

AroundOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="for --times: sound is relative to the loudest moment so near to it; inf: to that of all the file",
    ),
]


def tag(
    model: ModelArgument,
    # One that may not be read is listed with the others that can't be, once these are tagged.
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", readable=False, help="sound files, and folders of them")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV with a column a class; default: tags on screen")
    ] = None,
    times: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="from when to when each class is heard: a CSV; of one file also a .txt for Audacity, or a "
            ".selections.txt for Raven",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV of the labels whose scores are high enough: fname,labels")
    ] = None,
    least: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE|FILE",
            help="lowest score that counts, or a table with one a class, as evaluate --csv writes; default: 0.5 for "
            "--labels and --times, none for tags on screen",
        ),
    ] = None,
    around: AroundOption = 5.0,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="tags to print for each file")] = 3,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Tag sound files. One that can't be read is listed at the end. Stopped over a table, it goes on when run again."""
    threshold = score_or_table(least)
    _refuse_mixed(out, times, labels, least)
    table = [threshold] if isinstance(threshold, Path) else []
    require_room_for(out, times, labels, inputs=[model, *table, *paths])
    use_threads(threads)
    from .. import scoresheet

    tagger = tagger_of(model, hop_frames, windows, precision)
    enough = thresholds_of(threshold, tagger.vocabulary)
    sounds = scoresheet.sound_files(paths)
    if times:
        _write_times(tagger, sounds, times, enough, around)
    elif labels:
        _write_labels(tagger, sounds, labels, out, enough)
    elif out:
        tag_to_csv(tagger, sounds, out)
    else:
        _print_tags(tagger, sounds, top, 0.0 if least is None else enough)


def _refuse_mixed(out: Path | None, times: Path | None, labels: Path | None, least: str | None) -> None:
    if times and (out or labels):
        raise typer.BadParameter("it has a row an event, --out and --labels a row a file", param_hint="--times")
    if out and not labels and least is not None:
        raise typer.BadParameter("--out has all scores; it is for --labels and --times", param_hint="--least")


def score_or_table(least: str | None) -> float | Path:
    """Returns what --least says: a score, or where the table of them is."""
    from ..thresholds import DEFAULT

    try:
        score = DEFAULT if least is None else float(least)
    except ValueError:
        if Path(str(least)).is_file():
            return Path(str(least))
        raise typer.BadParameter(f"{least}: neither a score nor a file", param_hint="--least") from None
    if not 0 <= score <= 1:
        raise typer.BadParameter(f"{least}: a score is from 0 to 1", param_hint="--least")
    return score


def thresholds_of(given: float | Path, vocabulary: "Vocabulary") -> "Least":
    """Returns that score, or those of the table; says which classes it has none for."""
    from .. import thresholds

    if not isinstance(given, Path):
        return given
    found = thresholds.read(given, vocabulary)
    if found.without:
        say(f"{given}: no threshold for {some_of(found.without)}; {thresholds.DEFAULT:g} counts there")
    return found.scores


def _write_labels(tagger: "Tagger", sounds: "list[Named]", labels: Path, out: Path | None, least: "Least") -> None:
    """Writes the labels of sound files, and their scores where asked for; ends with status 1 if some have neither."""
    from .. import labelsheet, scoresheet, tables

    if out:
        scoresheet.refuse_no_place(out, ("fname", *tagger.vocabulary.names))
    scoresheet.refuse_no_place(labels, labelsheet.COLUMNS)
    with (
        bar("tagging", total=len(sounds)) as advance,
        scoresheet.scored(tagger, sounds, labels, on_file=lambda _: advance()) as found,
    ):
        if out:
            tables.write_scores(out, found.names, found.scores, tagger.vocabulary)
        without = labelsheet.write(labels, found.names, found.scores, tagger.vocabulary, least=least)
    say(f"{labels}: {counted(len(found.names), 'file')}, {without} without a label")
    end_with_untagged(found.bad)


def _write_times(tagger: "Tagger", sounds: "list[Named]", out: Path, least: "Least", around: float) -> None:
    """Writes from when to when each class is heard, and says so; ends with status 1 if some could not be tagged."""
    from .. import eventsheet, labeltracks

    if out.suffix.lower() == ".txt":
        if len(sounds) > 1:
            raise typer.BadParameter(f"a .txt has the labels of one sound file, these are {len(sounds)}; give a .csv")
        labeltracks.refuse_no_track(out)  # before an hour of sound is heard
        found = tagger.events(sounds[0].path, least=least, around_seconds=around)
        features = tagger.recipe.features
        labeltracks.write(out, found, low_hz=features.fmin_hz, high_hz=features.fmax_hz)
        say(f"{out}: {counted(len(found), 'event')}")
        return
    with bar("tagging", total=len(sounds)) as advance:
        bad = eventsheet.tag_to_csv(
            tagger, sounds, out, least=least, around_seconds=around, on_file=lambda _: advance()
        )
    said = f"scores from {least:g}" if isinstance(least, float) else "scores from each class's own"
    say(f"{out}: {counted(len(sounds) - len(bad), 'file')}, {said}")
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


def _print_tags(tagger: "Tagger", sounds: "list[Named]", top: int, least: "Least") -> None:
    """Prints a line a file; ends with status 1 if some could not be tagged."""
    from ..thresholds import require

    names, enough = tagger.vocabulary.names, require(least, len(tagger.vocabulary))
    bad: list[Tagged] = []
    for sound, tagged in zip(sounds, tagger.tag_many(sound.path for sound in sounds), strict=True):
        if tagged.scores is None:
            bad.append(tagged)
            continue
        best = [index for index in (-tagged.scores).argsort(kind="stable") if tagged.scores[index] >= enough[index]]
        tags = ", ".join(f"{names[index]} {tagged.scores[index]:.3f}" for index in best[:top])
        say(f"{sound.name}: {tags or 'nothing that scores enough'}")
    end_with_untagged(bad)
