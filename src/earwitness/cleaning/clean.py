"""The journey of `clean`: from runs and a store to verdicts, a cleaned clip list, figures and a page."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..corpus import Store
from ..dataset import Problem
from ..errors import RunError
from . import findings, hearing, judging
from .findings import DEFAULT_LIMITS, Limits
from .judging import UNWATCHED, Watcher
from .page import write as write_page


class Cleaning(NamedTuple):
    """What came of it: summary.json's content, and the sound files that cannot be read any more."""

    summary: dict[str, Any]
    problems: tuple[Problem, ...]


def clean(
    runs: Sequence[Path],
    store: Store,
    out: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    audio_root: Path | None = None,
    page: bool = True,
    watcher: Watcher = UNWATCHED,
) -> Cleaning:
    """Judges every clip of a store by some runs and writes what comes of it to `out`.

    RunError where a run, the store, the folder or the sound files are not what they should be, before any work.
    """
    findings.refuse_one_class(store)
    findings.refuse_strange_folder(out, store)
    opened = [hearing.open_run(run, store) for run in runs]
    refuse_same_run(opened)
    sounds = findings.require_sounds(store, audio_root)
    for run in opened:
        if not run.same_store:
            watcher.note(f"{run.folder}: learnt from another store, so none of its clips count as held out")
    with _alone(out):
        findings.refuse_strange_folder(out, store)  # once more: another call may have begun in it meanwhile
        files.remove_parts(out)
        return _carried_out(opened, store, out, limits=limits, sounds=sounds, page=page, watcher=watcher)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds a folder while the block runs: files of two calls side by side would fit no single judgement."""
    (out / "heard").mkdir(parents=True, exist_ok=True)
    busy = RunError(f"{out}: another `earwitness clean` is writing there; wait for it, or give another --out")
    with files.lock(out / "heard" / "lock", busy=busy):
        yield


def _carried_out(
    opened: Sequence[hearing.Run],
    store: Store,
    out: Path,
    *,
    limits: Limits,
    sounds: Mapping[int, Path],
    page: bool,
    watcher: Watcher,
) -> Cleaning:
    """Hears, judges and writes."""
    judged = judging.judge(opened, store, out / "heard", watcher)
    cuts = findings.trimmed_seconds(store, judged.rows, sounds, out / "heard" / "trimmed.jsonl", watcher)
    verdicts = findings.verdicts(judged, store, cuts.seconds, limits)
    watcher.begun("looking for duplicates", len(store.clips))
    twins = findings.find_duplicates(store, on_clip=watcher.advanced)
    findings.write_verdicts(out / "verdicts.csv", verdicts, store, sounds)
    left_out = findings.write_cleaned(out / "cleaned.csv", verdicts, store, sounds)
    findings.write_duplicates(out / "duplicates.csv", twins.pairs, store, sounds)
    content = findings.summary(judged, store, verdicts, twins, left_out)
    if page:
        write_page(out / findings.PAGE, content, verdicts, twins, store, sounds, watcher)
    else:
        # A page of an earlier call would show other verdicts than those beside it.
        (out / findings.PAGE).unlink(missing_ok=True)
    findings.write_summary(out / "summary.json", content)
    return Cleaning(content, cuts.problems)


def refuse_same_run(runs: Sequence[hearing.Run]) -> None:
    """Raises RunError where a run is given twice."""
    seen: dict[str, Path] = {}
    for run in runs:
        if run.digest in seen:
            raise RunError(f"{run.folder}: the same run as {seen[run.digest]}; give every run once")
        seen[run.digest] = run.folder
