"""The paper's tables and ours beside them: ablation, effects, Figs. 1 and 6 redrawn.

The paper's numbers are hollow grey diamonds or dashed outlines, ours are filled and coloured. The
paper prints one number a row, so only ours have intervals.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib.effects import Cells, differences, effects, gains, orders, shapley
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper import SWITCHES, ablation
from nmlib.paper._audit import Finding, findings
from nmlib.paper._tables import SPECS, Number, numbers
from nmlib.plots.shown import Shown
from nmlib.plots.style import OKABE_ITO, new_figure
from nmlib.plots.tables import Column, TableDisplay
from nmlib.reproduction.compared import (
    PAPER_NAMES,
    by_corruption,
    conditions,
    scheme_values,
)
from nmlib.reproduction.measured import ablation_cells
from nmlib.rng import Rng
from nmlib.schemes import ABLATION

__all__ = [
    "AblationTableDisplay",
    "AccuracyScatterDisplay",
    "CorruptionDifferenceDisplay",
    "FamilyDisplay",
    "InteractionDisplay",
    "WaterfallDisplay",
]

_WORDS = {
    "augmentations": "Augmentations",
    "feature_mixing": "Feature mixing",
    "noise_injections": "Noise",
    "jsd_loss": "JSD loss",
}
_TEST_SET = {"robust_accuracy": "CIFAR-100-C", "clean_accuracy": "CIFAR-100"}
_OURS = OKABE_ITO["blue"]
_PAPER = "0.35"


def _note(figure: Any, text: str) -> None:
    """Write the conditions into the lower right corner, in lines that the figure has room for."""
    room = int(17 * figure.get_figwidth())
    text = "\n".join(textwrap.fill(line, room) for line in text.split("\n"))
    figure.supxlabel(text, fontsize=7.5, color="0.35", x=0.99, ha="right")


def _diamond(**more: Any) -> dict[str, Any]:
    return {
        "marker": "D", "ms": 6, "mfc": "none", "mec": _PAPER, "color": _PAPER, "ls": "none",
    } | more  # fmt: skip


def _colours() -> Any:
    """Return the map of differences: two hues that all readers tell apart, white at zero."""
    from matplotlib import colormaps

    # Few steps: a notebook's small palette then holds every one.
    return colormaps["PuOr_r"].resampled(25)


def _ink(value: float, reach: float) -> str:
    """Return the colour of text, black or white, that stands out on a field."""
    red, green, blue, _ = _colours()((value / reach + 1) / 2)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _signed(value: float, digits: int = 1) -> str:
    text = f"{value:+.{digits}f}"
    return "0" if float(text) == 0 and not digits else text.replace("-", "−")


def _bare(ax: Any) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


def _all_off(cells: Cells) -> float:
    """Return the mean of the row without any switch, from which gains are counted."""
    off = (False,) * len(cells.switches)
    if off not in cells.rows:
        raise ValueError("the row with all switches off is missing; gains are counted from it")
    return float(cells.means[cells.rows[off]])


def _low(switch: str) -> str:
    return _WORDS[switch] if switch == "jsd_loss" else _WORDS[switch].lower()


def _words(row: Sequence[bool]) -> str:
    on = [_low(s) for s, is_on in zip(SWITCHES, row, strict=True) if is_on]
    return " + ".join(on) or "none"


def _ablation_conditions(records: Sequence[Mapping[str, Any]]) -> str:
    return conditions([r for r in records if r["scheme"] in ABLATION])


def _in_paper(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records of schemes that the paper's tables have."""
    found = [r for r in records if r["scheme"] in PAPER_NAMES]
    if not found:
        raise ValueError(
            f"no record is of a scheme in the paper's tables: {', '.join(PAPER_NAMES)}"
        )
    return found


def _ours_by_corruption(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return measured accuracies under the paper's names."""
    return {PAPER_NAMES[s]: row for s, row in by_corruption(_in_paper(records)).items()}


def _seeds(cells: Cells | None) -> str:
    count = cells.seeds if cells else 0
    return f"{count} seed{'s' * (count != 1)}"


def _same_switches(cells: Cells | None) -> None:
    if cells is not None and cells.switches != SWITCHES:
        raise ValueError(f"cells must have the switches {SWITCHES}, got {cells.switches}")


# -- the ablation ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AblationTableDisplay(Shown):
    """Table 4 with its ticks: the paper's gains, and ours where there are any.

    Attributes:
        paper: The published rows.
        ours: Our rows; rows of one and not of the other stay empty there.
        conditions: What ours were measured on; stands in the corner.
        sort_by: "paper", "ours" or "switches".
        level: Coverage of our intervals (Student, over seeds).
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
        _same_switches(self.paper)
        _same_switches(self.ours)
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
        """Put measured records (`nmlib.reproduction.measured`) beside the paper's rows."""
        cells = ablation_cells(records, metric)
        return cls.from_paper(
            cells, metric=metric, conditions=_ablation_conditions(records), sort_by=sort_by
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
            f"{_words(self.paper.on[int(p.argmax())])}."
        )
        if self.ours is not None:
            o = self.ours.means
            text += (
                f" Ours: {o.min():.1f} to {o.max():.1f} %, {_seeds(self.ours)}, the best row "
                f"has {_words(self.ours.on[int(o.argmax())])}."
            )
        return text

    def _entries(self) -> list[dict[str, Any]]:
        """Return one record a row: ticks, values, gains and our interval."""
        base = {"paper": _all_off(self.paper)}
        paired = None
        if self.ours is not None:
            base["ours"] = _all_off(self.ours)
            paired = differences(self.ours, Rng(0), level=self.level, resamples=2)
        # As printed: 71.9 - 47.4 is 24.5, but Table 4 says 24.4.
        gain_in_print = {
            p.switches: float(p.value) for p in numbers(4) if p.metric == "robustness_gain"
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
            left.text(k, n - 0.35, _WORDS[switch].replace(" ", "\n"), ha="center", fontsize=7.5)
        for at, entry in zip(y, entries, strict=True):
            on = [k for k in range(4) if entry["row"][k]]
            if on:
                left.plot([on[0], on[-1]], [at, at], color="0.15", lw=1.2)
            if "paper" in entry:
                left.text(4.6, at, f"{entry['paper']:.1f}", color=_PAPER, ha="center", va="center",
                          style="italic")  # fmt: skip
            if "ours" in entry:
                left.text(5.8, at, f"{entry['ours']:.1f}", color=_OURS, ha="center", va="center",
                          weight="bold")  # fmt: skip
        left.text(4.6, n - 0.35, "paper\n%", ha="center", fontsize=8, color=_PAPER, style="italic")
        if self.ours is not None:
            left.text(5.8, n - 0.35, "ours\n%", ha="center", fontsize=8, color=_OURS, weight="bold")
        left.set_xlim(-0.5, 6.4 if self.ours else 5.2)
        left.set_ylim(-0.7, n + 0.55)
        _bare(left)
        both = self.ours is not None
        shift = 0.13 if both else 0.0
        given = [(at, e["paper gain"]) for at, e in zip(y, entries, strict=True) if "paper" in e]
        right.plot(
            [g for _, g in given], [at + shift for at, _ in given],
            **_diamond(label="paper (one number a row)", zorder=3),
        )  # fmt: skip
        if both:
            own = [(at, e) for at, e in zip(y, entries, strict=True) if "ours" in e]
            reach = [0.0 if np.isnan(r := e.get("reach", 0.0)) else r for _, e in own]
            right.errorbar(
                [e["ours gain"] for _, e in own], [at - shift for at, _ in own], xerr=reach,
                fmt="o", ms=5.5, color=_OURS, capsize=2.5, lw=1.2, zorder=4,
                label=f"ours ({_seeds(self.ours)}"
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
        _note(figure, f"paper: Table 4, {_TEST_SET[self.metric]}" + (
            f"; ours: {self.conditions}" if self.conditions else ""))  # fmt: skip
        return figure

    def table(self) -> TableDisplay:
        """Return the same as a table whose headings sort it."""
        columns = [Column(_WORDS[s]) for s in SWITCHES]
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
            note += f" ±: {100 * self.level:.0f} % interval of our gain over the seeds."
        return TableDisplay(tuple(columns), tuple(rows), note)

    def html(self) -> str:
        """Return `table` as HTML whose headings sort it; nothing is loaded from elsewhere."""
        return self.table().html()


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
        _same_switches(self.paper)
        _same_switches(self.ours)
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
        """Put measured records (`nmlib.reproduction.measured`) beside the paper's rows."""
        return cls.from_paper(
            ablation_cells(records), conditions=_ablation_conditions(records), route=route
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
        parts = ", ".join(f"{_low(s)} {v:+.1f}" for s, v in zip(SWITCHES, share.value, strict=True))
        text = (
            f"Of {share.every_order} orders, Table 4 has the rows of {len(share.orders)}. Mean gain"
            f" over these, in points: {parts}."
        )
        if self.ours is not None:
            own = shapley(self.ours, Rng(0), resamples=2)
            text += f" Ours ({len(own.orders)} orders): " + ", ".join(
                f"{_low(s)} {v:+.1f}" for s, v in zip(SWITCHES, own.value, strict=True)
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
        _note(figure, "paper: Table 4, CIFAR-100-C, differences of the printed accuracies" + (
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
            values = np.array(self.steps(cells, route)) - _all_off(cells)
            look: dict[str, Any] = {"facecolor": "white", "edgecolor": _PAPER, "ls": "--"}
            if name == "ours":
                look = {"facecolor": OKABE_ITO["sky blue"], "edgecolor": _OURS}
            bold = "normal" if name == "paper" else "bold"
            colour = _PAPER if name == "paper" else _OURS
            for k in range(len(route)):
                a, b = values[k], values[k + 1]
                if np.isnan(a + b):
                    ax.text(k + shift, 0.5, "no row", rotation=90, ha="center", fontsize=7)
                    continue
                ax.bar(k + shift, b - a, width, bottom=a, lw=1.2, **look)
                ax.text(
                    k + shift, max(a, b) + 0.5, _signed(b - a), ha="center", fontsize=8,
                    color=colour, weight=bold, zorder=5,
                    bbox={"fc": "white", "ec": "none", "pad": 0.4, "alpha": 0.8},
                )  # fmt: skip
                # The step that the next bar starts from.
                ax.plot([k + shift + width / 2, k + 1 + shift - width / 2], [b, b], color=colour,
                        lw=0.7, ls=":")  # fmt: skip
            ax.bar(len(route) + shift, values[-1], width, lw=1.2, hatch="//" if name == "ours"
                   else None, **look)  # fmt: skip
            ax.text(
                len(route) + shift, values[-1] + 0.5, _signed(values[-1]), ha="center",
                fontsize=8, color=colour, weight=bold,
            )  # fmt: skip
        names = ["+ " + _low(s).replace(" ", "\n") for s in route]
        ax.set_xticks(range(len(route) + 1), [*names, "all"], fontsize=8)
        ax.axhline(0, color="0.5", lw=0.8)
        ax.margins(y=0.12)
        ax.grid(axis="y", color="0.93")
        ax.set_axisbelow(True)
        if both:
            ax.legend(
                handles=[
                    Patch(facecolor="white", edgecolor=_PAPER, ls="--", label="paper"),
                    Patch(facecolor=OKABE_ITO["sky blue"], edgecolor=_OURS, label="ours"),
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
        _same_switches(self.cells)

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
        """Show the effects of measured records (`nmlib.reproduction.measured`)."""
        text = _ablation_conditions(records)
        return cls(ablation_cells(records), f"ours, {text.split(',')[0]}", True, text)

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
        main = ", ".join(f"{_low(s)} {found.of(s):+.1f}" for s in SWITCHES)
        unknown = [
            " x ".join(_low(s) for s in term)
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
        names = [_WORDS[s].replace(" ", "\n") for s in SWITCHES]
        upper = np.triu(np.ones((4, 4), bool), 1)
        reach = float(np.nanmax(np.abs(self._gains()[0])))
        self._heat(left, square, upper, reach)
        left.set_xticks(range(4), names, fontsize=8)
        left.set_yticks(range(4), names, fontsize=8)
        left.set_title("diagonal: mean gain; below: interaction", fontsize=9.5)
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
                        color=_OURS if self.ours else _PAPER)  # fmt: skip
        text = "hatched: the rows there are do not determine it; blank: already on"
        _note(figure, text + (f"\nours: {self.conditions}" if self.conditions else ""))
        return figure

    def _gains(self) -> tuple[Any, Any, list[tuple[bool, ...]]]:
        before = [row for row in self.cells.rows if not all(row)]
        table = np.full((4, len(before)), np.nan)
        for gain in gains(self.cells, Rng(0), resamples=2):
            table[SWITCHES.index(gain.switch), before.index(gain.before)] = gain.gain
        return table, np.array(before).T, before

    def _heat(self, ax: Any, values: Any, blank: Any, reach: float) -> Any:
        from matplotlib.patches import Rectangle

        picture = ax.imshow(values, cmap=_colours(), vmin=-reach, vmax=reach, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if blank[i, j]:
                continue
            if np.isnan(value):
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc="0.96", ec="0.6", lw=0,
                                       hatch="///"))  # fmt: skip
                continue
            ax.text(
                j, i, _signed(value), ha="center", va="center", fontsize=10,
                color=_ink(value, reach),
            )  # fmt: skip
        ax.set_xticks(np.arange(-0.5, values.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, values.shape[0]), minor=True)
        ax.grid(which="minor", color="white", lw=2)
        ax.tick_params(which="both", length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        return picture


# -- scatter --------------------------------------------------------------------------------------


def _column(table: int, dataset: str) -> dict[str, Number]:
    return {
        p.method: p
        for p in numbers(table)
        if p.dataset == dataset and p.metric == "accuracy" and p.corruption in ("none", "mean")
    }


@dataclass(frozen=True, eq=False)
class AccuracyScatterDisplay(Shown):
    """Two accuracies of every method against each other, as in the paper's Fig. 1.

    Attributes:
        table: Table of the numbers.
        x: Test set on the horizontal axis.
        y: Test set on the vertical axis.
        paper: Numbers by method, (x, y).
        ours: Our pairs (x, y) in percent by method, drawn filled.
        conditions: What ours were measured on.

    Source: paper Fig. 1; Tables 1 to 3.

    >>> AccuracyScatterDisplay.fig1().x, AccuracyScatterDisplay.fig1().y
    ('ImageNet-C', 'ImageNet-R')
    """

    table: int
    x: str
    y: str
    paper: Mapping[str, tuple[Number, Number]]
    ours: Mapping[str, tuple[float, float]]
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        x: str,
        y: str,
        *,
        ours: Mapping[str, tuple[float, float]] | None = None,
        conditions: str = "",
    ) -> AccuracyScatterDisplay:
        """Take two columns of Table 1, 2, 3 or 5 by the names of their test sets.

        Raises:
            ValueError: If the table has no such column.
        """
        sets = dict.fromkeys(p.dataset for p in numbers(table) if p.metric == "accuracy")
        for name in (x, y):
            _checks.choice(f"test set of Table {table}", name, sets)
        a, b = _column(table, x), _column(table, y)
        return cls(table, x, y, {m: (a[m], b[m]) for m in a if m in b}, dict(ours or {}),
                   conditions)  # fmt: skip

    @classmethod
    def from_records(
        cls, records: Sequence[Mapping[str, Any]], *, table: int = 2, dataset: str = "CIFAR-10"
    ) -> AccuracyScatterDisplay:
        """Put measured clean and robust accuracies into the picture of Table 2 or 3.

        Args:
            records: As from `nmlib.reproduction.measured`; of schemes that the table lacks none is
                drawn. Means over the seeds.
            table: 2 or 3.
            dataset: "CIFAR-10" or "CIFAR-100", the paper's; the conditions say which is ours.
        """
        kept = _in_paper(records)
        clean, robust = (scheme_values(kept, m) for m in ("clean_accuracy", "robust_accuracy"))
        ours = {PAPER_NAMES[s]: (float(clean[s].mean()), float(robust[s].mean())) for s in clean}
        return cls.from_table(
            table, dataset, f"{dataset}-C", ours=ours, conditions=conditions(kept)
        )

    @classmethod
    def fig1(cls) -> AccuracyScatterDisplay:
        """Fig. 1: accuracy on ImageNet-C and ImageNet-R, ResNet-50."""
        return cls.from_table(1, "ImageNet-C", "ImageNet-R")

    @property
    def summary(self) -> str:
        def best(k: int) -> str:
            top = max(self.paper, key=lambda m: float(self.paper[m][k].value))
            return f"{top} ({self.paper[top][k].value})"

        return (
            f"Table {self.table}, {SPECS[self.table].network}: {self.x} against {self.y}, "
            f"{len(self.paper)} methods. Highest on {self.x}: {best(0)}; on {self.y}: {best(1)}."
            + (f" Ours are {len(self.ours)} more, on other data." if self.ours else "")
        )

    def plot(self) -> Any:
        """Draw the methods; bars reach from the lowest to the highest seed where printed."""
        figure = new_figure(7.6, 5.4)
        ax = figure.subplots()
        points, labels, spans = [], [], []
        for method, (a, b) in self.paper.items():
            x, y = float(a.value), float(b.value)
            bars: dict[str, Any] = {}
            if a.low and b.low:
                bars = {
                    "xerr": [[x - float(a.low)], [float(a.high) - x]],
                    "yerr": [[y - float(b.low)], [float(b.high) - y]],
                }
            heavy = method == "NoisyMix"
            look = _diamond(ms=8 if heavy else 6.5, mew=2.2 if heavy else 1.2)
            look["fmt"] = look.pop("marker")
            ax.errorbar(x, y, **bars, elinewidth=0.9, **look)
            points.append((x, y))
            labels.append((method, heavy))
            if bars:
                spans += [((float(a.low), y), (float(a.high), y))]
                spans += [((x, float(b.low)), (x, float(b.high)))]
        for method, (x, y) in self.ours.items():
            ax.plot(x, y, "o", ms=7, color=_OURS)
            points.append((x, y))
            labels.append((f"{method} (ours)", method == "NoisyMix"))
        ax.margins(0.12)
        # Ours may be on other data, which the legend names.
        also = " (paper)" if self.ours else ""
        ax.set_xlabel(f"accuracy on {self.x}{also} (%)")
        ax.set_ylabel(f"accuracy on {self.y}{also} (%)")
        ax.grid(color="0.93")
        ax.set_axisbelow(True)
        ax.plot([], [], label="paper", **_diamond())
        if self.ours:
            data = self.conditions.split(",")[0]
            ax.plot([], [], "o", color=_OURS, label=f"ours: {data}" if data else "ours")
        ax.legend(loc="upper left", fontsize=9)
        spread = " (bars: lowest and highest of 5 seeds)" if self.table in (2, 3) else ""
        _note(figure, f"paper: Table {self.table}, {SPECS[self.table].network}{spread}" + (
            f"; ours: {self.conditions}" if self.conditions else ""))  # fmt: skip
        figure.canvas.draw()
        _label(ax, points, labels, spans)
        return figure

    def plotly(self) -> Any:
        """Return the same as an interactive figure: names and numbers under the pointer."""
        import plotly.graph_objects as go

        figure = go.Figure()
        figure.add_scatter(
            x=[float(a.value) for a, _ in self.paper.values()],
            y=[float(b.value) for _, b in self.paper.values()],
            text=list(self.paper), mode="markers+text", textposition="top center", name="paper",
            marker={"symbol": "diamond-open", "size": 10, "color": "#595959", "line": {"width": 2}},
            hovertemplate=f"%{{text}}<br>{self.x} %{{x:.1f}} %<br>{self.y} %{{y:.1f}} %",
        )  # fmt: skip
        if self.ours:
            figure.add_scatter(
                x=[x for x, _ in self.ours.values()], y=[y for _, y in self.ours.values()],
                text=list(self.ours), mode="markers+text", textposition="bottom center",
                name="ours", marker={"symbol": "circle", "size": 10, "color": _OURS},
                hovertemplate=f"%{{text}}<br>{self.x} %{{x:.1f}} %<br>{self.y} %{{y:.1f}} %",
            )  # fmt: skip
        figure.update_layout(
            xaxis_title=f"accuracy on {self.x} (%)", yaxis_title=f"accuracy on {self.y} (%)",
            template="simple_white", width=760, height=540,
        )  # fmt: skip
        return figure


def _label(
    ax: Any,
    points: Sequence[tuple[float, float]],
    labels: Sequence[tuple[str, bool]],
    spans: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    """Write names beside points where they cover the least of other names, points and bars."""
    to_pixels = ax.transData.transform
    pixels = to_pixels(points)
    scale = ax.figure.dpi / 72
    height = 11 * scale
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in pixels]
    for first, last in spans:
        (x0, y0), (x1, y1) = to_pixels(first), to_pixels(last)
        taken.append((x0 - 2, y0 - 2, x1 + 2, y1 + 2))
    box = ax.get_window_extent()
    around = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.9), (-1, 0.9), (1, -0.9), (-1, -0.9)]
    for (x, y), (name, heavy) in zip(pixels, labels, strict=True):
        width = (5.6 if heavy else 4.9) * len(name) * scale
        choices = []
        for reach in (1.0, 1.9, 2.8):
            for dx, dy in around:
                start = x + 8 * scale * reach * dx
                left = start - width * (1 - dx) / 2
                low = y + 11 * scale * reach * dy - height / 2
                own = (left, low, left + width, low + height)
                cover = sum(_overlap(own, other) for other in taken)
                outside = max(0, box.x0 - left) + max(0, left + width - box.x1)
                side = {1: "left", 0: "center", -1: "right"}[dx]
                choices.append((cover + 50 * outside + 12 * reach, own, reach, start, side))
        _, own, reach, start, side = min(choices, key=lambda c: c[0])
        taken.append(own)
        at = ax.transData.inverted().transform((start, (own[1] + own[3]) / 2))
        ax.text(*at, name, ha=side, va="center", fontsize=9, weight="bold" if heavy else "normal")
        if reach > 1:
            ax.plot(*zip(ax.transData.inverted().transform((x, y)), at, strict=True), color="0.75",
                    lw=0.6, zorder=0)  # fmt: skip


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)


# -- corruptions ----------------------------------------------------------------------------------

_DETAIL = (6, 7, 8, 9, 10)
_CORRUPTIONS = tuple(c for names in CORRUPTION_FAMILIES.values() for c in names)


def _by_corruption(table: int) -> dict[str, dict[str, float]]:
    if table not in _DETAIL:
        raise ValueError(f"accuracies by corruption are in Tables 6 to 10, not in Table {table}")
    found: dict[str, dict[str, float]] = {}
    for p in numbers(table):
        found.setdefault(p.method, {})[p.corruption] = float(p.value)
    return found


def _flagged(table: int) -> dict[str, Finding]:
    """Return the rows of a table of corruptions that the audit cannot trust, by method."""
    summary_of = {6: (1, "ImageNet-C"), 7: (2, "CIFAR-10-C"), 8: (2, "CIFAR-100-C"),
                  9: (3, "CIFAR-10-C"), 10: (3, "CIFAR-100-C")}[table]  # fmt: skip
    return {
        f.method: f
        for f in findings()[0]
        if f.kind == "average" and (f.table, f.dataset) == summary_of
        and f.quantity.startswith("mean accuracy")
        and abs(f.printed - f.recomputed) > f.tolerance
    }  # fmt: skip


def _flag_text(table: int, wrong: Mapping[str, Finding]) -> str:
    copies = {
        method: f.method.split(" / ")[0]
        for f in findings()[0]
        if f.kind == "repeated row" and f.table == table
        for method in f.method.split(" / ")[1:]
    }
    return "† " + "; ".join(
        f"{m}: this row averages {f.recomputed:.1f}, Table {f.table} prints {f.printed:.1f}"
        + (f" (all its numbers are those of {copies[m]})" if m in copies else "")
        for m, f in wrong.items()
    )


@dataclass(frozen=True, eq=False)
class FamilyDisplay(Shown):
    """Mean accuracy by family of corruptions: Figs. 6 to 8 redrawn from Tables 6 to 10.

    Attributes:
        table: 6 to 10.
        means: By method, then by family, in percent.
        ours: The same of our results, drawn filled.
        conditions: What ours were measured on.

    Source: paper Fig. 6 (Table 6), Figs. 7 and 8 (Tables 7 to 10).

    >>> round(FamilyDisplay.fig6().means["NoisyMix"]["noise"], 2)
    52.43
    """

    table: int
    means: Mapping[str, Mapping[str, float]]
    ours: Mapping[str, Mapping[str, float]]
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        *,
        ours: Mapping[str, Mapping[str, float]] | None = None,
        conditions: str = "",
    ) -> FamilyDisplay:
        """Average a table of corruptions by family; `ours`: by method, then by corruption."""

        def families(rows: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
            return {
                method: {
                    family: float(np.mean([row[c] for c in names]))
                    for family, names in CORRUPTION_FAMILIES.items()
                }
                for method, row in rows.items()
            }

        return cls(table, families(_by_corruption(table)), families(ours or {}), conditions)

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]], *, table: int = 7) -> FamilyDisplay:
        """Put measured records (`nmlib.reproduction.measured`) beside Table 7, 8, 9 or 10."""
        return cls.from_table(
            table, ours=_ours_by_corruption(records), conditions=conditions(_in_paper(records))
        )

    @classmethod
    def fig6(cls) -> FamilyDisplay:
        """Fig. 6: ImageNet-C, ResNet-50."""
        return cls.from_table(6)

    @property
    def summary(self) -> str:
        best = ", ".join(
            f"{family}: {top} {self.means[top][family]:.1f}"
            for family in CORRUPTION_FAMILIES
            for top in [max(self.means, key=lambda m: self.means[m][family])]
        )
        text = f"Table {self.table}, mean accuracy in percent, best by family: {best}."
        wrong = _flagged(self.table)
        if wrong:
            text += f" Rows that do not fit their printed average: {', '.join(wrong)}."
        return text

    def plot(self) -> Any:
        """Draw a panel for each family, methods by their mean."""
        wrong = _flagged(self.table)
        order = sorted(self.means, key=lambda m: np.mean([*self.means[m].values()]))
        order += [m for m in self.ours if m not in order]
        figure = new_figure(10.5, 0.33 * len(order) + 1.5)
        axes = figure.subplots(1, 4, sharey=True)
        for ax, family in zip(axes, CORRUPTION_FAMILIES, strict=True):
            best = max(self.means, key=lambda m: self.means[m][family])
            for y, method in enumerate(order):
                if method in self.means:
                    x = self.means[method][family]
                    look = _diamond(mew=2.2 if method == best else 1.2)
                    if method in wrong:
                        look |= {"marker": "x", "ms": 7}
                    ax.plot(x, y, **look)
                    if method == best:
                        ax.annotate(f"{x:.1f}", (x, y), (0, 7), textcoords="offset points",
                                    ha="center", fontsize=8.5, weight="bold")  # fmt: skip
                if method in self.ours:
                    ax.plot(self.ours[method][family], y - 0.18, "o", ms=5, color=_OURS)
            ax.set_title(family, fontsize=10)
            ax.set_xlabel("accuracy (%)", fontsize=9)
            ax.grid(color="0.93")
            ax.set_axisbelow(True)
            ax.margins(x=0.14)
            ax.set_ylim(-0.6, len(order) - 0.25)
        names = [f"{m} †" if m in wrong else m for m in order]
        axes[0].set_yticks(range(len(order)), names, fontsize=9)
        handles = [axes[0].plot([], [], label="paper", **_diamond())[0]]
        if wrong:
            look = _diamond(marker="x", ms=7, label="paper, † see below")
            handles.append(axes[0].plot([], [], **look)[0])
        if self.ours:
            handles.append(axes[0].plot([], [], "o", color=_OURS, label="ours")[0])
        figure.legend(handles=handles, fontsize=8, loc="outside upper right", ncols=3)
        text = (
            f"mean over the corruptions of a family; paper: Table {self.table}, "
            f"{SPECS[self.table].network}; bold: best"
        )
        if wrong:
            text += "\n" + _flag_text(self.table, wrong)
        if self.conditions:
            text += f"\nours: {self.conditions}"
        _note(figure, text)
        return figure


@dataclass(frozen=True, eq=False)
class CorruptionDifferenceDisplay(Shown):
    """Accuracy by corruption minus that of a reference method (Tables 6 to 10).

    Attributes:
        table: 6 to 10.
        reference: Method that is subtracted.
        rows: The paper's accuracies by method, then by corruption, in percent.
        ours: The same of our results; needs the reference too.
        conditions: What ours were measured on.

    Source: paper Tables 6 to 10.
    """

    table: int
    reference: str
    rows: Mapping[str, Mapping[str, float]]
    ours: Mapping[str, Mapping[str, float]]
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        *,
        reference: str = "Baseline",
        ours: Mapping[str, Mapping[str, float]] | None = None,
        conditions: str = "",
    ) -> CorruptionDifferenceDisplay:
        """Take a table of corruptions; `ours`: by method, then by corruption, in percent.

        Raises:
            ValueError: If a side lacks the reference or a corruption.
        """
        rows = _by_corruption(table)
        _checks.choice("reference", reference, rows)
        own = dict(ours or {})
        if own and reference not in own:
            raise ValueError(f"ours lacks the reference {reference!r}; it has {sorted(own)}")
        for method, row in own.items():
            lacking = [c for c in _CORRUPTIONS if c not in row]
            if lacking:
                raise ValueError(f"ours, {method!r} lacks {', '.join(lacking)}")
        return cls(table, reference, rows, own, conditions)

    @classmethod
    def from_records(
        cls,
        records: Sequence[Mapping[str, Any]],
        *,
        table: int = 7,
        reference: str = "Baseline",
    ) -> CorruptionDifferenceDisplay:
        """Put measured records (`nmlib.reproduction.measured`) below Table 7, 8, 9 or 10.

        Args:
            records: Means over their seeds are shown, for the schemes that the tables have.
            table: 7 to 10.
            reference: Method that is subtracted, on both sides.
        """
        return cls.from_table(
            table, reference=reference, ours=_ours_by_corruption(records),
            conditions=conditions(_in_paper(records)),
        )  # fmt: skip

    def difference(self, *, ours: bool = False) -> tuple[list[str], Any]:
        """Return methods and (methods, 15) differences in points, largest mean last."""
        rows = self.ours if ours else self.rows
        base = np.array([rows[self.reference][c] for c in _CORRUPTIONS])
        methods = [m for m in rows if m != self.reference]
        table = np.array([[rows[m][c] for c in _CORRUPTIONS] for m in methods]) - base
        order = np.argsort(table.mean(1), kind="stable")
        return [methods[k] for k in order], table[order]

    @property
    def summary(self) -> str:
        methods, table = self.difference()
        at = methods.index("NoisyMix")
        most, least = int(table[at].argmax()), int(table[at].argmin())
        text = (
            f"Table {self.table} minus {self.reference}, in points. NoisyMix: "
            f"{table[at].mean():+.1f} on average, from {table[at, least]:+.1f} "
            f"({_CORRUPTIONS[least].replace('_', ' ')}) to {table[at, most]:+.1f} "
            f"({_CORRUPTIONS[most].replace('_', ' ')})."
        )
        if self.ours:
            methods, table = self.difference(ours=True)
            means = ", ".join(
                f"{m} {row.mean():+.1f}" for m, row in zip(methods, table, strict=True)
            )
            text += f" Ours, on average: {means}."
        return text

    def plot(self) -> Any:
        """Draw the paper's differences as a heat map, and ours below on the same scale."""
        panels = [("paper", *self.difference())]
        if self.ours:
            panels.append(("ours", *self.difference(ours=True)))
        heights = [len(p[1]) for p in panels]
        figure = new_figure(11.5, 0.36 * sum(heights) + 2.0 + 0.5 * (len(panels) - 1))
        axes = figure.subplots(
            len(panels), 1, squeeze=False, sharex=True, height_ratios=heights
        ).ravel()
        reach = max(float(np.abs(p[2]).max()) for p in panels)
        wrong = _flagged(self.table)
        for ax, (name, methods, table) in zip(axes, panels, strict=True):
            picture = ax.imshow(table, cmap=_colours(), vmin=-reach, vmax=reach, aspect="auto")
            for (i, j), value in np.ndenumerate(table):
                ax.text(
                    j, i, _signed(value, 0), ha="center", va="center",
                    fontsize=8.5, style="italic" if name == "paper" else "normal",
                    color=_ink(value, reach),
                )  # fmt: skip
            flagged = wrong if name == "paper" else {}
            ax.set_yticks(
                range(len(methods)), [f"{m} †" if m in flagged else m for m in methods], fontsize=9
            )
            ax.set_xticks(range(15), [c.replace("_", "\n") for c in _CORRUPTIONS], fontsize=7.5)
            edge = -0.5
            for names in list(CORRUPTION_FAMILIES.values())[:-1]:
                edge += len(names)
                ax.axvline(edge, color="black", lw=1)
            ax.tick_params(length=0)
            ax.set_title(name, loc="left", fontsize=10, **(
                {"style": "italic", "color": _PAPER} if name == "paper" else {"weight": "bold"}
            ))  # fmt: skip
        start = -0.5
        for family, names in CORRUPTION_FAMILIES.items():
            axes[0].text(
                start + len(names) / 2, 1.02, family, ha="center", fontsize=9,
                transform=axes[0].get_xaxis_transform(),
            )  # fmt: skip
            start += len(names)
        figure.colorbar(picture, ax=list(axes), pad=0.01, label=f"points over {self.reference}")
        text = f"paper: Table {self.table}, {SPECS[self.table].network}"
        if self.conditions:
            text += f"; ours: {self.conditions}"
        if wrong:
            text += "\n" + _flag_text(self.table, wrong)
        _note(figure, text)
        return figure

    def plotly(self) -> Any:
        """Return the paper's heat map as an interactive figure."""
        import plotly.graph_objects as go

        methods, table = self.difference()
        reach = float(np.abs(table).max())
        figure = go.Figure(
            go.Heatmap(
                z=table, x=[c.replace("_", " ") for c in _CORRUPTIONS], y=methods,
                colorscale="PuOr", reversescale=True, zmin=-reach, zmax=reach,
                colorbar={"title": "points"},
                hovertemplate="%{y}, %{x}: %{z:+.1f} points<extra></extra>",
            )
        )  # fmt: skip
        figure.update_layout(
            title=f"Table {self.table} of the paper, minus {self.reference}",
            template="simple_white", width=900, height=420, yaxis_autorange="reversed",
        )  # fmt: skip
        return figure
