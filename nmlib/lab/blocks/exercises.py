"""Exercises of notebook 04: AugMix, noise levels, the operation that moves a net most."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nmlib.lab.display.verdict import (
    Verdict,
    answering,
    ask,
    entries,
    first_difference,
    named,
    number,
    number_verdict,
)
from nmlib.noise import Noise
from nmlib.rng import Rng

__all__ = ["check_augmix", "check_effective_level", "check_largest"]


@answering
def check_augmix(function: Callable[[Tensor, Tensor, Tensor, float], Any]) -> Verdict:
    r"""Check `function(x, chains, weights, m)` against $(1-m)\,x + m \sum_j w_j C_j$.

    `x` is (C, H, W), `chains` (J, C, H, W), `weights` (J,).

    >>> check_augmix(lambda x, chains, weights, m: x)
    ✗ not yet: that is the image itself; the chains are missing.
    """
    generator = Rng(0).fold("check augmix").torch()
    x, chains = (
        torch.rand(3, 4, 4, generator=generator),
        torch.rand(3, 3, 4, 4, generator=generator),
    )
    weights, m = torch.tensor([0.5, 0.3, 0.2]), 0.7
    kept = x.clone(), chains.clone()
    mine = ask(function, x, chains, weights, m, wanted="the mixture")
    if not (torch.equal(x, kept[0]) and torch.equal(chains, kept[1])):
        return Verdict(False, "your function changed its input; make a new tensor.")
    mine = entries(mine, x, ": sum over the chains")
    ends = torch.einsum("j,jchw->chw", weights, chains)
    truth = (1 - m) * x + m * ends
    if torch.allclose(mine, truth, atol=1e-6):
        return Verdict(True, "it is what AugMix does.")
    slips = [
        ("that is the image itself; the chains are missing.", x),
        ("m is the share of the chains; you gave it to the image.", m * x + (1 - m) * ends),
        ("the clean image is missing: it keeps the share 1 - m.", ends),
        ("the chains have weights; you took their mean.", (1 - m) * x + m * chains.mean(0)),
        ("the shares must sum to 1: the image has 1 - m.", x + m * ends),
    ]
    return Verdict(False, first_difference(mine, truth, slips))


@answering
def check_effective_level(function: Callable[[float, float], Any]) -> Verdict:
    """Check `function(level, sparsity)`, the effective additive level of the released law.

    >>> check_effective_level(lambda level, sparsity: level)
    ✗ not yet: that is the nominal level; entries are scaled by c and partly set to zero.
    """
    level, sparsity = 0.5, 0.65
    mine = ask(function, level, sparsity, wanted="a number")
    second, mean = 3 / 28, 2 / 7
    keep = 1 - sparsity
    slips = [
        ("that is the nominal level; entries are scaled by c and partly set to zero.", level),
        ("take the root: that is the mean square.", level**2 * second * keep),
        ("the scale c varies: use the mean of its square, not its mean.",
         level * mean * math.sqrt(keep)),
        ("a share of the entries is zero: the sparsity is missing.", level * math.sqrt(second)),
        ("the root belongs over 1 - sparsity too.", level * math.sqrt(second) * keep),
        ("1 - sparsity of the entries remain; you kept the others.",
         level * math.sqrt(second * sparsity)),
    ]  # fmt: skip
    truth = Noise(level, 0, sparsity, law="released").effective_levels()[0]
    where = f"at level {level} and sparsity {sparsity}"
    verdict = number_verdict(mine, truth, "it equals Noise.effective_levels().", slips, where)
    if verdict.right:
        other = number(ask(function, 1.0, 0.0, wanted="a number"))
        if not math.isclose(other, math.sqrt(second), rel_tol=1e-4):
            return Verdict(False, f"right {where} but not elsewhere; use both arguments.")
    return verdict


@answering
def check_largest(answer: str | None, values: Mapping[str, float]) -> Verdict:
    """Check a guess at the name of the largest value.

    >>> check_largest("b", {"a": 1.0, "b": 2.0, "c": 0.5})
    ✓ right: b 2, then a 1.
    """
    if answer is None:
        return Verdict(None, "name one above, then run again.")
    answer = named(answer, "guess", values)
    order = sorted(values, key=lambda name: -values[name])
    message = f"{order[0]} {values[order[0]]:.2g}"
    if len(order) > 1:
        message += f", then {order[1]} {values[order[1]]:.2g}"
    return Verdict(answer == order[0], message + ".")
