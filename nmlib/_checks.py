"""Argument checks: each error names the bad value and the remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

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


def non_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number >= 0, got {value}")


def positive(name: str, value: float, remedy: str = "") -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(
            f"{name} must be a finite number > 0, got {value}" + (f"; {remedy}" if remedy else "")
        )


def choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ValueError for a value outside `allowed`, suggesting the nearest."""
    allowed = list(allowed)
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown {name} {value!r}{hint} Choose from: {', '.join(allowed)}")


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
