"""What reviewers decided on clips, kept in SQLite at once: each decision is one transaction, on the disk when it ends.

Nothing is ever deleted: an undone decision is marked so, and one that a later takes the place of stays beneath it.
A clip that somebody has before them is on a lease, so that it is given to nobody else; a lease that is not renewed
ends by itself. Several processes may use one file.
"""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ..errors import ReviewError
from .decision import SKIPPED, ClipName, Decision

FILE_NAME = "decisions.sqlite"
FORMAT = 1
LEASE_SECONDS = 300.0
_PATIENCE_SECONDS = 5.0

_TABLES = """
CREATE TABLE about (format INTEGER NOT NULL, fingerprint TEXT NOT NULL);
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    role TEXT NOT NULL, fname TEXT NOT NULL, reviewer TEXT NOT NULL,
    outcome TEXT NOT NULL, labels TEXT NOT NULL, given TEXT NOT NULL,
    decided_at TEXT NOT NULL, seconds REAL NOT NULL,
    stands INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX one_each ON decisions (role, fname, reviewer) WHERE stands;
CREATE TABLE leases (
    role TEXT NOT NULL, fname TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (role, fname)
);
"""

# What SQLite cannot do now, and what to do about it. Codes are compared without their extension.
_ADVICE = {
    sqlite3.SQLITE_BUSY: "locked by another program; close what has it open, then decide again",
    sqlite3.SQLITE_LOCKED: "locked by another program; close what has it open, then decide again",
    sqlite3.SQLITE_FULL: "the disk is full; make room, then decide again",
    sqlite3.SQLITE_READONLY: "cannot be written; change its permissions, then decide again",
    sqlite3.SQLITE_PERM: "cannot be written; change its permissions, then decide again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_IOERR: "reading or writing broke off; check the disk and the room on it, then decide again",
    sqlite3.SQLITE_NOTADB: "not a file of decisions; move it away, or put a copy in its place",
    sqlite3.SQLITE_CORRUPT: "damaged; put a copy in its place",
}
_NO_DECISIONS = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN}
_NO_WRITING = {
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
}  # fmt: skip


class Taken(NamedTuple):
    """The clips a holder has now, and how many more would be theirs that others have before them."""

    clips: tuple[ClipName, ...]
    held_elsewhere: int


class Decisions:
    """A file of decisions, made where there is none. May be used by several threads; every error is a ReviewError.

    fingerprint: the digest of the store whose clips are reviewed, to which the file is bound; None accepts the file of
    any store, if it is there, and is for reading alone. clock: gives the time in seconds, for leases.
    """

    def __init__(self, path: Path, fingerprint: str | None, *, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock, self._lock = path, clock, threading.RLock()
        none_yet = ReviewError(f"{path}: no decisions there yet; make some with `earwitness review {path.parent}`")
        if fingerprint is None and not path.is_file():
            raise none_yet
        with self._explained():
            self._connection = _to_read(path) if fingerprint is None else _to_write(path)
            if fingerprint is not None:
                with self._transaction() as connection:
                    _begin(connection, fingerprint)
            elif _is_empty(self._connection):
                raise none_yet  # killed as it was made
            about = _about(self._connection)
        self._refuse_strange(about, fingerprint)

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._connection.close()

    def take(
        self, holder: str, reviewer: str, order: Mapping[ClipName, int], *, count: int, twice: Collection[ClipName]
    ) -> Taken:
        """Gives a holder up to `count` clips on a lease: those they hold already, then the first free ones in `order`.

        A clip is free for a reviewer who has not decided on it while nobody else holds it and it needs decisions: one,
        or two for those in `twice`. Skipping is no decision for others. What else the holder had is let go. `order` is
        read from its beginning, its values do not matter.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM leases WHERE until < ?", (self._clock(),))
            leases = connection.execute("SELECT role, fname, holder FROM leases ORDER BY rowid")
            holders = {(role, fname): who for role, fname, who in leases}
            own, heard = self._said(reviewer)

            def wanted(clip: tuple[str, str]) -> bool:
                return clip in order and clip not in own and heard[clip] < 1 + (clip in twice)

            mine = (clip for clip, who in holders.items() if who == holder)
            free = (clip for clip in order if clip not in holders)
            taken = tuple(ClipName(*clip) for clip in islice(filter(wanted, chain(mine, free)), count))
            until = self._clock() + LEASE_SECONDS
            connection.execute("DELETE FROM leases WHERE holder = ?", (holder,))
            connection.executemany("INSERT INTO leases VALUES (?, ?, ?, ?)", [(*clip, holder, until) for clip in taken])
            held_elsewhere = sum(who != holder and wanted(clip) for clip, who in holders.items())
        return Taken(taken, held_elsewhere)

    def renew(self, holder: str) -> None:
        """Puts off the end of a holder's leases."""
        with self._transaction() as connection:
            connection.execute("UPDATE leases SET until = ? WHERE holder = ?", (self._clock() + LEASE_SECONDS, holder))

    def release(self, holder: str) -> None:
        """Ends a holder's leases."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM leases WHERE holder = ?", (holder,))

    def add(self, decision: Decision, *, holder: str = "") -> None:
        """Keeps a decision, in place of what the same reviewer said of the clip before; ends the holder's lease."""
        with self._transaction() as connection:
            _insert(connection, decision)
            connection.execute(
                "DELETE FROM leases WHERE role = ? AND fname = ? AND holder = ?", (*decision.clip, holder)
            )

    def add_all(self, decisions: Iterable[Decision]) -> int:
        """Keeps the decisions that are newer than what their reviewers said of the clips before; returns how many.

        One of the same time that says something else is kept as well: it was edited after it was exported.
        """
        added = 0
        with self._transaction() as connection:
            standing = {(each.clip, each.reviewer): each for each in _standing(connection)}
            for decision in decisions:
                before = standing.get((decision.clip, decision.reviewer))
                edited = before and decision.when == before.when and decision.says != before.says
                if before is None or edited or decision.when > before.when:
                    _insert(connection, decision)
                    standing[decision.clip, decision.reviewer] = decision
                    added += 1
        return added

    def undo(self, reviewer: str, holder: str, *, among: Container[tuple[str, str]] | None = None) -> Decision | None:
        """Takes back a reviewer's latest decision and gives them its clip; None where there is none to take back.

        The latest by its time: those that came from a file may be older than what was here before. `among`: the clips
        that can be put before them again; decisions on others stay. What an earlier decision on the clip said does not
        stand again. ReviewError where another holds the clip now.
        """
        with self._transaction() as connection:
            own = connection.execute(
                "SELECT id, role, fname FROM decisions WHERE reviewer = ? AND stands ORDER BY decided_at DESC, id DESC",
                (reviewer,),
            )
            row = next(((number,) for number, *clip in own if among is None or tuple(clip) in among), None)
            if row is None:
                return None
            (decision,) = _standing(connection, "AND id = ?", row)
            until = self._clock() + LEASE_SECONDS
            connection.execute("DELETE FROM leases WHERE until < ? OR holder = ?", (self._clock(), holder))
            try:
                connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (*decision.clip, holder, until))
            except sqlite3.IntegrityError:
                raise ReviewError(f"{decision.fname}: another reviewer has this clip now; undo it later") from None
            connection.execute("UPDATE decisions SET stands = 0 WHERE id = ?", row)
        return decision

    def bring_back_skipped(self, reviewer: str) -> int:
        """Takes back a reviewer's skips, so that the clips come again; returns how many."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE decisions SET stands = 0 WHERE reviewer = ? AND outcome = ? AND stands", (reviewer, SKIPPED)
            ).rowcount

    def all(self) -> list[Decision]:
        """Returns the decisions that stand, in the order in which they were made."""
        with self._lock, self._explained():
            return list(_standing(self._connection))

    def counts(self, reviewer: str, *, among: Container[tuple[str, str]] | None = None) -> tuple[int, int, int]:
        """Returns how many clips somebody has heard, on how many a reviewer decided, how many of these they skipped.

        `among`: the clips that count; decisions on others are of another list, or on sounds that are gone.
        """
        select = "SELECT role, fname FROM decisions WHERE stands AND outcome <> ?"
        with self._lock, self._explained():
            heard = set(self._connection.execute(select, (SKIPPED,)))
            own = "SELECT role, fname, outcome FROM decisions WHERE stands AND reviewer = ?"
            said = {(role, fname): outcome for role, fname, outcome in self._connection.execute(own, (reviewer,))}
        if among is not None:
            heard = set(filter(among.__contains__, heard))
            said = {clip: outcome for clip, outcome in said.items() if clip in among}
        return len(heard), len(said), list(said.values()).count(SKIPPED)

    def _said(self, reviewer: str) -> tuple[set[tuple[str, str]], Counter[tuple[str, str]]]:
        """Returns the clips on which a reviewer decided, and by how many others each clip was heard."""
        select = "SELECT role, fname FROM decisions WHERE stands AND"
        own = set(self._connection.execute(f"{select} reviewer = ?", (reviewer,)))
        others = self._connection.execute(f"{select} reviewer <> ? AND outcome <> ?", (reviewer, SKIPPED))
        return own, Counter(others)

    def _refuse_strange(self, about: tuple[int, str] | None, wanted: str | None) -> None:
        if about is None:
            raise ReviewError(f"{self.path}: {_ADVICE[sqlite3.SQLITE_NOTADB]}")
        format_, found = about
        if format_ != FORMAT:
            raise ReviewError(f"{self.path}: of another version of earwitness (format {format_}); use that version")
        if wanted is not None and found != wanted:
            raise ReviewError(
                f"{self.path}: decisions on another store's clips; `prepare --decisions` takes them from here; to "
                "review anew, give `clean` another folder or move this file away"
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Makes one transaction, and one wait for the disk, of all that a block does."""
        with self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of a block or nothing; no other process writes meanwhile. Within another it is a part of that."""
        with self._lock, self._explained():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            kept = "" if code in _NO_DECISIONS else "; what was decided is kept"
            raise ReviewError(f"{self.path}: {_ADVICE.get(code, str(error))}{kept}") from error


def _to_write(path: Path) -> sqlite3.Connection:
    connection = _connected(path, "mode=rwc")
    # Readers never wait for a writer, and a decision is on the disk before it is answered.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _to_read(path: Path) -> sqlite3.Connection:
    """Opens a file that is there; also where nothing can be written beside it, as on a full disk or a read-only one."""
    try:
        connection = _connected(path, "mode=rw")
        _is_empty(connection)
        return connection
    except sqlite3.OperationalError as error:
        newest = path.with_name(f"{path.name}-wal")
        if error.sqlite_errorcode & 0xFF not in _NO_WRITING or (newest.is_file() and newest.stat().st_size):
            raise
        return _connected(path, "immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{how}", uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip


def _begin(connection: sqlite3.Connection, fingerprint: str) -> None:
    """Makes the tables in a file that has none."""
    if _is_empty(connection):
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO about VALUES (?, ?)", (FORMAT, fingerprint))


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _about(connection: sqlite3.Connection) -> tuple[int, str] | None:
    """Returns a file's format and fingerprint; None where it has none: it is another program's."""
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(about)")}
    if not {"format", "fingerprint"} <= columns:
        return None
    found: tuple[int, str] | None = connection.execute("SELECT format, fingerprint FROM about").fetchone()
    return found


def _insert(connection: sqlite3.Connection, decision: Decision) -> None:
    connection.execute(
        "UPDATE decisions SET stands = 0 WHERE role = ? AND fname = ? AND reviewer = ? AND stands",
        (*decision.clip, decision.reviewer),
    )
    connection.execute(
        "INSERT INTO decisions (role, fname, reviewer, outcome, labels, given, decided_at, seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *decision.clip, decision.reviewer, decision.outcome, json.dumps(decision.labels),
            json.dumps(decision.given), decision.when, decision.seconds,
        ),
    )  # fmt: skip


def _standing(connection: sqlite3.Connection, condition: str = "", values: Sequence[object] = ()) -> Iterator[Decision]:
    rows = connection.execute(
        "SELECT role, fname, labels, reviewer, outcome, decided_at, given, seconds FROM decisions"
        f" WHERE stands {condition} ORDER BY decided_at, id",
        values,
    )
    for role, fname, labels, reviewer, outcome, when, given, seconds in rows:
        yield Decision(
            role, fname, tuple(json.loads(labels)), reviewer, outcome, when, tuple(json.loads(given)), seconds
        )
