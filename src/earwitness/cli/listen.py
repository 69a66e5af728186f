"""The verb `listen`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import AudioError
from .options import (
    HopOption,
    ModelArgument,
    PrecisionOption,
    ThreadsOption,
    require_room_for,
    use_threads,
)
from .screen import complain, say
from .tag import score_or_table, tagger_of, thresholds_of

if TYPE_CHECKING:
    from ..events import Event
    from ..streaming import Stream
    from ..tagging import Tagger


def listen(
    model: ModelArgument,
    source: Annotated[
        str | None,
        typer.Argument(metavar="-", help="raw 16-bit samples on the standard input; default: the microphone"),
    ] = None,
    times: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a CSV of what is heard, a row as each ends; rows there stay")
    ] = None,
    least: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE|FILE",
            help="lowest score that counts, or a table with one a class, as evaluate --csv writes; default: 0.5",
        ),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(metavar="HZ", min=1_000, help="sample rate of -; default: the model's")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="channels of -, averaged; default: 1")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="which microphone; default: the system's choice")
    ] = None,
    memory: Annotated[
        float, typer.Option(metavar="SECONDS", help="a window is relative to the loudest of so much before its end")
    ] = 10.0,
    hop_frames: HopOption = None,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Tag sound while it comes, from a microphone or a pipe. Says what begins to be heard. Control-C ends it."""
    _refuse_mixed(source, rate, channels, device)
    threshold = score_or_table(least)
    require_room_for(times, inputs=[model, *([threshold] if isinstance(threshold, Path) else [])])
    use_threads(threads)
    from .. import events, eventsheet, thresholds

    tagger = tagger_of(model, hop_frames, "sliding", precision)
    enough = thresholds.require(thresholds_of(threshold, tagger.vocabulary), len(tagger.vocabulary))
    finder = events.Finder(tagger.vocabulary.names, least=enough)
    stream = _stream_of(tagger, rate, memory)
    began = datetime.now(UTC).astimezone()
    with ExitStack() as stack:
        keep = stack.enter_context(eventsheet.kept_live(times, began)) if times else _forget
        try:
            for samples in _announced(_sound(source, rate or tagger.sample_rate_hz, channels, device), model):
                _tell(stream.feed(samples), finder, keep)
        except KeyboardInterrupt:
            pass  # how it usually ends
        finally:  # also where a microphone broke off
            _tell(stream.finish(), finder, keep)
            for event in finder.rest():
                keep(event)


def _refuse_mixed(source: str | None, rate: int | None, channels: int | None, device: str | None) -> None:
    if source not in (None, "-"):
        raise typer.BadParameter(f"{source}: give - for the standard input, or nothing; for files there is tag")
    if source and device:
        raise typer.BadParameter("it is for the microphone, and - is the standard input", param_hint="--device")
    if not source and (rate or channels):
        raise typer.BadParameter("for the samples of -; a microphone has the model's", param_hint="--rate, --channels")
    if source and sys.stdin.isatty():
        raise typer.BadParameter(
            "- is raw samples from a pipe, and this is a keyboard: ... | earwitness listen MODEL -"
        )


def _stream_of(tagger: "Tagger", rate_hz: int | None, memory_seconds: float) -> "Stream":
    try:
        return tagger.stream(sample_rate_hz=rate_hz, memory_seconds=memory_seconds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _sound(source: str | None, rate_hz: int, channels: int | None, device: str | None) -> Iterator[Any]:
    from .. import livesound

    if source:
        return livesound.from_pipe(cast("livesound.Pipe", sys.stdin.buffer), channels=channels or 1)
    chosen = int(device) if device and device.isdecimal() else device
    return livesound.from_microphone(rate_hz, device=chosen, on_behind=_complain_of_lag)


def _announced(sound: Iterator[Any], model: Path) -> Iterator[Any]:
    """The same, with a line once the first of it has come. AudioError where none comes."""
    first = next(sound, None)
    if first is None:
        raise AudioError("-: no sound came; see whether what writes to the pipe has begun at all")
    say(f"{model}: listening; Control-C ends it")
    yield from chain([first], sound)


def _complain_of_lag(seconds: float) -> None:
    complain(f"{seconds:.0f} s behind: nothing is lost, but give more --threads or a larger --hop-frames")


def _tell(windows: Any, finder: Any, keep: "Callable[[Event], None]") -> None:
    """Says which classes begin to be heard, and keeps what has ended."""
    for start_seconds, end_seconds, scores in windows:
        begun, ended = finder.add(start_seconds, end_seconds, scores)
        for event in ended:
            keep(event)
        for event in begun:
            say(f"{timedelta(seconds=int(event.start_seconds))} {event.label} {event.score:.2f}")


def _forget(event: "Event") -> None:
    pass
