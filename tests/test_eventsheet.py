"""Events of files: seconds of the file, one table kept as it comes."""

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from conftest import CLASSES, tiny_recipe
from earwitness import Tagger, eventsheet
from earwitness.errors import AudioError, TableError
from earwitness.events import Event
from earwitness.labels import Vocabulary
from earwitness.scoresheet import Named
from earwitness.tagging import Timed

RATE_HZ = 32_000


@pytest.fixture
def tagger() -> Tagger:
    """Hears Bark where the middle frames of a window are loud, and nothing else ever."""

    def scorer(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        middle = windows.shape[1] // 2
        logits = np.full((len(windows), len(CLASSES)), -9, np.float32)
        logits[:, CLASSES.index("Bark")] = 4 * windows[:, middle - 2 : middle + 2].mean(axis=(1, 2))
        return logits

    return Tagger(
        scorer,
        vocabulary=Vocabulary(CLASSES),
        recipe=tiny_recipe("tagging.hop_frames=4", "augmentation.reversal=false"),
        mean=np.full(128, -15, np.float32),
        std=np.full(128, 5, np.float32),
        digest="loudness",
    )


def recording(path: Path, *, silence: float = 0.0) -> Path:
    """Faint noise of 12 seconds, loud from 5 to 6 and from 9 to 10; before it so many seconds of silence."""
    sound = 1e-2 * np.random.default_rng(0).normal(size=12 * RATE_HZ)
    for second in (5, 9):
        sound[second * RATE_HZ : (second + 1) * RATE_HZ] *= 30
    soundfile.write(path, np.concatenate([np.zeros(int(silence * RATE_HZ)), sound]), RATE_HZ)
    return path


@pytest.mark.parametrize("silence", [0.0, 3.0])
def test_events_are_where_the_sound_is_in_the_file(tagger: Tagger, tmp_path: Path, silence: float) -> None:
    """Also where `prepare` and the tagger leave the silence before it out."""
    found = tagger.events(recording(tmp_path / "a.wav", silence=silence), least=0.9)
    assert [event.label for event in found] == ["Bark", "Bark"]
    for event, second in zip(found, (5, 9), strict=True):
        assert event.start_seconds == pytest.approx(silence + second, abs=0.15)
        assert event.end_seconds == pytest.approx(silence + second + 1, abs=0.15)
        assert 0.9 <= event.score <= 1


def test_a_bang_hides_what_is_around_it_and_no_more(tagger: Tagger, tmp_path: Path) -> None:
    """What is heard relative to its surroundings is not heard relative to the loudest moment of the file."""
    sound = 1e-3 * np.random.default_rng(0).normal(size=20 * RATE_HZ)
    sound[4 * RATE_HZ : 5 * RATE_HZ] *= 10
    sound[14 * RATE_HZ : 15 * RATE_HZ] *= 500
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    for around_seconds, begins in ((5.0, [4, 14]), (math.inf, [14])):
        found = tagger.events(tmp_path / "a.wav", least=0.9, around_seconds=around_seconds)
        assert [event.start_seconds for event in found] == pytest.approx(begins, abs=0.15)
        ((_, again, error),) = tagger.events_many([tmp_path / "a.wav"], least=0.9, around_seconds=around_seconds)
        assert again == found and error is None
    with pytest.raises(ValueError, match="around_seconds is a number of seconds, 0 or more, not nan"):
        tagger.events(tmp_path / "a.wav", around_seconds=math.nan)


def test_windows_score_as_for_the_whole(tagger: Tagger) -> None:
    log_mel = np.random.default_rng(1).normal(-50, 20, (900, 128)).astype(np.float32)
    starts, scores = tagger.scores_over_time(log_mel)
    assert len(starts) == len(scores) > 7
    np.testing.assert_allclose(scores.mean(axis=0), tagger.scores_of_log_mel(log_mel))


def test_a_table_has_a_row_an_event_and_bad_files_are_returned(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    sounds = [Named("a.wav", recording(tmp_path / "a.wav")), Named("bad.wav", tmp_path / "bad.wav")]
    (bad,) = eventsheet.tag_to_csv(tagger, sounds, tmp_path / "times.csv", least=0.9)
    assert bad.path.name == "bad.wav" and isinstance(bad.error, AudioError)
    with (tmp_path / "times.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == eventsheet.COLUMNS
    assert [(row[0], row[3]) for row in rows] == [("a.wav", "Bark")] * 2
    assert float(rows[0][1]) < float(rows[0][2]) < float(rows[1][1])
    assert not (tmp_path / "times.csv.partial").exists()


class Killed(Exception):
    """What stands for a kill in the middle."""


def test_what_was_found_before_a_kill_is_not_looked_for_again(tagger: Tagger, tmp_path: Path) -> None:
    sounds = [Named(name, recording(tmp_path / name)) for name in ("a.wav", "b.wav", "c.wav")]

    def killed(timed: Timed) -> None:
        if timed.path.name == "b.wav":
            raise Killed

    with pytest.raises(Killed):
        eventsheet.tag_to_csv(tagger, sounds, tmp_path / "times.csv", least=0.9, on_file=killed)
    seen: list[str] = []
    eventsheet.tag_to_csv(
        tagger, sounds, tmp_path / "times.csv", least=0.9, on_file=lambda timed: seen.append(timed.path.name)
    )
    assert seen == ["c.wav"]
    eventsheet.tag_to_csv(tagger, sounds, tmp_path / "fresh.csv", least=0.9)
    assert (tmp_path / "times.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()


@pytest.mark.parametrize("changed", [{"least": 0.1}, {"around_seconds": 2.0}])
def test_other_settings_begin_anew(tagger: Tagger, tmp_path: Path, changed: dict[str, float]) -> None:
    sounds = [Named("a.wav", recording(tmp_path / "a.wav"))]

    def killed(_: Timed) -> None:
        raise Killed

    with pytest.raises(Killed):
        eventsheet.tag_to_csv(tagger, sounds, tmp_path / "times.csv", least=0.9, on_file=killed)
    seen: list[Path] = []
    eventsheet.tag_to_csv(
        tagger,
        sounds,
        tmp_path / "times.csv",
        **{"least": 0.9} | changed,
        on_file=lambda timed: seen.append(timed.path),
    )
    assert len(seen) == 1


def test_somebody_elses_table_is_not_replaced(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("fname,labels\na.wav,Bark\n", "utf-8")
    sounds = [Named("a.wav", recording(tmp_path / "a.wav"))]
    with pytest.raises(TableError, match=r"mine\.csv: it holds something else, which would be lost"):
        eventsheet.tag_to_csv(tagger, sounds, tmp_path / "mine.csv")
    eventsheet.tag_to_csv(tagger, sounds, tmp_path / "times.csv", least=0.9)
    eventsheet.tag_to_csv(tagger, sounds, tmp_path / "times.csv", least=0.8)


def test_a_score_is_from_0_to_1(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="least is a score"):
        tagger.events(tmp_path / "a.wav", least=50)


def test_a_live_table_by_hand(tmp_path: Path) -> None:
    out, began = tmp_path / "not yet" / "live.csv", datetime(2026, 5, 1, 23, 59, 58, tzinfo=UTC)
    with eventsheet.kept_live(out, began) as add:
        add(Event(1.5, 2, "Bark", 0.87654))
        assert out.read_text("utf-8").count("\n") == 2, "it is on the disk at once"
        add(Event(2.25, 3, "Dog, far", 0.5))
    with eventsheet.kept_live(out, began) as add:  # again, behind what is there
        add(Event(0, 1, "Bark", 1))
    assert out.read_text("utf-8").splitlines() == [
        "time,start_seconds,end_seconds,label,score",
        "2026-05-01T23:59:59.500+00:00,1.5,2,Bark,0.8765",
        '2026-05-02T00:00:00.250+00:00,2.25,3,"Dog, far",0.5',
        "2026-05-01T23:59:58.000+00:00,0,1,Bark,1",
    ]


def test_a_live_table_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("fname,labels\na.wav,Bark\n", "utf-8")
    for name, what in (("mine.csv", "it holds something else"), ("live.xlsx", "row by row"), ("a.wav", "a sound file")):
        with (
            pytest.raises(TableError, match=what),
            eventsheet.kept_live(tmp_path / name, datetime.now(UTC)),
        ):
            pass
    assert (tmp_path / "mine.csv").read_text("utf-8") == "fname,labels\na.wav,Bark\n"
