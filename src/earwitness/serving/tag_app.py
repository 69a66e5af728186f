"""A tagger over HTTP: a file posted is answered with its tags; and a Gradio page to drop a file on."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__, audio
from ..errors import AudioError, EarwitnessError, counted
from ..tagging import Tagger
from . import answers
from .theme import theme

_ADDRESS = "/api/tag"
_ADVICE = "post the sound file as form field `file`"
_BLOCK_BYTES = 1 << 20
_SHOWN = 10
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

    def tag(self, file: list[UploadFile], top: int | None = None) -> dict[str, Any]:
        """Returns a posted file's classes with their scores, the highest first; the first `top` where that is given.

        AudioError for several files: an answer is of one.
        """
        if len(file) > 1:
            raise AudioError(f"{counted(len(file), 'file')} in one request: post them one by one")
        (posted,) = file
        name = Path(posted.filename or "").name or "file"
        with self._on_disk(posted, name) as path:
            tags = self.tags_of(path, name)
        return {"fname": name, "tags": tags[: max(top, 0)] if top is not None else tags}

    def tags_of(self, path: Path, name: str) -> list[dict[str, Any]]:
        """Returns a file's classes with their scores, the highest first. AudioError that speaks of `name`."""
        try:
            with self._lock:
                scores = self._tagger.tag(path)
        except AudioError as error:
            raise AudioError(str(error).replace(str(path), name)) from None
        return [{"label": label, "score": score} for label, score in scores.items()]

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
    return gr.mount_gradio_app(
        app, _page(tagging), path="/", theme=theme(), max_file_size=largest_bytes,
        footer_links=[], run_history=False, ssr_mode=False,
    )  # fmt: skip


def _page(tagging: Tagging) -> Any:
    import gradio as gr

    def tag(path: str | None) -> dict[str, float] | None:
        if path is None:
            return None
        try:
            return {
                one["label"].replace("_", " "): one["score"] for one in tagging.tags_of(Path(path), Path(path).name)
            }
        except EarwitnessError as error:
            raise gr.Error(str(error), print_exception=False) from None

    def how_to_post(request: gr.Request) -> str:
        return f"From a program: `curl -F file=@clip.wav '{request.request.base_url}api/tag?top=5'`"

    with gr.Blocks(title="earwitness", analytics_enabled=False, delete_cache=(_KEPT_SECONDS, _KEPT_SECONDS)) as page:
        gr.Markdown("# What is in it?\nDrop a sound file, or record one.")
        with gr.Row():
            sound = gr.Audio(type="filepath", label="Sound", buttons=[])
            tags = gr.Label(num_top_classes=_SHOWN, label="Tags")
        sound.change(tag, inputs=sound, outputs=tags, api_visibility="private")
        page.load(how_to_post, outputs=gr.Markdown())
    return page


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
