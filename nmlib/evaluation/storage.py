"""Evaluations on disk: finished sets are kept, whatever interrupts the rest."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib._files import write_text
from nmlib._progress import Progress, reporter

__all__ = ["complete", "open_record", "pack", "unpack", "write_record"]


Tell = Callable[[int, int], None]


def pack(values: NDArray[np.uint8]) -> str:
    """Return bytes as text for JSON."""
    return base64.b64encode(values.tobytes()).decode("ascii")


def unpack(text: str) -> NDArray[np.uint8]:
    """Return what `pack` was given.

    >>> unpack(pack(np.array([1, 255], dtype=np.uint8))).tolist()
    [1, 255]
    """
    return np.frombuffer(base64.b64decode(text), np.uint8)


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, or raise ValueError if the file is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not {"settings", "key", "sets"} <= set(record):
            raise ValueError("it lacks settings, key or sets")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}; `nmlib evaluate --out {path.parent}` makes it"
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no evaluation or damaged ({error}); remove it") from error
    return record


def open_record(
    path: Path | None, settings: Mapping[str, Any], key: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record to add to: the stored one if it was made alike, else a new one.

    Raises:
        ValueError: If the stored one has other settings; its numbers must not be mixed with these.
    """
    # As they will be read again: tuples become lists.
    settings, key = _plain("settings", settings), _plain("key", key)
    fresh = {"settings": settings, "key": key, "sets": {}}
    if path is None or not path.exists():
        return fresh
    record = read_record(path)
    stored = {**record["settings"], **record["key"]}
    wanted = {**settings, **key}
    changed = [
        f"{name} {stored.get(name)!r} -> {wanted[name]!r}"
        for name in wanted
        if stored.get(name) != wanted[name]
    ]
    if changed:
        raise ValueError(
            f"{path} was made with other settings ({', '.join(changed)}); choose another folder "
            "or remove it"
        )
    return record


def complete(
    path: Path | None,
    record: dict[str, Any],
    names: Sequence[str],
    images: int,
    progress: Progress,
    measure: Callable[[str, Tell], dict[str, Any]],
) -> None:
    """Measure the sets that a record lacks and store each as soon as it is done.

    Args:
        path: Of the record, or None.
        record: Gets the sets.
        names: Of the sets wanted.
        images: In each set.
        progress: As for `evaluate_corruptions`.
        measure: (name of a set, `tell`) -> what is stored of it; `tell(done, images)` may be called
            on the way.
    """
    tell, close = reporter(progress, images * len(names))
    try:
        for name in names:
            if name not in record["sets"]:
                record["sets"][name] = measure(name, partial(tell, name))
                write_record(path, record)
            tell(name, images, images)
    finally:
        close()


def _plain(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back; NumPy's numbers become Python's."""

    def convert(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError

    for key, value in values.items():
        try:
            json.dumps(value, default=convert, allow_nan=False)
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}[{key!r}] = {value!r} cannot be stored; give text, a finite number or a "
                "list of them"
            ) from None
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), default=convert))
    return plain


def write_record(path: Path | None, record: Mapping[str, Any]) -> None:
    """Write a record as compact JSON under a temporary name, then rename it."""
    if path is not None:
        write_text(path, json.dumps(record, allow_nan=False) + "\n")
