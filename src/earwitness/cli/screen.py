"""What a user sees: lines, bars, lists of what went wrong, and the exit statuses."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

from ..errors import some_of

if TYPE_CHECKING:
    from ..dataset import Problem


SOME_FAILED, REFUSED, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


_FIRST_PROBLEMS = 10


class _Screen(Console):
    """A console that does not end the program, with status 1, where whoever read has enough, as rich's own does.

    `main` ends it where nobody reads what was asked for. Complaints that nobody reads change no exit status.
    """

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # Python itself flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        if not self.stderr:
            raise BrokenPipeError


# Names of files and classes are printed as they are: nothing in them is markup, and no line of them is broken.
output = _Screen(highlight=False, markup=False, emoji=False, soft_wrap=True)


complaints = _Screen(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)


def say(line: str) -> None:
    """Prints one line; what would not stand in it, such as a line end in a file's name, is shown as an escape."""
    output.print(printable(line))


def say_next(*words: str | Path) -> None:
    """Says which command line usually comes next, as a shell reads it."""
    say("next: " + shlex.join(["earwitness", *map(str, words)]))


def complain(line: str) -> None:
    """Prints one line to stderr, as `say`."""
    complaints.print(printable(line), style="red")


def printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class Advance:
    """Moves a progress bar: by one when called without arguments, else to `done` of `total`."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self._task = bar, task

    def __call__(self, done: int | None = None, total: int | None = None) -> None:
        if done is None:
            self.bar.advance(self._task)
        else:
            self.bar.update(self._task, completed=done, total=total)


@contextmanager
def bar(text: str, total: int | None = None) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output, disable=not output.is_terminal) as bar:
        yield Advance(bar, bar.add_task(text, total=total))


def list_some(what: str, names: tuple[str, ...], most: int = 5) -> None:
    if names:
        say(f"{len(names)} {what}: {some_of(names, most)}")


def end_with_problems(problems: "Sequence[Problem]", what: str, *, listed_in: Path | None = None) -> None:
    """Lists what went wrong with single files, and ends with exit status 1 if anything did.

    Only the first where there is a file that lists them all.
    """
    if not problems:
        return
    most = _FIRST_PROBLEMS if listed_in else len(problems)
    for problem in problems[:most]:
        complain(problem.what)
    if len(problems) > most:
        complain(f"... and {len(problems) - most} more")
    complain(f"{what}: {len(problems)}" + (f"; all of them in {listed_in}" if listed_in else ""))
    raise typer.Exit(SOME_FAILED)


def size(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"
