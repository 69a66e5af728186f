"""Decisions are kept at once, by whatever many reviewers, however the process ends."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from earwitness.errors import ReviewError
from earwitness.reviewing import decisions
from earwitness.reviewing.decision import (
    CHANGED,
    GIVEN,
    NOTHING,
    PROPOSED,
    SKIPPED,
    ClipName,
    Decision,
    moment,
    now,
    outcome_of,
    settled,
)
from earwitness.reviewing.decisions import LEASE_SECONDS, Decisions

CLIPS = [ClipName("noisy", f"{number}.wav") for number in range(40)]
ORDER = {clip: number for number, clip in enumerate(CLIPS)}
FEW = dict(list(ORDER.items())[:4])


def said(clip: ClipName, *labels: str, reviewer: str = "Anna", outcome: str = CHANGED, when: str = "") -> Decision:
    return Decision(*clip, labels, reviewer, outcome, when or now(), ("Bark",), 1.5)


class Clock:
    """A clock that tests turn."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Decisions:
    return Decisions(tmp_path / "decisions.sqlite", "abc", clock=clock)


def take(kept: Decisions, holder: str, reviewer: str = "", count: int = 1, **options: object) -> list[str]:
    taken = kept.take(holder, reviewer or holder, FEW, count=count, twice=options.get("twice", set()))  # type: ignore[arg-type]
    return [clip.fname for clip in taken.clips]


# --- what a choice comes to ---


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [((), NOTHING), (("a", "b"), GIVEN), (("b", "a"), GIVEN), (("b", "c"), PROPOSED), (("c",), CHANGED)],
)
def test_outcomes(labels: tuple[str, ...], outcome: str) -> None:
    assert outcome_of(labels, given=("a", "b"), proposed=("b", "c")) == outcome


def test_moments_of_any_form_are_kept_in_one() -> None:
    assert moment("2026-01-31T12:00:00+02:00") == "2026-01-31T10:00:00.000000Z"
    assert moment("2021-03-09T22:16:08.728378Z") == "2021-03-09T22:16:08.728378Z"
    assert moment("2026-01-31") == "2026-01-31T00:00:00.000000Z"
    assert moment("yesterday") is None
    assert moment(now()) is not None


def test_the_majority_settles_and_the_latest_breaks_ties() -> None:
    clip, other = CLIPS[:2]
    three = [
        said(clip, "Bark", "Meow", reviewer="a", when="1"),
        said(clip, "Bark", reviewer="b", when="3"),
        said(clip, "Meow", "Purr", reviewer="c", when="2"),
        said(clip, outcome=SKIPPED, reviewer="d", when="4"),
    ]
    assert settled(three)[clip].labels == ("Bark", "Meow")
    two = [said(other, "Bark", reviewer="a", when="1"), said(other, "Purr", "Bark", reviewer="b", when="2")]
    assert settled(two)[other].labels == ("Purr", "Bark")
    assert settled(two[::-1])[other].labels == ("Purr", "Bark")
    none = settled([said(clip, outcome=NOTHING)])[clip]
    assert (none.labels, none.outcome) == ((), NOTHING)
    assert settled([three[3]]) == {}


# --- kept ---


def test_a_decision_is_there_for_whoever_opens_the_file(kept: Decisions) -> None:
    decision = said(CLIPS[0], "Bark", "Meow")
    kept.add(decision)
    assert Decisions(kept.path, "abc").all() == [decision]
    assert Decisions(kept.path, None).all() == [decision]


def test_a_second_thought_takes_the_place_of_the_first(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], "Bark"))
    kept.add(said(CLIPS[0], "Meow"))
    kept.add(said(CLIPS[0], "Purr", reviewer="Ben"))
    assert [(one.reviewer, one.labels) for one in kept.all()] == [("Anna", ("Meow",)), ("Ben", ("Purr",))]
    log = sqlite3.connect(kept.path).execute("SELECT COUNT(*) FROM decisions").fetchone()
    assert log == (3,)


def test_undo_takes_back_one_after_another(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], "Bark"))
    kept.add(said(CLIPS[1], "Meow"))
    kept.add(said(CLIPS[2], "Purr", reviewer="Ben"))
    undone = kept.undo("Anna", "page")
    assert undone is not None and undone.fname == "1.wav"
    assert take(kept, "page", "Anna") == ["1.wav"]
    undone = kept.undo("Anna", "page")
    assert undone is not None and undone.fname == "0.wav"
    assert kept.undo("Anna", "page") is None
    assert [one.reviewer for one in kept.all()] == ["Ben"]


def test_what_another_has_now_cannot_be_undone(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], outcome=SKIPPED))
    assert take(kept, "Ben") == ["0.wav"]
    with pytest.raises(ReviewError, match="another reviewer has this clip now"):
        kept.undo("Anna", "page")
    assert len(kept.all()) == 1


def test_newer_decisions_are_added_older_ones_are_not(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], "Bark", when="2026-01-02"))
    brought = [said(CLIPS[0], "Meow", when="2026-01-01"), said(CLIPS[1], "Purr", when="2026-01-01")]
    assert kept.add_all(brought) == 1
    assert kept.add_all(brought) == 0
    assert kept.add_all([said(CLIPS[0], "Meow", when="2026-01-03")]) == 1
    assert [one.labels for one in kept.all()] == [("Purr",), ("Meow",)]


def test_of_the_same_time_what_says_something_else_was_edited(kept: Decisions) -> None:
    kept.add_all([said(CLIPS[0], "Bark", "Meow", when="2"), said(CLIPS[1], outcome=SKIPPED, when="2")])
    same = [said(CLIPS[0], "Meow", "Bark", when="2", outcome="given"), said(CLIPS[1], outcome=SKIPPED, when="2")]
    assert kept.add_all(same) == 0
    edited = [said(CLIPS[0], "Purr", when="2"), said(CLIPS[1], outcome="none", when="2")]
    assert kept.add_all(edited) == 2
    assert kept.all() == edited and kept.add_all(edited) == 0


def test_together_is_all_or_nothing(kept: Decisions) -> None:
    with pytest.raises(KeyError), kept.together():
        kept.add(said(CLIPS[0], "Bark"))
        raise KeyError
    assert kept.all() == []
    with kept.together():
        kept.add(said(CLIPS[0], "Bark"))
        assert take(kept, "Anna") == ["1.wav"]
    assert len(Decisions(kept.path, "abc").all()) == 1


# --- who has which clip ---


def test_no_clip_is_before_two(kept: Decisions) -> None:
    assert take(kept, "Anna", count=2) == ["0.wav", "1.wav"]
    assert take(kept, "Ben", count=2) == ["2.wav", "3.wav"]
    assert take(kept, "Cleo") == []
    assert kept.take("Cleo", "Cleo", FEW, count=1, twice=set()).held_elsewhere == 4
    assert take(kept, "Anna", count=2) == ["0.wav", "1.wav"]


def test_two_pages_of_one_reviewer_do_not_get_the_same(kept: Decisions) -> None:
    assert take(kept, "page1", "Anna") == ["0.wav"]
    assert take(kept, "page2", "Anna") == ["1.wav"]


def test_a_lease_ends_unless_it_is_renewed(kept: Decisions, clock: Clock) -> None:
    take(kept, "Anna")
    clock.seconds += LEASE_SECONDS - 1
    kept.renew("Anna")
    clock.seconds += LEASE_SECONDS - 1
    assert take(kept, "Ben") == ["1.wav"]
    clock.seconds += 2
    assert take(kept, "Cleo") == ["0.wav"]
    # Who comes late is heard all the same.
    kept.add(said(CLIPS[0], "Bark", reviewer="Anna"), holder="Anna")
    kept.add(said(CLIPS[0], "Meow", reviewer="Cleo"), holder="Cleo")
    assert len(kept.all()) == 2


def test_a_page_that_closes_lets_go(kept: Decisions) -> None:
    take(kept, "Anna", count=4)
    kept.release("Anna")
    assert take(kept, "Ben", count=4) == [clip.fname for clip in CLIPS[:4]]


def test_what_is_decided_comes_to_nobody_and_what_is_skipped_to_others(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], "Bark"))
    kept.add(said(CLIPS[1], outcome=SKIPPED))
    assert take(kept, "Anna", count=4) == ["2.wav", "3.wav"]
    kept.release("Anna")
    assert take(kept, "Ben", count=4) == ["1.wav", "2.wav", "3.wav"]
    kept.release("Ben")
    assert kept.bring_back_skipped("Anna") == 1
    assert take(kept, "Anna") == ["1.wav"]


def test_some_clips_are_heard_by_two(kept: Decisions) -> None:
    twice = {CLIPS[0]}
    kept.add(said(CLIPS[0], "Bark"))
    assert take(kept, "Anna", count=4, twice=twice) == ["1.wav", "2.wav", "3.wav"]
    kept.release("Anna")
    assert take(kept, "Ben", twice=twice) == ["0.wav"]
    kept.add(said(CLIPS[0], "Bark", reviewer="Ben"), holder="Ben")
    assert take(kept, "Cleo", twice=twice) == ["1.wav"]


def test_what_others_have_counts_only_where_it_would_come_here(kept: Decisions) -> None:
    """Anna has heard the clip that Ben hears now as its second: for her it is nothing to wait for."""
    twice = {CLIPS[0]}
    kept.add(said(CLIPS[0], "Bark"))
    assert take(kept, "Ben", count=2, twice=twice) == ["0.wav", "1.wav"]
    assert kept.take("Anna", "Anna", FEW, count=4, twice=twice).held_elsewhere == 1
    assert kept.take("Cleo", "Cleo", FEW, count=4, twice=twice).held_elsewhere == 4


# --- many at once ---


def review_all(kept: Decisions, reviewer: str) -> None:
    """Decides on clips until there are none."""
    while taken := kept.take(reviewer, reviewer, ORDER, count=2, twice=set()).clips:
        kept.add(said(taken[0], "Bark", reviewer=reviewer), holder=reviewer)


def test_threads_share_the_clips(kept: Decisions) -> None:
    threads = [threading.Thread(target=review_all, args=(kept, name)) for name in ("Anna", "Ben", "Cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(one.clip for one in kept.all()) == dict.fromkeys(CLIPS, 1)


REVIEWER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_decisions import CLIPS, Decisions, said, review_all
kept = Decisions(Path(sys.argv[1]), "abc")
name = sys.argv[2]
if name != "endless":
    review_all(kept, name)
for number in range(10**9 if name == "endless" else 0):
    kept.add(said(CLIPS[number % 40], f"tag{number}", reviewer=name))
    print(number, flush=True)
"""


def reviewer_process(path: Path, name: str) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", REVIEWER, str(path), name, str(Path(__file__).parent)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ)


def test_processes_share_the_clips(tmp_path: Path) -> None:
    path = tmp_path / "decisions.sqlite"
    Decisions(path, "abc").close()
    processes = [reviewer_process(path, name) for name in ("Anna", "Ben")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert Counter(one.clip for one in Decisions(path, "abc").all()) == dict.fromkeys(CLIPS, 1)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_nothing_that_was_answered_is_lost(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "decisions.sqlite"
    process = reviewer_process(path, "endless")
    assert process.stdout is not None
    answered = [process.stdout.readline() for _ in range(5)]
    time.sleep(random.Random(seed).uniform(0.05, 0.3))
    process.send_signal(signal.SIGKILL)
    answered += process.stdout.readlines()
    assert process.wait() == -signal.SIGKILL
    last = int([line for line in answered if line.endswith("\n")][-1])
    assert last >= 4
    kept = Decisions(path, "abc")
    numbers = [int(labels[0].removeprefix("tag")) for labels in (one.labels for one in kept.all())]
    # The last may have been kept though the answer did not get out; each clip has its latest.
    newest = max(numbers)
    assert newest in (last, last + 1)
    assert sorted(numbers) == list(range(max(0, newest - 39), newest + 1))
    kept.add(said(CLIPS[0], "after"))
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- trouble ---


def test_a_locked_file_is_said_and_nothing_is_lost(kept: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add(said(CLIPS[0], "Bark"))
    kept._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ReviewError, match=r"decisions\.sqlite: locked by another program; close what has it open"):
        kept.add(said(CLIPS[1], "Bark"))
    assert len(kept.all()) == 1, "reading goes on"
    other.execute("ROLLBACK")
    kept.add(said(CLIPS[1], "Bark"))
    assert len(kept.all()) == 2


def test_a_full_disk_is_said_and_nothing_is_lost(kept: Decisions) -> None:
    kept.add(said(CLIPS[0], "Bark"))
    pages = kept._connection.execute("PRAGMA page_count").fetchone()[0]
    kept._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ReviewError, match="the disk is full; make room, then decide again; what was decided is kept"):
        for number in range(1000):
            kept.add(said(CLIPS[1], "x" * 1000, reviewer=str(number)))
    before = kept.all()
    assert before[0].labels == ("Bark",)
    kept._connection.execute("PRAGMA max_page_count = 100000")
    kept.add(said(CLIPS[2], "Meow"))
    assert kept.all() == [*before, kept.all()[-1]]


@pytest.mark.parametrize("newest_elsewhere", [False, True])
def test_where_nothing_can_be_written_decisions_can_be_read(
    kept: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest_elsewhere: bool
) -> None:
    """As in a colleague's folder, or on a full disk; not where the newest are still beside the file."""
    kept.add(said(CLIPS[0], "Bark"))
    folder = tmp_path / "r?o%20"
    folder.mkdir()
    shutil.copy(kept.path, folder)
    if newest_elsewhere:
        shutil.copy(f"{kept.path}-wal", folder)
    else:
        kept.close()
        shutil.copy(kept.path, folder)
    connected = decisions._connected

    def read_only(path: Path, how: str) -> sqlite3.Connection:
        if how != "immutable=1":
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return connected(path, how)

    monkeypatch.setattr(decisions, "_connected", read_only)
    if newest_elsewhere:
        with pytest.raises(ReviewError, match="cannot be opened; check the folder and its permissions"):
            Decisions(folder / kept.path.name, None)
    else:
        assert [one.labels for one in Decisions(folder / kept.path.name, None).all()] == [("Bark",)]


def test_a_strange_file_is_refused(tmp_path: Path, kept: Decisions) -> None:
    with pytest.raises(ReviewError, match="decisions on another store's clips"):
        Decisions(kept.path, "other")
    with pytest.raises(ReviewError, match="no decisions there yet"):
        Decisions(tmp_path / "none.sqlite", None)
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with pytest.raises(ReviewError, match="not a file of decisions"):
        Decisions(tmp_path / "text.sqlite", "abc")
    kept.add(said(CLIPS[0], "Bark"))
    kept._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = kept.path.read_bytes()
    (tmp_path / "damaged.sqlite").write_bytes(content[:4096] + b"\xee" * (len(content) - 4096))
    with pytest.raises(ReviewError, match=r"damaged; put a copy in its place$"):
        Decisions(tmp_path / "damaged.sqlite", "abc").all()
    strange = "not a file of decisions"
    for statement, complaint in (
        ("VACUUM", "no decisions there yet"), ("CREATE TABLE t (x)", strange), ("CREATE TABLE about (x)", strange)
    ):  # fmt: skip
        other = sqlite3.connect(tmp_path / "other.sqlite", isolation_level=None)
        other.execute(statement)
        other.close()
        before = (tmp_path / "other.sqlite").read_bytes()
        with pytest.raises(ReviewError, match=complaint):
            Decisions(tmp_path / "other.sqlite", None)
        assert (tmp_path / "other.sqlite").read_bytes() == before, "reading makes nothing in it"
    with pytest.raises(ReviewError, match="not a file of decisions"):
        Decisions(tmp_path / "other.sqlite", "abc")
    with pytest.raises(ReviewError, match="cannot be opened; check the folder"):
        Decisions(tmp_path / "no" / "folder.sqlite", "abc")
    sqlite3.connect(kept.path, isolation_level=None).execute("UPDATE about SET format = 99")
    with pytest.raises(ReviewError, match="another version of earwitness"):
        Decisions(kept.path, "abc")
