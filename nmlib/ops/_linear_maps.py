"""Fixed linear maps along the axes of images: blurs, zooms and box filters."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib._devices import to_device

Matrix = NDArray[np.float64]


def reflect_index(index: NDArray[np.int64], size: int, mode: str) -> NDArray[np.int64]:
    """Map positions outside 0 ... size - 1 to positions inside.

    Args:
        index: Integer positions.
        size: Length of the axis.
        mode: "nearest" (a a | a b c | c c), "reflect" (b a | a b c | c b) or "mirror"
            (c b | a b c | b a).

    >>> reflect_index(np.arange(-2, 5), 3, "mirror").tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if mode == "nearest":
        return np.clip(index, 0, size - 1)
    if mode == "reflect":
        folded = np.mod(index, 2 * size)
        return np.minimum(folded, 2 * size - 1 - folded)
    if mode == "mirror":
        if size == 1:
            return np.zeros_like(index)
        folded = np.mod(index, 2 * size - 2)
        return np.minimum(folded, 2 * size - 2 - folded)
    raise ValueError(f"unknown boundary mode {mode!r}; choose nearest, reflect or mirror")


@functools.lru_cache(maxsize=128)
def blur_map(size: int, sigma: float, truncate: float = 4.0, mode: str = "nearest") -> Matrix:
    r"""Return the (size, size) matrix of a Gaussian filter along one axis.

    The weights are $\propto e^{-k^2/2\sigma^2}$ for $|k| \le \lfloor
    \text{truncate}\cdot\sigma+0.5 \rfloor$ and sum to one; `mode` is the boundary of
    `reflect_index`.

    >>> blur_map(5, 0.4)[2].round(3).tolist()
    [0.0, 0.04, 0.919, 0.04, 0.0]
    """
    radius = int(truncate * sigma + 0.5)
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    if radius == 0:
        return np.eye(size)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    for offset, weight in zip(offsets, weights, strict=True):
        np.add.at(matrix, (rows, reflect_index(rows + offset, size, mode)), weight)
    return matrix


@functools.lru_cache(maxsize=512)
def zoom_map(size: int, factor: float) -> Matrix:
    """Return the (size, size) matrix that magnifies the centre of an axis, bilinearly.

    It stretches the middle ceil(size / factor) pixels end to end, to a whole number of pixels, and
    keeps the middle `size` of them.

    >>> zoom_map(4, 1.0).tolist() == np.eye(4).tolist()
    True
    """
    crop = math.ceil(size / factor)
    start = (size - crop) // 2
    stretched = round(crop * factor)
    trim = (stretched - size) // 2
    step = (crop - 1) / (stretched - 1) if stretched > 1 else 0.0
    position = np.minimum(np.arange(trim, trim + size) * step, crop - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, crop - 1)
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    np.add.at(matrix, (rows, start + low), 1 - (position - low))
    np.add.at(matrix, (rows, start + high), position - low)
    return matrix


@functools.lru_cache(maxsize=64)
def box_map(size: int, out: int) -> Matrix:
    """Return the (out, size) matrix of Pillow's 8-bit BOX resampling, in multiples of 2^-22.

    >>> box_map(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    scale = size / out
    stretch = max(scale, 1.0)
    support = 0.5 * stretch
    matrix = np.zeros((out, size))
    for row in range(out):
        centre = (row + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        distance = (np.arange(first, last) - centre + 0.5) / stretch
        weights = ((distance > -0.5) & (distance <= 0.5)).astype(np.float64)
        weights /= weights.sum()
        matrix[row, first:last] = np.floor(0.5 + weights * 2**22) / 2**22
    return matrix


class BandedMap:
    """A linear map along one axis, applied block by block to skip the zeros of its matrix.

    Args:
        matrix: (out, size) weights.
        device: Device of the images. A CPU takes blocks of 16 outputs, others all in one product.
    """

    def __init__(self, matrix: Matrix, device: torch.device) -> None:
        self.out = len(matrix)
        self.blocks: list[tuple[slice, slice, Tensor]] = []
        block = 16 if device.type == "cpu" else self.out
        for start in range(0, self.out, block):
            part = matrix[start : start + block]
            used = np.flatnonzero(np.abs(part).sum(0))
            columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
            rows = slice(start, start + len(part))
            self.blocks.append((rows, columns, to_device(part[:, columns], device)))

    def __call__(self, x: Tensor) -> Tensor:
        """Map (size, m) float64 values to (out, m)."""
        result = x.new_empty((self.out, x.shape[1]))
        for rows, columns, part in self.blocks:
            torch.mm(part, x[columns], out=result[rows])
        return result


@functools.lru_cache(maxsize=256)
def banded(
    kind: Callable[..., Matrix], args: tuple[object, ...], device: torch.device
) -> BandedMap:
    """Return the cached map `kind(*args)` on a device."""
    return BandedMap(kind(*args), device)


def separable(x: Tensor, kind: Callable[..., Matrix], *args: object) -> Tensor:
    """Apply the map `kind(size, *args)` along the height and the width of (n, h, w, ...) numbers.

    Returns:
        (n, h, w, ...) float64, with the width outermost in memory.

    >>> round(separable(torch.ones(1, 4, 4), blur_map, 1.0).sum().item(), 9)
    16.0
    """
    n, h, w = x.shape[:3]
    rest = x.shape[3:]
    # Each product then has the mapped axis outermost, and long rows: (h, n, ..., w), its transpose.
    values = x.movedim(2, -1).transpose(0, 1).contiguous().to(torch.float64)
    rows = banded(kind, (h, *args), x.device)(values.reshape(h, -1))
    columns = banded(kind, (w, *args), x.device)(rows.reshape(-1, w).T)
    return columns.reshape(w, h, n, *rest).transpose(0, 2)


def to_columns(x: Tensor) -> Tensor:
    """Turn bytes (n, h, w, c) into float64 (h, w, c * n)."""
    n, h, w, c = x.shape
    columns = torch.empty((h * w * c, n), dtype=torch.float64, device=x.device)
    return columns.copy_(x.reshape(n, -1).T).reshape(h, w, c * n)


def from_columns(values: Tensor, channels: int) -> Tensor:
    """Turn (h, w, c * n) of any type into (n, h, w, c)."""
    h, w, m = values.shape
    n = m // channels
    return values.reshape(-1, n).T.contiguous().reshape(n, h, w, channels)


def _entries(a: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    row, column = np.nonzero(a)
    return row, column, a[row, column]


def _kron(
    a: Matrix, b: Matrix
) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix, tuple[int, int]]:
    """Return rows, columns, values and shape of the Kronecker product."""
    ai, aj, av = _entries(a)
    bi, bj, bv = _entries(b)
    row = (ai[:, None] * b.shape[0] + bi).ravel()
    column = (aj[:, None] * b.shape[1] + bj).ravel()
    return row, column, np.outer(av, bv).ravel(), (len(a) * len(b), a.shape[1] * b.shape[1])


def _csr(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    values: Matrix,
    shape: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """Build a sparse matrix; entries at the same position are added."""
    place, inverse = np.unique(row * shape[1] + column, return_inverse=True)
    row, column = np.divmod(place, shape[1])
    starts = np.searchsorted(row, np.arange(shape[0] + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            to_device(starts, device),
            to_device(column, device),
            to_device(np.bincount(inverse, values), device),
            size=shape,
            dtype=torch.float64,
            check_invariants=False,
        )


def sparse_map(terms: Sequence[tuple[Matrix, Matrix, float]], device: torch.device) -> Tensor:
    r"""Return $\sum_k w_k\, A_k \otimes B_k$ as a sparse (h*w, h*w) float64 matrix.

    Args:
        terms: (A, B, w); A acts on rows, B on columns.
        device: Device of the matrix.
    """
    parts = [_kron(a, b * weight) for a, b, weight in terms]
    row, column, values = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return _csr(row, column, values, parts[0][3], device)
