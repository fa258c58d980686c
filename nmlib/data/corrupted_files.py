"""Corrupted pictures on disk in the layout of ImageNet-C; made in parts, resumable."""

from __future__ import annotations

import errno
import io
import itertools
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._files import alone_in, read_json, rename_into, user_path, write_json
from nmlib.corruptions import CORRUPTIONS, Corruption, corrupt, find_corruption, frost_name
from nmlib.data.corrupted import RECORD
from nmlib.data.image_folder import ImageFolder
from nmlib.data.imagenet import CORRUPTED
from nmlib.rng import usable_device

__all__ = ["write_corrupted_folder"]

_PART_IMAGES = 64


def write_corrupted_folder(
    data: ImageFolder,
    out: str | Path,
    *,
    names: str | Corruption | Sequence[str | Corruption] = CORRUPTIONS,
    severities: int | Sequence[int] = (1, 2, 3, 4, 5),
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    jpeg: int = 85,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Write OUT/CORRUPTION/SEVERITY/CLASS/NAME.JPEG, the layout of ImageNet-C.

    Pictures are resized to 256 by bilinear interpolation, cropped to 224, corrupted with ImageNet's
    parameters and compressed with Pillow, as the published files were. Every file is complete or
    absent; a run that was interrupted makes only the files that are missing. A record beside the
    folders keeps the settings.

    Args:
        data: Validation images.
        out: Folder; made if missing.
        names: Corruptions, by name or `Corruption` records of your own.
        severities: From 1 to 5.
        seed: Of the corruptions.
        frost: Photographs for frost.
        jpeg: Quality of the files, 1 to 100.
        device: Where to corrupt.
        progress: Called with (corruption, images done, images in all) after each part.

    Returns:
        The folders of the corruptions.

    Raises:
        OSError: If the disk is full or too small; finished files stay.
        ValueError: If the folder was begun with other settings, or for bad arguments.
    """
    out = user_path(out)
    records = {c.name: c for c in map(find_corruption, _checks.as_tuple(names))}
    levels = _checks.integers("severity", severities, 1, 5)
    jpeg = _checks.integer("jpeg", jpeg, 1, 100)
    where = usable_device(device)
    base = data.prepared(CORRUPTED)
    settings: dict[str, Any] = {
        "benchmark": "imagenet",
        "seed": _checks.integer("seed", seed, 0),
        "jpeg": jpeg,
        "fingerprint": base.fingerprint,
        "source": f"{data.label}, {len(data):,} images",
        "frost": frost_name(frost),
    }
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out, "writing corrupted sets"):
        _begin(out, settings, list(records))
        for name, level in itertools.product(records, levels):

            def make(images: Tensor, first: int, name: str = name, level: int = level) -> Tensor:
                return corrupt(
                    images.to(where), records[name], level, benchmark="imagenet", seed=seed,
                    first_index=first, frost=frost,
                )  # fmt: skip

            def tell(done: int, name: str = name, place: int = levels.index(level)) -> None:
                if progress is not None:
                    progress(name, place * len(base) + done, len(levels) * len(base))

            _write_set(base, out / name / str(level), make, jpeg, tell)
    return [out / name for name in records]


def _begin(out: Path, settings: dict[str, Any], names: list[str]) -> None:
    """Write the record of a folder, or refuse to mix two sets in it."""
    path = out / RECORD
    before: dict[str, Any] = {"names": []}
    if path.exists():
        remedy = f"choose another folder, or empty {out}"
        before = read_json(path, "the record of corrupted sets", needs=["names"], remedy=remedy)
        changed = [
            f"{k} {before.get(k)!r} -> {v!r}" for k, v in settings.items() if before.get(k) != v
        ]
        if changed:
            raise ValueError(
                f"{out} was begun with other settings ({', '.join(changed)}); choose another "
                "folder or empty it"
            )
    foreign = [name for name in names if name not in before["names"] and (out / name).exists()]
    if foreign:
        raise ValueError(
            f"{out} holds {', '.join(foreign)}, but no {RECORD} that says what they were made "
            "from; choose another folder, or remove them"
        )
    write_json(path, {**settings, "names": list(dict.fromkeys([*before["names"], *names]))})


def _write_set(
    base: ImageFolder,
    folder: Path,
    make: Callable[[Tensor, int], Tensor],
    jpeg: int,
    tell: Callable[[int], None],
) -> None:
    """Write the files of one set that are missing, some pictures at a time."""
    labels = base.labels.tolist()
    targets = [
        folder / base.classes[k] / f"{Path(name).stem}.JPEG"
        for name, k in zip(base.names, labels, strict=True)
    ]
    starts = range(0, len(base), _PART_IMAGES)
    pending = [s for s in starts if not all(t.exists() for t in targets[s : s + _PART_IMAGES])]
    tell(_PART_IMAGES * (len(starts) - len(pending)))
    rows = [row for s in pending for row in range(s, min(s + _PART_IMAGES, len(base)))]
    if not rows:
        tell(len(base))
        return
    done = len(base) - len(rows)
    with ThreadPoolExecutor(base.workers, "encoding") as pool:
        # Each part begins at a multiple, so parts of what is left are parts of the whole.
        for first, (images, _) in zip(pending, base.take(rows).parts(_PART_IMAGES), strict=True):
            made = make(images, first).cpu().numpy()
            files = targets[first : first + len(made)]
            sizes = list(pool.map(_write, files, made, [jpeg] * len(made)))
            done += len(made)
            _check_room(folder, float(np.mean(sizes)) * (len(base) - done))
            tell(done)


def _write(path: Path, pixels: NDArray[np.uint8], jpeg: int) -> int:
    """Write one picture and return its size, or leave nothing."""
    from PIL import Image

    with io.BytesIO() as packed:
        Image.fromarray(pixels).save(packed, "JPEG", quality=jpeg, optimize=True)
        with rename_into(path) as temporary:
            temporary.write_bytes(packed.getbuffer())
        return packed.tell()


def _check_room(folder: Path, needed: float) -> None:
    """Raise OSError if the rest of a set, by the size of the last files, does not fit."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{folder} needs about {needed / 1e6:,.0f} MB more and has {free / 1e6:,.0f} MB free; "
            "make room and run the same again: files written before are kept",
        )
