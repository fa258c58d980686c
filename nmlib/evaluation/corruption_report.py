"""What a model did under the corruptions of CIFAR-C: tables, means, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib._files import user_path
from nmlib.corruptions import CORRUPTIONS, FAMILIES
from nmlib.evaluation.predictions import Predictions, TopPredictions, read_predictions
from nmlib.evaluation.report import Report, mean_with_error
from nmlib.evaluation.storage import made, pack, read_record, shares, unpack, write_record
from nmlib.metrics import (
    ALEXNET_SEVERITY_ERRORS,
    CORRUPTION_FAMILIES,
    ReliabilityCurve,
    mean_corruption_error,
    reliability_curve,
)

__all__ = ["CorruptedSet", "CorruptionReport"]

RECORD, CLEAN = "corruptions.json", "clean.npz"
# The greatest value of the measures that are no shares.
_MOST = {"negative_log_likelihood": np.inf, "brier_score": 2}
# As leaderboards write them.
_PRINTED = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}
_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}


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
    def of(
        cls, corruption: str, severity: int, found: Predictions | TopPredictions
    ) -> CorruptedSet:
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
        """Return what `record` was made from; `name` is "corruption-severity".

        Raises:
            ValueError: For numbers that no model can have, or that contradict each other.
        """
        corruption, severity = name.rsplit("-", 1)
        count = np.array(record["count"])
        means = [shares(k, record[k]) for k in ("confidence", "accuracy")]
        if count.ndim != 1 or any(mean.shape != count.shape for mean in means):
            raise ValueError(f"{[x.size for x in (count, *means)]} bins")
        means = [np.where(count, mean, np.nan) for mean in means]
        curve = ReliabilityCurve(np.linspace(0, 1, len(count) + 1), count, *means)
        packed, images = unpack(record["correct"]), record["images"]
        if not (8 * packed.size >= images > 8 * (packed.size - 1) and images == count.sum()):
            raise ValueError(f"{images} images, but {count.sum()} in the bins")
        bits = np.unpackbits(packed, count=images)
        for measure, value in record["measures"].items():
            if value is not None:
                shares(measure, value, _MOST.get(measure, 1))
        if abs(record["measures"]["accuracy"] - bits.mean()) > 1e-6:
            raise ValueError(
                f"accuracy {record['measures']['accuracy']}, but {bits.sum()} of {bits.size} right"
            )
        return cls(corruption, int(severity), record["measures"], curve, bits.astype(bool))


@dataclass(frozen=True, repr=False)
class CorruptionReport(Report):
    """A model on clean and on corrupted images.

    Means are taken over the sets that were evaluated, `coverage` says which; those of the four
    extra corruptions and of one's own never enter them unless they are named.

    Attributes:
        clean: Predictions on the clean images.
        sets: One entry a corruption and severity.
        key: What the rows of tables are keyed by: dataset, model, scheme, seed.
        provenance: Settings, data fingerprint, corruption seed, commit, versions.
    """

    clean: Predictions | TopPredictions
    sets: tuple[CorruptedSet, ...]
    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The main numbers in a sentence."""
        start = f"{self.subject}: clean accuracy {100 * self.clean.accuracy:.1f} %"
        if not self._has_robust:
            return start
        robust, error = 100 * self.robust_accuracy, 100 * self.standard_error
        return f"{start}, robust accuracy {robust:.1f} ± {error:.1f} % ({self.coverage})"

    @property
    def _has_robust(self) -> bool:
        """Whether one of the benchmark's 15 is there, and so anything to average over."""
        return not set(self.corruptions).isdisjoint(CORRUPTIONS)

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
                {**self.key, **place, "family": _FAMILY.get(s.corruption, "own")}
                | {"images": len(s.correct)}
                | dict(s.measures)
            )
        return rows

    def _chosen(
        self,
        corruptions: str | Iterable[str] | None = None,
        severities: int | Iterable[int] | None = None,
        without: str | Iterable[str] = (),
    ) -> list[CorruptedSet]:
        names = _checks.as_tuple(CORRUPTIONS if corruptions is None else corruptions)
        levels = _checks.as_tuple(self.severities if severities is None else severities)
        if corruptions is not None:
            for name in names:
                _checks.choice("corruption of this report", name, self.corruptions)
        lacking = [level for level in levels if level not in self.severities]
        if lacking:
            raise ValueError(
                f"severity {lacking[0]!r} was not evaluated; this report has "
                f"{', '.join(map(str, self.severities))}"
            )
        for family in _checks.as_tuple(without):
            _checks.choice("family", family, CORRUPTION_FAMILIES)
            names = tuple(n for n in names if _FAMILY.get(n) != family)
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
        corruptions: str | Iterable[str] | None = None,
        severities: int | Iterable[int] | None = None,
        without: str | Iterable[str] = (),
    ) -> float:
        """Return the mean of a measure over sets.

        Args:
            measure: Column of `rows`, such as "accuracy" or "expected_calibration_error".
            corruptions: Which; default those of the benchmark's 15 that are there.
            severities: Which; default all that are there.
            without: Families to leave out, e.g. ("noise",) for "(excluding noise)".

        Raises:
            ValueError: For an unknown measure or family, a corruption or severity that was not
                evaluated, or if no set is left.
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

    @property
    def mean_corruption_error(self) -> float:
        """Error relative to AlexNet's under the same corruptions and severities, 1 is as bad.

        For ImageNet-C only. With all five severities it is the benchmark's mCE.

        Raises:
            ValueError: If one of the 15 corruptions is missing, or some of its severities.

        Source: Hendrycks & Dietterich (2019), eq. of sec. 4.2.
        """
        levels = self.severities
        table = self.errors
        if any(len(table.get(name, ())) != len(levels) for name in CORRUPTIONS):
            raise ValueError(
                f"the mean corruption error needs all 15 corruptions at each severity; this report "
                f"has {self.coverage}"
            )
        reference = {
            name: np.mean([values[s - 1] for s in levels])
            for name, values in ALEXNET_SEVERITY_ERRORS.items()
        }
        return mean_corruption_error(
            {name: np.mean(table[name]) for name in CORRUPTIONS}, reference=reference
        )

    def image_accuracies(self) -> NDArray[np.float64]:
        """Return each image's share of sets in which it was recognised, (N,)."""
        return np.mean([s.correct for s in self._chosen()], axis=0, dtype=np.float64)

    @property
    def standard_error(self) -> float:
        """Standard error of `robust_accuracy` for the choice of test images.

        The sets hold the same images, so the images count, not the sets.
        """
        return mean_with_error(self.image_accuracies())[1]

    def minus(self, other: CorruptionReport) -> tuple[float, float]:
        """Return this robust accuracy minus another's, and the standard error of the difference.

        Image by image, so much sharper than the two standard errors alone. It covers the choice of
        test images, not that of the training seed.

        Raises:
            ValueError: If the two saw different images, corrupted them differently, or have
                different sets.
        """
        if self.clean.fingerprint != other.clean.fingerprint:
            raise ValueError(
                f"the reports are on different images ({self.clean.fingerprint}, "
                f"{other.clean.fingerprint})"
            )
        for setting in ("corruption_seed", "benchmark", "source", "frost", "jpeg"):
            pair = self.provenance.get(setting), other.provenance.get(setting)
            if pair[0] != pair[1]:
                raise ValueError(
                    f"the reports are on different pixels: {setting} is {pair[0]!r} in one and "
                    f"{pair[1]!r} in the other"
                )
        files, others = (dict(r.provenance.get("files") or {}) for r in (self, other))
        for name in files.keys() & others.keys():
            if files[name] != others[name]:
                raise ValueError(
                    f"the reports are on different pixels: {name}.npy has MD5 {files[name]} in one "
                    f"and {others[name]} in the other"
                )
        mine, theirs = ({(s.corruption, s.severity) for s in r._chosen()} for r in (self, other))
        if mine != theirs:
            raise ValueError(f"the reports have different sets: {self.coverage}; {other.coverage}")
        return mean_with_error(self.image_accuracies() - other.image_accuracies())

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
            family: self.mean(corruptions=[n for n in names if n in there])
            for family, names in CORRUPTION_FAMILIES.items()
            if there & set(names)
        }

    @property
    def calibration(self) -> dict[str, dict[str, float | None]]:
        """Measures on "clean" images, and their means over the "corrupted" sets.

        Those of the benchmark's 15 corruptions; None where there are none, or too few images.

        Source: the mean over sets is how the authors average the calibration error.
        """
        clean = self.clean.measures()
        chosen = self._chosen() if self._has_robust else []
        few = {k for s in chosen for k, v in s.measures.items() if v is None}
        if not chosen:
            few = set(clean)
        return {
            "clean": clean,
            "corrupted": {k: None if k in few else self.mean(k) for k in clean},
        }

    def reliability(
        self,
        *,
        corruptions: str | Iterable[str] | None = None,
        severities: int | Iterable[int] | None = None,
    ) -> ReliabilityCurve:
        """Return the reliability curve of all chosen sets together.

        Args:
            corruptions: Which; default those of the benchmark's 15 that are there.
            severities: Which; default all that are there.
        """
        return ReliabilityCurve.pooled(s.curve for s in self._chosen(corruptions, severities))

    def numbers(self) -> dict[str, Any]:
        """Return what measured records keep, ready for JSON.

        Accuracies by corruption and severity, calibration, the pooled reliability curve, and how
        often each test image was recognised.
        """
        by_name: dict[str, list[float]] = {}
        for s in self.sets:
            by_name.setdefault(s.corruption, []).append(round(float(s.correct.mean()), 5))
        curve = self.reliability()
        return {
            "clean_accuracy": self.clean.accuracy,
            "robust_accuracy": self.robust_accuracy,
            **self.calibration,
            "reliability": {
                "count": curve.count.tolist(),
                # An empty bin has no mean; JSON has no NaN.
                "confidence": np.nan_to_num(curve.confidence).round(5).tolist(),
                "accuracy": np.nan_to_num(curve.accuracy).round(5).tolist(),
            },
            "accuracy": by_name,
            "clean_hits": self.clean.correct.int().tolist(),
            "robust_hits": np.sum([s.correct for s in self.sets], axis=0).tolist(),
        }

    def table(self) -> str:
        """Return accuracies in percent as text: corruptions down, severities across."""
        levels = self.severities
        lines = [f"{'accuracy, %':20}" + "".join(f"{s:>7}" for s in levels) + f"{'mean':>8}"]
        lines.append(f"{'clean':20}" + " " * 7 * len(levels) + f"{100 * self.clean.accuracy:8.1f}")
        for name, found in self.accuracies.items():
            cells = "".join(f"{100 * found[s]:7.1f}" if s in found else " " * 7 for s in levels)
            lines.append(f"{name:20}{cells}{100 * self.by_corruption[name]:8.1f}")
        if self._has_robust:
            means = "".join(f"{100 * v:7.1f}" for v in self.by_severity.values())
            lines.append(f"{'robust accuracy':20}{means}{100 * self.robust_accuracy:8.1f}")
        return "\n".join(lines)

    def claim(self, board: Literal["robustbench", "openood"] = "robustbench") -> str:
        """Return the entry that a leaderboard's issue form asks for, in Markdown.

        The forms are RobustBench's "New Model(s)" and OpenOOD's "Adding leaderboard entry". Where
        the report knows nothing, a field stays empty: the paper, the address of the checkpoint,
        whether more data were used for training; for OpenOOD also the postprocessor and its two
        AUROCs, which OpenOOD's own evaluator measures.

        Args:
            board: "robustbench" (threat model "Common Corruptions") or "openood".

        Raises:
            ValueError: For another board, or an incomplete report: RobustBench's robust accuracy is
                the mean over 15 corruptions at five severities.
        """
        _checks.choice("leaderboard", board, ("robustbench", "openood"))
        if board == "robustbench" and not self.complete:
            raise ValueError(
                "RobustBench takes means over 15 corruptions x 5 severities; this report has "
                f"{self.coverage}: evaluate the rest (without corruptions= and severities=)"
            )
        known = self.provenance
        dataset = str(self.key.get("dataset", ""))
        printed = _PRINTED.get(dataset, dataset)
        method = str(self.key.get("scheme") or "")
        clean = f"{100 * self.clean.accuracy:.2f}"
        measured = f"nmlib {known.get('nmlib', '')}, commit {known.get('commit', 'unknown')}"
        if board == "openood":
            entry = {
                "Training": method, "Postprocessor": "", "Near-OOD AUROC": "",
                "Far-OOD AUROC": "", "ID Accuracy": clean, "Outlier Data": "",
                "Model Arch.": self.key.get("model", ""),
                "Additional Description": f"{printed}, {len(self.clean):,} images; {measured}",
            }  # fmt: skip
            return "\n".join(f"- **`{name}`**: {value}".rstrip() for name, value in entry.items())
        source = known.get("source", "")
        if source == "generated":
            source = f"sets made by nmlib, seed {known['corruption_seed']}, not the official files"
        entry = {
            "Dataset": printed, "Architecture": self.key.get("model", ""),
            "Threat Model": "Common Corruptions", "eps": "N/A", "Clean accuracy": clean,
            "Robust accuracy": f"{100 * self.robust_accuracy:.2f}", "Additional data": "",
            "Evaluation method": f"{printed}-C, {self.coverage}; {source}; {measured}",
            "Checkpoint and code": "",
        }  # fmt: skip
        paper = ("Paper Title", "Paper URL", "Paper authors")
        return "\n".join(
            [
                "# Paper Information\n",
                *(f"- **{name}**:" for name in paper),
                f"\n# Leaderboard Claim(s)\n\n## {method or 'Model 1'}\n",
                *(f"- **{name}**: {value}".rstrip() for name, value in entry.items()),
            ]
        )

    def save(self, folder: str | Path) -> Path:
        """Write the report for `read`; what the folder holds of an older one is replaced.

        Returns:
            The folder.
        """
        folder = user_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sets = {f"{s.corruption}-{s.severity}": s.record() for s in self.sets}
        self.clean.save(folder / CLEAN)
        write_record(
            folder / RECORD,
            {"settings": dict(self.provenance), "key": dict(self.key), "sets": sets},
        )
        return folder

    @classmethod
    def read(cls, folder: str | Path) -> CorruptionReport:
        """Read the report that `save` or `evaluate_corruptions(out=folder)` wrote, finished or not.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If a file is damaged, or the two are of different images.
        """
        folder = user_path(folder)
        record = read_record(folder / RECORD, CorruptedSet.from_record)
        clean = read_predictions(folder / CLEAN)
        known = record["settings"].get("data_fingerprint")
        if known and clean.fingerprint and known != clean.fingerprint:
            raise ValueError(
                f"{folder / CLEAN} and {folder / RECORD} are of different images "
                f"({clean.fingerprint}, {known}); remove both and evaluate again"
            )
        return cls.from_record(clean, record, list(record["sets"]))

    @classmethod
    def from_record(
        cls, clean: Predictions | TopPredictions, record: Mapping[str, Any], names: Sequence[str]
    ) -> CorruptionReport:
        """Return the report on the sets called `names`, "corruption-severity", of a record."""
        sets = tuple(CorruptedSet.from_record(name, record["sets"][name]) for name in names)
        known = record["settings"] | made(record, names)
        return cls(clean, sets, record["key"], known)
