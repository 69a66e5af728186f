"""The overview of a review, as a Gradio page: progress, reviewers, agreement, classes, and decisions to download."""

import asyncio
import os
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from ..reviewing.decision import SKIPPED, Decision
from .desk import Desk
from .tally import agreement, by_class, by_reviewer
from .theme import theme

PATH = "/overview"
_EVERY_SECONDS = 5.0
_LATEST = 12
_TABLES = {
    "Reviewers": ("reviewer", "heard", "labels changed", "none of the classes", "skipped", "median seconds a clip"),
    "Agreement": ("reviewers", "clips both heard", "same labels", "Cohen's kappa"),
    "Classes": ("class", "given and heard", "given, not heard", "wrong", "added by ear"),
    "Latest decisions": ("clip", "reviewer", "labels", "outcome", "when (UTC)"),
}
_NOTES = {
    "Agreement": "On clips that two reviewers heard; `--overlap 0.1` puts one clip in ten before two of them.",
    "Classes": "Over all decisions: what reviewers heard of the labels that were given, and what they added.",
}
_DOWNLOADS = {
    ".csv": "CSV",
    ".xlsx": "Excel",
    ".json": "Label Studio tasks",
    ".xml": "Label Studio labelling interface",
}


class WithOverview:
    """An application with the overview at PATH, which is made when somebody first asks for it.

    Gradio takes seconds to import, and reviewers need not wait for it. Callable as ASGI has it.
    """

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk
        self._overview: asyncio.Task[FastAPI] | None = None
        self._living: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        if self._overview is None:
            self._overview = asyncio.create_task(self._begin())
        overview = await asyncio.shield(self._overview)
        await overview(scope, receive, send)

    async def _begin(self) -> FastAPI:
        overview = await asyncio.to_thread(_overview, self._desk)
        ready = asyncio.Event()
        self._living = asyncio.create_task(_live(overview, ready))
        await ready.wait()
        return overview


async def _live(app: FastAPI, ready: asyncio.Event) -> None:
    """Keeps what an application begins at its start, until it is cancelled as the server ends."""
    async with app.router.lifespan_context(app):
        ready.set()
        await asyncio.Event().wait()


def _overview(desk: Desk) -> FastAPI:
    # Read as gradio is imported: nothing is to be fetched from, or told to, any other machine.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    icon = '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
    return gr.mount_gradio_app(
        FastAPI(), _page(desk), path=PATH, theme=theme(), head=icon, footer_links=[], run_history=False, ssr_mode=False
    )


def _page(desk: Desk) -> Any:
    import gradio as gr

    with gr.Blocks(title="earwitness: overview of the review", analytics_enabled=False) as page:
        heading = gr.Markdown()
        shown = [heading]
        for name, columns in _TABLES.items():
            gr.Markdown(f"### {name}\n{_NOTES.get(name, '')}")
            shown.append(gr.Dataframe(headers=list(columns), interactive=False, wrap=True, show_label=False))
        downloads = " · ".join(f"[{name}](/api/decisions{suffix})" for suffix, name in _DOWNLOADS.items())
        gr.Markdown(f"### All decisions\n{downloads}\n\n[Back to reviewing](/) · {desk.folder.path}")
        page.load(lambda: _content(desk), outputs=shown)
        gr.Timer(_EVERY_SECONDS).tick(lambda: _content(desk), outputs=shown, show_progress="hidden")
    return page


def _content(desk: Desk) -> list[Any]:
    """Returns the heading and the rows of each table."""
    decisions = desk.decisions.all()
    progress = desk.progress()
    heading = f"# {progress['settled']} of {progress['clips']} clips settled by ear"
    return [
        heading,
        [_reviewer(one) for one in by_reviewer(decisions)],
        [_pair(one) for one in agreement(desk.folder, decisions)],
        [_class(one) for one in by_class(desk.folder, decisions)],
        [_decision(one) for one in decisions[: -_LATEST - 1 : -1]],
    ]


def _reviewer(one: dict[str, Any]) -> list[Any]:
    return [*(one[key] for key in ("reviewer", "heard", "changed_given", "nothing", "skipped")), round(one["seconds"])]


def _pair(one: dict[str, Any]) -> list[Any]:
    kappa = "undefined" if one["kappa"] is None else f"{one['kappa']:.2f}"
    return [" and ".join(one["reviewers"]), one["clips"], f"{100 * one['same'] / one['clips']:.0f} %", kappa]


def _class(one: dict[str, Any]) -> list[Any]:
    given = one["confirmed"] + one["wrong"]
    share = f"{100 * one['wrong'] / given:.0f} %" if given else ""
    return [one["label"], one["confirmed"], one["wrong"], share, one["added"]]


def _decision(one: Decision) -> list[Any]:
    labels = ", ".join(one.labels) or ("" if one.outcome == SKIPPED else "none of the classes")
    return [one.fname, one.reviewer, labels, one.outcome, one.when[:19].replace("T", " ")]
