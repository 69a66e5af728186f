"""Whoever watches a cleaning; the command line draws bars with it."""

from typing import Protocol


class Watcher(Protocol):
    """What it is told."""

    def begun(self, what: str, total: int) -> None:
        """A part of the work begins: so many clips."""

    def advanced(self) -> None:
        """A clip of it is done."""

    def note(self, text: str) -> None:
        """Something a user should know."""


class Unwatched:
    """A watcher that looks away."""

    def begun(self, what: str, total: int) -> None: ...

    def advanced(self) -> None: ...

    def note(self, text: str) -> None: ...


UNWATCHED = Unwatched()
