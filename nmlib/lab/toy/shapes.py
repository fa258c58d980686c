"""Data of the toy lab: the paper's polygon band, and other common shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.data import make_polygon_band
from nmlib.lab.toy.draws import Sequence

__all__ = ["SHAPES", "toy_data"]

Points = NDArray[np.float64]
# (classes, (n, 2) uniform numbers, place within the class in [0, 1)) to (n, 2) points
Shape = Callable[[NDArray[np.int64], Points, Points], Points]


def _polar(radius: Points, angle: Points) -> Points:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _circle(label: NDArray[np.int64], u: Points, _: Points) -> Points:
    radius = np.where(label == 1, 0.55 * np.sqrt(u[:, 0]), 0.85 + 0.4 * u[:, 0])
    return _polar(radius, 2 * np.pi * u[:, 1])


def _xor(label: NDArray[np.int64], u: Points, _: Points) -> Points:
    side = np.where(u[:, 1] < 0.5, 1, -1)
    x, y = 0.1 + 1.1 * u[:, 0], 0.1 + 1.1 * np.abs(2 * u[:, 1] - 1)
    return np.stack([side * x, np.where(label == 1, side, -side) * y], 1)


def _gaussians(label: NDArray[np.int64], u: Points, _: Points) -> Points:
    return np.repeat(np.where(label == 1, 0.55, -0.55)[:, None], 2, axis=1)


def _spiral(label: NDArray[np.int64], _: Points, part: Points) -> Points:
    angle = 3.5 * np.pi * part + np.pi * label
    return _polar(0.1 + 1.15 * part, angle)[:, ::-1]


def _moons(label: NDArray[np.int64], _: Points, part: Points) -> Points:
    x, y = np.cos(np.pi * part), np.sin(np.pi * part)
    upper, lower = np.stack([x - 0.5, y - 0.25], 1), np.stack([0.5 - x, 0.25 - y], 1)
    return 0.8 * np.where(label[:, None] == 1, lower, upper)


# How much of the noise a shape bears: its standard deviation at noise 1.
_SHAPES: dict[str, tuple[Shape, float]] = {
    "circle": (_circle, 0.6),
    "xor": (_xor, 0.5),
    "gaussians": (_gaussians, 1.0),
    "spiral": (_spiral, 0.3),
    "moons": (_moons, 0.75),
}

SHAPES: dict[str, str] = {
    "band": "the paper's polygon, a small class with an uncertain edge",
    "circle": "a disc inside a ring",
    "xor": "exclusive or: opposite quarters belong together",
    "gaussians": "two clouds",
    "spiral": "two arms around each other",
    "moons": "two half circles around each other's ends",
}
"""Shapes of the data, in words."""


def toy_data(
    shape: str = "band", *, seed: int = 0, noise: float = 0.2, n_samples: int = 500
) -> tuple[Points, NDArray[np.int64]]:
    """Return points of two classes; `static/engine.js` draws the same ones.

    Args:
        shape: One of `SHAPES`; "band" is `nmlib.make_polygon_band` with other draws.
        seed: Below 2^32.
        noise: Standard deviation of the points around the band's rings, >= 0; other shapes bear
            less, by a factor of their own.
        n_samples: Number of points, half of each class (but for the band), >= 2.

    Returns:
        X of shape (n, 2), float64, and y of shape (n,), int64, shuffled.

    >>> X, y = toy_data("moons", noise=0.1)
    >>> X.shape, float(y.mean())
    ((500, 2), 0.5)
    """
    _checks.choice("shape", shape, SHAPES)
    draws = Sequence(seed, "data")
    if shape == "band":
        return make_polygon_band(n_samples, noise=noise, random_state=draws)
    n_samples = _checks.integer("n_samples", n_samples, 2)
    noise = _checks.non_negative("noise", noise)
    at, spread = _SHAPES[shape]
    ones = n_samples // 2
    zeros = n_samples - ones
    order = draws.permutation(n_samples)
    shift = draws.normal(scale=spread * noise, size=(n_samples, 2))
    u = draws.uniform(size=2 * n_samples).reshape(-1, 2)
    label = (order >= zeros).astype(np.int64)
    part = np.where(label == 1, (order - zeros) / ones, order / zeros)
    return at(label, u, part) + shift, label
