"""Whole corrupted data sets on disk, in the official layout; made in parts, resumable."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from nmlib._files import rename_into, write_json
from nmlib.corruptions import CORRUPTIONS, corrupt

__all__ = ["write_corrupted_set"]

_SETTINGS = "nmlib-corrupt.json"
_PART_IMAGES = 1000


def _header(shape: tuple[int, ...], file: Any) -> None:
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _complete(path: Path, shape: tuple[int, ...]) -> bool:
    if not path.exists():
        return False
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return False
    return found.shape == shape and found.dtype == np.uint8


def _check_folder(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder and record what goes into it, or refuse to mix two sets."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot create the folder {out}: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise PermissionError(
            errno.EACCES, f"no permission to write in {out}; choose another --out"
        )
    record = out / _SETTINGS
    if record.exists():
        before = json.loads(record.read_text(encoding="utf-8"))
        changed = [k for k in settings if before.get(k) != settings[k]]
        if changed:
            told = ", ".join(f"{k} {before.get(k)!r} -> {settings[k]!r}" for k in changed)
            raise ValueError(
                f"{out} was begun with other settings ({told}); choose another folder or empty it"
            )
    else:
        write_json(record, settings)


def write_corrupted_set(
    images: Tensor | NDArray,
    labels: Tensor | NDArray | None,
    out: str | Path,
    *,
    names: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    benchmark: str = "cifar",
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    source: str = "",
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Write NAME.npy for every corruption and labels.npy, like CIFAR-10-C.

    Each file stacks the severities, (len(severities) * N, H, W, 3) uint8. It grows under a hidden
    name and gets its own when complete, so an interrupted run goes on where it stopped and leaves
    nothing half-written behind. Nothing is kept in memory but 1,000 images.

    Args:
        images: (N, H, W, 3) uint8; a memory map is fine.
        labels: (N,) integers below 256, or None.
        out: Folder; made if missing.
        names: Corruptions.
        severities: Severities, in the order of the file.
        benchmark: "cifar" or "imagenet".
        seed: Seed.
        frost: Photographs for frost.
        source: What the images are, for the record (a fingerprint).
        device: Where to compute.
        progress: Called with (name, images done, images in all) after each part.

    Returns:
        The paths of the files.

    Raises:
        OSError: If the folder cannot be written or the disk is too small; what is done stays.
        ValueError: If the folder holds a set made with other settings.
    """
    out = Path(out)
    count = len(images)
    shape = (len(severities) * count, *images.shape[1:])
    _check_folder(
        out,
        {
            "benchmark": benchmark,
            "seed": seed,
            "severities": list(severities),
            "images": list(images.shape),
            "source": source,
            "frost": "drawn textures" if frost is None else "photographs",
        },
    )
    row = int(np.prod(images.shape[1:]))
    pending = [n for n in names if not _complete(out / f"{n}.npy", shape)]
    begun = sum(p.stat().st_size for p in (out / f".{n}.npy.part" for n in pending) if p.exists())
    needed = len(pending) * shape[0] * row - begun
    free = shutil.disk_usage(out).free
    if needed > free:
        raise OSError(
            errno.ENOSPC, f"{out} has {free:,} bytes free, the sets still need {needed:,}"
        )
    if labels is not None:
        table = np.tile(np.asarray(labels), len(severities)).astype(np.uint8)
        if not _complete(out / "labels.npy", table.shape):
            with rename_into(out / "labels.npy") as temporary, temporary.open("wb") as file:
                np.save(file, table)
    for name in names:
        final = out / f"{name}.npy"
        if name not in pending:
            if progress is not None:
                progress(name, shape[0], shape[0])
            continue
        part = out / f".{name}.npy.part"
        with part.open("ab") as file:
            if file.tell() == 0:
                _header(shape, file)
                file.flush()
            with part.open("rb") as start:
                npy.read_magic(start)
                npy.read_array_header_1_0(start)
                header = start.tell()
            # A part that was cut off in the middle is dropped, whole parts are kept.
            done = (file.tell() - header) // row
            done -= done % count % _PART_IMAGES
            file.truncate(header + done * row)
            file.seek(0, os.SEEK_END)
            while done < shape[0]:
                level, first = divmod(done, count)
                block = images[first : min(first + _PART_IMAGES, count)]
                if not isinstance(block, Tensor):
                    block = torch.from_numpy(np.array(block))
                corrupted = corrupt(
                    block.to(device),
                    name,
                    severities[level],
                    benchmark=benchmark,  # type: ignore[arg-type]
                    seed=seed,
                    first_index=first,
                    frost=frost,
                )
                file.write(corrupted.cpu().contiguous().numpy().data)
                file.flush()
                done += len(block)
                if progress is not None:
                    progress(name, done, shape[0])
            os.fsync(file.fileno())
        part.replace(final)
    return [out / f"{n}.npy" for n in names]
