"""The paper's CIFAR tables as grids of cells (scheme x seed) that run, stop and go on."""

from nmlib.reproduction.ablation_lab import AblationLab, LabResult, LabSettings, LabStatus
from nmlib.reproduction.cell import Cell, finished, run_cell
from nmlib.reproduction.cluster import run_on_cluster
from nmlib.reproduction.compared import comparable, flips_note
from nmlib.reproduction.experiments import EXPERIMENTS, Experiment, cells
from nmlib.reproduction.grid import collect, run_grid
from nmlib.reproduction.measured import (
    GRID,
    LENGTHS,
    SHORT,
    ablation_cells,
    measured,
    seeds_complete,
    store,
)
from nmlib.reproduction.placing import LabTable, lab_table
from nmlib.reproduction.progress import CellFailed, Progress, result_words

__all__ = [
    "EXPERIMENTS",
    "GRID",
    "LENGTHS",
    "SHORT",
    "AblationLab",
    "Cell",
    "CellFailed",
    "Experiment",
    "LabResult",
    "LabSettings",
    "LabStatus",
    "LabTable",
    "Progress",
    "ablation_cells",
    "cells",
    "collect",
    "comparable",
    "finished",
    "flips_note",
    "lab_table",
    "measured",
    "result_words",
    "run_cell",
    "run_grid",
    "run_on_cluster",
    "seeds_complete",
    "store",
]
