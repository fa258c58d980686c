"""Evaluation under the corruptions of CIFAR-C, in one pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmlib import _checks
from nmlib._files import sweep, user_path
from nmlib._progress import Progress
from nmlib.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    Benchmark,
    Corruption,
    corrupt,
    find_corruption,
    frost_name,
)
from nmlib.data.cifar import CorruptionFile, open_cifar_c
from nmlib.data.images import ImageData
from nmlib.evaluation.corruption_report import CLEAN, RECORD, CorruptedSet, CorruptionReport
from nmlib.evaluation.predictions import (
    Precision,
    Predictions,
    as_data,
    forward,
    labelled,
    model_fingerprint,
)
from nmlib.evaluation.report import row_key
from nmlib.evaluation.storage import Tell, complete, note_file, opened, stamp, write_record
from nmlib.evaluation.streaming import chunk_images, generated, predicted
from nmlib.provenance import provenance

__all__ = ["evaluate_corruptions"]

# Corrupted images that are in memory at a time.
_CHUNK_BYTES = 1 << 24


OwnCorruption = Callable[..., Tensor]
"""(images uint8 (n, H, W, 3), severity, first_index=number of the first image) -> the same shape"""


def evaluate_corruptions(
    model: nn.Module,
    data: ImageData | tuple[Any, Any],
    *,
    severities: int | Iterable[int] = range(1, 6),
    corruptions: str
    | Corruption
    | Iterable[str | Corruption]
    | Mapping[str, OwnCorruption | None] = CORRUPTIONS,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    folder: str | Path | None = None,
    verify: bool = True,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    key: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: Progress = None,
) -> CorruptionReport:
    """Evaluate a model on clean images and on every corruption at every severity.

    Images are corrupted a few thousand at a time and forgotten once predicted. They depend on the
    seed, the corruption, the severity and their index alone: the batch size changes nothing but
    speed, and two models see the same pixels.

    Args:
        model: Any module that maps (B, 3, H, W) in [0, 1] to logits (B, K).
        data: Clean test images from `nmlib.load`, or a pair (images uint8 (N, H, W, 3), labels).
        severities: From 1 to 5.
        corruptions: From `CORRUPTIONS` (the default, all 15) and `EXTRA_CORRUPTIONS`, or
            `nmlib.corruptions.Corruption` records of your own. For functions of your own a
            dictionary: a name -> a function of (images uint8 (n, H, W, 3), severity,
            first_index=number of the first image), which returns as many images; a name of
            nmlib's -> None. Results in `out` are known by the name alone.
        benchmark: "cifar" or "imagenet": whose parameters.
        seed: Of the corruptions, not of the model.
        frost: Photographs for frost, see `nmlib.corrupt`.
        folder: Read NAME.npy and labels.npy of CIFAR-10-C or CIFAR-100-C from here instead of
            generating anything; `data` are the clean images in the same order, or the first of
            them.
        verify: Compare the files in `folder` with the official checksums; False for sets of one's
            own (`nmlib corrupt`).
        batch_size: Images the model gets at a time.
        device: Where to corrupt and predict; by default where the model is.
        precision: As for `predict`.
        key: What rows are keyed by: "model", "scheme", "seed"; anything else becomes a column.
        out: Folder for the results. Every finished set is kept there: interrupted, the same call
            goes on where it stopped.
        progress: True for a bar, or a function of (set, images done, images in all).

    Returns:
        The report: `robust_accuracy`, `families`, `calibration`, `rows`, ...

    Raises:
        ValueError: For unknown names or severities, labels of `folder` that are not those of
            `data`, an `out` that holds results of another model, seed or data set.

    Source: the paper's Tables 2, 3 and 7 to 10.

    >>> from nmlib.data import load
    >>> net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    >>> report = evaluate_corruptions(
    ...     net, load("fashion-mini", "test").first(20), corruptions=["fog", "contrast"]
    ... )
    >>> len(report.rows), report.coverage
    (11, '2 corruptions x 5 severities, 20 images')

    >>> darker = {"darker": lambda images, severity, first_index: images // (1 + severity)}
    >>> data = load("fashion-mini", "test").first(20)
    >>> report = evaluate_corruptions(net, data, severities=[1, 5], corruptions=darker)
    >>> [(row["corruption"], row["family"]) for row in report.rows]
    [('clean', 'clean'), ('darker', 'own'), ('darker', 'own')]
    """
    data = as_data(data)
    named = _named_corruptions(corruptions, folder)
    levels = tuple(dict.fromkeys(_checks.integers("severity", severities, 1, 5)))
    seed = _checks.integer("seed", seed, 0)
    sets = {f"{name}-{level}": (name, level) for name in named for level in levels}
    settings = {
        "data": data.label,
        "data_fingerprint": data.fingerprint,
        "model_fingerprint": model_fingerprint(model) if isinstance(model, nn.Module) else "",
        "corruption_seed": seed,
        "benchmark": benchmark,
        "precision": precision,
        "source": "generated" if folder is None else ("official files" if verify else "own files"),
        "frost": frost_name(frost),
    }
    path = None if out is None else user_path(out) / RECORD
    with (
        forward(model, batch_size=batch_size, device=device, precision=precision) as (run, where),
        # A wrong setting or a foreign folder should not cost a whole evaluation first.
        opened(path, settings, row_key(model, data, key), CorruptedSet.from_record) as record,
    ):
        if path is not None:
            sweep(path.parent, CLEAN)
        if folder is not None:
            folder = user_path(folder)
            _check_files(folder, sets, data, record)
        now = provenance(device=str(where))["provenance"]
        clean = _clean(run, data, path, record, now)
        images = data.images.to(where)
        chunk = chunk_images(images[0].numel(), batch_size, _CHUNK_BYTES)

        @functools.lru_cache(maxsize=1)  # all levels are in one file, which is checked once
        def stored(name: str) -> Callable[[int, int], Iterator[Tensor]]:
            assert folder is not None
            file = open_cifar_c(folder, name, dataset=_official(data), verify=verify)
            note_file(record, file.path, file.md5)
            return _stored(file, data)

        def parts(name: str, level: int) -> Iterator[Tensor]:
            if folder is not None:
                return stored(name)(level, chunk)
            which = named[name]
            if not isinstance(which, Corruption):
                return generated(images, chunk, partial(_made, which, name, level))
            make = partial(
                corrupt, name=which, severity=level, benchmark=benchmark, seed=seed,
                frost=frost,
            )  # fmt: skip
            return generated(images, chunk, make)

        def measure(label: str, tell: Tell) -> dict[str, Any]:
            found = predicted(run, parts(*sets[label]), len(data), tell)
            return CorruptedSet.of(*sets[label], labelled(found, data)).record()

        complete(path, record, list(sets), len(data), progress, now, measure)
    return CorruptionReport.from_record(clean, record, list(sets))


def _clean(
    run: Callable[[ImageData], Tensor],
    data: ImageData,
    path: Path | None,
    record: dict[str, Any],
    now: Mapping[str, Any],
) -> Predictions:
    """Return the predictions for the clean images: the stored ones, or new ones, now stored."""
    if path is not None and "clean" in record:
        with suppress(FileNotFoundError, ValueError):  # missing or damaged: they are made anew
            stored = Predictions.read(path.parent / CLEAN)
            if stored.fingerprint == data.fingerprint and len(stored) == len(data):
                return stored
    clean = labelled(run(data), data)
    record["clean"] = stamp(record, now)
    if path is not None:
        clean.save(path.parent / CLEAN)
        write_record(path, record)
    return clean


def _named_corruptions(corruptions: Any, folder: Any) -> dict[str, Corruption | OwnCorruption]:
    """Return records and functions by name."""
    found: dict[str, Corruption | OwnCorruption] = {}
    known = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
    for which in _checks.as_tuple(corruptions):
        function = corruptions[which] if isinstance(corruptions, Mapping) else None
        if function is None:
            record = find_corruption(which)
            found[record.name] = record
        elif which in known or not callable(function) or folder is not None:
            raise ValueError(
                f"a corruption of one's own needs a name of its own, a function and no folder, got "
                f"{which!r}: {function!r}"
            )
        else:
            found[which] = function
    if not found:
        raise ValueError("no corruption was given")
    return found


def _made(
    function: OwnCorruption, name: str, level: int, images: Tensor, *, first_index: int
) -> Tensor:
    found = function(images, level, first_index=first_index)
    if isinstance(found, np.ndarray):
        found = _checks.tensor(name, found).to(images.device)
    if not isinstance(found, Tensor) or found.dtype != torch.uint8 or found.shape != images.shape:
        got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else f"{found!r}"
        raise ValueError(
            f"corruption {name!r} must return images as it got them, uint8 {tuple(images.shape)}, "
            f"got {got}"
        )
    return found


def _official(data: ImageData) -> str | None:
    """Return whose checksums corrupted versions of these images have, if that is known."""
    return data.name if data.name in ("cifar10", "cifar100") else None


def _check_files(
    folder: Path, sets: Mapping[str, tuple[str, int]], data: ImageData, record: dict[str, Any]
) -> None:
    """Raise for files that lack a set that is wanted, or are others than those evaluated before."""
    for name in dict.fromkeys(name for name, _ in sets.values()):
        path = folder / f"{name}.npy"
        if path.exists() and any(s.rpartition("-")[0] == name for s in record["sets"]):
            note_file(record, path)
    for name, level in (pair for label, pair in sets.items() if label not in record["sets"]):
        file = open_cifar_c(folder, name, verify=False)
        file.at(level)
        _stored(file, data)


def _stored(file: CorruptionFile, data: ImageData) -> Callable[[int, int], Iterator[Tensor]]:
    """Return a reader (severity, chunk) -> parts of a file, checked against `data`."""
    if file.share < len(data) or file.images.shape[1:] != tuple(data.images.shape[1:]):
        raise ValueError(
            f"{file.path} has {file.share} images of {file.images.shape[1:]} a severity, the "
            f"clean data {len(data)} of {tuple(data.images.shape[1:])}"
        )
    if not np.array_equal(file.labels[: len(data)], data.labels.cpu().numpy()):
        raise ValueError(
            f"labels.npy in {file.path.parent} and the labels of {data.label} differ: the images "
            "are others, or in another order"
        )

    def parts(severity: int, chunk: int) -> Iterator[Tensor]:
        images = file.at(severity)
        for first in range(0, len(data), chunk):
            # A copy: the file is mapped read-only.
            yield torch.from_numpy(np.array(images[first : min(first + chunk, len(data))]))

    return parts
