"""How much the paper's own seeds differ: read off the lowest and highest that it prints."""

from __future__ import annotations

import numpy as np

from nmlib.paper.numbers import known, numbers
from nmlib.statistics import deviation_from_range

__all__ = ["seed_deviation"]

_SEEDS = 5


def seed_deviation(table: int, dataset: str) -> dict[str, float]:
    """Return the standard deviation over seeds of each method, in points.

    Tables 2 and 3 print the lowest and highest of five seeds; see
    `nmlib.statistics.deviation_from_range`. Five seeds and printed tenths make each a rough
    estimate; their mean over the methods is a better one.

    Args:
        table: 2 or 3.
        dataset: Test set, as printed.

    Raises:
        ValueError: If the table prints no ranges for it.

    Source: paper Tables 2 and 3; the estimate is ours.

    >>> round(seed_deviation(3, "CIFAR-100-C")["NoisyMix"], 2)
    0.26
    """
    found = {
        p.method: float(deviation_from_range(float(p.low), float(p.high), _SEEDS))
        for p in numbers(known(table))
        if p.dataset == dataset and p.low and p.high
    }
    if not found:
        raise ValueError(
            f"Table {table} prints no lowest and highest seed for {dataset!r}; Tables 2 and 3 do, "
            "for CIFAR-10, CIFAR-10-C, CIFAR-100 and CIFAR-100-C"
        )
    return {method: float(np.round(value, 6)) for method, value in found.items()}
