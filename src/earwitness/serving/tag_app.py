"""A tagger over HTTP: a file posted is answered with its tags; and a Gradio page to drop a file on."""

import atexit
import html
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__, audio, longsound, thresholds
from ..errors import AudioError, EarwitnessError, counted
from ..events import Event
from ..tagging import Tagger, best_first
from . import answers
from .theme import theme

_ADDRESS = "/api/tag"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ADVICE = "post the sound file as form field `file`"
_BLOCK_BYTES = 1 << 20
_SHOWN = 10
_TIMES = {"from": "22%", "to": "22%", "class": "40%", "%": "16%"}
_TIMES_LABEL = f"When a class scores {thresholds.DEFAULT:.0%} or more"
_CUT_SHORT = "The file breaks off: only the sound before that is heard."
_SILENT = "The file is silent throughout: there is nothing to tag."
_ICON = Path(__file__).parent / "static" / "icon.svg"
# What the page was given is deleted after this.
_KEPT_SECONDS = 600


class _TooLarge(AudioError):
    """A file of more bytes than are taken."""


def _too_large(name: str, largest_bytes: int) -> _TooLarge:
    return _TooLarge(f"{name}: more than {largest_bytes / 1e6:g} MB; cut it into parts, or raise --largest-mb")


class _RefusesLongBodies:
    """An application that is told no more of a posted body than a file and what a form needs around it.

    A form is kept on the disk as it arrives, before anybody asks how long the file in it is.
    """

    def __init__(self, app: ASGIApp, *, largest_bytes: int) -> None:
        self._app, self._largest_bytes = app, largest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != _ADDRESS:
            await self._app(scope, receive, send)
            return
        left = self._largest_bytes + _BLOCK_BYTES

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                # What is read of it so far is thrown away; whatever is answered to that is not sent.
                raise HTTPException(413)
            return message

        async def passed_on(message: Message) -> None:
            if left >= 0:
                await send(message)

        await self._app(scope, counted, passed_on)
        if left < 0:
            error = _too_large("the file", self._largest_bytes)
            await answers.refusal(str(error), 413)(scope, receive, send)


class Tagging:
    """What answers each address. One file is tagged at a time: each would only slow the others down.

    largest_bytes: a longer file is refused while it arrives.
    """

    def __init__(self, tagger: Tagger, *, largest_bytes: int) -> None:
        self._tagger, self._largest_bytes, self._lock = tagger, largest_bytes, threading.Lock()

    def about(self) -> dict[str, Any]:
        """Returns what is served: version, the model's digest, its classes."""
        return {"version": __version__, "model": self._tagger.digest, "classes": self._tagger.vocabulary.names}

    def tag(
        self,
        file: list[UploadFile],
        top: int | None = None,
        least: Annotated[float | None, Query(ge=0, le=1)] = None,
    ) -> dict[str, Any]:
        """Returns what `hear` tells of a posted file; of its tags the first `top` where that is given.

        With `least` also its `events`: from when to when a class scores at least that. AudioError for several files:
        an answer is of one.
        """
        if len(file) > 1:
            raise AudioError(f"{counted(len(file), 'file')} in one request: post them one by one")
        (posted,) = file
        name = Path(posted.filename or "").name or "file"
        with self._on_disk(posted, name) as path:
            heard = self.hear(path, name)
            if least is not None:
                heard["events"] = [event._asdict() for event in self.events(path, name, least=least)]
        if top is not None:
            heard["tags"] = heard["tags"][: max(top, 0)]
        return {"fname": name, **heard}

    def hear(self, path: Path, name: str) -> dict[str, Any]:
        """Returns a file's `tags`, each a class and its score, the highest first; whether it is `silent` throughout,
        and whether it is `cut_short`: it breaks off, and only the sound before is heard. AudioError that speaks of
        `name`.
        """
        breaks: list[str] = []
        with self._one_by_one(path, name):
            features = self._tagger.recipe.features
            sound = longsound.read_sound(path, features, on_break=lambda _, reason: breaks.append(reason))
            scores = best_first(self._tagger.scores_of_log_mel(sound.log_mel), self._tagger.vocabulary)
        tags = [{"label": label, "score": score} for label, score in scores.items()]
        return {"tags": tags, "silent": sound.silent, "cut_short": bool(breaks)}

    def events(self, path: Path, name: str, *, least: float) -> list[Event]:
        """Returns from when to when a class scores at least `least` in a file. AudioError that speaks of `name`."""
        with self._one_by_one(path, name):
            return self._tagger.events(path, least=least)

    @contextmanager
    def _one_by_one(self, path: Path, name: str) -> Iterator[None]:
        """Waits until no other file is heard; an AudioError then speaks of `name`, and not of where it lies here."""
        try:
            with self._lock:
                yield
        except AudioError as error:
            raise AudioError(str(error).replace(str(path), name)) from None

    @contextmanager
    def _on_disk(self, file: UploadFile, name: str) -> Iterator[Path]:
        """Gives a file that holds what was posted, for as long as the block runs; decoders want files."""
        suffix = Path(name).suffix.lower()
        with tempfile.NamedTemporaryFile(suffix=suffix if suffix in audio.SUFFIXES else "") as stream:
            while block := file.file.read(_BLOCK_BYTES):
                stream.write(block)
                if stream.tell() > self._largest_bytes:
                    raise _too_large(name, self._largest_bytes)
            stream.flush()
            yield Path(stream.name)


def create_app(tagger: Tagger, *, largest_bytes: int) -> FastAPI:
    """Returns the application: POST /api/tag, GET /api/about, and the page."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = _own_folder()
    import gradio as gr

    tagging = Tagging(tagger, largest_bytes=largest_bytes)
    app = FastAPI(title="earwitness", version=__version__, redoc_url=None, docs_url=None)
    app.add_exception_handler(EarwitnessError, _answer_error)
    app.add_exception_handler(RequestValidationError, lambda request, error: answers.nonsense(error, _ADVICE))
    app.add_exception_handler(HTTPException, _answer_no_form)
    app.add_exception_handler(OSError, _answer_trouble)
    app.add_middleware(_RefusesLongBodies, largest_bytes=largest_bytes)
    app.add_api_route("/api/about", tagging.about, methods=["GET"])
    app.add_api_route(_ADDRESS, tagging.tag, methods=["POST"])
    app.add_route("/api/{address:path}", _refuse_address, methods=_METHODS, include_in_schema=False)
    return gr.mount_gradio_app(
        app, _page(tagging), path="/", theme=theme(), favicon_path=str(_ICON), max_file_size=largest_bytes,
        footer_links=[], run_history=False, ssr_mode=False,
    )  # fmt: skip


def _own_folder() -> str:
    """Returns a folder for what the page is given, which is gone with this process.

    Gradio's own is one for all: other users' servers may not write there, and each deletes what the others were given.
    """
    folder = tempfile.mkdtemp(prefix="earwitness-page-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _page(tagging: Tagging) -> Any:
    import gradio as gr

    def hear(path: str | None) -> Iterator[tuple[Any, Any, Any]]:
        label = f"Tags of {Path(path).name}" if path else "Tags"
        for lines, tags, rows in told(tagging, path) if path else [Told()]:
            yield (
                gr.HTML("<br>".join(html.escape(line) for line in lines), visible=bool(lines)),
                gr.Label(tags, label=label),
                gr.Dataframe(rows, label=_TIMES_LABEL if rows else f"{_TIMES_LABEL}: never", visible=rows is not None),
            )

    def how_to_post(request: gr.Request) -> str:
        return f"From a program: `curl -F file=@clip.wav '{request.request.base_url}api/tag?top=5'`"

    with gr.Blocks(title="earwitness", analytics_enabled=False, delete_cache=(_KEPT_SECONDS, _KEPT_SECONDS)) as page:
        gr.Markdown("# What is in it?\nDrop a sound file or a video, or record a sound.")
        with gr.Row():
            with gr.Column():
                # The audio component alone takes no videos, nor all kinds of sound files.
                file = gr.File(label="Sound file or video", height=160)
                sound = gr.Audio(sources="microphone", type="filepath", label="Sound", buttons=[])
            with gr.Column():
                remarks = gr.HTML(visible=False)
                tags = gr.Label(num_top_classes=_SHOWN, label="Tags", show_heading=False)
        times = gr.Dataframe(headers=list(_TIMES), column_widths=list(_TIMES.values()), wrap=True, visible=False)
        shown = [remarks, tags, times]
        # A dropped file is played, and the place to drop files on is free for the next; the file itself is heard, as
        # what is played may be a copy that Gradio made for the browser.
        dropped = gr.State()
        file.upload(
            lambda path: (None, path, path), inputs=file, outputs=[file, sound, dropped], queue=False,
            api_visibility="private",
        ).then(hear, inputs=dropped, outputs=shown, api_visibility="private")  # fmt: skip
        sound.input(hear, inputs=sound, outputs=shown, api_visibility="private")
        # Not in the queue, whose stream to the browser would be closing when the first file is dropped.
        page.load(how_to_post, outputs=gr.Markdown(), queue=False)
    return page


class Told(NamedTuple):
    """What the page tells of a file: lines of text; its tags with their scores, None before they are known or where
    there are none; rows of when each is heard, None as well.
    """

    lines: tuple[str, ...] = ()
    tags: dict[str, float] | None = None
    rows: list[tuple[str, str, str, int]] | None = None


def told(tagging: Tagging, path: str) -> Iterator[Told]:
    """Yields what there is to tell of a file, as often as more is known; the last is all, or what is wrong with it."""
    name = Path(path).name
    yield Told(("Listening …",))
    try:
        heard = tagging.hear(Path(path), name)
        lines = (_CUT_SHORT,) * heard["cut_short"]
        if heard["silent"]:
            yield Told((*lines, _SILENT))
            return
        tags = {_spaced(one["label"]): one["score"] for one in heard["tags"]}
        yield Told((*lines, "Listening for when each is heard …"), tags)
        events = tagging.events(Path(path), name, least=thresholds.DEFAULT)
        yield Told(lines, tags, [_row(event) for event in events])
    except EarwitnessError as error:
        yield Told((str(error),))


def _row(event: Event) -> tuple[str, str, str, int]:
    return _clock(event.start_seconds), _clock(event.end_seconds), _spaced(event.label), round(100 * event.score)


def _spaced(label: str) -> str:
    return label.replace("_", " ")


def _clock(seconds: float) -> str:
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _refuse_address(request: Request) -> JSONResponse:
    """Returns one line about an address that is none, or one that is asked in another way than it answers to."""
    return answers.refusal(f"{request.method} {request.url.path}: not answered here; POST a file to {_ADDRESS}", 404)


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """Returns one line about what went wrong; 413 for a file too large, 422 for one that cannot be read."""
    status = 413 if isinstance(error, _TooLarge) else 422 if isinstance(error, AudioError) else 503
    return answers.refusal(str(error), status)


def _answer_no_form(request: Request, error: Exception) -> JSONResponse:
    """Returns one line about a body that is no form, or an address that is none."""
    assert isinstance(error, HTTPException)
    return answers.refusal(f"{error.detail.rstrip('.')}; {_ADVICE}", error.status_code)


def _answer_trouble(request: Request, error: Exception) -> JSONResponse:
    """Returns one line about a full disk, or whatever else this machine has against keeping what was posted."""
    assert isinstance(error, OSError)
    return answers.refusal(f"the file cannot be kept here ({error.strerror or error}); try again later", 503)
