"""The verb `review`."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ReviewError, counted, some_of
from .options import HostOption, OpenOption, PortOption, open_browser, require_room_for
from .screen import list_some, say, say_next

if TYPE_CHECKING:
    from ..reviewing.decision import Decision
    from ..reviewing.decisions import Decisions
    from ..reviewing.folder import ReviewFolder


def review(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a review folder that `clean` made")],
    host: HostOption = "127.0.0.1",
    port: PortOption = 7870,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="the name that the page suggests; default: the user's")
    ] = None,
    audio_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="where to look for sound files that have moved")
    ] = None,
    order: Annotated[str, typer.Option(metavar="value|random|fname", help="which clips come first")] = "value",
    overlap: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="share of clips that two reviewers hear")
    ] = 0.0,
    open_: OpenOption = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="write decisions as .csv, .xlsx or Label Studio's .json, or its interface as .xml; serve nothing",
        ),
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="add decisions from such a file; serve nothing")
    ] = None,
) -> None:
    """Settle doubtful tags by ear, on a page in the browser. What is decided is kept at once."""
    require_room_for(export)
    from ..reviewing import folder as review_folder

    found = review_folder.read(folder)
    if import_:
        _import(found, import_)
    if export:
        _export(found, export)
    if not import_ and not export:
        _serve(found, host, port, reviewer or _user(), audio_root, order, overlap, open_)


def _serve(
    found: "ReviewFolder",
    host: str,
    port: int,
    reviewer: str,
    audio_root: Path | None,
    order: str,
    overlap: float,
    open_: bool | None,
) -> None:
    from dataclasses import replace

    from ..reviewing import folder as review_folder
    from ..serving import run

    run.require_extra()
    from ..serving.app import create_app
    from ..serving.desk import Desk, ordered, refuse_changed_store
    from ..serving.overview import WithOverview

    refuse_changed_store(found)
    clips, lost = review_folder.find_sounds(found.clips, audio_root)
    found = replace(found, clips=clips)
    ordered(found, order)
    decisions = _decisions(found)
    desk = Desk(found, decisions, order=order, overlap=overlap)
    listener = run.listen(host, port)
    address = run.address_of(listener)
    list_some("sound files are gone, their clips left out (--audio-root)", tuple(str(clip.path) for clip in lost))

    def announce() -> None:
        progress = desk.progress()
        say(f"{found.path}: {progress['settled']} of {progress['clips']} clips settled; review at {address}")
        say("Control-C ends it; what is decided is kept")
        open_browser(address, open_)

    try:
        run.serve(WithOverview(create_app(desk, reviewer=reviewer), desk), listener, on_ready=announce)
        say(f"{decisions.path}: decisions on {counted(desk.progress()['settled'], 'clip')}")
        say_next("prepare", "DATASET", "--out", "REVIEWED.store", "--decisions", found.path)
    finally:
        decisions.close()


def _import(found: "ReviewFolder", path: Path) -> None:
    from ..reviewing import decision_files

    brought, unknown = decision_files.read(path, found.clips, found.vocabulary)
    clips = {(clip.role, clip.fname) for clip in found.clips}
    known = [decision for decision in brought if decision.clip in clips]
    if brought and not known:
        names = some_of([one.fname for one in brought])
        raise ReviewError(
            f"{path}: of its {counted(len(brought), 'decision')} ({names}) not one is on a clip of {found.path}: "
            "give those of this review"
        )
    decisions = _decisions(found)
    try:
        standing = {(one.clip, one.reviewer): one for one in decisions.all()}
        added = decisions.add_all(known)
    finally:
        decisions.close()
    newer = ((one, standing.get((one.clip, one.reviewer))) for one in known)
    outdated = tuple(one.fname for one, now in newer if now and one.when < now.when and one.says != now.says)
    say(f"{path}: {added} decisions added, {len(known) - added - len(outdated)} known already")
    list_some("older than what the same reviewer says by now, and left aside", outdated)
    list_some(
        "decisions on no clip of this review", (*unknown, *(one.fname for one in brought if one.clip not in clips))
    )


def _export(found: "ReviewFolder", path: Path) -> None:
    from ..reviewing import decision_files
    from ..reviewing.decisions import FILE_NAME, Decisions

    made: list[Decision] = []
    # Label Studio begins with the proposals; a table would be empty.
    if path.suffix not in (".json", ".xml") or (found.path / FILE_NAME).is_file():
        # Whatever store they were made for: nothing that somebody heard is to be out of reach.
        decisions = Decisions(found.path / FILE_NAME, None)
        try:
            made = decisions.all()
        finally:
            decisions.close()
    decision_files.write(path, made, found)
    if path.suffix == ".xml":
        classes = counted(len(found.vocabulary), "class")
        say(f"{path}: Label Studio's interface for {classes}; the decisions go into a .json")
        return
    say(f"{path}: {counted(len(made), 'decision')} on {counted(len({one.clip for one in made}), 'clip')}")


def _decisions(found: "ReviewFolder") -> "Decisions":
    from ..reviewing.decisions import FILE_NAME, Decisions

    return Decisions(found.path / FILE_NAME, found.fingerprint)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, as in containers
        return ""
