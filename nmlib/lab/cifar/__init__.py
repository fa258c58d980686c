"""Notebook 05: the paper's CIFAR tables as grids of cells (scheme x seed).

A grid can be stopped at any time and resumes where it stopped. `measured` reads the committed ones.
"""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import (
    GRID,
    LENGTHS,
    SHORT,
    ablation_cells,
    accuracies,
    flips,
    flips_note,
    measured,
    measures,
    seeds_complete,
    store,
)

if TYPE_CHECKING:
    from nmlib.lab.cifar.cell import Cell, finished, run_cell
    from nmlib.lab.cifar.cluster import run_on_cluster
    from nmlib.lab.cifar.experiments import EXPERIMENTS, Experiment, cells
    from nmlib.lab.cifar.grid import collect, run_grid
    from nmlib.lab.cifar.progress import CellFailed, Progress, result_words
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.lab.cifar.cell": "Cell finished run_cell",
            "nmlib.lab.cifar.cluster": "run_on_cluster",
            "nmlib.lab.cifar.experiments": "EXPERIMENTS Experiment cells",
            "nmlib.lab.cifar.grid": "collect run_grid",
            "nmlib.lab.cifar.progress": "CellFailed Progress result_words",
        },
    )

__all__ = [
    "EXPERIMENTS",
    "GRID",
    "LENGTHS",
    "SHORT",
    "Cell",
    "CellFailed",
    "Experiment",
    "Progress",
    "ablation_cells",
    "accuracies",
    "cells",
    "collect",
    "conditions",
    "finished",
    "flips",
    "flips_note",
    "measured",
    "measures",
    "result_words",
    "run_cell",
    "run_grid",
    "run_on_cluster",
    "seeds_complete",
    "store",
]
