"""The verb `clean`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import counted
from .options import ThreadsOption, require_room_for, use_threads
from .screen import Advance, bar, complain, end_with_problems, list_some, say, say_next


def clean(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|TABLE",
            help="a finished run's folder, not RUN/model; or a CSV of another tagger's scores, a column a class, of "
            "clips that it never learnt from",
        ),
    ],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="the store that the run learnt from")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where everything goes")],
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="RUN|TABLE",
            help="a run of another fold, or another tagger's scores, to judge beside it; repeatable",
        ),
    ] = None,
    audio_root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="where the sound files are now, if they were moved")
    ] = None,
    sure: Annotated[
        float, typer.Option(metavar="P", min=0.5, max=1.0, help="probability from which a verdict is sure")
    ] = 0.75,
    least: Annotated[
        float, typer.Option(metavar="P", min=0.0, max=1.0, help="list tags that were not given if at least so probable")
    ] = 0.05,
    page: Annotated[bool, typer.Option("--page/--no-page", help="write report.html")] = True,
    threads: ThreadsOption = None,
) -> None:
    """Say which labels to believe: keep, drop, add or unsure. Stopped, it goes on when run again."""
    require_room_for(out / "verdicts.csv")
    from .. import corpus

    opened = corpus.Store(store)
    use_threads(threads)
    from ..cleaning import clean, verdicts

    with Watching() as watcher:
        found = clean.clean(
            [run, *(others or [])], opened, out,
            limits=verdicts.Limits(sure, least), audio_root=audio_root, page=page, watcher=watcher,
        )  # fmt: skip
    _tell(found.summary, out, page=page)
    end_with_problems(found.problems, "sound files that cannot be read any more; their tags have no seconds")


class Watching:
    """Shows the work: a bar for each part of it, and notes as lines."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._advance: Advance | None = None

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def begun(self, what: str, total: int) -> None:
        self._end()
        self._bar = bar(what, total)
        self._advance = self._bar.__enter__()

    def advanced(self) -> None:
        if self._advance:
            self._advance()

    def note(self, text: str) -> None:
        self._end()
        say(f"note: {text}")

    def _end(self) -> None:
        if self._bar:
            self._bar.__exit__(None, None, None)
        self._bar = self._advance = None


def _tell(summary: dict[str, Any], out: Path, *, page: bool) -> None:
    """Prints what was found, in a few lines."""
    for role, counts in summary["verdicts"].items():
        if any(counts.values()):
            others = summary["unsure_not_given"][role]
            say(
                f"{role}: of the tags given keep {counts['keep']}, drop {counts['drop']}, unsure "
                f"{counts['unsure'] - others}; of others add {counts['add']}, unsure {others}"
            )
    if noisy := summary["clips"]["noisy"]:
        say(f"cleaned.csv: other labels for {summary['noisy_clips_relabelled']:,} of {counted(noisy, 'noisy clip')}")
    if summary["noisy_clips_left_without_label"]:
        left = counted(summary["noisy_clips_left_without_label"], "noisy clip")
        say(f"unlabelled in cleaned.csv: {left} with no label left")
    list_some("silent clips", tuple(summary["silent"]))
    if twins := summary["duplicates"]["across_splits"]:
        complain(
            f"{counted(twins, 'pair')} of clips may hold the same recording in two splits: {out / 'duplicates.csv'}"
        )
    also = ", report.html" if page else ""
    say(f"{out}: verdicts.csv, clips.xlsx, cleaned.csv, duplicates.csv, summary.json{also}")
    say_next("review", out)
