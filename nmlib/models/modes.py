"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(model: nn.Module | Callable[..., Any]) -> Iterator[None]:
    """Put a model into evaluation mode; at the end each of its parts is as it was.

    Args:
        model: A module; of anything else that can be called nothing is changed.

    >>> model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    >>> with evaluating(model):
    ...     print([part.training for part in model.modules()])
    [False, False, False]
    >>> [part.training for part in model.modules()]
    [True, True, False]
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        if modules:
            modules[0].eval()
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
