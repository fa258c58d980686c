"""The cost of a network: parameters and multiply-adds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nmlib.models.modes import evaluating

__all__ = ["Cost", "count_cost"]


class Cost(NamedTuple):
    """The cost of a network.

    Attributes:
        parameters: Number of trained parameters.
        multiply_adds: Of convolutions and matrix products in one forward pass of one image.
    """

    parameters: int
    multiply_adds: int


def count_cost(model: nn.Module, *, size: int = 32, channels: int = 3) -> Cost:
    """Count the parameters of a network, and its multiply-adds for one image.

    The count runs the model on one image, in evaluation mode. A backward pass costs about twice
    as much as a forward pass.

    Args:
        model: Any module that takes images (1, channels, size, size).
        size: Pixels a side.
        channels: Of the image.

    >>> count_cost(nn.Conv2d(3, 8, 3, padding=1, bias=False))
    Cost(parameters=216, multiply_adds=221184)
    """
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    first = next(model.parameters(), None)
    image = torch.zeros(1, channels, size, size, device=None if first is None else first.device)
    with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return Cost(parameters, counter.get_total_flops() // 2)
