"""The verb `evaluate`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from ..errors import counted, some_of
from .options import (
    AudioRootOption,
    HopOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    WindowsOption,
    require_room_for_figures,
    use_threads,
    write_json,
)
from .screen import bar, end_with_problems, output, printable, say
from .tag import tagger_of

if TYPE_CHECKING:
    from ..corpus import Store
    from ..dataset import Dataset
    from ..evaluation import Evaluation, Scored
    from ..labels import Vocabulary
    from ..tagging import Tagger


def evaluate(
    *,
    model: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL", help="one model's folder, such as RUN/model; none with --scores"),
    ] = None,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="a dataset with a test table, or a store")],
    table: Annotated[
        Path | None, typer.Option("--scores", metavar="TABLE", help="a CSV of scores to judge, in place of a model")
    ] = None,
    audio_root: AudioRootOption = None,
    json_file: JsonOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table of classes there")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="write every clip's scores there")] = None,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Score a dataset's test clips: lwlrap overall and per class. With a 95 % interval."""
    require_room_for_figures(json_file, csv, out, inputs=[*(model or []), dataset, *([table] if table else [])])
    if len(model or []) != (0 if table else 1):
        raise typer.BadParameter("give MODEL and DATASET, or --scores TABLE and DATASET")
    if table and hop_frames:
        raise typer.BadParameter("it is for models; a table's scores are there already", param_hint="--hop-frames")
    for folder in model or []:
        _refuse_no_model(folder)
    from .. import corpus, evaluation, layouts, tables

    # A table can be judged where the sound is not at hand.
    stored = corpus.is_store(dataset)
    if stored and audio_root:
        raise typer.BadParameter("it is for datasets; a store has heard its sound", param_hint="--audio-root")
    source = (
        corpus.Store(dataset)
        if stored
        else layouts.read_dataset(dataset, without_sound=table is not None, audio_root=audio_root)
    )
    if table:
        _refuse_no_place(csv, out, source.vocabulary)
        vocabulary, (clips, scored, problems) = source.vocabulary, evaluation.given_scores(table, source, dataset)
    else:
        (folder,) = model or []
        use_threads(threads)
        tagger = tagger_of(folder, hop_frames, windows, precision)
        _refuse_no_place(csv, out, tagger.vocabulary)
        vocabulary, (clips, scored, problems) = tagger.vocabulary, _score(tagger, source)
    result = evaluation.evaluate_scores(
        vocabulary.encode_all([clip.labels for clip in clips]), scored, vocabulary,
        usage=[clip.usage for clip in clips],
    )  # fmt: skip
    print_evaluation(result)
    write_json(json_file, result.as_json() | {"not_scored": len(problems)})
    if csv:
        result.write_per_class_csv(csv)
    if out:
        tables.write_scores(out, [clip.fname for clip in clips], scored, vocabulary)
    end_with_problems(problems, "test clips that could not be scored")


def _refuse_no_model(folder: Path) -> None:
    """Raises BadParameter or ModelError where there is no model: before a dataset is read, which may take long."""
    from ..model import load_config

    if folder.is_file():
        raise typer.BadParameter(f"{folder}: a file, no model's folder; give a table of scores as --scores {folder}")
    load_config(folder)


def _refuse_no_place(per_class: Path | None, scores: Path | None, vocabulary: "Vocabulary") -> None:
    """Raises TableError, before any work, where there is no place for a table, or another in its place."""
    from .. import evaluation, scoresheet

    if per_class:
        scoresheet.refuse_no_place(per_class, evaluation.PER_CLASS_COLUMNS)
    if scores:
        scoresheet.refuse_no_place(scores, ("fname", *vocabulary.names))


def _score(tagger: "Tagger", source: "Store | Dataset") -> "Scored":
    """Returns what a model scores the test clips of a store or a dataset."""
    from .. import corpus, evaluation

    with bar("tagging") as advance:
        if isinstance(source, corpus.Store):
            return evaluation.score_store(tagger, source, on_clip=advance)
        return evaluation.score_dataset(tagger, source, on_clip=advance)


def print_evaluation(result: "Evaluation") -> None:
    table = Table(Column("class", overflow="fold"), box=None, header_style="bold", pad_edge=False)
    for name in ("clips", "lwlrap", "AP", "from", "P", "R"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.per_class:
        if one.clips:
            figures = (one.lwlrap, one.average_precision, *one.threshold)
            table.add_row(printable(one.name), str(one.clips), *map(_three_digits, figures))
    output.print(table, soft_wrap=False)
    if unheard := [printable(one.name) for one in result.per_class if not one.clips]:
        say(f"no test clip to measure {some_of(unheard, 5)} by")
    classes = sum(bool(one.clips) for one in result.per_class)
    say(f"mean average precision {result.mean_average_precision:.4f}, over {counted(classes, 'class')}")
    score, precision, recall = map(_three_digits, result.threshold)
    say(f"one threshold for all classes: from {score} on, precision {precision}, recall {recall}")
    for name, figure in {"all": result.overall, **result.by_usage}.items():
        low, high = figure.interval
        say(f"lwlrap {figure.lwlrap:.4f} (95 % interval {low:.4f} to {high:.4f}), {name}: {figure.clips} clips")


def _three_digits(figure: float) -> str:
    return "-" if math.isnan(figure) else f"{figure:.3f}"
