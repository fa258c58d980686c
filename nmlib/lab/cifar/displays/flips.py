"""Flip probabilities along sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmlib.corruptions import PERTURBATIONS
from nmlib.lab.cifar.displays.base import MeasuredDisplay
from nmlib.lab.display.looks import new_figure, scheme_label
from nmlib.lab.display.words import spaced

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FlipCurvesDisplay",
]

_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class FlipCurvesDisplay(MeasuredDisplay):
    """How often predictions flip along the sequences, frame by frame.

    Attributes:
        values: (scheme and seed, perturbation) percent, the flip probabilities.
        curves: Scheme -> perturbation -> (F - 1,) percent of sequences, mean over seeds.

    Source: paper Tables 13 and 14.
    """

    curves: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(
        default_factory=dict, kw_only=True
    )

    _value = "flip_probability"
    _key = "perturbation"

    @classmethod
    def from_reports(cls, reports: Mapping[str, Any]) -> FlipCurvesDisplay:
        """Draw reports of `evaluate_perturbations`.

        Args:
            reports: Scheme -> report, or reports of several seeds.
        """
        display = super().from_reports(reports)
        curves: dict[str, dict[str, NDArray[np.float64]]] = {}
        for scheme, given in reports.items():
            several = given if isinstance(given, Sequence) else [given]
            found = {
                n: [100 * r.curves[n] for r in several if n in r.curves] for n in PERTURBATIONS
            }
            curves[scheme] = {n: np.mean(v, axis=0) for n, v in found.items() if v}
        return replace(display, curves=curves)

    @classmethod
    def _arrange(cls, ours: pd.DataFrame, paper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        names = [n for n in PERTURBATIONS if n in ours]
        return ours[names], paper.reindex(columns=names)

    @property
    def names(self) -> tuple[str, ...]:
        """The perturbations, a panel each."""
        return tuple(self.values)

    @property
    def marks(self) -> str:
        """What the marks of the picture stand for."""
        frames = (
            "far right: mean over frames; noise is compared with the first frame, the others with "
            "the frame before"
        )
        return "; ".join(filter(None, (super().marks, frames)))

    @property
    def summary(self) -> str:
        parts = []
        for scheme, means in self.means.iterrows():
            numbers = (f"{spaced(n)} {v:.1f}" for n, v in means.items())
            average = f"{scheme_label(scheme)} {means.mean():.1f} on average"
            parts.append(f"{average} ({', '.join(numbers)})")
        return "Flip probability in percent. " + "; ".join(parts) + "."

    def _axes(self) -> Any:
        columns = min(_COLUMNS, len(self.names))
        rows = -(-len(self.names) // columns)
        figure = new_figure(2.35 * columns, 2.15 * rows + 0.75)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(self.names) :]:
            ax.remove()
        return axes[: len(self.names)]

    def _frames(self, name: str) -> int:
        return max(len(curves[name]) for curves in self.curves.values() if name in curves)

    def _draw(self, ax: Any) -> None:
        axes, looks, means = np.ravel(ax), self.looks, self.means
        for one, name in zip(axes, self.names, strict=True):
            last = self._frames(name)
            for scheme, curves in self.curves.items():
                if name in curves:
                    look, curve = looks[scheme], curves[name]
                    one.plot(
                        np.arange(1, len(curve) + 1), curve, color=look.colour, ls=look.dash,
                        lw=1.4, marker=look.marker, ms=3, markevery=max(1, len(curve) // 5),
                        label=scheme_label(scheme),
                    )  # fmt: skip
            one.axvspan(1.03 * last, 1.21 * last, color="0.93", lw=0)
            for scheme, mean in means[name].dropna().items():
                look = looks[scheme]
                one.plot([1.08 * last], [mean], look.marker, color=look.colour, ms=5.5)
            one.set_title(spaced(name), fontsize=10)
            one.set_ylim(bottom=0)
            one.set_xlim(0, last * 1.21)
            one.set_xticks([t for t in (1, 10, 20, 30) if t <= last])
            one.tick_params(labelsize=8)
        for one in axes[::_COLUMNS]:
            one.set_ylabel("flips (%)", fontsize=9)
        for one in axes[-_COLUMNS:]:
            one.set_xlabel("frame", fontsize=9)
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(
            handles, labels, loc="outside upper center", ncols=min(4, len(labels)), fontsize=8.5,
            frameon=False,
        )  # fmt: skip

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        columns = min(_COLUMNS, len(self.names))
        rows = -(-len(self.names) // columns)
        titles = [spaced(n) for n in self.names]
        figure = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.16)
        looks, means = self.looks, self.means
        for number, name in enumerate(self.names):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            for scheme, curves in self.curves.items():
                if name in curves:
                    look, curve = looks[scheme], curves[name]
                    figure.add_scatter(
                        x=np.arange(1, len(curve) + 1), y=curve.round(2), mode="lines+markers",
                        marker={"symbol": look.symbol, "size": 5}, name=scheme_label(scheme),
                        legendgroup=scheme, showlegend=number == 0,
                        line={"color": look.colour, "dash": look.plotly_dash},
                        hovertemplate="frame %{x}: %{y:.2f} %", **place,
                    )  # fmt: skip
            end = self._frames(name)
            for scheme, mean in means[name].dropna().items():
                look = looks[scheme]
                figure.add_scatter(
                    x=[1.08 * end], y=[mean], mode="markers", name=scheme_label(scheme),
                    legendgroup=scheme, showlegend=False,
                    marker={"size": 9, "symbol": look.symbol, "color": look.colour},
                    hovertemplate="mean of all frames: %{y:.2f} %", **place,
                )  # fmt: skip
        figure.update_xaxes(title="frame", row=rows)
        figure.update_yaxes(title="flips (%)", col=1)
        figure.update_yaxes(rangemode="tozero")
        return figure.update_layout(height=250 * rows + 120)
