"""Accuracy and calibration under the corruptions of CIFAR-C, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmlib import _checks
from nmlib._progress import Progress, reporter
from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, FAMILIES, corrupt
from nmlib.data.cifar import read_cifar_c
from nmlib.data.images import ImageData
from nmlib.evaluation.predictions import (
    Precision,
    Predictions,
    as_data,
    forward,
    labelled,
    model_fingerprint,
)
from nmlib.evaluation.storage import (
    open_record,
    pack,
    read_record,
    unpack,
    write_record,
)
from nmlib.metrics import CORRUPTION_FAMILIES, ReliabilityCurve, reliability_curve
from nmlib.provenance import provenance

__all__ = ["CorruptedSet", "CorruptionReport", "evaluate_corruptions"]

_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
_RECORD, _CLEAN = "corruptions.json", "clean.npz"
# Corrupted images that are in memory at a time.
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class CorruptedSet:
    """What a model did on one corruption at one severity.

    Attributes:
        corruption: Name.
        severity: 1 to 5.
        measures: Accuracy and calibration, see `Predictions.measures`.
        curve: Accuracy by confidence, 15 bins.
        correct: (N,) whether each prediction was right.
    """

    corruption: str
    severity: int
    measures: Mapping[str, float | None]
    curve: ReliabilityCurve
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, corruption: str, severity: int, found: Predictions) -> CorruptedSet:
        """Compute everything from the predictions, which are not kept."""
        curve = reliability_curve(found)
        return cls(corruption, severity, found.measures(), curve, found.correct.numpy())

    def record(self) -> dict[str, Any]:
        """Return the same as a value for JSON."""
        sums = [np.nan_to_num(v) for v in (self.curve.confidence, self.curve.accuracy)]
        return {
            "measures": dict(self.measures),
            "count": self.curve.count.tolist(),
            "confidence": sums[0].tolist(),
            "accuracy": sums[1].tolist(),
            "images": len(self.correct),
            "correct": pack(np.packbits(self.correct)),
        }

    @classmethod
    def from_record(cls, name: str, record: Mapping[str, Any]) -> CorruptedSet:
        """Return what `record` was made from; `name` is "corruption-severity"."""
        corruption, severity = name.rsplit("-", 1)
        count = np.array(record["count"])
        means = (np.where(count, record[k], np.nan) for k in ("confidence", "accuracy"))
        curve = ReliabilityCurve(np.linspace(0, 1, len(count) + 1), count, *means)
        bits = np.unpackbits(unpack(record["correct"]), count=record["images"])
        return cls(corruption, int(severity), record["measures"], curve, bits.astype(bool))


@dataclass(frozen=True)
class CorruptionReport:
    """A model on clean and on corrupted images.

    Means are taken over the sets that were evaluated, `coverage` says which; those of the four
    extra corruptions never enter them.

    Attributes:
        clean: Predictions on the clean images.
        sets: One entry a corruption and severity.
        key: What the rows of tables are keyed by: dataset, model, scheme, seed.
        provenance: Settings, data fingerprint, corruption seed, commit, versions.
    """

    clean: Predictions
    sets: tuple[CorruptedSet, ...]
    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"CorruptionReport({self.summary})"

    @property
    def summary(self) -> str:
        """The main numbers in a sentence."""
        name = ", ".join(str(self.key[k]) for k in ("model", "scheme") if self.key.get(k))
        start = f"{name} on {self.key['dataset']}: clean accuracy {100 * self.clean.accuracy:.1f} %"
        if not set(self.corruptions) & set(CORRUPTIONS):
            return start
        robust, error = 100 * self.robust_accuracy, 100 * self.standard_error
        return f"{start}, robust accuracy {robust:.1f} ± {error:.1f} % ({self.coverage})"

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Names of the corruptions, in the order of the sets."""
        return tuple(dict.fromkeys(s.corruption for s in self.sets))

    @property
    def severities(self) -> tuple[int, ...]:
        """Severities, ascending."""
        return tuple(sorted({s.severity for s in self.sets}))

    @property
    def coverage(self) -> str:
        """What the means are over.

        "15 corruptions x 5 severities" is what the paper's robust accuracy means.
        """
        sets = [s for s in self.sets if s.corruption in CORRUPTIONS]
        count = len({s.corruption for s in sets})
        levels = sorted({s.severity for s in sets})
        which = f"severity {', '.join(map(str, levels))}" if len(levels) < 5 else "5 severities"
        partly = f", only {len(sets)} sets" if len(sets) < count * len(levels) else ""
        return f"{count} corruptions x {which}{partly}, {len(self.clean):,} images"

    @property
    def complete(self) -> bool:
        """Whether all 15 corruptions at all five severities are there."""
        found = {(s.corruption, s.severity) for s in self.sets}
        return all((name, level) in found for name in CORRUPTIONS for level in range(1, 6))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A tidy table, one row a set, keyed (dataset, model, scheme, seed, corruption, severity).

        The clean images are the first row: corruption "clean", severity 0.
        """
        rows = [
            {**self.key, "corruption": "clean", "severity": 0, "family": "clean"}
            | {"images": len(self.clean)}
            | self.clean.measures()
        ]
        for s in self.sets:
            place = {"corruption": s.corruption, "severity": s.severity}
            rows.append(
                {**self.key, **place, "family": _FAMILY[s.corruption], "images": len(s.correct)}
                | dict(s.measures)
            )
        return rows

    def frame(self) -> Any:
        """Return `rows` as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.rows)

    def _chosen(
        self,
        corruptions: Iterable[str] | None = None,
        severities: Iterable[int] | None = None,
        without: Iterable[str] = (),
    ) -> list[CorruptedSet]:
        names = list(CORRUPTIONS if corruptions is None else corruptions)
        for family in without:
            _checks.choice("family", family, CORRUPTION_FAMILIES)
            names = [n for n in names if _FAMILY.get(n) != family]
        levels = set(self.severities if severities is None else severities)
        chosen = [s for s in self.sets if s.corruption in names and s.severity in levels]
        if not chosen:
            raise ValueError(
                f"this report has no such set; it has {', '.join(self.corruptions)} at severity "
                f"{', '.join(map(str, self.severities))}"
            )
        return chosen

    def mean(
        self,
        measure: str = "accuracy",
        *,
        corruptions: Iterable[str] | None = None,
        severities: Iterable[int] | None = None,
        without: Iterable[str] = (),
    ) -> float:
        """Return the mean of a measure over sets.

        Args:
            measure: Column of `rows`, such as "accuracy" or "expected_calibration_error".
            corruptions: Which; default those of the benchmark's 15 that are there.
            severities: Which; default all that are there.
            without: Families to leave out, e.g. ("noise",) for "(excluding noise)".

        Raises:
            ValueError: For an unknown measure or family, or if no set is left.
        """
        chosen = self._chosen(corruptions, severities, without)
        _checks.choice("measure", measure, chosen[0].measures)
        values = [s.measures[measure] for s in chosen]
        if any(v is None for v in values):
            raise ValueError(f"{measure} needs more images than the {len(self.clean)} there are")
        return float(np.mean(values))  # type: ignore[arg-type]

    @property
    def robust_accuracy(self) -> float:
        """Mean accuracy over corruptions and severities, in [0, 1].

        Source: the mean over 15 x 5 sets in the paper's Tables 1 to 4.
        """
        return self.mean()

    @property
    def robust_accuracy_without_noise(self) -> float:
        """The same over the twelve corruptions that are no noise: "(excluding noise)"."""
        return self.mean(without=("noise",))

    def image_accuracies(self) -> NDArray[np.float64]:
        """Return each image's share of sets in which it was recognised, (N,)."""
        return np.mean([s.correct for s in self._chosen()], axis=0, dtype=np.float64)

    @property
    def standard_error(self) -> float:
        """Standard error of `robust_accuracy` for the choice of test images.

        The sets hold the same images, so the images count, not the sets.
        """
        share = self.image_accuracies()
        return float(share.std(ddof=1) / np.sqrt(len(share))) if len(share) > 1 else 0.0

    def minus(self, other: CorruptionReport) -> tuple[float, float]:
        """Return this robust accuracy minus another's, and the standard error of the difference.

        Image by image, so much sharper than the two standard errors alone. It covers the choice of
        test images, not that of the training seed.

        Raises:
            ValueError: If the two saw different images or sets.
        """
        if self.clean.fingerprint != other.clean.fingerprint:
            raise ValueError(
                f"the reports are on different images ({self.clean.fingerprint}, "
                f"{other.clean.fingerprint})"
            )
        mine, theirs = ({(s.corruption, s.severity) for s in r._chosen()} for r in (self, other))
        if mine != theirs:
            raise ValueError(f"the reports have different sets: {self.coverage}; {other.coverage}")
        gain = self.image_accuracies() - other.image_accuracies()
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        return float(gain.mean()), float(error)

    @property
    def accuracies(self) -> dict[str, dict[int, float]]:
        """Accuracy by corruption and severity."""
        found: dict[str, dict[int, float]] = {}
        for s in self.sets:
            found.setdefault(s.corruption, {})[s.severity] = float(s.correct.mean())
        return found

    @property
    def errors(self) -> dict[str, list[float]]:
        """Errors by corruption, severities in order: for `nmlib.mean_corruption_error`."""
        return {
            name: [1 - levels[s] for s in sorted(levels)]
            for name, levels in self.accuracies.items()
        }

    @property
    def by_corruption(self) -> dict[str, float]:
        """Mean accuracy over severities, by corruption."""
        return {name: float(np.mean(list(v.values()))) for name, v in self.accuracies.items()}

    @property
    def by_severity(self) -> dict[int, float]:
        """Mean accuracy over corruptions, by severity."""
        return {level: self.mean(severities=[level]) for level in self.severities}

    @property
    def families(self) -> dict[str, float]:
        """Mean accuracy by family, those of which a corruption was evaluated."""
        there = set(self.corruptions)
        return {
            family: self.mean(corruptions=names)
            for family, names in CORRUPTION_FAMILIES.items()
            if there & set(names)
        }

    @property
    def calibration(self) -> dict[str, dict[str, float | None]]:
        """Measures on "clean" images, and their means over the "corrupted" sets.

        Source: the mean over sets is how the authors average the calibration error.
        """
        clean = self.clean.measures()
        few = {k for s in self._chosen() for k, v in s.measures.items() if v is None}
        return {
            "clean": clean,
            "corrupted": {k: None if k in few else self.mean(k) for k in clean},
        }

    def reliability(
        self,
        *,
        corruptions: Iterable[str] | None = None,
        severities: Iterable[int] | None = None,
    ) -> ReliabilityCurve:
        """Return the reliability curve of all chosen sets together.

        Args:
            corruptions: Which; default those of the benchmark's 15 that are there.
            severities: Which; default all that are there.
        """
        return ReliabilityCurve.pooled(s.curve for s in self._chosen(corruptions, severities))

    def table(self) -> str:
        """Return accuracies in percent as text: corruptions down, severities across."""
        levels = self.severities
        lines = [f"{'accuracy, %':20}" + "".join(f"{s:>7}" for s in levels) + f"{'mean':>8}"]
        lines.append(f"{'clean':20}" + " " * 7 * len(levels) + f"{100 * self.clean.accuracy:8.1f}")
        for name, found in self.accuracies.items():
            cells = "".join(f"{100 * found[s]:7.1f}" if s in found else " " * 7 for s in levels)
            lines.append(f"{name:20}{cells}{100 * self.by_corruption[name]:8.1f}")
        means = "".join(f"{100 * v:7.1f}" for v in self.by_severity.values())
        lines.append(f"{'robust accuracy':20}{means}{100 * self.robust_accuracy:8.1f}")
        return "\n".join(lines)

    @classmethod
    def read(cls, folder: str | Path) -> CorruptionReport:
        """Read the report that `evaluate_corruptions(out=folder)` wrote, finished or not.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If a file is damaged.
        """
        folder = Path(folder)
        record = read_record(folder / _RECORD)
        return _report(Predictions.read(folder / _CLEAN), record, list(record["sets"]))


def _report(
    clean: Predictions, record: Mapping[str, Any], names: Sequence[str]
) -> CorruptionReport:
    sets = tuple(CorruptedSet.from_record(name, record["sets"][name]) for name in names)
    known = record["settings"] | record.get("provenance", {})
    return CorruptionReport(clean, sets, record["key"], known)


def row_key(model: nn.Module, data: ImageData, key: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what rows are keyed by: dataset, model, scheme, seed, then anything else given."""
    given = dict(key or {})
    name = getattr(model, "name", None)
    start = {
        "dataset": data.label,
        "model": name if isinstance(name, str) else type(model).__name__,
        "scheme": None,
        "seed": None,
    }
    return start | given


def chunk_images(row: int, batch_size: int, limit: int) -> int:
    """Return how many images of `row` bytes are made at a time: whole batches, within the limit."""
    return max(1, limit // (row * batch_size)) * batch_size


def whole_numbers(name: str, values: Iterable[Any], allowed: Sequence[int]) -> tuple[int, ...]:
    """Return integers without repeats, or raise for one outside `allowed`."""
    kept = []
    for value in values:
        if isinstance(value, bool) or value not in allowed:
            raise ValueError(
                f"{name} must be an integer from {allowed[0]} to {allowed[-1]}, got {value!r}"
            )
        kept.append(int(value))
    if not kept:
        raise ValueError(f"no {name} was given")
    return tuple(dict.fromkeys(kept))


def evaluate_corruptions(
    model: nn.Module,
    data: ImageData | tuple[Any, Any],
    *,
    severities: Iterable[int] = range(1, 6),
    corruptions: Iterable[str] = CORRUPTIONS,
    benchmark: str = "cifar",
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    folder: str | Path | None = None,
    verify: bool = True,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "float32",
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
        corruptions: From `CORRUPTIONS` (the default, all 15) and `EXTRA_CORRUPTIONS`.
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
    """
    data = as_data(data)
    names = tuple(dict.fromkeys(corruptions))
    for name in names:
        _checks.choice("corruption", name, (*CORRUPTIONS, *EXTRA_CORRUPTIONS))
    if not names:
        raise ValueError("no corruption was given")
    levels = whole_numbers("severity", severities, range(1, 6))
    sets = [f"{name}-{level}" for name in names for level in levels]
    settings = {
        "data": data.label,
        "data_fingerprint": data.fingerprint,
        "model_fingerprint": model_fingerprint(model) if isinstance(model, nn.Module) else "",
        "corruption_seed": seed,
        "benchmark": benchmark,
        "precision": precision,
        "source": "generated" if folder is None else ("official files" if verify else "own files"),
        "frost": _frost_name(frost),
    }
    place = None if out is None else Path(out)
    with forward(model, batch_size=batch_size, device=device, precision=precision) as (run, where):
        # A wrong setting or a foreign folder should not cost a whole evaluation first.
        path = None if place is None else place / _RECORD
        record = open_record(path, settings, row_key(model, data, key))
        clean = labelled(run(data), data)
        if place is not None:
            clean.save(place / _CLEAN)
        total = len(data) * len(sets)
        tell, close = reporter(progress, total)
        record["provenance"] = provenance(device=str(where))["provenance"]
        images = data.images.to(where)
        chunk = chunk_images(images[0].numel(), batch_size, _CHUNK_BYTES)
        try:
            for name in names:
                source = None if folder is None else _stored(folder, name, data, verify)
                for level in levels:
                    label = f"{name}-{level}"
                    if label not in record["sets"]:
                        if source is None:
                            parts = _generated(
                                images, name, level, chunk,
                                benchmark=benchmark, seed=seed, frost=frost,
                            )  # fmt: skip
                        else:
                            parts = source(level, chunk)
                        found = _predicted(run, parts, label, len(data), tell)
                        entry = CorruptedSet.of(name, level, labelled(found, data))
                        record["sets"][label] = entry.record()
                        write_record(path, record)
                    tell(label, len(data), len(data))
        finally:
            close()
    return _report(clean, record, sets)


def _predicted(
    run: Callable[[Any], Tensor],
    parts: Iterable[Tensor],
    label: str,
    total: int,
    tell: Callable[[str, int, int], None],
) -> Tensor:
    found, done = [], 0
    for part in parts:
        found.append(run(part))
        done += len(part)
        tell(label, done, total)
    return torch.cat(found)


def _generated(
    images: Tensor, name: str, severity: int, chunk: int, **options: Any
) -> Iterator[Tensor]:
    for first in range(0, len(images), chunk):
        part = images[first : first + chunk]
        yield corrupt(part, name, severity, first_index=first, **options)


def _stored(
    folder: str | Path, name: str, data: ImageData, verify: bool
) -> Callable[[int, int], Iterator[Tensor]]:
    """Return a reader (severity, chunk) -> parts of an official file, checked against `data`."""
    dataset = data.name if data.name in ("cifar10", "cifar100") else "cifar10"
    images, labels = read_cifar_c(folder, name, dataset=dataset, verify=verify)
    share = len(images) // 5
    if share < len(data) or images.shape[1:] != tuple(data.images.shape[1:]):
        raise ValueError(
            f"{name}.npy in {folder} has {share} images of {images.shape[1:]} a severity, the "
            f"clean data {len(data)} of {tuple(data.images.shape[1:])}"
        )
    if not np.array_equal(labels[: len(data)], data.labels.cpu().numpy()):
        raise ValueError(
            f"labels.npy in {folder} and the labels of {data.label} differ: the images are "
            "others, or in another order"
        )

    def parts(severity: int, chunk: int) -> Iterator[Tensor]:
        begin = (severity - 1) * share
        for first in range(begin, begin + len(data), chunk):
            last = min(first + chunk, begin + len(data))
            # A copy: the file is mapped read-only.
            yield torch.from_numpy(np.array(images[first:last]))

    return parts


def _frost_name(frost: Sequence[NDArray] | None) -> str:
    if frost is None:
        return "drawn textures"
    digest = hashlib.sha256()
    for photograph in frost:
        digest.update(np.ascontiguousarray(photograph).data)
    return f"photographs {digest.hexdigest()[:16]}"
