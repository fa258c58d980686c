"""Results of an ablation: rows of switches, a value for each seed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Results of an ablation: rows of switches, with a value for each seed.

    Args:
        switches: Names of the k switches.
        on: (R, k) bool, the ticks of each row; no row twice.
        values: (R, S) one value a row and seed; column s has the same seed in all rows.
        correct: Optional (R, S, N) in [0, 1]: for each test image whether it was recognised, or the
            share of its corrupted versions that were. Image n is the same everywhere.

    Raises:
        ValueError: For shapes that do not fit, a row given twice, or values that are not finite.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> cells.missing
    ((False, True),)
    """

    switches: tuple[str, ...]
    on: NDArray[np.bool_]
    values: Floats
    correct: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "switches", tuple(self.switches))
        # Copies, so that no later change of the caller's arrays changes results.
        on = _checks.array("on", self.on).astype(bool)
        values = _checks.array("values", self.values)
        k = len(self.switches)
        if on.ndim != 2 or on.shape[1] != k:
            raise ValueError(f"on must have shape (rows, {k}), got {on.shape}")
        if values.ndim != 2 or values.shape[0] != on.shape[0] or not values.shape[1]:
            raise ValueError(f"values must have shape ({on.shape[0]}, seeds), got {values.shape}")
        if not np.isfinite(values).all():
            row, seed = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(
                f"values[{row}, {seed}] is {values[row, seed]}; leave out seeds that not all rows "
                "have"
            )
        seen = [tuple(r) for r in on.tolist()]
        for row in seen:
            if seen.count(row) > 1:
                raise ValueError(f"the row {row_ticks(row)} is given {seen.count(row)} times")
        if self.correct is not None:
            correct = _checks.array("correct", self.correct).astype(np.float32)
            if correct.ndim != 3 or correct.shape[:2] != values.shape:
                raise ValueError(
                    f"correct must have shape {values.shape} + (images,), got {correct.shape}"
                )
            object.__setattr__(self, "correct", correct)
        object.__setattr__(self, "on", on)
        object.__setattr__(self, "values", values)

    @classmethod
    def from_correct(
        cls, switches: Sequence[str], on: ArrayLike, correct: ArrayLike, *, scale: float = 100.0
    ) -> Cells:
        """Make cells whose values are `scale` times the mean over test images."""
        right: Any = _checks.array("correct", correct).astype(np.float32)
        values = scale * right.mean(-1, dtype=np.float64)
        return cls(tuple(switches), np.asarray(on), values, right)

    @classmethod
    def from_frame(
        cls, frame: Any, value: str, *, switches: Sequence[str], seed: str = "seed"
    ) -> Cells:
        """Make cells from a tidy pandas frame with one line for each row of switches and seed.

        Args:
            frame: The frame.
            value: Column of the results.
            switches: Columns of the switches.
            seed: Column of the seeds.

        Raises:
            ValueError: If a row lacks a seed that another has, or has one twice.
        """
        table = frame.pivot(index=list(switches), columns=seed, values=value)
        return cls(tuple(switches), table.index.to_frame().to_numpy(), table.to_numpy())

    @property
    def means(self) -> Floats:
        """(R,) mean over the seeds."""
        return self.values.mean(1)

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return self.values.shape[1]

    @property
    def rows(self) -> dict[tuple[bool, ...], int]:
        """The index of each combination of switches."""
        return {tuple(row): k for k, row in enumerate(self.on.tolist())}

    @property
    def missing(self) -> tuple[tuple[bool, ...], ...]:
        """Combinations of switches without a row."""
        every = itertools.product((False, True), repeat=len(self.switches))
        return tuple(row for row in every if row not in self.rows)


def row_ticks(row: Sequence[bool]) -> str:
    return "".join("✓" if on else "✗" for on in row)
