"""Table 4, the paper's rows and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib.lab.ablation.switches import (
    SWITCH_WORDS,
    ablation_conditions,
    all_off,
    low_words,
    same_switches,
    seeds_words,
)
from nmlib.lab.cifar.records import ablation_cells
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import OURS, PAPER, bare, diamond, new_figure
from nmlib.lab.display.tables import Column, TableDisplay
from nmlib.lab.display.words import small_print
from nmlib.paper import SWITCHES, ablation
from nmlib.paper.numbers import numbers
from nmlib.rng import Rng
from nmlib.statistics import Cells, differences

__all__ = [
    "AblationTableDisplay",
]

_TEST_SET = {"robust_accuracy": "CIFAR-100-C", "clean_accuracy": "CIFAR-100"}


def _row_words(row: Sequence[bool]) -> str:
    on = [low_words(s) for s, is_on in zip(SWITCHES, row, strict=True) if is_on]
    return " + ".join(on) or "none"


@dataclass(frozen=True, eq=False)
class AblationTableDisplay(Shown):
    """Table 4 with its ticks: the paper's gains, and ours where there are any.

    Attributes:
        paper: The published rows.
        ours: Our rows; rows of one and not of the other stay empty there.
        conditions: What ours were measured on; stands in the corner.
        sort_by: "paper", "ours" or "switches".
        level: Coverage of our intervals (Student, over seeds, the scatter of all rows pooled).
        metric: "robust_accuracy" or "clean_accuracy". The paper prints gains for the first.

    Source: paper Table 4.

    >>> AblationTableDisplay.from_paper().summary.split(";")[0]
    'Table 4 of the paper: robust accuracy from 47.4 to 71.9 % in ten rows'
    """

    paper: Cells
    ours: Cells | None = None
    conditions: str = ""
    sort_by: str = "paper"
    level: float = 0.95
    metric: str = "robust_accuracy"

    def __post_init__(self) -> None:
        _checks.choice("sort_by", self.sort_by, ("paper", "ours", "switches"))
        same_switches(self.paper)
        same_switches(self.ours)
        if self.sort_by == "ours" and self.ours is None:
            raise ValueError("sort_by='ours' needs our results; give ours= or sort by 'paper'")

    @classmethod
    def from_paper(
        cls,
        ours: Cells | None = None,
        *,
        metric: str = "robust_accuracy",
        conditions: str = "",
        sort_by: str = "paper",
    ) -> AblationTableDisplay:
        """Put our cells (in percent), if any, beside the paper's."""
        return cls(ablation(metric), ours, conditions, sort_by, metric=metric)

    @classmethod
    def from_records(
        cls,
        records: Sequence[Mapping[str, Any]],
        *,
        metric: str = "robust_accuracy",
        sort_by: str = "paper",
    ) -> AblationTableDisplay:
        """Put measured records (`nmlib.lab.cifar.records`) beside the paper's rows."""
        cells = ablation_cells(records, metric)
        return cls.from_paper(
            cells, metric=metric, conditions=ablation_conditions(records), sort_by=sort_by
        )

    def order(self) -> list[tuple[bool, ...]]:
        """Return the rows from top to bottom, the lowest accuracy first."""
        rows = dict.fromkeys([*self.paper.rows, *(self.ours.rows if self.ours else ())])
        if self.sort_by == "switches":
            return sorted(rows, key=lambda r: (sum(r), tuple(not on for on in r)))
        by = self.paper if self.sort_by == "paper" or self.ours is None else self.ours
        value = {r: float(by.means[k]) for r, k in by.rows.items()}
        return sorted(rows, key=lambda r: value.get(r, np.inf))

    @property
    def summary(self) -> str:
        p = self.paper.means
        text = (
            f"Table 4 of the paper: {self.metric.replace('_', ' ')} from {p.min():.1f} to "
            f"{p.max():.1f} % in ten rows; the largest gain has "
            f"{_row_words(self.paper.on[int(p.argmax())])}."
        )
        if self.ours is not None:
            o = self.ours.means
            text += (
                f" Ours: {o.min():.1f} to {o.max():.1f} %, {seeds_words(self.ours)}, the best row "
                f"has {_row_words(self.ours.on[int(o.argmax())])}."
            )
        return text

    def _entries(self) -> list[dict[str, Any]]:
        """Return one record a row: ticks, values, gains and our interval."""
        base = {"paper": all_off(self.paper)}
        paired = None
        if self.ours is not None:
            base["ours"] = all_off(self.ours)
            paired = differences(self.ours, Rng(0), level=self.level, resamples=2, pooled=True)
        # As printed: 71.9 - 47.4 is 24.5, but Table 4 says 24.4.
        gain_in_print = {
            tuple(getattr(p, s) for s in SWITCHES): p.value
            for p in numbers(4)
            if p.metric == "robustness_gain"
        }
        entries = []
        for row in self.order():
            entry: dict[str, Any] = {"row": row}
            for name, cells in (("paper", self.paper), ("ours", self.ours)):
                if cells is not None and row in cells.rows:
                    k = cells.rows[row]
                    entry[name] = float(cells.means[k])
                    entry[f"{name} gain"] = entry[name] - base[name]
                    if name == "paper" and self.metric == "robust_accuracy":
                        entry["paper gain"] = gain_in_print.get(row, 0.0)
                    if paired is not None and name == "ours" and any(row):
                        entry["reach"] = float(paired.t_high[k] - paired.difference[k])
            entries.append(entry)
        return entries

    def plot(self) -> Any:
        """Draw the ticks on the left and the gains over the first row on the right."""
        entries = self._entries()
        n = len(entries)
        figure = new_figure(10, 0.36 * n + 1.5)
        left, right = figure.subplots(
            1, 2, width_ratios=(5.4 if self.ours else 4.6, 5), sharey=True
        )
        y = np.arange(n)[::-1]
        for k, switch in enumerate(SWITCHES):
            for at, entry in zip(y, entries, strict=True):
                on = entry["row"][k]
                left.plot(
                    k, at, "o", ms=9 if on else 3, color="0.15" if on else "0.75", clip_on=False
                )
            left.text(
                k, n - 0.35, SWITCH_WORDS[switch].replace(" ", "\n"), ha="center", fontsize=7.5
            )
        for at, entry in zip(y, entries, strict=True):
            on = [k for k in range(4) if entry["row"][k]]
            if on:
                left.plot([on[0], on[-1]], [at, at], color="0.15", lw=1.2)
            if "paper" in entry:
                left.text(4.6, at, f"{entry['paper']:.1f}", color=PAPER, ha="center", va="center",
                          style="italic")  # fmt: skip
            if "ours" in entry:
                left.text(5.8, at, f"{entry['ours']:.1f}", color=OURS, ha="center", va="center",
                          weight="bold")  # fmt: skip
        left.text(4.6, n - 0.35, "paper\n%", ha="center", fontsize=8, color=PAPER, style="italic")
        if self.ours is not None:
            left.text(5.8, n - 0.35, "ours\n%", ha="center", fontsize=8, color=OURS, weight="bold")
        left.set_xlim(-0.5, 6.4 if self.ours else 5.2)
        left.set_ylim(-0.7, n + 0.55)
        bare(left)
        both = self.ours is not None
        shift = 0.13 if both else 0.0
        given = [(at, e["paper gain"]) for at, e in zip(y, entries, strict=True) if "paper" in e]
        right.plot(
            [g for _, g in given], [at + shift for at, _ in given],
            **diamond(label="paper (one number a row)", zorder=3),
        )  # fmt: skip
        if both:
            own = [(at, e) for at, e in zip(y, entries, strict=True) if "ours" in e]
            reach = [0.0 if np.isnan(r := e.get("reach", 0.0)) else r for _, e in own]
            right.errorbar(
                [e["ours gain"] for _, e in own], [at - shift for at, _ in own], xerr=reach,
                fmt="o", ms=5.5, color=OURS, capsize=2.5, lw=1.2, zorder=4,
                label=f"ours ({seeds_words(self.ours)}"
                + (f", {100 * self.level:.0f} % interval)" if np.any(reach) else ")"),
            )  # fmt: skip
        right.axvline(0, color="0.5", lw=0.8)
        right.set_xlabel("gain over the row without any part (percentage points)")
        right.grid(axis="x", color="0.92")
        for at in y:
            right.axhline(at, color="0.94", lw=0.8, zorder=0)
        right.set_axisbelow(True)
        right.tick_params(left=False)
        right.legend(loc="upper right", ncols=2, fontsize=8.5)
        small_print(figure, f"paper: Table 4, {_TEST_SET[self.metric]}" + (
            f"; ours: {self.conditions}" if self.conditions else ""))  # fmt: skip
        return figure

    def table(self) -> TableDisplay:
        """Return the same as a table whose headings sort it."""
        columns = [Column(SWITCH_WORDS[s]) for s in SWITCHES]
        columns += [Column("paper %", "paper"), Column("paper gain", "paper", signed=True)]
        keys = ["paper", "paper gain"]
        if self.ours is not None:
            columns += [Column("ours %", "ours"), Column("our gain", "ours", signed=True)]
            columns += [Column("±", "ours")]
            keys += ["ours", "ours gain", "reach"]
        rows = [(*e["row"], *(e.get(k) for k in keys)) for e in self._entries()]
        note = f"Paper: Table 4, {_TEST_SET[self.metric]}."
        if self.ours is not None:
            note += f" Ours: {self.conditions}." if self.conditions else " Ours."
            note += f" ±: {100 * self.level:.0f} % interval of our gain over the seeds,"
            note += " their scatter pooled over the rows."
        return TableDisplay(tuple(columns), tuple(rows), note)

    def html(self) -> str:
        """Return `table` as HTML whose headings sort it; nothing is loaded from elsewhere."""
        return self.table().html()
