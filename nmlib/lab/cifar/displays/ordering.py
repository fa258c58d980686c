"""What of the paper's order of schemes holds: differences to the baseline, and every pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.cifar.ordering import VERDICTS, Ordering, paper_ordering
from nmlib.lab.cifar.records import Records
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import OKABE_ITO, diamond, dress, new_figure, scheme_label
from nmlib.lab.display.words import signed
from nmlib.paper.numbers import SPECS

__all__ = ["OrderingDisplay"]

_OURS = OKABE_ITO["blue"]
_MARKS = {"holds": "✓", "reversed": "✗", "open": "?", "tied": "="}
_FIELDS = {"holds": "#cfe3f2", "reversed": "#f6d3bd", "open": "#ffffff", "tied": "#ececec"}
_MEANING = {
    "holds": "the paper's order holds",
    "reversed": "the opposite order",
    "open": "cannot be told here",
    "tied": "not told apart in the paper",
}
_AXIS = {
    "clean_accuracy": "clean accuracy",
    "robust_accuracy": "robust accuracy",
    "flip_probability": "flip probability",
}


@dataclass(frozen=True, eq=False)
class OrderingDisplay(Display):
    """Paired differences to the baseline beside the paper's, and a field for every pair.

    Attributes:
        ordering: What is drawn.

    Source: paper Tables 2, 3, 13 and 14; the comparison is ours.
    """

    ordering: Ordering

    image = "lines"
    grid = "none"

    @classmethod
    def from_records(
        cls, records: Records, metric: str = "robust_accuracy", **options: Any
    ) -> OrderingDisplay:
        """Draw a measured grid; arguments as for `nmlib.lab.cifar.ordering.paper_ordering`."""
        return cls(paper_ordering(records, metric, **options))

    @property
    def summary(self) -> str:
        return self.ordering.summary

    def rows(self) -> list[str]:
        """Return the schemes from top to bottom: those of the paper in its order, then others."""
        shown = [s for s in self.ordering.schemes if s != "baseline"]
        others = [s for s in self.ordering.to_baseline if s not in self.ordering.schemes]
        return shown + others

    @property
    def small_print(self) -> str:
        o = self.ordering
        ours = ", ".join(filter(None, (o.conditions.full, o.note)))
        paper = f"Table {o.table}, {o.dataset}, {SPECS[o.table].network}"
        if o.paper["copied"].any():
            paper += "; † copied there from the paper that introduced the scheme"
        return f"ours: {ours}\n{o.uncertainty}; each pair by itself\npaper: {paper}"

    def _axes(self) -> Any:
        differences = bool(self.ordering.to_baseline)
        height = max(0.36 * len(self.rows()), 0.42 * len(self.ordering.schemes)) + 2.0
        figure = new_figure(11.0 if differences else 6.4, height)
        return figure.subplots(1, 2, width_ratios=(5, 5.6)) if differences else figure.subplots()

    def _draw(self, ax: Any) -> None:
        *left, right = np.ravel(ax)
        for one in left:
            self._differences(one)
        self._pairs(right)

    def _name(self, scheme: str) -> str:
        copied = self.ordering.paper["copied"].get(scheme, False)
        return scheme_label(scheme) + "†" * bool(copied)

    def _differences(self, ax: Any) -> None:
        o, rows = self.ordering, self.rows()
        printed = o.paper["value"]
        for k, scheme in enumerate(rows):
            y, ours = -k, o.to_baseline[scheme]
            known = not math.isnan(ours.low)
            reach = [[ours.difference - ours.low], [ours.high - ours.difference]] if known else None
            ax.errorbar(
                ours.difference, y - 0.14, xerr=reach, fmt="o", ms=5.5, color=_OURS, capsize=2.5,
                lw=1.3, label=None if k else "ours, with interval" if known else "ours", zorder=4,
            )  # fmt: skip
            if {"baseline", scheme} <= set(o.schemes):
                ax.plot(
                    printed[scheme] - printed["baseline"], y + 0.14, zorder=3,
                    **diamond(mfc="white", label=None if k else "paper"),
                )  # fmt: skip
        ax.axvline(0, color="0.4", lw=0.9)
        shared = sum(s in o.schemes for s in rows)
        if shared < len(rows):
            ax.axhline(0.5 - shared, color="0.7", lw=0.8, ls="--")
            ax.text(
                0.99, 0.5 - shared - 0.06, "not in the paper's table", fontsize=7.5, color="0.35",
                ha="right", va="top", transform=ax.get_yaxis_transform(),
            )  # fmt: skip
        names = [self._name(s) for s in rows]
        ax.set_yticks([-k for k in range(len(rows))], names, fontsize=9)
        ax.set_ylim(-len(rows) + 0.4, 0.6)
        ax.set_xlabel(f"{_AXIS[o.metric]} minus the baseline's (percentage points)")
        dress(ax, "x")
        ax.tick_params(left=False)
        ax.spines["left"].set_visible(False)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8.5,
                  frameon=False)  # fmt: skip

    def _pairs(self, ax: Any) -> None:
        from matplotlib.patches import Patch, Rectangle

        o = self.ordering
        n = len(o.schemes)
        at = {s: k for k, s in enumerate(o.schemes)}
        for p in o.pairs.itertuples():
            x, y = at[p.lower] - 1, at[p.upper]
            ax.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=_FIELDS[p.verdict], edgecolor="0.7",
                          lw=0.7)
            )  # fmt: skip
            number = signed(p.difference)
            bold = "bold" if p.verdict in ("holds", "reversed") else "normal"
            ax.text(x, y - 0.14, _MARKS[p.verdict], ha="center", va="center", fontsize=9.5,
                    weight=bold)  # fmt: skip
            ax.text(x, y + 0.24, number, ha="center", va="center", fontsize=7.5, color="0.25")
        names = [self._name(s) for s in o.schemes]
        ax.set_xlim(-0.55, n - 1.45)
        ax.set_ylim(n - 1.45, -0.55)
        ax.set_xticks(range(n - 1), names[1:], rotation=35, ha="left", fontsize=8.5,
                      rotation_mode="anchor")  # fmt: skip
        ax.set_yticks(range(n - 1), names[:-1], fontsize=8.5)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_aspect("equal")
        counts = o.counts
        handles = [
            Patch(facecolor=_FIELDS[v], edgecolor="0.6",
                  label=f"{_MARKS[v]} {_MEANING[v]}: {counts[v]}")
            for v in VERDICTS
        ]  # fmt: skip
        ax.legend(handles=handles, loc="lower left", fontsize=8.5, frameon=False,
                  title="row minus column, points (ours)", title_fontsize=8.5,
                  alignment="left")  # fmt: skip
