"""The journey of `clean`: from runs and a store to verdicts, a cleaned clip list, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..corpus import Store
from ..errors import RunError
from . import findings, hearing, judging
from .findings import DEFAULT_LIMITS, Limits
from .judging import UNWATCHED, Watcher
from .page import write as write_page


def clean(
    runs: Sequence[Path],
    store: Store,
    out: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    audio_root: Path | None = None,
    page: bool = True,
    watcher: Watcher = UNWATCHED,
) -> dict[str, Any]:
    """Judges every clip of a store by some runs and writes what comes of it to `out`; returns summary.json's content.

    RunError where a run, the folder or the sound files are not what they should be, before any work is done.
    """
    findings.refuse_strange_folder(out, store)
    opened = [hearing.open_run(run, store) for run in runs]
    refuse_same_run(opened)
    sounds = findings.require_sounds(store, audio_root)
    for run in opened:
        if not run.same_store:
            watcher.note(f"{run.folder}: learnt from another store, so none of its clips count as held out")
    judged = judging.judge(opened, store, out / "heard", watcher)
    seconds = findings.trimmed_seconds(store, judged.rows, sounds, out / "heard" / "trimmed.jsonl", watcher)
    verdicts = findings.verdicts(judged, store, seconds, limits)
    watcher.begun("looking for duplicates", len(store.clips))
    twins = findings.find_duplicates(store, on_clip=watcher.advanced)
    findings.write_verdicts(out / "verdicts.csv", verdicts, store, sounds)
    left_out = findings.write_cleaned(out / "cleaned.csv", verdicts, store, sounds)
    findings.write_duplicates(out / "duplicates.csv", twins.pairs, store, sounds)
    content = findings.summary(judged, store, verdicts, twins, left_out)
    if page:
        write_page(out / "report.html", content, verdicts, twins, store, sounds, watcher)
    findings.write_summary(out / "summary.json", content)
    return content


def refuse_same_run(runs: Sequence[hearing.Run]) -> None:
    """Raises RunError where a run is given twice."""
    seen: dict[str, Path] = {}
    for run in runs:
        if run.digest in seen:
            raise RunError(f"{run.folder}: the same run as {seen[run.digest]}; give every run once")
        seen[run.digest] = run.folder
