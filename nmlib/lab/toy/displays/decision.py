"""Decision boundaries of toy classifiers, as a matplotlib or an interactive figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.data import POLYGON_VERTICES
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
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


@dataclass(frozen=True, eq=False)
class DecisionBoundaryDisplay(Display):
    """Probability fields, boundaries and points of one or more classifiers.

    Attributes:
        panels: What to draw.
        extent: Half the side of the square.
        X: (n, 2) points, or None.
        y: (n,) classes.
        is_test: (n,) hollow markers.
        conditions: Data, budget, seed.

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

    grid = "none"

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
            conditions=Conditions(
                f"polygon band data (seed {s.data_seed})",
                epochs=lab.steps_done // lab.steps_per_epoch,
                details=(
                    f"seed {s.seed}", f"α {s.alpha:g}", f"σ_add {s.sigma_add:g}",
                    f"σ_mult {s.sigma_mult:g}", f"JSD weight {s.stability:g}",
                ),
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        return "Decision boundaries. " + "; ".join(f"{p.title}: {p.caption}" for p in self.panels)

    @property
    def _shape(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        columns = min(3, len(self.panels))
        return -(-len(self.panels) // columns), columns

    def _axes(self) -> Any:
        rows, columns = self._shape
        grid = new_figure(3.3 * columns, 3.65 * rows + 0.35).subplots(rows, columns, squeeze=False)
        for unused in grid.ravel()[len(self.panels) :]:
            unused.remove()
        return grid.ravel()[: len(self.panels)]

    def _draw(self, ax: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Polygon

        low, high = CLASS_COLOURS
        colours = LinearSegmentedColormap.from_list("classes", [low, "#ffffff", high])
        e = self.extent
        for one, panel in zip(np.ravel(ax), self.panels, strict=True):
            field = np.flipud(np.asarray(panel.probability, dtype=float))
            at = _centres(len(field), e)
            one.contourf(at, at, field, levels=_LEVELS, cmap=colours, alpha=0.6)
            one.contour(at, at, field, levels=_LEVELS[1:-1:2], colors="0.45", linewidths=0.4)
            if field.min() < 0.5 < field.max():
                one.contour(at, at, field, levels=[0.5], colors="black", linewidths=1.8)
            one.add_patch(Polygon(POLYGON_VERTICES, fill=False, ls=":", lw=0.9, ec="0.25"))
            for k, hollow, points in self._points():
                one.scatter(
                    *points.T, s=9, marker=CLASS_MARKERS[k], linewidths=0.6,
                    facecolors="none" if hollow else CLASS_COLOURS[k],
                    edgecolors=CLASS_COLOURS[k] if hollow else "white",
                )  # fmt: skip
            one.set(xlim=(-e, e), ylim=(-e, e), xticks=[], yticks=[], aspect="equal")
            one.set_title(panel.title, fontsize=11)
            one.set_xlabel(panel.caption, fontsize=9)

    def _points(self) -> Iterator[tuple[int, bool, NDArray[np.float64]]]:
        """Yield class, whether these are test points, and the points."""
        if self.X is None or self.y is None:
            return
        test = np.zeros(len(self.X), bool) if self.is_test is None else self.is_test
        for k, hollow in itertools.product((0, 1), (False, True)):
            yield k, hollow, self.X[(self.y == k) & (test == hollow)]

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        rows, columns = self._shape
        figure = make_subplots(
            rows, columns, horizontal_spacing=0.03, vertical_spacing=0.12,
            subplot_titles=[f"<b>{p.title}</b><br><sup>{p.caption}</sup>" for p in self.panels],
        )  # fmt: skip
        e = self.extent
        low, high = CLASS_COLOURS
        outline = np.array([*POLYGON_VERTICES, POLYGON_VERTICES[0]])
        for i, panel in enumerate(self.panels):
            place = {"row": i // columns + 1, "col": i % columns + 1}
            named = place | {"showlegend": i == 0}
            # Percent of a coarse field: all that the eye needs, and bytes keep the file small.
            step = max(1, len(panel.probability) // 40)
            field = np.flipud(panel.probability)[step // 2 :: step, step // 2 :: step]
            at = _centres(len(panel.probability), e)[step // 2 :: step]
            figure.add_contour(
                x0=at[0], y0=at[0], dx=at[1] - at[0], dy=at[1] - at[0],
                z=np.round(100 * field).astype(np.uint8), zmin=0, zmax=100, opacity=0.7,
                colorscale=[[0, low], [0.5, "#ffffff"], [1, high]], showscale=False,
                contours={"start": 50, "end": 50, "size": 1, "coloring": "heatmap"},
                line={"width": 2.5, "color": "black"},
                hovertemplate="x %{x:.2f}, y %{y:.2f}<br>P(class 1) %{z} %<extra></extra>",
                showlegend=False, **place,
            )  # fmt: skip
            figure.add_scatter(
                x=outline[:, 0], y=outline[:, 1], mode="lines", hoverinfo="skip",
                line={"dash": "dot", "color": "#444", "width": 1}, name="true polygon",
                legendgroup="outline", **named,
            )  # fmt: skip
            for k, hollow, points in self._points():
                symbol = ("circle", "triangle-up")[k] + "-open" * hollow
                figure.add_scatter(
                    x=points[:, 0], y=points[:, 1], mode="markers", legendgroup=f"{k}{hollow}",
                    name=f"class {k}, {'test' if hollow else 'training'}",
                    marker={"symbol": symbol, "size": 5, "color": CLASS_COLOURS[k]},
                    hovertemplate="%{x:.2f}, %{y:.2f}", **named,
                )  # fmt: skip
        square = {"range": [-e, e], "constrain": "domain", "visible": False}
        figure.update_xaxes(**square)
        figure.update_yaxes(**square)
        for i in range(len(self.panels)):
            figure.layout[f"yaxis{i + 1 if i else ''}"].scaleanchor = f"x{i + 1 if i else ''}"
        return figure.update_layout(height=350 * rows + 160, legend_y=1 + 0.12 / rows)


def _centres(pixels: int, extent: float) -> NDArray[np.float64]:
    """Return the middles of the pixels of a field."""
    return (np.arange(pixels) + 0.5) / pixels * 2 * extent - extent
