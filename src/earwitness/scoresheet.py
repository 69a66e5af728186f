"""The scores of many files in one CSV, kept as they come: a killed call goes on where it stopped.

While it is written the scores are kept in NAME.partial, JSON by the line. Its first line ties it to the model, and
each line to a file in the state it was in, so that the scores of one model or file never pass for those of another.
"""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import audio, corpus, files, soundwalk, tables
from .errors import TableError
from .tagging import Tagged, TagsFiles

_Result = TypeVar("_Result")
_Value = TypeVar("_Value")
# What a table could be named by mistake: it would open in nothing.
_OTHER_SUFFIXES = {".xlsm", ".xls", ".ods", ".json", ".txt"}


class Named(NamedTuple):
    """A sound file and the name it has in the sheet."""

    name: str
    path: Path


def sound_files(paths: Sequence[Path]) -> list[Named]:
    """Returns all sound files among `paths` and, sorted, below the folders among them, each with its name.

    A file's name is its own where no two are the same, else its path as given; bytes in it that are no UTF-8 become
    escapes. Hidden files and folders below a folder are left out, and no link to a folder is followed. A folder that
    cannot be searched is among the files, and so is a path that leads nowhere or that nobody may look at: tagging it
    says why. TableError for a path that does not exist, or where there is no sound file at all.
    """
    found = list(dict.fromkeys(file for path in paths for file in _expanded(path)))
    if not found:
        raise TableError(f"{', '.join(map(str, paths))}: no sound files there; give files, or folders that hold some")
    unique = len({path.name for path in found}) == len(found)
    return [Named(_text(path.name if unique else path.as_posix()), path) for path in found]


class Form(NamedTuple, Generic[_Result, _Value]):
    """How what became of a file is kept: its value, None where it has none; the value as JSON; and from it, None where
    that is damaged."""

    value: Callable[[_Result], _Value | None]
    packed: Callable[[_Value], Any]
    unpacked: Callable[[Any], _Value | None]


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
    called for each file scored now. TableError where `out` is no place for a file, the name of a sound, or holds
    another table, or another call is writing it.
    """
    refuse_no_place(out, ("fname", *tagger.vocabulary.names))
    with scored(tagger, sounds, out, on_file) as found:
        tables.write_scores(out, found.names, found.scores, tagger.vocabulary)
    return found.bad


class Scored(NamedTuple):
    """Files that could be tagged, by name, with their scores (files, classes), and what became of the others."""

    names: list[str]
    scores: NDArray[np.float64]
    bad: list[Tagged]


@contextmanager
def scored(
    tagger: TagsFiles, sounds: Sequence[Named], out: Path, on_file: Callable[[Tagged], None] = lambda tagged: None
) -> Iterator[Scored]:
    """Scores all files for tables that the block writes, as `kept_as_it_comes` for `out`, the first of them."""
    classes = len(tagger.vocabulary)
    form = Form[Tagged, NDArray[np.float64]](
        value=lambda tagged: tagged.scores, packed=np.ndarray.tolist, unpacked=lambda found: _scores(found, classes)
    )
    with kept_as_it_comes(out, sounds, tagger.digest, tagger.tag_many, form, on_file) as (good, bad):
        yield Scored([name for name, _ in good], np.array([row for _, row in good]).reshape(-1, classes), bad)


@contextmanager
def kept_as_it_comes(
    out: Path,
    sounds: Sequence[Named],
    tie: str,
    work: Callable[[Iterable[Path]], Iterator[_Result]],
    form: Form[_Result, _Value],
    on_file: Callable[[_Result], None],
) -> Iterator[tuple[list[tuple[str, _Value]], list[_Result]]]:
    """Works through files for the table `out`, which the block writes; gives names with values, and what has none.

    `work` yields what becomes of files, in their order. What there is of it is kept in NAME.partial until the block
    ends, tied to `tie` and to every file's state, and not worked out again by a later call; an empty `tie` keeps
    nothing.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    states = [(sound, _identity(sound.path)) for sound in sounds]
    busy = TableError(f"{out}: another `earwitness tag` is writing this file")
    with files.naming(out), files.lock(partial, busy=busy):
        done = _begin(partial, tie, form)
        left = [(sound.path, identity) for sound, identity in states if identity not in done]
        bad: list[_Result] = []
        with partial.open("a", encoding="utf-8") as stream:
            for (_, identity), result in zip(left, work(path for path, _ in left), strict=True):
                value = form.value(result)
                if value is None:
                    bad.append(result)
                else:
                    done[identity] = value
                    stream.write(json.dumps([*identity, form.packed(value)]) + "\n")
                    stream.flush()
                on_file(result)
        yield [(sound.name, done[identity]) for sound, identity in states if identity in done], bad
        partial.unlink()


def refuse_no_place(out: Path, header: Sequence[str]) -> None:
    """Raises TableError where `out` is no file, named as what is no CSV, or holds a table of another header."""
    if out.exists() and not out.is_file():
        raise TableError(f"{out}: not an ordinary file; give the name of a CSV to write")
    if out.suffix.lower() in audio.SUFFIXES:
        # `tag MODEL --out a.wav b.wav`: a recording would be lost.
        raise TableError(f"{out}: that is the name of a sound file; give the name of a CSV to write")
    if out.suffix.lower() in _OTHER_SUFFIXES:
        raise TableError(f"{out}: no table is written as {out.suffix}; give the name of a .csv or .xlsx to write")
    tables.refuse_to_replace(out, header)


def _expanded(path: Path) -> Iterator[Path]:
    if soundwalk.is_folder(path):
        yield from sorted(soundwalk.sounds_below(path))
    elif _may_be_there(path):
        yield path
    else:
        raise TableError(f"{path}: no such file or folder; give sound files, or folders that hold some")


def _may_be_there(path: Path) -> bool:
    """Tells whether there is anything of this name, a link that leads nowhere too, or nobody may look."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG  # no file has such a name
    return True


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _identity(path: Path) -> tuple[str, str]:
    """Returns what tells a file, in the state it is in, from all others."""
    return str(path.absolute()), corpus.stamp_of(path)


def _begin(partial: Path, tie: str, form: Form[_Result, _Value]) -> dict[tuple[str, str], _Value]:
    """Returns what an unfinished table of the same tie holds, cut after its last whole line; else begins one."""
    head = json.dumps({"earwitness": "scores under way", "model": tie}).encode() + b"\n"
    done: dict[tuple[str, str], _Value] = {}
    with partial.open("rb+") as stream:
        good_bytes = 0
        if tie and stream.readline() == head:
            found, read_bytes = files.whole_lines(stream, lambda line: _parsed(line, form))
            done.update(found)
            good_bytes = len(head) + read_bytes
        stream.truncate(good_bytes)
        if not good_bytes:
            stream.seek(0)
            stream.write(head)
    return done


def _parsed(line: bytes, form: Form[_Result, _Value]) -> tuple[tuple[str, str], _Value] | None:
    """Returns the file a line tells of and its value; None where it is damaged."""
    try:
        path, stamp, kept = json.loads(line)
        value = form.unpacked(kept)
    except (ValueError, TypeError):
        return None
    return None if value is None else ((str(path), str(stamp)), value)


def _scores(kept: Any, classes: int) -> NDArray[np.float64] | None:
    row = np.array(kept, np.float64).reshape(-1)
    return row if len(row) == classes else None
