"""How steady a model's predictions are along the sequences of CIFAR-P."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmlib._progress import Progress, reporter
from nmlib.corruptions import PERTURBATIONS, frame_count, perturbation_sequence
from nmlib.data.cifar import read_cifar_p
from nmlib.data.images import ImageData
from nmlib.evaluation.corruptions import chunk_images, row_key
from nmlib.evaluation.predictions import Precision, as_data, forward, model_fingerprint
from nmlib.evaluation.storage import (
    open_record,
    pack,
    read_record,
    unpack,
    write_record,
)
from nmlib.provenance import provenance

__all__ = ["PerturbationReport", "PerturbedSet", "evaluate_perturbations"]

_RECORD = "perturbations.json"
_CHUNK_BYTES = 1 << 25


@dataclass(frozen=True)
class PerturbedSet:
    """What a model did along one kind of sequence.

    Attributes:
        perturbation: Name.
        frames: Frames a sequence, F.
        curve: (F - stride,) share of sequences whose prediction flips at each frame.
        flips: (N,) flips in each sequence.
    """

    perturbation: str
    frames: int
    curve: NDArray[np.float64]
    flips: NDArray[np.uint8]

    @classmethod
    def of(cls, perturbation: str, predicted: Tensor, stride: int = 1) -> PerturbedSet:
        """Count the flips of predicted classes (N, F)."""
        seen = predicted.numpy()
        base = seen[:, :1] if "noise" in perturbation else seen[:, :-stride]
        flipped = seen[:, 1 if "noise" in perturbation else stride :] != base
        return cls(perturbation, seen.shape[1], flipped.mean(0), flipped.sum(1).astype(np.uint8))

    @property
    def shares(self) -> NDArray[np.float64]:
        """(N,) share of frames at which each sequence flips."""
        return self.flips / len(self.curve)

    @property
    def flip_probability(self) -> float:
        """Probability of a flip from frame to frame, see `nmlib.flip_probability`."""
        return float(self.shares.mean())

    def record(self) -> dict[str, Any]:
        """Return the same as a value for JSON."""
        return {"frames": self.frames, "curve": self.curve.tolist(), "flips": pack(self.flips)}

    @classmethod
    def from_record(cls, name: str, record: Mapping[str, Any]) -> PerturbedSet:
        """Return what `record` was made from."""
        return cls(name, record["frames"], np.array(record["curve"]), unpack(record["flips"]))


@dataclass(frozen=True)
class PerturbationReport:
    """Flip probabilities of a model.

    Attributes:
        sets: One entry a perturbation.
        key: What the rows of tables are keyed by: dataset, model, scheme, seed.
        provenance: Settings, data fingerprint, seed, commit, versions.
    """

    sets: tuple[PerturbedSet, ...]
    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"PerturbationReport({self.summary})"

    @property
    def summary(self) -> str:
        """The main number in a sentence."""
        name = ", ".join(str(self.key[k]) for k in ("model", "scheme") if self.key.get(k))
        return (
            f"{name} on {self.key['dataset']}: mean flip probability "
            f"{100 * self.mean_flip_probability:.2f} ± {100 * self.standard_error:.2f} % over "
            f"{len(self.sets)} perturbations, {len(self.sets[0].flips)} images"
        )

    @property
    def flip_probabilities(self) -> dict[str, float]:
        """By perturbation, in [0, 1]: for `nmlib.metrics.flip_rate`."""
        return {s.perturbation: s.flip_probability for s in self.sets}

    @property
    def mean_flip_probability(self) -> float:
        """Plain mean over the perturbations, in [0, 1].

        Source: the paper's Tables 13 and 14, which print it in percent and call it mFR.
        """
        return float(np.mean([s.flip_probability for s in self.sets]))

    @property
    def standard_error(self) -> float:
        """Standard error of `mean_flip_probability` for the choice of test images."""
        share = np.mean([s.shares for s in self.sets], axis=0)
        return float(share.std(ddof=1) / np.sqrt(len(share))) if len(share) > 1 else 0.0

    @property
    def curves(self) -> dict[str, NDArray[np.float64]]:
        """Share of sequences that flip at each frame, by perturbation."""
        return {s.perturbation: s.curve for s in self.sets}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A tidy table, one row a perturbation, keyed (dataset, model, scheme, seed, ...)."""
        return [
            {
                **self.key,
                "perturbation": s.perturbation,
                "images": len(s.flips),
                "frames": s.frames,
                "flip_probability": s.flip_probability,
            }
            for s in self.sets
        ]

    def frame(self) -> Any:
        """Return `rows` as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.rows)

    def table(self) -> str:
        """Return flip probabilities in percent as text."""
        lines = [f"{'flip probability, %':20}"]
        lines += [f"{n:20}{100 * p:8.2f}" for n, p in self.flip_probabilities.items()]
        return "\n".join([*lines, f"{'mean':20}{100 * self.mean_flip_probability:8.2f}"])

    @classmethod
    def read(cls, folder: str | Path) -> PerturbationReport:
        """Read the report that `evaluate_perturbations(out=folder)` wrote, finished or not.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If the file is damaged.
        """
        record = read_record(Path(folder) / _RECORD)
        return _report(record, list(record["sets"]))


def _report(record: Mapping[str, Any], names: Iterable[str]) -> PerturbationReport:
    sets = tuple(PerturbedSet.from_record(name, record["sets"][name]) for name in names)
    known = record["settings"] | record.get("provenance", {})
    return PerturbationReport(sets, record["key"], known)


def evaluate_perturbations(
    model: nn.Module,
    data: ImageData | tuple[Any, Any],
    *,
    perturbations: Iterable[str] = PERTURBATIONS,
    benchmark: str = "cifar",
    seed: int = 0,
    difficulty: int = 1,
    crop: int | None = None,
    folder: str | Path | None = None,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "float32",
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
            but as many, in the same order.
        perturbations: From `PERTURBATIONS` (the default, all ten).
        benchmark: "cifar" or "imagenet": whose parameters and frame counts.
        seed: Of the perturbations.
        difficulty: 1, 2 or 3: stronger noise, frames further apart. Always 1 in published results.
        crop: Cut the middle out of every frame, see `nmlib.perturbation_sequence`.
        folder: Read NAME.npy of CIFAR-10-P from here instead of generating anything.
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
    names = tuple(dict.fromkeys(perturbations))
    if not names:
        raise ValueError("no perturbation was given")
    for name in names:
        frame_count(name, benchmark)  # type: ignore[arg-type]
    if difficulty not in (1, 2, 3):
        raise ValueError(f"difficulty must be 1, 2 or 3, got {difficulty!r}")
    if folder is not None and difficulty > 1 and any("noise" in name for name in names):
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
        "source": "generated" if folder is None else "files",
    }
    path = None if out is None else Path(out) / _RECORD
    with forward(model, batch_size=batch_size, device=device, precision=precision) as (run, where):
        record = open_record(path, settings, row_key(model, data, key))
        record["provenance"] = provenance(device=str(where))["provenance"]
        tell, close = reporter(progress, len(data) * len(names))
        images = data.images.to(where)
        try:
            for name in names:
                noise = "noise" in name
                if name not in record["sets"]:
                    row = images[0].numel() * frame_count(name, benchmark)  # type: ignore[arg-type]
                    chunk = chunk_images(row, 1, _CHUNK_BYTES)
                    if folder is None:
                        parts = _generated(
                            images, name, chunk, benchmark=benchmark, seed=seed,
                            difficulty=difficulty if noise else 1, crop=crop,
                        )  # fmt: skip
                    else:
                        parts = _stored(folder, name, data, chunk)
                    predicted = _predicted(run, parts, name, len(data), tell)
                    entry = PerturbedSet.of(name, predicted, 1 if noise else difficulty)
                    record["sets"][name] = entry.record()
                    write_record(path, record)
                tell(name, len(data), len(data))
        finally:
            close()
    return _report(record, names)


def _predicted(
    run: Callable[[Any], Tensor],
    parts: Iterable[Tensor],
    name: str,
    total: int,
    tell: Callable[[str, int, int], None],
) -> Tensor:
    found, done = [], 0
    for part in parts:
        classes = run(part.flatten(0, 1)).argmax(1)
        found.append(classes.reshape(len(part), -1).cpu())
        done += len(part)
        tell(name, done, total)
    return torch.cat(found)


def _generated(images: Tensor, name: str, chunk: int, **options: Any) -> Iterator[Tensor]:
    for first in range(0, len(images), chunk):
        yield perturbation_sequence(
            images[first : first + chunk], name, first_index=first, **options
        )


def _stored(folder: str | Path, name: str, data: ImageData, chunk: int) -> Iterator[Tensor]:
    frames = read_cifar_p(folder, name)
    if len(frames) < len(data) or frames.shape[2:] != tuple(data.images.shape[1:]):
        raise ValueError(
            f"{name}.npy in {folder} has {len(frames)} sequences of {frames.shape[2:]}, the data "
            f"{len(data)} images of {tuple(data.images.shape[1:])}"
        )
    for first in range(0, len(data), chunk):
        # A copy: the file is mapped read-only.
        yield torch.from_numpy(np.array(frames[first : min(first + chunk, len(data))]))
