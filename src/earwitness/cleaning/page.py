"""The page of a cleaning: one HTML file with charts, spectrograms and sounds in it, which needs no network.

Every clip that is shown is embedded once, as a small picture and an MP3 of a low rate; how many there are is bounded,
and so is the page, whatever the number of clips and classes. Each class shows some before any shows more.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import soundfile
import soxr
from jinja2 import Environment, PackageLoader

from .. import audio, files
from ..corpus import Store
from ..decoding import reading
from ..errors import AudioError
from .twins import Twins
from .verdicts import Verdict
from .watcher import Watcher

matplotlib.use("Agg")
from matplotlib import image as matplotlib_image

_CARDS_OF_ALL = 12
_CARDS_OF_CLASS = 2
_MOST_SECONDS = 12.0
_BEFORE_EVIDENCE_SECONDS = 3.0
_SOUND_RATE_HZ = 16_000
# 0 is the best, 1 the smallest: about 20 kbit/s at this rate.
_COMPRESSION = 0.7
_MOST_BYTES = 13_000_000
_MOST_ROWS = 40
# Of more classes than these the chart folds the rest away, and the list of classes can be searched.
_MOST_CLASSES = 100


def write(
    path: Path,
    summary: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    twins: Twins,
    store: Store,
    sounds: Mapping[int, Path],
    watcher: Watcher,
) -> None:
    """Writes the page of a cleaning from its summary and its verdicts."""
    page = _Page(store, sounds)
    names = store.vocabulary.names
    shelves = _shelves(verdicts, store)
    of_class = _shelves_of_classes(verdicts, store)
    by_wrong = sorted(
        range(len(names)), key=lambda column: -(summary["per_class"][names[column]]["wrong"]["rate"] or 0.0)
    )
    shown = [one for _, _, ones in shelves for one in ones] + _in_turn([of_class[column] for column in by_wrong])
    watcher.begun("writing the page", len(shown))
    for one in shown:
        page.embed(one)
        watcher.advanced()
    classes = [
        (name, _class(summary, name, number) | {"shelves": [(words, page.cards(ones)) for words, ones in shelf]})
        for number, (name, shelf) in enumerate(zip(names, of_class, strict=True))
    ]
    environment = Environment(loader=PackageLoader("earwitness"), autoescape=True)
    text = environment.get_template("clean.html.j2").render(
        title=store.path.name,
        summary=summary,
        figures=_figures(summary),
        noisy=summary["clips"]["noisy"] > 0,
        by_wrong=[classes[column] for column in by_wrong],
        most_classes=_MOST_CLASSES,
        shelves=[(heading, words, page.cards(ones)) for heading, words, ones in shelves],
        confusions=sorted(summary["confusions"], key=lambda one: -one["clips"])[:_MOST_ROWS],
        twins=[_twin(store, pair) for pair in twins.across[:_MOST_ROWS]],
        classes=classes,
        without_room=len({one.row for one in shown} - page.spans.keys()),
        media=page.media,
    )
    files.atomic_write(path, text)


@dataclass
class _Page:
    """What the page embeds: `media` by the clip's row, a picture and, where it can be read, a sound."""

    store: Store
    sounds: Mapping[int, Path]
    media: dict[str, dict[str, str]] = field(default_factory=dict)
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)
    size: int = 0

    def embed(self, one: Verdict) -> None:
        """Puts a verdict's clip into the page: a stretch of it that holds the evidence, while there is room.

        A clip whose file cannot be read any more is its picture alone.
        """
        if one.row in self.spans or self.size > _MOST_BYTES:
            return
        try:
            with reading(self.sounds[one.row]):
                waveform = audio.read(self.sounds[one.row], sample_rate_hz=self.store.features.sample_rate_hz)
        except AudioError:
            waveform = np.zeros(0, np.float32)
        rate_hz = self.store.features.sample_rate_hz
        trim_first, _ = audio.sound_span(waveform, below_peak_db=self.store.features.trim_below_peak_db)
        second = rate_hz / self.store.features.hop_length
        length = self.store.length(one.row) / second
        start = trim_first / rate_hz
        lead = one.start_seconds - start - _BEFORE_EVIDENCE_SECONDS if math.isfinite(one.start_seconds) else 0.0
        begin = start + max(0.0, min(lead, length - _MOST_SECONDS))
        end = min(begin + _MOST_SECONDS, start + length)
        frames = slice(round((begin - start) * second), max(round((end - start) * second), 1))
        self.spans[one.row] = (begin, end)
        found = {"image": _picture(np.asarray(self.store.log_mel(one.row)[frames], np.float32)), "sound": ""}
        if len(waveform):
            found["sound"] = _sound(waveform[round(begin * rate_hz) : round(end * rate_hz)], rate_hz)
        self.media[str(one.row)] = found
        self.size += sum(map(len, found.values()))

    def cards(self, ones: Iterable[Verdict]) -> list[dict[str, Any]]:
        """Returns what the page shows of some verdicts, those that found room."""
        return [self._card(one) for one in ones if one.row in self.spans]

    def _card(self, one: Verdict) -> dict[str, Any]:
        begin, end = self.spans[one.row]
        clip, scale = self.store.clips[one.row], 100 / max(end - begin, 1e-6)
        first, last = (one.start_seconds, one.end_seconds) if self._shows_evidence(one) else (begin, begin)
        left = min(max((first - begin) * scale, 0.0), 100.0)
        right = min(max((last - begin) * scale, 0.0), 100.0)
        return {
            "row": one.row, "label": self.store.vocabulary.names[one.column], "verdict": one.verdict,
            "given": one.given, "probability": one.probability, "heard": one.heard, "fname": clip.fname,
            "role": clip.role, "given_labels": ", ".join(clip.labels), "left": round(left, 1),
            "width": round(right - left, 1), "play_from": round(max(first - begin - 0.3, 0.0), 2),
            "where": self._where(one),
        }  # fmt: skip

    def _shows_evidence(self, one: Verdict) -> bool:
        """Tells whether the evidence is known and in the stretch that is shown, which may be another verdict's."""
        begin, end = self.spans[one.row]
        return one.start_seconds < end and one.end_seconds > begin  # never of NaN

    def _where(self, one: Verdict) -> str:
        """Returns where the evidence is, and what is shown where that is elsewhere or nobody told."""
        begin, end = self.spans[one.row]
        evidence = f"{one.start_seconds:.1f} to {one.end_seconds:.1f} s"
        if self._shows_evidence(one):
            return evidence
        if math.isfinite(one.start_seconds):
            return f"evidence at {evidence}, {begin:.1f} to {end:.1f} s shown"
        if not self.media[str(one.row)]["sound"]:
            return "its sound cannot be read any more"
        return f"{begin:.1f} to {end:.1f} s shown"


def _shelves(verdicts: Sequence[Verdict], store: Store) -> list[tuple[str, str, list[Verdict]]]:
    """Returns the most doubtful of all, under a heading each: wrong, missing, and wrong curated labels."""
    role = {one.row: store.clips[one.row].role for one in verdicts}
    noisy = [one for one in verdicts if role[one.row] == "noisy"]
    curated = [one for one in verdicts if role[one.row] == "curated"]
    return [
        ("Given, but doubtful", "Labels of noisy clips that are least likely true.", _doubtful(noisy, _CARDS_OF_ALL)),
        ("Likely missing", "Tags that were not given and are most likely there.", _missing(noisy, _CARDS_OF_ALL)),
        ("Curated labels worth a second hearing", "The least likely of the labels that were checked by ear.",
         _doubtful(curated, _CARDS_OF_ALL)),
    ]  # fmt: skip


def _shelves_of_classes(verdicts: Sequence[Verdict], store: Store) -> list[list[tuple[str, list[Verdict]]]]:
    """Returns the most doubtful of each class in noisy clips: wrong and missing, under a heading each."""
    of_class: list[list[Verdict]] = [[] for _ in store.vocabulary.names]
    for one in verdicts:
        if store.clips[one.row].role == "noisy":
            of_class[one.column].append(one)
    return [
        [("Given, but doubtful", _doubtful(ours, _CARDS_OF_CLASS)), ("Likely missing", _missing(ours, _CARDS_OF_CLASS))]
        for ours in of_class
    ]


def _in_turn(of_class: Sequence[Sequence[tuple[str, list[Verdict]]]]) -> list[Verdict]:
    """Returns what classes show, the first of each shelf before the second of any: there may be no room for all."""
    return [
        ones[turn] for turn in range(_CARDS_OF_CLASS) for shelves in of_class for _, ones in shelves if turn < len(ones)
    ]


def _doubtful(verdicts: Iterable[Verdict], most: int) -> list[Verdict]:
    doubtful = [one for one in verdicts if one.given and one.verdict != "keep"]
    return sorted(doubtful, key=lambda one: one.probability)[:most]


def _missing(verdicts: Iterable[Verdict], most: int) -> list[Verdict]:
    absent = [one for one in verdicts if not one.given and one.probability >= 0.5]
    return sorted(absent, key=lambda one: -one.probability)[:most]


def _figures(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = summary["verdicts"]["noisy"]
    found = [(f"{summary['clips'][role]:,}", f"{role} clips") for role in ("curated", "noisy")]
    if summary["clips"]["noisy"]:
        found += [(f"{counts[kind]:,}", words) for kind, words in (
            ("drop", "given labels to drop"), ("keep", "given labels to keep"), ("add", "labels to add"))]  # fmt: skip
        if summary["domain"] is not None:
            found.append(
                (f"{100 * summary['domain']:.0f} %", "of the time a noisy clip can be told from a curated one")
            )
    return found


def _class(summary: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    truly = [f"{one['true']} ({one['clips']:.1f})" for one in summary["confusions"] if one["given"] == name]
    return {**summary["per_class"][name], "number": number, "truly": ", ".join(truly)}


def _twin(store: Store, pair: Any) -> tuple[str, str, str, str, str]:
    first, second = store.clips[pair.first], store.clips[pair.second]
    return first.fname, first.role, second.fname, second.role, f"{100 * pair.alike:.0f} %"


def _picture(log_mel: np.ndarray) -> str:
    """Returns a log-mel (frames, bands) as a JPEG in a data URI."""
    stream = io.BytesIO()
    matplotlib_image.imsave(
        stream, log_mel.T, origin="lower", vmin=-80, vmax=0, cmap="magma", format="jpg", pil_kwargs={"quality": 60}
    )
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _sound(waveform: np.ndarray, rate_hz: int) -> str:
    """Returns a waveform (samples,) as an MP3 in a data URI, as loud as it can be; empty where there is none."""
    if not len(waveform):
        return ""
    small = soxr.resample(waveform, rate_hz, _SOUND_RATE_HZ)
    peak = float(np.abs(small).max())
    stream = io.BytesIO()
    soundfile.write(
        stream, small / peak * 0.9 if peak > 0 else small, _SOUND_RATE_HZ, format="MP3", compression_level=_COMPRESSION
    )
    return "data:audio/mpeg;base64," + base64.b64encode(stream.getvalue()).decode()
