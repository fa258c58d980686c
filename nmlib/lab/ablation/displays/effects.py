"""Effects of the four switches with their intervals, and what more seeds would make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.ablation.switches import ablation_conditions, low_words, same_switches
from nmlib.lab.cifar.records import ablation_cells
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import OKABE_ITO, OURS, PAPER, diamond, new_figure
from nmlib.lab.display.words import small_print
from nmlib.paper import SWITCHES, ablation, seed_deviation
from nmlib.rng import Rng
from nmlib.statistics import Cells, effects, precision, shapley, shapley_bounds

__all__ = ["EffectsDisplay", "PrecisionDisplay"]

Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class EffectsDisplay(Shown):
    """Main effects, interactions and mean gains of the four switches, ours with intervals.

    Interactions that the rows do not determine are left out; that the divergence acts without
    augmentations is taken as zero, since without them (and noise) all views are equal.

    Attributes:
        paper: The published rows.
        ours: Our rows, if any.
        conditions: What ours were measured on.
        level: Coverage of our intervals (bootstrap over seeds and test images).
        resamples: Draws of the bootstrap.

    Source: paper Table 4; the effects are ours.

    >>> EffectsDisplay.from_paper().summary.split(",")[0]
    'Main effects in points. Paper: augmentations +13.3'
    """

    paper: Cells
    ours: Cells | None = None
    conditions: str = ""
    level: float = 0.95
    resamples: int = 1000

    def __post_init__(self) -> None:
        same_switches(self.paper)
        same_switches(self.ours)

    @classmethod
    def from_paper(cls, ours: Cells | None = None, *, conditions: str = "") -> EffectsDisplay:
        """Put our cells (in percent), if any, beside the paper's."""
        return cls(ablation(), ours, conditions)

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> EffectsDisplay:
        """Put measured records (`nmlib.lab.cifar.records`) beside the paper's rows."""
        return cls.from_paper(ablation_cells(records), conditions=ablation_conditions(records))

    def _sources(self) -> list[tuple[str, Cells]]:
        return [("paper", self.paper)] + ([("ours", self.ours)] if self.ours else [])

    def rows(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """Return estimate, low and high by source ("paper", "ours") and by term in words.

        Terms are "augmentations", ..., "augmentations x noise", ..., and "mean gain: noise", ....
        """
        found: dict[str, dict[str, tuple[float, float, float]]] = {}
        for name, cells in self._sources():
            rng = Rng(0).fold("effects")
            alone = any(row[3] and not row[0] for row in cells.rows)
            fit = effects(
                cells, rng, level=self.level, resamples=self.resamples,
                without=[] if alone else [(SWITCHES[0], SWITCHES[3])],
            )  # fmt: skip
            values = {
                " x ".join(map(low_words, term)): (float(e), float(lo), float(hi))
                for term, e, lo, hi in zip(fit.terms, fit.estimate, fit.low, fit.high, strict=True)
                if term and not np.isnan(e)
            }
            share = shapley(cells, rng, level=self.level, resamples=self.resamples)
            for s, e, lo, hi in zip(SWITCHES, share.value, share.low, share.high, strict=True):
                values[f"mean gain: {low_words(s)}"] = (float(e), float(lo), float(hi))
            found[name] = values
        return found

    def table(self) -> str:
        """Return the same as text: estimates in points, ours with intervals."""
        rows = self.rows()
        lines = [f"{'points':38}{'paper':>7}" + (f"{'ours':>8}  interval" if self.ours else "")]
        for term, (value, *_) in rows["paper"].items():
            line = f"{term:38}{value:+7.1f}"
            if self.ours is not None and term in rows["ours"]:
                own, low, high = rows["ours"][term]
                line += f"{own:+8.1f}" + (
                    "" if np.isnan(low) else f"  {low:+.1f} to {high:+.1f}"
                )  # fmt: skip
            lines.append(line)
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        parts = []
        for name, values in self.rows().items():
            main = ", ".join(f"{low_words(s)} {values[low_words(s)][0]:+.1f}" for s in SWITCHES)
            parts.append(f"{name.capitalize()}: {main}.")
        return "Main effects in points. " + " ".join(parts)

    def plot(self) -> Any:
        """Draw effects on the left and mean gains with their bounds on the right."""
        rows = self.rows()
        gains = [f"mean gain: {low_words(s)}" for s in SWITCHES]
        terms = [t for t in rows["paper"] if t not in gains]
        figure = new_figure(11, 0.34 * len(terms) + 1.7)
        left, right = figure.subplots(1, 2, width_ratios=(6, 5), sharex=True)
        self._panel(left, terms, rows)
        self._panel(right, gains, rows)
        for (name, cells), shift in zip(self._sources(), (0.14, -0.14), strict=False):
            low, high = shapley_bounds(cells, cells.means.min(), cells.means.max())
            colour = PAPER if name == "paper" else OKABE_ITO["sky blue"]
            right.hlines(
                np.arange(4)[::-1] + (shift if self.ours else 0), low, high, color=colour,
                lw=6, alpha=0.22, zorder=1,
                label=f"{name}, all 24 orders: bounds",
            )  # fmt: skip
        left.set_title("main effects, and interactions (×)", fontsize=10)
        right.set_title("mean gain over the orders that the rows allow", fontsize=10)
        figure.legend(*right.get_legend_handles_labels(), fontsize=8.5, ncols=4,
                      loc="outside upper right")  # fmt: skip
        text = f"paper: Table 4, {len(self.paper.on)} rows, one number each, so without interval"
        if self.ours is not None:
            text += f"\nours: {self.conditions}; bars: {100 * self.level:.0f} % interval"
            text += " over test images" if self.ours.seeds == 1 else " over seeds and test images"
        small_print(figure, text)
        return figure

    def _panel(self, ax: Any, terms: Sequence[str], rows: Mapping[str, Any]) -> None:
        y = np.arange(len(terms))[::-1]
        ax.axvline(0, color="0.5", lw=0.8)
        both = self.ours is not None
        ax.plot([rows["paper"][t][0] for t in terms], y + (0.14 if both else 0), zorder=4,
                **diamond(label="paper"))  # fmt: skip
        if both:
            own = [(at, rows["ours"][t]) for at, t in zip(y, terms, strict=True) if t in
                   rows["ours"]]  # fmt: skip
            value = np.array([v[0] for _, v in own])
            ends = np.array([[v[0] - v[1], v[2] - v[0]] for _, v in own]).T
            ax.errorbar(
                value, [at - 0.14 for at, _ in own], xerr=np.maximum(np.nan_to_num(ends), 0),
                fmt="o", ms=5, color=OURS, capsize=2.5, lw=1.3, zorder=5, label="ours",
            )  # fmt: skip
        names = [t.removeprefix("mean gain: ").replace(" x ", " × ") for t in terms]
        ax.set_yticks(y, names, fontsize=9)
        ax.set_xlabel("percentage points")
        ax.grid(color="0.93")
        ax.set_axisbelow(True)


@dataclass(frozen=True, eq=False)
class PrecisionDisplay(Shown):
    """How wide an interval of a difference is, by the number of seeds.

    Attributes:
        ours: Our rows, whose seeds and images say how much a difference varies.
        conditions: What ours were measured on.
        seeds: Largest number of seeds drawn.

    Source: paper Tables 3 and 4; the estimate is ours.
    """

    ours: Cells
    conditions: str = ""
    seeds: int = 10

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> PrecisionDisplay:
        """Take measured records (`nmlib.lab.cifar.records`)."""
        return cls(ablation_cells(records), ablation_conditions(records))

    @staticmethod
    def paper_half_width(seeds: int = 1) -> float:
        r"""Return $1.96 \sqrt2\, s / \sqrt{seeds}$ with the paper's own spread of seeds s.

        That spread is the mean over Table 3's rows on CIFAR-100-C, the data set and network of
        Table 4.

        >>> round(PrecisionDisplay.paper_half_width(), 1)
        1.2
        """
        spread = float(np.mean(list(seed_deviation(3, "CIFAR-100-C").values())))
        return 1.96 * float(np.sqrt(2 / seeds)) * spread

    @staticmethod
    def paper_gaps() -> list[float]:
        """Return the differences between neighbours when Table 4 is sorted."""
        return np.diff(np.sort(ablation().means)).round(1).tolist()

    @property
    def summary(self) -> str:
        p, n = precision(self.ours), self.ours.seeds
        gaps, one = self.paper_gaps(), self.paper_half_width()
        text = (
            f"Half width of a 95 % interval of a difference, in points. Paper, by the spread that "
            f"its Table 3 prints: {one:.1f} with one seed, {self.paper_half_width(5):.1f} with "
            f"five. Of the {len(gaps)} steps between neighbours in Table 4, "
            f"{sum(g < one for g in gaps)} are smaller than the first and "
            f"{sum(g < self.paper_half_width(5) for g in gaps)} smaller than the second. "
        )
        if n == 1:
            return text + (
                f"Ours have one seed, so only the choice of {p.images:,} test images is known: "
                f"{p.half_width(1):.1f}."
            )
        return text + (
            f"Ours: {p.half_width(1):.1f} with one seed, {p.half_width(n):.1f} with {n}, "
            f"{p.half_width(10):.1f} with ten."
        )

    def plot(self) -> Any:
        """Draw the half width against the number of seeds, and the paper's steps beside it."""
        p = precision(self.ours)
        s = np.arange(1, self.seeds + 1)
        figure = new_figure(9, 4.2)
        ax, side = figure.subplots(1, 2, width_ratios=(7, 2), sharey=True)
        known = not np.isnan(p.seed_deviation)
        sizes = [(p.images, "-", "o")] + ([(10_000, "--", "s")] if p.images != 10_000 else [])
        for images, line, mark in sizes:
            ax.plot(
                s, [p.half_width(int(k), images or None) for k in s], line, marker=mark, ms=4.5,
                color=OURS, mfc=OURS if line == "-" else "white",
                label=(f"ours, {images:,} test images" if images else "ours")
                + ("" if known else " (images only: one seed)"),
            )  # fmt: skip
        ax.plot(s, [self.paper_half_width(int(k)) for k in s], ls="-.", color=PAPER,
                label="paper, by the spread of its seeds (Table 3)")  # fmt: skip
        ax.set_xticks(s)
        ax.set_xlabel("seeds")
        ax.set_ylabel("half width of a 95 % interval\nof a difference (points)")
        ax.legend(fontsize=8.5)
        gaps = self.paper_gaps()
        side.plot(np.zeros(len(gaps)), gaps, **diamond())
        side.set_xlim(-1, 1)
        side.set_xticks([])
        side.set_title("steps between\nneighbours, Table 4", fontsize=8.5, color=PAPER,
                       style="italic")  # fmt: skip
        for axis in (ax, side):
            axis.set_ylim(bottom=0)
            axis.grid(color="0.93")
            axis.set_axisbelow(True)
        small_print(figure, f"ours: {self.conditions}; paper: Tables 3 and 4, CIFAR-100-C")
        return figure
