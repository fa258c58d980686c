"""Gains of the four switches: a waterfall, and how much they depend on each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.ablation.displays.base import AblationDisplay
from nmlib.lab.ablation.switches import (
    SWITCH_WORDS,
    ablation_conditions,
    all_off,
    check_switches,
    fitted_effects,
    low_words,
)
from nmlib.lab.cifar.records import Records, ablation_cells
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import OKABE_ITO, OURS, PAPER, differing, ink, new_figure
from nmlib.lab.display.words import signed
from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng
from nmlib.statistics import Cells, gains, orders, shapley

__all__ = ["InteractionDisplay", "WaterfallDisplay"]

_BARS: dict[str, dict[str, Any]] = {
    "paper": {"facecolor": "white", "edgecolor": PAPER, "ls": "--"},
    "ours": {"facecolor": OKABE_ITO["sky blue"], "edgecolor": OURS},
}


@dataclass(frozen=True, eq=False)
class WaterfallDisplay(AblationDisplay):
    """From the bare network to NoisyMix, one part after another, in every order there is.

    Attributes:
        paper: The published rows.
        ours: Our rows.
        conditions: What ours were measured on.

    Source: paper Table 4.
    """

    grid = "y"

    def routes(self) -> tuple[tuple[str, ...], ...]:
        """Return the orders shown, all whose rows exist in the paper."""
        return orders(self.paper)

    @staticmethod
    def steps(cells: Cells, route: Sequence[str]) -> list[float]:
        """Return the values along an order; nan where a row is missing."""
        rows = [tuple(s in route[:k] for s in cells.switches) for k in range(len(route) + 1)]
        return [float(cells.means[cells.rows[r]]) if r in cells.rows else np.nan for r in rows]

    @property
    def summary(self) -> str:
        found = {name: shapley(c, Rng(0), resamples=2) for name, c in self.sources.items()}
        gained = {
            name: ", ".join(
                f"{low_words(s)} {v:+.1f}" for s, v in zip(SWITCHES, share.value, strict=True)
            )
            for name, share in found.items()
        }
        first = found["paper"]
        return (
            f"Of {first.every_order} orders, Table 4 has the rows of {len(first.orders)}. Mean gain"
            f" over these, in points: {gained['paper']}."
            f" Ours ({len(found['ours'].orders)} orders): {gained['ours']}."
        )

    @property
    def _about(self) -> str:
        return "paper: Table 4, CIFAR-100-C, differences of the printed accuracies"

    def _axes(self) -> Any:
        return new_figure(9.8, 6.2).subplots(2, 2, sharey=True).ravel()  # Table 4 has four orders

    def _draw(self, ax: Any) -> None:
        for one, route in zip(np.ravel(ax), self.routes(), strict=True):
            self._panel(one, route)
            if one.get_subplotspec() is None or one.get_subplotspec().is_first_col():
                one.set_ylabel("gain, percentage points")

    def _panel(self, ax: Any, route: Sequence[str]) -> None:
        from matplotlib.patches import Patch

        width = 0.38
        for (name, cells), shift in zip(self.sources.items(), (-0.2, 0.2), strict=True):
            values = np.array(self.steps(cells, route)) - all_off(cells)
            look, colour = _BARS[name], _BARS[name]["edgecolor"]
            bold = "normal" if name == "paper" else "bold"
            for k, (a, b) in enumerate(itertools.pairwise(values)):
                if np.isnan(a + b):
                    ax.text(k + shift, 0.5, "no row", rotation=90, ha="center", fontsize=7)
                    continue
                ax.bar(k + shift, b - a, width, bottom=a, lw=1.2, **look)
                ax.text(
                    k + shift, max(a, b) + 0.5, signed(b - a), ha="center", fontsize=8,
                    color=colour, weight=bold, zorder=5,
                    bbox={"fc": "white", "ec": "none", "pad": 0.4, "alpha": 0.8},
                )  # fmt: skip
                # The step that the next bar starts from.
                ax.plot([k + shift + width / 2, k + 1 + shift - width / 2], [b, b], color=colour,
                        lw=0.7, ls=":")  # fmt: skip
            ax.bar(len(route) + shift, values[-1], width, lw=1.2, hatch="//" if name == "ours"
                   else None, **look)  # fmt: skip
            ax.text(
                len(route) + shift, max(values[-1], 0) + 0.5, signed(values[-1]), ha="center",
                fontsize=8, color=colour, weight=bold,
            )  # fmt: skip
        names = ["+ " + low_words(s).replace(" ", "\n") for s in route]
        ax.set_xticks(range(len(route) + 1), [*names, "all"], fontsize=8)
        ax.axhline(0, color="0.5", lw=0.8)
        # Bars of losses must not end at the frame.
        ax.use_sticky_edges = False
        ax.margins(x=0.03, y=0.12)
        handles = [Patch(**look, label=name) for name, look in _BARS.items()]
        ax.legend(handles=handles, fontsize=8, loc="upper left")


@dataclass(frozen=True, eq=False)
class InteractionDisplay(Display):
    """Main effects and interactions, and the gain of each part wherever the rows show it.

    The rows do not determine the hatched fields. See `fitted_effects` for the interaction that is
    taken as zero.

    Attributes:
        cells: Results in percent.
        title: Source of the numbers.
        ours: Whether these are ours; the paper's title is grey.
        conditions: What ours were measured on.

    Source: paper Table 4; the effects are ours.
    """

    cells: Cells
    title: str = "paper, Table 4"
    ours: bool = False

    grid = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self.cells)

    @classmethod
    def from_paper(cls) -> InteractionDisplay:
        """Show the effects of the published rows."""
        return cls(ablation())

    @classmethod
    def from_records(cls, records: Records) -> InteractionDisplay:
        """Show the effects of measured records (`nmlib.lab.cifar.records`)."""
        made = ablation_conditions(records)
        return cls(ablation_cells(records), f"ours, {made.data}", True, conditions=made)

    @property
    def summary(self) -> str:
        found = fitted_effects(self.cells, resamples=2)
        main = ", ".join(f"{low_words(s)} {found.of(s):+.1f}" for s in SWITCHES)
        unknown = [
            " x ".join(low_words(s) for s in term)
            for term, known in zip(found.terms, found.identified, strict=True)
            if not known
        ]
        text = f"{self.title}: main effects in points: {main}."
        return text + (f" Not determined by the rows: {'; '.join(unknown)}." if unknown else "")

    @property
    def small_print(self) -> str:
        text = "hatched: the rows there are do not determine it; blank: already on"
        return text + (f"\nours: {self.conditions}" if self.conditions else "")

    def _axes(self) -> Any:
        return new_figure(12, 4.4).subplots(1, 2, width_ratios=(5, 9))

    def _draw(self, ax: Any) -> None:
        left, right = ax
        found = fitted_effects(self.cells, resamples=2)
        square = np.full((4, 4), np.nan)
        for term, value in zip(found.terms, found.estimate, strict=True):
            if term:  # the constant has no field
                square[SWITCHES.index(term[-1]), SWITCHES.index(term[0])] = value
        names = [SWITCH_WORDS[s].replace(" ", "\n") for s in SWITCHES]
        upper = np.triu(np.ones((4, 4), bool), 1)
        table, already, before = self._gains()
        reach = float(np.nanmax(np.abs(table)))
        self._heat(left, square, upper, reach)
        left.set_xticks(range(4), names, fontsize=8)
        left.set_yticks(range(4), names, fontsize=8)
        left.set_title("diagonal: main effect; below: interaction", fontsize=9.5)
        picture = self._heat(right, table, already, reach)
        right.set_yticks(range(4), [f"+ {n}" for n in names], fontsize=8)
        letters = ["".join("AMNJ"[k] for k in range(4) if row[k]) or "none" for row in before]
        right.set_xticks(range(len(before)), letters, fontsize=9)
        right.set_xlabel(
            "on before (A augmentations, M feature mixing, N noise, J JSD loss)", fontsize=9
        )
        right.set_title("gain when one more goes on", fontsize=9.5)
        figure = left.figure
        figure.colorbar(picture, ax=right, pad=0.015, label="percentage points")
        figure.suptitle(self.title, fontsize=11, style="normal" if self.ours else "italic",
                        color=OURS if self.ours else PAPER)  # fmt: skip

    def _gains(self) -> tuple[Any, Any, list[tuple[bool, ...]]]:
        before = [row for row in self.cells.rows if not all(row)]
        table = np.full((4, len(before)), np.nan)
        for gain in gains(self.cells, Rng(0), resamples=2):
            table[SWITCHES.index(gain.switch), before.index(gain.before)] = gain.gain
        return table, np.array(before).T, before

    def _heat(self, ax: Any, values: Any, blank: Any, reach: float) -> Any:
        from matplotlib.patches import Rectangle

        picture = ax.imshow(values, cmap=differing(), vmin=-reach, vmax=reach, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if blank[i, j]:
                continue
            if np.isnan(value):
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc="0.96", ec="0.6", lw=0,
                                       hatch="///"))  # fmt: skip
                continue
            ax.text(
                j, i, signed(value), ha="center", va="center", fontsize=10,
                color=ink(value, reach),
            )  # fmt: skip
        ax.set_xticks(np.arange(-0.5, values.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, values.shape[0]), minor=True)
        ax.grid(which="minor", color="white", lw=2)
        ax.tick_params(which="both", length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        return picture
