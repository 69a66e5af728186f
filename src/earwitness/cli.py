"""The command line: one verb a function, and the only file that prints.

Heavy modules are imported inside the verbs, so that `--help` answers at once.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from . import __version__
from .errors import EarwitnessError

if TYPE_CHECKING:
    from .evaluation import Evaluation
    from .recipe import Recipe
    from .tables import Problem
    from .training import StepMetrics

SOME_FAILED, REFUSED = 1, 2

app = typer.Typer(
    help="Train an audio tagger from labels you can't trust, find out which to trust, and tag sound with it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit status: 0 all done, 1 done but for the files listed, 2 refused. --traceback shows where one arose.",
)
screen = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME|FILE", help="a recipe by name, or a TOML file; default: the report"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="change one setting; repeatable"),
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures there as JSON")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="processor threads; default: all cores")]
CpuOption = Annotated[bool, typer.Option("--cpu", help="leave a GPU alone")]


def main() -> None:
    """Runs the command line; an error of the user's input ends it with one line and exit status 2."""
    show_traceback = "--traceback" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--traceback"]
    try:
        app(prog_name="earwitness")
    except EarwitnessError as error:
        if show_traceback:
            raise
        errors.print(f"earwitness: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        errors.print("earwitness: stopped; what was done is kept, the same command goes on (train: with --resume)")
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        screen.print(f"earwitness {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


@app.command()
def prepare(
    dataset: Annotated[Path, typer.Argument(help="a dataset's folder, or a CSV with fname,labels[,split]")],
    out: Annotated[
        Path,
        typer.Option(metavar="STORE", help="the store's folder; made, brought up to date, or gone on with"),
    ],
    recipe: RecipeOption = None,
    settings: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="decoding processes; default: all cores")] = None,
    json_file: JsonOption = None,
) -> None:
    """Decode a dataset's clips into a store of log-mels. Killed and run again, it goes on."""
    from . import corpus, tables
    from . import recipe as recipes

    features = recipes.load(recipe, settings or []).features
    found = tables.read_dataset(dataset)
    started = time.perf_counter()
    with _bar("decoding") as advance:
        report = corpus.prepare(found, out, features, workers=workers or _cores(), on_clip=advance)
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{count} {role}" for role, count in report.clips.items() if count)
    rate = f" at {report.decoded / seconds:.0f} clips/s" if report.decoded else ""
    screen.print(f"{out}: {counts}; {report.decoded} files decoded{rate}, {report.kept} already there")
    if not report.clips["noisy"]:
        screen.print("no noisy clips: log-mels will be normalised by the curated set")
    _list_some("silent throughout, kept whole", report.silent)
    _write_json(
        json_file,
        {
            "clips": report.clips, "decoded": report.decoded, "kept": report.kept, "seconds": seconds,
            "left_out": len(report.problems), "silent": len(report.silent),
        },
    )  # fmt: skip
    _end_with_problems(report.problems, f"clips left out; all of them in {out / 'bad_files.csv'}")


@app.command()
def train(
    store: Annotated[Path | None, typer.Argument(help="a store that `prepare` made")] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="the run's folder")] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    fold: Annotated[
        str,
        typer.Option(
            metavar="0..4|all",
            help="fifth of the curated clips held out to measure; all: learn from every clip",
        ),
    ] = "0",
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was stopped")] = False,
    show_recipe: Annotated[
        bool,
        typer.Option("--show-recipe", help="print every setting with symbol, unit and meaning; train nothing"),
    ] = False,
    threads: ThreadsOption = None,
    cpu: CpuOption = False,
) -> None:
    """Train a tagger: stage 1 on the noisy clips, stage 2 on both. Stopped anywhere, --resume goes on."""
    from . import recipe as recipes

    chosen = _recipe_of_run(out, recipe, settings) if resume else recipes.load(recipe, settings or [])
    if show_recipe:
        screen.print(recipes.dump(chosen, explain=True), end="", markup=False, soft_wrap=True)
        return
    if store is None or out is None:
        raise typer.BadParameter("train needs a STORE and --out RUN (or --show-recipe)")
    if fold not in {"all", *(str(number) for number in range(5))}:
        raise typer.BadParameter(f"{fold}: give 0, 1, 2, 3, 4 or all", param_hint="--fold")
    _use_threads(threads)
    from . import corpus, training

    started = time.perf_counter()
    with _TrainingBar() as watcher:
        model = training.train(
            corpus.Store(store), out, chosen,
            observer=watcher, fold=None if fold == "all" else int(fold), resume=resume, cpu=cpu,
        )  # fmt: skip
    screen.print(f"{model}: written after {_duration(time.perf_counter() - started)}", soft_wrap=True)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="a model's folder, such as RUN/model")],
    dataset: Annotated[Path, typer.Argument(help="a dataset with a test table, or a store")],
    json_file: JsonOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table of classes there")] = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="write every clip's scores there")] = None,
    threads: ThreadsOption = None,
) -> None:
    """Score a dataset's test clips and print lwlrap, overall and per class, with its interval."""
    _use_threads(threads)
    from . import corpus, evaluation, tables
    from .tagging import Tagger

    tagger = Tagger.load(model)
    with _bar("tagging") as advance:
        if corpus.is_store(dataset):
            clips, scored, problems = evaluation.score_store(tagger, corpus.Store(dataset), on_clip=advance)
        else:
            clips, scored, problems = evaluation.score_dataset(tagger, tables.read_dataset(dataset), on_clip=advance)
    result = evaluation.evaluate_scores(
        tagger.vocabulary.encode_all([clip.labels for clip in clips]), scored, tagger.vocabulary,
        usage=[clip.usage for clip in clips],
    )  # fmt: skip
    _print_evaluation(result)
    _write_json(json_file, result.as_json())
    if csv:
        result.write_per_class_csv(csv)
    if scores:
        tables.write_scores(scores, [clip.fname for clip in clips], scored, tagger.vocabulary)
    _end_with_problems(problems, "test clips could not be scored")


@app.command()
def tag(
    model: Annotated[Path, typer.Argument(help="a model's folder, such as RUN/model")],
    paths: Annotated[list[Path], typer.Argument(help="sound files, and folders of them")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV with a column a class; default: tags on screen")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="tags to print for each file")] = 3,
    threads: ThreadsOption = None,
) -> None:
    """Tag sound files. A file that can't be read is listed at the end; the others are tagged."""
    _use_threads(threads)
    from . import scoresheet
    from .tables import Problem
    from .tagging import Tagged, Tagger

    tagger = Tagger.load(model)
    sounds = scoresheet.sound_files(paths)
    bad: list[Tagged] = []
    if out:
        with _bar("tagging", total=len(sounds)) as advance:
            bad = scoresheet.tag_to_csv(tagger, sounds, out, on_file=lambda _: advance())
        screen.print(f"{out}: {len(sounds) - len(bad)} files, {len(tagger.vocabulary)} classes")
    else:
        for sound, tagged in zip(sounds, tagger.tag_many(sound.path for sound in sounds), strict=True):
            if tagged.scores is None:
                bad.append(tagged)
            else:
                _print_tags(sound.name, tagged.scores, tagger.vocabulary.names, top)
    _end_with_problems(
        [Problem(one.path.name, "", one.path, str(one.error)) for one in bad], "files could not be tagged"
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="where everything goes")] = Path("demo"),
    threads: ThreadsOption = None,
) -> None:
    """The whole road on the built-in sound set: make it, prepare, train, evaluate, tag; with pictures."""
    _use_threads(threads)
    from . import demo as journey

    with _bar("making the sound set") as advance:
        sounds = journey.make_sounds(out, on_clip=advance)
    with _bar("decoding") as advance:
        store = journey.prepare_store(sounds, out, workers=_cores(), on_clip=advance)
    started = time.perf_counter()
    for name in journey.RECIPES:
        screen.print(f"training with the recipe {name}")
        with _TrainingBar() as watcher:
            journey.train_one(name, store, out, observer=watcher)
    with _bar("tagging") as advance:
        result = journey.conclude(store, sounds, out, seconds=lambda: time.perf_counter() - started, on_clip=advance)
    _print_demo(result, out)


class _TrainingBar:
    """Shows a run: a bar with loss, rate, pseudo-labels and time left on a terminal; plain lines elsewhere."""

    _PLAIN_EVERY_STEPS = 100

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("stage {task.fields[stage]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            console=screen,
            disable=not screen.is_terminal,
        )
        self._task: TaskID | None = None
        self._lwlrap = ""
        self._total = 0

    def __enter__(self) -> "_TrainingBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begun(self, *, done: int, total: int) -> None:
        self._total = total
        self._task = self._bar.add_task("", total=total, completed=done, stage="-", state="")
        if done:
            screen.print(f"going on after {done} of {total} steps")

    def note(self, text: str) -> None:
        screen.print(f"note: {text}", markup=False)

    def stepped(self, metrics: "StepMetrics") -> None:
        assert self._task is not None
        labels = metrics.pseudo_labels_per_patch
        guessed = "" if labels is None else f" labels {labels:.2f}"
        state = f"loss {metrics.loss:.3g} lr {metrics.learning_rate:.4f}{guessed}{self._lwlrap}"
        self._bar.update(self._task, completed=metrics.step, stage=metrics.stage, state=state)
        if not screen.is_terminal and metrics.step % self._PLAIN_EVERY_STEPS == 0:
            screen.print(f"stage {metrics.stage}, step {metrics.step} of {self._total}: {state}")

    def evaluated(self, step: int, overall: float) -> None:
        self._lwlrap = f" lwlrap {overall:.3f}"
        if not screen.is_terminal:
            screen.print(f"after {step} steps: lwlrap of the held-out fold {overall:.4f}")


class _Advance:
    """Moves a progress bar: by one when called without arguments, else to `done` of `total`."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, done: int | None = None, total: int | None = None) -> None:
        if done is None:
            self._bar.advance(self._task)
        else:
            self._bar.update(self._task, completed=done, total=total)


@contextmanager
def _bar(text: str, total: int | None = None) -> Iterator[_Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        yield _Advance(bar, bar.add_task(text, total=total))


def _print_evaluation(result: "Evaluation") -> None:
    table = Table("class", "clips", "lwlrap", "weight", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in result.per_class:
        table.add_row(one.name, str(one.clips), f"{one.lwlrap:.4f}", f"{one.weight:.4f}")
    screen.print(table)
    for name, figure in {"all": result.overall, **result.by_usage}.items():
        low, high = figure.interval
        screen.print(
            f"lwlrap {figure.lwlrap:.4f} (95 % interval {low:.4f} to {high:.4f}), {name}: {figure.clips} clips"
        )


def _print_tags(name: str, scores: Any, names: tuple[str, ...], top: int) -> None:
    best = (-scores).argsort(kind="stable")[:top]
    screen.print(f"{name}: " + ", ".join(f"{names[index]} {scores[index]:.3f}" for index in best), markup=False)


def _print_demo(result: dict[str, Any], out: Path) -> None:
    screen.print(
        f"\nlwlrap on {result['test_clips']} test clips, equal steps ({result['steps']}):\n"
        f"  curated clips only   {result['lwlrap_curated_only']:.4f}\n"
        f"  the full system      {result['lwlrap_full']:.4f}\n"
        f"  difference           {result['difference']:+.4f} "
        f"(95 % interval {result['difference_interval'][0]:+.4f} to {result['difference_interval'][1]:+.4f})\n"
        f"a mixed clip of {' and '.join(result['mixed_clip']['labels'])} is tagged\n  "
        + ", ".join(f"{name} {score:.2f}" for name, score in result["mixed_clip"]["tags"].items())
    )
    for name in ("result.json", "learning_curve.png", "mixed_clip.png"):
        screen.print(f"{out / name}", soft_wrap=True)


def _list_some(what: str, names: tuple[str, ...], most: int = 5) -> None:
    if names:
        more = f" and {len(names) - most} more" if len(names) > most else ""
        screen.print(f"{len(names)} {what}: {', '.join(names[:most])}{more}", soft_wrap=True)


def _end_with_problems(problems: "list[Problem] | tuple[Problem, ...]", what: str, most: int = 10) -> None:
    """Lists what went wrong with single files, and ends with exit status 1 if anything did."""
    if not problems:
        return
    for problem in problems[:most]:
        errors.print(problem.what, style="red", markup=False, soft_wrap=True)
    if len(problems) > most:
        errors.print(f"... and {len(problems) - most} more", style="red")
    errors.print(f"{len(problems)} {what}", style="red", soft_wrap=True)
    raise typer.Exit(SOME_FAILED)


def _recipe_of_run(run: Path | None, source: str | None, settings: list[str] | None) -> "Recipe":
    """Returns the recipe a run began with, unless another is asked for (which the run then refuses, by name)."""
    from . import recipe as recipes

    began_with = run / "recipe.toml" if run else None
    if source is None and not settings and began_with and began_with.is_file():
        return recipes.load(began_with)
    return recipes.load(source, settings or [])


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path:
        from . import files

        files.atomic_write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _use_threads(threads: int | None) -> None:
    import torch

    torch.set_num_threads(threads or _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
