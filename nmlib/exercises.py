"""Checks for the exercises of the notebooks: what is right, or which slip it looks like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmlib import _checks
from nmlib.effects import Cells, effects
from nmlib.explorer import ToyLab
from nmlib.losses import jensen_shannon_divergence
from nmlib.mixing import Pair, mix
from nmlib.noise import Noise
from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng

__all__ = [
    "Verdict",
    "check_augmix",
    "check_collapse",
    "check_effective_level",
    "check_jsd",
    "check_largest",
    "check_mean_gain",
    "check_mix",
    "check_new_row",
    "check_prediction",
    "check_rounding",
    "check_suspect",
]


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


def check_prediction(
    answer: str | None, before: float, after: float, *, tolerance: float = 0.05
) -> Verdict:
    """Compare a prediction with what was measured.

    Args:
        answer: "shorter", "longer", "the same", or None for no prediction.
        before: Measured before the change.
        after: Measured after it.
        tolerance: Relative change that still counts as the same.

    >>> check_prediction("shorter", 3.0, 2.0)
    ✓ right: it went from 3.00 to 2.00.
    """
    if answer is None:
        return Verdict(None, "predict 'shorter', 'longer' or 'the same' above, then run again.")
    _checks.choice("prediction", answer, ("shorter", "longer", "the same"))
    change = (after - before) / before if before else float(after > 0)
    truth = "the same" if abs(change) <= tolerance else "longer" if change > 0 else "shorter"
    return Verdict(answer == truth, f"it went from {before:.2f} to {after:.2f}.")


def check_collapse(stability: float | None, **settings: Any) -> Verdict:
    """Train the six schemes with a JSD weight and say whether NoisyMix collapsed.

    >>> check_collapse(None)
    · not tried yet: choose a JSD weight above, then run again.
    """
    if stability is None:
        return Verdict(None, "choose a JSD weight above, then run again.")
    lab = ToyLab(stability=stability, **settings)
    lab.step(lab.total_steps)
    m = lab.metrics("noisymix")
    accuracy = f"accuracy {100 * m['test_accuracy']:.1f} %"
    if m["collapsed"]:
        return Verdict(True, f"with weight {stability:g} one class is everywhere ({accuracy}).")
    length = f"boundary length {m['boundary_length']:.2f}"
    return Verdict(
        False, f"with weight {stability:g} both classes are left ({accuracy}, {length})."
    )


def _first_difference(mine: Tensor, slips: Sequence[tuple[str, Tensor]]) -> str:
    for name, slip in slips:
        if mine.shape == slip.shape and torch.allclose(mine, slip, atol=1e-6):
            return name
    return "the numbers differ from the definition"


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
    mine = function(h, partner, lam)
    if mine is None:
        return Verdict(None, "return the mixed batch instead of None, then run again.")
    if not torch.equal(h, kept):
        return Verdict(False, "your function changed its input; make a new tensor.")
    if not isinstance(mine, Tensor) or mine.shape != h.shape:
        return Verdict(False, f"return a tensor of shape {tuple(h.shape)}.")
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
    return Verdict(False, _first_difference(mine, slips))


def check_jsd(function: Callable[[Tensor, Tensor], Any]) -> Verdict:
    """Check `function(p, q)`, the divergence of two (n, K) sets of distributions, (n,) out.

    >>> check_jsd(lambda p, q: (p * (p / q).log()).sum(-1))
    ✗ not yet: that is KL(p || q); compare each with their mean instead.
    """
    generator = Rng(0).fold("check jsd").torch()
    p, q = torch.rand(2, 5, 4, generator=generator).softmax(-1)
    mine = function(p, q)
    if mine is None:
        return Verdict(None, "return a number for each pair instead of None, then run again.")
    if not isinstance(mine, Tensor) or mine.shape != p.shape[:1]:
        return Verdict(False, f"return a tensor of shape {tuple(p.shape[:1])}: sum over classes.")
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
    return Verdict(False, _first_difference(mine, slips))


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
    mine = function(x, chains, weights, m)
    if mine is None:
        return Verdict(None, "return the mixture instead of None, then run again.")
    if not (torch.equal(x, kept[0]) and torch.equal(chains, kept[1])):
        return Verdict(False, "your function changed its input; make a new tensor.")
    if not isinstance(mine, Tensor) or mine.shape != x.shape:
        return Verdict(False, f"return a tensor of shape {tuple(x.shape)}: sum over the chains.")
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
    return Verdict(False, _first_difference(mine, slips))


def check_effective_level(function: Callable[[float, float], Any]) -> Verdict:
    """Check `function(level, sparsity)`, the effective additive level of the released law.

    >>> check_effective_level(lambda level, sparsity: level)
    ✗ not yet: that is the nominal level; entries are scaled by c and partly set to zero.
    """
    level, sparsity = 0.5, 0.65
    mine = function(level, sparsity)
    if mine is None:
        return Verdict(None, "return a number instead of None, then run again.")
    second, mean = 3 / 28, 2 / 7

    def close(value: float) -> bool:
        return math.isclose(float(mine), value, rel_tol=1e-4)

    if close(Noise(level, 0, sparsity, law="released").effective_levels()[0]):
        other = function(1.0, 0.0)
        if math.isclose(float(other), math.sqrt(second), rel_tol=1e-4):
            return Verdict(True, "it equals Noise.effective_levels().")
        return Verdict(False, "right at 0.5 and 0.65 but not elsewhere; use both arguments.")
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
    for message, value in slips:
        if close(value):
            return Verdict(False, message)
    return Verdict(False, "the number differs from the definition.")


def check_largest(answer: str | None, values: Mapping[str, float]) -> Verdict:
    """Compare a guess with which of some named values is the largest.

    >>> check_largest("b", {"a": 1.0, "b": 2.0, "c": 0.5})
    ✓ right: b 2, then a 1.
    """
    if answer is None:
        return Verdict(None, "name one above, then run again.")
    _checks.choice("guess", answer, values)
    order = sorted(values, key=lambda name: -values[name])
    message = f"{order[0]} {values[order[0]]:.2g}"
    if len(order) > 1:
        message += f", then {order[1]} {values[order[1]]:.2g}"
    return Verdict(answer == order[0], message + ".")


def _matching_slip(
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
    return "the numbers differ from the definition"  # fmt: skip


def check_mean_gain(function: Callable[[float, float, float, float], Any]) -> Verdict:
    """Check `function(none, a, b, both)`: the gain of a, averaged over both orders.

    >>> check_mean_gain(lambda none, a, b, both: (a - none + both - b) / 2)
    ✓ right: a first and a last count alike.
    >>> check_mean_gain(lambda none, a, b, both: a - none)
    ✗ not yet: that is the gain of a alone; a may also come after b.
    """
    trials = [(1.0, 3.0, 4.0, 9.0), (47.4, 53.2, 49.5, 58.7)]
    if function(*trials[0]) is None:
        return Verdict(None, "return a number instead of None, then run again.")
    wrong = _matching_slip(
        function,
        trials,
        lambda none, a, b, both: (a - none + both - b) / 2,
        [
            (
                "that is the gain of a alone; a may also come after b.",
                lambda none, a, b, both: a - none,
            ),
            (
                "that is the gain of a after b; a may also come first.",
                lambda none, a, b, both: both - b,
            ),
            (
                "that shares the whole gain equally, whatever a and b do alone.",
                lambda none, a, b, both: (both - none) / 2,
            ),
            (
                "that is the gain of b.",
                lambda none, a, b, both: (b - none + both - a) / 2,
            ),
            (
                "that is the interaction: how much the gain of a changes when b is on.",
                lambda none, a, b, both: both - b - a + none,
            ),
            ("take the mean of the two gains, not their sum.",
             lambda none, a, b, both: a - none + both - b),
        ],
    )  # fmt: skip
    if wrong is None:
        return Verdict(True, "a first and a last count alike.")
    return Verdict(False, wrong)


def check_new_row(answer: Sequence[str] | None) -> Verdict:
    """Say whether one more row of Table 4 would determine every interaction of two switches.

    The pair of augmentations and JSD loss is taken not to interact, as in the heat map.

    Args:
        answer: The switches that are on in the new row, or None.

    >>> check_new_row(("jsd_loss",)).right
    False
    """
    if answer is None:
        return Verdict(None, f"name the switches of the row, some of {', '.join(SWITCHES)}.")
    for switch in answer:
        _checks.choice("switch", switch, SWITCHES)
    row = tuple(s in answer for s in SWITCHES)
    cells = ablation()
    if row in cells.rows:
        return Verdict(False, "Table 4 has that row already.")
    # Which terms are determined does not depend on the value.
    grown = Cells(SWITCHES, np.vstack([cells.on, row]), np.vstack([cells.values, [0.0]]))
    found = effects(grown, Rng(0), resamples=2, without=[(SWITCHES[0], SWITCHES[3])])
    left = [" x ".join(t) for t, known in zip(found.terms, found.identified, strict=True)
            if not known]  # fmt: skip
    if left:
        return Verdict(False, f"with it these stay open: {', '.join(left)}.")
    return Verdict(True, "with it the eleven rows determine all five interactions.")


def check_rounding(function: Callable[[int], Any]) -> Verdict:
    """Check `function(parts)`: how far rounding can move a mean printed with one digit.

    The mean of `parts` numbers and the numbers themselves are printed in tenths.

    >>> check_rounding(lambda parts: 0.1)
    ✓ right: half a tenth from the mean, half a tenth from its parts.
    >>> check_rounding(lambda parts: 0.05)
    ✗ not yet: the parts are rounded too, all perhaps the same way.
    """
    if function(15) is None:
        return Verdict(None, "return a number of points instead of None, then run again.")
    wrong = _matching_slip(
        function, [(15,), (3,)], lambda parts: 0.1,
        [
            ("the parts are rounded too, all perhaps the same way.", lambda parts: 0.05),
            (
                "the mean divides the errors of its parts by their number.",
                lambda parts: 0.05 * (parts + 1),
            ),
            (
                "that is how far errors of changing signs get; the largest have one sign.",
                lambda parts: 0.05 + 0.05 / parts**0.5,
            ),
        ],
    )  # fmt: skip
    if wrong is None:
        return Verdict(True, "half a tenth from the mean, half a tenth from its parts.")
    return Verdict(False, wrong)


def check_suspect(answer: str | None, table: int = 9) -> Verdict:
    """Say whether a method's row is the one that does not have the average that is printed of it.

    Args:
        answer: Name of the method, or None.
        table: Table of corruptions.

    >>> check_suspect("Mixup")
    ✗ not yet: that row has the average that is printed of it.
    """
    from nmlib.paper._audit import findings
    from nmlib.paper._tables import numbers

    if answer is None:
        return Verdict(None, "name a method, then run again.")
    _checks.choice("method", answer, {p.method for p in numbers(table)})
    for f in findings()[0]:
        if f.kind == "average" and f.against == table and f.method == answer:
            return Verdict(
                True, f"it averages {f.recomputed:.1f}, Table {f.table} prints {f.printed:.1f}."
            )
    return Verdict(False, "that row has the average that is printed of it.")
