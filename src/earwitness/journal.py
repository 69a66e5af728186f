"""Results kept line by line as they come: a call that is killed loses at most the line under way.

A journal is JSON by the line. The first line ties it to what the results were made from; with another tie it begins
anew. Every further line is a key and an array of float32, in base64, so that it comes back bit for bit.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import files
from .errors import EarwitnessError

Floats = NDArray[np.float32]


class Journal:
    """An open journal: `done` has what it held when it was opened, by key, in the order in which each was last added.

    `add` keeps one result more.
    """

    def __init__(self, path: Path, tie: str) -> None:
        self.done: dict[str, Floats] = {}
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab+")
        head = json.dumps({"earwitness": "journal", "of": tie}).encode() + b"\n"
        good_bytes = self._recover(head)
        self._stream.truncate(good_bytes)
        if not good_bytes:
            self._stream.write(head)
            self._stream.flush()  # whose it is, is known before its first result

    def add(self, key: str, values: Floats) -> None:
        """Keeps a result: on the disk when this returns, as far as the system goes."""
        text = base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()
        with files.naming(self._path):
            self._stream.write(json.dumps([key, text]).encode() + b"\n")
            self._stream.flush()

    def close(self) -> None:
        with files.naming(self._path):
            self._stream.close()

    def _recover(self, head: bytes) -> int:
        """Reads the lines up to the first that is torn; returns how many bytes of the file are good."""
        self._stream.seek(0)
        if self._stream.readline() != head:
            return 0
        found, good_bytes = files.whole_lines(self._stream, _parsed)
        for key, values in found:
            self.done.pop(key, None)
            self.done[key] = values
        return len(head) + good_bytes


def _parsed(line: bytes) -> tuple[str, Floats] | None:
    """Returns a line's key and values; None where it is damaged."""
    try:
        key, text = json.loads(line)
        return str(key), np.frombuffer(base64.b64decode(text, validate=True), np.float32)
    except (ValueError, TypeError):
        return None


def tie_of(path: Path) -> str | None:
    """Returns what a journal's results were made from; None where its first line is not whole, or another's."""
    with path.open("rb") as stream:
        try:
            head = json.loads(stream.readline())
        except ValueError:
            return None
    return str(head["of"]) if isinstance(head, dict) and head.get("earwitness") == "journal" else None


@contextmanager
def opened(path: Path, tie: str, *, busy: EarwitnessError) -> Iterator[Journal]:
    """Opens a journal, which no other process may hold open at the same time: `busy` is raised then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.lock(path, busy=busy):
        journal = Journal(path, tie)
        try:
            yield journal
        finally:
            journal.close()
