"""Initial weights from a seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from nmlib.models.norm import own_dropout_streams
from nmlib.models.staged import StagedModel
from nmlib.rng import Rng

__all__ = ["built", "draw_weights"]


def draw_weights(model: nn.Module, seed: int) -> None:
    r"""Set all weights: $U(\pm1/\sqrt{\text{fan in}})$ for convolutions and linear layers.

    This is PyTorch's own law, for weights and biases. Each tensor has its own stream, named after
    it, so a network with and without biases starts from the same weights. Normalisation starts as
    the identity.

    Args:
        model: Changed in place.
        seed: Any integer >= 0.
    """
    rng = Rng(seed).fold("init")
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for kind, tensor in module.named_parameters(recurse=False):
                draw = rng.fold(f"{name}.{kind}").numpy().random(tensor.shape, dtype="float32")
                with torch.no_grad():
                    tensor.copy_(torch.from_numpy(draw * (2 * bound) - bound))
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()


def built(
    make_stages: Callable[[], list[nn.Module]], normalise: nn.Module | None, seed: int
) -> StagedModel:
    """Build a model without touching the global random state.

    Args:
        make_stages: Returns the stages.
        normalise: First layer.
        seed: Of the weights, and of dropout outside `dropout_stream`.
    """
    # Layers made on the meta device draw nothing; their values are set afterwards.
    with torch.device("meta"):
        stages = make_stages()
    own_dropout_streams(nn.ModuleList(stages), Rng(seed))
    model = StagedModel([stage.to_empty(device="cpu") for stage in stages], normalise)
    draw_weights(model, seed)
    return model
