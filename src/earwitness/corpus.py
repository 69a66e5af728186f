"""A dataset's clips as prepared log-mels on disk: one memory-mapped float16 array, an index, and its moments.

A store is a folder:

    store.json     format, the features it was made with, vocabulary, mean and deviation of every mel band
    clips.csv      one row a clip: its role, labels, fold, and where its frames lie; its recordings where any are known
    log_mels.f16   all frames of all clips, (frames, mel bands) float16 dB, one clip after the other
    journal.jsonl  one line a decoded file, written after its frames: what lets a killed `prepare` go on
    bad_files.csv  every clip that was left out, and why
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import files, logmel, recipe, tables
from .dataset import Clip, Dataset, Leak, Problem, groups_by_recording, leaks
from .decoding import CUT_SHORT, SILENT
from .errors import StoreError, TableError
from .folds import FOLDS, NONE, stratified_folds
from .labels import Vocabulary
from .workers import Decoded, decoded

FORMAT = 2
ROLES = ("curated", "noisy", "test")
_FOLDS_SEED = 0
_COLUMNS = ("fname", "role", "labels", "usage", "fold", "path", "first_frame", "frames", "remark")
# A column only where a clip has one: a store that knows none is byte for byte what it was before there were recordings.
_RECORDING = "recording"
_BAD_COLUMNS = ("fname", "role", "path", "problem")


class Moments(NamedTuple):
    """Mean and standard deviation of every mel band, (bands,) float32 dB, and the role they were taken over."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    role: str


class Entry(NamedTuple):
    """A journal line: where a file's frames lie, or why it has none; `stamp` is its size and time of change.

    trimmed_samples: how many were cut off the file's beginning, at the features' rate; None where that is unknown, as
    in lines of before it was noted.
    """

    path: str
    stamp: str
    first_frame: int
    frames: int
    remark: str
    error: str
    trimmed_samples: int | None = None


@dataclass(frozen=True)
class Report:
    """What `prepare` did: files decoded now, files already there, clips in the store by role, clips left out.

    silent, cut_short: the clips that hold nothing to hear, and those whose files break off, of which the sound before
    the break is used. curated_groups: how many groups of curated clips there are that share no recording. leaks: the
    recordings that test clips share with others. noisy_again: how many clips are noisy now that the store had as
    curated. uneven_bands: in how many mel bands noisy clips hold next to nothing and curated ones do. frame_bytes,
    stale_bytes: how large the log-mels are, and how much of that is of files that are none of the clips any more, or
    have changed since.
    """

    decoded: int
    kept: int
    clips: dict[str, int]
    problems: tuple[Problem, ...]
    silent: tuple[str, ...]
    cut_short: tuple[str, ...]
    curated_groups: int
    leaks: tuple[Leak, ...]
    noisy_again: int
    uneven_bands: int
    frame_bytes: int
    stale_bytes: int


class Store:
    """A store opened for reading; `log_mel(row)` is a view of the memory map, nothing is loaded before it is used.

    `clips` are the rows of clips.csv in order, `labels` their (clips, classes) float32 multi-hot rows, `folds`
    (clips,) int64 the folds of the curated ones, -1 where a clip is in none, `remarks` what is odd about a clip.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        head = _read_head(path)
        if not head.get("complete"):
            raise StoreError(f"{path}: the store is not finished; run `earwitness prepare` again to go on")
        self.path = path
        try:
            self.features = recipe.Features.model_validate(head["features"])
            self.vocabulary = Vocabulary(tuple(head["vocabulary"]))
            moments = head["moments"]
            self.moments = Moments(
                np.array(moments["mean"], np.float32), np.array(moments["std"], np.float32), moments["role"]
            )
            self.clips, self.folds, self._spans, self.remarks = _read_index(path / "clips.csv")
            self.labels = self.vocabulary.encode_all([clip.labels for clip in self.clips])
        except (KeyError, TypeError, ValueError, TableError) as error:
            raise StoreError(f"{path}: damaged ({_brief(error)}); run `earwitness prepare` again") from None
        self._frames = _open_frames(path, self.features.mel_bands)
        if len(self._spans) and int(self._spans.sum(axis=1).max()) > len(self._frames):
            raise StoreError(f"{path}: log_mels.f16 is shorter than clips.csv says; run `earwitness prepare` again")

    def rows(self, role: str) -> NDArray[np.int64]:
        """Returns the rows of the clips with this role."""
        return np.array([row for row, clip in enumerate(self.clips) if clip.role == role], dtype=np.int64)

    def length(self, row: int) -> int:
        """Returns how many frames a clip has."""
        return int(self._spans[row, 1])

    def log_mel(self, row: int) -> NDArray[np.float16]:
        """Returns a clip's log-mel, (frames, bands) float16 dB, as a view of the file."""
        first, frames = self._spans[row]
        view: NDArray[np.float16] = self._frames[first : first + frames]
        return view

    def read_log_mel(self, row: int) -> NDArray[np.float16]:
        """Returns the same as a copy, for passes over the whole store: what is mapped counts as this process's memory,
        which so stays at that of one clip."""
        first, frames = map(int, self._spans[row])
        return _read_frames(self.path, first, frames, self.features.mel_bands)

    def trimmed_samples(self, sounds: Mapping[int, Path]) -> dict[int, int]:
        """Returns how many samples `prepare` cut off the beginnings of files, by the rows of their clips.

        sounds: where each clip's file is now. Missing are clips of which the journal does not tell, and those whose
        file has another size or time of change than it had then.
        """
        entries = {entry.path: entry for entry in self._journal()}
        found: dict[int, int] = {}
        for row, clip in enumerate(self.clips):
            entry = entries.get(str(clip.path))
            if entry is None or entry.trimmed_samples is None or row not in sounds:
                continue
            if (entry.first_frame, entry.frames) == tuple(self._spans[row]) and entry.stamp == stamp_of(sounds[row]):
                found[row] = entry.trimmed_samples
        return found

    def _journal(self) -> list[Entry]:
        """Returns the journal's lines as far as they can be trusted; none where it is not there."""
        held = (self.path / "log_mels.f16").stat().st_size // (2 * self.features.mel_bands)
        try:
            with (self.path / "journal.jsonl").open("rb") as lines:
                return files.whole_lines(lines, lambda line: _parse_entry(line, held))[0]
        except OSError:
            return []

    def fingerprint(self) -> str:
        """Returns a short digest of features, vocabulary, clips and labels: a run is bound to it."""
        content = json.dumps([self.features.model_dump(), self.vocabulary.names]).encode()
        return hashlib.blake2b(content + (self.path / "clips.csv").read_bytes(), digest_size=8).hexdigest()


def is_store(path: Path) -> bool:
    """Tells whether a folder is a store."""
    return (path / "store.json").is_file()


def prepare(
    dataset: Dataset,
    out: str | Path,
    features: recipe.Features,
    *,
    workers: int,
    on_begin: Callable[[], None] = lambda: None,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Brings a store up to date with a dataset: decodes what is not there yet, then writes index and moments.

    Files are decoded by `workers` processes (1: by this one) and written in the order of the tables, each as soon as
    it is done, so a killed call loses at most the clips under way. A file that could not be decoded is tried again by
    the next call. `on_begin()` is called once `out` is not refused, `on_clip(done, total)` after each file.
    StoreError where `out` is something else, is in use, or holds log-mels made with other features. TypeError where
    `dataset` or `features` is none, before `out` is touched.
    """
    _refuse_other_types(dataset, features)
    out = Path(out)
    _refuse_strangers(out)
    out.mkdir(parents=True, exist_ok=True)
    with files.lock(out / "lock", busy=StoreError(f"{out}: another `earwitness prepare` is writing this store")):
        _claim(out, features)
        stamps = {str(clip.path): stamp_of(clip.path) for clip in dataset.clips}
        on_begin()
        with _Journal(out, features.mel_bands) as journal:
            pending = [path for path, stamp in stamps.items() if not journal.has(path, stamp)]
            for done, (path, result) in enumerate(decoded(pending, features, workers), start=1):
                journal.add(path, stamps[path], result)
                on_clip(done, len(pending))
        return _publish(dataset, out, features, journal, pending)


class _Journal:
    """The store's frames and the journal of them, as far as both can be trusted; grows only at its end."""

    def __init__(self, out: Path, bands: int) -> None:
        self._out, self._path, self._bands = out, out / "journal.jsonl", bands
        self.entries: dict[str, Entry] = {}
        self._end = 0

    def has(self, path: str, stamp: str) -> bool:
        """Tells whether a file was decoded in the state it is in now."""
        entry = self.entries.get(path)
        return entry is not None and entry.stamp == stamp and not entry.error

    def add(self, path: str, stamp: str, result: "Decoded") -> None:
        """Appends a file's frames and then its line: a line is never there without its frames."""
        place = (self._end, len(result.log_mel))
        entry = Entry(path, stamp, *place, result.remark, result.error, result.trimmed_samples)
        known = self.entries.get(path)
        if known and entry.error and (known.stamp, known.error) == (stamp, entry.error):
            return
        self._frames_file.write(result.log_mel.tobytes())
        self._frames_file.flush()
        self._file.write(json.dumps(entry._asdict()).encode() + b"\n")
        self._file.flush()
        self.entries[path] = entry
        self._end += entry.frames

    def __enter__(self) -> "_Journal":
        self._frames_file, self._file = (self._out / "log_mels.f16").open("ab"), self._path.open("ab")
        good_bytes = {self._file: self._recover(), self._frames_file: self._end * 2 * self._bands}
        if any(file.tell() != size for file, size in good_bytes.items()):
            # Whatever is cut off is decoded anew, and until then what clips.csv says about it is not to be trusted.
            _write_head(self._out, _read_head(self._out) | {"complete": False})
            for file, size in good_bytes.items():
                file.truncate(size)
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._frames_file, self._file):
            os.fsync(file.fileno())
            file.close()

    def _recover(self) -> int:
        """Reads the journal up to the first line that is torn or promises frames the file does not hold.

        Returns the length in bytes of what was read.
        """
        held = self._frames_file.tell() // (2 * self._bands)
        with self._path.open("rb") as lines:
            found, good_bytes = files.whole_lines(lines, lambda line: _parse_entry(line, held))
        self.entries = {entry.path: entry for entry in found}
        self._end = max((entry.first_frame + entry.frames for entry in found), default=0)
        return good_bytes


def _refuse_other_types(dataset: Dataset, features: recipe.Features) -> None:
    """Raises TypeError for a path in place of what was read from it, and for a whole recipe in place of a section."""
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset is what layouts.read_dataset returns, not {dataset!r:.80}")
    if not isinstance(features, recipe.Features):
        raise TypeError(f"features is a recipe's section of that name, not a {type(features).__name__}")


def _refuse_strangers(out: Path) -> None:
    """Raises StoreError where `out` is a folder that holds something, yet no store."""
    if is_store(out) or not out.exists():
        return
    # A call that was killed at its very beginning leaves a lock, and maybe a part of store.json.
    strangers = sorted(
        entry.name for entry in out.iterdir() if entry.name != "lock" and not entry.name.startswith(".part-")
    )
    if strangers:
        raise StoreError(f"{out}: not a store, and not empty ({strangers[0]}); give another folder to --out")


def _claim(out: Path, features: recipe.Features) -> None:
    """Makes `out` a store for these features, or refuses it."""
    files.remove_parts(out)
    if not is_store(out):
        _write_head(out, {"features": features.model_dump(), "complete": False})
        return
    try:
        found = recipe.Features.model_validate(_read_head(out)["features"])
    except (KeyError, ValueError) as error:
        raise StoreError(f"{out}/store.json: damaged ({_brief(error)}); prepare into another folder") from None
    refuse_other_features(out, found, features)


def refuse_other_features(out: Path, found: recipe.Features, wanted: recipe.Features) -> None:
    """Raises StoreError naming every field in which a store's features differ from those wanted."""
    if different := recipe.differences(found, wanted, "features."):
        raise StoreError(
            f"{out}: made with other features: {'; '.join(different)}; prepare into another folder, or use its features"
        )


def refuse_one_class(store: Store) -> None:
    """Raises StoreError where a store has a single class: all its clips hold it, so absence could not be learnt."""
    if len(store.vocabulary) < 2:
        raise StoreError(
            f"{store.path}: {store.vocabulary.names[0]} is its only class, so there is nothing to tell it from; "
            "prepare it with clips of a second class as well, such as sounds that are not it"
        )


def _publish(dataset: Dataset, out: Path, features: recipe.Features, journal: _Journal, tried: Sequence[str]) -> Report:
    """Writes clips.csv, bad_files.csv and store.json from the journal, each whole or not at all, if they changed."""
    entries = {clip: journal.entries[str(clip.path)] for clip in dataset.clips}
    good = {clip: entry for clip, entry in entries.items() if not entry.error}
    broken = [Problem(clip.fname, clip.role, clip.path, entry.error) for clip, entry in entries.items() if entry.error]
    problems = (*dataset.problems, *broken)
    _write_if_new(
        out / "bad_files.csv",
        tables.csv_text(
            _BAD_COLUMNS, [(p.fname, p.role, files.text_of(p.path), p.what) for p in (*problems, *dataset.left_out)]
        ),
    )
    if not any(clip.role != "test" for clip in good):
        if not problems:
            what = "test clips alone" if good else "no clip with a label"
            raise StoreError(f"{dataset.root}: {what}; give clips to learn from as well, curated or noisy ones")
        raise StoreError(f"{out}: not one clip could be used for training; {out / 'bad_files.csv'} says why for each")
    before = _folds_before(out / "clips.csv")
    index = _index(good, folds_of(good, before))
    head = {"features": features.model_dump(), "vocabulary": list(dataset.vocabulary.names), "complete": True}
    if not _is_current(out, index, head):
        moments = _moments(good, out, features.mel_bands)
        _write_head(out, head | {"complete": False, "moments": moments})
        files.atomic_write(out / "clips.csv", index)
        _write_head(out, head | {"moments": moments})
    counts = {role: sum(clip.role == role for clip in good) for role in ROLES}
    silent, cut_short = (
        tuple(clip.fname for clip, entry in good.items() if remark in entry.remark) for remark in (SILENT, CUT_SHORT)
    )
    paths = {str(clip.path) for clip in dataset.clips}
    decoded = sum(not journal.entries[path].error for path in tried)
    groups = len(set(groups_by_recording([clip for clip in good if clip.role == "curated"])))
    noisy_again = sum(clip.role == "noisy" and clip.path in before for clip in good)
    uneven = _read_head(out)["moments"].get("uneven_bands", 0)
    held, used = (out / "log_mels.f16").stat().st_size, {entry.path: entry.frames for entry in good.values()}
    return Report(
        decoded, len(paths) - len(tried), counts, problems, silent, cut_short, groups, leaks(good), noisy_again, uneven,
        held, held - 2 * features.mel_bands * sum(used.values()),
    )  # fmt: skip


def _folds_before(index: Path) -> dict[Path, int]:
    """Returns the folds of the curated clips of a clips.csv that is there, by their files; NONE for those in none."""
    try:
        clips, folds, *_ = _read_index(index)
    except (KeyError, ValueError, TableError):  # there is none, or it is damaged and about to be made anew
        return {}
    return {
        clip.path: fold if 0 <= fold < FOLDS else NONE
        for clip, fold in zip(clips, folds.tolist(), strict=True)
        if clip.role == "curated"
    }


def _write_if_new(path: Path, text: str) -> None:
    if not _holds(path, text):
        files.atomic_write(path, text)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _is_current(out: Path, index: str, head: dict[str, Any]) -> bool:
    found = _read_head(out)
    return (
        _holds(out / "clips.csv", index)
        and bool(found.get("moments"))
        and all(found.get(key) == value for key, value in head.items())
    )


def _moments(good: dict[Clip, Entry], out: Path, bands: int) -> dict[str, Any]:
    """Returns the moments over the noisy set (docs/paper.md, row 18), over the curated set where there is none."""
    found = {
        role: logmel.running_moments(
            _read_frames(out, entry.first_frame, entry.frames, bands)
            for clip, entry in good.items() if clip.role == role
        )
        for role in ("curated", "noisy") if any(clip.role == role for clip in good)
    }  # fmt: skip
    if len(found) == 1:
        ((role, moments),) = found.items()
        return {"mean": moments.mean.tolist(), "std": moments.std.tolist(), "role": role}
    moments, uneven = found["noisy"], logmel.uneven_bands(found["noisy"], found["curated"])
    std = np.where(uneven > 0, uneven, moments.std)
    count = {"uneven_bands": int((uneven > 0).sum())} if uneven.any() else {}
    return {"mean": moments.mean.tolist(), "std": std.tolist(), "role": "noisy"} | count


def folds_of(clips: Iterable[Clip], before: Mapping[Path, int] = MappingProxyType({})) -> dict[Clip, int]:
    """Returns the fold of each curated clip: it follows from fnames, labels and recordings, whatever their order.

    Clips that share a recording are in one fold. Where there are fewer groups of such clips than folds, no clip is in
    a fold.
    before: the folds that clips have already, by their files; NONE for those in none. Clips keep them, so that runs of
    before and after are measured on the same clips; but where that would leave a fold empty, all are drawn anew.
    """
    curated = sorted((clip for clip in clips if clip.role == "curated"), key=lambda clip: clip.fname)
    groups = np.array(groups_by_recording(curated))
    if len(set(groups.tolist())) < FOLDS:
        return {}
    # Not the dataset's vocabulary, in whose order ties would be broken: these names, sorted, and no others.
    label_sets = [clip.labels for clip in curated]
    labels = Vocabulary.from_labels(label_sets).encode_all(label_sets)
    for kept in (np.array([before.get(clip.path, NONE) for clip in curated]), None):
        rng = np.random.default_rng(_FOLDS_SEED)
        fold_of = stratified_folds(rng, labels, folds=FOLDS, groups=groups, kept=kept).tolist()
        if len(set(fold_of)) == FOLDS:
            break
    return dict(zip(curated, fold_of, strict=True))


def _index(good: dict[Clip, Entry], folds: dict[Clip, int]) -> str:
    """Returns the text of clips.csv."""
    rows = [_index_row(clip, entry, folds.get(clip)) for clip, entry in good.items()]
    if not any(clip.recordings for clip in good):
        return tables.csv_text(_COLUMNS, rows)
    recordings = [",".join(clip.recordings) for clip in good]
    return tables.csv_text((*_COLUMNS, _RECORDING), [(*row, one) for row, one in zip(rows, recordings, strict=True)])


def _index_row(clip: Clip, entry: Entry, fold: int | None) -> tuple[str, ...]:
    return (
        clip.fname, clip.role, ",".join(clip.labels), clip.usage or "", "" if fold is None else str(fold),
        files.text_of(clip.path), str(entry.first_frame), str(entry.frames), entry.remark,
    )  # fmt: skip


def _read_index(path: Path) -> tuple[tuple[Clip, ...], NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Returns the clips of a clips.csv, their folds (clips,), first frames and lengths (clips, 2), and remarks."""
    rows = tables.read_rows(path, _COLUMNS)
    clips = tuple(
        Clip(
            fname=row["fname"],
            labels=_parts(row["labels"]),
            path=Path(row["path"]),
            role=row["role"],
            usage=row["usage"] or None,
            recordings=_parts(row.get(_RECORDING, "")),
        )
        for row in rows
    )
    spans = np.array([(int(row["first_frame"]), int(row["frames"])) for row in rows], dtype=np.int64)
    folds = np.array([int(row["fold"] or -1) for row in rows], dtype=np.int64)
    return clips, folds, spans.reshape(-1, 2), tuple(row["remark"] for row in rows)


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split(",") if part)


def _open_frames(path: Path, bands: int) -> NDArray[np.float16]:
    file = path / "log_mels.f16"
    frames = file.stat().st_size // (2 * bands) if file.is_file() else 0
    if not frames:
        return np.empty((0, bands), np.float16)
    return np.memmap(file, np.float16, "r", shape=(frames, bands))


def _read_frames(path: Path, first: int, frames: int, bands: int) -> NDArray[np.float16]:
    """Returns some frames of a store, (frames, bands): read, not mapped."""
    found = np.fromfile(path / "log_mels.f16", np.float16, frames * bands, offset=first * bands * 2)
    return found.reshape(-1, bands)


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads((path / "store.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        place = f"{path.with_suffix('') if path.is_file() else path}.store" if path.exists() else path
        raise StoreError(f"{path}: not a store; make one with `earwitness prepare DATASET --out {place}`") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}/store.json: not readable ({_brief(error)}); delete the store, prepare anew") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise StoreError(f"{path}: a store of another format than {FORMAT}; delete it, prepare anew")
    return head


def _write_head(path: Path, head: dict[str, Any]) -> None:
    files.atomic_write(path / "store.json", json.dumps({"format": FORMAT, **head}, indent=1) + "\n")


def _parse_entry(line: bytes, held: int) -> Entry | None:
    """Returns what a journal line says; None where it is damaged, or promises frames beyond the first `held`."""
    try:
        entry = Entry(**json.loads(line))
        good = min(entry.first_frame, entry.frames) >= 0 and entry.first_frame + entry.frames <= held
        return entry if good else None
    except (ValueError, TypeError):
        return None


def stamp_of(path: Path) -> str:
    """Returns what changes when a file changes: its size and time of change."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _brief(error: Exception) -> str:
    """Returns what an error says as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
