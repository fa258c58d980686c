"""Fully connected networks for the toy problem."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn

from nmlib.models.staged import StagedModel
from nmlib.rng import Rng

__all__ = ["mlp"]


def mlp(sizes: Sequence[int] = (2, 100, 2), *, seed: int = 0) -> StagedModel:
    """Build a ReLU network with one stage for each layer of weights.

    Weights and biases are uniform on +-1/sqrt(fan in), PyTorch's own law for linear layers, but
    drawn from the seed alone.

    Args:
        sizes: Input width, hidden widths, number of classes.
        seed: Of the initial weights.

    Raises:
        ValueError: With fewer than two sizes or a size below 1.

    Source: paper appendix A ("shallow", ReLU; the width was lost).

    >>> mlp((2, 8, 2)).num_points
    2
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must hold at least two numbers >= 1, got {sizes}")
    draw = Rng(seed).fold("init").numpy()
    stages = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        # skip_init leaves torch's global random state alone.
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        bound = 1 / math.sqrt(fan_in)
        with torch.no_grad():
            for parameter in (linear.weight, linear.bias):
                values = draw.uniform(-bound, bound, size=tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))
        last = i == len(sizes) - 2
        stages.append(linear if last else nn.Sequential(linear, nn.ReLU()))
    return StagedModel(stages)
