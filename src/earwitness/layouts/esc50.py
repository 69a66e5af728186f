"""ESC-50: two thousand clips of five seconds in fifty classes, in five folds that its authors drew."""

from pathlib import Path

from .listing import Listing, first_existing, role_by, rows_of

_ROLE_OF_FOLD = {"1": "curated", "2": "curated", "3": "curated", "4": "curated", "5": "test"}


def find(root: Path) -> Listing | None:
    """The clips of ESC-50: folds 1 to 4 are curated, fold 5 is the test set; nothing is noisy."""
    table = first_existing([root], ["meta/esc50.csv"])
    if table is None:
        return None
    rows = rows_of(
        table, role=role_by("fold", _ROLE_OF_FOLD), folder=root / "audio",
        fname="filename", labels="category", needs=["fold"],
    )  # fmt: skip
    return Listing(root, list(rows))
