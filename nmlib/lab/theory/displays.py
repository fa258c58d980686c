"""Figures of the Taylor-expansion checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import LANE_LABELS, OKABE_ITO, new_figure
from nmlib.theory import Expansion, slope

__all__ = ["RemainderDisplay", "TermsDisplay", "TrainedTermsDisplay"]

_COLOURS = [OKABE_ITO[n] for n in ("vermilion", "blue", "bluish green", "reddish purple", "orange",
                                   "sky blue", "black")]  # fmt: skip
_MARKERS = ["s", "^", "v", "D", "P", "X", "*"]
_DASHES = ["--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (6, 2))]
FLOOR = 2e-15


@dataclass(frozen=True)
class RemainderDisplay(Shown):
    r"""|loss - expansion| against $\epsilon$ on logarithmic axes, with negative controls.

    Attributes:
        eps: Ladder.
        remainder: Remainder of the full expansion.
        controls: Remainders with one term left out, by name.
        title: Heading.
    """

    eps: tuple[float, ...]
    remainder: tuple[float, ...]
    controls: Mapping[str, tuple[float, ...]]
    title: str = ""

    @classmethod
    def from_loss(
        cls,
        loss: Callable[[float], float],
        expansion: Expansion,
        *,
        eps: Sequence[float] = tuple(0.32 / 2**k for k in range(9)),
        leave_out: Sequence[str] = (),
        title: str = "",
    ) -> RemainderDisplay:
        """Measure the loss on a ladder and subtract the expansion, whole and in part."""
        values = [loss(e) for e in eps]

        def off(part: Expansion) -> tuple[float, ...]:
            return tuple(abs(v - part.at(e)) for v, e in zip(values, eps, strict=True))

        controls = {name: off(expansion.without(name)) for name in leave_out}
        return cls(tuple(eps), off(expansion), controls, title)

    def slope(self, left_out: str | None = None) -> float:
        """Return the slope over the four smallest eps above rounding."""
        return slope(self.eps, self.controls[left_out] if left_out else self.remainder, FLOOR)

    @property
    def summary(self) -> str:
        """What the figure shows, in words."""
        parts = [f"full expansion {self.slope():.1f}"]
        parts += [f"without {name} {self.slope(name):.1f}" for name in self.controls]
        return f"Remainder against eps, log-log; slopes: {', '.join(parts)}."

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib; return the figure."""
        figure = None
        if ax is None:
            figure = new_figure(6.4, 4.2)
            ax = figure.add_subplot()
        for i, (name, values) in enumerate(self.controls.items()):
            ax.loglog(
                self.eps, values, color=_COLOURS[i % 7], marker=_MARKERS[i % 7], markersize=5,
                linestyle=_DASHES[i % 7], label=f"without {name}: slope {self.slope(name):.1f}",
            )  # fmt: skip
        ax.loglog(
            self.eps, self.remainder, color="black", marker="o", linewidth=2.2,
            label=f"all terms: slope {self.slope():.1f}",
        )  # fmt: skip
        ax.set_xlabel(r"$\epsilon$")
        ax.set_ylabel("|loss − expansion|")
        ax.set_title(self.title)
        ax.grid(True, which="major", color="0.9")
        ax.legend(fontsize=8, frameon=False)
        return figure or ax.figure

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        for name, values in {"all terms": self.remainder, **self.controls}.items():
            label = name if name == "all terms" else f"without {name}"
            figure.add_scatter(x=self.eps, y=values, name=label, mode="lines+markers")
        figure.update_xaxes(type="log", title="eps")
        figure.update_yaxes(type="log", title="|loss − expansion|")
        return figure.update_layout(title=self.title, template="plotly_white")


@dataclass(frozen=True)
class TermsDisplay(Shown):
    """Bar chart of the terms of an expansion.

    Attributes:
        names: Terms.
        values: Contributions at `eps`.
        eps: Where.
        title: Heading.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    eps: float
    title: str = ""

    @classmethod
    def from_expansion(
        cls, expansion: Expansion, eps: float = 1.0, title: str = ""
    ) -> TermsDisplay:
        """Take all terms that are not 0."""
        kept = {n: t * eps**t.order for n, t in expansion.terms.items() if t != 0}
        return cls(tuple(kept), tuple(float(v) for v in kept.values()), eps, title)

    @property
    def summary(self) -> str:
        """What the figure shows, in words."""
        pairs = zip(self.names, self.values, strict=True)
        return f"Terms at eps = {self.eps:.3g}: " + ", ".join(f"{n} {v:+.2g}" for n, v in pairs)

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib; return the figure."""
        figure = None
        if ax is None:
            figure = new_figure(6.4, 0.34 * len(self.names) + 1.1)
            ax = figure.add_subplot()
        values = np.array(self.values)
        bars = ax.barh(
            range(len(values)), values,
            color=[OKABE_ITO["blue"] if v >= 0 else OKABE_ITO["vermilion"] for v in values],
        )  # fmt: skip
        for bar, value in zip(bars, values, strict=True):
            if value < 0:  # a second channel besides colour
                bar.set_hatch("///")
                bar.set_edgecolor("white")
        ax.bar_label(bars, [f"{v:+.2g}" for v in values], padding=4, fontsize=8)
        ax.set_yticks(range(len(values)), self.names)
        ax.invert_yaxis()
        ax.axvline(0, color="black", linewidth=0.8)
        ax.margins(x=0.16)
        ax.set_xlabel("contribution to the loss (hatched: lowers it)")
        ax.set_title(self.title, loc="left", fontsize=10)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        return figure or ax.figure

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure(go.Bar(x=self.values, y=self.names, orientation="h"))
        figure.update_yaxes(autorange="reversed")
        return figure.update_layout(title=self.title, template="plotly_white")


@dataclass(frozen=True)
class TrainedTermsDisplay(Shown):
    """Terms on networks trained with each scheme: mean over seeds with standard errors.

    Attributes:
        schemes: Rows, "before" first.
        terms: One panel each.
        mean: (T, C) means.
        error: (T, C) standard errors.
        conditions: Small print: data, budget, seeds.
    """

    schemes: tuple[str, ...]
    terms: tuple[str, ...]
    mean: np.ndarray
    error: np.ndarray
    conditions: str = ""

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], activation: str, terms: Sequence[str]
    ) -> TrainedTermsDisplay:
        """Read a record of `benchmarks/theory.py terms`."""
        table = record[activation]["mean_and_standard_error"]
        values = np.array([[table[s][t] for s in table] for t in terms])
        made = record["provenance"]
        conditions = (
            f"{activation} 2-100-2, polygon band, {made['epochs']} epochs, {made['seeds']} seeds; "
            "bars: 2 standard errors"
        )
        return cls(tuple(table), tuple(terms), values[..., 0], values[..., 1], conditions)

    @property
    def summary(self) -> str:
        """What the figure shows, in words."""
        lines = [f"Terms after training ({self.conditions}):"]
        for term, row in zip(self.terms, self.mean, strict=True):
            pairs = zip(self.schemes, row, strict=True)
            lines.append(f"{term}: " + ", ".join(f"{s} {v:.2g}" for s, v in pairs))
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib; return the figure."""
        count = len(self.terms)
        figure = new_figure(2.5 * count + 1.6, 3.1)
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        labels = [LANE_LABELS.get(s, "Before training") for s in self.schemes]
        for ax, term, mean, error in zip(axes, self.terms, self.mean, self.error, strict=True):
            for i, (m, e) in enumerate(zip(mean, error, strict=True)):
                best = self.schemes[i] == "noisymix"
                ax.errorbar(
                    m, i, xerr=2 * e, capsize=3, linestyle="none",
                    marker="D" if best else "o", markersize=7 if best else 5,
                    color=OKABE_ITO["vermilion"] if best else OKABE_ITO["blue"],
                )  # fmt: skip
            ax.axvline(0, color="0.6", linewidth=0.8)
            ax.set_title(term, fontsize=10)
            ax.set_yticks(range(len(labels)), labels)
            ax.grid(True, axis="x", color="0.92")
            ax.tick_params(labelsize=8)
        axes[0].invert_yaxis()
        figure.supxlabel(self.conditions, fontsize=8, color="0.3")
        return figure

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        labels = [LANE_LABELS.get(s, "Before training") for s in self.schemes]
        for term, mean, error in zip(self.terms, self.mean, self.error, strict=True):
            figure.add_bar(
                name=term, x=labels, y=mean, error_y={"type": "data", "array": 2 * error}
            )
        return figure.update_layout(template="plotly_white", title=self.conditions)


def draw_meter(reply: dict[str, Any]) -> Any:
    """Draw one reading of the theory meter: measured loss against expansion.

    Args:
        reply: eps, measured, expanded, miss (share of the change), parted, and `curve` with the
            lists eps, measured and expanded.

    Returns:
        The matplotlib figure.
    """
    amber = reply["parted"]
    colour = OKABE_ITO["orange"] if amber else OKABE_ITO["blue"]
    figure = new_figure(6.4, 3.3)
    ax = figure.add_subplot()
    curve = reply["curve"]
    ax.plot(curve["eps"], curve["measured"], color="black", label="measured")
    ax.plot(curve["eps"], curve["expanded"], color=colour, linestyle="--", label="expansion")
    ax.plot(reply["eps"], reply["measured"], "o", color="black", markerfacecolor="white")
    ax.plot(reply["eps"], reply["expanded"], "s", color=colour)
    ax.axvline(reply["eps"], color="0.7", linestyle=":", zorder=0)
    mark = "⚠ they part" if amber else "✓ they agree"
    percent = f"off by {100 * reply['miss']:.2g} % of the change"
    ax.set_title(f"{mark}: {percent}", fontsize=10, loc="left")
    ax.set_xlabel(r"$\epsilon$")
    ax.set_ylabel("loss")
    ax.legend(frameon=False)
    return figure
