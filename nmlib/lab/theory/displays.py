"""Figures of the Taylor-expansion checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import LANE_LABELS, OKABE_ITO, looks_of, new_figure, plotly_heading
from nmlib.theory import Expansion, MeterReading, slope

__all__ = ["MeterDisplay", "RemainderDisplay", "TermsDisplay", "TrainedTermsDisplay"]

FLOOR = 2e-15


@dataclass(frozen=True, eq=False)
class RemainderDisplay(Display):
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
        parts = [f"full expansion {self.slope():.1f}"]
        parts += [f"without {name} {self.slope(name):.1f}" for name in self.controls]
        return f"Remainder against eps, log-log; slopes: {', '.join(parts)}."

    def _curves(self) -> dict[str, tuple[float, ...]]:
        without = {f"without {name}": values for name, values in self.controls.items()}
        return {"all terms": self.remainder, **without}

    def _draw(self, ax: Any) -> None:
        curves = self._curves()
        for (name, look), left_out in zip(
            looks_of([*curves]).items(), (None, *self.controls), strict=True
        ):
            ax.loglog(
                self.eps, curves[name], color=look.colour, marker=look.marker, ls=look.dash,
                ms=5, lw=1.5 if left_out else 2.2, zorder=2 if left_out else 3,
                label=f"{name}: slope {self.slope(left_out):.1f}",
            )  # fmt: skip
        ax.set(xlabel=r"$\epsilon$", ylabel="|loss − expansion|", title=self.title)
        ax.legend(fontsize=8, frameon=False)

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        curves = self._curves()
        for name, look in looks_of([*curves]).items():
            figure.add_scatter(
                x=self.eps, y=curves[name], name=name, mode="lines+markers",
                line={"color": look.colour, "dash": look.plotly_dash},
                marker={"symbol": look.symbol, "size": 8},
                hovertemplate="eps %{x:.2g}: %{y:.2g}",
            )  # fmt: skip
        figure.update_xaxes(type="log", dtick=1, title="eps")
        figure.update_yaxes(type="log", dtick=2, title="|loss − expansion|", exponentformat="power")
        return plotly_heading(figure, self.title)


@dataclass(frozen=True, eq=False)
class TermsDisplay(Display):
    """Bar chart of the terms of an expansion.

    Attributes:
        names: Terms.
        values: Contributions at `eps`.
        eps: The eps at which the terms are evaluated.
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
        pairs = zip(self.names, self.values, strict=True)
        return f"Terms at eps = {self.eps:.3g}: " + ", ".join(f"{n} {v:+.2g}" for n, v in pairs)

    def _axes(self) -> Any:
        return new_figure(6.4, 0.34 * len(self.names) + 1.1).add_subplot()

    def _draw(self, ax: Any) -> None:
        # Colour and hatch each tell the sign.
        falls = [v < 0 for v in self.values]
        bars = ax.barh(
            self.names, self.values, edgecolor="white", lw=0,
            color=[OKABE_ITO["vermilion" if f else "blue"] for f in falls],
            hatch=["///" if f else "" for f in falls],
        )  # fmt: skip
        ax.bar_label(bars, [f"{v:+.2g}" for v in self.values], padding=4, fontsize=8)
        ax.invert_yaxis()
        ax.axvline(0, color="black", linewidth=0.8)
        ax.margins(x=0.16)
        ax.set_xlabel("contribution to the loss (hatched: lowers it)")
        ax.set_title(self.title, loc="left", fontsize=10)

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        falls = [v < 0 for v in self.values]
        figure = go.Figure(
            go.Bar(
                x=self.values, y=self.names, orientation="h",
                hovertemplate="%{y}: %{x:+.3g}<extra></extra>",
                marker={
                    "color": [OKABE_ITO["vermilion" if f else "blue"] for f in falls],
                    "pattern": {"shape": ["/" if f else "" for f in falls]},
                },
            )
        )  # fmt: skip
        figure.update_yaxes(autorange="reversed")
        figure.update_xaxes(title="contribution to the loss (hatched: lowers it)")
        figure.update_layout(height=150 + 25 * len(self.names))
        return plotly_heading(figure, self.title)


@dataclass(frozen=True, eq=False)
class TrainedTermsDisplay(Display):
    """Terms on networks trained with each scheme: mean over seeds with standard errors.

    Attributes:
        schemes: Rows, "before" first.
        terms: One panel each.
        mean: (T, C) means.
        error: (T, C) standard errors.
        conditions: Data, budget, seeds.
    """

    schemes: tuple[str, ...]
    terms: tuple[str, ...]
    mean: np.ndarray
    error: np.ndarray

    grid = "x"

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], activation: str, terms: Sequence[str]
    ) -> TrainedTermsDisplay:
        """Read a record of `benchmarks/theory.py terms`."""
        table = record[activation]["mean_and_standard_error"]
        values = np.array([[table[s][t] for s in table] for t in terms])
        made = record["provenance"]
        return cls(
            tuple(table), tuple(terms), values[..., 0], values[..., 1],
            conditions=Conditions(
                model=f"{activation} 2-100-2", data="polygon band", epochs=made["epochs"],
                details=(f"{made['seeds']} seeds",), note="bars: 2 standard errors",
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        lines = [f"Terms after training ({self.conditions}):"]
        for term, row in zip(self.terms, self.mean, strict=True):
            pairs = zip(self.schemes, row, strict=True)
            lines.append(f"{term}: " + ", ".join(f"{s} {v:.2g}" for s, v in pairs))
        return "\n".join(lines)

    def _labels(self) -> list[str]:
        return [LANE_LABELS.get(s, "Before training") for s in self.schemes]

    def _axes(self) -> Any:
        count = len(self.terms)
        return new_figure(2.5 * count + 1.6, 3.1).subplots(1, count, sharey=True, squeeze=False)[0]

    def _draw(self, ax: Any) -> None:
        for one, term, mean, error in zip(ax, self.terms, self.mean, self.error, strict=True):
            for i, scheme in enumerate(self.schemes):
                ours = scheme == "noisymix"
                one.errorbar(
                    mean[i], i, xerr=2 * error[i], capsize=3, fmt="s" if ours else "o", ms=6,
                    color=OKABE_ITO["vermilion" if ours else "blue"],
                )  # fmt: skip
            one.axvline(0, color="0.6", linewidth=0.8)
            one.set_title(term, fontsize=10)
            one.set_yticks(range(len(self.schemes)), self._labels())
            one.tick_params(labelsize=8)
        ax[0].invert_yaxis()

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        for term, mean, error in zip(self.terms, self.mean, self.error, strict=True):
            figure.add_bar(
                name=term, x=self._labels(), y=mean, error_y={"type": "data", "array": 2 * error},
                hovertemplate="%{x}: %{y:.3g}",
            )  # fmt: skip
        return figure


@dataclass(frozen=True, eq=False)
class MeterDisplay(Display):
    r"""The loss of the example and its expansion over $\epsilon$, and both at one $\epsilon$.

    Attributes:
        reading: Both at the chosen $\epsilon$.
        curve: Both at increasing $\epsilon$.
        words: What the meter shows, in words.
    """

    reading: MeterReading
    curve: tuple[MeterReading, ...]
    words: str

    image = "lines"

    @property
    def summary(self) -> str:
        return self.words

    def _axes(self) -> Any:
        return new_figure(6.4, 3.3).add_subplot()

    def _draw(self, ax: Any) -> None:
        here, eps = self.reading, [r.eps for r in self.curve]
        colour = OKABE_ITO["orange" if here.parted else "blue"]
        ax.plot(eps, [r.measured for r in self.curve], color="black", label="measured")
        ax.plot(
            eps, [r.expanded for r in self.curve], color=colour, linestyle="--", label="expansion"
        )
        ax.plot(here.eps, here.measured, "o", color="black", markerfacecolor="white")
        ax.plot(here.eps, here.expanded, "s", color=colour)
        ax.axvline(here.eps, color="0.7", linestyle=":", zorder=0)
        mark = "⚠ they part" if here.parted else "✓ they agree"
        percent = f"off by {100 * min(here.miss, 1e6):.2g} % of the change"
        ax.set_title(f"{mark}: {percent}", fontsize=10, loc="left")
        ax.set_xlabel(r"$\epsilon$")
        ax.set_ylabel("loss")
        ax.legend(frameon=False)
