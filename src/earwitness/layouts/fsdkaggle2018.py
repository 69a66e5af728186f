"""FSDKaggle2018, as Kaggle gave it and as Zenodo keeps it: one training table, a part of it checked by ear."""

from pathlib import Path

from .listing import Listing, recognised, rows_verified_by_ear

_META = ("", "meta", "FSDKaggle2018.meta")
_TRAIN = ("train.csv", "train_post_competition.csv")
_TEST = ("test_post_competition_scoring_clips.csv",)
_TRAIN_SOUND = ("audio_train", "FSDKaggle2018.audio_train")
_TEST_SOUND = ("audio_test", "FSDKaggle2018.audio_test")


def find(root: Path) -> Listing | None:
    """The clips of FSDKaggle2018: those verified by ear are curated, the other training clips are noisy.

    Its sample_submission.csv is no table of classes, so the classes are the labels that occur.
    """
    metas = [root / name for name in _META]
    train = recognised(metas, _TRAIN, "fname", "label", "manually_verified")
    test = recognised(metas, _TEST, "fname", "label")
    rows = rows_verified_by_ear(root, train, test, train_sound=_TRAIN_SOUND, test_sound=_TEST_SOUND)
    return None if rows is None else Listing(root, rows)
