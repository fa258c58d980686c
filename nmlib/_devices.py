"""Copies from the CPU to a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["to_device"]


def to_device(values: Tensor | NDArray[Any], device: torch.device | str) -> Tensor:
    """Copy CPU values to `device` asynchronously, through pinned memory.

    A copy from ordinary memory waits until the GPU has finished all queued work, and the GPU is
    then idle until Python queues more. A copy from pinned memory is queued itself.

    >>> to_device(np.arange(3), "cpu")
    tensor([0, 1, 2])
    """
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.ascontiguousarray(values))
    if torch.device(device).type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
