"""The scores of many files in one CSV, kept as they come: a killed call goes on where it stopped.

While it is written the scores are kept in NAME.partial, JSON by the line. Its first line ties it to the model, and
each line to a file in the state it was in, so that the scores of one model or file never pass for those of another.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import audio, corpus, files, soundwalk, tables
from .errors import TableError
from .tagging import Tagged, TagsFiles


class Named(NamedTuple):
    """A sound file and the name it has in the sheet."""

    name: str
    path: Path


def sound_files(paths: Sequence[Path]) -> list[Named]:
    """Returns all sound files among `paths` and, sorted, below the folders among them, each with its name.

    A file's name is its own where no two are the same, else its path as given; bytes in it that are no UTF-8 become
    escapes. Hidden files and folders below a folder are left out, and no link to a folder is followed. A folder that
    cannot be searched is among the files: tagging it says why. TableError for a path that does not exist, or where
    there is no sound file at all.
    """
    found = list(dict.fromkeys(file for path in paths for file in _expanded(path)))
    if not found:
        raise TableError(f"{', '.join(map(str, paths))}: no sound files there; give files, or folders that hold some")
    unique = len({path.name for path in found}) == len(found)
    return [Named(_text(path.name if unique else path.as_posix()), path) for path in found]


def tag_to_csv(
    tagger: TagsFiles,
    sounds: Sequence[Named],
    out: Path,
    *,
    on_file: Callable[[Tagged], None] = lambda tagged: None,
) -> list[Tagged]:
    """Writes the scores of all files that can be read to `out`, in the order given; returns those that could not.

    The form is the challenge's: `fname`, then one column a class in vocabulary order. Scores that an earlier, killed
    call left in NAME.partial are kept and not computed again; a tagger without a digest keeps none. `on_file` is
    called for each file scored now. TableError where `out` is no place for a file or the name of a sound, or another
    call is writing it.
    """
    if out.exists() and not out.is_file():
        raise TableError(f"{out}: not an ordinary file; give the name of a CSV to write")
    if out.suffix.lower() in audio.SUFFIXES:
        # `tag MODEL --out a.wav b.wav`: a recording would be lost.
        raise TableError(f"{out}: that is the name of a sound file; give the name of a CSV to write")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    states = [(sound, _identity(sound.path)) for sound in sounds]
    busy = TableError(f"{out}: another `earwitness tag` is writing this file")
    with files.naming(out), files.lock(partial, busy=busy):
        done = _begin(partial, tagger)
        left = [(sound.path, identity) for sound, identity in states if identity not in done]
        bad: list[Tagged] = []
        with partial.open("a", encoding="utf-8") as stream:
            for (_, identity), tagged in zip(left, tagger.tag_many(path for path, _ in left), strict=True):
                if tagged.scores is None:
                    bad.append(tagged)
                else:
                    done[identity] = tagged.scores
                    stream.write(json.dumps([*identity, tagged.scores.tolist()]) + "\n")
                    stream.flush()
                on_file(tagged)
        good = [(sound.name, done[identity]) for sound, identity in states if identity in done]
        scores = np.array([row for _, row in good]).reshape(-1, len(tagger.vocabulary))
        tables.write_scores(out, [name for name, _ in good], scores, tagger.vocabulary)
        partial.unlink()
    return bad


def _expanded(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(soundwalk.sounds_below(path))
    elif path.exists():
        yield path
    else:
        raise TableError(f"{path}: no such file or folder; give sound files, or folders that hold some")


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _identity(path: Path) -> tuple[str, str]:
    """Returns what tells a file, in the state it is in, from all others."""
    return str(path.absolute()), corpus.stamp_of(path)


def _begin(partial: Path, tagger: TagsFiles) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Returns the scores in an unfinished sheet of the same model, cut after its last whole line; else begins one."""
    tie = json.dumps({"earwitness": "scores under way", "model": tagger.digest}).encode() + b"\n"
    done: dict[tuple[str, str], NDArray[np.float64]] = {}
    with partial.open("rb+") as stream:
        good_bytes = 0
        if tagger.digest and stream.readline() == tie:
            found, read_bytes = files.whole_lines(stream, lambda line: _parsed(line, len(tagger.vocabulary)))
            done.update(found)
            good_bytes = len(tie) + read_bytes
        stream.truncate(good_bytes)
        if not good_bytes:
            stream.seek(0)
            stream.write(tie)
    return done


def _parsed(line: bytes, classes: int) -> tuple[tuple[str, str], NDArray[np.float64]] | None:
    """Returns the file a line tells of and its scores; None where it is damaged."""
    try:
        path, stamp, scores = json.loads(line)
        row = np.array(scores, np.float64).reshape(-1)
    except (ValueError, TypeError):
        return None
    return ((str(path), str(stamp)), row) if len(row) == classes else None
