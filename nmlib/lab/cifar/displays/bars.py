"""Groups of bars, one bar a scheme: families of corruptions, flip probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmlib.corruptions import CORRUPTIONS, PERTURBATIONS
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.displays.base import RowsDisplay
from nmlib.lab.cifar.records import flips_note
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import PLOTLY_PAPER, diamond, new_figure, scheme_label
from nmlib.lab.display.words import short_name, spaced
from nmlib.metrics import CORRUPTION_FAMILIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FamilyBarsDisplay",
    "FlipBarsDisplay",
]


class _BarsDisplay(RowsDisplay):
    """Groups of bars, one bar a scheme, with the paper's numbers as diamonds."""

    grid = "y"
    _label: ClassVar[str] = "accuracy (%)"
    _words: ClassVar[str] = "Accuracy in percent by family of corruptions."
    # The end of the axis; None for as high as our bars and most diamonds.
    _top: ClassVar[float | None] = 100
    # Inches for a group, and the height of the figure.
    _room: ClassVar[float] = 1.15
    _height: ClassVar[float] = 3.9

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of bars."""
        return tuple(self.values)

    @property
    def marks(self) -> str:
        """What the marks of the picture stand for."""
        marks = ["whiskers: lowest and highest seed"] if self.several else []
        top = self._highest()
        if top is not None and (self.paper > top).any(axis=None):
            marks.append("a number at the upper edge: in the paper, beyond the axis")
        return "; ".join(marks)

    def _highest(self) -> float | None:
        """Return where the axis ends: single numbers of the paper must not flatten our bars."""
        if self._top is not None:
            return self._top
        ours, paper = self.values.max(axis=None), self.paper.max(axis=None)
        return 1.4 * ours if paper > 1.6 * ours else None

    @property
    def summary(self) -> str:
        parts = []
        for scheme, means in self.means.iterrows():
            numbers = (f"{spaced(group)} {v:.1f}" for group, v in means.dropna().items())
            parts.append(f"{scheme_label(scheme)}: {', '.join(numbers)}")
        return f"{self._words} " + "; ".join(parts) + "."

    def _axes(self) -> Any:
        wide = 2.2 + self._room * len(self.groups) + 0.12 * len(self.means)
        return new_figure(wide, self._height).add_subplot()

    def _draw(self, ax: Any) -> None:
        width, at = 0.82 / len(self.means), np.arange(len(self.groups))
        (below, above), looks, diamonds = self.spread, self.looks, []
        for number, (scheme, means) in enumerate(self.means.iterrows()):
            x = at + (number - (len(self.means) - 1) / 2) * width
            whiskers = [below.loc[scheme], above.loc[scheme]] if self.several else None
            ax.bar(
                x, means, 0.92 * width, color=looks[scheme].bar, edgecolor="white",
                hatch=looks[scheme].hatch, linewidth=0, yerr=whiskers,
                error_kw={"lw": 1, "capsize": 2, "ecolor": "0.3"}, label=scheme_label(scheme),
            )  # fmt: skip
            if scheme in self.paper.index:
                diamonds.append((x, self.paper.loc[scheme]))
        for number, (x, values) in enumerate(diamonds):
            # A white rim, since the diamond may lie on a black bar.
            ax.plot(x, values, "D", ms=6.6, mfc="none", mec="white", mew=2.6)
            label = None if number else "in the paper"
            ax.plot(x, values, **diamond(mec="0.2", label=label))
            self._write_beyond(ax, x, values)
        ax.set_xticks(at, [short_name(g) for g in self.groups])
        ax.set_ylim(0, self._highest())
        ax.set_ylabel(self._label)
        entries = zip(*ax.get_legend_handles_labels(), strict=True)
        ax.legend(
            *zip(*sorted(entries, key=lambda entry: entry[1] == "in the paper"), strict=True),
            loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5, frameon=False,
        )  # fmt: skip

    def _write_beyond(self, ax: Any, x: Any, values: Any) -> None:
        """Write the paper's numbers that lie above the axis at its upper edge."""
        top = self._highest()
        for place, value in zip(x, values, strict=True):
            if top is not None and value > top:
                ax.plot(place, 0.975 * top, "^", ms=5, mfc="none", mec="0.2")
                ax.text(
                    place, 0.94 * top, f"{value:.1f}", rotation=90, va="top", ha="center",
                    fontsize=7.5, color="0.2",
                )  # fmt: skip

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        (below, above), groups = self.spread, [spaced(g) for g in self.groups]
        for scheme, means in self.means.iterrows():
            look = self.looks[scheme]
            figure.add_bar(
                x=groups, y=means.round(2), name=scheme_label(scheme), offsetgroup=scheme,
                hovertemplate="%{x}: %{y:.1f} %",
                marker={
                    "color": look.bar,
                    "pattern": {"shape": look.plotly_hatch, "fgcolor": "white", "size": 6},
                },
                error_y={
                    "array": above.loc[scheme], "arrayminus": below.loc[scheme],
                    "visible": self.several, "thickness": 1,
                },
            )  # fmt: skip
        for number, (scheme, values) in enumerate(self.paper.iterrows()):
            # With scattermode "group" the markers stand over the bars of their scheme.
            figure.add_scatter(
                x=groups, y=values, mode="markers", offsetgroup=scheme, name="in the paper",
                legendgroup="paper", showlegend=number == 0, marker=PLOTLY_PAPER,
                hovertemplate=f"{scheme_label(scheme)}: %{{y:.1f}} %",
            )  # fmt: skip
        figure.update_yaxes(range=[0, self._top], title=self._label)
        return figure.update_layout(barmode="group", scattermode="group")


class FamilyBarsDisplay(_BarsDisplay):
    """Mean accuracy by family of corruptions, a group of bars each.

    Attributes:
        values: (scheme and seed, group) percent; groups are "clean", the families, and "all 15" or
            the number of corruptions that there are.
        paper: (scheme, group) percent, the paper's numbers.
        source: Where the paper's numbers are from.

    Source: paper Figs. 7 and 8.
    """

    _clean = True

    @classmethod
    def _arrange(cls, ours: pd.DataFrame, paper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        import pandas as pd

        there = [c for c in CORRUPTIONS if c in ours]
        if not there:
            raise ValueError("there are no rows with one of the 15 corruptions")
        groups = {"clean": ["clean"]} | CORRUPTION_FAMILIES | {f"all {len(there)}": there}
        found = {g: [n for n in names if n in ours] for g, names in groups.items()}
        found = {g: names for g, names in found.items() if names}

        def grouped(values: pd.DataFrame) -> pd.DataFrame:
            # A mean over fewer corruptions would be another number: without one it is nan.
            means = {
                g: values.reindex(columns=names).mean(axis="columns", skipna=False)
                for g, names in found.items()
            }
            return pd.DataFrame(means, index=values.index)

        return grouped(ours), grouped(paper)


class FlipBarsDisplay(_BarsDisplay):
    """Flip probability by perturbation, a group of bars each, and their mean.

    Attributes:
        values: (scheme and seed, perturbation or "mean") percent.
        paper: The same of the paper, (scheme, ...); its means are over all its perturbations.
        source: Where the paper's numbers are from.

    Source: paper Tables 13 and 14.
    """

    _value = "flip_probability"
    _key = "perturbation"
    _label = "flip probability (%)"
    _words = "Flip probability in percent by perturbation."
    _top = None
    _room = 0.95
    _height = 3.3

    @classmethod
    def _arrange(cls, ours: pd.DataFrame, paper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        # What only the paper has gets diamonds without bars.
        names = [n for n in PERTURBATIONS if n in ours or n in paper]
        bars = [n for n in names if n in ours]

        def with_mean(values: pd.DataFrame, over: list[str]) -> pd.DataFrame:
            # A mean over fewer perturbations would be another number: without one it is nan.
            wide = values.reindex(columns=names)
            return wide.assign(mean=wide[over].mean(axis="columns", skipna=False))

        return with_mean(ours, bars), with_mean(paper, names)

    @classmethod
    def _measured_on(cls, runs: pd.DataFrame) -> Conditions:
        counts = " or ".join(f"{n:.0f}" for n in sorted(runs["sequence_images"].unique()))
        note = flips_note(runs)
        return replace(
            conditions(runs), details=(f"{counts} sequences a perturbation",),
            note=f"mean of {note}; the paper's mean is of all" if note else "",
        )  # fmt: skip

    @property
    def summary(self) -> str:
        gone = [spaced(g) for g in self.groups if self.values[g].isna().all()]
        note = f" Not measured by us, and not in our mean: {', '.join(gone)}." if gone else ""
        return super().summary + note
