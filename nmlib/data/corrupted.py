"""Whole corrupted data sets on disk, in the official layout; made in parts, resumable."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._files import (
    alone_in,
    explained,
    open_array,
    read_json,
    rename_into,
    sweep,
    user_path,
    write_json,
)
from nmlib.corruptions import CORRUPTIONS, Corruption, corrupt, find_corruption, frost_name
from nmlib.rng import usable_device

__all__ = ["RECORD", "bytes_of", "write_corrupted_set"]

RECORD = "nmlib-corrupt.json"
"""The file beside the sets that records what they were made from."""

_PART_IMAGES = 1000

# The settings that determine the files; the last two only where there are labels, or frost.
_ALWAYS = ("benchmark", "seed", "severities", "images", "fingerprint", "names")
_SOMETIMES = ("labels", "frost")
_CONTENT = {"fingerprint": "content of the images", "labels": "content of the labels"}


def bytes_of(values: NDArray, what: str) -> NDArray[np.uint8]:
    """Convert integers from 0 to 255 to uint8; return uint8 unchanged.

    Raises:
        TypeError: For floats and other types.
        ValueError: For a number outside 0 ... 255.

    >>> bytes_of(np.array([0, 255]), "labels")
    array([  0, 255], dtype=uint8)
    """
    if values.dtype.kind not in "iu":
        # Floats may mean [0, 1] or [0, 255]; only the caller can say which.
        raise TypeError(
            f"{what} must be uint8 (whole numbers 0 ... 255), got {values.dtype}; for floats in "
            "[0, 1] use (255 * x).round().astype('uint8')"
        )
    if values.dtype != np.uint8 and values.size:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 255:
            raise ValueError(
                f"{what} must lie in 0 ... 255, got {low if low < 0 else high}: the files store "
                "one byte for each"
            )
    return values.astype(np.uint8, copy=False)


def _rows(images: Tensor | NDArray, first: int, last: int) -> Tensor:
    """Return a copy of some images, (n, H, W, 3) uint8."""
    part = images[first:last]
    if not isinstance(part, Tensor) or part.dtype != torch.uint8:
        array = part.cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)
        # A copy: a memory map can be read only.
        part = torch.from_numpy(np.array(bytes_of(array, "images"), order="C"))
    channels_first = part.ndim == 4 and part.shape[3] != 3 and part.shape[1] == 3
    return part.permute(0, 2, 3, 1) if channels_first else part


def _fingerprint(images: Tensor | NDArray) -> str:
    """Return 16 hexadecimal digits of the images' SHA-256, read in parts."""
    digest = hashlib.sha256()
    for first in range(0, len(images), _PART_IMAGES):
        digest.update(_rows(images, first, first + _PART_IMAGES).cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _label_bytes(labels: Any, count: int) -> NDArray[np.uint8]:
    """Return labels as (count,) uint8, or raise."""
    found = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if found.shape != (count,):
        raise ValueError(f"{count} images need labels of shape ({count},), got shape {found.shape}")
    if found.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {found.dtype}")
    return bytes_of(found, "labels")


def _header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def _complete(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether a file exists and holds exactly this shape, not a byte more or less."""
    try:
        found = open_array(path)
    except (OSError, ValueError):
        return False
    return found.shape == shape and found.dtype == np.uint8 and found.flags.c_contiguous


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot create the folder {out}: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise PermissionError(
            errno.EACCES, f"no permission to write in {out}; choose another --out"
        )


def _part(final: Path) -> Path:
    """Return the hidden name under which a file grows."""
    return final.with_name(f".{final.name}.part")


def read_record(
    folder: Path,
    *,
    needs: Sequence[str] = ("severities", "images"),
    remedy: str = "remove it",
) -> dict[str, Any]:
    """Return the record of a folder.

    Args:
        folder: Where the files are.
        needs: Keys that must be present; older versions wrote fewer.
        remedy: The remedy that an error names.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    path = folder / RECORD
    record = read_json(path, "the record of corrupted sets", needs=needs, remedy=remedy)
    levels, shape, names = record["severities"], record["images"], record.get("names", [])
    if not (
        all(isinstance(values, list) for values in (levels, shape, names)) and levels and shape
        and all(level in (1, 2, 3, 4, 5) for level in levels) and len(set(levels)) == len(levels)
        and all(type(side) is int and side > 0 for side in shape)
        and all(isinstance(name, str) for name in names)
    ):  # fmt: skip
        raise ValueError(
            f"{path} is damaged: {names!r:.80} at severities {levels!r:.80} of {shape!r:.80} "
            f"images; {remedy}"
        )
    return record


def _begin(out: Path, settings: dict[str, Any]) -> None:
    """Write the record of a folder, or refuse to mix two sets in it."""
    path = out / RECORD
    before: dict[str, Any] = {"names": []}
    if path.exists():
        remedy = f"choose another folder, or empty {out}"
        before = read_record(out, needs=_ALWAYS, remedy=remedy)
    changed = [
        f"{_CONTENT.get(k, k)} {before[k]!r} -> {settings[k]!r}"
        for k in (*_ALWAYS[:-1], *_SOMETIMES)
        if k in before and k in settings and before[k] != settings[k]
    ]
    if changed:
        raise ValueError(
            f"{out} was begun with other settings ({', '.join(changed)}); choose another folder "
            "or empty it"
        )
    new = [name for name in settings["names"] if name not in before["names"]]
    files = [out / f"{name}.npy" for name in new]
    foreign = [p.name for file in files for p in (file, _part(file)) if p.exists()]
    if foreign:
        raise ValueError(
            f"{out} holds {', '.join(foreign)}, but no {RECORD} that says what they were made "
            "from; choose another folder, or remove them"
        )
    after = {**settings, **before, **settings, "names": [*before["names"], *new]}
    if after != before:
        write_json(path, after)


def _write_labels(path: Path, table: NDArray[np.uint8]) -> None:
    if _complete(path, table.shape) and np.array_equal(open_array(path), table):
        return
    with rename_into(path) as temporary:
        temporary.write_bytes(_header(table.shape) + table.tobytes())


def _grow(
    final: Path,
    shape: tuple[int, ...],
    count: int,
    make: Callable[[int, int], NDArray[np.uint8]],
    report: Callable[[int], None],
) -> None:
    """Write a file in parts, starting where an earlier process stopped.

    Args:
        final: The file; it grows under a hidden name.
        shape: (severities * count, H, W, 3).
        count: Images per severity.
        make: (index of the severity, first image) -> the next part of the images.
        report: Called with the number of images done.
    """
    part, header = _part(final), _header(shape)
    row = int(np.prod(shape[1:]))
    part.touch()
    with part.open("r+b") as file:
        if file.read(len(header)) != header:
            file.seek(0)
            file.truncate()
            file.write(header)
        # Keep complete parts, drop one that was cut off in the middle.
        done = min((file.seek(0, os.SEEK_END) - len(header)) // row, shape[0])
        done -= done % count % _PART_IMAGES
        file.truncate(len(header) + done * row)
        file.seek(0, os.SEEK_END)
        while done < shape[0]:
            block = make(*divmod(done, count))
            with explained(final):
                file.write(block.data)
                file.flush()
            done += len(block)
            report(done)
        with explained(final):
            os.fsync(file.fileno())
    part.replace(final)


def write_corrupted_set(
    images: Tensor | NDArray,
    labels: Tensor | NDArray | Sequence[int] | None,
    out: str | Path,
    *,
    names: str | Corruption | Sequence[str | Corruption] = CORRUPTIONS,
    severities: int | Sequence[int] = (1, 2, 3, 4, 5),
    benchmark: str = "cifar",
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    source: str = "",
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Write NAME.npy for every corruption and labels.npy, in the layout of CIFAR-10-C.

    Each file stacks the severities, (len(severities) * N, H, W, 3) uint8. It grows under a hidden
    name and is renamed when complete, so an interrupted run resumes where it stopped and leaves no
    partial file under its final name. Memory holds 1,000 images at a time. A record beside the
    files keeps the settings and fingerprints of images and labels; `read_cifar_c` follows it.

    Args:
        images: (N, H, W, 3) or (N, 3, H, W), uint8 or other integers in 0 ... 255; a memory map is
            fine.
        labels: (N,) integers below 256, or None.
        out: Folder; made if missing.
        names: Corruptions, by name or `Corruption` records of your own.
        severities: Severities, in the order of the file.
        benchmark: "cifar" or "imagenet".
        seed: Seed.
        frost: Photographs for frost.
        source: Name of the images in the record.
        device: Where to compute.
        progress: Called with (name, images done, images in total) after each part.

    Returns:
        The paths of the files.

    Raises:
        OSError: If the folder cannot be written or the disk is too small; finished parts stay.
        TypeError: For images or labels that are not integers.
        ValueError: If the folder holds files of unknown origin, or a set made from other images
            or labels or with other settings; if another process writes to it; for invalid images,
            labels, names or severities. Then nothing is written.
    """
    out = user_path(out)
    records = {c.name: c for c in map(find_corruption, _checks.as_tuple(names))}
    kept, levels = tuple(records), _checks.as_tuple(severities)
    if len(np.shape(images)) != 4:
        raise ValueError(
            f"images must have shape (N, H, W, 3) or (N, 3, H, W), got {tuple(np.shape(images))}"
        )
    count = len(images)
    if not (kept and levels and count):
        missing = "images" if not count else "corruptions" if not kept else "severities"
        raise ValueError(f"there are no {missing}; give at least one")
    where = usable_device(device)

    def make(name: str, severity: int, first: int, last: int) -> Tensor:
        return corrupt(
            _rows(images, first, last).to(where),
            records[name],
            severity,
            benchmark=benchmark,  # type: ignore[arg-type]
            seed=seed,
            first_index=first,
            frost=frost,
        )

    # Try each corruption and severity on one image: bad arguments fail before the folder is made.
    for name, severity in itertools.chain(
        itertools.product(kept, levels[:1]), itertools.product(kept[:1], levels[1:])
    ):
        size = make(name, severity, 0, 1).shape[1:]
    levels = tuple(int(level) for level in levels)
    shape = (len(levels) * count, *size)
    settings: dict[str, Any] = {
        "benchmark": benchmark,
        "seed": int(seed),
        "severities": list(levels),
        "images": [count, *size],
        "fingerprint": _fingerprint(images),
        "names": list(kept),
        "source": source,
    }
    if labels is not None:
        table = _label_bytes(labels, count)
        settings["names"] += ["labels"]
        settings["labels"] = hashlib.sha256(table.tobytes()).hexdigest()[:16]
    if any(c.textures for c in records.values()):
        settings["frost"] = frost_name(frost)

    _make_folder(out)
    with alone_in(out, "writing corrupted sets"):
        sweep(out, "*")
        _begin(out, settings)
        finals = {name: out / f"{name}.npy" for name in kept}
        pending = [name for name, final in finals.items() if not _complete(final, shape)]
        _check_room(out, [finals[name] for name in pending], int(np.prod(shape)))
        if labels is not None:
            _write_labels(out / "labels.npy", np.tile(table, len(levels)))
        for name, final in finals.items():

            def report(done: int, name: str = name) -> None:
                if progress is not None:
                    progress(name, done, shape[0])

            def piece(place: int, first: int, name: str = name) -> NDArray[np.uint8]:
                last = min(first + _PART_IMAGES, count)
                return make(name, levels[place], first, last).cpu().contiguous().numpy()

            if name in pending:
                _grow(final, shape, count, piece, report)
            else:
                report(shape[0])
    return list(finals.values())


def _check_room(out: Path, pending: Sequence[Path], size: int) -> None:
    """Raise OSError if the missing files do not fit on the disk."""
    begun = 0
    for final in pending:
        with suppress(FileNotFoundError):
            begun += _part(final).stat().st_size
    needed, free = len(pending) * size - begun, shutil.disk_usage(out).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{out} has {free:,} bytes free, but the sets need {needed:,} more; make room or "
            "choose another folder",
        )
