"""Table 4, the paper's rows and ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib.lab.ablation.displays.base import AblationDisplay
from nmlib.lab.ablation.switches import (
    SWITCH_WORDS,
    all_off,
    by_switches,
    draw_ticks,
    paper_gains,
    row_words,
    seeds_words,
)
from nmlib.lab.display.looks import OURS, PAPER, bare, diamond, new_figure
from nmlib.lab.display.tables import Column, TableDisplay
from nmlib.paper.numbers import load_pandas
from nmlib.rng import Rng
from nmlib.statistics import differences

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AblationTableDisplay"]

_TEST_SET = {"robust_accuracy": "CIFAR-100-C", "clean_accuracy": "CIFAR-100"}


@dataclass(frozen=True, eq=False)
class AblationTableDisplay(AblationDisplay):
    """Table 4 with its ticks: the paper's gains and ours.

    Attributes:
        paper: The published rows.
        ours: Our rows; rows of one and not of the other stay empty there.
        conditions: What ours were measured on.
        level: Coverage of our intervals (Student, over seeds, the scatter of all rows pooled).
        metric: "robust_accuracy" or "clean_accuracy". The paper prints gains for the first.

    Source: paper Table 4.
    """

    level: float = 0.95
    metric: str = "robust_accuracy"

    grid = "x"

    def frame(self) -> pd.DataFrame:
        """Return the rows, the paper's lowest accuracy first, with the four switches as index.

        Columns: `paper`, `paper gain`, `ours`, `ours gain` and `reach` (half the interval of our
        gain). nan where a side has no such row.
        """
        columns: dict[str, pd.Series] = {}
        for name, cells in self.sources.items():
            columns[name] = by_switches(cells, cells.means)
            columns[f"{name} gain"] = columns[name] - all_off(cells)
        if self.metric == "robust_accuracy":
            columns["paper gain"] = paper_gains()
        found = differences(self.ours, Rng(0), level=self.level, resamples=2, pooled=True)
        reach = by_switches(self.ours, found.t_high - found.difference)
        columns["reach"] = reach[reach.index.to_frame().any(axis=1)]
        rows = load_pandas().concat(columns, axis=1, sort=False)
        return rows.sort_values("paper", kind="stable")

    @property
    def summary(self) -> str:
        p, o = self.paper.means, self.ours.means
        return (
            f"Table 4 of the paper: {self.metric.replace('_', ' ')} from {p.min():.1f} to "
            f"{p.max():.1f} % in ten rows; the largest gain has "
            f"{row_words(self.paper.on[int(p.argmax())])}. "
            f"Ours: {o.min():.1f} to {o.max():.1f} %, {seeds_words(self.ours)}, the best row "
            f"has {row_words(self.ours.on[int(o.argmax())])}."
        )

    @property
    def _about(self) -> str:
        return f"paper: Table 4, {_TEST_SET[self.metric]}"

    def _axes(self) -> Any:
        figure = new_figure(10, 0.36 * len(self.frame()) + 1.5)
        return figure.subplots(1, 2, width_ratios=(5.4, 5), sharey=True)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        rows = self.frame()
        n, y = len(rows), np.arange(len(rows))[::-1]
        names = [word.replace(" ", "\n") for word in SWITCH_WORDS.values()]
        draw_ticks(left, rows.index, names, fontsize=7.5)
        looks = {"paper": {"color": PAPER, "style": "italic"},
                 "ours": {"color": OURS, "weight": "bold"}}  # fmt: skip
        for x, name in zip((4.6, 5.8), self.sources, strict=True):
            left.text(x, n - 0.35, f"{name}\n%", ha="center", fontsize=8, **looks[name])
            for at, value in zip(y, rows[name], strict=True):
                if not np.isnan(value):
                    left.text(x, at, f"{value:.1f}", ha="center", va="center", **looks[name])
        left.set_xlim(-0.5, 6.4)
        left.set_ylim(-0.7, n + 0.55)
        bare(left)
        look = diamond(label="paper (one number a row)", zorder=3)
        right.plot(rows["paper gain"], y + 0.13, **look)
        reach, known = rows["reach"].fillna(0), rows["reach"].notna().any()
        interval = f", {100 * self.level:.0f} % interval" if known else ""
        right.errorbar(
            rows["ours gain"], y - 0.13, xerr=reach, fmt="o", ms=5.5, color=OURS, capsize=2.5,
            lw=1.2, zorder=4, label=f"ours ({seeds_words(self.ours)}{interval})",
        )  # fmt: skip
        right.axvline(0, color="0.5", lw=0.8)
        right.set_xlabel("gain over the row without any part (percentage points)")
        for at in y:
            right.axhline(at, color="0.94", lw=0.8, zorder=0)
        right.tick_params(left=False)
        right.legend(loc="upper right", ncols=2, fontsize=8.5)

    def table(self) -> TableDisplay:
        """Return the same as a table whose headings sort it."""
        columns = [Column(word) for word in SWITCH_WORDS.values()]
        columns += [
            Column("paper %", "paper"), Column("paper gain", "paper", signed=True),
            Column("ours %", "ours"), Column("our gain", "ours", signed=True), Column("±", "ours"),
        ]  # fmt: skip
        note = (
            f"Paper: Table 4, {_TEST_SET[self.metric]}. Ours: {self.conditions}. "
            f"±: {100 * self.level:.0f} % interval of our gain over the seeds, their scatter pooled"
            " over the rows."
        )
        rows = [
            (*row, *(None if np.isnan(v) else v for v in values))
            for row, *values in self.frame().itertuples(name=None)
        ]
        return TableDisplay(tuple(columns), tuple(rows), note)

    def html(self) -> str:
        """Return `table` as HTML whose headings sort it; nothing is loaded from elsewhere."""
        return self.table().html()
