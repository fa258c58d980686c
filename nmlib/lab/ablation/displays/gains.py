"""Gains of the four switches: a waterfall, and how much they depend on each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.ablation.switches import (
    SWITCH_WORDS,
    ablation_conditions,
    all_off,
    low_words,
    same_switches,
)
from nmlib.lab.cifar.records import ablation_cells
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import OKABE_ITO, OURS, PAPER, differing, ink, new_figure
from nmlib.lab.display.words import signed, small_print
from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng
from nmlib.statistics import Cells, effects, gains, orders, shapley

__all__ = [
    "InteractionDisplay",
    "WaterfallDisplay",
]


@dataclass(frozen=True, eq=False)
class WaterfallDisplay(Shown):
    """From the bare network to NoisyMix, one part after another, in every order there is.

    Attributes:
        paper: The published rows.
        ours: Our rows, if any.
        conditions: What ours were measured on.
        route: One order of the switches; default: all orders whose rows exist in the paper.

    Source: paper Table 4.
    """

    paper: Cells
    ours: Cells | None = None
    conditions: str = ""
    route: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        same_switches(self.paper)
        same_switches(self.ours)
        if self.route is not None and tuple(self.route) not in orders(self.paper):
            raise ValueError(
                f"order {self.route} lacks rows; complete are {', '.join(map(str, self.routes()))}"
            )

    @classmethod
    def from_paper(
        cls,
        ours: Cells | None = None,
        *,
        conditions: str = "",
        route: Sequence[str] | None = None,
    ) -> WaterfallDisplay:
        """Put our cells, if any, beside the paper's."""
        return cls(ablation(), ours, conditions, None if route is None else tuple(route))

    @classmethod
    def from_records(
        cls, records: Sequence[Mapping[str, Any]], *, route: Sequence[str] | None = None
    ) -> WaterfallDisplay:
        """Put measured records (`nmlib.lab.cifar.records`) beside the paper's rows."""
        return cls.from_paper(
            ablation_cells(records), conditions=ablation_conditions(records), route=route
        )

    def routes(self) -> tuple[tuple[str, ...], ...]:
        """Return the orders shown."""
        found = orders(self.paper)
        return (self.route,) if self.route in found else found

    @staticmethod
    def steps(cells: Cells, route: Sequence[str]) -> list[float]:
        """Return the values along an order; nan where a row is missing."""
        on: set[str] = set()
        values = []
        for switch in (None, *route):
            on |= {switch} if switch else set()
            row = tuple(s in on for s in cells.switches)
            values.append(float(cells.means[cells.rows[row]]) if row in cells.rows else np.nan)
        return values

    @property
    def summary(self) -> str:
        share = shapley(self.paper, Rng(0), resamples=2)
        parts = ", ".join(
            f"{low_words(s)} {v:+.1f}" for s, v in zip(SWITCHES, share.value, strict=True)
        )
        text = (
            f"Of {share.every_order} orders, Table 4 has the rows of {len(share.orders)}. Mean gain"
            f" over these, in points: {parts}."
        )
        if self.ours is not None:
            own = shapley(self.ours, Rng(0), resamples=2)
            text += f" Ours ({len(own.orders)} orders): " + ", ".join(
                f"{low_words(s)} {v:+.1f}" for s, v in zip(SWITCHES, own.value, strict=True)
            ) + "."  # fmt: skip
        return text

    def plot(self) -> Any:
        """Draw a panel for each order: the paper's steps dashed, ours filled."""
        routes = self.routes()
        columns = min(2, len(routes))
        lines = -(-len(routes) // columns)
        figure = new_figure(4.9 * columns, 2.9 * lines + 0.4)
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for ax in axes.flat[len(routes) :]:
            ax.axis("off")
        for ax, route in zip(axes.flat, routes, strict=False):
            self._panel(ax, route)
        for ax in axes[:, 0]:
            ax.set_ylabel("gain, percentage points")
        small_print(figure, "paper: Table 4, CIFAR-100-C, differences of the printed accuracies" + (
            f"; ours: {self.conditions}" if self.conditions else ""))  # fmt: skip
        return figure

    def _panel(self, ax: Any, route: Sequence[str]) -> None:
        from matplotlib.patches import Patch

        both = self.ours is not None
        width = 0.38 if both else 0.66
        sources = [("paper", self.paper, -0.2 if both else 0.0)]
        if self.ours is not None:
            sources.append(("ours", self.ours, 0.2))
        for name, cells, shift in sources:
            values = np.array(self.steps(cells, route)) - all_off(cells)
            look: dict[str, Any] = {"facecolor": "white", "edgecolor": PAPER, "ls": "--"}
            if name == "ours":
                look = {"facecolor": OKABE_ITO["sky blue"], "edgecolor": OURS}
            bold = "normal" if name == "paper" else "bold"
            colour = PAPER if name == "paper" else OURS
            for k in range(len(route)):
                a, b = values[k], values[k + 1]
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
        ax.grid(axis="y", color="0.93")
        ax.set_axisbelow(True)
        if both:
            ax.legend(
                handles=[
                    Patch(facecolor="white", edgecolor=PAPER, ls="--", label="paper"),
                    Patch(facecolor=OKABE_ITO["sky blue"], edgecolor=OURS, label="ours"),
                ],
                fontsize=8, loc="upper left",
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class InteractionDisplay(Shown):
    """Main effects and interactions, and the gain of each part wherever the rows show it.

    Hatched fields are what the rows do not determine. That the divergence acts without
    augmentations is left out of the fit: without them (and noise) all views are equal.

    Attributes:
        cells: Results in percent.
        title: "paper" or what was measured.
        ours: Whether these are ours; the paper's stand in grey.
        conditions: What ours were measured on.

    Source: paper Table 4; the effects are ours.
    """

    cells: Cells
    title: str = "paper, Table 4"
    ours: bool = False
    conditions: str = ""

    def __post_init__(self) -> None:
        same_switches(self.cells)

    @classmethod
    def from_paper(cls) -> InteractionDisplay:
        """Show the effects of the published rows."""
        return cls(ablation())

    @classmethod
    def from_cells(cls, cells: Cells, title: str) -> InteractionDisplay:
        """Show the effects of our rows."""
        return cls(cells, title, True)

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]]) -> InteractionDisplay:
        """Show the effects of measured records (`nmlib.lab.cifar.records`)."""
        text = ablation_conditions(records)
        return cls(ablation_cells(records), f"ours, {text.data}", True, text)

    def _effects(self) -> Any:
        jsd_alone = (SWITCHES[0], SWITCHES[3])
        without = [jsd_alone]
        # With rows of the divergence alone, there is something to fit.
        if any(row[3] and not row[0] for row in self.cells.rows):
            without = []
        return effects(self.cells, Rng(0), without=without, resamples=2)

    @property
    def summary(self) -> str:
        found = self._effects()
        main = ", ".join(f"{low_words(s)} {found.of(s):+.1f}" for s in SWITCHES)
        unknown = [
            " x ".join(low_words(s) for s in term)
            for term, known in zip(found.terms, found.identified, strict=True)
            if not known
        ]
        text = f"{self.title}: main effects in points: {main}."
        return text + (f" Not determined by the rows: {'; '.join(unknown)}." if unknown else "")

    def plot(self) -> Any:
        """Draw the effects as a heat map, and beside it the gains by what was on before."""
        figure = new_figure(12, 4.4)
        left, right = figure.subplots(1, 2, width_ratios=(5, 9))
        found = self._effects()
        square = np.full((4, 4), np.nan)
        for (i, a), (j, b) in itertools.combinations_with_replacement(enumerate(SWITCHES), 2):
            term = {a, b}
            for t, value in zip(found.terms, found.estimate, strict=True):
                if set(t) == term:
                    square[j, i] = value
        names = [SWITCH_WORDS[s].replace(" ", "\n") for s in SWITCHES]
        upper = np.triu(np.ones((4, 4), bool), 1)
        reach = float(np.nanmax(np.abs(self._gains()[0])))
        self._heat(left, square, upper, reach)
        left.set_xticks(range(4), names, fontsize=8)
        left.set_yticks(range(4), names, fontsize=8)
        left.set_title("diagonal: main effect; below: interaction", fontsize=9.5)
        table, already, before = self._gains()
        picture = self._heat(right, table, already, reach)
        right.set_yticks(range(4), [f"+ {n}" for n in names], fontsize=8)
        letters = ["".join("AMNJ"[k] for k in range(4) if row[k]) or "none" for row in before]
        right.set_xticks(range(len(before)), letters, fontsize=9)
        right.set_xlabel(
            "on before (A augmentations, M feature mixing, N noise, J JSD loss)", fontsize=9
        )
        right.set_title("gain when one more goes on", fontsize=9.5)
        figure.colorbar(picture, ax=right, pad=0.015, label="percentage points")
        figure.suptitle(self.title, fontsize=11, style="normal" if self.ours else "italic",
                        color=OURS if self.ours else PAPER)  # fmt: skip
        text = "hatched: the rows there are do not determine it; blank: already on"
        small_print(figure, text + (f"\nours: {self.conditions}" if self.conditions else ""))
        return figure

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
