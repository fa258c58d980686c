"""Training: one loop for every scheme, checkpoints that survive anything, the paper's recipe."""

from nmlib.training.checkpoints import CheckpointMismatch, load_weights
from nmlib.training.errors import OutOfMemory, TrainingDiverged, TrainingInterrupted
from nmlib.training.execution import Execution
from nmlib.training.fitting import fit
from nmlib.training.recipe import BUDGETS, Budget, Recipe
from nmlib.training.record import Run, load_model, read_rows

__all__ = [
    "BUDGETS",
    "Budget",
    "CheckpointMismatch",
    "Execution",
    "OutOfMemory",
    "Recipe",
    "Run",
    "TrainingDiverged",
    "TrainingInterrupted",
    "fit",
    "load_model",
    "load_weights",
    "read_rows",
]
