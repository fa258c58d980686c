"""Fig. 1: clean against robust accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmlib import _checks
from nmlib.lab.cifar.conditions import PAPER_NAMES, conditions, in_paper
from nmlib.lab.cifar.records import Records, measures
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OURS, PAPER, PLOTLY_PAPER, diamond, new_figure
from nmlib.paper.numbers import SPECS, printed_text, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AccuracyScatterDisplay", "PointName", "write_names"]


def _column(table: int, dataset: str) -> pd.DataFrame:
    found = read_table(table).query("dataset == @dataset and metric == 'accuracy'")
    found = found[found["corruption"].isin(["none", "mean"])].set_index("method")
    return found[["value", "low", "high", "decimals"]]


@dataclass(frozen=True, eq=False)
class AccuracyScatterDisplay(Display):
    """Two accuracies of every method against each other, as in the paper's Fig. 1.

    Attributes:
        table: Table of the numbers.
        x: Test set on the horizontal axis.
        y: Test set on the vertical axis.
        paper: By method `value_x` and `value_y`, and where printed `low_x`, `high_x`, ....
        ours: Our pairs (x, y) in percent by method, drawn filled.
        conditions: What ours were measured on.

    Source: paper Fig. 1; Tables 1 to 3.

    >>> AccuracyScatterDisplay.fig1().x, AccuracyScatterDisplay.fig1().y
    ('ImageNet-C', 'ImageNet-R')
    """

    table: int
    x: str
    y: str
    paper: pd.DataFrame
    ours: Mapping[str, tuple[float, float]]

    @classmethod
    def from_table(
        cls,
        table: int,
        x: str,
        y: str,
        *,
        ours: Mapping[str, tuple[float, float]] | None = None,
        conditions: Conditions | str = "",
    ) -> AccuracyScatterDisplay:
        """Take two columns of Table 1, 2, 3 or 5 by the names of their test sets.

        Raises:
            ValueError: If the table has no such column.
        """
        sets = read_table(table).query("metric == 'accuracy'")["dataset"].unique()
        for name in (x, y):
            _checks.choice(f"test set of Table {table}", name, sets)
        columns = [_column(table, data).add_suffix(end) for data, end in ((x, "_x"), (y, "_y"))]
        paper = columns[0].join(columns[1], how="inner")
        return cls(table, x, y, paper, dict(ours or {}), conditions=Conditions.of(conditions))

    @classmethod
    def from_records(
        cls, records: Records, *, table: int = 2, dataset: str = "CIFAR-10"
    ) -> AccuracyScatterDisplay:
        """Put measured clean and robust accuracies into the picture of Table 2 or 3.

        Args:
            records: As from `nmlib.lab.cifar.records`; of schemes that the table lacks none is
                drawn. Means over the seeds.
            table: 2 or 3.
            dataset: "CIFAR-10" or "CIFAR-100", the paper's; the conditions say which is ours.
        """
        kept = in_paper(records)
        means = measures(kept).groupby("scheme", sort=False)
        pairs = means[["clean_accuracy", "robust_accuracy"]].mean()
        ours = {PAPER_NAMES[scheme]: (x, y) for scheme, x, y in pairs.itertuples(name=None)}
        return cls.from_table(
            table, dataset, f"{dataset}-C", ours=ours, conditions=conditions(kept)
        )

    @classmethod
    def fig1(cls) -> AccuracyScatterDisplay:
        """Fig. 1: accuracy on ImageNet-C and ImageNet-R, ResNet-50."""
        return cls.from_table(1, "ImageNet-C", "ImageNet-R")

    @property
    def summary(self) -> str:
        def best(axis: str) -> str:
            top = self.paper.loc[self.paper[f"value_{axis}"].idxmax()]
            written = printed_text(top[f"value_{axis}"], int(top[f"decimals_{axis}"]))
            return f"{top.name} ({written})"

        return (
            f"Table {self.table}, {SPECS[self.table].network}: {self.x} against {self.y}, "
            f"{len(self.paper)} methods. Highest on {self.x}: {best('x')}; on {self.y}: "
            f"{best('y')}."
            + (f" Ours are {len(self.ours)} more, on other data." if self.ours else "")
        )

    def _axis(self, data: str) -> str:
        # Ours may be on other data, which the legend names.
        return f"accuracy on {data}{' (paper)' if self.ours else ''} (%)"

    @property
    def _names(self) -> list[PointName]:
        """How each point is named, first the paper's."""
        # Beside ours, the paper's names look like its numbers elsewhere.
        among = bool(self.ours)
        paper = [PointName(m, m == "NoisyMix", PAPER if among else "black", among)
                 for m in self.paper.index]  # fmt: skip
        return paper + [PointName(m, m == "NoisyMix", OURS) for m in self.ours]

    @property
    def _ours_words(self) -> str:
        return ": ".join(filter(None, ("ours", self.conditions.data)))

    @property
    def small_print(self) -> str:
        spread = " (bars: lowest and highest of 5 seeds)" if self.table in (2, 3) else ""
        text = f"paper: Table {self.table}, {SPECS[self.table].network}{spread}"
        return text + (f"; ours: {self.conditions}" if self.conditions else "")

    def _axes(self) -> Any:
        return new_figure(7.6, 5.4).add_subplot()

    def _draw(self, ax: Any) -> None:
        # Bars reach from the lowest to the highest seed where printed.
        points, spans = [], []
        for p in self.paper.itertuples():
            x, y = p.value_x, p.value_y
            points.append((x, y))
            bars: dict[str, Any] = {}
            if p.low_x == p.low_x and p.low_y == p.low_y:
                bars = {
                    "xerr": [[x - p.low_x], [p.high_x - x]],
                    "yerr": [[y - p.low_y], [p.high_y - y]],
                }
                spans += [((p.low_x, y), (p.high_x, y)), ((x, p.low_y), (x, p.high_y))]
            heavy = p.Index == "NoisyMix"
            look = diamond(ms=8 if heavy else 6.5, mew=2.2 if heavy else 1.2)
            look["fmt"] = look.pop("marker")
            ax.errorbar(x, y, **bars, elinewidth=0.9, **look)
        for x, y in self.ours.values():
            ax.plot(x, y, "o", ms=7, color=OURS)
            points.append((x, y))
        ax.margins(0.12)
        ax.set_xlabel(self._axis(self.x))
        ax.set_ylabel(self._axis(self.y))
        ax.plot([], [], label="paper", **diamond())
        if self.ours:
            ax.plot([], [], "o", color=OURS, label=self._ours_words)
        ax.legend(loc="upper left", fontsize=9)
        ax.figure.canvas.draw()
        write_names(ax, points, self._names, spans)

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        values = self.paper[["value_x", "value_y"]]
        theirs = {p.Index: (p.value_x, p.value_y) for p in values.itertuples()}
        empty = PLOTLY_PAPER | {"size": 10, "line": {"width": 2}}
        full = {"symbol": "circle", "size": 10, "color": OURS}
        for name, values, marker in (("paper", theirs, empty), (self._ours_words, self.ours, full)):
            if values:
                figure.add_scatter(
                    x=[x for x, _ in values.values()], y=[y for _, y in values.values()],
                    text=list(values), mode="markers", name=name, marker=marker, cliponaxis=False,
                    hovertemplate="%{text}<br>%{x:.1f} %<br>%{y:.1f} %",
                )  # fmt: skip
        width, height, margin = 760, 540, {"l": 70, "r": 30, "t": 40, "b": 70}
        points = np.array([*theirs.values(), *self.ours.values()])
        low, reach = points.min(0), np.ptp(points, axis=0)
        start, end = low - 0.12 * reach, low + 1.12 * reach
        room = np.array([width - margin["l"] - margin["r"], height - margin["t"] - margin["b"]])
        pixels = (points - start) / (end - start) * room
        places = _places(pixels, self._names, [], np.array([0, 0, *room]), 96 / 72)
        for point, label, place in zip(points, self._names, places, strict=True):
            text = f"<b>{label.text}</b>" if label.heavy else label.text
            figure.add_annotation(
                x=point[0], y=point[1], text=f"<i>{text}</i>" if label.italic else text,
                xanchor=place.side, yanchor="middle", showarrow=place.far,
                font={"size": 12, "color": label.colour},
                arrowcolor="#bbb", arrowhead=0, arrowwidth=1,
                **({"ax": place.right, "ay": -place.up} if place.far else
                   {"xshift": place.right, "yshift": place.up}),
            )  # fmt: skip
        figure.update_layout(
            xaxis={"title": self._axis(self.x), "range": [start[0], end[0]]},
            yaxis={"title": self._axis(self.y), "range": [start[1], end[1]]},
            width=width, height=height, margin=margin,
            legend={"x": 0.01, "y": 0.99}, showlegend=True,
        )  # fmt: skip
        return figure


class PointName(NamedTuple):
    """The name of a point and its looks."""

    text: str
    heavy: bool
    colour: str
    italic: bool = False


@dataclass(frozen=True)
class _Place:
    """Where a name stands: pixels from its point, and which of its ends is there."""

    right: float
    up: float
    side: str
    far: bool


def _places(
    points: Any, names: Sequence[PointName], taken: Sequence[Any], box: Any, scale: float
) -> list[_Place]:
    """Place names beside points where they cover the least of other names, points and bars.

    Args:
        points: (n, 2) pixels, y upwards.
        names: One a point; bold ones are wider.
        taken: Rectangles (x0, y0, x1, y1) of other things.
        box: Edges (x0, y0, x1, y1) of the axes.
        scale: Pixels a point of the font.
    """
    points, height = np.asarray(points, float), 11 * scale
    covered = [*np.hstack([points - 6, points + 6]), *taken]
    around = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.9), (-1, 0.9), (1, -0.9), (-1, -0.9)]
    dx, dy = np.tile(around, (3, 1)).T
    reach = np.repeat([1.0, 1.9, 2.8], len(around))
    found = []
    for (x, y), name in zip(points, names, strict=True):
        width = (5.6 if name.heavy else 4.9) * len(name.text) * scale
        start, middle = x + 8 * scale * reach * dx, y + 11 * scale * reach * dy
        corner = np.stack([start - width * (1 - dx) / 2, middle - height / 2], 1)
        own = np.hstack([corner, corner + np.array([width, height])])
        outside = np.hstack([box[:2] - own[:, :2], own[:, 2:] - box[2:]]).max(1)
        # Without a line to its point, a name belongs to the point that is nearest.
        apart = np.maximum(own[:, None, :2] - points, points - own[:, None, 2:])
        nearest = points[np.hypot(*np.maximum(apart, 0).T).argmin(0)]
        mistaken = (reach == 1) & (nearest != (x, y)).any(1)
        others = np.array(covered)
        shared = np.minimum(own[:, None, 2:], others[:, 2:]) - np.maximum(
            own[:, None, :2], others[:, :2]
        )
        cover = np.maximum(shared, 0).prod(2).sum(1)
        k = (cover + 50 * np.maximum(outside, 0) + 12 * reach + 60 * mistaken).argmin()
        side = {1: "left", 0: "center", -1: "right"}[int(dx[k])]
        covered.append(own[k])
        found.append(_Place(start[k] - x, middle[k] - y, side, bool(reach[k] > 1)))
    return found


def write_names(
    ax: Any, points: Sequence[Any], names: Sequence[PointName], spans: Sequence[tuple[Any, Any]]
) -> None:
    """Write names beside points, clear of the bars that `spans` are."""
    to_pixels, to_data = ax.transData.transform, ax.transData.inverted().transform
    pixels = to_pixels(points)
    taken = [np.hstack([to_pixels(first) - 2, to_pixels(last) + 2]) for first, last in spans]
    box = ax.get_window_extent().extents
    places = _places(pixels, names, taken, box, ax.figure.dpi / 72)
    for (x, y), name, place in zip(pixels, names, places, strict=True):
        at = to_data((x + place.right, y + place.up))
        ax.text(
            *at, name.text, ha=place.side, va="center", fontsize=9, color=name.colour,
            weight="bold" if name.heavy else "normal", style="italic" if name.italic else "normal",
        )  # fmt: skip
        if place.far:
            ax.plot(*zip(to_data((x, y)), at, strict=True), color="0.75", lw=0.6, zorder=0)
