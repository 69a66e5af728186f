"""The folder that `clean` writes: one call's at a time, and one store's for good."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import files, journal
from ..corpus import Store
from ..errors import RunError
from ..reviewing import folder as review_folder

PAGE = "report.html"


def refuse_strange(out: Path, store: Store) -> None:
    """Raises RunError where `out` holds something else than what `clean` wrote from this very store."""
    summary_file = out / "summary.json"
    if summary_file.is_file():
        try:
            fingerprint = json.loads(summary_file.read_text("utf-8")).get("fingerprint")
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(f"{summary_file}: not readable ({error}); give another --out") from None
        if fingerprint != store.fingerprint():
            raise RunError(f"{out}: made from another store, or another state of it; give another --out")
    elif out.exists():
        ours = {"heard", PAGE, *review_folder.OWN_FILES}
        strange = sorted(
            one.name for one in out.iterdir() if one.name not in ours and not one.name.startswith(".part-")
        )
        if strange:
            raise RunError(f"{out}: holds something else ({strange[0]}); give another folder to --out")
    for kept in sorted((out / "heard").glob("*.jsonl")):
        tie = journal.tie_of(kept)
        # Stopped before summary.json was written: a journal of another store would begin anew, and its hours be lost.
        if tie and tie.split()[-1] != store.fingerprint():
            raise RunError(f"{out}: keeps what was heard in another store, or another state of it; give another --out")


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Holds a folder while the block runs: files of two calls side by side would fit no single judgement.

    What a killed call left half written is removed.
    """
    (out / "heard").mkdir(parents=True, exist_ok=True)
    busy = RunError(f"{out}: another `earwitness clean` is writing there; wait for it, or give another --out")
    with files.lock(out / "heard" / "lock", busy=busy):
        files.remove_parts(out)
        yield
