"""Fig. 1: clean against robust accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmlib import _checks
from nmlib.paper._tables import SPECS, Number, numbers
from nmlib.plots.paper.style import OURS, diamond, in_paper, note
from nmlib.plots.shown import Shown
from nmlib.plots.style import new_figure
from nmlib.reproduction.compared import PAPER_NAMES, conditions, scheme_values

__all__ = [
    "AccuracyScatterDisplay",
]


def _column(table: int, dataset: str) -> dict[str, Number]:
    return {
        p.method: p
        for p in numbers(table)
        if p.dataset == dataset and p.metric == "accuracy" and p.corruption in ("none", "mean")
    }


@dataclass(frozen=True, eq=False)
class AccuracyScatterDisplay(Shown):
    """Two accuracies of every method against each other, as in the paper's Fig. 1.

    Attributes:
        table: Table of the numbers.
        x: Test set on the horizontal axis.
        y: Test set on the vertical axis.
        paper: Numbers by method, (x, y).
        ours: Our pairs (x, y) in percent by method, drawn filled.
        conditions: What ours were measured on.

    Source: paper Fig. 1; Tables 1 to 3.

    >>> AccuracyScatterDisplay.fig1().x, AccuracyScatterDisplay.fig1().y
    ('ImageNet-C', 'ImageNet-R')
    """

    table: int
    x: str
    y: str
    paper: Mapping[str, tuple[Number, Number]]
    ours: Mapping[str, tuple[float, float]]
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        x: str,
        y: str,
        *,
        ours: Mapping[str, tuple[float, float]] | None = None,
        conditions: str = "",
    ) -> AccuracyScatterDisplay:
        """Take two columns of Table 1, 2, 3 or 5 by the names of their test sets.

        Raises:
            ValueError: If the table has no such column.
        """
        sets = dict.fromkeys(p.dataset for p in numbers(table) if p.metric == "accuracy")
        for name in (x, y):
            _checks.choice(f"test set of Table {table}", name, sets)
        a, b = _column(table, x), _column(table, y)
        return cls(table, x, y, {m: (a[m], b[m]) for m in a if m in b}, dict(ours or {}),
                   conditions)  # fmt: skip

    @classmethod
    def from_records(
        cls, records: Sequence[Mapping[str, Any]], *, table: int = 2, dataset: str = "CIFAR-10"
    ) -> AccuracyScatterDisplay:
        """Put measured clean and robust accuracies into the picture of Table 2 or 3.

        Args:
            records: As from `nmlib.reproduction.measured`; of schemes that the table lacks none is
                drawn. Means over the seeds.
            table: 2 or 3.
            dataset: "CIFAR-10" or "CIFAR-100", the paper's; the conditions say which is ours.
        """
        kept = in_paper(records)
        clean, robust = (scheme_values(kept, m) for m in ("clean_accuracy", "robust_accuracy"))
        ours = {PAPER_NAMES[s]: (float(clean[s].mean()), float(robust[s].mean())) for s in clean}
        return cls.from_table(
            table, dataset, f"{dataset}-C", ours=ours, conditions=conditions(kept)
        )

    @classmethod
    def fig1(cls) -> AccuracyScatterDisplay:
        """Fig. 1: accuracy on ImageNet-C and ImageNet-R, ResNet-50."""
        return cls.from_table(1, "ImageNet-C", "ImageNet-R")

    @property
    def summary(self) -> str:
        def best(k: int) -> str:
            top = max(self.paper, key=lambda m: float(self.paper[m][k].value))
            return f"{top} ({self.paper[top][k].value})"

        return (
            f"Table {self.table}, {SPECS[self.table].network}: {self.x} against {self.y}, "
            f"{len(self.paper)} methods. Highest on {self.x}: {best(0)}; on {self.y}: {best(1)}."
            + (f" Ours are {len(self.ours)} more, on other data." if self.ours else "")
        )

    def plot(self) -> Any:
        """Draw the methods; bars reach from the lowest to the highest seed where printed."""
        figure = new_figure(7.6, 5.4)
        ax = figure.subplots()
        points, labels, spans = [], [], []
        for method, (a, b) in self.paper.items():
            x, y = float(a.value), float(b.value)
            bars: dict[str, Any] = {}
            if a.low and b.low:
                bars = {
                    "xerr": [[x - float(a.low)], [float(a.high) - x]],
                    "yerr": [[y - float(b.low)], [float(b.high) - y]],
                }
            heavy = method == "NoisyMix"
            look = diamond(ms=8 if heavy else 6.5, mew=2.2 if heavy else 1.2)
            look["fmt"] = look.pop("marker")
            ax.errorbar(x, y, **bars, elinewidth=0.9, **look)
            points.append((x, y))
            labels.append((method, heavy))
            if bars:
                spans += [((float(a.low), y), (float(a.high), y))]
                spans += [((x, float(b.low)), (x, float(b.high)))]
        for method, (x, y) in self.ours.items():
            ax.plot(x, y, "o", ms=7, color=OURS)
            points.append((x, y))
            labels.append((f"{method} (ours)", method == "NoisyMix"))
        ax.margins(0.12)
        # Ours may be on other data, which the legend names.
        also = " (paper)" if self.ours else ""
        ax.set_xlabel(f"accuracy on {self.x}{also} (%)")
        ax.set_ylabel(f"accuracy on {self.y}{also} (%)")
        ax.grid(color="0.93")
        ax.set_axisbelow(True)
        ax.plot([], [], label="paper", **diamond())
        if self.ours:
            data = self.conditions.split(",")[0]
            ax.plot([], [], "o", color=OURS, label=f"ours: {data}" if data else "ours")
        ax.legend(loc="upper left", fontsize=9)
        spread = " (bars: lowest and highest of 5 seeds)" if self.table in (2, 3) else ""
        note(figure, f"paper: Table {self.table}, {SPECS[self.table].network}{spread}" + (
            f"; ours: {self.conditions}" if self.conditions else ""))  # fmt: skip
        figure.canvas.draw()
        _label(ax, points, labels, spans)
        return figure

    def plotly(self) -> Any:
        """Return the same as an interactive figure: names and numbers under the pointer."""
        import plotly.graph_objects as go

        figure = go.Figure()
        figure.add_scatter(
            x=[float(a.value) for a, _ in self.paper.values()],
            y=[float(b.value) for _, b in self.paper.values()],
            text=list(self.paper), mode="markers+text", textposition="top center", name="paper",
            marker={"symbol": "diamond-open", "size": 10, "color": "#595959", "line": {"width": 2}},
            hovertemplate=f"%{{text}}<br>{self.x} %{{x:.1f}} %<br>{self.y} %{{y:.1f}} %",
        )  # fmt: skip
        if self.ours:
            figure.add_scatter(
                x=[x for x, _ in self.ours.values()], y=[y for _, y in self.ours.values()],
                text=list(self.ours), mode="markers+text", textposition="bottom center",
                name="ours", marker={"symbol": "circle", "size": 10, "color": OURS},
                hovertemplate=f"%{{text}}<br>{self.x} %{{x:.1f}} %<br>{self.y} %{{y:.1f}} %",
            )  # fmt: skip
        figure.update_layout(
            xaxis_title=f"accuracy on {self.x} (%)", yaxis_title=f"accuracy on {self.y} (%)",
            template="simple_white", width=760, height=540,
        )  # fmt: skip
        return figure


def _label(
    ax: Any,
    points: Sequence[tuple[float, float]],
    labels: Sequence[tuple[str, bool]],
    spans: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    """Write names beside points where they cover the least of other names, points and bars."""
    to_pixels = ax.transData.transform
    pixels = to_pixels(points)
    scale = ax.figure.dpi / 72
    height = 11 * scale
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in pixels]
    for first, last in spans:
        (x0, y0), (x1, y1) = to_pixels(first), to_pixels(last)
        taken.append((x0 - 2, y0 - 2, x1 + 2, y1 + 2))
    box = ax.get_window_extent()
    around = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.9), (-1, 0.9), (1, -0.9), (-1, -0.9)]
    for (x, y), (name, heavy) in zip(pixels, labels, strict=True):
        width = (5.6 if heavy else 4.9) * len(name) * scale
        choices = []
        for reach in (1.0, 1.9, 2.8):
            for dx, dy in around:
                start = x + 8 * scale * reach * dx
                left = start - width * (1 - dx) / 2
                low = y + 11 * scale * reach * dy - height / 2
                own = (left, low, left + width, low + height)
                cover = sum(_overlap(own, other) for other in taken)
                outside = max(0, box.x0 - left) + max(0, left + width - box.x1)
                side = {1: "left", 0: "center", -1: "right"}[dx]
                choices.append((cover + 50 * outside + 12 * reach, own, reach, start, side))
        _, own, reach, start, side = min(choices, key=lambda c: c[0])
        taken.append(own)
        at = ax.transData.inverted().transform((start, (own[1] + own[3]) / 2))
        ax.text(*at, name, ha=side, va="center", fontsize=9, weight="bold" if heavy else "normal")
        if reach > 1:
            ax.plot(*zip(ax.transData.inverted().transform((x, y)), at, strict=True), color="0.75",
                    lw=0.6, zorder=0)  # fmt: skip


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)
