"""The base of displays that show measured values by scheme, with the paper's beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.published import published_by_corruption
from nmlib.lab.cifar.records import Records, accuracies, flips, of_schemes
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import Look, looks_of
from nmlib.paper.numbers import SPECS

if TYPE_CHECKING:
    import pandas as pd

    from nmlib.evaluation import CorruptionReport, PerturbationReport

__all__ = ["MeasuredDisplay", "Report", "RowsDisplay"]

Report: TypeAlias = "CorruptionReport | PerturbationReport"


def _conditions_of(rows: pd.DataFrame) -> Conditions:
    """Return what a tidy table was measured on."""

    def either(column: str, word: str) -> str:
        return word.join(f"{v:,}" if column == "images" else str(v) for v in rows[column].unique())

    seeds = rows.groupby("scheme")["seed"].nunique()
    least, most = int(seeds.min()), int(seeds.max())
    details = [f"{either('images', ' or ')} images"]
    levels = sorted(set(rows["severity"]) - {0}) if "severity" in rows else []
    if levels:
        which = "1 to 5" if levels == [1, 2, 3, 4, 5] else ", ".join(map(str, levels))
        details.append(f"severity {which}")
    number = str(least) if least == most else f"{least} to {most}"
    details.append(f"{number} seed{'s' * (most > 1)} a scheme")
    return Conditions(either("dataset", " and "), either("model", " and "), details=tuple(details))


@dataclass(frozen=True, eq=False)
class MeasuredDisplay(Display):
    """Measured values by scheme.

    Attributes:
        values: (scheme and seed, column) percent; nan where nothing was measured.
        paper: (scheme, column) percent, the paper's numbers; without rows if there are none.
        source: Where the paper's numbers are from.
    """

    values: pd.DataFrame
    paper: pd.DataFrame
    source: str = field(default="", kw_only=True)

    image = "lines"
    # What is drawn: the column of the values in a tidy table, and that of their names.
    _value: ClassVar[Literal["accuracy", "flip_probability"]] = "accuracy"
    _key: ClassVar[str] = "corruption"

    @classmethod
    @abstractmethod
    def _arrange(cls, ours: pd.DataFrame, paper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Choose, average and order the columns of ours and the paper's."""

    @classmethod
    def _of(cls, rows: Any, paper: pd.DataFrame | None = None) -> Self:
        """Average a tidy table over everything but scheme, seed and the columns of the display."""
        import pandas as pd

        rows = pd.DataFrame(rows)
        if rows.empty:
            raise ValueError("there are no rows to draw")
        rows["seed"] = pd.to_numeric(rows["seed"]).fillna(0)  # without a seed: one
        wide = 100 * rows.pivot_table(cls._value, ["scheme", "seed"], cls._key, sort=False)
        theirs = pd.DataFrame() if paper is None else paper
        return cls(*cls._arrange(wide, theirs), conditions=_conditions_of(rows))

    @classmethod
    def from_reports(cls, reports: Mapping[str, Report | Sequence[Report]]) -> Self:
        """Draw reports of `evaluate_corruptions` or `evaluate_perturbations`.

        Args:
            reports: Scheme -> report, or reports of several seeds.
        """
        rows = []
        for label, given in reports.items():
            several: Sequence[Any] = given if isinstance(given, Sequence) else [given]
            for number, report in enumerate(several):
                seed = report.key.get("seed")
                own = {"scheme": label, "seed": number if seed is None else seed}
                rows += [{**row, **own} for row in report.rows]
        return cls._of(rows)

    @property
    def means(self) -> pd.DataFrame:
        """(scheme, column) means over the seeds."""
        return self.values.groupby("scheme", sort=False).mean()

    @property
    def spread(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """How far the lowest and the highest seed are from the mean, each (scheme, column)."""
        by_scheme = self.values.groupby("scheme", sort=False)
        return self.means - by_scheme.min(), by_scheme.max() - self.means

    @property
    def several(self) -> bool:
        """Whether a scheme has more than one seed."""
        return bool(self.values.groupby("scheme").size().max() > 1)

    @property
    def looks(self) -> dict[str, Look]:
        """How each scheme is drawn."""
        return looks_of(list(self.means.index))

    @property
    def marks(self) -> str:
        """What the marks of the picture stand for."""
        return "means over seeds" if self.several else ""

    @property
    def small_print(self) -> str:
        text = "; ".join(filter(None, (self.conditions.full, self.marks)))
        return f"ours: {text}\npaper: {self.source}" if self.source else text


class RowsDisplay(MeasuredDisplay):
    """Measured values by scheme, from a tidy table, from reports or from a grid."""

    # Whether the paper's clean accuracy is drawn, too.
    _clean: ClassVar[bool] = False

    @classmethod
    def from_rows(cls, rows: Any) -> Self:
        """Draw a tidy table: a data frame, or a dictionary for each row.

        Args:
            rows: With dataset, model, scheme, seed, images; and corruption, severity and accuracy,
                or perturbation and flip_probability, as shares in [0, 1].
        """
        return cls._of(rows)

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        paper: int | None = None,
    ) -> Self:
        """Draw a measured grid; records without the value that is drawn are left out.

        Args:
            records: As from `nmlib.lab.cifar.measured`.
            schemes: Which, in this order; default all.
            paper: Table of the paper to draw beside it: 7 to 10 of accuracies, 13 or 14 of flip
                probabilities.
        """
        runs = of_schemes(records, schemes).dropna(subset=cls._value)
        theirs, source = None, ""
        if paper is not None:
            clean = f" (clean: Table {2 if paper < 9 else 3})" if cls._clean else ""
            source = f"Table {paper}{clean}, {SPECS[paper].network}"
            table = published_by_corruption(paper).T
            theirs = table.loc[[s for s in runs["scheme"].unique() if s in table.index]]
        rows = accuracies(runs) if cls._value == "accuracy" else flips(runs)
        display = cls._of(rows, theirs)
        return replace(display, conditions=cls._measured_on(runs), source=source)

    @classmethod
    def _measured_on(cls, runs: pd.DataFrame) -> Conditions:
        """Return the small print of records."""
        return conditions(runs)
