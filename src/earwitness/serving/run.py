"""Runs an application until it is stopped; everything that needs the extra `serve` begins here."""

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from ..errors import ReviewError

_NEEDED = ("fastapi", "uvicorn", "gradio")


def require_extra() -> None:
    """Raises ReviewError where the extra `serve` is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ReviewError(
            f'the page needs {", ".join(missing)}: install the extra `serve`, pip install "earwitness[serve]"'
        )


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens there; port 0: at any free one. ReviewError where it is taken or not ours."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except UnicodeError:
        raise ReviewError(f"{host}:{port}: no name of a machine; give another --host") from None
    except OSError as error:
        advice = {
            errno.EADDRINUSE: "taken by another program; give another --port, or 0 for any",
            errno.EACCES: "not allowed to you; give a --port from 1024 on, or 0 for any",
        }.get(error.errno or 0, f"{error.strerror}; give another --host")
        raise ReviewError(f"{host}:{port}: {advice}") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Returns the address for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host in ("::", "::1") else host
    return f"http://{shown}:{port}/"


def serve(app: Any, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Serves an ASGI application until Control-C; calls `on_ready` when there is something to be opened."""
    import uvicorn

    from . import guard

    if guard.is_loopback(listener.getsockname()[0]):
        app = guard.LoopbackOnly(app)
    # A second Control-C cuts short what the first began; what asyncio says of that is of no use to anybody.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "CancelledError" not in record.getMessage())
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    on_ready()
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
