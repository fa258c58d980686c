"""How far results scatter from seed to seed, and the quantiles that go with it."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from nmlib import _checks
from nmlib.statistics._cells import Floats


@_checks.remembered(1024)
def student_t_quantile(p: float, df: float) -> float:
    r"""Return the quantile of Student's t distribution, by quadrature and bisection.

    $t = \sqrt\nu \sinh w$ turns the tail into $\int_w^\infty \cosh^{-\nu}$, which falls
    off exponentially for any $\nu$; it is kept as a logarithm, so that neither many degrees of
    freedom nor small probabilities lose digits.

    Args:
        p: Probability in (0, 1).
        df: Degrees of freedom, 1 or more.

    >>> round(student_t_quantile(0.975, 2), 3), round(student_t_quantile(0.975, 10**12), 5)
    (4.303, 1.95996)
    """
    p, df = _checks.plain(p), _checks.plain(df)
    numbers = {type(p), type(df)} <= {int, float}
    if not numbers or not 0 < p < 1 or not 1 <= df < math.inf:
        shown = f"p={_checks.shown(p)}, df={_checks.shown(df)}"
        raise ValueError(f"needs 0 < p < 1 and finite df >= 1, got {shown}")
    share = min(p, 1 - p)
    nodes, weights = np.polynomial.legendre.leggauss(400)

    def log_cosh(w: float | Floats) -> Floats:
        return np.logaddexp(w, -w) - math.log(2) if np.max(w) > 1 else np.log1p(np.sinh(w) ** 2) / 2

    def log_tail(w: float) -> float:
        # Up to where the integrand has fallen to e^-50 of its largest value, at w.
        top = float(log_cosh(w))
        grown = 2 * (top + 50 / df)
        end = math.asinh(math.sqrt(math.expm1(grown))) if grown < 500 else grown / 2 + math.log(2)
        at = w + (end - w) * (nodes + 1) / 2
        integral = (weights * np.exp(-df * (log_cosh(at) - top))).sum() * (end - w) / 2
        return math.log(float(integral)) - df * top

    wanted = log_tail(0.0) + math.log(2 * share)
    low, high = 0.0, 1 / math.sqrt(df)
    while log_tail(high) > wanted:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if log_tail(middle) > wanted else (low, middle)
    return math.copysign(math.sqrt(df) * math.sinh(low), p - 0.5)


def seed_scatter(values: ArrayLike) -> tuple[float, int]:
    r"""Return the variance of a result from seed to seed, and its degrees of freedom.

    $$s^2 = \frac{1}{(R-1)(S-1)} \sum_{r,s}
      (x_{rs} - \bar x_{r\cdot} - \bar x_{\cdot s} + \bar x_{\cdot\cdot})^2$$

    What a seed does to all rows alike is left out, as it drops out of their differences; the
    difference of two rows has variance $2 s^2 / S$. Three seeds of two rows say little of their
    scatter; ten rows together say much, as far as they scatter alike.

    With cells that were not measured (nan), the same after the least-squares fit of row and seed
    effects to those that were; the degrees of freedom are their number less that of the effects.

    Args:
        values: (R, S) results of R rows with S seeds; nan where there is none.

    Returns:
        Variance of one result, and (R - 1)(S - 1) degrees of freedom, less one a cell that is
        missing.

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
            f"{len(there)} results leave nothing to tell the scatter between seeds from; two rows "
            "must have two seeds in common"
        )
    return float(((there - effects @ fit) ** 2).sum()) / freedom, freedom


@cache
def _mean_range(n: int) -> float:
    """Return the expected range of n standard normal numbers, by the trapezoidal rule."""
    x = np.linspace(-12, 12, 4801)
    below = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    return float((1 - below**n - (1 - below) ** n).sum() * (x[1] - x[0]))


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
