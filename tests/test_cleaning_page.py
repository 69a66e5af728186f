"""Parts of the page: pictures, sounds, and that it stays small."""

import base64
import io
import math
from pathlib import Path

import numpy as np
import soundfile

from conftest import tone
from earwitness.cleaning import originals
from earwitness.cleaning import page as cleanpage
from earwitness.cleaning.verdicts import Verdict
from earwitness.corpus import Store


def test_a_sound_is_small_and_can_be_played() -> None:
    text = cleanpage._sound(tone("Bark", seconds=3.0, seed=0), 32_000)
    content = base64.b64decode(text.partition(",")[2])
    sound, rate_hz = soundfile.read(io.BytesIO(content))
    assert len(content) < 20_000 and abs(len(sound) / rate_hz - 3.0) < 0.2 and np.abs(sound).max() > 0.5


def test_silence_and_nothing() -> None:
    assert cleanpage._sound(np.zeros(0, np.float32), 32_000) == ""
    assert cleanpage._sound(np.zeros(32_000, np.float32), 32_000).startswith("data:audio/mpeg")


def test_the_page_stops_growing(tiny_store: Path, monkeypatch) -> None:
    store = Store(tiny_store)
    monkeypatch.setattr(cleanpage, "_MOST_BYTES", 1)
    page = cleanpage._Page(store, originals.require_sounds(store, None))
    ones = [Verdict(row, row, 0, 1, "drop", 0.1, 0.1, 0.0, 1.0) for row in (0, 0, 1)]
    for one in ones:
        page.embed(one)
    assert list(page.media) == ["0"] and len(page.cards(ones)) == 2


def test_every_class_shows_a_clip_before_any_shows_two(tiny_store: Path) -> None:
    store = Store(tiny_store)
    first, second, third, fourth = (int(row) for row in store.rows("noisy")[:4])
    doubted = [
        Verdict(row, row, column, given, verdict, probability, 0.1, 0.0, 1.0)
        for row, column, given, verdict, probability in (
            (first, 0, 1, "drop", 0.2), (second, 0, 1, "drop", 0.1), (third, 0, 0, "add", 0.9),
            (fourth, 3, 1, "unsure", 0.4), (int(store.rows("curated")[0]), 3, 1, "drop", 0.1),
        )
    ]  # fmt: skip
    shelves = cleanpage._shelves_of_classes(doubted, store)
    assert [one.row for one in cleanpage._in_turn(shelves)] == [second, third, fourth, first]


def test_evidence_lies_inside_the_picture(tiny_store: Path) -> None:
    store = Store(tiny_store)
    page = cleanpage._Page(store, originals.require_sounds(store, None))
    row = next(row for row in range(len(store.clips)) if store.length(row) > 200)
    one = Verdict(row, row, 0, 1, "drop", 0.1, 0.1, 1.0, 2.0)
    page.embed(one)
    (card,) = page.cards([one])
    assert 0 < card["left"] < 100 and 0 < card["width"] <= 100 - card["left"] + 0.2


def test_a_sound_that_cannot_be_read_is_shown_without_evidence(tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    page = cleanpage._Page(store, {0: tmp_path / "gone.wav"})
    one = Verdict(0, 0, 0, 1, "drop", 0.1, 0.1, math.nan, math.nan)
    page.embed(one)
    (card,) = page.cards([one])
    assert card["where"] == "its sound cannot be read any more" and page.media["0"]["sound"] == ""
    assert (card["left"], card["width"], card["play_from"]) == (0.0, 0.0, 0.0)


def test_evidence_outside_of_the_stretch_that_is_shown_is_said_and_not_played(tiny_store: Path, monkeypatch) -> None:
    store = Store(tiny_store)
    monkeypatch.setattr(cleanpage, "_MOST_SECONDS", 1.0)
    page = cleanpage._Page(store, originals.require_sounds(store, None))
    row = next(row for row in range(len(store.clips)) if store.length(row) > 200)
    shown = Verdict(row, row, 0, 1, "drop", 0.1, 0.1, 0.0, 0.5)
    elsewhere = Verdict(row, row, 1, 0, "add", 0.9, 0.9, 2.0, 2.5)
    page.embed(shown)
    begin, end = page.spans[row]
    first, second = page.cards([shown, elsewhere])
    assert first["width"] > 0 and first["where"] == "0.0 to 0.5 s"
    assert (second["left"], second["width"], second["play_from"]) == (0.0, 0.0, 0.0)
    assert second["where"] == f"evidence at 2.0 to 2.5 s, {begin:.1f} to {end:.1f} s shown"
