"""Everything a user's input can cause, as one tree.

    EarwitnessError
    ├── AudioError         a sound file that cannot be read, or holds nothing to hear
    │   └── MissingExtra   it could be read if an optional part were installed
    ├── TableError         a table (clip list, scores, vocabulary) that is not what it should be
    ├── RecipeError        unknown or out-of-range settings; lists all of them at once
    ├── StoreError         a store of prepared clips that is missing, damaged, or made otherwise
    ├── RunError           a training run that cannot be started, resumed or opened
    │   └── Diverged       the loss stopped being a number
    ├── DownloadError      a dataset that cannot be fetched, or does not arrive whole
    ├── ReviewError        a review folder or its decisions that cannot be used now, or a page that cannot be served
    └── ModelError         a model folder that is missing, damaged, or of another kind

Every message is one line that says what is wrong, where (file, row, field), and what to do about it.
The command line prints that line and exits with status 2; a library user catches `EarwitnessError`.
"""

from collections.abc import Sequence


class EarwitnessError(Exception):
    """Base of all errors that a user's input can cause."""


class AudioError(EarwitnessError):
    """A sound file that cannot be read, or that holds nothing to hear."""


class MissingExtra(AudioError):
    """Sound that an optional part of earwitness could take, were it installed."""


class TableError(EarwitnessError):
    """A table that cannot be read, or whose rows contradict each other or the vocabulary."""


class RecipeError(EarwitnessError):
    """Unknown, mistyped or out-of-range settings; the message lists all of them."""


class StoreError(EarwitnessError):
    """A store that is missing, damaged, incomplete, or made with other settings."""


class RunError(EarwitnessError):
    """A training run that cannot be started, resumed or opened."""


class Diverged(RunError):
    """The loss became infinite or not a number; the last good checkpoint is kept."""


class DownloadError(EarwitnessError):
    """A dataset that cannot be fetched, or does not arrive whole."""


class ReviewError(EarwitnessError):
    """A review folder or its decisions that cannot be used now, or a page that cannot be served."""


class ModelError(EarwitnessError):
    """A model folder that is missing, damaged, or of another kind than asked for."""


def some_of(names: Sequence[str], most: int = 3) -> str:
    """Returns the first names, and how many more there are: "a, b, c and 4 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless the number is one: "1 class", "2 classes"."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
