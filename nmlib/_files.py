"""Files: user paths, atomic writes, locks, and readers whose errors say what is wrong."""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.lib.format import open_memmap
from numpy.typing import NDArray

__all__ = [
    "NO_SPACE",
    "alone_in",
    "explained",
    "file_digest",
    "file_name",
    "open_array",
    "path_option",
    "read_json",
    "rename_into",
    "sweep",
    "user_path",
    "write_json",
    "write_text",
]

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` and `~name` replaced by home folders.

    Raises:
        TypeError: If it is not a path.
        ValueError: If it is empty, or names an unknown home folder.

    >>> user_path("~").is_absolute(), user_path("runs/a")
    (True, PosixPath('runs/a'))
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise TypeError(f"a path must be a string or a pathlib.Path, got {path!r}") from None
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is not a path; give the name of a file or folder")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{text!r} names a home folder that does not exist here; write the path in full, or "
            f"./{text} for a folder of that name"
        ) from None


def path_option(text: str) -> Path:
    """Return `user_path(text)`, with the error that argparse reports to the user."""
    try:
        return user_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def file_name(what: str, value: str) -> str:
    """Turn a text into a file name: path separators and special characters become "-".

    Raises:
        ValueError: If it has no letter and no digit, or is longer than 100 bytes.

    >>> file_name("label", "photographs/mine: 2"), file_name("label", "../b")
    ('photographs-mine- 2', '-b')
    """
    name = re.sub(r"[^\w .()+-]", "-", str(value)).strip(". ")
    if not re.search(r"[^\W_]", name):
        raise ValueError(f"{what} {value!r} cannot name a folder; give it a letter or a digit")
    if len(os.fsencode(name)) > 100:
        raise ValueError(f"{what} {name[:20]!r}... is too long for a folder; use at most 100 bytes")
    return name


@contextmanager
def rename_into(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds.

    An interrupted block never leaves a half-written file under the final name. The file gets the
    permissions that the umask allows.

    Raises:
        OSError: If it cannot be written; on a full disk the message names the file.
    """
    path = user_path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            temporary.replace(path)
        except OSError as error:
            if error.filename is None or Path(error.filename) != temporary:
                raise
            # Users know the file, not its temporary name.
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            with suppress(OSError):  # it would hide the error of the block
                temporary.unlink(missing_ok=True)


def sweep(folder: Path, names: str) -> None:
    """Remove half-written files that killed processes left; `names` is a glob pattern.

    Call it inside `alone_in(folder, ...)`.
    """
    for left in folder.glob(f".{names}.*.tmp"):
        left.unlink(missing_ok=True)


@contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the file and a remedy to the error of a full disk."""
    try:
        yield
    except OSError as error:
        # On a full disk NumPy reports only the number of items it wrote.
        short = error.errno is None and re.search(r"requested and \d+ written", str(error))
        if error.errno not in NO_SPACE and not short:
            raise
        raise OSError(
            error.errno or errno.ENOSPC,
            "no space is left to write it. Free some and run the same again; files written before "
            "are kept",
            str(path),
        ) from error


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file under a temporary name, then rename it; return its path.

    Raises:
        OSError: If it cannot be written; an existing file stays unchanged.
    """
    path = user_path(path)
    with rename_into(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: str | os.PathLike[str], record: Any) -> Path:
    """Write a record as indented JSON under a temporary name, then rename it."""
    return write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def _no_number(text: str) -> float:
    raise ValueError(f"it holds {text}, which is not a JSON number")


def read_json(
    path: str | os.PathLike[str], what: str, *, needs: Collection[str] = (), remedy: str = ""
) -> dict[str, Any]:
    """Return the JSON object in a file.

    Args:
        path: The file.
        what: The file's role, for the message: "a run", "an evaluation".
        needs: Names that the object must have.
        remedy: For the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged, not an object, or lacks a name. The message is one
            line.
    """
    path = user_path(path)
    remedy = remedy or "remove it"
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not path.stat().st_size else str(error).partition("\n")[0]
        raise ValueError(f"{path} is not {what} or is damaged ({reason}); {remedy}") from error
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise ValueError(f"{path} is not {what}: it holds a JSON {kind}, not an object; {remedy}")
    missing = [name for name in needs if name not in record]
    if missing:
        raise ValueError(f"{path} is not {what}: it lacks {', '.join(missing)}; {remedy}")
    return record


@contextmanager
def alone_in(
    folder: Path, doing: str, lock: str = ".lock", *, wait: bool = False
) -> Iterator[None]:
    """Lock a folder while writing to it, so that no second process writes there.

    The lock file is never removed: otherwise a third process could lock a new file while a second
    one waits for the old.

    Args:
        folder: An existing folder.
        doing: The activity, for the other process's message: "training", "writing corrupted sets".
        lock: Name of the lock file; writers of different files use different locks.
        wait: Wait for the other process instead of raising.

    Raises:
        ValueError: If another process has locked the folder; the message names the process.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = folder / lock
    try:
        with explained(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        # A read-only file can be locked too, and so can a read-only folder.
        handle = os.open(path if path.exists() else folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = ""
            with suppress(OSError):  # a folder has no content to read
                holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            raise ValueError(
                f"another process is {doing} in {folder}{f' ({holder})' if holder else ''}; wait "
                "for it or use another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        with suppress(OSError):  # opened read-only, or a full disk
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def file_digest(path: Path, kind: str) -> str:
    """Return the hexadecimal checksum of a file; `kind` is "md5" or "sha256"."""
    # Systems that forbid MD5 for security allow it for checksums.
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest).hexdigest()


# First bytes of files that are often mistaken for .npy files.
_BEGINNINGS = {
    b"PK": "a .npz or zip archive: save one array of it with np.save and give that",
    b"\x1f\x8b": "compressed: unpack it first",
    b"\x00\x05\x16\x07": "macOS metadata: remove it, and give the file without '._' in its name",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file with `git lfs pull`",
}


def open_array(path: str | os.PathLike[str], remedy: str = "remove it") -> NDArray:
    """Open the array of a .npy file as a read-only memory map; nothing is unpickled.

    Args:
        path: The file.
        remedy: For the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a .npy file, its length does not fit its header, or it holds
            Python objects. The message is one line.
    """
    path = user_path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a .npy file")
    with path.open("rb") as file:
        begin = file.read(24)
        for mark, kind in _BEGINNINGS.items():
            if begin.startswith(mark):
                raise ValueError(f"{path} is {kind}")
    if not begin:
        raise ValueError(f"{path} is empty; {remedy}")
    try:
        array = open_memmap(path, mode="r")
    except Exception as error:  # NumPy raises many types on damaged headers
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is truncated or not an array of numbers ({reason}); {remedy}"
        ) from error
    if array.dtype.names:
        raise ValueError(f"{path} holds records; save an array of numbers")
    found, expected = path.stat().st_size, array.offset + array.nbytes
    if found != expected:
        raise ValueError(
            f"{path} is too long: it has {found:,} bytes, an array of shape {array.shape} needs "
            f"{expected:,}; {remedy}"
        )
    return array
