"""The review over HTTP: the page, and what it asks for. Answers are JSON; an error is {"error": one line}."""

import tempfile
import unicodedata
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, BeforeValidator, Field
from starlette.exceptions import HTTPException

from ..errors import AudioError, EarwitnessError, ReviewError
from ..reviewing import decision_files
from . import answers, guard
from .desk import Desk, UnknownClip, UnknownLabel

STATIC = Path(__file__).parent / "static"
# The page takes nothing from anywhere else, nor is it shown in another; sounds and pictures fetched ahead are blobs.
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'"
)
# A number is a place in this review's list: under the same address another review has the sound of another clip.
_KEPT_BY_NOBODY = {"Cache-Control": "no-store"}
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
    "xml": "application/xml",
}


def _name(value: Any) -> Any:
    """Returns a reviewer's name with single spaces, as it comes back from a CSV too; ValueError where it cannot."""
    if not isinstance(value, str):
        return value
    name = " ".join(value.split())
    if any(unicodedata.category(one) == "Cc" for one in name):
        raise ValueError("holds control characters")
    return name


class Asking(BaseModel):
    """Who asks: a reviewer, the one open page of theirs that holds the clips it is given, and of which review it is."""

    reviewer: Annotated[str, BeforeValidator(_name)] = Field(min_length=1, max_length=100)
    holder: str = Field(min_length=1, max_length=100)
    review: str


class Deciding(Asking):
    """What a reviewer heard in a clip: labels, none of them, or null for a clip that is skipped."""

    number: int
    labels: list[str] | None = Field(max_length=1000)
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Routes:
    """What answers each address."""

    def __init__(self, desk: Desk, reviewer: str) -> None:
        self.desk, self._reviewer = desk, reviewer

    def page(self) -> Response:
        """Returns the page."""
        return FileResponse(STATIC / "review.html", headers={"Content-Security-Policy": _POLICY})

    def manifest(self) -> dict[str, Any]:
        """Returns what a browser may ask of any page: its name and icon."""
        return {"name": "earwitness review", "icons": [{"src": "/static/icon.svg", "sizes": "any"}]}

    def icon(self) -> Response:
        """Returns the icon for what asks under the name that icons once had, as Gradio's page makes browsers do."""
        return FileResponse(STATIC / "icon.svg")

    def about(self) -> dict[str, Any]:
        """Returns what a page needs once: the classes, the reviewer's name if one was given, and which review it is."""
        names = self.desk.folder.vocabulary.names
        return {"classes": names, "reviewer": self._reviewer, "review": self.desk.review}

    def next(self, asking: Asking) -> dict[str, Any]:
        """Returns the clip to review and those to fetch ahead."""
        self.desk.refuse_another_review(asking.review)
        return self.desk.next(asking.holder, asking.reviewer)

    def decide(self, said: Deciding) -> dict[str, Any]:
        """Keeps a decision, then returns as `next`: what is answered is on the disk."""
        self.desk.refuse_another_review(said.review)
        return self.desk.decide(said.holder, said.reviewer, said.number, said.labels, seconds=said.seconds)

    def undo(self, asking: Asking) -> dict[str, Any]:
        """Takes the latest decision back."""
        self.desk.refuse_another_review(asking.review)
        return self.desk.undo(asking.holder, asking.reviewer)

    def skipped(self, asking: Asking) -> dict[str, Any]:
        """Brings skipped clips back."""
        self.desk.refuse_another_review(asking.review)
        return self.desk.bring_back_skipped(asking.holder, asking.reviewer)

    def renew(self, asking: Asking) -> dict[str, Any]:
        """Puts off the end of the page's leases."""
        self.desk.decisions.renew(asking.holder)
        return {}

    def release(self, asking: Asking) -> dict[str, Any]:
        """Ends the page's leases, as it closes."""
        self.desk.decisions.release(asking.holder)
        return {}

    def decisions(self, suffix: str) -> Response:
        """Returns all decisions, to be saved as a file of a form that _TYPES has."""
        name = f"decisions.{suffix}"
        content = self._sheet(name) if suffix == "xlsx" else self._text(name)
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return Response(content, media_type=_TYPES[suffix], headers=headers)

    def _text(self, name: str) -> str:
        return decision_files.text_of(Path(name), self.desk.decisions.all(), self.desk.folder)

    def _sheet(self, name: str) -> bytes:
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                decision_files.write(path, self.desk.decisions.all(), self.desk.folder)
                return path.read_bytes()
        except OSError as error:
            raise ReviewError(f"{name}: cannot be made here ({error.strerror}); take the .csv") from None

    def sound(self, number: int) -> Response:
        """Returns a clip as wav."""
        return Response(self.desk.media(number).wav, media_type="audio/wav", headers=_KEPT_BY_NOBODY)

    def picture(self, number: int) -> Response:
        """Returns a clip's spectrogram; how long it is stands in a header."""
        media = self.desk.media(number)
        headers = _KEPT_BY_NOBODY | {"X-Seconds": f"{media.seconds:.6f}"}
        return Response(media.png, media_type="image/png", headers=headers)


def create_app(desk: Desk, *, reviewer: str = "") -> FastAPI:
    """Returns the application for a desk; `reviewer` is the name that a page suggests."""
    routes = Routes(desk, reviewer)
    app = FastAPI(title="earwitness review", docs_url=None, redoc_url=None)
    app.add_exception_handler(EarwitnessError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_nonsense)
    app.add_exception_handler(HTTPException, _answer_refused)
    app.add_api_route("/", routes.page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/api/about", routes.about, methods=["GET"])
    for name in ("next", "decide", "undo", "skipped", "renew", "release"):
        own = [Depends(guard.require_own_page)]
        app.add_api_route(f"/api/{name}", getattr(routes, name), methods=["POST"], dependencies=own)
    app.add_api_route("/api/clips/{number}/sound.wav", routes.sound, methods=["GET"], response_model=None)
    app.add_api_route("/api/clips/{number}/picture.png", routes.picture, methods=["GET"], response_model=None)
    for suffix in _TYPES:
        saved = partial(routes.decisions, suffix)
        app.add_api_route(f"/api/decisions.{suffix}", saved, methods=["GET"], response_model=None, name=suffix)
    app.add_api_route("/manifest.json", routes.manifest, methods=["GET"], include_in_schema=False)
    app.add_api_route("/favicon.ico", routes.icon, methods=["GET"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """Returns one line about what went wrong; 503 where later may be better.

    404 for a clip that there is not; 422 for a label that there is not, and for a sound that cannot be played.
    """
    status = 404 if isinstance(error, UnknownClip) else 422 if isinstance(error, UnknownLabel | AudioError) else 503
    return answers.refusal(str(error), status)


def _answer_refused(request: Request, error: Exception) -> JSONResponse:
    """Returns one line about an address that is none, or an asker who may not."""
    assert isinstance(error, HTTPException)
    return answers.refusal(error.detail, error.status_code)


def _answer_nonsense(request: Request, error: Exception) -> JSONResponse:
    return answers.nonsense(error, "correct it, or load the page again")
