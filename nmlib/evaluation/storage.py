"""Evaluations on disk: finished sets are kept, whatever interrupts the rest."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib._files import alone_in, file_digest, read_json, sweep, write_text
from nmlib._progress import Progress, reporter
from nmlib.provenance import combined

__all__ = [
    "complete",
    "made",
    "note_file",
    "opened",
    "pack",
    "shares",
    "stamp",
    "unpack",
    "write_record",
]

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


Parse = Callable[[str, dict[str, Any]], object]
"""(name of a set, what is stored of it) -> the set; raises ValueError for impossible numbers"""


def read_record(path: Path, parse: Parse) -> dict[str, Any]:
    """Read a record whose sets `parse` understands.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is damaged.
    """
    try:
        record = read_json(path, "an evaluation", needs=("settings", "key", "sets"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}; `nmlib evaluate --out {path.parent}` makes it"
        ) from None
    for name in ("settings", "key", "sets"):
        if not isinstance(record[name], dict):
            raise ValueError(f"{path} is not an evaluation: {name} is no object; remove it")
    for name, stored in record["sets"].items():
        try:
            parse(name, stored)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            kind = type(error).__name__
            raise ValueError(f"{path}: {name} is damaged ({kind}: {error}); remove it") from error
    # Records of older versions have one provenance, that of the call which wrote them last.
    past = record.pop("provenance", None)
    record.setdefault("made", [past] if past else [])
    if not _consistent(record):
        raise ValueError(f"{path} is damaged: it does not say what made its sets; remove it")
    return record


def _consistent(record: Mapping[str, Any]) -> bool:
    """Tell whether a record says of its sets by what, and of which files, they were made."""
    made, files = record["made"], record["settings"].get("files", {})
    if not isinstance(made, list) or not all(isinstance(one, dict) for one in made):
        return False
    # A set without a number is of a version that kept one provenance for all.
    numbers = [stored.get("made", 0) for stored in record["sets"].values()]
    places = [*numbers, record.get("clean", 0)]
    return isinstance(files, dict) and all(
        type(place) is int and 0 <= place < max(len(made), 1) for place in places
    )


def shares(name: str, values: Any, most: float = 1) -> NDArray[np.float64]:
    """Return stored numbers, or raise ValueError if one lies outside 0 ... `most`.

    >>> shares("accuracy", [0.5, 7])
    Traceback (most recent call last):
    ValueError: accuracy 7.0 lies outside 0 ... 1
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is {values!r:.80} ({error})") from error
    for value in found.flat:
        if not 0 <= value <= most:  # NaN compares as False
            raise ValueError(f"{name} {value} lies outside 0 ... {most:g}")
    return found


@contextmanager
def opened(
    path: Path | None,
    settings: Mapping[str, Any],
    key: Mapping[str, Any],
    parse: Parse,
    renewed: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Iterator[dict[str, Any]]:
    """Yield the record to add to: the stored one if it was made alike, else a new one.

    No other process writes to the same record meanwhile.

    Args:
        path: Of the record, or None.
        settings: What decides the numbers.
        key: What rows are keyed by.
        parse: As for `read_record`.
        renewed: Takes from a stored record what an older version of this package made otherwise.

    Raises:
        ValueError: If the stored one has other settings, whose numbers must not be mixed with
            these, or if another process adds to it.
    """
    # As they will be read again: tuples become lists.
    settings, key = _checks.storable("settings", settings), _checks.storable("key", key)
    if path is None:
        yield {"settings": settings, "key": key, "made": [], "sets": {}}
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(path.parent, "evaluating", f".{path.stem}.lock"):
        sweep(path.parent, path.name)
        yield _stored(path, settings, key, parse, renewed)


def _stored(
    path: Path,
    settings: dict[str, Any],
    key: dict[str, Any],
    parse: Parse,
    renewed: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    if not path.exists():
        return {"settings": settings, "key": key, "made": [], "sets": {}}
    record = renewed(read_record(path, parse))
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


def note_file(record: dict[str, Any], file: Path, md5: str = "") -> None:
    """Note the checksum of a file that sets are measured on.

    Args:
        record: Gets it, among the settings.
        file: The file.
        md5: Its checksum, if it is known.

    Raises:
        ValueError: If sets of the record were measured on other content of that name.
    """
    found = md5 or file_digest(file, "md5")
    before = record["settings"].setdefault("files", {}).setdefault(file.stem, found)
    if before != found:
        raise ValueError(
            f"{file} has changed since it was evaluated (MD5 {before} -> {found}); choose another "
            "folder for the results, or remove them"
        )


def stamp(record: dict[str, Any], provenance: Mapping[str, Any]) -> int:
    """Return the number of a provenance in a record, which gets it if it is new."""
    if provenance not in record["made"]:
        record["made"].append(dict(provenance))
    return record["made"].index(provenance)


def made(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the provenance of some sets of a record, and of clean images that belong to it."""
    # A set without a number is of a version that kept one provenance for all.
    numbers = [record["sets"][name].get("made", 0) for name in names]
    if "clean" in record:
        numbers.insert(0, record["clean"])
    return combined(record["made"][n] for n in dict.fromkeys(numbers) if n < len(record["made"]))


def complete(
    path: Path | None,
    record: dict[str, Any],
    names: Sequence[str],
    images: int,
    progress: Progress,
    provenance: Mapping[str, Any],
    measure: Callable[[str, Tell], dict[str, Any]],
) -> None:
    """Measure the sets that a record lacks and store each as soon as it is done.

    Args:
        path: Of the record, or None.
        record: Gets the sets.
        names: Of the sets wanted.
        images: In each set.
        progress: As for `evaluate_corruptions`.
        provenance: Of the sets that are measured now.
        measure: (name of a set, `tell`) -> what is stored of it; `tell(done, images)` may be called
            on the way.
    """
    tell, close = reporter(progress, images * len(names))
    try:
        for name in names:
            if name not in record["sets"]:
                found = measure(name, partial(tell, name))
                record["sets"][name] = found | {"made": stamp(record, provenance)}
                write_record(path, record)
            tell(name, images, images)
    finally:
        close()


def write_record(path: Path | None, record: Mapping[str, Any]) -> None:
    """Write a record as compact JSON under a temporary name, then rename it."""
    if path is not None:
        write_text(path, json.dumps(record, allow_nan=False) + "\n")
