"""A review folder as `clean` leaves it: for every clip the tags in doubt, how probable each is, and where to listen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import files, tables
from ..errors import ReviewError, TableError
from ..labels import Vocabulary

FORMAT = 1
VERDICTS = ("keep", "drop", "add", "unsure")
COLUMNS = (
    "fname", "role", "label", "given", "verdict", "probability", "heard", "start_seconds", "end_seconds", "path",
)  # fmt: skip

# What `clean` keeps in the folder, and nobody else is to write.
OWN_FILES = frozenset({"verdicts.csv", "clips.xlsx", "cleaned.csv", "vocabulary.csv", "duplicates.csv", "summary.json"})


def is_believed(verdict: str, probability: float) -> bool:
    """Tells whether a tag is believed to be there: it is kept or added, or unsure and likelier than not."""
    return verdict in ("keep", "add") or (verdict == "unsure" and probability >= 0.5)


@dataclass(frozen=True)
class Tag:
    """One tag of a clip: whether it was given, the verdict on it, and the seconds where the evidence is strongest.

    probability: calibrated, that the class is truly there. heard: the same by ear alone; both 0 to 1. The seconds are
    those of the sound file; None where there is no evidence to point to.
    """

    label: str
    given: bool
    verdict: str
    probability: float
    heard: float | None
    start_seconds: float | None
    end_seconds: float | None

    @property
    def proposed(self) -> bool:
        """Whether the tag is among those proposed for its clip."""
        return is_believed(self.verdict, self.probability)


@dataclass(frozen=True)
class Clip:
    """A clip with its tags, the most probable first. role: 'curated' or 'noisy'."""

    fname: str
    role: str
    path: Path
    tags: tuple[Tag, ...]

    @cached_property
    def given(self) -> tuple[str, ...]:
        """The labels it came with."""
        return tuple(tag.label for tag in self.tags if tag.given)

    @cached_property
    def proposed(self) -> tuple[str, ...]:
        """The labels proposed for it."""
        return tuple(tag.label for tag in self.tags if tag.proposed)


@dataclass(frozen=True)
class ReviewFolder:
    """A review folder: its clips in the order of verdicts.csv, the store they come from, and that store's digest."""

    path: Path
    store: Path
    fingerprint: str
    vocabulary: Vocabulary
    clips: tuple[Clip, ...]


def read(path: Path) -> ReviewFolder:
    """Returns a review folder. ReviewError where there is none, of another format, or with rows that make no sense."""
    summary = _summary(path / "summary.json")
    wrong = [key for key in ("store", "fingerprint") if not isinstance(summary.get(key), str)]
    classes = summary.get("classes")
    if wrong or not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ReviewError(
            f"{path}/summary.json: damaged ({', '.join(wrong) or 'classes'}); run `earwitness clean` again"
        )
    try:
        vocabulary = Vocabulary(tuple(classes))
        rows = [(row.where, _checked(row)) for row in tables.read_records(path / "verdicts.csv", COLUMNS)]
        clips = _clips(rows, vocabulary)
    except TableError as error:
        raise ReviewError(f"{error}; or run `earwitness clean` again") from None
    if not clips:
        raise ReviewError(f"{path}/verdicts.csv: no rows under its header; run `earwitness clean` again")
    return ReviewFolder(path, Path(summary["store"]), summary["fingerprint"], vocabulary, clips)


def find_sounds(clips: Sequence[Clip], root: Path | None) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Returns the clips whose sound files are there, with the paths at which they are, and those whose are not.

    A file that is not at its path is looked for below `root` by as many of the last parts of its path as match.
    ReviewError where not one is there, or `root` is no folder.
    """
    if root is not None and not root.is_dir():
        raise ReviewError(f"{root}: no such folder; give the one that holds the sound files to --audio-root")
    found, lost = [], []
    for clip in clips:
        place = place_of(clip.path, root)
        if place:
            found.append(replace(clip, path=place))
        else:
            lost.append(clip)
    if not found:
        advice = f"nor below {root}; give another --audio-root" if root else "give their new folder to --audio-root"
        raise ReviewError(f"none of {len(lost)} sound files is where `prepare` found it ({lost[0].path}); {advice}")
    return tuple(found), tuple(lost)


def place_of(path: Path, root: Path | None) -> Path | None:
    """Returns where a sound file is: at its path, else below `root` by as many of its last parts as match; or None."""
    if path.is_file():
        return path
    if root is None:
        return None
    parts = path.parts[1:] if path.is_absolute() else path.parts
    places = (root.absolute().joinpath(*parts[start:]) for start in range(len(parts)))
    return next((place for place in places if place.is_file()), None)


def _summary(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        raise ReviewError(
            f"{path.parent}: no review folder; make one with `earwitness clean RUN STORE --out DIR`, and give DIR"
        )
    try:
        summary = files.read_json(path, error=ReviewError)
    except ReviewError as error:
        raise ReviewError(f"{error}; or run `earwitness clean` again") from None
    found = summary.get("format") if isinstance(summary, dict) else None
    if found != FORMAT:
        raise ReviewError(
            f"{path}: format {found}, where this version of earwitness reads {FORMAT}; run `earwitness clean` again"
        )
    return summary  # type: ignore[no-any-return]  # a dict of JSON


def _checked(record: tables.Record) -> Mapping[str, str]:
    if record.fault:
        raise TableError(f"{record.where}: {record.fault}")
    return record.cells


def _clips(rows: Iterable[tuple[str, Mapping[str, str]]], vocabulary: Vocabulary) -> tuple[Clip, ...]:
    """Returns the clips that rows of verdicts.csv speak of, each once, in the order in which they first appear."""
    tags: dict[tuple[str, str, str], dict[str, Tag]] = {}
    for where, cells in rows:
        if not cells["fname"] or not cells["path"]:
            raise TableError(f"{where}: fname or path is empty: fill it in")
        of_clip = tags.setdefault((cells["role"], cells["fname"], cells["path"]), {})
        tag = _tag(where, cells)
        vocabulary.index(tag.label, where=f"{where}, label")
        if tag.label in of_clip:
            raise TableError(f"{where}, label: {cells['fname']} has a row for {tag.label} already: delete one")
        of_clip[tag.label] = tag
    named = [(role, fname) for role, fname, _ in tags]
    if len(set(named)) < len(named):
        role, fname = next(name for name in named if named.count(name) > 1)
        raise TableError(f"the {role} clip {fname} has two paths: keep one")
    return tuple(
        Clip(fname, role, Path(path), tuple(sorted(of_clip.values(), key=lambda tag: -tag.probability)))
        for (role, fname, path), of_clip in tags.items()
    )


def _tag(where: str, cells: Mapping[str, str]) -> Tag:
    if cells["verdict"] not in VERDICTS:
        raise TableError(f"{where}, verdict: {cells['verdict']!r} is none of {', '.join(VERDICTS)}: correct it")
    if cells["given"] not in ("0", "1"):
        raise TableError(f"{where}, given: {cells['given']!r} is neither 0 nor 1: correct it")
    return Tag(
        label=cells["label"],
        given=cells["given"] == "1",
        verdict=cells["verdict"],
        probability=tables.number(f"{where}, probability", cells["probability"], least=0, most=1),
        heard=_number(f"{where}, heard", cells["heard"], most=1.0),
        start_seconds=_number(f"{where}, start_seconds", cells["start_seconds"]),
        end_seconds=_number(f"{where}, end_seconds", cells["end_seconds"]),
    )


def _number(where: str, cell: str, *, most: float = math.inf) -> float | None:
    """Returns the number in a cell, None for an empty one."""
    return tables.number(where, cell, least=0, most=most) if cell else None
