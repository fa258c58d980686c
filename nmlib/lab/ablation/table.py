"""A combination in three columns: the paper's Table 4, our measured grid, and this session.

The columns never share a scale: they differ in images, networks and training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmlib.lab.ablation.lab import AblationLab, LabResult, LabSettings
from nmlib.lab.ablation.switches import paper_gains
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import SHORT, measured
from nmlib.lab.display.conditions import Conditions, listed
from nmlib.lab.display.words import signed
from nmlib.lab.measurements import measured_files
from nmlib.paper import ARXIV, ablation
from nmlib.paper.numbers import load_pandas
from nmlib.schemes import ABLATION, Switches
from nmlib.statistics import spearman

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "LabRow", "LabTable", "Placed", "lab_table"]

COLUMNS = ("paper", "grid", "here")
"""Where numbers come from: Table 4, the committed grid, this session."""

Shares = NDArray[np.float64]
_OFF = Switches(False, False, False, False)
# Fewer rows than this say nothing of an order.
_LEAST_ROWS = 6


@dataclass(frozen=True)
class Placed:
    """One combination in one column, in percent.

    Attributes:
        robust: Robust accuracy.
        clean: Clean accuracy.
        gain: Robust accuracy over the baseline of the same column (and seeds); None without one.
        error: Standard error of the gain for the choice of test images; None if unknown.
        seeds: Seeds averaged; empty for the paper.
    """

    robust: float
    clean: float
    gain: float | None = None
    error: float | None = None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabRow:
    """One combination of switches and levels.

    Attributes:
        settings: What to train to get it, with seed 0.
        paper: The paper's number.
        grid: The measured grid's.
        here: This session's.
    """

    settings: LabSettings
    paper: Placed | None = None
    grid: Placed | None = None
    here: Placed | None = None

    @property
    def switches(self) -> Switches:
        """The ticks."""
        return self.settings.switches

    @property
    def levels(self) -> str:
        """Levels in words if they are not the published ones, else empty."""
        published = self.settings == LabSettings(*self.switches)
        return "" if published else self.settings.levels


@dataclass(frozen=True)
class LabTable:
    """The ten rows of Table 4 in its order, and whatever else was trained.

    Attributes:
        rows: Rows at other levels follow those with the same switches.
        sources: For each column what it was measured on.
    """

    rows: tuple[LabRow, ...]
    sources: Mapping[str, Conditions]

    def column(self, name: str) -> list[tuple[LabRow, Placed]]:
        """Return the rows that a column has a number for."""
        return [(row, p) for row in self.rows if (p := getattr(row, name)) is not None]

    def find(self, settings: LabSettings) -> LabRow | None:
        """Return the row of a combination, whatever its seed."""
        wanted = replace(settings.canonical, seed=0)
        return next((row for row in self.rows if row.settings == wanted), None)

    def agreement(self) -> tuple[float, int] | None:
        """Return Spearman's correlation of this session with the paper, and the number of rows.

        Ranks can be compared where accuracies cannot. None with fewer than six rows in common.
        """
        both = [(row.paper.robust, p.robust) for row, p in self.column("here") if row.paper]
        if len(both) < _LEAST_ROWS:
            return None
        paper, other = np.array(both).T
        return float(spearman(paper, other)), len(both)

    def words(self, settings: LabSettings) -> str:
        """Describe the result of a combination, here and in the paper, in a sentence or two."""
        row = self.find(settings)
        if row is None or row.here is None:
            return "Not trained here yet."
        here = row.here
        text = f"Robust accuracy {here.robust:.1f} %, clean {here.clean:.1f} %"
        if len(here.seeds) > 1:
            text += f" (mean of {listed('seed', here.seeds)})"
        if row.settings.switches != _OFF and here.gain is not None:
            text += f": {signed(here.gain)} ± {here.error or 0:.1f} points over the baseline"
        text += "."
        if row.settings.switches == _OFF:
            return text + " This is the baseline that gains are counted from."
        if row.paper is not None and row.paper.gain is not None:
            text += (
                f" The paper's gain for these switches is {signed(row.paper.gain)}, with other "
                "images, a larger network and full training."
            )
        if here.gain is not None and here.error and abs(here.gain) < 2 * here.error:
            text += " The gain here is within the error of so few test images."
        return text


def lab_table(
    lab: AblationLab | None = None,
    *,
    records: pd.DataFrame | Sequence[Mapping[str, Any]] | None = None,
) -> LabTable:
    """Put the results of a lab beside Table 4 and the measured grid.

    Args:
        lab: The lab; None for a table without a column of ours.
        records: Of the grid; default the committed ones, if there are any.

    >>> table = lab_table(records=[])
    >>> len(table.rows), table.rows[-1].paper.gain
    (10, 24.4)
    """
    if records is None:
        records = measured(SHORT) if SHORT in measured_files() else []
    runs = load_pandas().DataFrame(records)
    runs = runs if runs.empty else runs[runs["scheme"].isin(ABLATION)]
    paper, grid = _paper(), _grid(runs)
    results = {} if lab is None else dict(lab.results)  # a worker may add one meanwhile
    here = _here(results)

    def place(s: LabSettings) -> tuple[Any, ...]:
        known = LabSettings(*s.switches)
        tail = (s != known, s.alpha, s.sigma_add, s.sigma_mult)
        return (0, order.index(known), *tail) if known in order else (1, s.switches, *tail)

    order = list(paper)
    rows = [
        LabRow(s, paper.get(s), grid.get(s), here.get(s))
        for s in sorted({*order, *here}, key=place)
    ]
    whole = "15 corruptions x 5 severities"
    sources = {
        "paper": Conditions(
            f"Table 4 of arXiv:{ARXIV}: CIFAR-100-C",
            "Wide-ResNet-28 (printed as 28x2, released as 28-4)",
            details=(whole, "one number a row"),
        ),
        "grid": Conditions() if runs.empty else replace(conditions(runs), details=(whole,)),
        "here": Conditions()
        if lab is None or not results
        else replace(
            lab.conditions,
            seeds=tuple(sorted({s.seed for s in results})),
            commits=tuple(
                dict.fromkeys(
                    str(r.run.provenance.get("commit", "unknown")) for r in results.values()
                )
            ),
        ),
    }
    return LabTable(tuple(rows), sources)


def _paper() -> dict[LabSettings, Placed]:
    robust, clean, gains = ablation(), ablation("clean_accuracy"), paper_gains()
    return {
        LabSettings(*row): Placed(
            float(robust.means[k]), float(clean.means[clean.rows[row]]), float(gains[row])
        )
        for row, k in robust.rows.items()
    }


def _placed(
    mine: Mapping[int, tuple[Shares, float]], base: Mapping[int, tuple[Shares, float]]
) -> Placed:
    """Average seeds; the gain is over the seeds that the baseline has, image by image.

    Args:
        mine: By seed, (images,) share of an image's corrupted versions that were recognised, and
            clean accuracy.
        base: The same of the baseline.
    """
    robust = float(np.mean([100 * shares.mean() for shares, _ in mine.values()]))
    clean = float(np.mean([100 * value for _, value in mine.values()]))
    common = sorted(mine.keys() & base.keys())
    if not common:
        return Placed(robust, clean, seeds=tuple(sorted(mine)))
    paired = 100 * np.mean([mine[s][0] - base[s][0] for s in common], axis=0)
    error = float(paired.std(ddof=1) / np.sqrt(len(paired)))
    return Placed(robust, clean, float(paired.mean()), error, tuple(sorted(mine)))


def _gather(entries: Iterable[tuple[LabSettings, Shares, float]]) -> dict[LabSettings, Placed]:
    """Average measurements over the seeds of their settings."""
    by_seed: dict[LabSettings, dict[int, tuple[Shares, float]]] = {}
    for settings, shares, clean in entries:
        by_seed.setdefault(replace(settings, seed=0), {})[settings.seed] = (shares, clean)
    return {key: _placed(mine, by_seed.get(key.baseline, {})) for key, mine in by_seed.items()}


def _grid(records: pd.DataFrame) -> dict[LabSettings, Placed]:
    return _gather(
        (
            LabSettings(*ABLATION[r.scheme].switches, seed=r.seed),
            np.array(r.robust_hits, float) / sum(map(len, r.accuracy.values())), r.clean_accuracy,
        )
        for r in records.itertuples()
    )  # fmt: skip


def _here(results: Mapping[LabSettings, LabResult]) -> dict[LabSettings, Placed]:
    return _gather(
        (settings, r.report.image_accuracies(), r.report.clean.accuracy)
        for settings, r in results.items()
    )
