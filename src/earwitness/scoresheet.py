"""The scores of many files in one CSV, kept as they come: a killed call goes on where it stopped.

While it is written the sheet is called NAME.partial; its first line ties it to the model, so that rows of one model
never meet those of another.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import tables
from .errors import TableError
from .tagging import Tagged, Tagger


class Named(NamedTuple):
    """A sound file and the name it has in the sheet."""

    name: str
    path: Path


def sound_files(paths: Sequence[Path]) -> list[Named]:
    """Returns all sound files among `paths` and, sorted, below the folders among them, each with its name.

    A file's name is its own where no two are the same, else its path as given. TableError for a path that does not
    exist, or where there is no sound file at all.
    """
    found = list(dict.fromkeys(file for path in paths for file in _expanded(path)))
    if not found:
        raise TableError(f"{', '.join(map(str, paths))}: no sound files there; give files, or folders that hold some")
    unique = len({path.name for path in found}) == len(found)
    return [Named(path.name if unique else path.as_posix(), path) for path in found]


def tag_to_csv(
    tagger: Tagger,
    sounds: Sequence[Named],
    out: Path,
    *,
    on_file: Callable[[Tagged], None] = lambda tagged: None,
) -> list[Tagged]:
    """Writes the scores of all files that can be read to `out`, in the order given; returns those that could not.

    The form is the challenge's: `fname`, then one column a class in vocabulary order. Rows that an earlier, killed
    call left in NAME.partial are kept and not scored again. `on_file` is called for each file scored now.
    """
    partial = out.with_name(out.name + ".partial")
    done = _rows_done(partial, _tie(tagger))
    bad: list[Tagged] = []
    left = [sound for sound in sounds if sound.name not in done]
    with partial.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for sound, tagged in zip(left, tagger.tag_many(sound.path for sound in left), strict=True):
            if tagged.scores is None:
                bad.append(tagged)
            else:
                done[sound.name] = tagged.scores
                writer.writerow([sound.name, *tagged.scores.astype(str)])
                stream.flush()
            on_file(tagged)
    good = [sound.name for sound in sounds if sound.name in done]
    scores = np.array([done[name] for name in good]).reshape(-1, len(tagger.vocabulary))
    tables.write_scores(out, good, scores, tagger.vocabulary)
    partial.unlink()
    return bad


def _expanded(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(
            file for file in path.rglob("*") if file.suffix.lower() in tables.AUDIO_SUFFIXES and file.is_file()
        )
    elif path.exists():
        yield path
    else:
        raise TableError(f"{path}: no such file or folder; give sound files, or folders that hold some")


def _tie(tagger: Tagger) -> str:
    return "# " + json.dumps({"model": tagger.digest, "classes": len(tagger.vocabulary)})


def _rows_done(partial: Path, tie: str) -> dict[str, NDArray[np.float64]]:
    """Reads the whole rows of an unfinished sheet of the same model; begins a new one where there is none."""
    text = partial.read_text("utf-8") if partial.is_file() else ""
    lines = text.splitlines(keepends=True)
    whole = [line for line in lines[1:] if line.endswith("\n")]
    if not lines or lines[0] != tie + "\n":
        whole = []
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text("".join([tie + "\n", *whole]), "utf-8")
    return {row[0]: np.array(row[1:], np.float64) for row in csv.reader(whole)}
