"""Main effects and interactions of the switches, from the rows there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.rng import Rng
from nmlib.statistics._cells import Cells, Floats
from nmlib.statistics._resampling import check_level, interval, resample


@dataclass(frozen=True, eq=False)
class Effects:
    """Least-squares effects of the switches.

    Attributes:
        terms: Switch sets: () the constant, ("a",) a main effect, ("a", "b") an interaction.
        estimate: Value for each term; nan where the rows do not identify it.
        low: Bootstrap interval; nan where not identified or not resampled.
        high: Its upper end.
        identified: Whether the rows determine the term.
    """

    terms: tuple[tuple[str, ...], ...]
    estimate: Floats
    low: Floats
    high: Floats
    identified: NDArray[np.bool_]

    def of(self, *switches: str) -> float:
        """Return the estimate of one term, in any order of its switches."""
        for term, value in zip(self.terms, self.estimate, strict=True):
            if set(term) == set(switches):
                return float(value)
        raise ValueError(f"no term {switches}; there are {self.terms}")


def effects(
    cells: Cells,
    rng: Rng,
    *,
    order: int = 2,
    without: Sequence[Sequence[str]] = (),
    level: float = 0.95,
    resamples: int = 2000,
) -> Effects:
    r"""Fit main effects and interactions of the switches to the rows there are.

    $$\bar v_r = \sum_{T,\ |T| \le \text{order}} \beta_T \prod_{s \in T} x_{rs} + \text{rest}$$

    with $x = \pm\tfrac12$: a main effect is the change when the switch goes on, averaged over all
    settings of the others; an interaction is by how much the one's gain changes when the other is
    on. Terms that the rows do not determine are nan; nothing is filled in.

    Args:
        cells: Results.
        rng: Random source of the bootstrap.
        order: Largest number of switches in a term.
        without: Terms taken as zero, such as ("augmentations", "jsd_loss"): without augmentation
            and noise all views are equal, so the divergence acts with them only.
        level: Coverage of the intervals.
        resamples: Draws of the bootstrap.

    Raises:
        ValueError: For an unknown switch in `without`.

    Source: ours (least squares; estimable functions).

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [0, 1], [1, 1]], [[1.0], [3.0], [4.0], [9.0]])
    >>> found = effects(cells, Rng(0))
    >>> [round(found.of(*t), 9) for t in (("a",), ("b",), ("a", "b"))]
    [3.5, 4.5, 3.0]
    """
    check_level(level)
    for term in without:
        for switch in term:
            _checks.choice("switch", switch, cells.switches)
    left_out = {frozenset(term) for term in without}
    terms = tuple(
        term
        for size in range(order + 1)
        for term in itertools.combinations(cells.switches, size)
        if frozenset(term) not in left_out
    )
    signs = dict(zip(cells.switches, cells.on.T - 0.5, strict=True))
    constant = np.ones(len(cells.on))
    x = np.stack([np.prod([constant, *(signs[s] for s in term)], 0) for term in terms], 1)
    inverse = np.linalg.pinv(x, rcond=1e-10)
    resolution = inverse @ x  # identity exactly where a term is determined
    identified = np.abs(resolution - np.eye(len(terms))).max(1) < 1e-8
    draws = resample(cells, rng, resamples=resamples) @ inverse.T
    low, high = interval(cells, draws, level)
    estimate, low, high = (
        np.where(identified, v, np.nan) for v in (inverse @ cells.means, low, high)
    )
    return Effects(terms, estimate, low, high, identified)
