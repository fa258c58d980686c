"""The losses of Theorems 1 and 2 by Monte Carlo, for networks too large for quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.losses import Weights, jensen_shannon_divergence, soft_cross_entropy
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.rng import Rng, checked_rng
from nmlib.theory.exact import check_views
from nmlib.theory.expansion import second_jvp
from nmlib.theory.inputs import (
    Data,
    Levels,
    Network,
    as_data,
    as_labels,
    as_levels,
    as_network,
    check_eps,
)
from nmlib.theory.quadrature import mixing_moments

__all__ = ["MonteCarloLoss", "nfm_loss_monte_carlo", "stability_loss_monte_carlo"]


@dataclass(frozen=True)
class MonteCarloLoss:
    r"""A loss at several $\epsilon$, estimated with the same draws for each.

    Attributes:
        eps: The values of $\epsilon$.
        mean: Estimated loss at each.
        standard_error: Of each mean.
        base: The loss at $\epsilon = 0$, exact for the given samples.
        remainder: Mean over draws of the loss minus that draw's own second-order expansion; ()
            unless requested. Its error is far smaller than that of `mean`.
        remainder_error: Standard error of each remainder.
        draws: Number of draws for each sample.
    """

    eps: tuple[float, ...]
    mean: tuple[float, ...]
    standard_error: tuple[float, ...]
    base: float
    remainder: tuple[float, ...]
    remainder_error: tuple[float, ...]
    draws: int


def _estimate(
    loss: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    eps: float | Sequence[float],
    alpha: float | None,
    beta: float | None,
    add: tuple[float, ...],
    mult: tuple[float, ...],
    shared_noise: bool,
    law: str,
    sparsity: float,
    draws: int,
    rng: Rng,
    remainder: bool,
) -> MonteCarloLoss:
    """Average over draws a `loss` that maps (V, n, ...) to (n,)."""
    ladder = tuple(check_eps(e) for e in _checks.numbers("eps", eps))
    draws, rng = _checks.integer("draws", draws, 2), checked_rng(rng)
    _checks.choice("noise law", law, ("gaussian", "released"))
    unit = Noise(1.0, 1.0, sparsity, law="released" if law == "released" else "paper")
    mixing_moments(alpha, beta)  # checks alpha and beta
    n = x.shape[1]
    level_add, level_mult = (
        x.new_tensor(part).reshape(-1, *[1] * (x.ndim - 1)) for part in (add, mult)
    )
    values = torch.empty(draws, len(ladder), dtype=torch.float64)
    rests = torch.empty_like(values)
    with torch.no_grad():
        base = float(loss(x).double().mean())
        for j in range(draws):
            stream = rng.fold("theory", j)
            share = torch.zeros(n)
            partner = torch.arange(n)
            if alpha is not None:
                draw = stream.fold("mix").numpy()
                second = alpha if beta is None else beta
                lam = torch.from_numpy(draw.beta(alpha, second, size=n))
                # Keeping lam with probability lam, else 1 - lam, gives the mixture of Theorem 1.
                share = torch.where(torch.from_numpy(draw.random(n)) < lam, 1 - lam, lam)
                partner = torch.from_numpy(draw.integers(n, size=n))
            t = to_device(share.to(x.dtype), x.device).reshape(1, n, *[1] * (x.ndim - 2))
            step = t * (x.index_select(1, to_device(partner, x.device)) - x)
            like = x[:1] if shared_noise else x
            fields = unit.draw(like, stream.fold("noise").to(x.device))
            assert fields.additive is not None and fields.multiplicative is not None
            xi_add, xi_mult = level_add * fields.additive, level_mult * fields.multiplicative
            for k, e in enumerate(ladder):
                noisy = inject(x + e * step, NoiseDraw(e * xi_add, e * xi_mult))
                values[j, k] = loss(noisy).double().mean()
            if remainder:
                # The perturbation is the curve e u + e^2 half_w.
                u, half_w = step + xi_mult * x + xi_add, xi_mult * step

                def along(e: Tensor, u: Tensor = u, half_w: Tensor = half_w) -> Tensor:
                    return loss(x + e * u + e * e * half_w).mean()

                zero = torch.zeros((), dtype=x.dtype, device=x.device)
                start, d1, d2 = (float(v) for v in second_jvp(along, zero, torch.ones_like(zero)))
                for k, e in enumerate(ladder):
                    rests[j, k] = values[j, k] - start - e * d1 - e * e * d2 / 2

    def summary(v: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return tuple(v.mean(0).tolist()), tuple((v.std(0) / math.sqrt(draws)).tolist())

    mean, error = summary(values)
    rest, rest_error = summary(rests) if remainder else ((), ())
    return MonteCarloLoss(ladder, mean, error, base, rest, rest_error, draws)


def nfm_loss_monte_carlo(
    f: Network,
    X: Data,
    y: Data,
    *,
    eps: float | Sequence[float] = 1.0,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: float,
    sigma_mult: float,
    law: str = "gaussian",
    sparsity: float = 0.0,
    draws: int = 64,
    rng: Rng,
    remainder: bool = False,
) -> MonteCarloLoss:
    r"""Estimate the loss of `nfm_loss_exact` by sampling partners, weights and noise.

    All $\epsilon$ use the same draws (common random numbers). With `remainder`, each draw's own
    Taylor polynomial is subtracted. This shows the order of the remainder even if the loss itself
    is far too noisy.

    Args:
        f: As for `nfm_loss_exact`; see `at_point` for a mix point inside a network.
        X: (n, ...) samples of any shape and floating type.
        y, alpha, beta: As for `nfm_loss_exact`.
        eps: One $\epsilon$ or several, each in [0, 1].
        sigma_add: Additive level (nominal for the released law).
        sigma_mult: Multiplicative level (nominal for the released law).
        law: "gaussian" or "released".
        sparsity: Probability that a noise entry is set to 0.
        draws: Number of draws for each sample.
        rng: Stream of the draws.
        remainder: Also estimate the remainder of the expansion.

    Raises:
        ValueError: For eps outside [0, 1], labels out of range, fewer than 2 draws.

    Source: paper eqs. 5 to 9.

    >>> X, y = [[1.0, 0.5], [-0.3, -1.0]], [1, 0]
    >>> loss = nfm_loss_monte_carlo(lambda x: x.sum(-1), X, y, alpha=1.0, sigma_add=0.4,
    ...                             sigma_mult=0.2, draws=8, rng=Rng(0))
    >>> len(loss.mean), loss.standard_error[0] > 0
    (1, True)
    """
    x = as_data("X", X, None if isinstance(X, Tensor) else torch.float64)
    network, classes, scalar = as_network(f, x)
    target = as_labels(y, x.shape[0], classes, scalar, x)
    return _estimate(
        lambda v: soft_cross_entropy(network(v[0]), target, validate=False),
        x.unsqueeze(0), eps=eps, alpha=alpha, beta=beta,
        add=as_levels("sigma_add", sigma_add, 1), mult=as_levels("sigma_mult", sigma_mult, 1),
        shared_noise=False, law=law, sparsity=sparsity, draws=draws, rng=rng, remainder=remainder,
    )  # fmt: skip


def stability_loss_monte_carlo(
    f: Network,
    views: Data,
    *,
    eps: float | Sequence[float] = 1.0,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: Levels,
    sigma_mult: Levels,
    weights: Weights = None,
    shared_noise: bool = False,
    law: str = "gaussian",
    sparsity: float = 0.0,
    draws: int = 64,
    rng: Rng,
    remainder: bool = False,
) -> MonteCarloLoss:
    r"""Estimate the loss of `stability_loss_exact` by sampling partners, weights and noise.

    Args:
        f, views, sigma_add, sigma_mult, weights, shared_noise: As for `stability_loss_exact`.
        eps, alpha, beta, law, sparsity, draws, rng, remainder: As for `nfm_loss_monte_carlo`.

    Raises:
        ValueError: For eps outside [0, 1], weights that do not sum to 1, fewer than 2 draws.

    Source: paper eqs. 20 to 25 and 38.

    >>> views = [[[1.0, 0.5], [-0.3, -1.0]], [[0.8, 0.6], [-0.2, -1.1]]]
    >>> loss = stability_loss_monte_carlo(lambda x: x.sum(-1), views, alpha=1.0, sigma_add=0.4,
    ...                                   sigma_mult=0.2, draws=8, rng=Rng(0))
    >>> loss.mean[0] > 0
    True
    """
    data = as_data("views", views, None if isinstance(views, Tensor) else torch.float64)
    data, pi, (add, mult) = check_views(data, weights, sigma_add, sigma_mult)
    network, *_ = as_network(f, data[0])

    def loss(v: Tensor) -> Tensor:
        z = network(v.flatten(0, 1)).reshape(*v.shape[:2], -1)
        return jensen_shannon_divergence(z, pi, from_logits=True, validate=False)

    return _estimate(
        loss, data, eps=eps, alpha=alpha, beta=beta, add=add, mult=mult, shared_noise=shared_noise,
        law=law, sparsity=sparsity, draws=draws, rng=rng, remainder=remainder,
    )  # fmt: skip
