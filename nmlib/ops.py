"""Batched image operations: fixed linear maps, the nine operations of AugMix, 8-bit rounding.

Linear maps run in float64 and are rounded to bytes with a small guard (`to_bytes`). A different
order of summation (another device, batch size or number of threads) then cannot change a pixel.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = [
    "SPARSE_PIXELS",
    "BandedMap",
    "Positions",
    "affine",
    "affine_matrix",
    "autocontrast",
    "banded",
    "blur_map",
    "box_map",
    "equalize",
    "from_columns",
    "invert",
    "on_device",
    "positions",
    "posterize",
    "reflect_index",
    "rotate",
    "rotation",
    "sample",
    "separable",
    "separable_columns",
    "shear_x",
    "shear_y",
    "sheared_positions",
    "solarize",
    "sparse_map",
    "to_bytes",
    "to_columns",
    "translate_groups",
    "translate_x",
    "translate_y",
    "turned_positions",
    "zoom_map",
]

Matrix = NDArray[np.float64]

_GUARD = {torch.float32: 2.0**-10, torch.float64: 2.0**-26}


def to_bytes(values: Tensor) -> Tensor:
    r"""Truncate grey levels to uint8, as the benchmarks do, after clipping to 0 ... 255.

    $\lfloor \min(\max(v, 0), 255) + g \rfloor$: the guard g, $2^{-10}$ in single and $2^{-26}$ in
    double precision, keeps a value that is a whole number up to rounding error (a flat region
    after a blur) at that number.

    Args:
        values: Any shape, grey levels; changed in place.

    >>> to_bytes(torch.tensor([-3.0, 7.99, 127.9999, 300.0])).tolist()
    [0, 7, 128, 255]
    """
    # By way of int32, which is twice as fast as straight to bytes.
    return values.clamp_(0, 255).add_(_GUARD[values.dtype]).to(torch.int32).to(torch.uint8)


def on_device(build: Callable[..., NDArray]) -> Callable[..., Tensor]:
    """Turn a builder of arrays into a cached builder of tensors with a `device` argument."""

    @functools.lru_cache(maxsize=256)
    def cached(*args: object, device: torch.device) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(build(*args))).to(device)

    return functools.wraps(build)(cached)


def reflect_index(index: NDArray[np.int64], size: int, mode: str) -> NDArray[np.int64]:
    """Fold positions outside 0 ... size - 1 back in.

    Args:
        index: Integer positions.
        size: Number of samples.
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

    Weights $\propto e^{-k^2/2\sigma^2}$ for $|k| \le \lfloor \text{truncate}\cdot\sigma+0.5
    \rfloor$, summing to one; the boundary is folded in by `mode`.

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

    The middle ceil(size / factor) samples are stretched, end to end, to the nearest whole number
    of samples, and the middle `size` of these are kept.

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
    """Return the (out, size) matrix of Pillow's 8-bit BOX resampling, whole multiples of 2^-22.

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
        device: Where the map is applied.
        block: Number of outputs that are computed together.
    """

    def __init__(self, matrix: Matrix, device: torch.device, block: int = 32) -> None:
        self.out, self.size = matrix.shape
        self.blocks: list[tuple[slice, slice, Tensor]] = []
        for start in range(0, self.out, block):
            rows = matrix[start : start + block]
            used = np.flatnonzero(np.abs(rows).sum(0))
            first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            part = torch.from_numpy(np.ascontiguousarray(rows[:, first:last]))
            stop = min(start + block, self.out)
            self.blocks.append((slice(start, stop), slice(first, last), part.to(device)))

    def along_columns(self, x: Tensor) -> Tensor:
        """Map the last axis of (..., size) float64 values to (..., out)."""
        flat = x.reshape(-1, self.size)
        if len(self.blocks) == 1 and self.blocks[0][2].shape[1] == self.size:
            result = flat @ self.blocks[0][2].T
        else:
            result = flat.new_empty((len(flat), self.out))
            for rows, columns, part in self.blocks:
                result[:, rows] = flat[:, columns] @ part.T
        return result.reshape(*x.shape[:-1], self.out)

    def along_rows(self, x: Tensor) -> Tensor:
        """Map axis 1 of (m, size, w) float64 values to (m, out, w)."""
        if len(self.blocks) == 1 and self.blocks[0][2].shape[1] == self.size:
            return torch.matmul(self.blocks[0][2], x)
        result = x.new_empty((len(x), self.out, x.shape[2]))
        for rows, columns, part in self.blocks:
            torch.matmul(part, x[:, columns], out=result[:, rows])
        return result


@functools.lru_cache(maxsize=256)
def banded(
    kind: Callable[..., Matrix], args: tuple[object, ...], device: torch.device
) -> BandedMap:
    """Return the map `kind(*args)` on a device, built once."""
    return BandedMap(kind(*args), device)


def separable(planes: Tensor, kind: Callable[..., Matrix], *args: object) -> Tensor:
    """Apply the map `kind(size, *args)` along both axes of (m, h, w) float64 planes.

    >>> separable(torch.ones(1, 4, 4, dtype=torch.float64), blur_map, 1.0).sum().item()
    16.0
    """
    rows = banded(kind, (planes.shape[1], *args), planes.device)
    columns = banded(kind, (planes.shape[2], *args), planes.device)
    return rows.along_rows(columns.along_columns(planes))


# Rows with more weights than this go through dense blocks, larger images too.
_SPARSE_WIDTH = 48
SPARSE_PIXELS = 512 * 512
"""Images of more pixels do not get a sparse matrix of the whole image."""


@functools.lru_cache(maxsize=64)
def _sparse_pair(
    kind: Callable[..., Matrix], height: tuple, width: tuple, device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """Return the row map (h', h) and the column map (h' * w', h' * w), sparse, if that pays."""
    a, b = kind(*height), kind(*width)
    if max(np.count_nonzero(a, 1).max(), np.count_nonzero(b, 1).max()) > _SPARSE_WIDTH:
        return None
    if max(a.shape) * max(b.shape) > SPARSE_PIXELS:
        return None
    return _csr(*_entries(a), a.shape, device), _csr(*_kron(np.eye(len(a)), b), device)


def separable_columns(
    x: Tensor, kind: Callable[..., Matrix], height: tuple, width: tuple
) -> Tensor:
    """Apply `kind(*height)` to the rows and `kind(*width)` to the columns of (h, w, m) values.

    Args:
        x: (h, w, m) float64; m counts whatever is treated alike (images, channels).
        kind: Builder of a matrix.
        height: Its arguments for the first axis.
        width: Its arguments for the second axis.

    Returns:
        (h', w', m).
    """
    pair = _sparse_pair(kind, height, width, x.device)
    h, w, m = x.shape
    if pair is None:
        planes = x.permute(2, 0, 1).contiguous()
        planes = banded(kind, width, x.device).along_columns(planes)
        return banded(kind, height, x.device).along_rows(planes).permute(1, 2, 0).contiguous()
    rows = (pair[0] @ x.reshape(h, w * m)).reshape(-1, m)
    return (pair[1] @ rows).reshape(len(pair[0]), -1, m)


def to_columns(x: Tensor) -> Tensor:
    """Bytes (n, h, w, c) to float64 (h, w, c * n): one image position a row."""
    n, h, w, c = x.shape
    if n == 1:
        return x.to(torch.float64).reshape(h, w, c)
    columns = torch.empty((h * w * c, n), dtype=torch.float64, device=x.device)
    return columns.copy_(x.reshape(n, -1).T).reshape(h, w, c * n)


def from_columns(values: Tensor, channels: int) -> Tensor:
    """(h, w, c * n) to (n, h, w, c), any type."""
    h, w, m = values.shape
    n = m // channels
    if n == 1:
        return values.reshape(1, h, w, channels)
    return values.reshape(-1, n).T.contiguous().reshape(n, h, w, channels)


def _entries(a: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    row, column = np.nonzero(a)
    return row, column, a[row, column]


def _kron(
    a: Matrix, b: Matrix
) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix, tuple[int, int]]:
    """Rows, columns, values and shape of the Kronecker product."""
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
    """Sum the entries into a sparse matrix."""
    place, inverse = np.unique(row * shape[1] + column, return_inverse=True)
    row, column = np.divmod(place, shape[1])
    starts = np.searchsorted(row, np.arange(shape[0] + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(starts),
            torch.from_numpy(column),
            torch.from_numpy(np.bincount(inverse, values)),
            size=shape,
            dtype=torch.float64,
            check_invariants=False,
        ).to(device)


def sparse_map(terms: Sequence[tuple[Matrix, Matrix, float]], device: torch.device) -> Tensor:
    r"""Return $\sum_k w_k\, A_k \otimes B_k$ as a sparse (h*w, h*w) float64 matrix.

    Args:
        terms: (A, B, w): A acts on rows, B on columns.
        device: Where the matrix shall live.
    """
    parts = [_kron(a, b * weight) for a, b, weight in terms]
    row, column, values = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return _csr(row, column, values, parts[0][3], device)


# -- the nine operations of AugMix ----------------------------------------------------------------

# Parameters come one a sample or one for all.
Parameter = float | Sequence[float] | NDArray | Tensor


def _check_bytes(x: Tensor) -> None:
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise ValueError(
            f"images must be uint8 of shape (n, c, h, w), got {x.dtype} of shape "
            f"{tuple(x.shape)}; use (255 * x).round().to(torch.uint8) for values in [0, 1]"
        )


def _for_each(name: str, value: Parameter, x: Tensor) -> Tensor:
    """Return one value a sample, (n,), float64 on the host unless given on an accelerator."""
    if isinstance(value, Tensor):
        # On an accelerator as it is: a look at the values would wait for the device.
        values = value.to(torch.float64) if value.device.type == "cpu" else value
    else:
        values = torch.from_numpy(np.array(value, dtype=np.float64))
    if values.shape not in ((), (len(x),)):
        raise ValueError(
            f"{name} must be one number or one for each of the {len(x)} images, got shape "
            f"{tuple(values.shape)}"
        )
    if values.device.type == "cpu" and not np.isfinite(values.numpy().sum()):
        raise ValueError(f"{name} must be finite, got {value}")
    return values.expand(len(x))


def _whole(name: str, value: Parameter, x: Tensor, low: int, high: int) -> Tensor:
    """Return whole numbers in [low, high], one a sample, as (n, 1, 1, 1) on the device of x."""
    values = _for_each(name, value, x)
    if values.device.type == "cpu" and len(values):
        numbers = values.numpy()
        if not (numbers.min() >= low and numbers.max() <= high and (numbers % 1 == 0).all()):
            raise ValueError(f"{name} must be whole numbers from {low} to {high}, got {value}")
    return values.to(x.device, torch.int32).view(-1, 1, 1, 1)


def _doubles(x: Tensor) -> torch.device:
    # Apple's accelerator has no double precision; what needs it is small.
    return torch.device("cpu") if x.device.type == "mps" else x.device


def _planes(x: Tensor) -> Tensor:
    """Return bytes as (n * c, h * w) indices, one channel of one image a row."""
    return x.reshape(x.shape[0] * x.shape[1], -1).to(torch.int64)


def autocontrast(x: Tensor) -> Tensor:
    r"""Stretch each channel of each image to the full range.

    $v \mapsto \lfloor 255\,(v - v_{min}) / (v_{max} - v_{min}) \rfloor$; a constant channel stays.
    Equal to Pillow's `ImageOps.autocontrast` on every pixel.

    Args:
        x: (n, c, h, w) uint8.

    Source: AugMix (arXiv 1912.02781), operation 1 of 9; paper eq. 1.

    >>> autocontrast(torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)).tolist()
    [[[[0, 127, 255]]]]
    """
    _check_bytes(x)
    if not x.numel():
        return x.clone()
    planes, place = x.reshape(x.shape[0] * x.shape[1], -1), _doubles(x)
    low = planes.amin(1, keepdim=True).to(place, torch.float64)
    high = planes.amax(1, keepdim=True).to(place, torch.float64)
    # Pillow's order of operations in double precision, so that the same values are cut off.
    # A number over a tensor would be taken as its reciprocal, rounded, times the number.
    span = (high - low).clamp_min_(1)
    scale = torch.full_like(span, 255.0).div_(span)
    grey = torch.arange(256, dtype=torch.float64, device=place)
    table = (grey * scale).sub_(low * scale).clamp_(0, 255)
    table = torch.where(high > low, table, grey).to(torch.uint8).to(x.device)
    return table.gather(1, _planes(x)).view_as(x)


def equalize(x: Tensor) -> Tensor:
    r"""Flatten the histogram of each channel of each image.

    $v \mapsto \lfloor (\lfloor s/2 \rfloor + \#\{pixels < v\}) / s \rfloor$ with
    $s = \lfloor (hw - \#\{pixels = v_{max}\}) / 255 \rfloor$; the channel stays if s = 0. Equal to
    Pillow's `ImageOps.equalize` on every pixel.

    Args:
        x: (n, c, h, w) uint8.

    Source: AugMix (arXiv 1912.02781), operation 2 of 9; paper eq. 1.

    >>> equalize(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))[0, 0, 0, :4].tolist()
    [0, 1, 2, 3]
    """
    _check_bytes(x)
    if not x.numel():
        return x.clone()
    index = _planes(x)
    one = torch.ones((), dtype=torch.int32, device=x.device).expand_as(index)
    counts = one.new_zeros(len(index), 256).scatter_add_(1, index, one)
    brightest = x.reshape(len(index), -1).amax(1, keepdim=True).to(torch.int64)
    step = (index.shape[1] - counts.gather(1, brightest)).div_(255, rounding_mode="trunc")
    below = counts.cumsum(1, dtype=torch.int32).sub_(counts)
    table = below.add_(step >> 1).div_(step.clamp_min(1), rounding_mode="trunc").clamp_(max=255)
    grey = torch.arange(256, dtype=torch.int32, device=x.device)
    table = torch.where(step > 0, table, grey).to(torch.uint8)
    return table.gather(1, index).view_as(x)


def posterize(x: Tensor, bits: Parameter) -> Tensor:
    """Keep the highest bits of every value; equal to Pillow's `ImageOps.posterize`.

    Args:
        x: (n, c, h, w) uint8.
        bits: Whole numbers 1 to 8, one a sample or one for all.

    Source: AugMix (arXiv 1912.02781), operation 3 of 9; paper eq. 1.

    >>> posterize(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), 3).item()
    224
    """
    _check_bytes(x)
    dropped = 8 - _whole("bits", bits, x, 1, 8)
    return x & (256 - (1 << dropped)).to(torch.uint8)


def invert(x: Tensor, lowest: Tensor) -> Tensor:
    """Return 255 - v where v >= lowest, else v; uint8 tensors that broadcast.

    >>> invert(torch.tensor([9, 10, 255], dtype=torch.uint8), torch.tensor(10).byte()).tolist()
    [9, 245, 0]
    """
    above = torch.empty_like(x, memory_format=torch.contiguous_format)
    # Written as bytes: many times faster on a CPU than as truth values.
    torch.ge(x, lowest, out=above)
    # 1 becomes 255, and 255 - v has the bits of v flipped.
    return above.neg_().bitwise_xor_(x)


def solarize(x: Tensor, threshold: Parameter) -> Tensor:
    """Invert values from a threshold upwards; equal to Pillow's `ImageOps.solarize`.

    Args:
        x: (n, c, h, w) uint8.
        threshold: Grey levels, whole numbers 0 (inverts all) to 256 (inverts nothing), one a
            sample or one for all.

    Source: AugMix (arXiv 1912.02781), operation 5 of 9; paper eq. 1.

    >>> solarize(torch.tensor([[[[199, 200, 255]]]], dtype=torch.uint8), 200).tolist()
    [[[[199, 55, 0]]]]
    """
    _check_bytes(x)
    level = _whole("threshold", threshold, x, 0, 256)
    # No byte reaches 256: there the image is left as it is.
    inverted = invert(x, level.clamp(max=255).to(torch.uint8))
    return torch.where(level == 256, x, inverted) if bool((level == 256).any()) else inverted


def affine(x: Tensor, matrix: Tensor) -> Tensor:
    r"""Resample images at $(a x' + b y' + c,\; d x' + e y' + f)$, bilinearly, outside black.

    $x', y'$ are the centres of the pixels of the result, $k + \tfrac12$. Pillow's
    `Image.transform(size, AFFINE, (a, b, c, d, e, f), BILINEAR)`: the source position, and with it
    what is black, is found in double precision as there; the weights are single precision, so that
    a value may fall on the other side of a whole number (1 grey level). Samples within half a
    pixel of the border repeat the outermost pixel.

    Args:
        x: (n, c, h, w) uint8.
        matrix: (n, 6) float64, the six numbers for each image.

    >>> x = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4)
    >>> affine(x, torch.tensor([[1.0, 0, 1, 0, 1, 0]], dtype=torch.float64)).tolist()
    [[[[1, 2, 3, 0]]]]
    """
    _check_bytes(x)
    if matrix.shape != (len(x), 6):
        raise ValueError(f"matrix must have shape ({len(x)}, 6), got {tuple(matrix.shape)}")
    if not x.numel():
        return x.clone()
    return sample(x, positions(matrix.to(_doubles(x), torch.float64), *x.shape[2:]))


class Positions(NamedTuple):
    """Where each pixel of (n, h, w) images comes from.

    Attributes:
        grid: (n, h, w, 2) float32, in the units of `torch.nn.functional.grid_sample`.
        inside: (n, h, w) uint8, 0 where it lies outside.
    """

    grid: Tensor
    inside: Tensor


def positions(matrix: Tensor, height: int, width: int) -> Positions:
    """Return where `affine` looks.

    Args:
        matrix: (n, 6) float64.
        height: Of the images.
        width: Of the images.
    """
    a, b, c, d, e, f = matrix.view(-1, 6, 1, 1).unbind(1)
    column = torch.arange(width, dtype=torch.float64, device=matrix.device) + 0.5
    row = (torch.arange(height, dtype=torch.float64, device=matrix.device) + 0.5).unsqueeze(1)
    # In the order of the C code: (a x' + b y') + c.
    across = (a * column + b * row).add_(c)
    down = (d * column + e * row).add_(f)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    across = across.sub_(width / 2).mul_(2 / width)
    down = down.sub_(height / 2).mul_(2 / height)
    return Positions(torch.stack((across.float(), down.float()), -1), inside.to(torch.uint8))


def sample(x: Tensor, where: Positions) -> Tensor:
    """Return (n, c, h, w) uint8 images read at positions, bilinearly, outside black."""
    values = functional.grid_sample(
        x.float(),
        where.grid.to(x.device),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    # Averages of bytes need no clipping, and int16 is the fastest way to bytes.
    values = values.add_(_GUARD[torch.float32]).to(torch.int16).to(torch.uint8)
    return values.mul_(where.inside.to(x.device).unsqueeze(1))


def affine_matrix(
    a: Parameter = 1, b: Parameter = 0, c: Parameter = 0, d: Parameter = 0, e: Parameter = 1,
    f: Parameter = 0,
) -> Tensor:  # fmt: skip
    """Stack the six numbers of `affine`, each one a sample or one for all, as (n, 6) float64."""
    parts = [torch.as_tensor(v, dtype=torch.float64).reshape(-1) for v in (a, b, c, d, e, f)]
    # One on an accelerator takes the others there.
    place = next((p.device for p in parts if p.device.type != "cpu"), torch.device("cpu"))
    return torch.stack(torch.broadcast_tensors(*(p.to(place) for p in parts)), dim=1)


@functools.lru_cache(maxsize=4096)
def rotation(degrees: float, height: int, width: int) -> tuple[float, ...]:
    """Return the six numbers of `affine` that turn an image about its centre, anticlockwise.

    >>> rotation(90, 4, 4)
    (0.0, -1.0, 4.0, 1.0, 0.0, 0.0)
    """
    # As Pillow rounds them: its border, black or not, hangs on the last bit.
    angle = -math.radians(degrees % 360.0)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2.0, height / 2.0
    across = cosine * -x + sine * -y + 0.0 + x
    down = -sine * -x + cosine * -y + 0.0 + y
    return cosine, sine, across, -sine, cosine, down


def rotate(x: Tensor, degrees: Parameter) -> Tensor:
    """Turn images about their centres, anticlockwise, bilinearly; corners become black.

    Pillow's `Image.rotate(degrees, BILINEAR)`, to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        degrees: One a sample or one for all.

    Source: AugMix (arXiv 1912.02781), operation 4 of 9; paper eq. 1.

    >>> rotate(torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8), 90).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    _check_bytes(x)
    if not x.numel():
        return x.clone()
    return sample(x, turned_positions(_for_each("degrees", degrees, x).cpu().numpy(), *x.shape[2:]))


def turned_positions(degrees: NDArray[np.float64], height: int, width: int) -> Positions:
    """Return where `rotate` looks, on the host.

    Args:
        degrees: (n,) angles.
        height: Of the images.
        width: Of the images.
    """
    numbers = degrees.tolist()
    if height * width <= _CACHED_PIXELS and numbers and (degrees % 1 == 0).all():
        # Whole degrees come again and again.
        kept = [_turned(number, height, width) for number in numbers]
        return Positions(torch.stack([p.grid for p in kept]), torch.stack([p.inside for p in kept]))
    rows = [rotation(number, height, width) for number in numbers]
    return positions(torch.tensor(rows, dtype=torch.float64).view(-1, 6), height, width)


_CACHED_PIXELS = 256 * 256


@functools.lru_cache(maxsize=128)
def _turned(degrees: float, height: int, width: int) -> Positions:
    matrix = torch.tensor([rotation(degrees, height, width)], dtype=torch.float64)
    found = positions(matrix, height, width)
    return Positions(found.grid[0], found.inside[0])


def sheared_positions(slope: NDArray[np.float64], axis: int, height: int, width: int) -> Positions:
    r"""Return where a shear looks, on the host: `positions` line by line, many times faster.

    Pixel k of line l along `axis` is read at $k + \text{slope}\,(l + \tfrac12)$.

    Args:
        slope: (n,) pixels a line.
        axis: 3 shears rows sideways, 2 columns up and down.
        height: Of the images.
        width: Of the images.
    """
    length, lines = (width, height) if axis == 3 else (height, width)
    shift = slope[:, None] * (np.arange(lines) + 0.5)

    def count_below(limit: int) -> NDArray[np.float64]:
        # Pixels k with (k + 0.5) + shift < limit, as rounded: estimated, then put right by one.
        k = np.minimum(np.maximum(np.ceil(limit - 0.5 - shift), 0), length)
        k -= (k > 0) & ((k - 0.5) + shift >= limit)
        k += (k < length) & ((k + 0.5) + shift < limit)
        return k

    across = 2 if axis == 3 else 1
    # Compared as small integers: many times faster on a CPU than into truth values.
    limits = np.stack((count_below(0), count_below(length))).astype(np.int32)
    begin, end = torch.from_numpy(limits).unsqueeze(across + 1)
    k = torch.arange(length, dtype=torch.int32)
    k = k if axis == 3 else k.unsqueeze(1)
    flags = torch.empty((2, len(slope), height, width), dtype=torch.int32)
    torch.ge(k, begin, out=flags[0])
    torch.lt(k, end, out=flags[1])
    grid = _pixel_grid(height, width).repeat(len(slope), 1, 1, 1)
    moved = torch.from_numpy((shift * (2 / length)).astype(np.float32)).unsqueeze(across)
    grid[..., 0 if axis == 3 else 1] += moved
    return Positions(grid, flags[0].mul_(flags[1]).to(torch.uint8))


@functools.lru_cache(maxsize=16)
def _pixel_grid(height: int, width: int) -> Tensor:
    return positions(affine_matrix(), height, width).grid


def translate_groups(x: Tensor, pixels: NDArray[np.float64], axis: int) -> Tensor:
    """Shift (n, c, h, w) images by whole pixels along an axis, for a CPU.

    Neighbours that move alike are moved together, so that images sorted by shift go fastest.
    """
    moved = torch.empty_like(x, memory_format=torch.contiguous_format)
    size = x.shape[axis]
    ends = [*(np.flatnonzero(pixels[1:] != pixels[:-1]) + 1).tolist(), len(pixels)]
    first = 0
    for end in ends:
        k = int(max(-size, min(size, pixels[first])))
        source, target = x[first:end], moved[first:end]
        if k > 0:
            target.narrow(axis, 0, size - k).copy_(source.narrow(axis, k, size - k))
            target.narrow(axis, size - k, k).zero_()
        else:
            target.narrow(axis, -k, size + k).copy_(source.narrow(axis, 0, size + k))
            target.narrow(axis, 0, -k).zero_()
        first = end
    return moved


def _shear(x: Tensor, slope: Parameter, axis: int) -> Tensor:
    _check_bytes(x)
    values = _for_each("slope", slope, x)
    if x.device.type == "cpu" and values.device.type == "cpu" and x.numel():
        return sample(x, sheared_positions(values.numpy(), axis, *x.shape[2:]))
    return affine(x, affine_matrix(**{"b" if axis == 3 else "d": values}))


def _translate(x: Tensor, pixels: Parameter, axis: int) -> Tensor:
    _check_bytes(x)
    values = _for_each("pixels", pixels, x)
    on_cpu = x.device.type == "cpu" and values.device.type == "cpu" and x.numel() > 0
    if on_cpu and bool((values % 1 == 0).all()):
        return translate_groups(x, values.numpy(), axis)
    return affine(x, affine_matrix(**{"c" if axis == 3 else "f": values}))


def shear_x(x: Tensor, slope: Parameter) -> Tensor:
    """Shift every row by slope times its distance from the top, bilinearly; the rest is black.

    Pillow's `Image.transform(size, AFFINE, (1, slope, 0, 0, 1, 0), BILINEAR)`, to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        slope: Pixels a row, one a sample or one for all; positive moves the picture left.

    Source: AugMix (arXiv 1912.02781), operation 6 of 9; paper eq. 1.

    >>> shear_x(torch.tensor([[[[8, 8], [0, 8]]]], dtype=torch.uint8), 0.5).tolist()
    [[[[8, 8], [6, 0]]]]
    """
    return _shear(x, slope, 3)


def shear_y(x: Tensor, slope: Parameter) -> Tensor:
    """Shift every column by slope times its distance from the left; see `shear_x`.

    Pillow's `Image.transform(size, AFFINE, (1, 0, 0, slope, 1, 0), BILINEAR)`, to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        slope: Pixels a column, one a sample or one for all; positive moves the picture up.

    Source: AugMix (arXiv 1912.02781), operation 7 of 9; paper eq. 1.

    >>> shear_y(torch.tensor([[[[8, 0], [8, 8]]]], dtype=torch.uint8), 0.5).tolist()
    [[[[8, 6], [8, 0]]]]
    """
    return _shear(x, slope, 2)


def translate_x(x: Tensor, pixels: Parameter) -> Tensor:
    """Shift images sideways; what comes in is black.

    Pillow's `Image.transform(size, AFFINE, (1, 0, pixels, 0, 1, 0), BILINEAR)`, to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        pixels: One a sample or one for all; positive moves the picture left.

    Source: AugMix (arXiv 1912.02781), operation 8 of 9; paper eq. 1.

    >>> translate_x(torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8), -1).tolist()
    [[[[0, 1, 2]]]]
    """
    return _translate(x, pixels, 3)


def translate_y(x: Tensor, pixels: Parameter) -> Tensor:
    """Shift images up or down; what comes in is black.

    Pillow's `Image.transform(size, AFFINE, (1, 0, 0, 0, 1, pixels), BILINEAR)`, to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        pixels: One a sample or one for all; positive moves the picture up.

    Source: AugMix (arXiv 1912.02781), operation 9 of 9; paper eq. 1.

    >>> translate_y(torch.tensor([[[[1], [2], [3]]]], dtype=torch.uint8), -1).flatten().tolist()
    [0, 1, 2]
    """
    return _translate(x, pixels, 2)
