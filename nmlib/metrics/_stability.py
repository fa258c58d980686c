"""Stability of predictions along sequences of perturbed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nmlib import _checks

ALEXNET_FLIP_PROBABILITIES: dict[str, float] = {
    "gaussian_noise": 0.2365,
    "shot_noise": 0.3006,
    "motion_blur": 0.0930,
    "zoom_blur": 0.0594,
    "snow": 0.1193,
    "brightness": 0.0489,
    "translate": 0.1101,
    "rotate": 0.1310,
    "tilt": 0.0705,
    "scale": 0.2353,
}
"""AlexNet's flip probabilities on ImageNet-P. We could not read the official sheet; these values
agree with the published flip rates of other networks to within rounding."""

Reference = Literal["previous", "first"]


def _check_sequence(frames: int, reference: str, stride: int) -> int:
    _checks.choice("reference", reference, ("previous", "first"))
    stride = _checks.integer("stride", stride, 1)
    if reference == "first" and stride != 1:
        raise ValueError(f"stride must be 1 when frames are compared with the first, got {stride}")
    if frames <= stride:
        raise ValueError(f"{frames} frame(s) are too few to compare frames {stride} apart")
    return stride


def flip_probability(
    predictions: ArrayLike | Tensor, *, reference: Reference = "previous", stride: int = 1
) -> float:
    r"""Probability that a prediction differs from that of the reference frame.

    $\frac1n\sum_i \frac1{F-1}\sum_{j\ge1} 1[\hat y_{i,j} \ne \hat y_{i,\mathrm{ref}(j)}]$. Labels
    play no part.

    Args:
        predictions: (n, F) predicted classes of n sequences of F frames.
        reference: Compare with the "previous" frame or with the "first". The benchmark compares
            with the first in its noise sequences, whose frames have no order.
        stride: Compare frames this far apart (the benchmark's difficulty; always 1 in published
            results).

    Raises:
        TypeError: For predictions that are not integers.
        ValueError: For another shape or too few frames.

    Source: Hendrycks & Dietterich (2019), sec. 4.3; the paper's Tables 13 and 14.

    >>> flip_probability([[0, 0, 1, 1], [2, 2, 2, 2]])
    0.16666666666666666
    >>> flip_probability([[0, 0, 1, 1], [2, 2, 2, 2]], reference="first")
    0.3333333333333333
    """
    flips, pairs = count_flips(predictions, reference, stride)
    return flips / pairs


def count_flips(
    predictions: ArrayLike | Tensor, reference: Reference, stride: int
) -> tuple[int, int]:
    """Return how many predictions differ from that of their reference frame, and of how many."""
    seen = _checks.tensor("predictions", predictions).detach().cpu()
    if seen.ndim != 2 or seen.shape[0] == 0:
        raise ValueError(f"predictions must have shape (n, frames), got {tuple(seen.shape)}")
    if seen.is_floating_point() or seen.is_complex():
        raise TypeError(
            f"predictions must be classes (integers), got {seen.dtype}; for scores "
            "(n, frames, K) take the argmax over the last axis"
        )
    stride = _check_sequence(seen.shape[1], reference, stride)
    seen = seen.long()
    base = seen[:, :1] if reference == "first" else seen[:, :-stride]
    flips = seen[:, stride:] != base
    return int(flips.sum()), flips.numel()


def flip_rate(
    probabilities: Mapping[str, float],
    *,
    reference: Mapping[str, float] = ALEXNET_FLIP_PROBABILITIES,
) -> dict[str, float]:
    """Return each sequence's flip probability divided by the reference network's.

    Args:
        probabilities: Perturbation name -> flip probability in [0, 1].
        reference: The same for the reference network. The default, AlexNet, suits ImageNet-P only.

    >>> flip_rate({"snow": 0.1193})
    {'snow': 1.0}
    """
    reference = _checks.table("reference", reference)
    rates = {}
    for name, value in _checks.table("probabilities", probabilities).items():
        _checks.choice("perturbation", name, reference)
        whose = f"the flip probability of {name}"
        share = _checks.number(whose, value, 0, 1, remedy="divide percent by 100")
        unit = _checks.number(f"{whose} in reference", reference[name], 0, 1, ends="(]")
        rates[name] = share / unit
    return rates


def mean_flip_rate(
    probabilities: Mapping[str, float],
    *,
    reference: Mapping[str, float] = ALEXNET_FLIP_PROBABILITIES,
    without: str | Sequence[str] = (),
) -> float:
    """Return the mean flip rate over all sequences of the reference.

    Args:
        probabilities: As for `flip_rate`, with every name of the reference.
        reference: As for `flip_rate`.
        without: Sequences to leave out, e.g. both kinds of noise.

    >>> mean_flip_rate(ALEXNET_FLIP_PROBABILITIES)
    1.0
    """
    probabilities = _checks.table("probabilities", probabilities)
    reference = _checks.table("reference", reference)
    left_out = _checks.as_tuple(without)
    for name in left_out:
        _checks.choice("perturbation", name, reference)
    names = [n for n in reference if n not in left_out]
    missing = [n for n in names if n not in probabilities]
    if missing:
        raise ValueError(f"no flip probability for {', '.join(missing)}")
    if not names:
        raise ValueError(f"without={left_out} leaves no sequence to average over")
    rates = flip_rate({n: probabilities[n] for n in names}, reference=reference)
    return float(np.mean(list(rates.values())))


def top5_distance(
    scores: ArrayLike | Tensor, *, reference: Reference = "previous", stride: int = 1
) -> float:
    r"""Mean distance that the five best classes move in the ranking, over frames and sequences.

    $d = \sum_{j=0}^{4} |j - \min(r_j, 5)|$, where $r_j$ is the new rank (from 0) of the class that
    had rank j.

    Args:
        scores: (n, F, K) logits or probabilities, K >= 5, without NaN.
        reference: As for `flip_probability`.
        stride: As for `flip_probability`.

    Raises:
        ValueError: For another shape, fewer than 5 classes, too few frames or NaN.

    Source: Hendrycks & Dietterich (2019), sec. 4.3.

    >>> a, b = torch.arange(9.0).flip(0), torch.arange(9.0)
    >>> top5_distance(torch.stack([a, a])[None]), top5_distance(torch.stack([a, b])[None])
    (0.0, 14.0)
    """
    scores = _checks.tensor("scores", scores).detach()
    if scores.ndim != 3 or scores.shape[0] == 0:
        raise ValueError(f"scores must have shape (n, frames, classes), got {tuple(scores.shape)}")
    if scores.shape[2] < 5:
        raise ValueError(f"top-5 distance needs at least 5 classes, got {scores.shape[2]}")
    stride = _check_sequence(scores.shape[1], reference, stride)
    if bool(scores.isnan().any()):
        raise ValueError(f"scores hold {int(scores.isnan().sum())} NaN; they have no order")
    order = torch.argsort(scores, dim=2, descending=True, stable=True)
    rank = torch.empty_like(order)
    places = torch.arange(scores.shape[2], device=scores.device)
    rank.scatter_(2, order, places.expand_as(order))
    now = rank[:, stride:]
    before = order[:, :1] if reference == "first" else order[:, :-stride]
    moved = now.gather(2, before[:, :, :5].expand(-1, now.shape[1], -1))
    distance = (places[:5] - moved.clamp(max=5)).abs().sum(2)
    return float(distance.to(torch.float64).mean())
