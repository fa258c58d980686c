r"""All random numbers of the toy lab, from counters: the browser and Python draw the same numbers.

A draw is a function of a key (seed, purpose) and a counter (position, index), without a state. So
moving one slider changes no other draw, any step can be drawn alone, and 32-bit integers are all
that a language needs: `static/engine.js` holds the same functions.

The integers come from Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers:
as easy as 1, 2, 3"), which passes the usual batteries of tests.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks

__all__ = [
    "PURPOSES",
    "Sequence",
    "initial_values",
    "integers",
    "normals",
    "permutations",
    "scale_quantile",
    "symmetric_beta",
    "uniforms",
    "words",
]

# The place of a purpose is half of the key: new ones go to the end.
PURPOSES = (
    "data", "test noise", "weights", "order", "lambda", "partner", "point", "window", "scale",
    "noise", "kept", "permutation", "map", "map partner", "map noise",
)  # fmt: skip
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)
_INTERVALS = 4096


def threefry(
    key: tuple[ArrayLike, ArrayLike], counter: tuple[ArrayLike, ArrayLike]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Encrypt two 32-bit words with a key of two words (Threefry-2x32, 20 rounds).

    >>> [f"{w[0]:08x}" for w in threefry((0, 0), (0, 0))]      # the published test vector
    ['6b200159', '99ba4efe']
    """
    # Arrays wrap around in silence, single numbers warn.
    k0, k1, x0, x1 = (np.atleast_1d(w).astype(np.uint32) for w in (*key, *counter))
    keys = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = x0 + k0, x1 + k1
    for r in range(20):
        turn = _ROTATIONS[r % 8]
        x0 = x0 + x1
        x1 = (x1 << np.uint32(turn)) | (x1 >> np.uint32(32 - turn))
        x1 = x1 ^ x0
        if r % 4 == 3:
            j = r // 4 + 1
            x0 = x0 + keys[j % 3]
            x1 = x1 + keys[(j + 1) % 3] + np.uint32(j)
    return x0, x1


def words(seed: ArrayLike, purpose: str, index: ArrayLike, count: int) -> NDArray[np.uint32]:
    """Return (..., count) 32-bit words for seeds and indices that broadcast to (...).

    Args:
        seed: Below 2^32.
        purpose: One of `PURPOSES`.
        index: E.g. the step, below 2^32.
        count: Number of words.

    >>> words(7, "lambda", [0, 1], 3).shape, int(words(7, "lambda", 0, 1)[0])
    ((2, 3), 2705011289)
    """
    place = PURPOSES.index(_checks.choice("purpose", purpose, PURPOSES))
    seed, index = np.asarray(seed)[..., None], np.asarray(index)[..., None]
    pairs = np.arange((count + 1) // 2)
    both = threefry((seed, place), (pairs, index))
    return np.stack(np.broadcast_arrays(*both), -1).reshape(*both[0].shape[:-1], -1)[..., :count]


def uniforms(seed: ArrayLike, purpose: str, index: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return (..., count) uniform numbers inside (0, 1): (word + 1/2) / 2^32."""
    return (words(seed, purpose, index, count).astype(np.float64) + 0.5) / 2.0**32


def integers(
    seed: ArrayLike, purpose: str, index: ArrayLike, count: int, below: int
) -> NDArray[np.int64]:
    """Return (..., count) integers in [0, below): word * below / 2^32, rounded down.

    Some are more frequent than others by at most below / 2^32.
    """
    found = words(seed, purpose, index, count).astype(np.float64)
    return np.floor(found * below / 2.0**32).astype(np.int64)


def normals(seed: ArrayLike, purpose: str, index: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return (..., count) standard normal numbers, two from a pair of words (Box and Muller)."""
    u = uniforms(seed, purpose, index, count + count % 2)
    radius, angle = np.sqrt(-2 * np.log(u[..., ::2])), 2 * np.pi * u[..., 1::2]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return both.reshape(*u.shape[:-1], -1)[..., :count]


def permutations(seed: ArrayLike, purpose: str, index: ArrayLike, size: int) -> NDArray[np.int64]:
    """Return (..., size) permutations: the order of as many words."""
    return np.argsort(words(seed, purpose, index, size), axis=-1, kind="stable")


def initial_values(sizes: tuple[int, ...], seed: ArrayLike) -> NDArray[np.float64]:
    r"""Return (..., parameters) initial values of a network, uniform on $\pm1/\sqrt{fan\ in}$.

    Layer after layer: the weights as (fan out, fan in), then the biases.

    >>> initial_values((2, 8, 2), [0, 1]).shape
    (2, 42)
    """
    layers = itertools.pairwise(sizes)
    values = [
        (2 * uniforms(seed, "weights", i, (fan_in + 1) * fan_out) - 1) / np.sqrt(fan_in)
        for i, (fan_in, fan_out) in enumerate(layers)
    ]
    return np.concatenate(values, -1)


class Sequence:
    """What `make_polygon_band` asks of a random state, call after call."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._key, self._calls = (_checks.integer("seed", seed, 0, 2**32 - 1), purpose), 0

    def _next(self) -> tuple[int, str, int]:
        self._calls += 1
        return (*self._key, self._calls - 1)

    def permutation(self, size: int) -> NDArray[np.int64]:
        """Return a permutation of `size` numbers."""
        return permutations(*self._next(), size)

    def normal(self, *, scale: float, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Return normal numbers of a shape."""
        return scale * normals(*self._next(), int(np.prod(size))).reshape(size)

    def uniform(self, *, size: int) -> NDArray[np.float64]:
        """Return uniform numbers."""
        return uniforms(*self._next(), size)


# -- quantiles ------------------------------------------------------------------------------------


def _cumulated(density: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return total / total[-1]


@lru_cache(maxsize=64)
def _half_of_beta(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if alpha <= 1:
        grid = np.arange(_INTERVALS + 1) / _INTERVALS
        density = (1 - 0.5 * grid ** (1 / alpha)) ** (alpha - 1)
    else:
        # From where the density is e^-60 of its largest value.
        start = -2 * np.arcsinh(np.sqrt(np.expm1(60 / alpha)))
        grid = start * (1 - np.arange(4 * _INTERVALS + 1) / (4 * _INTERVALS))
        density = np.exp(-alpha * np.log1p(np.sinh(grid / 2) ** 2))
    return grid, _cumulated(density)


def symmetric_beta(u: ArrayLike, alpha: float) -> NDArray[np.float64]:
    r"""Quantile function of $Beta(\alpha, \alpha)$, to about 1e-6 from $\alpha = 0.1$ on.

    A draw as a function of a uniform number changes smoothly with $\alpha$: a slider that moves
    $\alpha$ moves every $\lambda$ a little instead of drawing new ones.

    For $\alpha < 1$ the substitution $t = \tfrac12 v^{1/\alpha}$ turns the lower half of the
    integral into $\int_0^v (1 - \tfrac12 w^{1/\alpha})^{\alpha-1} dw$, without a singularity;
    above, $t = 1/(1+e^{-s})$ makes it $\int_{-\infty}^s \cosh^{-2\alpha}(r/2)\,dr$, narrow or not.

    Args:
        u: Probabilities in [0, 1].
        alpha: > 0.

    >>> symmetric_beta([0.1, 0.5, 0.9], 1.0).round(6).tolist()
    [0.1, 0.5, 0.9]
    """
    alpha = float(_checks.positive("alpha", alpha))
    grid, cumulative = _half_of_beta(alpha)
    u = _checks.array("u", u)
    mass = 2 * np.minimum(u, 1 - u)
    v = np.interp(mass, cumulative, grid)
    half = 0.5 * v ** (1 / alpha) if alpha <= 1 else (mass > 0) / (1 + np.exp(-v))
    return np.where(u < 0.5, half, 1 - half)


@lru_cache(maxsize=1)
def _scale_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grid = np.arange(_INTERVALS + 1) / _INTERVALS
    return grid, _cumulated(grid * (1 - grid) ** 4)


def scale_quantile(u: ArrayLike) -> NDArray[np.float64]:
    """Quantile function of Beta(2, 5), the scale of the released noise, to about 1e-6.

    >>> scale_quantile([0.0, 0.5, 1.0]).round(3).tolist()
    [0.0, 0.264, 1.0]
    """
    grid, cumulative = _scale_table()
    return np.interp(_checks.array("u", u), cumulative, grid)
