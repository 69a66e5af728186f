"""UrbanSound8K: clips of up to four seconds in ten classes, in ten folds that its authors drew."""

from pathlib import Path

from .listing import Listing, first_existing, role_by, rows_of

_ROLE_OF_FOLD = {str(fold): "curated" for fold in range(1, 10)} | {"10": "test"}


def find(root: Path) -> Listing | None:
    """The clips of UrbanSound8K: folds 1 to 9 are curated, fold 10 is the test set; nothing is noisy.

    Clips of one Freesound sound are cuts of one recording.
    """
    table = first_existing([root], ["metadata/UrbanSound8K.csv"])
    if table is None:
        return None
    rows = rows_of(
        table, role=role_by("fold", _ROLE_OF_FOLD), folder=lambda row: root / "audio" / f"fold{row.cells['fold']}",
        fname="slice_file_name", labels="class", recording="fsID", needs=["fold"],
    )  # fmt: skip
    return Listing(root, list(rows))
