"""The command line: one verb a function, and the only file that prints.

Heavy modules are imported inside the verbs, so that `--help` answers at once.
"""

import errno
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
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
from rich.table import Column, Table

from . import __version__
from .errors import EarwitnessError

if TYPE_CHECKING:
    from .corpus import Store
    from .dataset import Dataset, Problem
    from .evaluation import Evaluation, Scored
    from .labels import Vocabulary
    from .recipe import Recipe
    from .scoresheet import Named
    from .tagging import Tagged, Tagger, TagsFiles
    from .training import StepMetrics

SOME_FAILED, REFUSED, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
_FIRST_PROBLEMS = 10

app = typer.Typer(
    help="Train an audio tagger from labels you can't trust, find out which to trust, and tag sound with it.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all done, 1 done but for the files listed, 2 refused. --traceback shows where one arose.",
)
# Names of files and classes are printed as they are: nothing in them is markup, and no line of them is broken.
screen = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
errors = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)
# Typer brings a click of its own, or uses the installed one, by its version: this is the class of either.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="a model's folder, such as RUN/model")]
RecipeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="a recipe by name, or a TOML file; repeatable, later ones on top; default: the report",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="change one setting; repeatable"),
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures there as JSON")]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="processor threads; default: one for each core")
]
CpuOption = Annotated[bool, typer.Option("--cpu", help="leave a GPU alone")]
HopOption = Annotated[
    int | None,
    typer.Option("--hop-frames", metavar="N", min=1, help="frames between windows; default: the model's recipe"),
]


def main() -> None:
    """Runs the command line; an error of the user's input ends it with one line and exit status 2."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]
    show_traceback = len(arguments) < len(sys.argv) - 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name that the terminal's encoding lacks is shown with escapes.
            stream.reconfigure(errors="backslashreplace")
    try:
        with typer.main.get_command(app).make_context("earwitness", arguments or ["--help"]) as context:
            context.command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except BrokenPipeError:
        # Whoever read our output, `head` perhaps, has enough. Python itself flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except KeyboardInterrupt:
        _complain("earwitness: stopped; what was done is kept, the same command goes on (train: with --resume)")
        sys.exit(INTERRUPTED)
    except (EarwitnessError, OSError, _UsageError) as error:
        if show_traceback:
            raise
        _complain(f"earwitness: {_in_one_line(error)}")
        sys.exit(REFUSED)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, _UsageError):
        verb = error.ctx.command_path if error.ctx else "earwitness"
        return f"{error.format_message().rstrip('.')}; see `{verb} --help`"
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename is not None else ""
    advice = _ADVICE.get(error.errno or 0)
    return f"{place}{error.strerror or error}" + (f"; {advice}" if advice else "")


_ADVICE = {
    errno.ENOSPC: "make room, and give the same command again",
    errno.EDQUOT: "make room, and give the same command again",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.EROFS: "choose another place",
    errno.EEXIST: "choose another name",
    errno.EISDIR: "choose another name",
    errno.ENOTDIR: "choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def _say(line: str) -> None:
    """Prints one line; what would not stand in it, such as a line end in a file's name, is shown as an escape."""
    screen.print(_printable(line))


def _complain(line: str) -> None:
    """Prints one line to stderr, as `_say`."""
    errors.print(_printable(line), style="red")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


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
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="a dataset's folder, or a CSV with fname,labels[,split]")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="STORE", help="the store's folder; made, brought up to date, or gone on with"),
    ],
    recipe: RecipeOption = None,
    settings: SetOption = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="decoding processes; default: one for each core")
    ] = None,
    corrections: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help='JSON of fname: labels, or "remove"; repeatable, later files win'),
    ] = None,
    leave_out_known_bad: Annotated[
        bool, typer.Option("--leave-out-known-bad", help="leave out clips that the dataset's authors name as wrong")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Decode a dataset's clips into a store of log-mels. Stopped anywhere, it goes on when run again."""
    _require_room_for(json_file)
    from . import corpus, layouts
    from . import recipe as recipes

    features = recipes.load(recipe, settings or []).features
    found, changes = _as_wished(layouts.read_dataset(dataset), corrections or [], leave_out_known_bad)
    started = time.perf_counter()
    with _bar("decoding") as advance:
        report = corpus.prepare(found, out, features, workers=workers or _decoding_processes(), on_clip=advance)
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{count} {role}" for role, count in report.clips.items() if count)
    rate = f" at {report.decoded / seconds:.0f} a second" if report.decoded else ""
    _say(f"{out}: {counts}; {report.decoded} files decoded{rate}, {report.kept} already there")
    if not report.clips["noisy"]:
        _say("no noisy clips: log-mels will be normalised by the curated set")
    _list_some("silent throughout, kept whole", report.silent)
    _write_json(
        json_file,
        {
            "clips": report.clips, "decoded": report.decoded, "kept": report.kept, "seconds": seconds,
            "left_out": len(report.problems), "silent": len(report.silent), **changes,
        },
    )  # fmt: skip
    _end_with_problems(report.problems, "clips left out", listed_in=out / "bad_files.csv")


@app.command()
def train(
    store: Annotated[Path | None, typer.Argument(metavar="STORE", help="a store that `prepare` made")] = None,
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
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="another run, or a model, whose weights are the first ones of this run"),
    ] = None,
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
        screen.print(recipes.dump(chosen, explain=True), end="")
        return
    if store is None or out is None:
        raise typer.BadParameter("train needs a STORE and --out RUN (or --show-recipe)")
    if fold not in {"all", *(str(number) for number in range(5))}:
        raise typer.BadParameter(f"{fold}: give 0, 1, 2, 3, 4 or all", param_hint="--fold")
    from . import corpus

    opened = corpus.Store(store)
    _use_threads(threads)
    from . import training

    started = time.perf_counter()
    with _TrainingBar() as watcher:
        model = training.train(
            opened, out, chosen,
            observer=watcher, fold=None if fold == "all" else int(fold), resume=resume, cpu=cpu, start_from=start_from,
        )  # fmt: skip
    _say(f"{model}: written after {_duration(time.perf_counter() - started)}")


@app.command()
def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="a model's folder, such as RUN/model, or a CSV of scores")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="a dataset with a test table, or a store")],
    json_file: JsonOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table of classes there")] = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="write every clip's scores there")] = None,
    hop_frames: HopOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Score a dataset's test clips: lwlrap overall and per class. With a 95 % interval."""
    _require_room_for(json_file, csv, scores)
    from . import corpus, evaluation, layouts, tables

    source = corpus.Store(dataset) if corpus.is_store(dataset) else layouts.read_dataset(dataset)
    if model.is_file():
        if hop_frames:
            raise typer.BadParameter("it is for models; a CSV's scores are there already", param_hint="--hop-frames")
        vocabulary, (clips, scored, problems) = evaluation.given_scores(model, source.clips, dataset)
    else:
        vocabulary, (clips, scored, problems) = _score(model, source, hop_frames, threads)
    result = evaluation.evaluate_scores(
        vocabulary.encode_all([clip.labels for clip in clips]), scored, vocabulary,
        usage=[clip.usage for clip in clips],
    )  # fmt: skip
    _print_evaluation(result)
    _write_json(json_file, result.as_json() | {"not_scored": len(problems)})
    if csv:
        result.write_per_class_csv(csv)
    if scores:
        tables.write_scores(scores, [clip.fname for clip in clips], scored, vocabulary)
    _end_with_problems(problems, "test clips that could not be scored")


@app.command()
def tag(
    model: ModelArgument,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="sound files, and folders of them")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV with a column a class; default: tags on screen")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="tags to print for each file")] = 3,
    hop_frames: HopOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Tag sound files. One that can't be read is listed at the end. Stopped, --out goes on when run again."""
    _require_room_for(out)
    _use_threads(threads)
    from . import scoresheet
    from .tagging import Tagged

    tagger = _tagger(model, hop_frames)
    sounds = scoresheet.sound_files(paths)
    if out:
        _tag_to_csv(tagger, sounds, out)
        return
    bad: list[Tagged] = []
    for sound, tagged in zip(sounds, tagger.tag_many(sound.path for sound in sounds), strict=True):
        if tagged.scores is None:
            bad.append(tagged)
        else:
            _print_tags(sound.name, tagged.scores, tagger.vocabulary.names, top)
    _end_with_untagged(bad)


@app.command()
def ensemble(
    members: Annotated[list[Path], typer.Argument(metavar="MEMBER", help="CSVs of scores, or models' folders")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="where the averaged scores go")],
    how: Annotated[str, typer.Option(metavar="arithmetic|geometric|rank", help="which mean")] = "arithmetic",
    weights: Annotated[
        str | None, typer.Option(metavar="W,W,..", help="a weight for each member; default: equal ones")
    ] = None,
    sounds: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="a sound file or a folder of them for models to tag; repeatable"),
    ] = None,
    hop_frames: HopOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Average several systems into one CSV. Score tables as they are, or models in one pass over the sound."""
    _require_room_for(out)
    models = [member for member in members if not member.is_file()]
    if models and len(models) < len(members):
        raise typer.BadParameter(f"{models[0]}: no CSV; give CSVs alone or models alone", param_hint="MEMBER")
    if bool(models) != bool(sounds):
        raise typer.BadParameter("needed by models, of no use to CSVs", param_hint="--sounds")
    if hop_frames and not models:
        raise typer.BadParameter("it is for models; a CSV's scores are there already", param_hint="--hop-frames")
    if models:
        _use_threads(threads)
    from . import ensemble as systems
    from . import scoresheet, tables
    from .labels import Vocabulary

    mean = systems.mean_of(len(members), how, weights)
    if sounds:
        tagger = systems.EnsembleTagger.load(models, mean=mean, hop_frames=hop_frames)
        _tag_to_csv(tagger, scoresheet.sound_files(sounds), out)
        return
    result = systems.average_tables([systems.read_table(member) for member in members], mean)
    tables.write_scores(out, result.fnames, result.scores, Vocabulary(result.classes))
    _say(f"{out}: {len(members)} tables, {len(result.fnames)} files, {len(result.classes)} classes")


@app.command()
def estimate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="a dataset's folder, or a CSV")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where stores and runs shall lie")],
    system: Annotated[
        list[str],
        typer.Option(metavar="RECIPE[+RECIPE]", help="the recipes of a system, later ones on top; repeatable"),
    ],
    json_file: JsonOption = None,
    threads: ThreadsOption = None,
    cpu: CpuOption = False,
) -> None:
    """Say how long systems take to train, and how much disk. Refused where the disk is too small."""
    _require_room_for(json_file)
    from . import layouts
    from . import recipe as recipes

    names = dict.fromkeys(system)
    settings = {name: recipes.load(name.split("+")) for name in names}
    found = layouts.read_dataset(dataset)
    _use_threads(threads)
    import torch

    from . import estimate as costs

    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    with _bar("timing a step", total=len(system)) as advance:
        result = costs.estimate(
            found, [costs.System(name, settings[name]) for name in system], device=device, on_system=advance
        )
    free = shutil.disk_usage(_nearest_folder(out)).free
    for cost in result.systems:
        lasts = _duration(cost.training_seconds + cost.tagging_seconds)
        _say(f"{cost.name}: {cost.steps} steps, {lasts}, {_size(cost.run_bytes)}")
    _say(f"log-mels of {result.stores} kinds: {_size(result.store_bytes)}")
    _say(f"in all {_duration(result.seconds)} on {device}, {_size(result.bytes)}; {_size(free)} are free")
    costs.refuse_too_little_room(result.bytes, out, free)
    _write_json(json_file, result.as_json() | {"free_bytes": free, "device": str(device)})


@app.command()
def sounds(
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder of the sound set")],
    curated: Annotated[int, typer.Option(metavar="N", min=1, help="curated clips of each class")] = 6,
    noisy: Annotated[int, typer.Option(metavar="N", min=0, help="noisy clips of each class")] = 40,
    test: Annotated[int, typer.Option(metavar="N", min=0, help="test clips of each class")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="seed of all sounds and labels")] = 2019,
) -> None:
    """Write the built-in sound set, laid out as FSDKaggle2019 is. Stopped, it goes on when run again."""
    from . import synthetic, voices

    with _bar("making the sound set") as advance:
        synthetic.write_dataset(
            out, curated_per_class=curated, noisy_per_class=noisy, test_per_class=test, seed=seed, on_clip=advance
        )
    clips = (curated + noisy + test) * len(voices.CLASSES)
    _say(f"{out}: {clips} clips of {len(voices.CLASSES)} classes")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="where everything goes")] = Path("demo"),
    threads: ThreadsOption = None,
) -> None:
    """Do it all on the built-in sound set. Make it, prepare, train, evaluate, tag; with pictures."""
    _use_threads(threads)
    from . import demo as journey

    with _bar("making the sound set") as advance:
        sounds = journey.make_sounds(out, on_clip=advance)
    with _bar("decoding") as advance:
        store = journey.prepare_store(sounds, out, workers=_decoding_processes(), on_clip=advance)
    started = time.perf_counter()
    for name in journey.RECIPES:
        _say(f"training with the recipe {name}")
        with _TrainingBar() as watcher:
            journey.train_one(name, store, out, observer=watcher)
    with _bar("tagging") as advance:
        result = journey.conclude(store, sounds, out, seconds=lambda: time.perf_counter() - started, on_clip=advance)
    _print_demo(result, out)


def _as_wished(
    found: "Dataset", corrections: list[Path], leave_out_known_bad: bool
) -> "tuple[Dataset, dict[str, int]]":
    """Returns a dataset as the user wants it, and the figures of what that changed; says so on the way."""
    from .corrections import correct

    corrected = correct(found, corrections)
    if corrections:
        _say(f"corrections: {corrected.relabelled} clips have other labels, {corrected.removed} are left out")
        _list_some("corrections for names that no clip of the dataset has", corrected.unknown)
    found = corrected.dataset
    known_bad = len(found.known_bad)
    if known_bad and leave_out_known_bad:
        found = found.without_known_bad()
        _say(f"{known_bad} clips that the dataset's authors name as wrong are left out")
    elif known_bad:
        _say(f"{known_bad} clips are named as wrong by the dataset's authors; --leave-out-known-bad leaves them out")
    figures = {"known_bad": known_bad, "relabelled": corrected.relabelled, "removed": corrected.removed}
    return found, figures | {"unknown_fnames": len(corrected.unknown)}


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
            _say(f"going on after {done} of {total} steps")

    def note(self, text: str) -> None:
        _say(f"note: {text}")

    def stepped(self, metrics: "StepMetrics") -> None:
        assert self._task is not None
        labels = metrics.pseudo_labels_per_patch
        guessed = "" if labels is None else f" labels {labels:.2f}"
        state = f"loss {metrics.loss:.3g} lr {metrics.learning_rate:.4f}{guessed}{self._lwlrap}"
        self._bar.update(self._task, completed=metrics.step, stage=metrics.stage, state=state)
        if not screen.is_terminal and metrics.step % self._PLAIN_EVERY_STEPS == 0:
            _say(f"stage {metrics.stage}, step {metrics.step} of {self._total}: {state}")

    def evaluated(self, step: int, overall: float) -> None:
        self._lwlrap = f" lwlrap {overall:.3f}"
        if not screen.is_terminal:
            _say(f"after {step} steps: lwlrap of the held-out fold {overall:.4f}")


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
    table = Table(Column("class", overflow="fold"), box=None, header_style="bold", pad_edge=False)
    for name in ("clips", "lwlrap", "weight"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.per_class:
        value = "-" if math.isnan(one.lwlrap) else f"{one.lwlrap:.4f}"
        table.add_row(_printable(one.name), str(one.clips), value, f"{one.weight:.4f}")
    screen.print(table, soft_wrap=False)
    for name, figure in {"all": result.overall, **result.by_usage}.items():
        low, high = figure.interval
        _say(f"lwlrap {figure.lwlrap:.4f} (95 % interval {low:.4f} to {high:.4f}), {name}: {figure.clips} clips")


def _print_tags(name: str, scores: Any, names: tuple[str, ...], top: int) -> None:
    best = (-scores).argsort(kind="stable")[:top]
    _say(f"{name}: " + ", ".join(f"{names[index]} {scores[index]:.3f}" for index in best))


def _print_demo(result: dict[str, Any], out: Path) -> None:
    low, high = result["difference_interval"]
    tags = ", ".join(f"{name} {score:.2f}" for name, score in result["mixed_clip"]["tags"].items())
    for line in (
        "",
        f"lwlrap on {result['test_clips']} test clips, equal steps ({result['steps']}):",
        f"  curated clips only   {result['lwlrap_curated_only']:.4f}",
        f"  the full system      {result['lwlrap_full']:.4f}",
        f"  difference           {result['difference']:+.4f} (95 % interval {low:+.4f} to {high:+.4f})",
        f"a mixed clip of {' and '.join(result['mixed_clip']['labels'])} is tagged",
        f"  {tags}",
        *(f"{out / name}" for name in ("result.json", "learning_curve.png", "mixed_clip.png")),
    ):
        _say(line)


def _tagger(model: Path, hop_frames: int | None) -> "Tagger":
    from .tagging import Tagger

    tagger = Tagger.load(model)
    return tagger.with_hop(hop_frames) if hop_frames else tagger


def _score(
    model: Path, source: "Store | Dataset", hop_frames: int | None, threads: int | None
) -> "tuple[Vocabulary, Scored]":
    """Returns a model's classes, and what it scores the test clips of a store or a dataset."""
    _use_threads(threads)
    from . import corpus, evaluation

    tagger = _tagger(model, hop_frames)
    with _bar("tagging") as advance:
        if isinstance(source, corpus.Store):
            return tagger.vocabulary, evaluation.score_store(tagger, source, on_clip=advance)
        return tagger.vocabulary, evaluation.score_dataset(tagger, source, on_clip=advance)


def _tag_to_csv(tagger: "TagsFiles", sounds: "list[Named]", out: Path) -> None:
    """Writes the scores of sound files to a CSV, and says so; ends with status 1 if some could not be tagged."""
    from . import scoresheet

    with _bar("tagging", total=len(sounds)) as advance:
        bad = scoresheet.tag_to_csv(tagger, sounds, out, on_file=lambda _: advance())
    _say(f"{out}: {len(sounds) - len(bad)} files, {len(tagger.vocabulary)} classes")
    _end_with_untagged(bad)


def _end_with_untagged(bad: "list[Tagged]") -> None:
    from .dataset import Problem

    problems = [Problem(one.path.name, "", one.path, str(one.error)) for one in bad]
    _end_with_problems(problems, "files that could not be tagged")


def _list_some(what: str, names: tuple[str, ...], most: int = 5) -> None:
    if names:
        more = f" and {len(names) - most} more" if len(names) > most else ""
        _say(f"{len(names)} {what}: {', '.join(names[:most])}{more}")


def _end_with_problems(problems: "Sequence[Problem]", what: str, *, listed_in: Path | None = None) -> None:
    """Lists what went wrong with single files, and ends with exit status 1 if anything did.

    Only the first where there is a file that lists them all.
    """
    if not problems:
        return
    most = _FIRST_PROBLEMS if listed_in else len(problems)
    for problem in problems[:most]:
        _complain(problem.what)
    if len(problems) > most:
        _complain(f"... and {len(problems) - most} more")
    _complain(f"{what}: {len(problems)}" + (f"; all of them in {listed_in}" if listed_in else ""))
    raise typer.Exit(SOME_FAILED)


def _require_room_for(*outputs: Path | None) -> None:
    """Raises OSError now, and not after hours of work, where a file could not be written in the end."""
    for path in outputs:
        if path is None:
            continue
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        nearest = _nearest_folder(path.absolute().parent)
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
        if not os.access(nearest, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def _nearest_folder(path: Path) -> Path:
    """Returns what there is of a path: itself, or the nearest above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _recipe_of_run(run: Path | None, sources: list[str] | None, settings: list[str] | None) -> "Recipe":
    """Returns the recipe a run began with, unless another is asked for (which the run then refuses, by name)."""
    from . import recipe as recipes

    began_with = run / "recipe.toml" if run else None
    if not sources and not settings and began_with and began_with.is_file():
        return recipes.load(began_with)
    return recipes.load(sources, settings or [])


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path:
        from . import files

        files.atomic_write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _use_threads(threads: int | None) -> None:
    # Threads that wait for each other asleep: awake, where other programs keep the cores busy, they took 5 times as
    # long. It is read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decoding_processes() -> int:
    # Two even on one core: a decoder that crashes then ends a process of its own, and the file is named.
    return max(2, _cores())


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"
