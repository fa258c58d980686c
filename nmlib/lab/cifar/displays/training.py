"""How a training goes: loss, divergence and accuracy over the steps, still or live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmlib._files import user_path
from nmlib.lab.display.base import Display, Live
from nmlib.lab.display.looks import looks_of, new_figure, scheme_label
from nmlib.training import Run, read_rows

__all__ = ["LivePlot", "TrainingDisplay"]


@dataclass(frozen=True, eq=False)
class TrainingDisplay(Display):
    """Training loss of one run or several, with its parts.

    Attributes:
        names: Names of the runs.
        rows: Metrics of each run.
        steps: Length of the axis; default the steps trained so far.
        schemes: Schemes of the runs, each drawn as in all figures; None where unknown.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[dict[str, Any], ...], ...]
    steps: int | None = None
    schemes: tuple[str, ...] | None = None

    image = "lines"

    @classmethod
    def from_run(cls, *runs: Run) -> TrainingDisplay:
        """Take the metrics of runs, finished or under way."""
        names = tuple(_title(run) for run in runs)
        rows = tuple(tuple(r.rows) for r in runs)
        return cls(names, rows, max(r.steps for r in runs), tuple(r.scheme.name for r in runs))

    @classmethod
    def from_folders(cls, *folders: str | Path) -> TrainingDisplay:
        """Read the metrics of runs' folders, also while they are trained elsewhere."""
        names = tuple(user_path(folder).name for folder in folders)
        return cls(names, tuple(tuple(read_rows(folder)) for folder in folders))

    @property
    def summary(self) -> str:
        parts = []
        for name, rows in zip(self.names, self.rows, strict=True):
            epochs = [r for r in rows if r["kind"] == "epoch"]
            if not epochs:
                parts.append(f"{name}: no epoch finished yet")
                continue
            first, last = epochs[0], epochs[-1]
            words = f"{name}: {first['loss']:.2f} after epoch 1, {last['loss']:.2f} after "
            words += f"epoch {last['epoch'] + 1}"
            if "val_accuracy" in last:
                words += f", held-out accuracy {100 * last['val_accuracy']:.1f} %"
            parts.append(words)
        return "Training loss. " + "; ".join(parts) + "."

    def _panels(self) -> list[tuple[str, str, float]]:
        """Return (metric, axis label, factor) of the panels that have something to show."""
        panels = [("ce", "cross-entropy (nats)", 1.0)]
        every = [row for rows in self.rows for row in rows]
        if any(row["jsd"] for row in every):
            panels.append(("jsd", "view divergence (nats)", 1.0))
        if any("val_accuracy" in row for row in every):
            panels.append(("val_accuracy", "held-out accuracy (%)", 100.0))
        return panels

    def _axes(self) -> Any:
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        count, layout = len(self._panels()), ConstrainedLayoutEngine(wspace=0.06)
        figure = new_figure(3.4 * count + 0.6, 3.0, layout=layout)
        return figure.subplots(1, count, squeeze=False)[0]

    def _draw(self, ax: Any) -> None:
        axes = np.ravel(ax)
        for axis, panel in zip(axes, self._panels(), strict=True):
            self._panel(axis, *panel)
        if len(self.names) == 1:
            axes[0].set_title(self.names[0], fontsize=9, loc="left")
            return
        # Above the panels, where no curve runs.
        handles, names = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(
            handles, names, loc="outside upper left", ncols=len(names), frameon=False,
            fontsize=8, handlelength=3,
        )  # fmt: skip

    def _panel(self, axis: Any, metric: str, label: str, factor: float) -> None:
        schemes = self.schemes or self.names
        # Runs of one scheme are told apart by their place.
        keys = (
            schemes if len(set(schemes)) == len(schemes) else tuple(map(str, range(len(schemes))))
        )
        looks = looks_of(keys)
        for key, name, rows in zip(keys, self.names, self.rows, strict=True):
            look = looks[key]
            if metric == "jsd" and not any(row["jsd"] for row in rows):
                continue  # a scheme without a divergence, not one that keeps it at 0
            for kind, style in (
                ("step", {"linewidth": 0.7, "alpha": 0.45}),
                ("epoch", {"linewidth": 1.6, "linestyle": look.dash, "label": name}),
            ):
                points = [
                    (r["step"], factor * r[metric])
                    for r in rows
                    if r["kind"] == kind and metric in r
                ]
                # Colour and marker each tell the runs apart.
                marked = {"marker": look.marker, "markevery": max(1, len(points) // 10)}
                if points:
                    axis.plot(
                        *zip(*points, strict=True), color=look.colour,
                        markersize=3, **style, **(marked if kind == "epoch" else {}),
                    )  # fmt: skip
        axis.set_xlabel("step")
        axis.set_ylabel(label)
        axis.set_xlim(0, self.steps and 1.02 * self.steps)  # room for the last marker


def _title(run: Run) -> str:
    return f"{scheme_label(run.scheme.name)}, {run.data['label']}, seed {run.seed}"


class LivePlot:
    """Draws a run anew after every epoch: `fit(..., on_epoch=LivePlot())` in a notebook.

    Outside a notebook it draws nothing.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, run: Run) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            return
        picture = Live(TrainingDisplay.from_run(run))
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
