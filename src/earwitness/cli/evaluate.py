"""The verb `evaluate`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from .options import (
    HopOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    WindowsOption,
    require_room_for,
    use_threads,
    write_json,
)
from .screen import bar, end_with_problems, output, printable, say
from .tag import tagger_of

if TYPE_CHECKING:
    from ..corpus import Store
    from ..dataset import Dataset
    from ..evaluation import Evaluation, Scored
    from ..tagging import Tagger


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="a model's folder, such as RUN/model, or a CSV of scores")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="a dataset with a test table, or a store")],
    json_file: JsonOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table of classes there")] = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="write every clip's scores there")] = None,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Score a dataset's test clips: lwlrap overall and per class. With a 95 % interval."""
    require_room_for(json_file, csv, scores)
    from .. import corpus, evaluation, layouts, tables

    source = corpus.Store(dataset) if corpus.is_store(dataset) else layouts.read_dataset(dataset)
    if model.is_file():
        if hop_frames:
            raise typer.BadParameter("it is for models; a CSV's scores are there already", param_hint="--hop-frames")
        vocabulary, (clips, scored, problems) = evaluation.given_scores(model, source.clips, dataset)
    else:
        use_threads(threads)
        tagger = tagger_of(model, hop_frames, windows, precision)
        vocabulary, (clips, scored, problems) = tagger.vocabulary, _score(tagger, source)
    result = evaluation.evaluate_scores(
        vocabulary.encode_all([clip.labels for clip in clips]), scored, vocabulary,
        usage=[clip.usage for clip in clips],
    )  # fmt: skip
    print_evaluation(result)
    write_json(json_file, result.as_json() | {"not_scored": len(problems)})
    if csv:
        result.write_per_class_csv(csv)
    if scores:
        tables.write_scores(scores, [clip.fname for clip in clips], scored, vocabulary)
    end_with_problems(problems, "test clips that could not be scored")


def _score(tagger: "Tagger", source: "Store | Dataset") -> "Scored":
    """Returns what a model scores the test clips of a store or a dataset."""
    from .. import corpus, evaluation

    with bar("tagging") as advance:
        if isinstance(source, corpus.Store):
            return evaluation.score_store(tagger, source, on_clip=advance)
        return evaluation.score_dataset(tagger, source, on_clip=advance)


def print_evaluation(result: "Evaluation") -> None:
    table = Table(Column("class", overflow="fold"), box=None, header_style="bold", pad_edge=False)
    for name in ("clips", "lwlrap", "weight"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.per_class:
        value = "-" if math.isnan(one.lwlrap) else f"{one.lwlrap:.4f}"
        table.add_row(printable(one.name), str(one.clips), value, f"{one.weight:.4f}")
    output.print(table, soft_wrap=False)
    for name, figure in {"all": result.overall, **result.by_usage}.items():
        low, high = figure.interval
        say(f"lwlrap {figure.lwlrap:.4f} (95 % interval {low:.4f} to {high:.4f}), {name}: {figure.clips} clips")
