"""Fully connected networks for the toy problem."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nmlib import _checks
from nmlib.models.staged import StagedModel
from nmlib.rng import Rng

__all__ = ["mlp", "mlp_initial_values"]


def mlp_initial_values(sizes: Sequence[int], seed: int) -> NDArray[np.float64]:
    """Return all initial values of `mlp(sizes, seed=seed)` in one flat array.

    The order is layer by layer: the weights as (fan out, fan in), then the biases.

    >>> mlp_initial_values((2, 8, 2), 0).shape
    (42,)
    """
    draw = Rng(seed).fold("init").numpy()
    values = [
        draw.uniform(-1, 1, size=(fan_in + 1) * fan_out) / math.sqrt(fan_in)
        for fan_in, fan_out in itertools.pairwise(sizes)
    ]
    return np.concatenate(values)


def mlp(
    sizes: Sequence[int] = (2, 100, 2),
    *,
    seed: int = 0,
    activation: Literal["relu", "tanh"] = "relu",
) -> StagedModel:
    """Build a fully connected network with one stage for each layer of weights.

    Weights and biases are uniform on +-1/sqrt(fan in), PyTorch's own law for linear layers; they
    depend on the seed only.

    Args:
        sizes: Input width, hidden widths, number of classes.
        seed: Of the initial weights.
        activation: "relu" (the paper's) or "tanh" (smooth, for second derivatives).

    Raises:
        ValueError: With fewer than two sizes, a size below 1 or an unknown activation.

    Source: paper appendix A ("shallow", ReLU; our copy of the text lacks the width).

    >>> mlp((2, 8, 2)).num_points
    2
    """
    sizes = _checks.integers("sizes", sizes, 1)
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least two numbers >= 1, got {sizes}")
    _checks.choice("activation", activation, ("relu", "tanh"))
    values = torch.from_numpy(mlp_initial_values(sizes, seed)).float()
    stages: list[nn.Module] = []
    at = 0
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        # skip_init leaves torch's global random state alone.
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        weight = values[at : at + fan_in * fan_out].view(fan_out, fan_in)
        at += (fan_in + 1) * fan_out
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(values[at - fan_out : at])
        last = i == len(sizes) - 2
        nonlinear = nn.ReLU() if activation == "relu" else nn.Tanh()
        stages.append(linear if last else nn.Sequential(linear, nonlinear))
    return StagedModel(stages)
