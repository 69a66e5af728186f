"""The verb `download`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from ..errors import counted
from .options import JsonOption, require_room_for_figures, write_json
from .screen import output, printable, say, say_next


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="FSDKaggle2019, FSD50K or ESC-50")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="where it goes; default: a folder of the dataset's name")
    ] = None,
    server: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="a server that has the same files at the same paths")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Fetch a dataset, verify and unpack it. Stopped anywhere, it goes on when run again."""
    from .. import download as downloads

    known, _ = downloads.source_of(name)
    folder = out or Path(known)
    require_room_for_figures(json_file, made=folder)
    started = time.perf_counter()
    with _bytes_bar() as on_bytes:
        result = downloads.download(known, folder, server=server, on_bytes=on_bytes)
    for archive in result.without_checksum:
        say(f"{archive}: its server states no checksum; what is in it was verified by the archive's own")
    say(f"{result.folder}: {counted(result.files, 'file')}")
    say_next("prepare", result.folder, "--out", f"{known}.store")
    write_json(
        json_file,
        {
            "folder": str(result.folder), "files": result.files, "seconds": time.perf_counter() - started,
            "without_checksum": list(result.without_checksum),
        },
    )  # fmt: skip


@contextmanager
def _bytes_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar for one thing after the other; a line for each where the output is no terminal."""
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(bar_width=12),
        DownloadColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=output, disable=not output.is_terminal, expand=True) as bar:
        task = bar.add_task("asking the server", total=None)
        doing = ""

        def on_bytes(now: str, done: int, total: int | None) -> None:
            nonlocal doing
            if now != doing:
                doing = now
                bar.reset(task, description=printable(now))
                if not output.is_terminal:
                    say(now)
            bar.update(task, completed=done, total=total)

        yield on_bytes
