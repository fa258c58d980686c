"""Exercises of notebook 01: decision boundaries, mixing, the stability loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nmlib.lab.display.verdict import (
    Unusable,
    Verdict,
    answering,
    ask,
    entries,
    first_difference,
    named,
    number,
)
from nmlib.lab.toy.lab import ENOUGH_STEPS, ToyLab
from nmlib.losses import jensen_shannon_divergence
from nmlib.mixing import Pair, mix
from nmlib.rng import Rng

__all__ = ["check_collapse", "check_jsd", "check_mix", "check_prediction"]


@answering
def check_prediction(
    answer: str | None, before: float, after: float, *, tolerance: float = 0.05
) -> Verdict:
    """Compare a prediction with a measurement.

    Args:
        answer: "shorter", "longer", "the same", or None for no prediction.
        before: Length before the change.
        after: Length after the change.
        tolerance: Relative change that still counts as the same.

    >>> check_prediction("shorter", 3.0, 2.0)
    ✓ right: it went from 3.00 to 2.00.
    """
    if answer is None:
        return Verdict(None, "predict 'shorter', 'longer' or 'the same' above, then run again.")
    answer = named(answer, "prediction", ("shorter", "longer", "the same"))
    change = (after - before) / before if before else float(after > 0)
    truth = "the same" if abs(change) <= tolerance else "longer" if change > 0 else "shorter"
    return Verdict(answer == truth, f"it went from {before:.2f} to {after:.2f}.")


@answering
def check_collapse(stability: float | None, **settings: Any) -> Verdict:
    """Check whether NoisyMix's collapse begins at a JSD weight: there, but not at 3/4 of it.

    Args:
        stability: The weight, or None.
        **settings: Other settings of the lab, for a training of at least `ENOUGH_STEPS` steps.

    >>> check_collapse(None)
    · not tried yet: choose a JSD weight above, then run again.
    >>> check_collapse(True)
    ✗ not yet: choose one JSD weight, not True.
    """
    if stability is None:
        return Verdict(None, "choose a JSD weight above, then run again.")
    weight = number(stability, "choose one JSD weight")
    if weight < 0:
        raise Unusable(f"a weight is 0 or more, not {weight:g}.")
    lab = ToyLab(stability=weight, **settings)
    if lab.total_steps < ENOUGH_STEPS:
        raise Unusable(f"{lab.total_steps} steps are too few to speak of a collapse.")
    m = lab.preview_metrics("noisymix", lab.total_steps)
    accuracy = f"accuracy {100 * m['test_accuracy']:.1f} %"
    if not m["collapsed"]:
        length = f"boundary length {m['boundary_length']:.2f}"
        said = f"with weight {weight:g} both classes are left ({accuracy}, {length})."
        return Verdict(False, said)
    said = f"with weight {weight:g} one class is everywhere ({accuracy})"
    lab.set(stability=0.75 * weight)
    if lab.preview_metrics("noisymix", lab.total_steps)["collapsed"]:
        return Verdict(False, f"{said}, but with {0.75 * weight:g} still: where does it begin?")
    return Verdict(True, f"{said}, and with {0.75 * weight:g} it is not yet.")


@answering
def check_mix(function: Callable[[Tensor, Tensor, float], Any]) -> Verdict:
    """Check `function(h, partner, lam)` against lam * h + (1 - lam) * h[partner].

    >>> check_mix(lambda h, partner, lam: lam * h + (1 - lam) * h[partner])
    ✓ right: it mixes every sample with its partner.
    >>> check_mix(lambda h, partner, lam: (1 - lam) * h + lam * h[partner])
    ✗ not yet: lam is the share of the sample itself; you gave it to the partner.
    """
    h = torch.randn(6, 3, generator=Rng(0).fold("check mix").torch())
    partner, lam = torch.tensor([2, 0, 1, 5, 3, 4]), 0.8
    kept = h.clone()
    mine = ask(function, h, partner, lam, wanted="the mixed batch")
    if not torch.equal(h, kept):
        return Verdict(False, "your function changed its input; make a new tensor.")
    mine = entries(mine, h)
    truth = mix(h, Pair(partner, lam, lam))
    if torch.allclose(mine, truth, atol=1e-6):
        return Verdict(True, "it mixes every sample with its partner.")
    inverse = torch.argsort(partner)
    slips = [
        ("that is the batch itself, nothing is mixed.", h),
        (
            "lam is the share of the sample itself; you gave it to the partner.",
            mix(h, Pair(partner, 1 - lam, 1 - lam)),
        ),
        ("the weights must sum to 1; use 1 - lam for the partner.", lam * h + lam * h[partner]),
        (
            "you used the inverse permutation: h[partner] is enough.",
            mix(h, Pair(inverse, lam, lam)),
        ),
        ("you mixed with the next sample; use h[partner].", lam * h + (1 - lam) * h.roll(-1, 0)),
    ]
    return Verdict(False, first_difference(mine, truth, slips))


@answering
def check_jsd(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Check `function(p, q)`, the (n,) divergences of two (n, K) sets of distributions.

    >>> check_jsd(lambda p, q: (p * (p / q).log()).sum(-1))
    ✗ not yet: that is KL(p || q); compare each with their mean instead.
    """
    generator = Rng(0).fold("check jsd").torch()
    p, q = torch.rand(2, 5, 4, generator=generator).softmax(-1)
    mine = ask(function, p.clone(), q.clone(), wanted="a number for each pair")
    mine = entries(mine, p[:, 0], ": sum over classes")
    truth = jensen_shannon_divergence(torch.stack([p, q]))
    if torch.allclose(mine, truth, atol=1e-6):
        return Verdict(True, "it equals nmlib.jensen_shannon_divergence.")
    m = (p + q) / 2

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (a * (a / b).log()).sum(-1)

    slips = [
        ("that is KL(p || q); compare each with their mean instead.", kl(p, q)),
        ("halve the sum: the two weights are 1/2.", kl(p, m) + kl(q, m)),
        (
            "that is the symmetric KL divergence; use the mean of p and q.",
            (kl(p, q) + kl(q, p)) / 2,
        ),
        ("the mean stands second: KL(p || m).", (kl(m, p) + kl(m, q)) / 2),
        ("that is in bits; use the natural logarithm.", truth / torch.log(torch.tensor(2.0))),
        ("that is its square root, the Jensen-Shannon distance.", truth.sqrt()),
    ]
    return Verdict(False, first_difference(mine, truth, slips))
