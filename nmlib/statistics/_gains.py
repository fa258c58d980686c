"""Gains of single switches, over the orders of switching on that the rows allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmlib.rng import Rng
from nmlib.statistics._cells import Cells, Floats, row_ticks
from nmlib.statistics._resampling import check_level, interval, resample


@dataclass(frozen=True)
class Gain:
    """What one switch adds to one combination of the others.

    Attributes:
        switch: The switch that goes on.
        before: Ticks before.
        gain: Change of the mean.
        low: Bootstrap interval; nan if nothing could be resampled.
        high: Its upper end.
    """

    switch: str
    before: tuple[bool, ...]
    gain: float
    low: float
    high: float


def _after(before: Sequence[bool], k: int) -> tuple[bool, ...]:
    return tuple(on or j == k for j, on in enumerate(before))


def gains(
    cells: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[Gain, ...]:
    """Return the gain of each switch wherever the rows before and after it exist.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> [(g.switch, g.before, g.gain) for g in gains(cells, Rng(0))]
    [('a', (False, False), 2.0), ('b', (True, False), 1.0)]
    """
    check_level(level)
    rows, means = cells.rows, cells.means
    pairs = [
        (k, before, rows[_after(before, k)])
        for k in range(len(cells.switches))
        for before in rows
        if not before[k] and _after(before, k) in rows
    ]
    if not pairs:
        return ()
    draws = resample(cells, rng, resamples=resamples)
    first, last = [rows[b] for _, b, _ in pairs], [a for _, _, a in pairs]
    low, high = interval(cells, draws[:, last] - draws[:, first], level)
    return tuple(
        Gain(cells.switches[k], before, float(means[a] - means[rows[before]]), float(lo), float(hi))
        for (k, before, a), lo, hi in zip(pairs, low, high, strict=True)
    )


def orders(cells: Cells) -> tuple[tuple[str, ...], ...]:
    """Return the orders of switching everything on for which all rows on the way exist.

    >>> orders(Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]]))
    (('a', 'b'),)
    """
    return tuple(tuple(cells.switches[k] for k in order) for order in _orders(cells))


def _orders(cells: Cells) -> list[tuple[int, ...]]:
    rows, k = cells.rows, len(cells.switches)

    def exists(order: tuple[int, ...]) -> bool:
        steps = (frozenset(order[:i]) for i in range(k + 1))
        return all(tuple(j in step for j in range(k)) in rows for step in steps)

    return [order for order in itertools.permutations(range(k)) if exists(order)]


@dataclass(frozen=True, eq=False)
class Shapley:
    """Mean gain of each switch over the orders that the rows allow.

    Attributes:
        switches: Names.
        value: (k,) mean gain; they add up to the whole gain.
        low: (k,) bootstrap interval.
        high: (k,) its upper end.
        orders: The orders averaged over.
        every_order: k!, the number of all orders.
    """

    switches: tuple[str, ...]
    value: Floats
    low: Floats
    high: Floats
    orders: tuple[tuple[str, ...], ...]
    every_order: int


def shapley(
    cells: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> Shapley:
    r"""Average the gain of each switch over all orders that the rows allow.

    $$\phi_s = \frac1{|\Pi|} \sum_{\pi \in \Pi} \big(v(P_\pi(s) \cup s) - v(P_\pi(s))\big)$$

    with $\Pi$ the orders all of whose rows exist and $P_\pi(s)$ the switches before $s$. Shapley
    values proper need all $k!$ orders; see `shapley_bounds` for what the missing rows could make of
    them.

    Raises:
        ValueError: If no order from all off to all on is complete.

    Source: ours (Shapley 1953, restricted to the rows there are).

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [0, 1], [1, 1]], [[1.0], [3.0], [4.0], [9.0]])
    >>> shapley(cells, Rng(0)).value.tolist()
    [3.5, 4.5]
    """
    check_level(level)
    found = _orders(cells)
    if not found:
        raise ValueError(
            "no order from all switches off to all on has all its rows; missing are "
            + ", ".join(map(row_ticks, cells.missing))
        )
    rows, k = cells.rows, len(cells.switches)
    weights = np.zeros((k, len(rows)))
    for order in found:
        for place, s in enumerate(order):
            before = frozenset(order[:place])
            row = tuple(j in before for j in range(k))
            weights[s, rows[row]] -= 1 / len(found)
            weights[s, rows[_after(row, s)]] += 1 / len(found)
    draws = resample(cells, rng, resamples=resamples) @ weights.T
    low, high = interval(cells, draws, level)
    return Shapley(
        cells.switches,
        weights @ cells.means,
        low,
        high,
        tuple(tuple(cells.switches[s] for s in order) for order in found),
        math.factorial(k),
    )


def shapley_bounds(cells: Cells, low: float, high: float) -> tuple[Floats, Floats]:
    r"""Return the range of the Shapley values proper if missing rows lie in [low, high].

    A Shapley value is linear in the rows, so each end takes every missing row at one of the ends.
    The ends of two switches need not be reached together.

    Args:
        cells: Results.
        low: Least value a missing row may have.
        high: Largest.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> [bound.tolist() for bound in shapley_bounds(cells, 1.0, 4.0)]
    [[1.0, 0.5], [2.5, 2.0]]
    """
    if not low <= high:
        raise ValueError(f"low must not exceed high, got {low} and {high}")
    k, rows, means = len(cells.switches), cells.rows, cells.means
    least, most = np.zeros(k), np.zeros(k)
    for row in itertools.product((False, True), repeat=k):
        size = sum(row)
        for s in range(k):
            before = size - row[s]  # switches on besides s
            share = math.factorial(before) * math.factorial(k - before - 1) / math.factorial(k)
            weight = share if row[s] else -share
            known = (float(means[rows[row]]),) if row in rows else (low, high)
            ends = [weight * value for value in known]
            least[s] += min(ends)
            most[s] += max(ends)
    return least, most
