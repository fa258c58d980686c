"""The two-dimensional data set of the paper's appendix A, restored from Fig. 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks

__all__ = ["POLYGON_VERTICES", "make_polygon_band", "signed_distance"]

POLYGON_VERTICES: tuple[tuple[float, float], ...] = (
    (-0.6, 0.0), (-0.6, -0.6), (0.2, -0.7), (0.7, 0.3), (0.3, 0.3), (0.0, -0.3),
)  # fmt: skip
"""The concave polygon, digitised from the paper's Fig. 4 to about 0.1."""


def signed_distance(
    points: ArrayLike, vertices: ArrayLike = POLYGON_VERTICES
) -> NDArray[np.float64]:
    """Euclidean distance to the boundary of a simple polygon, positive inside.

    Args:
        points: (n, 2) coordinates.
        vertices: (m, 2) corners in order, m >= 3; the last joins the first (which may be given
            again at the end).

    Returns:
        (n,) distances.

    Raises:
        ValueError: For arrays of another shape.

    >>> signed_distance([[0.5, 0.5], [2.0, 0.5]], [(0, 0), (1, 0), (1, 1), (0, 1)]).tolist()
    [0.5, -1.0]
    """
    p, a = _checks.array("points", points), _checks.array("vertices", vertices)
    if p.ndim != 2 or p.shape[1] != 2:
        raise ValueError(f"points must have shape (n, 2), got {p.shape}")
    if a.ndim != 2 or a.shape[1] != 2 or len(a) < 3:
        raise ValueError(f"vertices must have shape (m, 2) with m >= 3, got {a.shape}")
    for name, given in (("points", p), ("vertices", a)):
        if not np.isfinite(given).all():
            raise ValueError(f"{name} hold {(~np.isfinite(given)).sum()} NaN or infinite numbers")
    b = np.roll(a, -1, axis=0)
    edge = b - a
    to_point = p[:, None] - a
    # A repeated corner makes an edge of length 0; its nearest point is the corner.
    squared = (edge**2).sum(-1)
    along = np.clip((to_point * edge).sum(-1) / np.where(squared > 0, squared, 1), 0, 1)
    distance = np.sqrt(((to_point - along[..., None] * edge) ** 2).sum(-1)).min(1)
    # Even-odd rule: count the edges that a ray to the right crosses.
    y = p[:, None, 1]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = a[:, 0] + (y - a[:, 1]) * edge[:, 0] / edge[:, 1]
    inside = (spans & (p[:, None, 0] < crossing)).sum(1) % 2 == 1
    return np.where(inside, distance, -distance)


def _random_state(random_state: Any) -> np.random.Generator | np.random.RandomState:
    if isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return random_state
    if random_state is None or isinstance(_checks.plain(random_state), (int, float)):
        seed = None if random_state is None else _checks.integer("random_state", random_state, 0)
        return np.random.default_rng(seed)
    raise TypeError(
        f"random_state must be None, an int, a Generator or a RandomState, got {random_state!r}"
    )


def make_polygon_band(
    n_samples: int = 500,
    *,
    factor: float = 0.5,
    noise: float = 0.2,
    vertices: Sequence[Sequence[float]] | NDArray[np.float64] = POLYGON_VERTICES,
    band: float = 0.1,
    p_band: float = 0.5,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Two noisy rings of points, labelled by a concave polygon with an ambiguous band.

    Half of the points lie on the unit circle and half on the circle of radius `factor`, with
    Gaussian noise. A point is of class 1 if it lies inside the polygon by more than `band`, of
    class 0 if outside by more than `band`, and in between it is class 1 with probability `p_band`.

    Args:
        n_samples: Number of points, >= 2; if odd, the inner ring has one more.
        factor: Radius of the inner ring, in (0, 1).
        noise: Standard deviation of the noise, >= 0.
        vertices: (m, 2) corners of the polygon.
        band: Half-width of the band, >= 0.
        p_band: Probability of class 1 in the band.
        shuffle: Shuffle the points; without it the outer ring comes first.
        random_state: None, an int, a NumPy Generator or a RandomState.

    Returns:
        X of shape (n, 2), float64, and y of shape (n,), int64.

    Raises:
        ValueError: For an argument out of range.

    Source: paper appendix A; what it leaves out was read off its Fig. 4.
    Differs: vertices are good to about 0.1, the band to 0.1 ... 0.125.

    >>> X, y = make_polygon_band(500, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((500, 2), [0, 1])
    """
    n_samples = _checks.integer("n_samples", n_samples, 2)
    factor = _checks.number("factor", factor, 0, 1, ends="()")
    noise, band = _checks.non_negative("noise", noise), _checks.non_negative("band", band)
    p_band = _checks.number("p_band", p_band, 0, 1)
    rng = _random_state(random_state)
    outer = n_samples // 2
    radius = np.repeat([1.0, factor], [outer, n_samples - outer])
    angle = np.concatenate(
        [np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (outer, n_samples - outer)]
    )
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    if shuffle:
        points = points[rng.permutation(n_samples)]
    points = points + rng.normal(scale=noise, size=points.shape)
    distance = signed_distance(points, vertices)
    coin = rng.uniform(size=n_samples) < p_band
    labels = np.where(np.abs(distance) <= band, coin, distance > 0)
    return points, labels.astype(np.int64)
