"""Length of decision boundaries, and steepness of the classifier along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks

__all__ = ["BoundaryMeasures", "grid_points", "measure_boundary"]


def grid_points(extent: float, size: int) -> NDArray[np.float32]:
    """Return the (size * size, 2) centres of a pixel grid over [-extent, extent]^2.

    The order is that of an image: row by row from the top left.

    Args:
        extent: Half the side of the square, > 0.
        size: Pixels per side, >= 2.

    >>> grid_points(1.0, 2).tolist()
    [[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]]
    """
    extent, size = _checks.positive("extent", extent), _checks.integer("size", size, 2)
    line = (np.arange(size) + 0.5) / size * 2 * extent - extent
    x, y = np.meshgrid(line, -line)
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


@dataclass(frozen=True)
class BoundaryMeasures:
    """Measures of M decision boundaries.

    Attributes:
        length: (M,) length of the zero level, in units of the axes; 0 without a zero level.
        steepness: (M,) mean norm of the gradient of the values along it, per unit of the axes; NaN
            without a zero level.
    """

    length: NDArray[np.float64]
    steepness: NDArray[np.float64]


def measure_boundary(values: ArrayLike, *, extent: float) -> BoundaryMeasures:
    r"""Measure the zero level of functions on a square grid by marching squares.

    In each cell the level is the straight line between its crossings of the edges (linear
    interpolation). The gradient is that of the bilinear function at the middle of the cell,
    weighted by the length of the line.

    Args:
        values: (M, G, G) or (G, G) function values at `grid_points(extent, G)`, for instance the
            difference of the two logits $f_1 - f_0$.
        extent: Half the side of the square.

    Raises:
        ValueError: For values of another shape.

    >>> x, y = grid_points(2.0, 80).T.reshape(2, 80, 80)
    >>> circle = measure_boundary(1 - np.hypot(x, y), extent=2.0)
    >>> circle.length.round(2).tolist(), circle.steepness.round(2).tolist()   # 2 pi and 1
    ([6.28], [1.0])
    """
    extent = _checks.positive("extent", extent)
    v = _checks.array("values", values)
    v = v[None] if v.ndim == 2 else v
    if v.ndim != 3 or v.shape[1] != v.shape[2] or v.shape[1] < 2:
        raise ValueError(f"values must have shape (M, G, G) with G >= 2, got {v.shape}")
    if not np.isfinite(v).all():
        raise ValueError(f"{(~np.isfinite(v)).sum()} of {v.size} values are NaN or infinite")
    step = 2 * extent / v.shape[1]
    a, b, c, d = v[:, :-1, :-1], v[:, :-1, 1:], v[:, 1:, 1:], v[:, 1:, :-1]

    def crossing(p: NDArray[np.float64], q: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        crosses = (p > 0) != (q > 0)
        return crosses, np.where(crosses, p / np.where(crosses, p - q, 1), 0)

    (top, t), (right, r), (bottom, u), (left, s) = (
        crossing(a, b), crossing(b, c), crossing(d, c), crossing(a, d),
    )  # fmt: skip
    count = top.astype(int) + right + bottom + left
    # For two points |p - q|^2 = 2 (|p|^2 + |q|^2) - |p + q|^2, whichever edges they lie on.
    x = top * t + right * 1.0 + bottom * u
    y = right * r + bottom * 1.0 + left * s
    square = top * t**2 + right * (1 + r**2) + bottom * (u**2 + 1) + left * s**2
    length = np.where(count == 2, np.sqrt(np.maximum(2 * square - x**2 - y**2, 0)), 0)
    saddle = count == 4
    if saddle.any():
        # The sign in the middle decides which corners are connected.
        joined = ((a + b + c + d) > 0) == (a > 0)
        around_bd = np.hypot(1 - t, r) + np.hypot(u, 1 - s)
        around_ac = np.hypot(t, s) + np.hypot(1 - u, 1 - r)
        length = np.where(saddle, np.where(joined, around_bd, around_ac), length)
    gradient = np.hypot(b + c - a - d, a + b - c - d) / (2 * step)
    total = length.sum((1, 2))
    with np.errstate(invalid="ignore"):
        steepness = (gradient * length).sum((1, 2)) / total
    return BoundaryMeasures(total * step, steepness)
