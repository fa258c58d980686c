"""Measured rows and records, gathered for the displays, with their small print."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.evaluation import CorruptionReport, PerturbationReport
from nmlib.lab.cifar.conditions import comparable, conditions
from nmlib.lab.cifar.ordering import published_by_corruption
from nmlib.lab.display.base import Shown
from nmlib.paper.numbers import SPECS

__all__ = [
    "Measured",
    "MeasuredDisplay",
    "Paper",
    "Records",
    "Report",
    "Rows",
    "chosen",
    "conditions_of_rows",
    "gather",
    "paper_rows",
    "published",
    "rows_of_records",
    "rows_of_reports",
]

Rows = Iterable[Mapping[str, Any]]
Records = Sequence[Mapping[str, Any]]
Paper = Mapping[str, Mapping[str, float]]
Report = CorruptionReport | PerturbationReport


@dataclass(frozen=True)
class Measured:
    """Values of one scheme, one array entry a training seed.

    Attributes:
        scheme: Name.
        values: Name of a column -> (seeds,) values in percent.
    """

    scheme: str
    values: Mapping[str, NDArray[np.float64]]

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return max(len(v) for v in self.values.values())

    def means(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return the means over seeds, NaN where nothing was measured."""
        return np.array([self.values[n].mean() if n in self.values else np.nan for n in names])

    def spread(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return (2, names): how far the lowest and the highest seed are from the mean."""
        low, high = [], []
        for name, mean in zip(names, self.means(names), strict=True):
            values = self.values.get(name, np.array([np.nan]))
            low.append(mean - values.min())
            high.append(values.max() - mean)
        return np.maximum(np.array([low, high]), 0)


def gather(rows: Rows, name: str, value: str) -> tuple[Measured, ...]:
    """Average a tidy table over everything but scheme, seed and the column `name`."""
    cells: dict[str, dict[str, dict[Any, list[float]]]] = {}
    for row in rows:
        by_seed = cells.setdefault(str(row["scheme"]), {}).setdefault(str(row[name]), {})
        by_seed.setdefault(row.get("seed"), []).append(100 * float(row[value]))
    if not cells:
        raise ValueError("there are no rows to draw")
    return tuple(
        Measured(
            scheme,
            {n: np.array([np.mean(v) for v in seeds.values()]) for n, seeds in columns.items()},
        )
        for scheme, columns in cells.items()
    )


def rows_of_reports(reports: Any) -> list[dict[str, Any]]:
    """Return the rows of reports, {label: report or reports of several seeds} or a sequence."""
    if not isinstance(reports, Mapping):
        return [row for report in reports for row in report.rows]
    rows = []
    for label, several in reports.items():
        several = several if isinstance(several, Sequence) else [several]
        for number, report in enumerate(several):
            seed = report.key.get("seed")
            rows += [
                {**row, "scheme": label, "seed": number if seed is None else seed}
                for row in report.rows
            ]
    return rows


def rows_of_records(
    records: Records, value: Literal["accuracy", "flip_probability"] = "accuracy"
) -> list[dict[str, Any]]:
    """Return the measured records of a grid as a tidy table for the displays here.

    Args:
        records: As from `nmlib.lab.cifar.records`.
        value: "accuracy" (a row for each corruption and severity, and one for clean images) or
            "flip_probability" (a row for each perturbation that can stand beside the paper's, see
            `nmlib.lab.cifar.comparable`; records without any are left out).

    Returns:
        Rows keyed (dataset, model, scheme, seed, corruption, severity) or (..., perturbation).
    """
    _checks.choice("value", value, ("accuracy", "flip_probability"))
    rows = []
    for record in comparable(records):
        key = {k: record[k] for k in ("dataset", "model", "scheme", "seed")}
        if value == "flip_probability":
            images = {"images": record.get("sequence_images")}
            flips = record.get("flip_probability") or {}
            rows += [key | images | {"perturbation": n, value: v} for n, v in flips.items()]
            continue
        images = {"images": record["test_images"]}
        clean = {"corruption": "clean", "severity": 0, value: record["clean_accuracy"]}
        rows.append(key | images | clean)
        for name, levels in record["accuracy"].items():
            rows += [
                key | images | {"corruption": name, "severity": k, value: v}
                for k, v in enumerate(levels, 1)
            ]
    return rows


def chosen(records: Records, schemes: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """Return the records of some schemes, in the order in which these are named."""
    if schemes is None:
        return list(records)
    present = dict.fromkeys(r["scheme"] for r in records)
    for scheme in schemes:
        _checks.choice("measured scheme", scheme, present)
    return [r for scheme in schemes for r in records if r["scheme"] == scheme]


def published(
    paper: Paper | int | None, schemes: Iterable[str], *, clean: bool = False
) -> tuple[Paper | None, str]:
    """Return the paper's numbers of the schemes that a table has, and what to say of them."""
    if not isinstance(paper, int):
        return paper, ""
    there = set(schemes)
    found = {s: v for s, v in published_by_corruption(paper).items() if s in there}
    table = f"Table {paper}"
    if clean:
        table += f" (clean: Table {2 if paper < 9 else 3})"
    return found, f"\npaper: {table}, {SPECS[paper].network}"


def conditions_of_rows(rows: Rows, per: str) -> str:
    """Say what the rows are: data, images, networks, seeds."""
    rows = list(rows)
    seeds = {(row["scheme"], row.get("seed")) for row in rows}
    each = [sum(s == scheme for s, _ in seeds) for scheme in {scheme for scheme, _ in seeds}]
    least, most = min(each), max(each)
    count = (
        f"{least} seed{'s' if least > 1 else ''}" if least == most else f"{least} to {most} seeds"
    )
    severities = sorted({row["severity"] for row in rows if row.get("severity")})
    parts = [
        " and ".join(dict.fromkeys(str(row[name]) for row in rows)) for name in ("dataset", "model")
    ]
    counts = sorted({int(row["images"]) for row in rows})
    parts.append(f"{' or '.join(f'{n:,}' for n in counts)} images")
    if severities:
        levels = "1 to 5" if severities == [1, 2, 3, 4, 5] else ", ".join(map(str, severities))
        parts.append(f"severity {levels}")
    parts.append(f"{count} a scheme")
    return ", ".join(parts) + (f"; {per}" if most > 1 else "")


def paper_rows(paper: Paper | None, names: Sequence[str], schemes: Sequence[str]) -> dict[str, Any]:
    """Check the paper's numbers; return them by scheme as arrays in the order of `names`."""
    found = {}
    for scheme in paper or {}:
        _checks.choice("scheme of the paper", scheme, schemes)
    for scheme in schemes:
        if not paper or scheme not in paper:
            continue
        values = paper[scheme]
        row = np.array([float(values.get(n, np.nan)) for n in names])
        if np.nanmax(row) <= 1:
            raise ValueError(
                f"the paper's numbers for {scheme} must be in percent, got {np.nanmax(row):.3g} "
                "as the largest"
            )
        found[scheme] = row
    return found


@dataclass(frozen=True)
class MeasuredDisplay(Shown):
    """A display of measured values by scheme, from a table, from reports or from a grid.

    Subclasses have `from_rows`.
    """

    measured: tuple[Measured, ...]
    paper: Mapping[str, NDArray[np.float64]]
    conditions: str = field(default="", kw_only=True)

    flat = True
    # The column that is drawn, and whether the paper's clean accuracy is drawn beside it.
    _value: ClassVar[Literal["accuracy", "flip_probability"]] = "accuracy"
    _clean: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> Self: ...

    @classmethod
    def from_reports(
        cls, reports: Mapping[str, Report | Sequence[Report]], *, paper: Paper | None = None
    ) -> Self:
        """Draw reports, {scheme: report, or reports of several seeds}."""
        return cls.from_rows(rows_of_reports(reports), paper=paper)

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        paper: Paper | int | None = None,
    ) -> Self:
        """Draw a measured grid; records without the value that is drawn are left out.

        Args:
            records: As from `nmlib.lab.cifar.records`.
            schemes: Which, in this order; default all.
            paper: As in `from_rows`, or the number of a table: 7 to 10 of accuracies, 13 or 14 of
                flip probabilities.
        """
        kept = [r for r in chosen(records, schemes) if r.get(cls._value)]
        numbers, source = published(paper, (r["scheme"] for r in kept), clean=cls._clean)
        display = cls._from_records(kept, numbers)
        text = f"ours: {conditions(kept)}{cls._of_records(kept)}{display._marks}{source}"
        return replace(display, conditions=text)

    @classmethod
    def _from_records(cls, records: Records, paper: Paper | None) -> Self:
        """Return the display of records that have the value."""
        return cls.from_rows(rows_of_records(records, cls._value), paper=paper)

    @classmethod
    def _of_records(cls, records: Records) -> str:
        """Return what else the small print says of records."""
        return ""

    @property
    def _marks(self) -> str:
        """Return what the small print says of the marks."""
        return ""
