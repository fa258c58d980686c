"""Effects of the four switches with their intervals, and what more seeds would make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.ablation.displays.base import AblationDisplay
from nmlib.lab.ablation.switches import ablation_conditions, fitted_effects, low_words
from nmlib.lab.cifar.records import Records, ablation_cells
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import OKABE_ITO, OURS, PAPER, diamond, new_figure
from nmlib.paper import SWITCHES, ablation, seed_deviation
from nmlib.rng import Rng
from nmlib.statistics import Cells, precision, shapley, shapley_bounds

__all__ = ["EffectsDisplay", "PrecisionDisplay"]

_MEAN_GAINS = [f"mean gain: {low_words(s)}" for s in SWITCHES]


@dataclass(frozen=True, eq=False)
class EffectsDisplay(AblationDisplay):
    """Main effects, interactions and mean gains of the four switches, ours with intervals.

    Interactions that the rows do not determine are left out; see `fitted_effects` for the one that
    is taken as zero.

    Attributes:
        paper: The published rows.
        ours: Our rows.
        conditions: What ours were measured on.
        level: Coverage of our intervals (bootstrap over seeds and test images).
        resamples: Draws of the bootstrap.

    Source: paper Table 4; the effects are ours.
    """

    level: float = 0.95
    resamples: int = 1000

    def rows(self) -> dict[str, dict[str, tuple[float, ...]]]:
        """Return estimate, low and high by source ("paper", "ours") and by term in words.

        Terms are "augmentations", ..., "augmentations x noise", ..., and "mean gain: noise", ....
        """
        found: dict[str, Any] = {}
        drawn: Any = {"level": self.level, "resamples": self.resamples}
        for name, cells in self.sources.items():
            rng = Rng(0).fold("effects")
            fit = fitted_effects(cells, rng, **drawn)
            names = [" x ".join(map(low_words, term)) for term in fit.terms] + _MEAN_GAINS
            share = shapley(cells, rng, **drawn)
            ends = zip(
                names, [*fit.estimate, *share.value], [*fit.low, *share.low],
                [*fit.high, *share.high], strict=True,
            )  # fmt: skip
            # The constant has no name.
            values = {n: tuple(map(float, v)) for n, *v in ends if n and not np.isnan(v[0])}
            found[name] = values
        return found

    def table(self) -> str:
        """Return the same as text: estimates in points, ours with intervals."""
        rows = self.rows()
        lines = [f"{'points':38}{'paper':>7}{'ours':>8}  interval"]
        for term, (value, *_) in rows["paper"].items():
            line = f"{term:38}{value:+7.1f}"
            if term in rows["ours"]:
                own, low, high = rows["ours"][term]
                line += f"{own:+8.1f}" + ("" if np.isnan(low) else f"  {low:+.1f} to {high:+.1f}")
            lines.append(line)
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        parts = []
        for name, values in self.rows().items():
            main = ", ".join(f"{low_words(s)} {values[low_words(s)][0]:+.1f}" for s in SWITCHES)
            parts.append(f"{name.capitalize()}: {main}.")
        return "Main effects in points. " + " ".join(parts)

    @property
    def small_print(self) -> str:
        over = "test images" if self.ours.seeds == 1 else "seeds and test images"
        return (
            f"paper: Table 4, {len(self.paper.on)} rows, one number each, so without interval\n"
            f"ours: {self.conditions}; bars: {100 * self.level:.0f} % interval over {over}"
        )

    def _axes(self) -> Any:
        terms = fitted_effects(self.paper, resamples=2).identified.sum() - 1  # no constant
        return new_figure(11, 0.34 * terms + 1.7).subplots(1, 2, width_ratios=(6, 5), sharex=True)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        rows = self.rows()
        self._panel(left, [t for t in rows["paper"] if t not in _MEAN_GAINS], rows)
        self._panel(right, _MEAN_GAINS, rows)
        for (name, cells), shift in zip(self.sources.items(), (0.14, -0.14), strict=True):
            low, high = shapley_bounds(cells, cells.means.min(), cells.means.max())
            colour = PAPER if name == "paper" else OKABE_ITO["sky blue"]
            right.hlines(
                np.arange(4)[::-1] + shift, low, high, color=colour, lw=6, alpha=0.22, zorder=1,
                label=f"{name}, all 24 orders: bounds",
            )  # fmt: skip
        left.set_title("main effects, and interactions (×)", fontsize=10)
        right.set_title("mean gain over the orders that the rows allow", fontsize=10)
        left.figure.legend(*right.get_legend_handles_labels(), fontsize=8.5, ncols=4,
                           loc="outside upper right")  # fmt: skip

    def _panel(self, ax: Any, terms: Sequence[str], rows: Mapping[str, Any]) -> None:
        y = np.arange(len(terms))[::-1]
        ax.axvline(0, color="0.5", lw=0.8)
        ax.plot([rows["paper"][t][0] for t in terms], y + 0.14, zorder=4, **diamond(label="paper"))
        own = [(at, *rows["ours"][t]) for at, t in zip(y, terms, strict=True) if t in rows["ours"]]
        at, value, low, high = np.array(own).T
        ends = np.maximum(np.nan_to_num([value - low, high - value]), 0)
        ax.errorbar(
            value, at - 0.14, xerr=ends, fmt="o", ms=5, color=OURS, capsize=2.5, lw=1.3, zorder=5,
            label="ours",
        )  # fmt: skip
        names = [t.removeprefix("mean gain: ").replace(" x ", " × ") for t in terms]
        ax.set_yticks(y, names, fontsize=9)
        ax.set_xlabel("percentage points")


@dataclass(frozen=True, eq=False)
class PrecisionDisplay(Display):
    """How wide an interval of a difference is, by the number of seeds.

    Attributes:
        ours: Our rows, whose seeds and images say how much a difference varies.
        conditions: What ours were measured on.
        seeds: Largest number of seeds drawn.

    Source: paper Tables 3 and 4; the estimate is ours.
    """

    ours: Cells
    seeds: int = 10

    @classmethod
    def from_records(cls, records: Records) -> PrecisionDisplay:
        """Take measured records (`nmlib.lab.cifar.records`)."""
        return cls(ablation_cells(records), conditions=ablation_conditions(records))

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

    @property
    def small_print(self) -> str:
        return f"ours: {self.conditions}; paper: Tables 3 and 4, CIFAR-100-C"

    def _axes(self) -> Any:
        return new_figure(9, 4.2).subplots(1, 2, width_ratios=(7, 2), sharey=True)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        p = precision(self.ours)
        s = np.arange(1, self.seeds + 1)
        known = not np.isnan(p.seed_deviation)
        sizes = [(p.images, "-", "o")] + ([(10_000, "--", "s")] if p.images != 10_000 else [])
        for images, line, mark in sizes:
            left.plot(
                s, [p.half_width(int(k), images or None) for k in s], line, marker=mark, ms=4.5,
                color=OURS, mfc=OURS if line == "-" else "white",
                label=(f"ours, {images:,} test images" if images else "ours")
                + ("" if known else " (images only: one seed)"),
            )  # fmt: skip
        left.plot(s, [self.paper_half_width(int(k)) for k in s], ls="-.", color=PAPER,
                label="paper, by the spread of its seeds (Table 3)")  # fmt: skip
        left.set_xticks(s)
        left.set_xlabel("seeds")
        left.set_ylabel("half width of a 95 % interval\nof a difference (points)")
        left.legend(fontsize=8.5)
        gaps = self.paper_gaps()
        right.plot(np.zeros(len(gaps)), gaps, **diamond())
        right.set_xlim(-1, 1)
        right.set_xticks([])
        right.set_title("steps between\nneighbours, Table 4", fontsize=8.5, color=PAPER,
                       style="italic")  # fmt: skip
        for one in ax:
            one.set_ylim(bottom=0)
