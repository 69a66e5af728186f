"""The verb `prepare`."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import counted, some_of
from .options import (
    AudioRootOption,
    JsonOption,
    RecipeOption,
    SetOption,
    decoding_processes,
    require_room_for_figures,
    write_json,
)
from .screen import bar, end_with_problems, list_some, say, say_next, size

if TYPE_CHECKING:
    from ..corpus import Report
    from ..dataset import Dataset, Leak
    from ..reviewing.decision import Decision

# Names that look alike are told a line a group, as long as there are not more than these.
_MOST_ALIKE = 5


def prepare(
    dataset: Annotated[
        Path,
        typer.Argument(metavar="DATASET", help="a dataset's folder, or a table: fname,labels[,split][,recording]"),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="STORE", help="the store's folder; made, brought up to date, or gone on with"),
    ],
    recipe: RecipeOption = None,
    settings: SetOption = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="decoding processes; default: one for each core")
    ] = None,
    audio_root: AudioRootOption = None,
    corrections: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help='JSON of fname: labels, or "remove"; repeatable, later files win'),
    ] = None,
    decisions: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE|DIR", help="what reviewers decided: their clips become curated; repeatable"),
    ] = None,
    leave_out_known_bad: Annotated[
        bool, typer.Option("--leave-out-known-bad", help="leave out clips that the dataset's authors name as wrong")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Decode a dataset's clips into a store of log-mels. Stopped anywhere, it goes on when run again."""
    require_room_for_figures(json_file, inputs=[dataset, *(corrections or []), *(decisions or [])], made=out)
    from .. import corpus, layouts
    from .. import recipe as recipes

    features = recipes.load(recipe, settings or []).features
    read = layouts.read_dataset(dataset, audio_root=audio_root)
    found, changes = _as_wished(read, corrections or [], decisions or [], leave_out_known_bad)
    started = time.perf_counter()
    with bar("decoding") as advance:
        report = corpus.prepare(
            found, out, features, workers=workers or decoding_processes(),
            on_begin=lambda: _say_how_it_was_read(found, dataset), on_clip=advance,
        )  # fmt: skip
    seconds = time.perf_counter() - started
    _say_what_came_of_it(report, out, seconds)
    say_next("train", out, "--out", "RUN", "--recipe", "laptop")
    write_json(
        json_file,
        {
            "clips": report.clips, "decoded": report.decoded, "kept": report.kept, "seconds": seconds,
            "left_out": len(report.problems), "silent": len(report.silent),
            "cut_short": len(report.cut_short), "curated_groups": report.curated_groups,
            "recordings_in_two_roles": len(report.leaks), **changes,
        },
    )  # fmt: skip
    end_with_problems(report.problems, "clips left out", listed_in=out / "bad_files.csv")


def _say_how_it_was_read(found: "Dataset", dataset: Path) -> None:
    """Says as what a dataset was read, and what in it may not have been meant so."""
    names = found.vocabulary.names
    say(f"{dataset}: read as {found.layout}; {counted(len(names), 'class')}: {some_of(names)}")
    for remark in found.remarks:
        say(f"note: {remark}")
    if joined := [name for name in names if "|" in name]:
        say(f"note: {some_of(joined)}: one class each; where a | parts two labels, write a comma in its place")
    alike = found.vocabulary.alike()
    for group in alike[:_MOST_ALIKE]:
        say(f"note: {' and '.join(group)} are classes of their own; if they are meant as one, write them alike")
    if len(alike) > _MOST_ALIKE:
        say(f"note: so are {len(alike) - _MOST_ALIKE} more groups of names that look alike")
    times = Counter(label for clip in found.clips if clip.role != "test" for label in clip.labels)
    rare = tuple(name for name in names if times[name] < 2)
    list_some(f"{'class has' if len(rare) == 1 else 'classes have'} one clip to learn from, or none", rare)


def _say_what_came_of_it(report: "Report", out: Path, seconds: float) -> None:
    counts = ", ".join(f"{count} {role}" for role, count in report.clips.items() if count)
    rate = f" at {report.decoded / seconds:.0f} a second" if report.decoded else ""
    say(f"{out}: {counts}; {counted(report.decoded, 'file')} decoded{rate}, {report.kept} already there")
    if not report.clips["noisy"]:
        say(
            "no noisy clips, so every label counts as checked, and log-mels are normalised by the curated set: "
            "mark those as noisy whose labels nobody checked"
        )
    if not report.clips["curated"]:
        say("no curated clips, so none to measure by: mark some whose labels were checked by ear as curated")
    if report.curated_groups < report.clips["curated"]:
        say(
            f"curated clips of one recording are kept in one fold: {report.clips['curated']} clips in "
            f"{counted(report.curated_groups, 'group')}"
        )
    if report.noisy_again:
        say(
            f"{report.noisy_again} clips are noisy again that were curated in this store: where reviewers had settled "
            "them, give their --decisions each time"
        )
    if report.uneven_bands:
        say(
            f"in {counted(report.uneven_bands, 'mel band')} noisy clips hold next to nothing and curated ones do, as "
            "where they were recorded or encoded otherwise; those bands are scaled by the curated clips"
        )
    if 2 * report.stale_bytes > report.frame_bytes:
        say(
            f"{size(report.stale_bytes)} of the store's {size(report.frame_bytes)} are of files that are not among its "
            "clips any more, or have changed; prepare into a new folder to have that room back"
        )
    _warn_of(report.leaks)
    list_some("silent throughout, kept whole", report.silent)
    list_some("breaking off, the sound before is used", report.cut_short)


def _warn_of(leaks: "Sequence[Leak]") -> None:
    """Says how many recordings the test set shares with clips to learn from, and names one."""
    if leaks:
        recording, learnt, test = leaks[0]
        say(
            f"recordings with clips both in the test set and among those to learn from: {len(leaks)}, so scores on the "
            f"test set will flatter; one is {recording}: {learnt.fname} ({learnt.role}) and {test.fname} (test)"
        )


def _as_wished(
    found: "Dataset", corrections: list[Path], decisions: list[Path], leave_out_known_bad: bool
) -> "tuple[Dataset, dict[str, int]]":
    """Returns a dataset as the user wants it, and the figures of what that changed; says so on the way."""
    from ..corrections import correct

    corrected = correct(found, corrections, [(path, _decided(path, found)) for path in decisions])
    if corrections:
        say(f"corrections: {corrected.relabelled} clips have other labels, {corrected.removed} are left out")
    if decisions:
        say(
            f"decisions: {corrected.reviewed} clips are curated with their reviewers' labels, "
            f"{corrected.nothing_heard} that hold none of the classes are left out"
        )
    list_some("corrections and decisions for names that no clip of the dataset has", corrected.unknown)
    found = corrected.dataset
    known_bad = len(found.known_bad)
    if known_bad and leave_out_known_bad:
        found = found.without_known_bad()
        say(f"{known_bad} clips that the dataset's authors name as wrong are left out")
    elif known_bad:
        say(f"{known_bad} clips are named as wrong by the dataset's authors; --leave-out-known-bad leaves them out")
    figures = {"known_bad": known_bad, "relabelled": corrected.relabelled, "removed": corrected.removed}
    figures |= {"reviewed": corrected.reviewed, "nothing_heard": corrected.nothing_heard}
    return found, figures | {"unknown_fnames": len(corrected.unknown)}


def _decided(path: Path, found: "Dataset") -> "list[Decision]":
    """Returns the decisions in a file or a review folder; says which tasks of Label Studio are no clip."""
    from ..dataset import UNLABELLED
    from ..reviewing import decision_files
    from ..reviewing.folder import Clip

    clips = [
        # What `clean` leaves without a label was a noisy clip.
        Clip(clip.fname, "noisy" if clip.role == UNLABELLED else clip.role, clip.path, ())
        for clip in found.clips + found.unlabelled
        if clip.role != "test"
    ]
    decisions, unknown = decision_files.read(path, clips, found.vocabulary)
    list_some(f"tasks of {path} that are no clip of the dataset", tuple(unknown))
    return decisions
