"""Small decisions on their way from the CPU to where the images are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["sent"]


def sent(values: Tensor | NDArray[Any], device: torch.device | str) -> Tensor:
    """Return what is on the CPU as a tensor on a device, without waiting for the device.

    From ordinary memory PyTorch copies only when a GPU has finished all it was given, which then
    stands still until it is given more; from pinned memory the copy takes its turn.

    >>> sent(np.arange(3), "cpu")
    tensor([0, 1, 2])
    """
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.ascontiguousarray(values))
    if torch.device(device).type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
