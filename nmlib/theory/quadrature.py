r"""Gauss rules for the Beta mixture of Theorem 1, for the noise, and for any discrete law.

The main routine is `gauss_rule`. It turns weighted points into the Gauss rule of the same law with
few nodes, by the Lanczos recurrence and a small eigenproblem.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks

__all__ = ["beta_rule", "gauss_rule", "mixing_moments", "partner_share_rule", "unit_noise_rule"]


def mixing_moments(alpha: float | None, beta: float | None = None) -> tuple[float, float]:
    r"""Return $m_1 = E[1-\lambda]$ and $m_2 = E[(1-\lambda)^2]$ over $\tilde{\mathcal D}_\lambda$.

    $$\tilde{\mathcal D}_\lambda = \tfrac{\alpha}{\alpha+\beta} Beta(\alpha+1,\beta)
      + \tfrac{\beta}{\alpha+\beta} Beta(\beta+1,\alpha),\qquad
      m_1 = \frac{2\alpha\beta}{(\alpha+\beta)(\alpha+\beta+1)},\quad m_2 = m_1/2 .$$

    Args:
        alpha: First Beta parameter, > 0; None for no mixing ($\lambda = 1$).
        beta: Second Beta parameter, > 0; default `alpha`.

    Source: paper appendix B.1, before eq. 9.

    >>> mixing_moments(1.0, 1.0)
    (0.333..., 0.166...)
    """
    if alpha is None:
        return 0.0, 0.0
    alpha, beta = _check_beta(alpha, alpha if beta is None else beta)
    total = alpha + beta
    m2 = alpha * beta / (total * (total + 1))
    return 2 * m2, m2


def _check_beta(alpha: float, beta: float) -> tuple[float, float]:
    remedy = "for no mixing (lam = 1) use alpha=None"
    return _checks.positive("alpha", alpha, remedy), _checks.positive("beta", beta, remedy)


def beta_rule(a: float, b: float, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the Gauss-Jacobi rule of the law Beta(a, b) on [0, 1].

    It is exact for polynomials of degree 2 `nodes` - 1.

    Args:
        a: First parameter, > 0.
        b: Second parameter, > 0.
        nodes: Number of nodes, >= 1.

    Returns:
        Nodes and weights (sum 1), both of shape (nodes,).

    >>> x, w = beta_rule(2.0, 5.0, 3)
    >>> round(float(w @ x**2), 12) == round(3 / 28, 12)
    True
    """
    a, b = _check_beta(a, b)
    nodes = _checks.integer("nodes", nodes, 1)
    # Golub-Welsch: the Jacobi matrix of the weight (1-x)^p (1+x)^q on [-1, 1].
    p, q = b - 1, a - 1
    k = np.arange(nodes, dtype=np.float64)
    total = 2 * k + p + q
    diagonal = np.empty(nodes)
    diagonal[0] = (q - p) / (p + q + 2)
    diagonal[1:] = (q * q - p * p) / (total[1:] * (total[1:] + 2))
    k, total = k[1:], total[1:]
    off = 4 * k * (k + p) * (k + q) * (k + p + q)
    off /= np.where(k == 1, 1.0, total**2 * (total + 1) * (total - 1))
    if nodes > 1:
        # For k = 1, k + p + q and total - 1 cancel; both may be 0.
        off[0] = 4 * (1 + p) * (1 + q) / ((p + q + 2) ** 2 * (p + q + 3))
    matrix = np.diag(diagonal) + np.diag(np.sqrt(off), 1) + np.diag(np.sqrt(off), -1)
    x, vectors = np.linalg.eigh(matrix)
    return (1 + x) / 2, vectors[0] ** 2


def gauss_rule(values: Tensor, weights: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    r"""Return the Gauss rule of a discrete law: few nodes, same moments up to 2 `nodes` - 1.

    The Lanczos recurrence uses full orthogonalisation. It works in units of the standard deviation,
    so that narrow laws lose no digits. If the law has fewer points than `nodes`, further nodes
    have weight 0.

    Args:
        values: (..., N) points.
        weights: Weights >= 0 with sum 1, of a shape that broadcasts to `values`.
        nodes: Number of nodes.

    Returns:
        Nodes and weights of shape (..., nodes).

    >>> x, w = gauss_rule(torch.tensor([0.0, 1.0, 2.0, 3.0]).double(), torch.full((4,), 0.25), 2)
    >>> [round(float((w * x**k).sum()), 9) for k in (1, 2, 3)]          # 6/4, 14/4, 36/4
    [1.5, 3.5, 9.0]
    """
    nodes = _checks.integer("nodes", nodes, 1)
    weights = weights.to(values.dtype).expand_as(values)
    mean = (weights * values).sum(-1, keepdim=True)
    centred = values - mean
    spread = (weights * centred**2).sum(-1, keepdim=True).sqrt()
    t = centred / torch.where(spread > 0, spread, torch.ones_like(spread))
    basis = [weights.sqrt()]
    diagonal: list[Tensor] = []
    off: list[Tensor] = []
    for j in range(nodes):
        image = t * basis[j]
        diagonal.append((image * basis[j]).sum(-1))
        if j == nodes - 1:
            break
        known = torch.stack(basis, -2)
        for _ in range(2):  # two passes orthogonalise to rounding error
            along = (known @ image.unsqueeze(-1)).transpose(-1, -2)
            image = image - (along @ known).squeeze(-2)
        norm = image.norm(dim=-1, keepdim=True)
        alive = norm > 1e-9
        off.append(torch.where(alive, norm, torch.zeros_like(norm)).squeeze(-1))
        basis.append(torch.where(alive, image / torch.where(alive, norm, 1.0), 0.0))
    matrix = torch.diag_embed(torch.stack(diagonal, -1))
    if off:
        side = torch.stack(off, -1)
        matrix = matrix + torch.diag_embed(side, 1) + torch.diag_embed(side, -1)
    x, vectors = torch.linalg.eigh(matrix)
    return mean + spread * x, vectors[..., 0, :] ** 2


@_checks.remembered(256)
def partner_share_rule(
    alpha: float | None, beta: float | None, nodes: int, merged: bool = True
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Return the Gauss rule of $1-\lambda$, $\lambda\sim\tilde{\mathcal D}_\lambda$.

    Args:
        alpha: First Beta parameter; None for no mixing (one node at 0).
        beta: Second Beta parameter; default `alpha`.
        nodes: Number of nodes.
        merged: Use one Gauss rule for the mixture; else `nodes` for each of its two Beta laws.

    Source: paper appendix B.1, $\tilde{\mathcal D}_\lambda$.

    >>> t, w = partner_share_rule(1.0, 1.0, 4)
    >>> round(sum(a * b for a, b in zip(t, w)), 12)
    0.333333333333
    """
    if alpha is None:
        return (0.0,), (1.0,)
    alpha, beta = _check_beta(alpha, alpha if beta is None else beta)
    nodes = _checks.integer("nodes", nodes, 1)
    # The partner's share 1 - lam has the laws Beta(beta, alpha + 1) and Beta(alpha, beta + 1).
    each = 2 * nodes if merged else nodes
    x1, w1 = beta_rule(beta, alpha + 1, each)
    x2, w2 = beta_rule(alpha, beta + 1, each)
    values = torch.from_numpy(np.concatenate([x1, x2]))
    weights = torch.from_numpy(
        np.concatenate([w1 * alpha / (alpha + beta), w2 * beta / (alpha + beta)])
    )
    x, w = gauss_rule(values, weights, nodes) if merged else (values, weights)
    return tuple(x.tolist()), tuple(w.tolist())


@_checks.remembered(64)
def unit_noise_rule(law: str, nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Return the Gauss rule of one noise entry of mean 0 and variance 1.

    Args:
        law: "gaussian" (Gauss-Hermite) or "uniform" on $\pm\sqrt3$ (Gauss-Legendre).
        nodes: Number of nodes.

    >>> x, w = unit_noise_rule("gaussian", 3)
    >>> round(sum(b * a**4 for a, b in zip(x, w)), 12)
    3.0
    """
    _checks.choice("noise law", law, ("gaussian", "uniform"))
    nodes = _checks.integer("nodes", nodes, 1)
    if law == "gaussian":
        x, w = np.polynomial.hermite_e.hermegauss(nodes)
        w = w / math.sqrt(2 * math.pi)
    else:
        x, w = np.polynomial.legendre.leggauss(nodes)
        x, w = x * math.sqrt(3), w / 2
    return tuple(x.tolist()), tuple((w / w.sum()).tolist())
