"""Initial weights that depend on the seed only."""

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
    r"""Initialise weights and biases with $U(\pm1/\sqrt{\text{fan in}})$, PyTorch's own law.

    Each tensor of a convolution or linear layer has its own stream, named after it, so the weights
    are the same with and without biases. Normalisation layers start as the identity.

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
        make_stages: Function that returns the stages.
        normalise: Applied before the first stage.
        seed: Of the weights, and of dropout outside `dropout_stream`.
    """
    # Layers on the meta device draw no random numbers; `draw_weights` sets their values.
    with torch.device("meta"):
        stages = make_stages()
    own_dropout_streams(nn.ModuleList(stages), Rng(seed))
    model = StagedModel([stage.to_empty(device="cpu") for stage in stages], normalise)
    draw_weights(model, seed)
    return model
