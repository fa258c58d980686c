"""Accuracy under each corruption, around a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.cifar.displays.base import RowsDisplay
from nmlib.lab.display.looks import PAPER, diamond, new_figure, scheme_label
from nmlib.lab.display.words import short_name
from nmlib.metrics import CORRUPTION_FAMILIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CorruptionRadarDisplay",
]


class CorruptionRadarDisplay(RowsDisplay):
    """Accuracy under each of the 15 corruptions, around a circle.

    Attributes:
        values: (scheme and seed, corruption) percent, clockwise from the top.
        paper: (scheme, corruption) percent, the paper's numbers.
        source: Where the paper's numbers are from.

    Source: paper Tables 7 to 10; their means are those of Fig. 2.
    """

    @classmethod
    def _arrange(cls, ours: pd.DataFrame, paper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        names = [n for n in CORRUPTIONS if n in ours]
        if not names:
            raise ValueError("there are no rows with one of the 15 corruptions")
        return ours[names], paper.reindex(columns=names)

    @property
    def names(self) -> tuple[str, ...]:
        """The corruptions, clockwise from the top."""
        return tuple(self.values)

    @property
    def summary(self) -> str:
        parts = [
            f"{scheme_label(scheme)} {means.min():.1f} % ({short_name(means.idxmin())}) to "
            f"{means.max():.1f} % ({short_name(means.idxmax())}), mean {means.mean():.1f} %"
            for scheme, means in self.means.iterrows()
        ]
        return f"Accuracy under {len(self.names)} corruptions. " + "; ".join(parts) + "."

    def _axes(self) -> Any:
        # Placed by hand: automatic layouts forget the names around a round plot.
        figure = new_figure(8.2, 5.9)
        figure.set_layout_engine("none")
        return figure.add_axes((0.95 / 8.2, 0.85 / 5.9, 4.6 / 8.2, 4.6 / 5.9), projection="polar")

    def _draw(self, ax: Any) -> None:
        from matplotlib.patheffects import withStroke

        angles = np.linspace(0, 2 * np.pi, len(self.names), endpoint=False)
        closed, looks = np.append(angles, angles[0]), self.looks
        ax.set_theta_offset(np.pi / 2)
        ax.set_theta_direction(-1)
        self._family_arcs(ax, angles)
        for scheme, means in self.means.iterrows():
            look, front = looks[scheme], scheme == "noisymix"
            ax.plot(
                closed, np.append(means, means.iloc[0]), color=look.colour, ls=look.dash,
                marker=look.marker, ms=4.5, lw=2.2 if front else 1.4, zorder=4 if front else 3,
                label=scheme_label(scheme),
            )  # fmt: skip
        for scheme, values in self.paper.iterrows():
            # White inside, or the line would show through the marker.
            ax.plot(
                closed, np.append(values, values.iloc[0]), lw=1, zorder=2,
                label=f"{scheme_label(scheme)} in the paper",
                **diamond(marker=looks[scheme].marker, ls=":", mfc="white"),
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
        # In the upper right corner of a figure of our own.
        ax.legend(loc="upper right", bbox_to_anchor=(1.567, 1.085), fontsize=8.5, frameon=False)

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

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        names = [short_name(n) for n in (*self.names, self.names[0])]

        def add(values: pd.Series, name: str, line: dict[str, Any], marker: dict[str, Any]) -> None:
            figure.add_scatterpolar(
                r=np.append(values, values.iloc[0]).round(2), theta=names, mode="lines+markers",
                name=name, line=line, marker=marker, hovertemplate="%{theta}: %{r:.1f} %",
            )  # fmt: skip

        for scheme, means in self.means.iterrows():
            look, width = self.looks[scheme], 3 if scheme == "noisymix" else 2
            line = {"color": look.colour, "dash": look.plotly_dash, "width": width}
            add(means, scheme_label(scheme), line, {"symbol": look.symbol, "size": 7})
        for scheme, values in self.paper.iterrows():
            line = {"color": PAPER, "dash": "dot", "width": 1}
            marker = {"symbol": f"{self.looks[scheme].symbol}-open", "size": 8}
            add(values, f"{scheme_label(scheme)} in the paper", line, marker)
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
        return figure.update_layout(height=560)
