"""Flip probabilities along sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.corruptions import PERTURBATIONS
from nmlib.evaluation import PerturbationReport
from nmlib.lab.cifar.displays.rows import (
    Measured,
    Paper,
    conditions_of_rows,
    gather,
    paper_rows,
    rows_of_reports,
)
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import PAPER_STYLE, looks_of, new_figure, scheme_label
from nmlib.lab.display.words import PAPER_COLOUR, small_print, spaced

__all__ = [
    "FlipCurvesDisplay",
]


@dataclass(frozen=True)
class FlipCurvesDisplay(Shown):
    """How often predictions flip along the sequences, frame by frame.

    Attributes:
        curves: Scheme -> perturbation -> (F - 1,) percent of sequences, mean over seeds.
        measured: One entry a scheme; columns are perturbations: the flip probabilities.
        paper: Scheme -> (names,) percent, the paper's numbers, or nothing.
        names: Perturbations.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 13 and 14.
    """

    flat = True

    curves: Mapping[str, Mapping[str, NDArray[np.float64]]]
    measured: tuple[Measured, ...]
    paper: Mapping[str, NDArray[np.float64]]
    names: tuple[str, ...] = PERTURBATIONS
    conditions: str = ""

    @classmethod
    def from_reports(
        cls,
        reports: Mapping[str, PerturbationReport | Sequence[PerturbationReport]],
        *,
        paper: Paper | None = None,
    ) -> FlipCurvesDisplay:
        """Draw reports, {scheme: report, or reports of several seeds}.

        Args:
            reports: From `evaluate_perturbations`.
            paper: Scheme -> perturbation -> percent, from the paper's Tables 13 and 14.
        """
        rows = rows_of_reports(reports)
        measured = gather(rows, "perturbation", "flip_probability")
        there = {n for m in measured for n in m.values}
        names = tuple(n for n in PERTURBATIONS if n in there)
        curves = {}
        for scheme, given in reports.items():
            several = given if isinstance(given, Sequence) else [given]
            found = {n: [100 * r.curves[n] for r in several if n in r.curves] for n in names}
            curves[scheme] = {n: np.mean(v, axis=0) for n, v in found.items() if v}
        schemes = [m.scheme for m in measured]
        text = (
            conditions_of_rows(rows, "means over seeds")
            + "\nfar right: mean over frames; noise is compared with the first frame, the others "
            "with the frame before"
        )
        return cls(curves, measured, paper_rows(paper, names, schemes), names, text)

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.names)
            numbers = (f"{spaced(n)} {v:.1f}" for n, v in zip(self.names, means, strict=True))
            average = f"{scheme_label(m.scheme)} {np.nanmean(means):.1f} on average"
            parts.append(f"{average} ({', '.join(numbers)})")
        return "Flip probability in percent. " + "; ".join(parts) + "."

    def plot(self, axes: Any = None, *, columns: int = 5) -> Any:
        """Draw with matplotlib; return the figure.

        Args:
            axes: One axes a perturbation; by default a new figure.
            columns: Panels a row of a new figure.
        """
        figure = None
        if axes is None:
            columns = min(columns, len(self.names))
            rows = -(-len(self.names) // columns)
            figure = new_figure(2.35 * columns, 2.15 * rows + 0.75)
            axes = figure.subplots(rows, columns, squeeze=False)
        axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(axes) < len(self.names):
            raise ValueError(f"{len(self.names)} panels need as many axes, got {len(axes)}")
        looks = looks_of(list(self.curves))
        for number, (ax, name) in enumerate(zip(axes, self.names, strict=False)):
            last = 0
            for scheme, curves in self.curves.items():
                if name not in curves:
                    continue
                look, curve = looks[scheme], curves[name]
                last = max(last, len(curve))
                ax.plot(
                    np.arange(1, len(curve) + 1), curve, color=look.colour, ls=look.dash, lw=1.4,
                    marker=look.marker, ms=3, markevery=max(1, len(curve) // 5),
                    label=scheme_label(scheme),
                )  # fmt: skip
            ax.axvspan(1.03 * last, 1.21 * last, color="0.93", lw=0)
            for m in self.measured:
                if name in m.values:
                    look, mean = looks[m.scheme], m.values[name].mean()
                    ax.plot([1.08 * last], [mean], look.marker, color=look.colour, ms=5.5)
            for scheme, values in self.paper.items():
                style = PAPER_STYLE | {"marker": looks[scheme].marker}
                label = f"{scheme_label(scheme)} in the paper"
                ax.plot([1.16 * last], [values[number]], ms=6, label=label, **style)
            ax.set_title(spaced(name), fontsize=10)
            ax.set_ylim(bottom=0)
            ax.set_xlim(0, last * 1.21)
            ax.set_xticks([t for t in (1, 10, 20, 30) if t <= last])
            ax.tick_params(labelsize=8)
            ax.grid(color="0.92")
            ax.spines[["top", "right"]].set_visible(False)
        for ax in axes[len(self.names) :]:
            ax.set_visible(False)
        if figure is not None:
            for ax in axes[::columns]:
                ax.set_ylabel("flips (%)", fontsize=9)
            for ax in axes[max(0, len(self.names) - columns) : len(self.names)]:
                ax.set_xlabel("frame", fontsize=9)
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(
                handles, labels, loc="outside upper center", ncols=min(4, len(labels)),
                fontsize=8.5, frameon=False,
            )  # fmt: skip
            small_print(figure, self.conditions)
        return figure or axes[0].figure

    def plotly(self, *, columns: int = 5) -> Any:
        """Return the interactive form."""
        from plotly.subplots import make_subplots

        columns = min(columns, len(self.names))
        rows = -(-len(self.names) // columns)
        titles = [spaced(n) for n in self.names]
        figure = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.16)
        looks = looks_of(list(self.curves))
        for number, name in enumerate(self.names):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            for scheme, curves in self.curves.items():
                if name in curves:
                    look, curve = looks[scheme], curves[name]
                    figure.add_scatter(
                        x=list(range(1, len(curve) + 1)), y=curve.round(2).tolist(),
                        mode="lines+markers", marker={"symbol": look.symbol, "size": 5},
                        name=scheme_label(scheme), legendgroup=scheme, showlegend=number == 0,
                        line={"color": look.colour, "dash": look.plotly_dash},
                        hovertemplate="frame %{x}: %{y:.2f} %", **place,
                    )  # fmt: skip
            end = max(len(curves[name]) for curves in self.curves.values() if name in curves)
            for m in self.measured:
                if name in m.values:
                    look = looks[m.scheme]
                    figure.add_scatter(
                        x=[1.08 * end], y=[float(m.values[name].mean())], mode="markers",
                        legendgroup=m.scheme, showlegend=False, name=scheme_label(m.scheme),
                        marker={"symbol": look.symbol, "color": look.colour, "size": 9},
                        hovertemplate="mean of all frames: %{y:.2f} %", **place,
                    )  # fmt: skip
            for scheme, values in self.paper.items():
                figure.add_scatter(
                    x=[1.18 * end], y=[float(values[number])], mode="markers",
                    legendgroup=f"{scheme} in the paper", showlegend=number == 0,
                    name=f"{scheme_label(scheme)} in the paper",
                    marker={
                        "symbol": f"{looks[scheme].symbol}-open", "color": PAPER_COLOUR,
                        "size": 9,
                    },
                    hovertemplate="mean of all frames: %{y:.1f} %", **place,
                )  # fmt: skip
        figure.update_xaxes(title="frame", row=rows)
        figure.update_yaxes(title="flips (%)", col=1)
        figure.update_yaxes(rangemode="tozero")
        title = {"text": self.conditions.replace("\n", "<br>"), "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", height=250 * rows + 120, title=title)
