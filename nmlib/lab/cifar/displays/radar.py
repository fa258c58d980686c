"""Accuracy under each corruption, around a circle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.cifar.displays.rows import (
    MeasuredDisplay,
    Paper,
    Rows,
    conditions_of_rows,
    gather,
    paper_rows,
)
from nmlib.lab.display.looks import PAPER_STYLE, looks_of, new_figure, scheme_label
from nmlib.lab.display.words import PAPER_COLOUR, short_name, wrapped
from nmlib.metrics import CORRUPTION_FAMILIES

__all__ = [
    "CorruptionRadarDisplay",
]


@dataclass(frozen=True)
class CorruptionRadarDisplay(MeasuredDisplay):
    """Accuracy under each of the 15 corruptions, around a circle.

    Attributes:
        measured: One entry a scheme; columns are corruptions.
        paper: Scheme -> (names,) percent, the paper's numbers, or nothing.
        names: Corruptions, clockwise from the top.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 7 to 10; their means are those of Fig. 2.
    """

    names: tuple[str, ...] = CORRUPTIONS

    @classmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> CorruptionRadarDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, corruption, severity, images and accuracy in
                [0, 1]; other corruptions than the 15, and clean images, are left out.
            paper: Scheme -> corruption -> percent, from the paper's Tables 7 to 10.
        """
        rows = [row for row in rows if row["corruption"] in CORRUPTIONS]
        measured = gather(rows, "corruption", "accuracy")
        there = {n for m in measured for n in m.values}
        names = tuple(n for n in CORRUPTIONS if n in there)
        schemes = [m.scheme for m in measured]
        text = conditions_of_rows(rows, "means over seeds")
        return cls(measured, paper_rows(paper, names, schemes), names, conditions=text)

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.names)
            worst, best = self.names[np.nanargmin(means)], self.names[np.nanargmax(means)]
            parts.append(
                f"{scheme_label(m.scheme)} {np.nanmin(means):.1f} % ({short_name(worst)}) to "
                f"{np.nanmax(means):.1f} % ({short_name(best)}), mean {np.nanmean(means):.1f} %"
            )
        return f"Accuracy under {len(self.names)} corruptions. " + "; ".join(parts) + "."

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib, on polar axes; return the figure."""
        from matplotlib.patheffects import withStroke

        figure = None
        if ax is None:
            # Placed by hand: automatic layouts forget the names around a round plot.
            figure = new_figure(8.2, 5.9)
            figure.set_layout_engine("none")
            ax = figure.add_axes((0.95 / 8.2, 0.85 / 5.9, 4.6 / 8.2, 4.6 / 5.9), projection="polar")
        if ax.name != "polar":
            raise ValueError("a radar needs polar axes: figure.add_subplot(projection='polar')")
        angles = np.linspace(0, 2 * np.pi, len(self.names), endpoint=False)
        closed = np.append(angles, angles[0])
        looks = looks_of([m.scheme for m in self.measured])
        ax.set_theta_offset(np.pi / 2)
        ax.set_theta_direction(-1)
        self._family_arcs(ax, angles)
        for m in self.measured:
            means, look = m.means(self.names), looks[m.scheme]
            front = m.scheme == "noisymix"
            ax.plot(
                closed, np.append(means, means[0]), color=look.colour, ls=look.dash,
                marker=look.marker, ms=4.5, lw=2.2 if front else 1.4, zorder=4 if front else 3,
                label=scheme_label(m.scheme),
            )  # fmt: skip
        for scheme, values in self.paper.items():
            # White inside, or the line would show through the marker.
            style = PAPER_STYLE | {
                "marker": looks[scheme].marker, "linestyle": ":", "markerfacecolor": "white",
            }  # fmt: skip
            ax.plot(
                closed, np.append(values, values[0]), ms=6, lw=1, zorder=2,
                label=f"{scheme_label(scheme)} in the paper", **style,
            )  # fmt: skip
        ax.set_ylim(0, 100)
        ax.set_yticks([20, 40, 60, 80, 100], [])
        for radius in (20, 40, 60, 80, 100):
            # Between two spokes, where no line has its markers, and readable on a line.
            text = ax.text(
                angles[1] / 2, radius, f"{radius} %" if radius == 100 else str(radius),
                ha="left", va="bottom", fontsize=8, zorder=5,
            )  # fmt: skip
            text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
        ax.set_xticks(angles, [short_name(n) for n in self.names], fontsize=9)
        for label, angle in zip(ax.get_xticklabels(), angles, strict=True):
            side = np.sin(angle)
            label.set_ha("center" if abs(side) < 0.2 else "left" if side > 0 else "right")
        ax.grid(color="0.82")
        shown = {"fontsize": 8.5, "frameon": False}
        if figure is None:
            ax.legend(loc="upper left", bbox_to_anchor=(1.14, 1.0), **shown)
        else:
            figure.legend(loc="upper right", bbox_to_anchor=(0.995, 0.99), **shown)
            text = wrapped(self.conditions, 8.2)
            figure.text(0.99, 0.01, text, fontsize=7.5, color="0.35", ha="right", va="bottom")
        return figure or ax.figure

    def _family_arcs(self, ax: Any, angles: NDArray[np.float64]) -> None:
        half = np.pi / len(self.names)
        for number, (family, names) in enumerate(CORRUPTION_FAMILIES.items()):
            there = [i for i, n in enumerate(self.names) if n in names]
            if not there:
                continue
            ax.text(
                angles[there].mean(), 14, family, ha="center", va="center", fontsize=8,
                style="italic", color="0.4",
            )  # fmt: skip
            if number % 2 == 0:
                span = np.linspace(angles[there[0]] - half, angles[there[-1]] + half, 60)
                ax.fill_between(span, 0, 100, color="0.5", alpha=0.14, lw=0, zorder=0)

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        looks = looks_of([m.scheme for m in self.measured])
        names = [short_name(n) for n in (*self.names, self.names[0])]
        for m in self.measured:
            look, means = looks[m.scheme], m.means(self.names)
            ours = m.scheme == "noisymix"
            figure.add_scatterpolar(
                r=np.append(means, means[0]).round(2).tolist(), theta=names, mode="lines+markers",
                name=scheme_label(m.scheme), hovertemplate="%{theta}: %{r:.1f} %",
                line={
                    "color": look.colour, "dash": look.plotly_dash,
                    "width": 3 if ours else 2,
                },
                marker={"symbol": look.symbol, "size": 7},
            )  # fmt: skip
        for scheme, values in self.paper.items():
            symbol = looks[scheme].symbol
            figure.add_scatterpolar(
                r=np.append(values, values[0]).tolist(), theta=names, mode="lines+markers",
                name=f"{scheme_label(scheme)} in the paper", hovertemplate="%{theta}: %{r:.1f} %",
                line={"color": PAPER_COLOUR, "dash": "dot", "width": 1},
                marker={"symbol": f"{symbol}-open", "size": 8},
            )  # fmt: skip
        figure.update_polars(
            angularaxis={"direction": "clockwise", "rotation": 90},
            # Between the first two spokes.
            radialaxis={
                "range": [0, 100],
                "ticksuffix": " %",
                "showticksuffix": "last",
                "angle": 90 - 180 / len(self.names),
                "tickangle": 0,
                "dtick": 20,
            },
        )
        title = {"text": self.conditions, "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", title=title, height=560)
