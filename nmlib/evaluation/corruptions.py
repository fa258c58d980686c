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
from nmlib.data.corrupted import RECORD as MADE
from nmlib.data.image_folder import ImageFolder
from nmlib.data.imagenet import CORRUPTED, corrupted_folder
from nmlib.data.images import ImageData, Images
from nmlib.evaluation.corruption_report import CLEAN, RECORD, CorruptedSet, CorruptionReport
from nmlib.evaluation.predictions import (
    Precision,
    Predictions,
    TopPredictions,
    as_data,
    forward,
    gathered,
    model_fingerprint,
    read_predictions,
    uploaded,
)
from nmlib.evaluation.report import row_key
from nmlib.evaluation.storage import Tell, complete, note_file, opened, stamp, write_record
from nmlib.evaluation.streaming import chunk_images, generated
from nmlib.provenance import provenance

__all__ = ["evaluate_corruptions"]

# Corrupted images that are in memory at a time.
_CHUNK_BYTES = 1 << 24


OwnCorruption = Callable[..., Tensor]
"""(images uint8 (n, H, W, 3), severity, first_index=number of the first image) -> the same shape"""


def evaluate_corruptions(
    model: nn.Module,
    data: Images | tuple[Any, Any],
    *,
    severities: int | Iterable[int] = range(1, 6),
    corruptions: str
    | Corruption
    | Iterable[str | Corruption]
    | Mapping[str, OwnCorruption | None] = CORRUPTIONS,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    jpeg: int | None = None,
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
        data: Clean test images from `nmlib.load`, a pair (images uint8 (N, H, W, 3), labels), or
            images that are read when they are needed: an `ImageFolder`, a Dataset. With
            benchmark="imagenet" the images of a folder are corrupted as the published files were
            made, from 224 pixels after a bilinear resize to 256, whatever the preparation of the
            clean ones.
        severities: From 1 to 5.
        corruptions: From `CORRUPTIONS` (the default, all 15) and `EXTRA_CORRUPTIONS`, or
            `nmlib.corruptions.Corruption` records of your own. For functions of your own a
            dictionary: a name -> a function of (images uint8 (n, H, W, 3), severity,
            first_index=number of the first image), which returns as many images; a name of
            nmlib's -> None. Results in `out` are known by the name alone.
        benchmark: "cifar" or "imagenet": whose parameters.
        seed: Of the corruptions, not of the model.
        frost: Photographs for frost, see `nmlib.corrupt`.
        jpeg: Quality of a JPEG compression of what is generated, see `nmlib.corrupt`.
        folder: Read files from here instead of generating anything. NAME.npy and labels.npy of
            CIFAR-10-C or CIFAR-100-C: `data` are the clean images in the same order, or the first
            of them. NAME/SEVERITY/CLASS/FILE of ImageNet-C, if `data` are an `ImageFolder`: the
            files of the same class and name.
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
    folder = None if folder is None else user_path(folder)
    images_c = isinstance(data, ImageFolder) and folder is not None
    if folder is not None and not isinstance(data, (ImageData, ImageFolder)):
        raise TypeError(
            f"files in {folder} are compared with ImageData or an ImageFolder, got "
            f"{type(data).__name__}"
        )
    if jpeg is not None:
        jpeg = _checks.integer("jpeg", jpeg, 1, 100)
        own = [name for name, which in named.items() if not isinstance(which, Corruption)]
        if folder is not None or own:
            what = f"the function {own[0]!r}" if own else "files, which are what they are"
            raise ValueError(f"jpeg compresses what nmlib generates, not {what}; leave it out")
    settings = {
        "data": data.label,
        "data_fingerprint": data.fingerprint,
        "model_fingerprint": model_fingerprint(model) if isinstance(model, nn.Module) else "",
        "corruption_seed": seed,
        "benchmark": benchmark,
        "precision": precision,
        "source": _source(folder, images_c, verify, jpeg),
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
        files: dict[str, ImageFolder] = {}
        if folder is not None and isinstance(data, ImageFolder):
            files = _check_folders(folder, sets, data, record)
        elif folder is not None and isinstance(data, ImageData):
            _check_files(folder, sets, data, record)
        now = provenance(device=str(where))["provenance"]
        chunk, base = batch_size, data
        if isinstance(data, ImageData):
            chunk = chunk_images(data.images[0].numel(), batch_size, _CHUNK_BYTES)
            data = base = data.to(where)
        elif isinstance(data, ImageFolder) and benchmark == "imagenet":
            base = data.prepared(CORRUPTED)
        clean = _clean(run, data, len(data) if data is base else chunk, where, path, record, now)

        @functools.lru_cache(maxsize=1)  # all levels are in one file, which is checked once
        def stored(name: str) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
            assert folder is not None and isinstance(data, ImageData)
            file = open_cifar_c(folder, name, dataset=_official(data), verify=verify)
            note_file(record, file.path, file.md5)
            return _stored(file, data)

        def parts(name: str, level: int) -> Iterator[tuple[Tensor, Tensor]]:
            label = f"{name}-{level}"
            if images_c:
                note_file(record, Path(f"{label}.folder"), files[label].fingerprint)
                return uploaded(files[label].parts(chunk), where)
            if folder is not None:
                return stored(name)(level, chunk)
            which = named[name]
            if isinstance(which, Corruption):
                make: Callable[..., Tensor] = partial(
                    corrupt, name=which, severity=level, benchmark=benchmark, seed=seed,
                    frost=frost, jpeg=jpeg,
                )  # fmt: skip
            else:
                make = partial(_made, which, name, level)
            return generated(uploaded(base.parts(chunk), where), make)

        def measure(label: str, tell: Tell) -> dict[str, Any]:
            found = gathered(run, parts(*sets[label]), data, tell)
            return CorruptedSet.of(*sets[label], found).record()

        complete(path, record, list(sets), len(data), progress, now, measure)
    return CorruptionReport.from_record(clean, record, list(sets))


def _source(folder: Path | None, images_c: bool, verify: bool, jpeg: int | None) -> str:
    """Return where the corrupted images are from, as results say it."""
    if folder is None:
        return "generated" if jpeg is None else f"generated, JPEG {jpeg}"
    if not images_c:
        return "official files" if verify else "own files"
    # Sets that `nmlib corrupt` has written have a record.
    own = not verify or (folder / MADE).exists()
    return "own JPEG files" if own else "official JPEG files"


def _clean(
    run: Callable[[Tensor], Tensor],
    data: Images,
    chunk: int,
    where: torch.device,
    path: Path | None,
    record: dict[str, Any],
    now: Mapping[str, Any],
) -> Predictions | TopPredictions:
    """Return the predictions for the clean images: the stored ones, or new ones, now stored."""
    if path is not None and "clean" in record:
        with suppress(FileNotFoundError, ValueError):  # missing or damaged: they are made anew
            stored = read_predictions(path.parent / CLEAN)
            if stored.fingerprint == data.fingerprint and len(stored) == len(data):
                return stored
    clean = gathered(run, uploaded(data.parts(chunk), where), data)
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


def _check_folders(
    folder: Path, sets: Mapping[str, tuple[str, int]], data: ImageFolder, record: dict[str, Any]
) -> dict[str, ImageFolder]:
    """Return the folders of ImageNet-C that are wanted; raise if images of `data` are missing."""
    return {
        label: corrupted_folder(folder, name, level, like=data)
        for label, (name, level) in sets.items()
        if label not in record["sets"]
    }


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


def _stored(
    file: CorruptionFile, data: ImageData
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
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

    def parts(severity: int, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
        images = file.at(severity)
        for first in range(0, len(data), chunk):
            here = slice(first, min(first + chunk, len(data)))
            # A copy: the file is mapped read-only.
            yield torch.from_numpy(np.array(images[here])), data.labels[here]

    return parts
