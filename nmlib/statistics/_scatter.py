"""How far results scatter from seed to seed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nmlib import _checks
from nmlib.statistics._cells import Floats


def load_scipy() -> Any:
    """Import SciPy's statistics, or say how to get them."""
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the statistics of an ablation need SciPy: pip install scipy", name="scipy"
        ) from error
    return stats


def seed_scatter(values: ArrayLike) -> tuple[float, int]:
    r"""Return the variance of a result from seed to seed, and its degrees of freedom.

    $$s^2 = \frac{1}{(R-1)(S-1)} \sum_{r,s}
      (x_{rs} - \bar x_{r\cdot} - \bar x_{\cdot s} + \bar x_{\cdot\cdot})^2$$

    A shift that a seed gives to all rows does not count, as it drops out of their differences; the
    difference of two rows has variance $2 s^2 / S$. Three seeds of two rows determine the scatter
    poorly; ten rows together determine it well, if they scatter alike.

    If cells are missing (nan), row and seed effects are fitted to the others by least squares.

    Args:
        values: (R, S) results of R rows with S seeds; nan where there is none.

    Returns:
        Variance of one result, and its degrees of freedom: (R - 1)(S - 1), less one for each
        missing cell.

    Raises:
        ValueError: For one row or one seed, or too few cells to leave a degree of freedom.

    Source: ours (the residual of a two-way analysis of variance).

    >>> seed_scatter([[1.0, 2.0, 3.0], [2.0, 3.5, 3.5]])[1]
    2
    """
    x = _checks.array("values", values)
    if x.ndim != 2 or min(x.shape) < 2:
        raise ValueError(f"needs (rows, seeds) with at least two of each, got shape {x.shape}")
    if np.isinf(x).any():
        raise ValueError(
            f"values hold {np.isinf(x).sum()} infinite numbers; nan marks what is missing"
        )
    row, seed = np.nonzero(np.isfinite(x))
    effects = np.concatenate([np.eye(x.shape[0])[row], np.eye(x.shape[1])[seed]], axis=1)
    there = x[row, seed]
    fit, _, rank, _ = np.linalg.lstsq(effects, there, rcond=None)
    freedom = len(there) - int(rank)
    if not freedom:
        raise ValueError(
            f"{len(there)} results do not determine the scatter between seeds; two rows must have "
            "two seeds in common"
        )
    return float(((there - effects @ fit) ** 2).sum()) / freedom, freedom


@cache
def _mean_range(n: int) -> float:
    """Return the expected range of n standard normal numbers."""
    normal = load_scipy().norm
    x = np.linspace(-12, 12, 4801)
    return float((1 - normal.cdf(x) ** n - normal.sf(x) ** n).sum() * (x[1] - x[0]))


def deviation_from_range(low: ArrayLike, high: ArrayLike, n: int) -> Floats:
    r"""Estimate a standard deviation from the lowest and highest of n normal values.

    $$\hat s = \frac{high - low}{d_n}, \qquad
      d_n = \int_{-\infty}^{\infty} 1 - \Phi(x)^n - (1 - \Phi(x))^n \, dx$$

    Args:
        low: Lowest of each group.
        high: Highest.
        n: Size of a group, 2 or more.

    Source: ours (Tippett 1925).

    >>> float(deviation_from_range(0.0, 2.326, 5).round(3))
    1.0
    """
    n = _checks.integer("n", n, 2)
    spread = _checks.array("high", high) - _checks.array("low", low)
    if (spread < 0).any():
        raise ValueError("low exceeds high; give the lowest first")
    return np.asarray(spread / _mean_range(n))
