r"""A small example problem for the theorems, and the readings of the theory meter.

The data are twelve points in the plane with a second view each. The weights of the 2-6-5-1 tanh
network are a formula. Nothing is random, so every number can be checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from nmlib import _checks
from nmlib.theory.exact import nfm_loss_exact, stability_loss_exact
from nmlib.theory.expansion import Expansion, nfm_expansion, stability_expansion
from nmlib.theory.inputs import Network, check_eps

__all__ = ["MeterReading", "Problem", "example_problem", "formula_network", "meter_reading"]

_POINTS = (
    (0.92, 0.31), (-0.68, 0.84), (-0.35, -1.02), (0.47, -0.55), (1.21, -0.14), (-1.1, 0.05),
    (0.15, 0.73), (-0.22, -0.41), (0.66, 1.08), (-0.87, -0.63), (0.08, -1.24), (0.54, 0.19),
)  # fmt: skip
_SECOND = (
    (0.884, 0.757), (-0.79, 0.493), (0.042, -1.176), (0.517, -0.211), (1.041, 0.262),
    (-1.092, -0.456), (-0.011, 0.864), (0.082, -0.44), (0.311, 1.097), (-0.683, -0.791),
    (0.35, -1.076), (0.362, 0.214),
)  # fmt: skip
_CENTRED = (
    (1.1, 0.4), (0.7, -0.6), (0.3, 0.9), (0.9, 1.2), (0.5, 0.2), (-0.2, 0.7), (-0.9, -0.5),
    (-0.6, 0.1), (-0.4, -0.8), (-0.7, -1.1), (-0.5, -0.3), (-0.2, -0.2),
)  # fmt: skip
_LABELS = (1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0)

PARTED = 0.10


@dataclass(frozen=True)
class Problem:
    """Network, samples, labels and views of the example, and other samples with mean 0."""

    f: Network
    X: Tensor
    y: Tensor
    views: Tensor
    centred: Tensor


def formula_network(
    sizes: Sequence[int] = (2, 6, 5, 1),
    *,
    gain: float = 1.8,
    phase: float = 2.0,
    bias: bool = True,
    activation: Network = torch.tanh,
) -> Network:
    r"""Return a float64 network with weights from a formula.

    $W_l[j,k] = \frac{gain}{\sqrt{fan\,in}} \sin(phase + 0.9 l + 0.7 j^2 + 1.7 j k)$,
    $b_l[j] = 0.3 \cos(2 + l + 1.3 (j - 1))$, with l, j, k counted from 1.

    Args:
        sizes: Widths from input to output.
        gain: Scale of the weights.
        phase: Shift inside the sine.
        bias: Whether to use biases.
        activation: Applied between layers.

    >>> round(float(formula_network()(torch.tensor([[0.92, 0.31]]).double())), 6)
    -0.321639
    """
    layers = []
    for l in range(1, len(sizes)):
        j = torch.arange(1, sizes[l] + 1, dtype=torch.float64).unsqueeze(1)
        k = torch.arange(1, sizes[l - 1] + 1, dtype=torch.float64)
        weight = torch.sin(phase + 0.9 * l + 0.7 * j**2 + 1.7 * j * k)
        shift = 0.3 * torch.cos(2 + l + 1.3 * (j.squeeze(1) - 1))
        layers.append((gain / math.sqrt(sizes[l - 1]) * weight, shift * bias))

    def network(x: Tensor) -> Tensor:
        for i, (weight, shift) in enumerate(layers):
            x = x @ weight.T + shift
            if i < len(layers) - 1:
                x = activation(x)
        return x.squeeze(-1) if sizes[-1] == 1 else x

    return network


def example_problem() -> Problem:
    """Return the example problem.

    >>> problem = example_problem()
    >>> tuple(problem.views.shape), problem.y.tolist()[:3]
    ((2, 12, 2), [1, 0, 0])
    """
    x, second, centred = (
        torch.tensor(p, dtype=torch.float64) for p in (_POINTS, _SECOND, _CENTRED)
    )
    return Problem(formula_network(), x, torch.tensor(_LABELS), torch.stack([x, second]), centred)


@dataclass(frozen=True)
class MeterReading:
    r"""The measured loss and its expansion at one setting.

    Attributes:
        eps: $\epsilon$.
        base: Loss at $\epsilon = 0$.
        measured: The expected loss; the error of its quadrature is below 1e-4 of the change.
        expanded: The second-order expansion.
        terms: Contribution of each term at this $\epsilon$.
    """

    eps: float
    base: float
    measured: float
    expanded: float
    terms: dict[str, float]

    @property
    def change(self) -> float:
        """The change of the loss by mixing and noise."""
        return self.measured - self.base

    @property
    def miss(self) -> float:
        """Error of the expansion as a share of the change; above 0.1 the two have parted."""
        off = abs(self.measured - self.expanded)
        if off <= 1e-13:
            return 0.0
        return off / abs(self.change) if self.change else math.inf

    @property
    def parted(self) -> bool:
        """Whether the expansion is off by more than 10 % of the change."""
        return self.miss > PARTED


@_checks.remembered(64)
def _unit_expansion(part: str, alpha: float) -> Expansion:
    problem = example_problem()
    levels: dict[str, Any] = dict(alpha=alpha, sigma_add=1.0, sigma_mult=1.0)
    if part == "nfm":
        return nfm_expansion(problem.f, problem.X, problem.y, **levels)
    return stability_expansion(problem.f, problem.views, **levels)


def meter_reading(
    eps: float, *, alpha: float, sigma_add: float, sigma_mult: float, part: str = "nfm"
) -> MeterReading:
    r"""Compute the example's loss and its expansion at one setting.

    Args:
        eps: $\epsilon \in [0, 1]$.
        alpha: Beta parameter, > 0.
        sigma_add: Additive level, >= 0.
        sigma_mult: Multiplicative level, >= 0.
        part: "nfm" (Theorem 1) or "stability" (Theorem 2).

    >>> reading = meter_reading(0.05, alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
    >>> reading.parted, reading.miss < 0.01
    (False, True)
    """
    levels = {"sigma_add": sigma_add, "sigma_mult": sigma_mult}
    found = _meter_reading(
        check_eps(eps), _checks.positive("alpha", alpha),
        *(_checks.non_negative(name, level) for name, level in levels.items()),
        _checks.choice("part", part, ("nfm", "stability")),
    )  # fmt: skip
    # A copy of the terms: changing it must not change the cached reading.
    return replace(found, terms=dict(found.terms))


@lru_cache(maxsize=4096)
def _meter_reading(
    eps: float, alpha: float, sigma_add: float, sigma_mult: float, part: str
) -> MeterReading:
    problem = example_problem()
    unit = _unit_expansion(part, alpha)
    factor = {"add": sigma_add**2, "mult": sigma_mult**2}
    terms = {}
    for name, term in unit.terms.items():
        kind = next((k for k in factor if k in name.split("_")), "")
        terms[name] = float(term) * factor.get(kind, 1.0) * eps**term.order
    settings: dict[str, Any] = dict(
        eps=eps, alpha=alpha, sigma_add=sigma_add, sigma_mult=sigma_mult
    )
    if part == "nfm":
        measured = nfm_loss_exact(problem.f, problem.X, problem.y, order=(8, 6), **settings)
    else:
        measured = stability_loss_exact(problem.f, problem.views, order=(6, 4), **settings)
    return MeterReading(eps, unit.base, measured, math.fsum([unit.base, *terms.values()]), terms)
