"""FSD50K: two hundred classes, checked by ear throughout."""

from pathlib import Path

from .listing import Listing, Row, recognised, rows_of, sound_folder, stated_vocabulary

_META = ("FSD50K.ground_truth", "ground_truth", "")
# Of each role, its table and the names its folder of sound goes by.
_PARTS = {
    "curated": ("dev.csv", ("FSD50K.dev_audio", "dev_audio")),
    "test": ("eval.csv", ("FSD50K.eval_audio", "eval_audio")),
}


def find(root: Path) -> Listing | None:
    """The clips of FSD50K: the development set, both of its splits, is curated; the evaluation set is the test."""
    metas = [root / name for name in _META]
    found = {role: recognised(metas, [name], "fname", "labels", "mids") for role, (name, _) in _PARTS.items()}
    if not any(found.values()):
        return None
    rows: list[Row] = []
    for role, table in found.items():
        if table:
            rows.extend(rows_of(table, role=role, folder=sound_folder(root, _PARTS[role][1])))
    return Listing(root, rows, stated_vocabulary(metas))
