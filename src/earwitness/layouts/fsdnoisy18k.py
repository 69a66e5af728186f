"""FSDnoisy18k: twenty classes, a small part of the training clips checked by ear."""

from pathlib import Path

from .listing import Listing, recognised, rows_verified_by_ear

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
    rows = rows_verified_by_ear(root, train, test, train_sound=_TRAIN_SOUND, test_sound=_TEST_SOUND)
    return None if rows is None else Listing(root, rows)
