"""What a model did along the sequences of CIFAR-P: flips, means, curves."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmlib._files import user_path
from nmlib.corruptions import SEQUENCES, frames_are_independent, outdated
from nmlib.evaluation.report import Report, mean_with_error
from nmlib.evaluation.storage import made, pack, read_record, shares, unpack, write_record

__all__ = ["PerturbationReport", "PerturbedSet"]

RECORD = "perturbations.json"


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
    def of(cls, perturbation: str, predicted: Tensor, difficulty: int = 1) -> PerturbedSet:
        """Count the flips of predicted classes (N, F), F <= 256: counts are stored as bytes.

        They are counted from the first frame if frames are independent, else between frames
        `difficulty` apart.
        """
        if predicted.shape[1] > 256:
            raise ValueError(f"sequences have at most 256 frames, got {predicted.shape[1]}")
        seen = predicted.numpy()
        if frames_are_independent(perturbation):
            flipped = seen[:, 1:] != seen[:, :1]
        else:
            flipped = seen[:, difficulty:] != seen[:, :-difficulty]
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
        """Return what `record` was made from.

        Raises:
            ValueError: For numbers that no model can have.
        """
        curve, flips = shares("share of flips", record["curve"]), unpack(record["flips"])
        if not (curve.ndim == 1 and curve.size and flips.size and flips.max() <= curve.size):
            raise ValueError(f"flips up to {flips.max(initial=0)} at {curve.size} frames")
        return cls(name, record["frames"], curve, flips)


@dataclass(frozen=True, repr=False)
class PerturbationReport(Report):
    """Flip probabilities of a model.

    Attributes:
        sets: One entry a perturbation.
        key: What the rows of tables are keyed by: dataset, model, scheme, seed.
        provenance: Settings, data fingerprint, seed, commit, versions.
    """

    sets: tuple[PerturbedSet, ...]
    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The main number in a sentence."""
        return (
            f"{self.subject}: mean flip probability "
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
        return mean_with_error(np.mean([s.shares for s in self.sets], axis=0))[1]

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

    def table(self) -> str:
        """Return flip probabilities in percent as text."""
        lines = [f"{'flip probability, %':20}"]
        lines += [f"{n:20}{100 * p:8.2f}" for n, p in self.flip_probabilities.items()]
        return "\n".join([*lines, f"{'mean':20}{100 * self.mean_flip_probability:8.2f}"])

    def save(self, folder: str | Path) -> Path:
        """Write the report for `read`; what the folder holds of an older one is replaced.

        Returns:
            The folder.
        """
        folder = user_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sets = {s.perturbation: s.record() for s in self.sets}
        write_record(
            folder / RECORD,
            {"settings": dict(self.provenance), "key": dict(self.key), "sets": sets},
        )
        return folder

    @classmethod
    def read(cls, folder: str | Path) -> PerturbationReport:
        """Read the report that `save` or `evaluate_perturbations(out=folder)` wrote.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If the file is damaged, or holds nothing that is made alike today.

        Warns:
            UserWarning: For sets along sequences that are made otherwise today; they are left out.
        """
        path = user_path(folder) / RECORD
        stored = read_record(path, PerturbedSet.from_record)
        record = renewed(stored)
        left_out = [name for name in stored["sets"] if name not in record["sets"]]
        if left_out:
            said = f"{', '.join(left_out)} of {path} was measured along sequences of an older kind"
            remedy = "evaluate again into the same folder"
            if not record["sets"]:
                raise ValueError(f"{said}; {remedy}")
            warnings.warn(f"{said} and is left out; {remedy} to measure it", stacklevel=2)
        return cls.from_record(record, list(record["sets"]))

    @classmethod
    def from_record(cls, record: Mapping[str, Any], names: Iterable[str]) -> PerturbationReport:
        """Return the report on the perturbations called `names` of a record."""
        sets = tuple(PerturbedSet.from_record(name, record["sets"][name]) for name in names)
        known = record["settings"] | made(record, list(names))
        return cls(sets, record["key"], known)


def renewed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored record without the sets that are made otherwise today; see `SEQUENCES`."""
    settings, sets = record["settings"], dict(record["sets"])
    version = settings.get("sequences", 1)
    if settings.get("source") != "generated" or version not in range(1, SEQUENCES):
        return dict(record)
    if settings.get("crop") is not None:
        sets = {}
    for name in outdated(version):
        sets.pop(name, None)
    if "rotate" in sets:
        # The same frames the other way round.
        sets["rotate"] = sets["rotate"] | {"curve": sets["rotate"]["curve"][::-1]}
    return {**record, "settings": {**settings, "sequences": SEQUENCES}, "sets": sets}
