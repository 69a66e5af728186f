"""Options that several verbs share, and what they do."""

import ctypes
import errno
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from .. import files
from ..errors import TableError
from .screen import output, say

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
AudioRootOption = Annotated[
    Path | None,
    typer.Option("--audio-root", metavar="FOLDER", help="where the sound files of a table are, if not in its folder"),
]
HopOption = Annotated[
    int | None,
    typer.Option(
        "--hop-frames", metavar="N", min=1, max=1_000_000, help="frames between windows; default: the model's recipe"
    ),
]


# What a model's folder cannot lack.
_PARTS = ("config.json", "model.safetensors")
# What is among the figures of `prepare`, `download`, `estimate` and `evaluate`, and in no other JSON.
_FIGURES = (
    {"clips", "decoded", "kept"},
    {"folder", "files", "seconds"},
    {"systems", "store_bytes"},
    {"lwlrap", "interval"},
)
# As `recipe.Windows` and `recipe.Precision` have them, which take longer to import than --help may.
WINDOWS = ("sliding", "exact", "dense")
PRECISIONS = ("auto", "float32", "bfloat16")


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def checked(value: str) -> str:
        if value not in choices:
            raise typer.BadParameter(f"{value}: there is none; take one of {', '.join(choices)}")
        return value

    return checked


def _arithmetic(value: str) -> str:
    one_of(PRECISIONS)(value)
    if value == "bfloat16":  # nothing else has anything said of it, and torch takes long to import
        from .. import devices

        if slow := devices.remark("bfloat16", devices.best()):
            say(f"--precision bfloat16: {slow}")
    return value


WindowsOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(WINDOWS),
        callback=one_of(WINDOWS),
        help="each window by itself, the same from one pass, or one pass that differs a little",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(PRECISIONS),
        callback=_arithmetic,
        help="the network's arithmetic; auto: bfloat16 where the machine is fast in it",
    ),
]
HostOption = Annotated[str, typer.Option(metavar="NAME", help="address to serve the page at")]
PortOption = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="port; 0: any free one")]
OpenOption = Annotated[
    bool | None, typer.Option("--open/--no-open", help="open a browser; default: from a terminal only")
]


def open_browser(address: str, wanted: bool | None) -> None:
    """Opens a page in the browser, if that is wanted, or nothing is said and there is somebody to see it."""
    if output.is_terminal if wanted is None else wanted:
        import webbrowser

        webbrowser.open(address)


def require_room_for(*outputs: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Raises OSError now, and not after hours of work, where a file could not be written in the end, or should not be.

    It should not where it would take the place of one of the `inputs`, a part of a model among them, or of another
    output, or where the file is there and not to be written to, or is a device or a pipe.
    """
    paths = [path for path in outputs if path is not None]
    for path in paths:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if path.exists() and not path.is_file():
            raise FileExistsError(errno.EEXIST, "not an ordinary file", str(path))
        nearest = nearest_folder(path.absolute().parent)
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
        if not os.access(nearest, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        read = (given for each in inputs for given in (each, *(each / part for part in _PARTS)))
        if path.exists() and any(given.exists() and path.samefile(given) for given in read):
            raise FileExistsError(errno.EEXIST, "it is read here, and would be overwritten", str(path))
    for path, resolved in zip(paths, absolute := [files.resolved(path) for path in paths], strict=True):
        if absolute.count(resolved) > 1:
            raise FileExistsError(errno.EEXIST, "it was given for two outputs", str(path))


def require_room_for_figures(
    path: Path | None, *others: Path | None, inputs: Sequence[Path] = (), made: Path | None = None
) -> None:
    """As `require_room_for`, for the file of --json, which may be a device or a pipe, and a call's other outputs.

    Raises FileExistsError where it would lie in the folder `made`, TableError where it is a file that holds anything
    but the figures of an earlier call.
    """
    streamed = path is not None and _is_stream(path)
    require_room_for(None if streamed else path, *others, inputs=inputs)
    if path is None or streamed:
        return
    if made and files.resolved(path).is_relative_to(files.resolved(made)):
        raise FileExistsError(errno.EEXIST, f"it lies in {made}, which is written here", str(path))
    files.refuse_to_replace(path, unless=_holds_figures, error=TableError)


def _is_stream(path: Path) -> bool:
    """Tells whether what is written to a path goes on to somebody, and replaces no file."""
    return bool(_standard_stream(path)) or (path.exists() and not path.is_file() and not path.is_dir())


def _standard_stream(path: Path) -> TextIO | None:
    """Returns the output or the error stream of this process where a path leads to it, such as /dev/stdout."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # no such path, or a stream that is no file
            if os.path.samestat(path.stat(), os.fstat(stream.fileno())):
                return stream
    return None


def _holds_figures(path: Path) -> bool:
    """Tells whether `write_json` has written a file: others hold JSON too, a store's and datasets' among them."""
    with path.open("rb") as stream:
        if stream.read(1) != b"{":  # whatever else it is, it may be large
            return False
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return any(found.keys() >= names for names in _FIGURES)


def nearest_folder(path: Path) -> Path:
    """Returns what there is of a path: itself, or the nearest above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is None:
        return
    stream = _standard_stream(path)
    # A terminal may lack letters, and would be given escapes that are not JSON's.
    text = json.dumps(content, indent=1, ensure_ascii=stream is not None) + "\n"
    if stream:
        stream.write(text)
    elif _is_stream(path):
        path.write_text(text, "utf-8")
    else:
        files.atomic_write(path, text)


def use_threads(threads: int | None) -> None:
    """Limits torch, loaded or not, to so many threads; None: to one for each core, unless OMP_NUM_THREADS is set."""
    # Threads that wait for each other asleep: awake, where other programs keep the cores busy, they took 5 times as
    # long. It is read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    if not threads and "OMP_NUM_THREADS" in os.environ:
        return
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads or cores())
    else:
        os.environ["OMP_NUM_THREADS"] = str(threads or cores())


def keep_freed_memory() -> None:
    """Has this process keep the memory it frees, where the C library is glibc.

    A network's maps are large, and glibc gives large blocks back to the system at once: each new map then was a page
    fault for every 4 KB of it, which took a third of the time of tagging and half of that of a training step.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_processes() -> int:
    # Two even on one core: a decoder that crashes then ends a process of its own, and the file is named.
    return max(2, cores())
