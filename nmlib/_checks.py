"""Argument checks: each error names the bad value and the remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def finite_tensor(name: str, value: Tensor) -> None:
    """Raise ValueError if a tensor holds NaN or infinity."""
    if not bool(torch.isfinite(value).all()):
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(
            f"{name} holds {bad} NaN or infinite value(s) of {value.numel()}; lower the learning "
            "rate or check the inputs (validate=False skips this test)"
        )


def _is_finite(name: str, value: float) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def non_negative(name: str, value: float) -> None:
    if not (_is_finite(name, value) and value >= 0):
        raise ValueError(f"{name} must be a finite number >= 0, got {value}")


def positive(name: str, value: float, remedy: str = "") -> None:
    if not (_is_finite(name, value) and value > 0):
        raise ValueError(
            f"{name} must be a finite number > 0, got {value}" + (f"; {remedy}" if remedy else "")
        )


def choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ValueError for a value outside `allowed`, suggesting the nearest."""
    allowed = list(allowed)
    if value not in allowed:
        by_lower = {option.lower(): option for option in allowed}
        near = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]!r}?" if near else "."
        raise ValueError(f"unknown {name} {value!r}{hint} Choose from: {', '.join(allowed)}")


def as_tuple(values: Any) -> tuple[Any, ...]:
    """Return several values without repeats as a tuple, and a single one as a tuple of one.

    >>> as_tuple("fog"), as_tuple(3), as_tuple(["fog", "snow", "fog"])
    (('fog',), (3,), ('fog', 'snow'))
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (values,)
    return tuple(dict.fromkeys(values))


def probabilities(name: str, value: Tensor, remedy: str) -> None:
    """Raise ValueError unless `value` is non-negative and sums to 1 over the last axis."""
    if not value.numel():
        return
    value = value.detach()
    # A probability rounded to float16 is off by up to 5e-4, to bfloat16 by 4e-3.
    tolerance = max(1e-6, 8 * torch.finfo(value.dtype).eps)
    low = float(value.min())
    off = float((value.sum(-1, dtype=torch.float64) - 1).abs().max())
    if not low >= 0:
        raise ValueError(f"{name} must be >= 0, got {low:.6g}; {remedy}")
    if not off <= max(tolerance, 1e-4 if value.dtype != torch.float64 else 0):
        raise ValueError(f"{name} must sum to 1 over the last axis, off by {off:.3g}; {remedy}")


def class_labels(y: Tensor, num_classes: int) -> None:
    """Raise unless y holds integers in [0, num_classes)."""
    if y.is_floating_point() or y.dtype == torch.bool:
        raise TypeError(f"labels must be integers, got dtype {y.dtype}; use y.long()")
    if y.numel() and (int(y.min()) < 0 or int(y.max()) >= num_classes):
        bad = int(y.min()) if int(y.min()) < 0 else int(y.max())
        raise ValueError(
            f"label {bad} is out of range for {num_classes} classes; labels count from 0 to "
            f"{num_classes - 1}"
        )
