"""Reliability diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import Records, of_schemes
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OKABE_ITO, new_figure, scheme_label
from nmlib.metrics import ReliabilityCurve

__all__ = [
    "ReliabilityDisplay",
]

# The accuracy of so few predictions says little: such bars are pale.
_FEW, _PALE = 10, "#a6c8e4"


def _curve(stored: Mapping[str, Any]) -> ReliabilityCurve:
    """Return the curve of a record, in which an empty bin has zeros."""
    count = np.array(stored["count"])
    means = (np.where(count, stored[k], np.nan) for k in ("confidence", "accuracy"))
    return ReliabilityCurve(np.linspace(0, 1, len(count) + 1), count, *means)


def _bars(curve: ReliabilityCurve) -> Iterator[tuple[np.ndarray, str, str]]:
    """Yield which bins are drawn in which colour, and its label in the legend."""
    few = curve.count < _FEW
    for bins, colour, label in (
        (~few, OKABE_ITO["blue"], "accuracy"),
        (few & (curve.count > 0), _PALE, f"accuracy of fewer than {_FEW}"),
    ):
        if bins.any():
            yield bins, colour, label


@dataclass(frozen=True, eq=False)
class ReliabilityDisplay(Display):
    """Reliability diagrams: accuracy of the predictions made with each confidence.

    Attributes:
        curves: Heading -> curve, one panel each.

    >>> from nmlib.metrics import reliability_curve
    >>> display = ReliabilityDisplay.from_curves(
    ...     {"net": reliability_curve([[0.9, 0.1], [0.8, 0.2]], [0, 1], bins=5)}
    ... )
    >>> display.summary
    'Reliability. net: expected calibration error 45.0 %, too sure.'
    """

    curves: Mapping[str, ReliabilityCurve]

    image = "lines"
    grid = "none"

    @classmethod
    def from_curves(
        cls, curves: Mapping[str, ReliabilityCurve], *, conditions: Conditions | str = ""
    ) -> ReliabilityDisplay:
        """Draw curves from `reliability_curve` or `CorruptionReport.reliability`."""
        if not curves:
            raise ValueError("there are no curves to draw")
        return cls(dict(curves), conditions=Conditions.of(conditions))

    @classmethod
    def from_records(
        cls, records: Records, *, schemes: Sequence[str] | None = None
    ) -> ReliabilityDisplay:
        """Draw schemes on all their corrupted sets, the predictions of all seeds together.

        Args:
            records: As from `nmlib.lab.cifar.measured`.
            schemes: Which, in this order; default all.

        Raises:
            ValueError: If there is no record of a scheme, or one has no curve: the oldest have
                none.
        """
        runs = of_schemes(records, schemes)
        stored = runs.reindex(columns=["scheme", "reliability"])
        lacking = stored["scheme"][stored["reliability"].isna()]
        if not lacking.empty:
            raise ValueError(f"a record of scheme {lacking.iloc[0]!r} has no reliability curve")
        curves = {
            scheme_label(scheme): ReliabilityCurve.pooled(map(_curve, found))
            for scheme, found in stored.groupby("scheme", sort=False)["reliability"]
        }
        return cls(curves, conditions=replace(conditions(runs), note="75 corrupted sets pooled"))

    @property
    def summary(self) -> str:
        parts = []
        for name, curve in self.curves.items():
            filled = curve.count > 0
            lean = float((curve.gap[filled] * curve.count[filled]).sum())
            side = "too sure" if lean > 0 else "not sure enough"
            error = 100 * curve.error()
            parts.append(f"{name}: expected calibration error {error:.1f} %, {side}")
        return "Reliability. " + "; ".join(parts) + "."

    def _axes(self) -> Any:
        count = len(self.curves)
        return new_figure(2.9 * count + 0.6, 5.0).subplots(
            2, count, squeeze=False, sharex=True, sharey="row",
            gridspec_kw={"height_ratios": [3.4, 1]},
        )  # fmt: skip

    def _draw(self, ax: Any) -> None:
        above, below = np.reshape(ax, (2, -1))
        for diagram, histogram, (name, curve) in zip(
            above, below, self.curves.items(), strict=True
        ):
            self._panel(diagram, name, curve)
            share = 100 * curve.count / curve.count.sum()
            histogram.bar(
                curve.edges[:-1], share, np.diff(curve.edges), align="edge", color="0.6",
                edgecolor="white", lw=0.6,
            )  # fmt: skip
            histogram.set_xlabel("confidence")
        above[0].set_ylabel("accuracy")
        below[0].set_ylabel("share (%)")
        # A panel may lack a kind of bar that another has.
        known = {
            label: handle for one in above
            for handle, label in zip(*one.get_legend_handles_labels(), strict=True)
        }  # fmt: skip
        above[0].figure.legend(
            list(known.values()), list(known), loc="outside upper center", ncols=2, fontsize=8.5,
            frameon=False,
        )  # fmt: skip

    def _panel(self, ax: Any, name: str, curve: ReliabilityCurve) -> None:
        left, width = curve.edges[:-1], np.diff(curve.edges)
        for bins, colour, label in _bars(curve):
            ax.bar(
                left[bins], curve.accuracy[bins], width[bins], align="edge", color=colour,
                edgecolor="white", lw=0.6, label=label,
            )  # fmt: skip
        filled = curve.count > 0
        ax.bar(
            left[filled], curve.gap[filled], width[filled], curve.accuracy[filled], align="edge",
            color="none", edgecolor=OKABE_ITO["vermilion"], hatch="////", lw=0.8,
            label="gap to the confidence",
        )  # fmt: skip
        ax.plot([0, 1], [0, 1], color="0.25", ls="--", lw=1, label="perfect")
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_title(f"{name}\nECE {100 * curve.error():.1f} %", fontsize=10.5)

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        titles = [f"{n}: ECE {100 * c.error():.1f} %" for n, c in self.curves.items()]
        figure = make_subplots(1, len(self.curves), subplot_titles=titles, shared_yaxes=True)
        for i, curve in enumerate(self.curves.values(), 1):
            centre, width = (curve.edges[:-1] + curve.edges[1:]) / 2, np.diff(curve.edges)
            shown = {"row": 1, "col": i, "showlegend": i == 1}
            for bins, colour, name in _bars(curve):
                figure.add_bar(
                    x=centre[bins], y=curve.accuracy[bins], width=width[bins], name=name,
                    marker={"color": colour}, customdata=curve.count[bins],
                    hovertemplate="accuracy %{y:.3f}, %{customdata} predictions", **shown,
                )  # fmt: skip
            filled = curve.count > 0
            red = OKABE_ITO["vermilion"]
            figure.add_bar(
                x=centre[filled], y=curve.gap[filled], width=width[filled],
                base=curve.accuracy[filled], name="gap to the confidence",
                hovertemplate="gap %{y:.3f}",
                marker={
                    "color": "rgba(0,0,0,0)", "line": {"color": red, "width": 1},
                    "pattern": {"shape": "/", "fgcolor": red, "size": 6},
                },
                **shown,
            )  # fmt: skip
            figure.add_scatter(
                x=[0, 1], y=[0, 1], mode="lines", name="perfect", hoverinfo="skip",
                line={"color": "#444", "dash": "dash", "width": 1}, **shown,
            )  # fmt: skip
        figure.update_xaxes(range=[0, 1], title="confidence")
        figure.update_yaxes(range=[0, 1])
        figure.update_yaxes(title="accuracy", col=1)
        return figure.update_layout(barmode="overlay")
