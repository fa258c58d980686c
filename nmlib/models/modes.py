"""Temporary evaluation mode, models inside wrappers, and logits inside records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["evaluating", "in_type_of", "logits_of", "uncompiled", "unwrapped"]


@contextmanager
def evaluating(model: nn.Module | Callable[..., Any]) -> Iterator[None]:
    """Put a model into evaluation mode; on leaving, restore the mode of each submodule.

    Args:
        model: A module. Any other callable stays unchanged.

    >>> model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    >>> with evaluating(model):
    ...     print([part.training for part in model.modules()])
    [False, False, False]
    >>> [part.training for part in model.modules()]
    [True, True, False]
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    # Frozen and exported modules have no attribute `training`.
    modes = [(module, mode) for module in modules if (mode := getattr(module, "training", None))]
    try:
        if modes:
            with suppress(NotImplementedError):  # an exported graph cannot change its mode
                modules[0].eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside torch.compile, DataParallel and DistributedDataParallel.

    >>> import torch
    >>> model = nn.ReLU()
    >>> unwrapped(torch.compile(nn.DataParallel(model))) is model
    True
    """
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def in_type_of(model: Callable[..., Any], x: Tensor) -> Tensor:
    """Cast floating-point inputs, such as NumPy's doubles, to the type of a module's weights."""
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    kinds = (p.dtype for p in weights if p.is_floating_point())
    return x.to(next(kinds, x.dtype)) if x.is_floating_point() else x


def logits_of(output: Any) -> Tensor:
    """Return a model's logits: its output, or the `logits` of a record such as Hugging Face's.

    Raises:
        TypeError: For an output without logits.

    >>> import torch
    >>> logits_of({"loss": None, "logits": torch.ones(2)})
    tensor([1., 1.])
    """
    if isinstance(output, Tensor):
        return output
    record = isinstance(output, Mapping)
    found = output.get("logits") if record else getattr(output, "logits", None)
    if isinstance(found, Tensor):
        return found
    held = f" of {', '.join(map(str, output))}" if record else ""
    if isinstance(output, (tuple, list)):
        held = f" of {len(output)} entries"
    raise TypeError(
        f"the model returned a {type(output).__name__}{held}, not logits (B, K) or a record with "
        "`logits`; wrap it in a module whose forward returns the logits alone"
    )


def uncompiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that torch.compile leaves alone."""
    # `torch.compiler.disable` as a decorator would import the compiler, for seconds.
    if "torch._dynamo" in sys.modules:
        function = torch.compiler.disable(function)
    return function(*arguments)


uncompiled._torchdynamo_disable = True  # type: ignore[attr-defined]
