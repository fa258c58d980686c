"""Fig. 1 with the clean images beside it, by all sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OURS, PLOTLY_PAPER, ROBUSTBENCH, diamond, new_figure
from nmlib.lab.paper.displays.scatter import PointName, write_names
from nmlib.paper import robustbench
from nmlib.paper.numbers import load_pandas, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ImageNetDisplay"]

_AXES = {"clean": "ImageNet", "corrupted": "ImageNet-C", "renditions": "ImageNet-R"}
_PANELS = ("clean", "renditions")


def _paper() -> pd.DataFrame:
    """Return Table 1's three accuracies of each method."""
    t = read_table(1)
    t = t[(t["metric"] == "accuracy") & t["corruption"].isin(["none", "mean"])]
    wide = t.pivot(index="method", columns="dataset", values="value")
    return wide.loc[t["method"].unique(), list(_AXES.values())].set_axis(list(_AXES), axis=1)


def _robustbench() -> pd.DataFrame:
    """Return clean and corrupted accuracy of RobustBench's networks of the paper's methods."""
    t = robustbench("ImageNet-C")
    t = t[t["method"] != ""].assign(set=lambda f: f["corruption"].eq("none"))
    wide = t.pivot_table("value", "model", "set", sort=False)
    found = wide.rename(columns={True: "clean", False: "corrupted"})
    return found.assign(method=t.drop_duplicates("model").set_index("model")["method"])


@dataclass(frozen=True, eq=False)
class ImageNetDisplay(Display):
    """Clean images against corrupted ones, and renditions against corrupted ones: Fig. 1 and more.

    Attributes:
        paper: Table 1 by method: "clean", "corrupted", "renditions", in percent.
        benchmark: The same of RobustBench by its names, with the "method"; it has no renditions.
        ours: The same by name; what was not measured is nan.
        conditions: What ours were measured on.

    Source: paper Fig. 1 and Table 1; RobustBench (arXiv 2010.09670).
    """

    paper: pd.DataFrame
    benchmark: pd.DataFrame
    ours: pd.DataFrame

    image = "lines"

    @classmethod
    def from_sources(
        cls,
        ours: Mapping[str, Mapping[str, float]] | None = None,
        *,
        conditions: Conditions | str = "",
    ) -> ImageNetDisplay:
        """Collect the sources.

        Args:
            ours: Our accuracies in percent by name of the network, with "corrupted" and "clean" or
                "renditions".
            conditions: What ours were measured on.
        """
        own = load_pandas().DataFrame.from_dict(ours or {}, orient="index")
        own = own.reindex(columns=list(_AXES)).astype(float)
        return cls(_paper(), _robustbench(), own, conditions=Conditions.of(conditions))

    @property
    def summary(self) -> str:
        best = ", ".join(
            f"{name} {self.paper[key].idxmax()} ({self.paper[key].max():.1f})"
            for key, name in _AXES.items()
        )
        gap = self.benchmark["corrupted"] - self.benchmark["method"].map(self.paper["corrupted"])
        text = (
            f"ImageNet-C against ImageNet and against ImageNet-R, {len(self.paper)} methods of "
            f"Table 1. Highest: {best}. RobustBench's {len(self.benchmark)} networks of these "
            f"methods lie {gap.min():+.1f} to {gap.max():+.1f} points from the paper on ImageNet-C."
        )
        return text + (f" Ours are {len(self.ours)} more." if len(self.ours) else "")

    @property
    def small_print(self) -> str:
        own = f"; ours: {self.conditions}" if self.conditions else ""
        return (
            "paper: Table 1, ResNet-50; RobustBench: 5,000 images, no ImageNet-R, adversarial "
            f"training with a WRN-50-2{own}"
        )

    def _points(self, y: str) -> dict[str, pd.DataFrame]:
        """Return the points of a panel by source: columns "corrupted" and y, index the names."""
        found = {"paper": self.paper, "RobustBench": self.benchmark, "ours": self.ours}
        points = {s: rows[["corrupted", y]].dropna() for s, rows in found.items() if y in rows}
        return {source: rows for source, rows in points.items() if len(rows)}

    def _axes(self) -> Any:
        return new_figure(8.2, 9.0).subplots(2, 1, sharex=True)

    def _draw(self, ax: Any) -> None:
        looks: dict[str, dict[str, Any]] = {
            "paper": diamond(),
            "RobustBench": {
                "marker": "s",
                "ms": 7,
                "mfc": "none",
                "mec": ROBUSTBENCH,
                "ls": "none",
            },
            "ours": {"marker": "o", "ms": 7, "color": OURS, "ls": "none"},
        }
        shown: dict[str, Any] = {}
        for one, y in zip(np.ravel(ax), _PANELS, strict=True):
            points: list[tuple[float, float]] = []
            names: list[PointName] = []
            for source, rows in self._points(y).items():
                shown[source] = one.plot(rows["corrupted"], rows[y], **looks[source])[0]
                if source != "RobustBench":  # there a line leads to the paper's point
                    colour = OURS if source == "ours" else "black"
                    points += rows.itertuples(index=False, name=None)
                    names += [PointName(m, m == "NoisyMix", colour) for m in rows.index]
            spans = []
            for row in self.benchmark.itertuples() if y in self.benchmark else ():
                ends = (*self.paper.loc[row.method, ["corrupted", y]],), (row.corrupted, row.clean)
                one.plot(*zip(*ends, strict=True), color=ROBUSTBENCH, lw=0.8, zorder=0)
                spans += [(ends[1], ends[1])]
            one.set_ylabel(f"accuracy on {_AXES[y]} (%)")
            one.margins(0.12)
            one.figure.canvas.draw()
            write_names(one, points, names, spans)
        np.ravel(ax)[-1].set_xlabel(f"accuracy on {_AXES['corrupted']} (%)")
        np.ravel(ax)[0].legend(shown.values(), shown.keys(), fontsize=9, loc="lower right")

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.05)
        markers: dict[str, dict[str, Any]] = {
            "paper": PLOTLY_PAPER | {"size": 10, "line": {"width": 2}},
            "RobustBench": {"symbol": "square-open", "color": ROBUSTBENCH, "size": 10,
                            "line": {"width": 2}},
            "ours": {"symbol": "circle", "color": OURS, "size": 10},
        }  # fmt: skip
        for row, y in enumerate(_PANELS, 1):
            for source, points in self._points(y).items():
                figure.add_scatter(
                    x=points["corrupted"].to_numpy(), y=points[y].to_numpy(),
                    text=points.index.tolist(), mode="markers", name=source,
                    marker=markers[source], legendgroup=source, showlegend=row == 1, row=row, col=1,
                    hovertemplate=f"%{{text}}<br>{_AXES['corrupted']} %{{x:.1f}} %<br>"
                    f"{_AXES[y]} %{{y:.1f}} %",
                )  # fmt: skip
            figure.update_yaxes(title=f"accuracy on {_AXES[y]} (%)", row=row, col=1)
        figure.update_xaxes(title=f"accuracy on {_AXES['corrupted']} (%)", row=2, col=1)
        return figure.update_layout(height=760)
