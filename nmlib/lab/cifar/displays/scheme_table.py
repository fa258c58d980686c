"""Tables of schemes: what each makes of a batch, and what was measured beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nmlib import _checks
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.published import ORDERED, published, tables_for
from nmlib.lab.cifar.records import SCHEME_NAMES, Records, flips_note, frame, measures, of_schemes
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import scheme_label
from nmlib.lab.display.tables import Column, TableDisplay
from nmlib.paper.numbers import SPECS

if TYPE_CHECKING:
    from nmlib.schemes import Scheme

__all__ = ["SchemeTableDisplay", "Spread", "scheme_sheet"]

# Column -> (heading, which end is better).
_CALIBRATION: dict[str, tuple[str, str]] = {
    "expected_calibration_error": ("ECE %", "low"),
    "rms_calibration_error": ("RMS calibration error %", "low"),
    "rms_calibration_error_reference": ("RMS error %, reference code", "low"),
    "aurra": ("AURRA %", "high"),
}
_HEADINGS = {
    "clean_accuracy": ("clean %", "high"),
    "robust_accuracy": ("robust %", "high"),
    "flip_probability": ("flips %", "low"),
} | _CALIBRATION


class Spread(float):
    """A mean over seeds that knows its lowest and highest seed; sorts as the mean.

    >>> Spread.of([1.0, 2.0, 6.0]), Spread.of([2.0])
    (3.0 (1.0 / 6.0), 2.0)
    """

    low: float
    high: float

    def __new__(cls, mean: float, low: float = math.nan, high: float = math.nan) -> Spread:
        """Make one; without `low` and `high` it is a single number."""
        made = super().__new__(cls, mean)
        made.low, made.high = float(low), float(high)
        return made

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return mean, lowest and highest of one value a seed."""
        mean = float(np.mean(values))
        return cls(mean, min(values), max(values)) if len(values) > 1 else cls(mean)

    def text(self, digits: int = 1) -> str:
        """Write it as the paper does: mean (lowest / highest)."""
        mean = f"{float(self):.{digits}f}"
        if math.isnan(self.low):
            return mean
        return f"{mean} ({self.low:.{digits}f} / {self.high:.{digits}f})"

    def __repr__(self) -> str:
        return self.text()


class _SpreadColumn(Column):
    """A column of means with their ranges."""

    def text(self, value: Any) -> str:
        if isinstance(value, Spread) and not math.isnan(value):
            # A narrow table breaks before the bracket, not within.
            return value.text(self.digits).replace(" / ", "\u00a0/\u00a0")
        return super().text(value)


@dataclass(frozen=True, eq=False)
class SchemeTableDisplay:
    """A row for each scheme: accuracies, calibration and flips beside the paper's.

    Attributes:
        schemes: The rows.
        ours: Scheme -> metric -> our values, mean (lowest / highest seed), in percent.
        paper: Scheme -> metric -> the paper's, for the metrics and schemes that it has.
        calibration: "corrupted" (means over the corrupted sets) or "clean".
        conditions: What ours were measured on.
        source: Which tables the paper's numbers are from.
        copied: Schemes whose number the paper took from elsewhere.
        flips: Which sequences our flips leave out and the paper's do not; "" if none.

    Source: paper Tables 2, 3, 13 and 14.
    """

    schemes: tuple[str, ...]
    ours: Mapping[str, Mapping[str, Spread]]
    paper: Mapping[str, Mapping[str, Spread]]
    calibration: str
    conditions: Conditions
    source: str
    copied: tuple[str, ...] = ()
    flips: str = ""

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        calibration: Literal["corrupted", "clean"] = "corrupted",
        sort_by: str | None = None,
    ) -> SchemeTableDisplay:
        """Gather a measured grid.

        Args:
            records: As from `nmlib.lab.cifar.measured`.
            schemes: Which rows; default those of `SCHEMES` that there are, in its order.
            calibration: Which images the calibration is of: "corrupted" (the mean over the sets,
                as the authors average it) or "clean", which also has the RMS calibration error as
                the reference code computes it, without the most confident bin. The paper prints
                calibration for ImageNet-R alone (Table 11), so none stands beside ours.
            sort_by: A metric; the best row first.

        Raises:
            ValueError: For records of several data sets, networks or budgets, or unknown names.
        """
        present = set(frame(records)["scheme"])
        names = list(schemes or (n for n in SCHEME_NAMES if n in present))
        runs = of_schemes(records, names)
        made, found = conditions(runs), measures(runs, calibration)
        ours = {
            name: {m: Spread.of(v.dropna()) for m, v in own.items() if v.notna().any()}
            for name, own in found.groupby("scheme")
        }
        paper: dict[str, dict[str, Spread]] = {name: {} for name in names}
        tables, copied = set(), set()
        for metric in found.columns.intersection(ORDERED):
            try:
                table, dataset, column = tables_for(runs, metric)
            except ValueError:  # flips on CIFAR-100
                continue
            printed = published(table, dataset, column)
            printed = printed[printed.index.isin(names)]
            for name, number in printed.iterrows():
                paper[name][metric] = Spread(number["value"], number["low"], number["high"])
            tables.add(table)
            copied |= set(printed.index[printed["copied"]])
        if sort_by is not None:
            _checks.choice("sort_by", sort_by, {m for o in ours.values() for m in o})
            sign = -1 if _HEADINGS[sort_by][1] == "high" else 1
            names.sort(key=lambda n: sign * ours[n].get(sort_by, math.inf * sign))
        return cls(
            tuple(names), ours, paper, calibration, made, _source(sorted(tables), runs),
            tuple(n for n in names if n in copied), flips_note(runs),
        )  # fmt: skip

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that were measured, in the order of the columns."""
        return tuple(m for m in _HEADINGS if any(m in o for o in self.ours.values()))

    def table(self) -> TableDisplay:
        """Return the table, whose headings sort it."""
        columns: list[Column] = [Column("scheme")]
        keys: list[tuple[Mapping[str, Mapping[str, Spread]], str]] = []
        for metric in self.metrics:
            heading, best = _HEADINGS[metric]
            columns.append(_SpreadColumn(heading, "ours", best=best))  # type: ignore[arg-type]
            keys.append((self.ours, metric))
            if any(metric in p for p in self.paper.values()):
                columns.append(_SpreadColumn(f"{heading}, paper", "paper"))
                keys.append((self.paper, metric))
        rows = [
            (
                scheme_label(name) + "†" * (name in self.copied),
                *(values[name].get(metric) for values, metric in keys),
            )
            for name in self.schemes
        ]
        return TableDisplay(tuple(columns), tuple(rows), self._caption())

    def _caption(self) -> str:
        several = any(not math.isnan(s.low) for o in self.ours.values() for s in o.values())
        which = (
            "mean over the corrupted sets" if self.calibration == "corrupted" else "clean images"
        )
        words = [f"Ours: {self.conditions}{'; mean (lowest / highest seed)' if several else ''}."]
        if set(self.metrics) & set(_CALIBRATION):
            words.append(f"Calibration: {which}.")
        if self.flips:
            words.append(f"Flips: ours over {self.flips}; the paper's over all.")
        if self.source:
            words.append(f"Paper: {self.source}.")
        if self.copied:
            words.append(
                "† the paper's number is copied from the paper that introduced the scheme."
            )
        return " ".join(words)

    @property
    def summary(self) -> str:
        """The best scheme of each column, in words."""
        parts = []
        for metric in self.metrics:
            heading, best = _HEADINGS[metric]
            there = {n: o[metric] for n, o in self.ours.items() if metric in o}
            top = (max if best == "high" else min)(there, key=there.__getitem__)
            parts.append(f"{heading.removesuffix(' %')} {scheme_label(top)} {there[top].text()} %")
        return f"{len(self.schemes)} schemes. Best here: {'; '.join(parts)}."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.table()._repr_mimebundle_()


def _source(tables: Sequence[int], records: Records) -> str:
    if not tables:
        return ""
    dataset = tables_for(records, "clean_accuracy")[1]
    named = " and ".join(map(str, tables))
    return f"Table{'s' * (len(tables) > 1)} {named}, {dataset}, {SPECS[tables[0]].network}"


_SHEET = (
    Column("scheme"),
    Column("views of an image"),
    Column("mixed by"),
    Column("noise σ_add, σ_mult"),
    Column("in effect"),
    Column("at point"),
    Column("views compared by"),
)


def scheme_sheet(schemes: Iterable[Scheme] | None = None) -> TableDisplay:
    """Return a table with a row for each scheme: its `nmlib.methods.settings_in_words`.

    Args:
        schemes: Default: all of `SCHEMES`.

    >>> from nmlib import SCHEMES
    >>> scheme_sheet([SCHEMES["noisymix"]]).rows[0][1:4]
    ('clean, 2 × AugMix', 'Mixup, α 1', '0.5, 0.5')
    """
    # The table of results above needs no torch.
    from nmlib.methods import settings_in_words
    from nmlib.schemes import SCHEMES

    chosen = SCHEMES.values() if schemes is None else schemes
    rows = tuple((scheme_label(s.name), *settings_in_words(s)) for s in chosen)
    return TableDisplay(_SHEET, rows, "What each scheme makes of a batch. Point 0 is the input.")
