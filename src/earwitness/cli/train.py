"""The verb `train`, and how a run is shown."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..errors import RunError
from .options import CpuOption, RecipeOption, SetOption, ThreadsOption, use_threads
from .screen import duration, output, say, say_next

if TYPE_CHECKING:
    from ..learner import StepMetrics
    from ..recipe import Recipe


_FOR_A_GPU = "no --recipe, so all is the report's, which is made for a GPU; on a CPU begin with --recipe laptop"


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
        typer.Option(metavar="RUN", help="another run, or a model, with whose weights this run begins"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was stopped")] = False,
    show_recipe: Annotated[
        bool,
        typer.Option("--show-recipe", help="print every setting with symbol, unit and meaning; train nothing"),
    ] = False,
    threads: ThreadsOption = None,
    cpu: CpuOption = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="have torch compile the network: slow to start, then faster on a GPU")
    ] = False,
) -> None:
    """Train a tagger on the clips of a store, checked and unchecked. Stopped anywhere, --resume goes on."""
    from .. import recipe as recipes

    chosen = _recipe_of_run(out, recipe, settings) if resume else recipes.load(recipe, settings or [])
    if show_recipe:
        output.print(recipes.dump(chosen, explain=True), end="")
        return
    if store is None or out is None:
        raise typer.BadParameter("train needs a STORE and --out RUN (or --show-recipe)")
    if fold not in {"all", *(str(number) for number in range(5))}:
        raise typer.BadParameter(f"{fold}: give 0, 1, 2, 3, 4 or all", param_hint="--fold")
    if resume and not (out / "run.json").is_file():
        # Begun anew by the report's recipe, as none is given to go on, it would take weeks before anybody wondered.
        raise RunError(f"{out}: no run there to go on with; correct --out, or leave out --resume")
    from .. import corpus

    opened = corpus.Store(store)
    use_threads(threads)
    from .. import devices, training

    first_note = _FOR_A_GPU if not recipe and not resume and (cpu or devices.best().type == "cpu") else ""
    started = time.perf_counter()
    with TrainingBar(first_note) as watcher:
        model = training.train(
            opened, out, chosen,
            observer=watcher, fold=None if fold == "all" else int(fold), resume=resume, cpu=cpu, start_from=start_from,
            compiled=compiled,
        )  # fmt: skip
    say(f"{model}: written after {duration(time.perf_counter() - started)}")
    if len(opened.rows("test")):
        say_next("evaluate", model, store)
    if len(opened.rows("noisy")):
        say_next("clean", out, store, "--out", "DOUBTS")


class TrainingBar:
    """Shows a run: a bar with loss, rate, pseudo-labels and time left on a terminal; plain lines elsewhere.

    Control-C stops the run after its next step, which is saved; a second one at once.
    """

    _PLAIN_EVERY_STEPS = 100

    def __init__(self, first_note: str = "") -> None:
        self._first_note = first_note
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            console=output,
            disable=not output.is_terminal,
        )
        self._task: TaskID | None = None
        self._state, self._lwlrap = "", ""
        self._total = 0
        self._stopping = False
        self._listening = False

    def __enter__(self) -> "TrainingBar":
        self.bar.start()
        # In a team of processes Control-C comes to all of them, and none may wait for one that has stopped. Where it is
        # left out, as for what a shell runs behind it, it stays so.
        alone = os.environ.get("WORLD_SIZE", "1") == "1" and threading.current_thread() is threading.main_thread()
        if alone and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._stop_after_step)
            self._listening = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._let_go()
        self.bar.stop()
        if self._stopping and kind is None:  # asked for after the last step: the run is done, what follows it is not
            raise KeyboardInterrupt

    def _stop_after_step(self, *_: object) -> None:
        self._let_go()
        self._stopping = True
        say("stopping after the next step, which is saved; once more stops at once")

    def _let_go(self) -> None:
        if self._listening:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._listening = False

    def begun(self, *, done: int, total: int) -> None:
        self._total = total
        self._task = self.bar.add_task("training", total=total, completed=done, state="")
        if self._first_note:  # not before: a run that is refused has one line to say
            self.note(self._first_note)
        if done:
            say(f"going on after {done} of {total} steps")

    def note(self, text: str) -> None:
        say(f"note: {text}")

    def stepped(self, metrics: "StepMetrics") -> None:
        assert self._task is not None
        labels = metrics.pseudo_labels_per_patch
        guessed = "" if labels is None else f" labels {labels:.2f}"
        self._state = f"loss {metrics.loss:.3g} lr {metrics.learning_rate:.4f}{guessed}"
        stage, state = f"stage {metrics.stage}", f"{self._state}{self._lwlrap}"
        self.bar.update(self._task, description=stage, completed=metrics.step, state=state)
        if not output.is_terminal and metrics.step % self._PLAIN_EVERY_STEPS == 0:
            say(f"{stage}, step {metrics.step} of {self._total}: {state}")
        if self._stopping:
            raise KeyboardInterrupt

    def evaluated(self, step: int, overall: float) -> None:
        assert self._task is not None
        self._lwlrap = f" lwlrap {overall:.3f}"
        # At once: after the last step no other brings it to the screen.
        self.bar.update(self._task, state=f"{self._state}{self._lwlrap}")
        if not output.is_terminal:
            say(f"after {step} steps: lwlrap of the held-out fold {overall:.4f}")


def _recipe_of_run(run: Path | None, sources: list[str] | None, settings: list[str] | None) -> "Recipe":
    """Returns the recipe a run began with, unless another is asked for (which the run then refuses, by name)."""
    from .. import recipe as recipes

    began_with = run / "recipe.toml" if run else None
    if not sources and not settings and began_with and began_with.is_file():
        return recipes.load(began_with)
    return recipes.load(sources, settings or [])
