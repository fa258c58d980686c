"""Views without augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nmlib import _checks
from nmlib.mixing import Model
from nmlib.rng import Rng


@dataclass(frozen=True)
class Plain:
    """Identical copies of the clean samples.

    Args:
        copies: V >= 1. A single view has no divergence, so its scheme needs stability 0.

    >>> import torch
    >>> Plain(3).make(torch.zeros(5, 2), None, None, Rng(0)).shape
    torch.Size([3, 5, 2])
    """

    copies: int = 1

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.integer, "copies", least=1)

    @property
    def count(self) -> int:
        """Number of views V."""
        return self.copies

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return x repeated as (V, B, ...), without copying memory."""
        x = _checks.tensor("x", x)
        return x.unsqueeze(0).expand(self.copies, *x.shape)
