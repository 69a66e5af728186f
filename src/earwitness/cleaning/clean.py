"""The journey of `clean`: from runs and a store to verdicts, a cleaned clip list, figures and a page."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from .. import corpus, files, tables
from ..corpus import Store
from ..dataset import Problem
from ..errors import RunError
from . import hearing, judging, originals, outfolder, scoretable, summary, twins, verdicts
from .ear import Ear
from .page import write as write_page
from .verdicts import DEFAULT_LIMITS, Limits
from .watcher import UNWATCHED, Watcher


class Cleaning(NamedTuple):
    """What came of it: summary.json's content, and the sound files that cannot be read any more."""

    summary: dict[str, Any]
    problems: tuple[Problem, ...]


def clean(
    runs: Sequence[str | Path],
    store: Store,
    out: str | Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    audio_root: str | Path | None = None,
    page: bool = True,
    watcher: Watcher = UNWATCHED,
) -> Cleaning:
    """Judges every clip of a store by some runs, or tables of scores, and writes what comes of it to `out`.

    RunError where a run, the store, the folder or the sound files are not what they should be, before any work.
    ValueError where `runs` is no list of at least one.
    """
    if isinstance(runs, str | Path) or not runs:
        raise ValueError(f"runs is a list of at least one run's folder, not {runs!r}")
    out = Path(out)
    corpus.refuse_one_class(store)
    outfolder.refuse_strange(out, store)
    opened = [open_ear(run, store) for run in runs]
    refuse_same(opened)
    sounds = originals.require_sounds(store, Path(audio_root) if audio_root else None)
    for remark in chain.from_iterable(ear.remarks for ear in opened):
        watcher.note(remark)
    with outfolder.alone(out):
        outfolder.refuse_strange(out, store)  # once more: another call may have begun in it meanwhile
        return _carried_out(opened, store, out, limits=limits, sounds=sounds, page=page, watcher=watcher)


def _carried_out(
    opened: Sequence[Ear],
    store: Store,
    out: Path,
    *,
    limits: Limits,
    sounds: Mapping[int, Path],
    page: bool,
    watcher: Watcher,
) -> Cleaning:
    """Hears, judges and writes."""
    watcher.begun("looking for duplicates", len(store.clips))
    pairs = twins.find(store, on_clip=watcher.advanced)
    judged = judging.judge(opened, store, out / "heard", watcher, alike=pairs.rows)
    cuts = originals.trimmed_seconds(store, judged.rows, sounds, out / "heard" / "trimmed.jsonl", watcher)
    passed = verdicts.verdicts(judged, store, cuts.seconds, limits)
    verdicts.write(out / "verdicts.csv", passed, store, sounds)
    verdicts.write_by_clip(out / "clips.xlsx", passed, store, sounds)
    left_out = verdicts.write_cleaned(out / "cleaned.csv", passed, store, sounds)
    # Beside cleaned.csv, which may hold a class no more: its store then has all classes, and in the same order.
    files.atomic_write(out / "vocabulary.csv", tables.vocabulary_text(store.vocabulary.names))
    twins.write(out / "duplicates.csv", pairs.pairs, store, sounds)
    content = summary.content_of(judged, store, passed, pairs, left_out)
    content["judged_by"] = [{"path": str(ear.place.resolve()), "digest": ear.digest} for ear in opened]
    if page:
        write_page(out / outfolder.PAGE, content, passed, pairs, store, sounds, watcher)
    else:
        # A page of an earlier call would show other verdicts than those beside it.
        (out / outfolder.PAGE).unlink(missing_ok=True)
    summary.write(out / "summary.json", content)
    return Cleaning(content, cuts.problems)


def open_ear(place: str | Path, store: Store) -> Ear:
    """Opens a finished run's folder, or a table of scores by another tagger. RunError, TableError."""
    if not Path(place).exists():
        raise RunError(f"{place}: no such file or folder; give a finished run's folder, or a table of scores")
    return scoretable.open_table(place, store) if Path(place).is_file() else hearing.open_run(place, store)


def refuse_same(ears: Sequence[Ear]) -> None:
    """Raises RunError where a run, or a table, is given twice."""
    seen: dict[str, Path] = {}
    for ear in ears:
        if ear.digest in seen:
            raise RunError(f"{ear.place}: the same as {seen[ear.digest]}; give each once")
        seen[ear.digest] = ear.place
