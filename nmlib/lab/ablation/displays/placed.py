"""The ablation lab's table as a picture: three panels, three scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmlib.lab.ablation.switches import draw_ticks
from nmlib.lab.ablation.table import COLUMNS, LabTable
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import OKABE_ITO, bare, diamond, new_figure
from nmlib.lab.display.words import signed

__all__ = ["AblationLabDisplay"]

_LOOKS: dict[str, dict[str, Any]] = {
    "paper": diamond(),
    "grid": {"marker": "s", "color": OKABE_ITO["blue"], "ms": 6, "ls": "none"},
    "here": {"marker": "o", "color": OKABE_ITO["vermilion"], "ms": 7, "ls": "none"},
}
_NAMES = {"paper": "paper", "grid": "our grid", "here": "trained in this session"}
_TITLES = _NAMES | {"paper": "paper, Table 4"}


@dataclass(frozen=True, eq=False)
class AblationLabDisplay(Display):
    """Gains over the baseline, each column in a panel of its own.

    Attributes:
        table: From `nmlib.lab.ablation.table`.

    >>> from nmlib.lab.ablation.table import lab_table
    >>> print(AblationLabDisplay(lab_table(records=[])).summary)
    Ten rows of Table 4. Paper: gains of +2.1 to +24.4 points over the baseline. ...
    """

    table: LabTable

    grid = "none"

    @property
    def summary(self) -> str:
        parts = ["Ten rows of Table 4."]
        for name in COLUMNS:
            gains = sorted(
                p.gain for row, p in self.table.column(name)
                if p.gain is not None and any(row.switches)
            )  # fmt: skip
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

    @property
    def small_print(self) -> str:
        return "\n".join(f"{_NAMES[n]}: {self.table.sources[n]}" for n in self._columns)

    @property
    def _columns(self) -> list[str]:
        return [n for n in COLUMNS if self.table.column(n)]

    @property
    def _wide(self) -> bool:
        return any(row.levels for row in self.table.rows)

    def _axes(self) -> Any:
        names, wide = self._columns, self._wide
        height = 0.34 * len(self.table.rows) + 1.9
        figure = new_figure((3.6 if wide else 2.4) + 2.7 * len(names), height)
        widths = [2.2 if wide else 1.1, *[2.2] * len(names)]
        return figure.subplots(1, len(names) + 1, sharey=True, width_ratios=widths)

    def _draw(self, ax: Any) -> None:
        left, count = ax[0], len(self.table.rows)
        draw_ticks(left, [row.switches for row in self.table.rows], "AMNJ", weight="bold")
        for y, row in zip(range(count - 1, -1, -1), self.table.rows, strict=True):
            left.text(3.7, y, row.levels, fontsize=7.5, va="center")
        left.set_xlim(-0.6, 10 if self._wide else 3.6)
        left.set_ylim(-0.6, count + 0.3)
        bare(left)
        left.set_xlabel("A augmentations  M mixing\nN noise  J JSD loss", fontsize=7.5, loc="left")
        for one, name in zip(ax[1:], self._columns, strict=True):
            self._gains(one, name)

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
            ax.plot(placed.gain, y, zorder=3, **look)
        ax.set_title(_TITLES[name], fontsize=9.5, color=look["color"],
                     style="italic" if name == "paper" else "normal")  # fmt: skip
        ax.set_xlabel("gain over its baseline (points)", fontsize=8)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, -0.5), max(high, 2.0))
        ax.tick_params(left=False, labelsize=8)
        ax.spines["left"].set_visible(False)
