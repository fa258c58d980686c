"""What a check answers, and how a wrong answer is compared with the usual slips."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Verdict", "first_difference", "matching_slip", "number_verdict"]


_OTHER = "the numbers differ from the definition."


@dataclass(frozen=True)
class Verdict:
    """The answer of a check.

    Attributes:
        right: None while there is nothing to check.
        message: What to tell the reader.
    """

    right: bool | None
    message: str

    def __repr__(self) -> str:
        sign = {None: "· not tried yet", True: "✓ right", False: "✗ not yet"}[self.right]
        return f"{sign}: {self.message}"


def first_difference(mine: Tensor, slips: Sequence[tuple[str, Tensor]]) -> str:
    for name, slip in slips:
        if mine.shape == slip.shape and torch.allclose(mine, slip, atol=1e-6):
            return name
    return _OTHER


def matching_slip(
    function: Callable[..., Any],
    trials: Sequence[tuple[Any, ...]],
    truth: Callable[..., float],
    slips: Sequence[tuple[str, Callable[..., float]]],
) -> str | None:
    """Compare a function of numbers with the truth; return None if right, else what went wrong."""

    def agrees(other: Callable[..., float]) -> bool:
        return all(abs(float(function(*t)) - other(*t)) < 1e-6 for t in trials)

    if agrees(truth):
        return None
    for message, slip in slips:
        if agrees(slip):
            return message
    return _OTHER


def number_verdict(
    answer: Any, truth: float, right: str, slips: Sequence[tuple[str, float]]
) -> Verdict:
    """Compare a number with the truth, then with what each slip would have given."""
    if answer is None:
        return Verdict(None, "return a number instead of None, then run again.")
    if np.ndim(answer):
        return Verdict(False, "return one number.")

    def close(value: float) -> bool:
        return math.isclose(float(answer), value, rel_tol=1e-4, abs_tol=1e-9)

    if close(truth):
        return Verdict(True, right)
    found = (message for message, value in slips if close(value))
    return Verdict(False, next(found, _OTHER))
