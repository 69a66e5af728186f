"""Files that are either whole or not there: written beside their place under another name, then moved; JSON read."""

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

# What a disk says that is full, or may not be filled further.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a file system says that has no locks, as some over a network.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
# How the temporary files begin that become the others.
_PART = ".part-"

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends, and is deleted when it fails.

    The temporary path lies in the same folder (made if need be), because only a move within one file system
    is atomic, and keeps the suffix, because libraries choose formats by it. A link is followed, so what it
    points to is replaced. A reader, or a run that starts after a power cut, sees the old file or the new one,
    never a part. The file may be read by whoever may read the old one, or any new file, whatever the writer makes it.
    Raises OSError: as writing does, if the block wrote no file, or if `path` is a folder, a device or a pipe.
    """
    target = resolved(path)
    if target.exists() and not target.is_file():
        # Moving a file over /dev/null would replace the device.
        raise FileExistsError(f"{path} is not an ordinary file: choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_PART}{secrets.token_hex(8)}{target.suffix}")
    try:
        with naming(path):
            mode = _mode_of_new(temporary) if not target.exists() else target.stat().st_mode
            yield temporary
            _flush_to_disk(temporary)
            if temporary.stat().st_mode != mode:
                temporary.chmod(mode)
            temporary.replace(target)
    except BaseException:  # Control-C leaves no part behind either
        temporary.unlink(missing_ok=True)
        raise


def _mode_of_new(path: Path) -> int:
    """Returns the permissions that a new file gets here: what the process masks can't be asked without changing it."""
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Has an OSError that says a disk is full, or may not be filled further, name the file that found no room.

    Of blocks within each other the innermost knows that file.
    """
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None or Path(str(error.filename)).name.startswith(_PART)
        if error.errno in NO_ROOM and unnamed:
            error.filename = str(path)
        raise


def resolved(path: str | Path) -> Path:
    """Returns what a path leads to, its links followed. Raises OSError where a link leads back to itself."""
    try:
        Path(path).stat()
    except OSError as error:
        if error.errno == errno.ELOOP:  # `resolve` raises RuntimeError, or nothing, by Python's version
            raise OSError(error.errno, "a link that leads back to itself; choose another name", str(path)) from None
    return Path(path).resolve()


def without_dots(path: Path) -> Path:
    """Returns a path, absolute, without the `..` in it, so that a file has one name from wherever it is named.

    A link that is not followed by `..` stays.
    """
    if ".." not in path.parts:
        return path
    straight = Path(path.anchor)
    for part in path.parts[1:]:
        if part == "..":
            straight = Path(os.path.realpath(straight) if os.path.islink(straight) else straight).parent  # noqa: PTH114
        else:
            straight /= part
    return straight


def refuse_to_replace(path: Path, *, unless: Callable[[Path], bool], error: type[Exception]) -> None:
    """Raises `error` where a file holds anything, `unless` it is told to be what belongs there."""
    if path.is_file() and path.stat().st_size and not unless(path):
        raise error(f"{path}: it holds something else, which would be lost; give another name, or delete it")


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Make `path` hold exactly `data`; text becomes UTF-8, its line ends as they are. Raises OSError."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def lock(path: str | Path, *, busy: Exception) -> Iterator[None]:
    """Holds a lock file while the block runs; raises `busy` where another process holds it.

    The system lets go of it when the process ends, however it ends. Where there are no such locks, nothing is held.
    """
    with Path(path).open("a") as stream:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            if not _is_at(path, stream):  # whoever held it has removed it meanwhile
                raise busy
        yield


def _is_at(path: str | Path, stream: IO[str]) -> bool:
    """Tells whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def text_of(path: str | Path) -> str:
    """Returns a path as UTF-8 can hold it: bytes that are no text in any encoding become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def remove_parts(folder: Path) -> None:
    """Removes what `atomic_path` left in a folder where its process was killed. For folders that a lock is held on."""
    for part in folder.glob(f"{_PART}*"):
        part.unlink(missing_ok=True)


def whole_lines(lines: Iterable[bytes], parse: Callable[[bytes], T | None]) -> tuple[list[T], int]:
    """What the lines of a file that grows line by line come to, and how many bytes of them are good.

    It ends before the first line that is torn, or of which `parse` makes None: whatever follows was written later.
    """
    found: list[T] = []
    good_bytes = 0
    for line in lines:
        parsed = parse(line) if line.endswith(b"\n") else None
        if parsed is None:
            break
        found.append(parsed)
        good_bytes += len(line)
    return found, good_bytes


def read_json(
    path: Path, *, error: type[Exception], pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Returns what a user's JSON file holds; `pairs` makes an object of its pairs, a dict unless given.

    Raises `error`, one line, for a file that cannot be read or is no JSON in UTF-8.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=pairs)
    except OSError as trouble:
        raise error(f"{path}: cannot be read ({trouble.strerror}); check the path") from None
    except (ValueError, RecursionError) as trouble:
        raise error(f"{path}: not JSON in UTF-8 ({' '.join(str(trouble).split())}); correct it") from None


def _flush_to_disk(path: Path) -> None:
    """Wait until the contents of `path` are on the disk; a move may otherwise get there before them."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
