"""Main effects and interactions of the switches, from the rows there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.rng import Rng
from nmlib.statistics._cells import Cells, Floats
from nmlib.statistics._resampling import Over, check_level, interval, resample


@dataclass(frozen=True, eq=False)
class Effects:
    """Least-squares effects of the switches.

    Attributes:
        terms: Switch sets: () the constant, ("a",) a main effect, ("a", "b") an interaction.
        estimate: Value for each term; nan where the rows do not identify it.
        low: Bootstrap interval; nan where not identified or not resampled.
        high: Its upper end.
        identified: Whether the rows determine the term.
        mixture: For each term not identified: with which weights it mixes with others in what
            the rows do determine (the row of the resolution matrix).
        residual: Root mean square of the residuals.
        coding: "average" or "baseline".
    """

    terms: tuple[tuple[str, ...], ...]
    estimate: Floats
    low: Floats
    high: Floats
    identified: NDArray[np.bool_]
    mixture: Mapping[tuple[str, ...], Mapping[tuple[str, ...], float]]
    residual: float
    coding: str

    def of(self, *switches: str) -> float:
        """Return the estimate of one term, in any order of its switches."""
        for term, value in zip(self.terms, self.estimate, strict=True):
            if set(term) == set(switches):
                return float(value)
        raise ValueError(f"no term {switches}; there are {self.terms}")


def _design(cells: Cells, terms: Sequence[tuple[str, ...]], coding: str) -> Floats:
    x = cells.on.astype(np.float64) - (0.5 if coding == "average" else 0.0)
    at = {s: k for k, s in enumerate(cells.switches)}
    return np.stack([x[:, [at[s] for s in term]].prod(1) for term in terms], 1)


def effects(
    cells: Cells,
    rng: Rng,
    *,
    order: int = 2,
    coding: Literal["average", "baseline"] = "average",
    without: Sequence[Sequence[str]] = (),
    level: float = 0.95,
    resamples: int = 2000,
    over: Over | None = None,
) -> Effects:
    r"""Fit main effects and interactions of the switches to the rows there are.

    $$\bar v_r = \sum_{T,\ |T| \le \text{order}} \beta_T \prod_{s \in T} x_{rs} + \text{rest}$$

    With `coding="average"`, $x = \pm\tfrac12$: a main effect is the change when the switch goes on,
    averaged over all settings of the others; with `coding="baseline"`, $x \in \{0, 1\}$: the change
    when it goes on alone. An interaction is in both by how much the one's gain changes when the
    other is on. Terms that the rows do not determine are nan and listed in `mixture`; nothing is
    filled in.

    Args:
        cells: Results.
        rng: Random source of the bootstrap.
        order: Largest number of switches in a term.
        coding: What a main effect means.
        without: Terms taken as zero, such as ("augmentations", "jsd_loss"): without augmentation
            and noise all views are equal, so the divergence acts with them only.
        level: Coverage of the intervals.
        resamples: Draws of the bootstrap.
        over: See `resample`.

    Raises:
        ValueError: For an unknown switch in `without`.

    Source: ours (least squares; estimable functions).

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [0, 1], [1, 1]], [[1.0], [3.0], [4.0], [9.0]])
    >>> found = effects(cells, Rng(0))
    >>> [round(found.of(*t), 9) for t in (("a",), ("b",), ("a", "b"))]
    [3.5, 4.5, 3.0]
    """
    check_level(level)
    _checks.choice("coding", coding, ("average", "baseline"))
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
    x = _design(cells, terms, coding)
    inverse = np.linalg.pinv(x, rcond=1e-10)
    resolution = inverse @ x  # identity exactly where a term is determined
    identified = np.abs(resolution - np.eye(len(terms))).max(1) < 1e-8
    solution = inverse @ cells.means
    estimate = np.where(identified, solution, np.nan)
    draws = resample(cells, rng, resamples=resamples, over=over) @ inverse.T
    low, high = interval(cells, draws, level)
    mixture = {
        terms[j]: {terms[i]: float(w) for i, w in enumerate(resolution[j]) if abs(w) > 1e-8}
        for j in np.flatnonzero(~identified)
    }
    return Effects(
        terms,
        estimate,
        np.where(identified, low, np.nan),
        np.where(identified, high, np.nan),
        identified,
        mixture,
        float(np.sqrt(np.mean((cells.means - x @ solution) ** 2))),
        coding,
    )
