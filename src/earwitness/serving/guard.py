"""Who is answered: this server's own pages, under names that nobody elsewhere can give to a page of theirs."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from . import answers


class LoopbackOnly:
    """An application that answers only under this machine's names for itself: localhost and loopback addresses.

    A page from elsewhere could otherwise reach it under a name of its own that leads here. Callable as ASGI has it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_own(Headers(scope=scope).get("host", "")):
            refused = answers.refusal("not under this name: open it at localhost or a loopback address", 400)
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Tells whether a host is this machine for itself: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_own(host_and_port: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host_and_port}").hostname or "")
    except ValueError:  # a bracket that is not closed
        return False


def require_own_page(request: Request) -> None:
    """Raises HTTPException for what another server's page makes a browser post: 403; for what is no JSON: 415.

    A browser asks nobody before it posts a form or plain text anywhere, but does before it posts JSON.
    """
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "no JSON; post it as application/json")
    # Behind a proxy Host may be another than the page's; what the browser says of its own page holds there too.
    origin, own = headers.get("origin"), headers.get("sec-fetch-site") == "same-origin"
    if origin is not None and not own and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise HTTPException(403, f"{origin}: another page; open this server's own")
