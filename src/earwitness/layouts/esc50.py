"""ESC-50: two thousand clips of five seconds in fifty classes, in five folds that its authors drew."""

from pathlib import Path

from ..tables import Record
from .listing import Listing, first_existing, role_by, rows_of

_ROLE_OF_FOLD = {"1": "curated", "2": "curated", "3": "curated", "4": "curated", "5": "test"}


def find(root: Path) -> Listing | None:
    """The clips of ESC-50: folds 1 to 4 are curated, fold 5 is the test set; nothing is noisy.

    Clips of one Freesound sound are cuts of one recording.
    """
    table = first_existing([root], ["meta/esc50.csv"])
    if table is None:
        return None
    rows = rows_of(
        table, role=role_by("fold", _ROLE_OF_FOLD), folder=root / "audio",
        fname="filename", labels="category", recording=_source, needs=["fold"],
    )  # fmt: skip
    return Listing(root, list(rows))


def _source(row: Record) -> str:
    """The number of the Freesound sound, from its column, else from a name such as 1-100032-A-0.wav."""
    parts = row.cells.get("filename", "").split("-")
    return row.cells.get("src_file") or (parts[1] if len(parts) == 4 else "")
