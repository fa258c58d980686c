"""Networks as lists of stages."""

from nmlib.models.mlp import mlp
from nmlib.models.staged import StagedModel

__all__ = ["StagedModel", "mlp"]
