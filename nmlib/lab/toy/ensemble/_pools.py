"""Random numbers that are drawn once and read many times."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmlib import _checks
from nmlib.rng import Rng

# Seeds that are trained together; they share the sequence of mix points. Part of the definition of
# a member's draws, so a member does not depend on who else is in the ensemble.
SEED_BLOCK = 16

POOL_SIZE = 1 << 23

PERMUTATIONS = 4096

MAX_VIEWS = 4


def symmetric_beta_quantile(u: ArrayLike, alpha: float) -> NDArray[np.float64]:
    r"""Quantile function of $Beta(\alpha, \alpha)$, to about 1e-6 from $\alpha = 0.1$ on.

    A draw as a function of a uniform number changes smoothly with $\alpha$: a slider that moves
    $\alpha$ moves every $\lambda$ a little instead of drawing new ones.

    For $\alpha < 1$ the substitution $t = \tfrac12 v^{1/\alpha}$ turns the lower half of the
    integral into $\int_0^v (1 - \tfrac12 w^{1/\alpha})^{\alpha-1} dw$, without a singularity;
    above, $t = 1/(1+e^{-s})$ makes it $\int_{-\infty}^s \cosh^{-2\alpha}(r/2)\,dr$, narrow or not.

    Args:
        u: Probabilities in [0, 1].
        alpha: > 0.

    >>> symmetric_beta_quantile([0.1, 0.5, 0.9], 1.0).round(6).tolist()
    [0.1, 0.5, 0.9]
    """
    alpha = float(_checks.positive("alpha", alpha))
    grid, cumulative = _beta_table(alpha)
    u = _checks.array("u", u)
    mass = 2 * np.minimum(u, 1 - u)
    v = np.interp(mass, cumulative, grid)
    half = 0.5 * v ** (1 / alpha) if alpha <= 1 else (mass > 0) / (1 + np.exp(-v))
    return np.where(u < 0.5, half, 1 - half)


@lru_cache(maxsize=256)
def _beta_table(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if alpha <= 1:
        grid = np.linspace(0, 1, 4097)
        density = (1 - 0.5 * grid ** (1 / alpha)) ** (alpha - 1)
    else:
        # From where the density is e^-60 of its largest value.
        start = -2 * np.arcsinh(np.sqrt(np.expm1(60 / alpha)))
        grid = np.linspace(start, 0, 16385)
        density = np.exp(-alpha * np.log1p(np.sinh(grid / 2) ** 2))
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return grid, cumulative / cumulative[-1]


@lru_cache(maxsize=4)
def noise_pool(uniform: bool, sparsity: float) -> Tensor:
    """Return a long reel of independent noise; a step reads a window at a random offset.

    Drawing fresh fields would cost more than training the networks. 8.4 million entries against
    the 4 million or so that one network uses, read in windows that no two seeds of a block share.
    """
    rng = Rng(0).fold("noise pool")
    generator = rng.fold("field").torch()
    pool = torch.empty(POOL_SIZE)
    pool = (
        pool.uniform_(-1, 1, generator=generator) if uniform else pool.normal_(generator=generator)
    )
    if sparsity:
        pool *= torch.empty_like(pool).bernoulli_(1 - sparsity, generator=generator)
    return pool


@lru_cache(maxsize=8)
def permutation_pool(batch: int) -> tuple[Tensor, Tensor]:
    """Return (4096, batch) random permutations and their inverses."""
    draw = Rng(0).fold("permutation pool", batch).numpy()
    forward = draw.permuted(np.tile(np.arange(batch), (PERMUTATIONS, 1)), axis=1)
    inverse = np.argsort(forward, axis=1)
    return torch.from_numpy(forward.astype(np.int32)), torch.from_numpy(inverse.astype(np.int32))
