"""Evaluation along the sequences of CIFAR-P: how steady a model's predictions are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmlib import _checks
from nmlib._files import user_path
from nmlib._progress import Progress
from nmlib.corruptions import (
    PERTURBATIONS,
    SEQUENCES,
    Benchmark,
    frame_count,
    frames_are_independent,
    perturbation_sequence,
)
from nmlib.data.cifar import read_cifar_p
from nmlib.data.image_folder import ImageFolder
from nmlib.data.imagenet import WHOLE, video_folder
from nmlib.data.images import ImageData, Images
from nmlib.evaluation.perturbation_report import (
    RECORD,
    PerturbationReport,
    PerturbedSet,
    renewed,
)
from nmlib.evaluation.predictions import Precision, as_data, forward, model_fingerprint, uploaded
from nmlib.evaluation.report import row_key
from nmlib.evaluation.storage import Tell, complete, note_file, opened
from nmlib.evaluation.streaming import chunk_images, generated, joined, predicted
from nmlib.provenance import provenance

__all__ = ["evaluate_perturbations"]

_CHUNK_BYTES = 1 << 25


def evaluate_perturbations(
    model: nn.Module,
    data: Images | tuple[Any, Any],
    *,
    perturbations: str | Iterable[str] = PERTURBATIONS,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    difficulty: int = 1,
    crop: int | None = None,
    folder: str | Path | None = None,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    key: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: Progress = None,
) -> PerturbationReport:
    """Measure how often a model's prediction flips along the sequences of CIFAR-P.

    The frames of a few hundred images are made at a time. Labels play no part. In the two noise
    sequences every frame is compared with the first one, in the others with the one before.

    Args:
        model: As for `evaluate_corruptions`.
        data: As for `evaluate_corruptions`; without images of its own where `folder` is given,
            but as many, in the same order. The pictures of an `ImageFolder` are resized to 256
            pixels and warped before they are cropped, as those of ImageNet-P.
        perturbations: From `PERTURBATIONS` (the default, all ten).
        benchmark: "cifar" or "imagenet": whose parameters and frame counts.
        seed: Of the perturbations.
        difficulty: 1, 2 or 3: stronger noise, frames further apart. Always 1 in published results.
        crop: Cut the middle out of every frame, see `nmlib.perturbation_sequence`.
        folder: Read files from here instead of generating anything: NAME.npy of CIFAR-10-P, or
            NAME/CLASS/FILE.mp4 of ImageNet-P if `data` are an `ImageFolder`, which needs PyAV
            (`nmlib[video]`).
        batch_size: Frames the model gets at a time.
        device: As for `evaluate_corruptions`.
        precision: As for `predict`.
        key: As for `evaluate_corruptions`.
        out: As for `evaluate_corruptions`.
        progress: As for `evaluate_corruptions`.

    Raises:
        ValueError: For unknown names, a file in `folder` that does not fit, an `out` that holds
            results of another model, seed or data set.

    Source: Hendrycks & Dietterich (2019), sec. 4.3; the paper's Tables 13 and 14.

    >>> from nmlib.data import load
    >>> net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    >>> report = evaluate_perturbations(
    ...     net, load("fashion-mini", "test").first(3), perturbations=["translate", "tilt"]
    ... )
    >>> [(row["perturbation"], row["frames"]) for row in report.rows]
    [('translate', 16), ('tilt', 31)]
    """
    data = as_data(data)
    names = _checks.as_tuple(perturbations)
    if not names:
        raise ValueError("no perturbation was given")
    for name in names:
        frame_count(name, benchmark)
    seed = _checks.integer("seed", seed, 0)
    difficulty = _checks.integer("difficulty", difficulty, 1, 3)
    crop = None if crop is None else _checks.integer("crop", crop, 1)
    videos = isinstance(data, ImageFolder) and folder is not None
    if folder is not None and not isinstance(data, (ImageData, ImageFolder)):
        raise TypeError(f"files belong to ImageData or an ImageFolder, got {type(data).__name__}")
    if (
        folder is not None
        and not videos
        and difficulty > 1
        and any(map(frames_are_independent, names))
    ):
        raise ValueError("the files of CIFAR-10-P hold noise of difficulty 1 only")
    settings = {
        "data": data.label,
        "data_fingerprint": data.fingerprint,
        "model_fingerprint": model_fingerprint(model) if isinstance(model, nn.Module) else "",
        "perturbation_seed": seed,
        "benchmark": benchmark,
        "difficulty": difficulty,
        "crop": crop,
        "precision": precision,
        "source": "generated" if folder is None else ("videos" if videos else "files"),
    }
    if folder is None:
        settings["sequences"] = SEQUENCES
    path = None if out is None else user_path(out) / RECORD
    parse = PerturbedSet.from_record
    with (
        forward(model, batch_size=batch_size, device=device, precision=precision) as (run, where),
        opened(path, settings, row_key(model, data, key), parse, renewed) as record,
    ):
        clips = {}
        if isinstance(data, ImageFolder) and folder is not None:
            for name in names:
                if name not in record["sets"]:
                    found = video_folder(folder, name, difficulty=difficulty, partial=True)
                    clips[name] = found.like(data)
        elif folder is not None:
            folder = user_path(folder)
            assert isinstance(data, ImageData)
            for name in names:
                if name not in record["sets"]:
                    _frames(folder, name, data, difficulty)
                elif (folder / f"{name}.npy").exists():
                    note_file(record, folder / f"{name}.npy")
        now = provenance(device=str(where))["provenance"]
        base = data.to(where) if isinstance(data, ImageData) else data
        if isinstance(base, ImageFolder):
            base = base.prepared(WHOLE)

        def parts(name: str) -> Iterator[tuple[Tensor, Tensor]]:
            count = frame_count(name, benchmark)
            chunk = max(1, batch_size // count)
            if videos:
                note_file(record, Path(f"{name}.folder"), clips[name].fingerprint)
                return uploaded(clips[name].parts(chunk), where)
            if isinstance(base, ImageData):
                row = base.images[0].numel() * count
                chunk = chunk_images(row, 1, _CHUNK_BYTES)
            if isinstance(folder, Path):
                assert isinstance(data, ImageData)
                note_file(record, folder / f"{name}.npy")
                frames = _frames(folder, name, data, difficulty)
                # A copy: the file is mapped read-only.
                return (
                    (torch.from_numpy(np.array(frames[first : min(first + chunk, len(data))])),) * 2
                    for first in range(0, len(data), chunk)
                )
            make = partial(
                perturbation_sequence, name=name, benchmark=benchmark, seed=seed,
                difficulty=difficulty if frames_are_independent(name) else 1, crop=crop,
            )  # fmt: skip
            if isinstance(base, ImageFolder):  # each picture has a size of its own
                single = generated(uploaded(base.parts(1), where), make)
                return joined(single, chunk if crop is not None else 1)
            return generated(uploaded(base.parts(chunk), where), make)

        def classes(part: Tensor) -> Tensor:
            return run(part.flatten(0, 1)).argmax(1).reshape(len(part), -1).cpu()

        def measure(name: str, tell: Tell) -> dict[str, Any]:
            found = predicted(classes, parts(name), len(data), tell)
            return PerturbedSet.of(name, found, difficulty).record()

        complete(path, record, names, len(data), progress, now, measure)
    return PerturbationReport.from_record(record, names)


def _frames(folder: Path, name: str, data: ImageData, difficulty: int) -> NDArray:
    """Return the frames of a file, or raise if they do not belong to the images."""
    frames = read_cifar_p(folder, name)
    if len(frames) < len(data) or frames.shape[2:] != tuple(data.images.shape[1:]):
        raise ValueError(
            f"{name}.npy in {folder} has {len(frames)} sequences of {frames.shape[2:]}, the data "
            f"{len(data)} images of {tuple(data.images.shape[1:])}"
        )
    if frames.shape[1] <= difficulty:
        raise ValueError(
            f"{name}.npy in {folder} has {frames.shape[1]} frames, too few for difficulty "
            f"{difficulty}"
        )
    return frames
