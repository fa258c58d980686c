"""Exercises of notebook 08: the mask of ImageNet-R, and what 5,000 images can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nmlib.lab.display.verdict import (
    Verdict,
    answering,
    ask,
    entries,
    first_difference,
    number_verdict,
)

__all__ = ["check_mask", "check_standard_error"]


@answering
def check_mask(function: Callable[[Any, list[int]], Any]) -> Verdict:
    """Check `function(scores, kept)`: probabilities (N, K) of the classes `kept`, 0 for others.

    >>> check_mask(lambda scores, kept: scores.softmax(1))
    ✗ not yet: the other classes still have probability.
    """
    scores = torch.tensor([[2.0, 0.5, 1.0, -1.0, 0.0], [0.0, 3.0, -0.5, 1.0, 2.5]])
    kept = [0, 2, 4]
    mask = torch.zeros(5, dtype=torch.bool)
    mask[kept] = True
    truth = scores.masked_fill(~mask, -torch.inf).softmax(1)
    answer = ask(function, scores.clone(), list(kept), wanted="a tensor of probabilities")
    mine = entries(answer, truth, ", 0 where a class is not kept")
    if torch.allclose(mine, truth, atol=1e-6):
        return Verdict(True, "the softmax runs over the kept classes only, so they sum to 1.")
    after = scores.softmax(1) * mask
    slips = [
        ("the other classes still have probability.", scores.softmax(1)),
        (
            "the kept classes do not sum to 1: mask before the softmax, not after. The first class "
            "is the same, the confidence is not.",
            after,
        ),
        (
            "a score of 0 is no mask: exp(0) = 1 still takes a share. Use minus infinity.",
            (scores * mask).softmax(1),
        ),
        ("these are scores; the softmax is missing.", scores * mask),
    ]
    return Verdict(False, first_difference(mine, truth, slips))


@answering
def check_standard_error(
    answer: float | None, accuracy: float = 52.5, images: int = 5000
) -> Verdict:
    """Check the standard error of an accuracy in percent, in points.

    >>> check_standard_error(0.00706)
    ✗ not yet: that is a share; in points it is a hundred times as much.
    """
    if answer is None:
        return Verdict(None, "give a number in points, then run again.")
    share = accuracy / 100
    truth = 100 * (share * (1 - share) / images) ** 0.5
    return number_verdict(
        round(float(answer), 3) if isinstance(answer, float) else answer, round(truth, 3),
        "so two networks on these images must be about two points apart to be told apart, unless "
        "their answers are compared image by image.",
        [
            ("that is a share; in points it is a hundred times as much.", round(truth / 100, 3)),
            ("that is the variance; take its square root.", round(truth**2, 3)),
            ("that is for all 50,000 images.", round(truth / 10**0.5, 3)),
            (
                "that counts all 15 x 5 sets, but they show the same 5,000 images.",
                round(truth / 75**0.5, 3),
            ),
        ],
    )  # fmt: skip
