"""Table 4, our grid and what was trained in a session: three panels, three scales."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from nmlib.lab.ablation.lab_table import COLUMNS, LabTable
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import OKABE_ITO, new_figure
from nmlib.lab.display.words import signed

__all__ = ["AblationLabDisplay"]

_PAPER = "0.35"
_LOOKS: dict[str, dict[str, Any]] = {
    "paper": {"marker": "D", "mfc": "none", "mec": _PAPER, "color": _PAPER, "ms": 6},
    "grid": {"marker": "s", "color": OKABE_ITO["blue"], "ms": 6},
    "here": {"marker": "o", "color": OKABE_ITO["vermilion"], "ms": 7},
}
_NAMES = {"paper": "paper", "grid": "our grid", "here": "trained in this session"}
_TITLES = _NAMES | {"paper": "paper, Table 4"}
_LETTERS = "AMNJ"


@dataclass(frozen=True, eq=False)
class AblationLabDisplay(Shown):
    """Gains over the baseline, each column in a panel of its own.

    Attributes:
        table: From `nmlib.lab.ablation.lab_table`.

    >>> from nmlib.lab.ablation.lab_table import lab_table
    >>> print(AblationLabDisplay(lab_table(records=[])).summary)
    Ten rows of Table 4. Paper: gains of +2.1 to +24.4 points over the baseline. ...
    """

    table: LabTable

    @property
    def summary(self) -> str:
        parts = ["Ten rows of Table 4."]
        for name in COLUMNS:
            found = [
                (row, p) for row, p in self.table.column(name)
                if p.gain is not None and any(row.switches)
            ]  # fmt: skip
            gains = sorted(p.gain for _, p in found if p.gain is not None)
            if gains:
                parts.append(
                    f"{_NAMES[name].capitalize()}: gains of {signed(gains[0])} to "
                    f"{signed(gains[-1])} points over the baseline."
                )
        if not self.table.column("here"):
            parts.append("Nothing trained in this session yet.")
        if sum(bool(self.table.column(name)) for name in COLUMNS) > 1:
            parts.append("Panels differ in data, network and training; compare rows, not panels.")
        return " ".join(parts)

    def plot(self) -> Any:
        """Draw with matplotlib; returns the figure."""
        names = [n for n in COLUMNS if self.table.column(n)]
        rows = self.table.rows
        wide = any(row.levels for row in rows)
        figure = new_figure((3.6 if wide else 2.4) + 2.7 * len(names), 0.34 * len(rows) + 1.9)
        axes = figure.subplots(
            1, len(names) + 1, sharey=True, squeeze=False,
            width_ratios=[2.2 if wide else 1.1, *[2.2] * len(names)],
        )[0]  # fmt: skip
        self._ticks(axes[0], wide)
        for ax, name in zip(axes[1:], names, strict=True):
            self._gains(ax, name)
        note = "\n".join(
            textwrap.fill(
                f"{_NAMES[n]}: {self.table.sources[n]}",
                int(15 * figure.get_figwidth()),
            )
            for n in names
        )
        figure.supxlabel(note, fontsize=7.5, color="0.35", x=0.01, ha="left")
        return figure

    def _ticks(self, ax: Any, wide: bool) -> None:
        count = len(self.table.rows)
        for y, row in zip(range(count - 1, -1, -1), self.table.rows, strict=True):
            for k, on in enumerate(row.switches):
                ax.plot(k, y, "o", ms=9 if on else 3, color="0.15" if on else "0.75")
            if row.levels:
                ax.text(3.7, y, row.levels, fontsize=7.5, va="center")
        for k, letter in enumerate(_LETTERS):
            ax.text(k, count - 0.3, letter, ha="center", weight="bold")
        ax.set_xlim(-0.6, 10 if wide else 3.6)
        ax.set_ylim(-0.6, count + 0.3)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ax.set_xlabel("A augmentations  M mixing\nN noise  J JSD loss", fontsize=7.5, loc="left")

    def _gains(self, ax: Any, name: str) -> None:
        look, count = _LOOKS[name], len(self.table.rows)
        ax.axvline(0, color="0.6", lw=0.8)
        for y, row in zip(range(count - 1, -1, -1), self.table.rows, strict=True):
            ax.axhline(y, color="0.93", lw=0.8, zorder=0)
            placed = getattr(row, name)
            if placed is None or placed.gain is None:
                continue
            if placed.error and any(row.switches):
                ax.errorbar(placed.gain, y, xerr=placed.error, color=look["color"], lw=1.2)
            ax.plot(placed.gain, y, ls="none", zorder=3, **look)
        ax.set_title(_TITLES[name], fontsize=9.5, color=look["color"],
                     style="italic" if name == "paper" else "normal")  # fmt: skip
        ax.set_xlabel("gain over its baseline (points)", fontsize=8)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, -0.5), max(high, 2.0))
        ax.tick_params(left=False, labelsize=8)
        ax.spines[["top", "right", "left"]].set_visible(False)
