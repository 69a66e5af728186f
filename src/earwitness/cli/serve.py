"""The verb `serve`."""

from typing import Annotated

import typer

from ..errors import counted
from .options import (
    HopOption,
    HostOption,
    ModelArgument,
    OpenOption,
    PortOption,
    PrecisionOption,
    ThreadsOption,
    WindowsOption,
    open_browser,
    use_threads,
)
from .screen import say
from .tag import tagger_of


def serve(
    model: ModelArgument,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7880,
    open_: OpenOption = None,
    largest_mb: Annotated[
        float, typer.Option(metavar="MB", min=0.001, max=1_000_000, help="files of more megabytes are refused")
    ] = 200.0,
    hop_frames: HopOption = None,
    windows: WindowsOption = "exact",
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Tag over HTTP. A page to drop a sound file on, and an address to post one to."""
    from ..serving import run

    run.require_extra()
    use_threads(threads)
    tagger = tagger_of(model, hop_frames, windows, precision)
    from ..serving.tag_app import create_app

    app = create_app(tagger, largest_bytes=int(largest_mb * 1e6))
    listener = run.listen(host, port)
    address = run.address_of(listener)

    def announce() -> None:
        say(f"{model}: {counted(len(tagger.vocabulary), 'class')}; page at {address}, post files to {address}api/tag")
        say("Control-C ends it")
        open_browser(address, open_)

    run.serve(app, listener, on_ready=announce)
