"""Decision boundaries of toy classifiers, as a matplotlib or an interactive figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.data import POLYGON_VERTICES
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import CLASS_COLOURS, CLASS_MARKERS, LANE_LABELS, new_figure
from nmlib.lab.toy.lab import ToyLab, one_class_words

__all__ = ["DecisionBoundaryDisplay", "Panel"]

_LEVELS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Panel:
    """One classifier on the plane.

    Attributes:
        title: Heading.
        probability: (G, G) P(class 1), top row first.
        caption: A line of numbers below the picture.
    """

    title: str
    probability: NDArray[np.floating[Any]]
    caption: str = ""


@dataclass(frozen=True)
class DecisionBoundaryDisplay(Shown):
    """Probability fields, boundaries and points of one or more classifiers.

    Attributes:
        panels: What to draw.
        extent: Half the side of the square.
        X: (n, 2) points, or None.
        y: (n,) classes.
        is_test: (n,) hollow markers.
        conditions: Small print in the corner: data, budget, seed.

    >>> from nmlib.lab.toy.lab import ToyLab
    >>> display = DecisionBoundaryDisplay.from_lab(ToyLab(), size=20)
    >>> [panel.title for panel in display.panels][:2]
    ['Baseline', 'Noise injection']
    """

    panels: tuple[Panel, ...]
    extent: float
    X: NDArray[np.float64] | None = None
    y: NDArray[np.int64] | None = None
    is_test: NDArray[np.bool_] | None = None
    conditions: str = ""

    @classmethod
    def from_lab(
        cls, lab: ToyLab, lanes: Sequence[str] | None = None, *, size: int = 120
    ) -> DecisionBoundaryDisplay:
        """Read the present state of a toy lab.

        Args:
            lab: The lab.
            lanes: Names of the schemes; default all six.
            size: Pixels a side of the fields.
        """
        panels = []
        for lane in lanes or lab.lanes:
            m = lab.metrics(lane)
            test, noisy = 100 * m["test_accuracy"], 100 * m["noisy_accuracy"]
            caption = f"test {test:.1f} %, with noise {noisy:.1f} %"
            if words := one_class_words(m):
                caption = f"{words} ({test:.1f} %)"
            panels.append(Panel(LANE_LABELS[lane], lab.probability(lane, size), caption))
        s = lab.settings
        return cls(
            tuple(panels),
            lab.EXTENT,
            np.concatenate([lab.X_train, lab.X_test]),
            np.concatenate([lab.y_train, lab.y_test]),
            np.arange(len(lab.X_train) + len(lab.X_test)) >= len(lab.X_train),
            f"polygon band data (seed {s.data_seed}), "
            f"{lab.steps_done // lab.steps_per_epoch} epochs, seed {s.seed}, α {s.alpha:g}, "
            f"σ_add {s.sigma_add:g}, σ_mult {s.sigma_mult:g}, JSD weight {s.stability:g}",
        )

    @property
    def summary(self) -> str:
        """A sentence for those who cannot see the figure."""
        return "Decision boundaries. " + "; ".join(f"{p.title}: {p.caption}" for p in self.panels)

    def plot(self, axes: Any = None, *, columns: int = 3) -> Any:
        """Draw with matplotlib.

        Args:
            axes: As many axes as panels; default a new figure.
            columns: Panels a row of a new figure.

        Returns:
            The matplotlib figure.
        """
        from matplotlib.colors import LinearSegmentedColormap

        if axes is None:
            columns = min(columns, len(self.panels))
            rows = -(-len(self.panels) // columns)
            # Not pyplot: no global state, and safe in a callback.
            figure = new_figure(3.3 * columns, 3.65 * rows + 0.35)
            axes = figure.subplots(rows, columns, squeeze=False)
        axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(axes) < len(self.panels):
            raise ValueError(f"{len(self.panels)} panels need as many axes, got {len(axes)}")
        low, high = CLASS_COLOURS
        colours = LinearSegmentedColormap.from_list("classes", [low, "#ffffff", high])
        e = self.extent
        for ax, panel in zip(axes, self.panels, strict=False):
            field = np.flipud(np.asarray(panel.probability, dtype=float))
            centre = (np.arange(len(field)) + 0.5) / len(field) * 2 * e - e
            ax.contourf(centre, centre, field, levels=_LEVELS, cmap=colours, alpha=0.6)
            ax.contour(centre, centre, field, levels=_LEVELS[1:-1:2], colors="0.45", linewidths=0.4)
            if field.min() < 0.5 < field.max():
                ax.contour(centre, centre, field, levels=[0.5], colors="black", linewidths=1.8)
            self._points(ax)
            ax.set(xlim=(-e, e), ylim=(-e, e), xticks=[], yticks=[], aspect="equal")
            ax.set_title(panel.title, fontsize=11)
            ax.set_xlabel(panel.caption, fontsize=9)
        for ax in axes[len(self.panels) :]:
            ax.set_visible(False)
        figure = axes[0].figure
        if self.conditions:
            figure.supxlabel(self.conditions, fontsize=7.5, color="0.35", x=0.99, ha="right")
        return figure

    def _points(self, ax: Any) -> None:
        from matplotlib.patches import Polygon

        ax.add_patch(Polygon(POLYGON_VERTICES, fill=False, ls=":", lw=0.9, ec="0.25"))
        if self.X is None or self.y is None:
            return
        test = np.zeros(len(self.X), bool) if self.is_test is None else self.is_test
        for k in (0, 1):
            for hollow in (False, True):
                chosen = (self.y == k) & (test == hollow)
                ax.scatter(
                    *self.X[chosen].T, s=9, marker=CLASS_MARKERS[k], linewidths=0.6,
                    facecolors="none" if hollow else CLASS_COLOURS[k],
                    edgecolors=CLASS_COLOURS[k] if hollow else "white",
                )  # fmt: skip

    def plotly(self, *, columns: int = 3) -> Any:
        """Return an interactive plotly figure with the same panels."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        columns = min(columns, len(self.panels))
        rows = -(-len(self.panels) // columns)
        figure = make_subplots(
            rows, columns, horizontal_spacing=0.03, vertical_spacing=0.12,
            subplot_titles=[f"<b>{p.title}</b><br><sup>{p.caption}</sup>" for p in self.panels],
        )  # fmt: skip
        e = self.extent
        scale = [[0, CLASS_COLOURS[0]], [0.5, "#ffffff"], [1, CLASS_COLOURS[1]]]
        outline = np.array([*POLYGON_VERTICES, POLYGON_VERTICES[0]])
        for i, panel in enumerate(self.panels):
            place = {"row": i // columns + 1, "col": i % columns + 1}
            # Two decimals are all the eye needs and keep the file small.
            field = np.flipud(np.round(np.asarray(panel.probability, dtype=float), 2))
            centre = np.round((np.arange(len(field)) + 0.5) / len(field) * 2 * e - e, 3)
            figure.add_trace(
                go.Heatmap(
                    x=centre.tolist(), y=centre.tolist(), z=field.tolist(), zmin=0, zmax=1,
                    colorscale=scale, opacity=0.6, showscale=i == 0,
                    colorbar={"title": "P(class 1)", "len": 0.5},
                    hovertemplate="x %{x:.2f}, y %{y:.2f}<br>P(class 1) %{z:.2f}<extra></extra>",
                ), **place,
            )  # fmt: skip
            figure.add_trace(
                go.Contour(
                    x=centre.tolist(), y=centre.tolist(), z=field.tolist(), showscale=False,
                    contours={"start": 0.5, "end": 0.5, "size": 1, "coloring": "none"},
                    line={"width": 2.5, "color": "black"}, hoverinfo="skip",
                ), **place,
            )  # fmt: skip
            figure.add_trace(
                go.Scatter(
                    x=outline[:, 0].tolist(), y=outline[:, 1].tolist(), mode="lines",
                    line={"dash": "dot", "color": "#444", "width": 1}, hoverinfo="skip",
                    showlegend=i == 0, name="true polygon", legendgroup="outline",
                ), **place,
            )  # fmt: skip
            self._plotly_points(figure, place, show=i == 0)
        figure.update_xaxes(range=[-e, e], showticklabels=False, constrain="domain")
        figure.update_yaxes(range=[-e, e], showticklabels=False, constrain="domain")
        for i in range(len(self.panels)):
            name = "" if i == 0 else str(i + 1)
            figure.layout[f"yaxis{name}"].scaleanchor = f"x{name}"
        figure.update_layout(
            height=380 * rows + 90, width=370 * columns + 110, template="plotly_white",
            margin={"l": 20, "r": 20, "t": 70, "b": 60}, legend={"orientation": "h", "y": -0.02},
        )  # fmt: skip
        figure.add_annotation(
            text=self.conditions, xref="paper", yref="paper", x=1, y=-0.09, showarrow=False,
            font={"size": 10, "color": "#555"}, xanchor="right",
        )  # fmt: skip
        return figure

    def _plotly_points(self, figure: Any, place: dict[str, int], *, show: bool) -> None:
        import plotly.graph_objects as go

        if self.X is None or self.y is None:
            return
        test = np.zeros(len(self.X), bool) if self.is_test is None else self.is_test
        for k, symbol in enumerate(("circle", "triangle-up")):
            for hollow in (False, True):
                chosen = (self.y == k) & (test == hollow)
                x, y = np.round(self.X[chosen], 3).T.tolist()
                figure.add_trace(
                    go.Scatter(
                        x=x, y=y, mode="markers", showlegend=show,
                        name=f"class {k}, {'test' if hollow else 'training'}",
                        legendgroup=f"{k}{hollow}",
                        marker={
                            "symbol": f"{symbol}-open" if hollow else symbol, "size": 5,
                            "color": CLASS_COLOURS[k],
                            "line": {"width": 1 if hollow else 0.5,
                                     "color": CLASS_COLOURS[k] if hollow else "white"},
                        },
                        hovertemplate="%{x:.2f}, %{y:.2f}",
                    ), **place,
                )  # fmt: skip
