"""How well two orderings of the same rows agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nmlib import _checks
from nmlib.rng import Rng
from nmlib.statistics._cells import Cells, Floats
from nmlib.statistics._resampling import check_level, interval, resample
from nmlib.statistics._scatter import load_scipy


def spearman(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return Spearman's rank correlation along the last axis; ties share their mean rank.

    `scipy.stats.spearmanr` of many lists at once, as a bootstrap needs it.

    Args:
        a: (..., n).
        b: (..., n), broadcast against a.

    Returns:
        (...) in [-1, 1]; nan where one of the two is constant or has a nan.

    >>> float(spearman([1, 2, 3, 4], [10, 20, 40, 30]))
    0.8
    """
    rank = load_scipy().rankdata
    x, y = _checks.array("a", a), _checks.array("b", b)
    if not (x.ndim and y.ndim) or x.shape[-1] != y.shape[-1] or x.shape[-1] < 2:
        raise ValueError(f"needs two equally long lists of 2 or more, got {x.shape} and {y.shape}")
    x, y = (r - r.mean(-1, keepdims=True) for r in (rank(v, axis=-1) for v in (x, y)))
    size = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    # SciPy ranks a list with a nan as nan, which `size` then is too.
    rho = np.divide((x * y).sum(-1), size, out=np.full(np.shape(size), np.nan), where=size > 0)
    return np.clip(rho, -1, 1)


@dataclass(frozen=True)
class Agreement:
    """How well two orderings agree.

    Attributes:
        rho: Spearman's correlation of the row means with the reference.
        low: Bootstrap interval over our seeds and images; the reference is taken as exact.
        high: Its upper end.
        rows: Rows that both have.
    """

    rho: float
    low: float
    high: float
    rows: int


def agreement(
    cells: Cells,
    reference: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> Agreement:
    """Compare the order of our rows with that of a reference, such as the paper's.

    Resampling can only add disorder, so the interval leans below the estimate.

    Raises:
        ValueError: If the two have other switches, or fewer than three rows in common.
    """
    check_level(level)
    if cells.switches != reference.switches:
        raise ValueError(f"switches differ: {cells.switches} and {reference.switches}")
    shared = [row for row in cells.rows if row in reference.rows]
    if len(shared) < 3:
        raise ValueError(f"needs three rows in common, got {len(shared)}")
    ours = [cells.rows[row] for row in shared]
    theirs = reference.means[[reference.rows[row] for row in shared]]
    draws = resample(cells, rng, resamples=resamples)[:, ours]
    rho = float(spearman(cells.means[ours], theirs))
    low, high = interval(cells, spearman(draws, theirs), level)
    return Agreement(rho, float(low), float(high), len(shared))
