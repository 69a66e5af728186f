"""FSDnoisy18k: twenty classes, a small part of the training clips checked by ear."""

from pathlib import Path

from .listing import Listing, Row, recognised, role_by, rows_of, sound_folder

_META = ("", "meta", "FSDnoisy18k.meta")
_TRAIN_SOUND = ("audio_train", "FSDnoisy18k.audio_train")
_TEST_SOUND = ("audio_test", "FSDnoisy18k.audio_test")


def find(root: Path) -> Listing | None:
    """The clips of FSDnoisy18k: those verified by ear are curated, the other training clips are noisy.

    The column noisy_small, which marks a part of the noisy clips as large as the curated set, makes no difference.
    """
    metas = [root / name for name in _META]
    train = recognised(metas, ["train.csv"], "fname", "label", "manually_verified", "noisy_small")
    test = recognised(metas, ["test.csv"], "fname", "label", "aso_id")
    rows: list[Row] = []
    if train:
        role = role_by("manually_verified", {"1": "curated", "0": "noisy"})
        rows.extend(rows_of(train, role=role, folder=sound_folder(root, _TRAIN_SOUND), labels="label"))
    if test:
        rows.extend(rows_of(test, role="test", folder=sound_folder(root, _TEST_SOUND), labels="label"))
    return Listing(root, rows) if train or test else None
