"""Networks made of stages, which schemes can enter and leave at any mix point."""

from nmlib.models.mlp import mlp, mlp_initial_values
from nmlib.models.norm import StreamDropout, adversarial_norm, dropout_stream
from nmlib.models.preact_resnet import preact_resnet
from nmlib.models.registry import MODELS, build_model
from nmlib.models.resnet50 import resnet50
from nmlib.models.staged import StagedModel
from nmlib.models.weights import FoundWeights, read_state_dict
from nmlib.models.wide_resnet import wide_resnet

__all__ = [
    "MODELS",
    "FoundWeights",
    "StagedModel",
    "StreamDropout",
    "adversarial_norm",
    "build_model",
    "dropout_stream",
    "mlp",
    "mlp_initial_values",
    "preact_resnet",
    "read_state_dict",
    "resnet50",
    "wide_resnet",
]
