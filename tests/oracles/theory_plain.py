"""The expected losses of Theorems 1 and 2 in plain NumPy, the obvious way.

Every node of the full tensor rule is visited: for three views and order 4 that is 4^6 noise nodes
for each pair and weight. Nothing of nmlib is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

Array = np.ndarray


def jacobi_beta(a: float, b: float, nodes: int) -> tuple[Array, Array]:
    """Gauss rule of Beta(a, b): Gauss-Legendre moments would converge slowly, so use SciPy."""
    from scipy.special import roots_jacobi

    x, w = roots_jacobi(nodes, b - 1, a - 1)
    return (1 + x) / 2, w / w.sum()


def share_rule(alpha: float | None, beta: float | None, nodes: int) -> tuple[Array, Array]:
    """Nodes of 1 - lam: both Beta laws of the mixture, one after the other."""
    if alpha is None or beta is None:
        return np.zeros(1), np.ones(1)
    x1, w1 = jacobi_beta(beta, alpha + 1, nodes)
    x2, w2 = jacobi_beta(alpha, beta + 1, nodes)
    share = alpha / (alpha + beta)
    return np.concatenate([x1, x2]), np.concatenate([w1 * share, w2 * (1 - share)])


def unit_rule(law: str, nodes: int) -> tuple[Array, Array]:
    if law == "gaussian":
        x, w = hermegauss(nodes)
        return x, w / math.sqrt(2 * math.pi)
    x, w = leggauss(nodes)
    return x * math.sqrt(3), w / 2


def grid(x: Array, w: Array, dimension: int) -> tuple[Array, Array]:
    nodes = np.array(list(itertools.product(x, repeat=dimension)))
    weights = np.array([math.prod(c) for c in itertools.product(w, repeat=dimension)])
    return nodes, weights


def log_softmax(z: Array) -> Array:
    top = z.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def two_logits(z: Array) -> Array:
    return np.stack([np.zeros_like(z[..., 0]), z[..., 0]], -1) if z.shape[-1] == 1 else z


def nfm_loss(
    f: Callable[[Array], Array],
    x: Array,
    y: Array,
    *,
    eps: float,
    alpha: float | None,
    beta: float | None,
    sigma_add: float,
    sigma_mult: float,
    order: tuple[int, int],
    law: str = "gaussian",
) -> float:
    n, d = x.shape
    shares, share_weights = share_rule(alpha, beta, order[1])
    unit = unit_rule(law, order[0])
    nodes, weights = grid(*unit, d if law == "gaussian" else 2 * d)
    total = 0.0
    for t, wt in zip(shares, share_weights, strict=True):
        for r in range(n):
            z = x + eps * t * (x[r] - x)
            if law == "gaussian":
                level = eps * np.sqrt(sigma_add**2 + (sigma_mult * z) ** 2)
                noisy = z[:, None] + level[:, None] * nodes
            else:
                noisy = z[:, None] * (1 + eps * sigma_mult * nodes[:, :d])
                noisy = noisy + eps * sigma_add * nodes[:, d:]
            log_p = log_softmax(two_logits(f(noisy)))
            loss = -np.take_along_axis(log_p, y[:, None, None], -1)[..., 0]
            total += wt * float((loss @ weights).mean()) / n
    return total


def stability_loss(
    f: Callable[[Array], Array],
    views: Array,
    *,
    eps: float,
    alpha: float | None,
    beta: float | None,
    sigma_add: Array,
    sigma_mult: Array,
    pi: Array,
    order: tuple[int, int],
    shared: bool = False,
) -> float:
    count, n, d = views.shape
    shares, share_weights = share_rule(alpha, beta, order[1])
    nodes, weights = grid(*unit_rule("gaussian", order[0]), 2 * d if shared else d)
    index = list(itertools.product(range(len(weights)), repeat=count))
    joint_weight = np.array([math.prod(weights[j] for j in c) for c in index])
    columns = np.array(index).T
    total = 0.0
    for t, wt in zip(shares, share_weights, strict=True):
        for r in range(n):
            p = []
            for v in range(count):
                z = views[v] + eps * t * (views[v, r] - views[v])
                if shared:
                    noisy = z[:, None] * (1 + eps * sigma_mult[v] * nodes[:, :d])
                    noisy = noisy + eps * sigma_add[v] * nodes[:, d:]
                else:
                    level = eps * np.sqrt(sigma_add[v] ** 2 + (sigma_mult[v] * z) ** 2)
                    noisy = z[:, None] + level[:, None] * nodes
                p.append(np.exp(log_softmax(two_logits(f(noisy)))))
            if not shared:
                p = [q[:, c] for q, c in zip(p, columns, strict=True)]
            mean = sum(w * q for w, q in zip(pi, p, strict=True))
            value = -(mean * np.log(mean)).sum(-1)
            for w, q in zip(pi, p, strict=True):
                value += w * (q * np.log(q)).sum(-1)
            weight = weights if shared else joint_weight
            total += wt * float((value @ weight).mean()) / n
    return total
