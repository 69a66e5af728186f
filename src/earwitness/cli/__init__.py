"""The command line: one verb a file, and the only place that prints.

Heavy modules are imported inside the verbs, so that `--help` answers at once.
"""

import errno
import os
import sys
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import EarwitnessError
from . import (
    clean,
    cut,
    demo,
    download,
    ensemble,
    estimate,
    evaluate,
    export,
    listen,
    prepare,
    review,
    serve,
    tag,
    train,
)
from .screen import BROKEN_PIPE, INTERRUPTED, REFUSED, SOME_FAILED, complain, output

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "REFUSED", "SOME_FAILED", "app", "main"]

app = typer.Typer(
    help="Train an audio tagger from labels you can't trust, find out which to trust, and tag sound with it.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all done, 1 done but for the files listed, 2 refused. --traceback shows where errors arose.",
)

# Typer brings a click of its own, or uses the installed one, by its version: this is the class of either.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Runs the command line; an error of the user's input ends it with one line and exit status 2."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]
    show_traceback = len(arguments) < len(sys.argv) - 1
    # Where there is none (`>&-`), a file that is opened would get its number, and what libraries print.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name that the terminal's encoding lacks is shown with escapes.
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_empty(arguments)
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
        complain(f"earwitness: stopped; {_what_is_kept(arguments)}")
        sys.exit(INTERRUPTED)
    except (EarwitnessError, OSError, _UsageError) as error:
        if show_traceback:
            raise
        complain(f"earwitness: {_in_one_line(error)}")
        sys.exit(REFUSED)


def _refuse_empty(arguments: list[str]) -> None:
    """Raises UsageError for an argument without a character: as a path it would mean the current folder."""
    for place, (before, argument) in enumerate(pairwise(["", *arguments]), 1):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            option = argument.removesuffix("=") or before
            what = option if option.startswith("-") else f"argument {place}"
            raise _UsageError(f"{what} is empty, as from a variable that is not set: fill it in")


def _what_is_kept(arguments: list[str]) -> str:
    if arguments and arguments[0] in _BEGIN_ANEW:
        return "nothing was written; the same command begins anew"
    return "what was done is kept, the same command goes on (train: with --resume)"


def _in_one_line(error: Exception) -> str:
    if isinstance(error, _UsageError):
        verb = error.ctx.command_path if error.ctx else "earwitness"
        # Without the name of an option behind it, that says nothing.
        what = error.format_message().removeprefix("Invalid value: ").rstrip(".")
        return f"{what}; see `{verb} --help`"
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename is not None else ""
    advice = _ADVICE.get(error.errno or 0)
    return f"{place}{error.strerror or error}" + (f"; {advice}" if advice else "")


# Verbs that keep nothing of what they did before they are done.
_BEGIN_ANEW = ("evaluate", "estimate", "export")
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


def _version(wanted: bool) -> None:
    if wanted:
        output.print(f"earwitness {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


for _verb in (
    demo.demo,
    download.download,
    cut.cut,
    prepare.prepare,
    train.train,
    evaluate.evaluate,
    clean.clean,
    review.review,
    tag.tag,
    listen.listen,
    serve.serve,
    ensemble.ensemble,
    estimate.estimate,
    export.export,
    demo.sounds,
):
    app.command()(_verb)
