"""Networks as lists of stages."""

from nmlib.models.mlp import mlp, mlp_initial_values
from nmlib.models.staged import StagedModel

__all__ = ["StagedModel", "mlp", "mlp_initial_values"]
