"""Reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.evaluation import CorruptionReport, Predictions
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import OKABE_ITO, new_figure, scheme_label
from nmlib.lab.display.words import small_print
from nmlib.metrics import ReliabilityCurve, reliability_curve

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


@dataclass(frozen=True)
class ReliabilityDisplay(Shown):
    """Reliability diagrams: how often a model is right when it is so sure.

    Attributes:
        curves: Heading -> curve, one panel each.
        conditions: Small print: data, network.

    >>> display = ReliabilityDisplay.from_curves(
    ...     {"net": reliability_curve([[0.9, 0.1], [0.8, 0.2]], [0, 1], bins=5)}
    ... )
    >>> display.summary
    'Reliability. net: expected calibration error 45.0 %, too sure.'
    """

    flat = True

    curves: Mapping[str, ReliabilityCurve]
    conditions: str = ""

    @classmethod
    def from_curves(
        cls, curves: Mapping[str, ReliabilityCurve], *, conditions: str = ""
    ) -> ReliabilityDisplay:
        """Draw curves from `reliability_curve` or `CorruptionReport.reliability`."""
        if not curves:
            raise ValueError("there are no curves to draw")
        return cls(dict(curves), conditions)

    @classmethod
    def from_predictions(
        cls, predictions: Mapping[str, Predictions], *, bins: int = 15
    ) -> ReliabilityDisplay:
        """Draw the results of `evaluate`."""
        data = next(iter(predictions.values())).data if predictions else ""
        curves = {name: reliability_curve(p, bins=bins) for name, p in predictions.items()}
        return cls.from_curves(curves, conditions=data)

    @classmethod
    def from_report(cls, report: CorruptionReport) -> ReliabilityDisplay:
        """Draw a model on clean images beside the same model on all its corrupted sets."""
        curves = {"clean": reliability_curve(report.clean), "corrupted": report.reliability()}
        names = [str(report.key[k]) for k in ("dataset", "model") if report.key.get(k)]
        if report.key.get("scheme"):
            names.append(scheme_label(str(report.key["scheme"])))
        return cls(curves, ", ".join(names) + f"; corrupted: {report.coverage}, pooled")

    @classmethod
    def from_records(
        cls, records: Sequence[Mapping[str, Any]], *, schemes: Sequence[str] | None = None
    ) -> ReliabilityDisplay:
        """Draw schemes on all their corrupted sets, the predictions of all seeds together.

        Args:
            records: As from `nmlib.lab.cifar.records`.
            schemes: Which, in this order; default all.

        Raises:
            ValueError: If there is no record of a scheme, or one has no curve: the oldest have
                none.
        """
        names = list(dict.fromkeys(r["scheme"] for r in records) if schemes is None else schemes)
        curves = {}
        for name in names:
            of_scheme = [r for r in records if r["scheme"] == name]
            if not of_scheme:
                raise ValueError(f"there is no record of scheme {name!r}")
            if any("reliability" not in r for r in of_scheme):
                raise ValueError(f"a record of scheme {name!r} has no reliability curve")
            curves[scheme_label(name)] = ReliabilityCurve.pooled(
                _curve(r["reliability"]) for r in of_scheme
            )
        chosen = [r for r in records if r["scheme"] in names]
        return cls.from_curves(curves, conditions=f"{conditions(chosen)}; 75 corrupted sets pooled")

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for name, curve in self.curves.items():
            filled = curve.count > 0
            lean = float((curve.gap[filled] * curve.count[filled]).sum())
            side = "too sure" if lean > 0 else "not sure enough"
            error = 100 * curve.error()
            parts.append(f"{name}: expected calibration error {error:.1f} %, {side}")
        return "Reliability. " + "; ".join(parts) + "."

    def plot(self, axes: Any = None) -> Any:
        """Draw with matplotlib; return the figure.

        Args:
            axes: One axes a curve; by default a new figure, with the histograms below.
        """
        figure, below = None, None
        if axes is None:
            count = len(self.curves)
            figure = new_figure(2.9 * count + 0.6, 5.0)
            grid = figure.subplots(
                2, count, squeeze=False, sharex=True, sharey="row",
                gridspec_kw={"height_ratios": [3.4, 1]},
            )  # fmt: skip
            axes, below = grid
        axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(axes) < len(self.curves):
            raise ValueError(f"{len(self.curves)} curves need as many axes, got {len(axes)}")
        for i, (ax, (name, curve)) in enumerate(zip(axes, self.curves.items(), strict=False)):
            self._panel(ax, name, curve)
            if below is not None:
                share = 100 * curve.count / curve.count.sum()
                below[i].bar(
                    curve.edges[:-1], share, np.diff(curve.edges), align="edge", color="0.6",
                    edgecolor="white", lw=0.6,
                )  # fmt: skip
                below[i].set_xlabel("confidence")
                below[i].spines[["top", "right"]].set_visible(False)
            else:
                ax.set_xlabel("confidence")
        axes[0].set_ylabel("accuracy")
        if below is not None:
            below[0].set_ylabel("share (%)")
        if figure is not None:
            # A panel may lack a kind of bar that another has.
            known = {
                label: handle for ax in axes
                for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
            }  # fmt: skip
            figure.legend(
                list(known.values()),
                list(known),
                loc="outside upper center",
                ncols=2,
                fontsize=8.5,
                frameon=False,
            )
            small_print(figure, self.conditions)
        else:
            axes[0].legend(loc="upper left", fontsize=8)
        return figure or axes[0].figure

    def _panel(self, ax: Any, name: str, curve: ReliabilityCurve) -> None:
        filled = curve.count > 0
        left, width = curve.edges[:-1][filled], np.diff(curve.edges)[filled]
        accuracy, confidence = curve.accuracy[filled], curve.confidence[filled]
        few = curve.count[filled] < _FEW
        for chosen, colour, label in (
            (~few, OKABE_ITO["blue"], "accuracy"),
            (few, _PALE, f"accuracy of fewer than {_FEW}"),
        ):
            if not chosen.any():
                continue
            ax.bar(
                left[chosen], accuracy[chosen], width[chosen], align="edge", color=colour,
                edgecolor="white", lw=0.6, label=label,
            )  # fmt: skip
        ax.bar(
            left, confidence - accuracy, width, accuracy, align="edge", color="none",
            edgecolor=OKABE_ITO["vermilion"], hatch="////", lw=0.8, label="gap to the confidence",
        )  # fmt: skip
        ax.plot([0, 1], [0, 1], color="0.25", ls="--", lw=1, label="perfect")
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_title(f"{name}\nECE {100 * curve.error():.1f} %", fontsize=10.5)
        ax.spines[["top", "right"]].set_visible(False)

    def plotly(self) -> Any:
        """Return the interactive form."""
        from plotly.subplots import make_subplots

        titles = [f"{n}: ECE {100 * c.error():.1f} %" for n, c in self.curves.items()]
        figure = make_subplots(1, len(self.curves), subplot_titles=titles, shared_yaxes=True)
        for i, curve in enumerate(self.curves.values(), 1):
            filled = curve.count > 0
            centre = ((curve.edges[:-1] + curve.edges[1:]) / 2)[filled]
            width = np.diff(curve.edges)[filled].tolist()
            accuracy, gap = curve.accuracy[filled], curve.gap[filled]
            shown = {"row": 1, "col": i, "showlegend": i == 1}
            few = curve.count[filled] < _FEW
            for chosen, colour, name in (
                (~few, OKABE_ITO["blue"], "accuracy"),
                (few, _PALE, f"accuracy of fewer than {_FEW}"),
            ):
                figure.add_bar(
                    x=centre[chosen].tolist(), y=accuracy[chosen].tolist(), name=name,
                    width=width[0], marker={"color": colour},
                    customdata=curve.count[filled][chosen].tolist(),
                    hovertemplate="accuracy %{y:.3f}, %{customdata} predictions", **shown,
                )  # fmt: skip
            figure.add_bar(
                x=centre.tolist(), y=gap.tolist(), width=width, base=accuracy.tolist(),
                name="gap to the confidence", hovertemplate="gap %{y:.3f}",
                marker={
                    "color": "rgba(0,0,0,0)",
                    "line": {"color": OKABE_ITO["vermilion"], "width": 1},
                    "pattern": {"shape": "/", "fgcolor": OKABE_ITO["vermilion"], "size": 6},
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
        title = {"text": self.conditions, "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", barmode="overlay", title=title)
