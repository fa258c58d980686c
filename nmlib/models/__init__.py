"""Networks, and the places in them at which schemes mix and add noise."""

from nmlib.models.mlp import mlp, mlp_initial_values
from nmlib.models.norm import StreamDropout, adversarial_norm, dropout_stream
from nmlib.models.points import Mixable, MixPoints
from nmlib.models.preact_resnet import preact_resnet
from nmlib.models.registry import MODELS, build_model
from nmlib.models.resnet import cifar_resnet, resnet50
from nmlib.models.shipped import PRETRAINED, pretrained, pretrained_record
from nmlib.models.staged import StagedModel
from nmlib.models.suggestions import SuggestedPoints, suggest_points
from nmlib.models.weights import FoundWeights, read_state_dict
from nmlib.models.wide_resnet import wide_resnet

__all__ = [
    "MODELS",
    "PRETRAINED",
    "FoundWeights",
    "MixPoints",
    "Mixable",
    "StagedModel",
    "StreamDropout",
    "SuggestedPoints",
    "adversarial_norm",
    "build_model",
    "cifar_resnet",
    "dropout_stream",
    "mlp",
    "mlp_initial_values",
    "preact_resnet",
    "pretrained",
    "pretrained_record",
    "read_state_dict",
    "resnet50",
    "suggest_points",
    "wide_resnet",
]
