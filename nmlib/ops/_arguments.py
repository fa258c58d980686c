"""Arguments of the operations: byte images, and parameters for each image or for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks

# One number for all images, or one for each.
Parameter = float | Sequence[float] | NDArray | Tensor


def check_bytes(x: Tensor) -> None:
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise ValueError(
            f"images must be uint8 of shape (n, c, h, w), got {x.dtype} of shape "
            f"{tuple(x.shape)}; use (255 * x).round().to(torch.uint8) for values in [0, 1]"
        )


def for_each(name: str, value: Parameter, x: Tensor) -> Tensor:
    """Return one value for each image, (n,): float64 on the CPU unless given on an accelerator."""
    if isinstance(value, Tensor):
        # Values on an accelerator stay unchecked: reading them would synchronise it.
        values = value.to(torch.float64) if value.device.type == "cpu" else value
    else:
        values = torch.from_numpy(_checks.array(name, value))
    if values.shape not in ((), (len(x),)):
        raise ValueError(
            f"{name} must be one number or one for each of the {len(x)} images, got shape "
            f"{tuple(values.shape)}"
        )
    if values.device.type == "cpu" and not np.isfinite(values.numpy().sum()):
        raise ValueError(f"{name} must be finite, got {value}")
    return values.expand(len(x))


def whole(name: str, value: Parameter, x: Tensor, low: int, high: int) -> Tensor:
    """Return a whole number in [low, high] for each image, (n, 1, 1, 1) on the device of x."""
    values = for_each(name, value, x)
    if values.device.type == "cpu" and len(values):
        numbers = values.numpy()
        if not (numbers.min() >= low and numbers.max() <= high and (numbers % 1 == 0).all()):
            raise ValueError(f"{name} must be whole numbers from {low} to {high}, got {value}")
    return values.to(x.device, torch.int32).view(-1, 1, 1, 1)


def doubles(x: Tensor) -> torch.device:
    """Return a device with double precision, which Apple's accelerator lacks."""
    return torch.device("cpu") if x.device.type == "mps" else x.device
