"""One method by three sources: what the paper prints, what RobustBench measured, and ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib import _checks
from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.cifar.conditions import PAPER_NAMES, conditions, in_paper
from nmlib.lab.cifar.records import Records, by_corruption
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import (
    OURS,
    PLOTLY_PAPER,
    ROBUSTBENCH,
    diamond,
    new_figure,
    plotly_heading,
)
from nmlib.lab.display.tables import Column, TableDisplay
from nmlib.lab.display.words import short_name, spaced
from nmlib.paper import robustbench, robustbench_audit
from nmlib.paper.leaderboard import SETS
from nmlib.paper.numbers import load_pandas, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SourcesDisplay", "misfiled_table", "sources_table"]

_METHODS = tuple(dict.fromkeys(m for known in SETS.values() for m, _ in known.models.values()))


def _printed(dataset: str, method: str) -> pd.Series:
    """Return the paper's row of a method, of the table nearest to RobustBench's networks."""
    found = read_table(SETS[dataset].tables[-1])
    row = found[found["method"] == method].set_index("corruption")["value"]
    return row.reindex(list(CORRUPTIONS))


def _theirs(dataset: str, model: str, heading: str = "corruption") -> pd.Series:
    """Return RobustBench's means over the severities."""
    found = robustbench(dataset)
    found = found[(found["model"] == model) & (found["corruption"] != "none")]
    return found.groupby(heading)["value"].mean().reindex(list(CORRUPTIONS))


def _ours(records: Records | None, method: str) -> pd.Series | None:
    """Return our means over severities and seeds, or None."""
    if records is None:
        return None
    own = by_corruption(in_paper(records)).rename(columns=PAPER_NAMES)
    return own[method].reindex(list(CORRUPTIONS)) if method in own else None


@dataclass(frozen=True, eq=False)
class SourcesDisplay(Display):
    """Accuracy of one method under each corruption, by the paper, by RobustBench and by us.

    Attributes:
        method: As the paper calls it.
        panels: By test set, columns "paper", "RobustBench", "as filed" (only where the numbers
            stand under wrong headings) and "ours" (where we measured it), by corruption.
        conditions: What ours were measured on.

    Source: paper Tables 6, 9 and 10; RobustBench (arXiv 2010.09670).
    """

    method: str
    panels: dict[str, pd.DataFrame]

    image = "lines"

    @classmethod
    def from_method(
        cls, method: str = "NoisyMix", records: Records | None = None
    ) -> SourcesDisplay:
        """Collect the three sources.

        Args:
            method: One that RobustBench has, by the paper's name.
            records: Ours of CIFAR-10's kind, as from `nmlib.lab.cifar.records`.

        Raises:
            ValueError: For a method that RobustBench lacks.
        """
        _checks.choice("method", method, _METHODS)
        panels = {}
        for dataset, known in SETS.items():
            model = next((m for m, (name, _) in known.models.items() if name == method), None)
            if model is None:
                continue
            columns = {"paper": _printed(dataset, method), "RobustBench": _theirs(dataset, model)}
            filed = _theirs(dataset, model, "filed_as")
            if (filed != columns["RobustBench"]).any():
                columns["as filed"] = filed
            own = _ours(records, method) if dataset == "CIFAR-10-C" else None
            if own is not None:
                columns["ours"] = own
            panels[dataset] = load_pandas().DataFrame(columns)
        made = Conditions() if records is None else conditions(in_paper(records))
        return cls(method, panels, conditions=made)

    @property
    def summary(self) -> str:
        parts = []
        for dataset, numbers in self.panels.items():
            r = numbers["paper"].corr(numbers["RobustBench"])
            text = (
                f"{dataset}: paper {numbers['paper'].mean():.1f}, RobustBench "
                f"{numbers['RobustBench'].mean():.1f}, correlation over the corruptions {r:.2f}"
            )
            if "as filed" in numbers:
                text += f" ({numbers['paper'].corr(numbers['as filed']):.2f} as filed)"
            if "ours" in numbers:
                text += (
                    f"; ours {numbers['ours'].mean():.1f}, "
                    f"{numbers['paper'].corr(numbers['ours']):.2f}"
                )
            parts.append(text)
        return f"{self.method} by corruption, accuracy in percent. {'. '.join(parts)}."

    @property
    def small_print(self) -> str:
        tables = "; ".join(
            f"{d}: Table {SETS[d].tables[-1]}, RobustBench {SETS[d].images:,} images"
            for d in self.panels
        )
        return tables + (f"\nours: {self.conditions}" if self.conditions else "")

    def _looks(self) -> dict[str, dict[str, Any]]:
        line = {"ls": "none"}
        return {
            "paper": diamond(),
            "RobustBench": line | {"marker": "s", "ms": 7, "mfc": "none", "mec": ROBUSTBENCH,
                                   "mew": 1.5},
            "as filed": line | {"marker": "x", "ms": 5, "color": ROBUSTBENCH, "alpha": 0.8},
            "ours": line | {"marker": "o", "ms": 6, "color": OURS},
        }  # fmt: skip

    def _words(self, source: str) -> str:
        if source == "as filed":
            return "RobustBench, as filed"
        return f"ours: {self.conditions.data}" if source == "ours" else source

    def _axes(self) -> Any:
        rows = len(self.panels)
        return new_figure(9.5, 2.1 * rows + 1.1).subplots(rows, 1, sharex=True, squeeze=False)[:, 0]

    def _draw(self, ax: Any) -> None:
        looks, shown = self._looks(), dict[str, Any]()
        for one, (dataset, numbers) in zip(np.ravel(ax), self.panels.items(), strict=True):
            for source in numbers:
                drawn = one.plot(range(15), numbers[source], **looks[source])[0]
                shown.setdefault(self._words(source), drawn)
            one.set_title(dataset, loc="left", fontsize=10)
            one.set_ylabel("accuracy (%)", fontsize=9)
            one.margins(y=0.14)
            one.set_xticks(range(15), [short_name(c) for c in CORRUPTIONS], fontsize=8, rotation=35)
        figure = np.ravel(ax)[0].figure
        figure.legend(
            shown.values(), shown.keys(), loc="outside upper right", ncols=len(shown), fontsize=8
        )

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        markers: dict[str, dict[str, Any]] = {
            "paper": PLOTLY_PAPER,
            "RobustBench": {"symbol": "square-open", "color": ROBUSTBENCH, "size": 10,
                            "line": {"width": 2}},
            "as filed": {"symbol": "x-thin-open", "color": ROBUSTBENCH, "size": 7},
            "ours": {"symbol": "circle", "color": OURS, "size": 8},
        }  # fmt: skip
        names = list(map(spaced, CORRUPTIONS))
        figure = make_subplots(
            len(self.panels), 1, shared_xaxes=True, vertical_spacing=0.06,
            subplot_titles=list(self.panels),
        )  # fmt: skip
        seen = set()
        for row, numbers in enumerate(self.panels.values(), 1):
            for source in numbers:
                figure.add_scatter(
                    x=names, y=numbers[source].to_numpy(), mode="markers", name=self._words(source),
                    marker=markers[source], legendgroup=source, showlegend=source not in seen,
                    hovertemplate="%{x}: %{y:.1f} %", row=row, col=1,
                )  # fmt: skip
                seen.add(source)
        figure.update_yaxes(title="accuracy (%)")
        figure.update_layout(height=190 * len(self.panels) + 190)
        return plotly_heading(figure, self.method)


def sources_table(records: Records | None = None) -> TableDisplay:
    """Return the methods that RobustBench has, with the mean accuracies of all three sources.

    Args:
        records: Ours of CIFAR-10's kind, as from `nmlib.lab.cifar.records`.

    Source: paper Tables 6, 9 and 10; RobustBench (arXiv 2010.09670).
    """
    rows = []
    for dataset, known in SETS.items():
        for model, (method, network) in known.models.items():
            paper, theirs = _printed(dataset, method), _theirs(dataset, model)
            own = _ours(records, method) if dataset == "CIFAR-10-C" else None
            rows.append(
                (
                    dataset, method, paper.mean(), theirs.mean(), model, network, known.images,
                    paper.corr(theirs),
                    None if own is None else own.mean(), None if own is None else paper.corr(own),
                )
            )  # fmt: skip
    columns: tuple[Any, ...] = (
        "test set", "method", Column("paper %", "paper"), "RobustBench %", "row there",
        "network there", "images there", Column("r of the 15", digits=2), Column("ours %", "ours"),
        Column("r, ours", "ours", digits=2),
    )  # fmt: skip
    made = f" Ours: {conditions(in_paper(records))}." if records is not None else ""
    caption = (
        "Mean accuracy over corruptions and severities by three sources; r: their correlation "
        f"with the paper's (Table 9, 10 or 6). The paper's networks: WRN-28-4 and ResNet-50."
        f"{made}"
    )
    return TableDisplay(columns, tuple(rows), caption)


def misfiled_table() -> TableDisplay:
    """Return RobustBench's rows, each with its correlations as labelled and in the other order."""
    found = robustbench_audit().sort_values("as_filed", kind="stable")
    columns = (
        "dataset", "model", Column("as_filed", digits=2), "nearest", Column("reordered", digits=2),
        "nearest_reordered",
    )  # fmt: skip
    return TableDisplay.from_frame(
        found, columns,
        caption="Each row of RobustBench's files and its highest correlation with any other row or "
        "row of the paper: as labelled, and in the order of columns of the other files.",
    )  # fmt: skip
