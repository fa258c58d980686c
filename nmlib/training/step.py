"""One part of a step: the objective as a module, and what surrounds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from nmlib.models import MixPoints
from nmlib.models.points import Mixable
from nmlib.models.staged import Change
from nmlib.objective import batch_loss
from nmlib.rng import Rng
from nmlib.schemes import Scheme

__all__ = ["Network", "Objective", "dropout_from", "drops_out", "slices"]


class Network(nn.Module):
    """A model that runs in lower precision, and compiled between its mix points, if asked for.

    Only the network: augmentation, mixing and loss around it stay in float32.
    """

    def __init__(self, model: Mixable, precision: str, compiled: bool) -> None:
        super().__init__()
        self.model = model.compiled() if compiled else model
        self.low = precision == "bf16"

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, x: Tensor, point: int | None = None, change: Change | None = None) -> Tensor:
        def outside(h: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return h if change is None else change(h)

        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.low):
            return self.model(x, point=point, change=outside if self.low else change).float()


class Objective(nn.Module):
    """`batch_loss` as a module, with what `fit` records of a step.

    Args:
        network: The model.
        scheme: What to do.
        rng: The run's stream; epoch, step and part are folded into it.
    """

    def __init__(self, network: nn.Module, scheme: Scheme, rng: Rng) -> None:
        super().__init__()
        self.network = network
        self.scheme = scheme
        self.rng = rng

    def forward(
        self, x: Tensor, y: Tensor, epoch: int, step: int, part: int
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and (loss, ce, jsd, number right) without gradients."""
        rng = self.rng.fold(epoch, step, part)
        parts = batch_loss(self.network, (x, y), self.scheme, rng, validate=False)  # type: ignore[arg-type]
        right = (parts.logits[0].detach().argmax(-1) == y).sum()
        numbers = [parts.total.detach(), parts.ce.detach(), parts.jsd.detach(), right]
        return parts.total, torch.stack([n.float() for n in numbers])


@contextmanager
def dropout_from(rng: Rng, device: torch.device) -> Iterator[None]:
    """Let PyTorch's own dropout draw from a stream; the global state is put back after.

    nmlib's networks need no such thing: their dropout has a stream of its own.
    """
    key = int(rng.numpy().integers(2**63))
    if device.type == "cpu":
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(key)
            yield
    else:
        module = torch.get_device_module(device)
        with torch.random.fork_rng([device], device_type=device.type), module.device(device):
            module.manual_seed(key)  # of the current device alone
            yield


def drops_out(model: nn.Module) -> bool:
    """Return whether a model may have dropout that draws from PyTorch's global state."""
    if isinstance(model, MixPoints):  # others' networks drop out in many ways
        return True
    return any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in model.modules())


def slices(images: int, parts: int) -> list[slice]:
    """Split a batch into parts whose sizes differ by one at most.

    >>> slices(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    bounds = [images * part // parts for part in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]
