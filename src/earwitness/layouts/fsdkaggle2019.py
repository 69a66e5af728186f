"""FSDKaggle2019, as Kaggle gave it to its competitors, and as Zenodo keeps it."""

from pathlib import Path

from .. import tables
from .listing import Listing, Row, first_existing, recognised, rows_of, sound_folder, stated_vocabulary

# For each role the names its table and its folder of sound go by; the first of each that exists is read.
_TABLES = {
    "curated": ("train_curated.csv", "train_curated_post_competition.csv"),
    "noisy": ("train_noisy.csv", "train_noisy_post_competition.csv"),
    "test": ("test_post_competition.csv",),
}
_SOUND = {
    "curated": ("train_curated", "FSDKaggle2019.audio_train_curated"),
    "noisy": ("train_noisy", "FSDKaggle2019.audio_train_noisy"),
    "test": ("test", "FSDKaggle2019.audio_test"),
}
_META = ("", "meta", "FSDKaggle2019.meta")
# A name that anything may go by: it is read beside the others alone, and only where it has labels.
_TEST = ("test.csv",)
_KNOWN_BAD = Path(__file__).with_name("fsdkaggle2019_known_bad.csv")


def find(root: Path) -> Listing | None:
    """The clips of FSDKaggle2019: tables in `root` or its folder of metadata, and a folder of sound for each."""
    metas = [root / name for name in _META]
    found = {role: first_existing(metas, names) for role, names in _TABLES.items()}
    if not any(found.values()):
        return None
    found["test"] = found["test"] or recognised(metas, _TEST, "fname", "labels")
    rows: list[Row] = []
    for role, table in found.items():
        if table:
            rows.extend(rows_of(table, role=role, folder=sound_folder(root, _SOUND[role])))
    return Listing(root, rows, stated_vocabulary(metas), _known_bad())


def _known_bad() -> dict[tuple[str, str], str]:
    """What the dataset's own README says of single clips, by role and fname."""
    rows = tables.read_rows(_KNOWN_BAD, ("role", "fname", "problem", "source"))
    return {(row["role"], row["fname"]): f"{row['problem']} ({row['source']})" for row in rows}
