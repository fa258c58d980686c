"""The networks of the reference values: no random numbers, written out twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

LINEAR = (1.5, 0.8)


def parameters(
    sizes: tuple[int, ...], gain: float, phase: float, bias: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    layers = []
    for l in range(1, len(sizes)):
        j = np.arange(1, sizes[l] + 1)[:, None]
        k = np.arange(1, sizes[l - 1] + 1)[None]
        weight = gain / math.sqrt(sizes[l - 1]) * np.sin(phase + 0.9 * l + 0.7 * j**2 + 1.7 * j * k)
        shift = 0.3 * np.cos(2 + l + 1.3 * (j[:, 0] - 1)) * bias
        layers.append((weight, shift))
    return layers


def torch_net(
    sizes: tuple[int, ...],
    *,
    gain: float = 1.8,
    phase: float = 2.0,
    bias: bool = True,
    activation: Callable[[Tensor], Tensor] = torch.tanh,
) -> Callable[[Tensor], Tensor]:
    layers = [
        (torch.from_numpy(w), torch.from_numpy(b)) for w, b in parameters(sizes, gain, phase, bias)
    ]

    def f(x: Tensor) -> Tensor:
        for i, (w, b) in enumerate(layers):
            x = x @ w.T + b
            if i < len(layers) - 1:
                x = activation(x)
        return x.squeeze(-1) if sizes[-1] == 1 else x

    return f


def numpy_net(sizes: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    layers = parameters(sizes, 1.8, 2.0, True)

    def f(x: np.ndarray) -> np.ndarray:
        for i, (w, b) in enumerate(layers):
            x = x @ w.T + b
            if i < len(layers) - 1:
                x = np.tanh(x)
        return x

    return f


def linear(x: Tensor) -> Tensor:
    return x @ x.new_tensor(LINEAR)


def numpy_linear(x: np.ndarray) -> np.ndarray:
    return (x @ np.array(LINEAR))[..., None]


TORCH = {"binary": torch_net((2, 6, 5, 1)), "softmax": torch_net((2, 6, 5, 3)), "linear": linear}
NUMPY = {
    "binary": numpy_net((2, 6, 5, 1)),
    "softmax": numpy_net((2, 6, 5, 3)),
    "linear": numpy_linear,
}
