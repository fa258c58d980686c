"""Groups of bars, one bar a scheme: families of corruptions, flip probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nmlib.corruptions import CORRUPTIONS, PERTURBATIONS
from nmlib.lab.cifar.conditions import flips_note, sequences_left_out
from nmlib.lab.cifar.displays.rows import (
    Measured,
    MeasuredDisplay,
    Paper,
    Records,
    Rows,
    conditions_of_rows,
    gather,
    paper_rows,
    rows_of_records,
)
from nmlib.lab.display.looks import PAPER_STYLE, looks_of, new_figure, scheme_label
from nmlib.lab.display.words import PAPER_COLOUR, short_name, small_print, spaced, wrapped
from nmlib.metrics import CORRUPTION_FAMILIES

__all__ = [
    "FamilyBarsDisplay",
    "FlipBarsDisplay",
]


@dataclass(frozen=True)
class _BarsDisplay(MeasuredDisplay):
    """Groups of bars, one bar a scheme, with the paper's numbers as diamonds."""

    groups: tuple[str, ...]

    _label: ClassVar[str] = "accuracy (%)"
    _words: ClassVar[str] = "Accuracy in percent by family of corruptions."
    _top: ClassVar[float | None] = 100
    # Inches a group, and in all.
    _room: ClassVar[float] = 1.15
    _height: ClassVar[float] = 3.9

    @property
    def _marks(self) -> str:
        several = any(m.seeds > 1 for m in self.measured)
        marks = "; whiskers: lowest and highest seed" if several else ""
        top = self._highest()
        if top is not None and any((values > top).any() for values in self.paper.values()):
            marks += "; a number at the upper edge: in the paper, beyond the axis"
        return marks

    def _highest(self) -> float | None:
        """Return where the axis ends: single numbers of the paper must not flatten our bars."""
        if self._top is not None:
            return self._top
        ours = max(float(np.nanmax(m.means(self.groups) + m.spread(self.groups)[1]))
                   for m in self.measured)  # fmt: skip
        highest = max((float(np.nanmax(v)) for v in self.paper.values()), default=0.0)
        return 1.4 * ours if highest > 1.6 * ours else None

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.groups)
            there = zip(self.groups, means, strict=True)
            numbers = (f"{spaced(g)} {v:.1f}" for g, v in there if not np.isnan(v))
            parts.append(f"{scheme_label(m.scheme)}: {', '.join(numbers)}")
        return f"{self._words} " + "; ".join(parts) + "."

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib; return the figure."""
        figure = None
        wide = 2.2 + self._room * len(self.groups) + 0.12 * len(self.measured)
        if ax is None:
            figure = new_figure(wide, self._height)
            ax = figure.add_subplot()
        looks = looks_of([m.scheme for m in self.measured])
        width = 0.82 / len(self.measured)
        at = np.arange(len(self.groups))
        for number, m in enumerate(self.measured):
            look = looks[m.scheme]
            x = at + (number - (len(self.measured) - 1) / 2) * width
            spread = m.spread(self.groups) if m.seeds > 1 else None
            ax.bar(
                x, m.means(self.groups), 0.92 * width, color=look.bar, edgecolor="white",
                hatch=look.hatch,
                linewidth=0, yerr=spread, error_kw={"lw": 1, "capsize": 2, "ecolor": "0.3"},
                label=scheme_label(m.scheme),
            )  # fmt: skip
            if m.scheme in self.paper:
                # A white rim, since the diamond may lie on a black bar.
                ax.plot(x, self.paper[m.scheme], "D", ms=6.6, mfc="none", mec="white", mew=2.6)
                style = PAPER_STYLE | {"color": "0.2"}
                self._number_beyond(ax, x, self.paper[m.scheme])
                named = not any("paper" in str(a.get_label()) for a in ax.lines)
                ax.plot(
                    x, self.paper[m.scheme], ms=6, label="in the paper" if named else None, **style
                )
        ax.set_xticks(at, [short_name(g) for g in self.groups])
        ax.set_ylim(0, self._highest())
        ax.set_ylabel(self._label)
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        entries = sorted(
            zip(*ax.get_legend_handles_labels(), strict=True), key=lambda e: "paper" in e[1]
        )
        ax.legend(
            *zip(*entries, strict=True), loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5,
            frameon=False,
        )  # fmt: skip
        if figure is not None:
            small_print(figure, self.conditions)
        return figure or ax.figure

    def _number_beyond(self, ax: Any, x: Any, values: Any) -> None:
        """Write the paper's numbers that lie above the axis at its upper edge."""
        top = self._highest()
        for place, value in zip(x, values, strict=True):
            if top is not None and value > top:
                ax.plot(place, 0.975 * top, "^", ms=5, mfc="none", mec="0.2")
                ax.text(
                    place, 0.94 * top, f"{value:.1f}", rotation=90, va="top", ha="center",
                    fontsize=7.5, color="0.2",
                )  # fmt: skip

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        looks = looks_of([m.scheme for m in self.measured])
        groups = [spaced(g) for g in self.groups]
        for m in self.measured:
            look, spread = looks[m.scheme], m.spread(self.groups)
            figure.add_bar(
                x=groups, y=m.means(self.groups).round(2).tolist(), name=scheme_label(m.scheme),
                offsetgroup=m.scheme, hovertemplate="%{x}: %{y:.1f} %",
                marker={
                    "color": look.bar,
                    "pattern": {"shape": look.plotly_hatch, "fgcolor": "white", "size": 6},
                },
                error_y={
                    "array": spread[1].tolist(), "arrayminus": spread[0].tolist(),
                    "visible": m.seeds > 1, "thickness": 1,
                },
            )  # fmt: skip
        named = False
        for m in self.measured:
            if m.scheme in self.paper:
                # A bar without a body stands where the bar of the same group stands.
                figure.add_scatter(
                    x=groups, y=self.paper[m.scheme].tolist(), mode="markers",
                    offsetgroup=m.scheme, name="in the paper", legendgroup="paper",
                    showlegend=not named, hovertemplate=f"{scheme_label(m.scheme)}: %{{y:.1f}} %",
                    marker={"symbol": "diamond-open", "color": PAPER_COLOUR, "size": 9},
                )  # fmt: skip
                named = True
        figure.update_yaxes(range=[0, self._top], title=self._label)
        title = {"text": wrapped(self.conditions, 7).replace("\n", "<br>"), "font": {"size": 12}}
        return figure.update_layout(
            template="plotly_white", barmode="group", scattermode="group", title=title
        )


@dataclass(frozen=True)
class FamilyBarsDisplay(_BarsDisplay):
    """Mean accuracy by family of corruptions, a group of bars each.

    Attributes:
        measured: One entry a scheme; columns are the groups.
        paper: Scheme -> (groups,) percent, the paper's numbers, or nothing.
        groups: "clean", families, "all 15" or how many there are.
        conditions: Small print: data, network, seeds.

    Source: paper Figs. 7 and 8.
    """

    _clean = True

    @classmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> FamilyBarsDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, corruption, severity, images and accuracy in
                [0, 1]. Corruption "clean" makes a group of its own.
            paper: Scheme -> corruption -> percent, from the paper's Tables 7 to 10; "clean" too.
        """
        rows = [row for row in rows if row["corruption"] in (*CORRUPTIONS, "clean")]
        single = gather(rows, "corruption", "accuracy")
        there = {n for m in single for n in m.values} - {"clean"}
        if not there:
            raise ValueError("there are no rows with one of the 15 corruptions")
        last = f"all {len(there)}"
        groups = {"clean": ("clean",)} | CORRUPTION_FAMILIES | {last: CORRUPTIONS}
        grouped = []
        for m in single:
            values = {}
            for group, names in groups.items():
                found = [m.values[n] for n in names if n in m.values]
                if found:
                    values[group] = np.mean(found, axis=0)
            grouped.append(Measured(m.scheme, values))
        kept = tuple(g for g in groups if any(g in m.values for m in grouped))
        means = {
            scheme: {
                group: float(np.mean([values[n] for n in names if n in values]))
                for group, names in groups.items()
                # A mean over other corruptions would be another number.
                if any(n in values for n in names)
                and all(n in values for n in names if n in there or n == "clean")
            }
            for scheme, values in (paper or {}).items()
        }
        text = conditions_of_rows(rows, "whiskers: lowest and highest seed")
        schemes = [m.scheme for m in grouped]
        return cls(tuple(grouped), paper_rows(means, kept, schemes), kept, conditions=text)


@dataclass(frozen=True)
class FlipBarsDisplay(_BarsDisplay):
    """Flip probability by perturbation, a group of bars each, and their mean.

    Attributes:
        measured: One entry a scheme; columns are the groups.
        paper: Scheme -> (groups,) percent, the paper's numbers, or nothing.
        groups: Perturbations, and "mean": of ours those with bars, of the paper's all.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 13 and 14.
    """

    _value = "flip_probability"
    _label = "flip probability (%)"
    _words = "Flip probability in percent by perturbation."
    _top = None
    _room = 0.95
    _height = 3.3

    @classmethod
    def from_rows(
        cls, rows: Rows, *, paper: Paper | None = None, left_out: Sequence[str] = ()
    ) -> FlipBarsDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, perturbation, images and flip_probability in
                [0, 1].
            paper: Scheme -> perturbation -> percent, from the paper's Tables 13 and 14.
            left_out: Perturbations of the paper's that get no bars and are not in our mean.
        """
        rows = [row for row in rows if row["perturbation"] not in left_out]
        single = gather(rows, "perturbation", "flip_probability")
        ours = [n for n in PERTURBATIONS if any(n in m.values for m in single)]
        names = [n for n in PERTURBATIONS if n in ours or (paper and n in left_out)]
        grouped = []
        for m in single:
            # A mean over fewer perturbations would be another number.
            mean = [m.values[n] for n in ours if n in m.values]
            whole = {"mean": np.mean(mean, axis=0)} if len(mean) == len(ours) else {}
            grouped.append(Measured(m.scheme, dict(m.values) | whole))
        means = {
            scheme: {**values, "mean": float(np.mean([values[n] for n in names]))}
            if all(n in values for n in names)
            else dict(values)
            for scheme, values in (paper or {}).items()
        }
        kept = (*names, "mean")
        text = conditions_of_rows(rows, "whiskers: lowest and highest seed")
        schemes = [m.scheme for m in grouped]
        return cls(tuple(grouped), paper_rows(means, kept, schemes), kept, conditions=text)

    @property
    def summary(self) -> str:
        """The figure in words."""
        bars = {name for m in self.measured for name in m.values}
        gone = [spaced(g) for g in self.groups if g not in bars]
        note = f" Not measured by us, and not in our mean: {', '.join(gone)}." if gone else ""
        return super().summary + note

    @classmethod
    def _of_records(cls, records: Records) -> str:
        counts = sorted({int(r["sequence_images"]) for r in records})
        note = flips_note(records)
        return f", {' or '.join(map(str, counts))} sequences a perturbation" + (
            f"; mean of {note}; the paper's mean is of all" if note else ""
        )

    @classmethod
    def _from_records(cls, records: Records, paper: Paper | None) -> FlipBarsDisplay:
        rows = rows_of_records(records, cls._value)
        return cls.from_rows(rows, paper=paper, left_out=sequences_left_out(records))
