"""Geometric operations: affine maps, rotations, shears and translations."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmlib.ops._arguments import Parameter, check_bytes, doubles, for_each
from nmlib.ops._bytes import GUARD


def affine(x: Tensor, matrix: Tensor) -> Tensor:
    r"""Resample images at $(a x' + b y' + c,\; d x' + e y' + f)$, bilinearly; the outside is black.

    $x', y'$ are the centres of the result's pixels, $k + \tfrac12$. This is Pillow's
    `Image.transform(size, AFFINE, (a, b, c, d, e, f), BILINEAR)` up to 1 grey level: source
    positions, and so the black area, use double precision as there, but the weights use single
    precision. Positions within half a pixel of the border repeat the outermost pixel.

    Args:
        x: (n, c, h, w) uint8.
        matrix: (n, 6) float64: a, b, c, d, e, f for each image.

    >>> x = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4)
    >>> affine(x, torch.tensor([[1.0, 0, 1, 0, 1, 0]], dtype=torch.float64)).tolist()
    [[[[1, 2, 3, 0]]]]
    """
    check_bytes(x)
    if matrix.shape != (len(x), 6):
        raise ValueError(f"matrix must have shape ({len(x)}, 6), got {tuple(matrix.shape)}")
    if not x.numel():
        return x.clone()
    return sample(x, positions(matrix.to(doubles(x), torch.float64), *x.shape[2:]))


class Positions(NamedTuple):
    """The source position of each pixel of (n, h, w) images.

    Attributes:
        grid: (n, h, w, 2) float32, in the units of `torch.nn.functional.grid_sample`.
        inside: (n, h, w) uint8, 0 where the source lies outside the image.
    """

    grid: Tensor
    inside: Tensor


def positions(matrix: Tensor, height: int, width: int) -> Positions:
    """Return the source positions of `affine`.

    Args:
        matrix: (n, 6) float64.
        height, width: Of the image, in pixels.
    """
    a, b, c, d, e, f = matrix.view(-1, 6, 1, 1).unbind(1)
    column = torch.arange(width, dtype=torch.float64, device=matrix.device) + 0.5
    row = (torch.arange(height, dtype=torch.float64, device=matrix.device) + 0.5).unsqueeze(1)
    # Pillow's C code adds in this order: (a x' + b y') + c.
    across = (a * column + b * row).add_(c)
    down = (d * column + e * row).add_(f)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    across = across.sub_(width / 2).mul_(2 / width)
    down = down.sub_(height / 2).mul_(2 / height)
    return Positions(torch.stack((across.float(), down.float()), -1), inside.to(torch.uint8))


def sample(x: Tensor, where: Positions) -> Tensor:
    """Read (n, c, h, w) uint8 images at positions, bilinearly; the outside is black."""
    values = functional.grid_sample(
        x.float(),
        where.grid.to(x.device),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    # Averages of bytes need no clipping, and the conversion via int16 is the fastest.
    values = values.add_(GUARD[torch.float32]).to(torch.int16).to(torch.uint8)
    return values.mul_(where.inside.to(x.device).unsqueeze(1))


def affine_matrix(
    a: Parameter = 1, b: Parameter = 0, c: Parameter = 0, d: Parameter = 0, e: Parameter = 1,
    f: Parameter = 0,
) -> Tensor:  # fmt: skip
    """Stack the six numbers of `affine`, each for one image or for all, as (n, 6) float64."""
    parts = [torch.as_tensor(v, dtype=torch.float64).reshape(-1) for v in (a, b, c, d, e, f)]
    # If one is on an accelerator, the others move there.
    place = next((p.device for p in parts if p.device.type != "cpu"), torch.device("cpu"))
    return torch.stack(torch.broadcast_tensors(*(p.to(place) for p in parts)), dim=1)


@functools.lru_cache(maxsize=4096)
def rotation(degrees: float, height: int, width: int) -> tuple[float, ...]:
    """Return the six numbers of `affine` that turn an image about its centre, anticlockwise.

    >>> rotation(90, 4, 4)
    (0.0, -1.0, 4.0, 1.0, 0.0, 0.0)
    """
    # Rounded as in Pillow: the last bit decides whether border pixels are black.
    angle = -math.radians(degrees % 360.0)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2.0, height / 2.0
    across = cosine * -x + sine * -y + 0.0 + x
    down = -sine * -x + cosine * -y + 0.0 + y
    return cosine, sine, across, -sine, cosine, down


def rotate(x: Tensor, degrees: Parameter) -> Tensor:
    """Rotate images about their centres, anticlockwise, bilinearly; corners become black.

    Pillow's `Image.rotate(degrees, BILINEAR)`, up to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        degrees: One number for each image or for all.

    Source: AugMix (arXiv 1912.02781), operation 4 of 9; paper eq. 1.

    >>> rotate(torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8), 90).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    check_bytes(x)
    if not x.numel():
        return x.clone()
    return sample(x, turned_positions(for_each("degrees", degrees, x).cpu().numpy(), *x.shape[2:]))


def turned_positions(degrees: NDArray[np.float64], height: int, width: int) -> Positions:
    """Return the source positions of `rotate`, on the CPU.

    Args:
        degrees: (n,) angles.
        height, width: Of the image, in pixels.
    """
    numbers = degrees.tolist()
    if height * width <= _CACHED_PIXELS and numbers and (degrees % 1 == 0).all():
        # Whole degrees are few, so cache them.
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
    r"""Return the source positions of a shear, on the CPU, many times faster than `positions`.

    The source of pixel k in line l along `axis` is $k + \text{slope}\,(l + \tfrac12)$.

    Args:
        slope: (n,) pixels per line.
        axis: 3 shifts rows sideways, 2 shifts columns up or down.
        height, width: Of the image, in pixels.
    """
    length, lines = (width, height) if axis == 3 else (height, width)
    shift = slope[:, None] * (np.arange(lines) + 0.5)

    def count_below(limit: int) -> NDArray[np.float64]:
        # Pixels k with (k + 0.5) + shift < limit in floating point: estimate, then correct by one.
        k = np.minimum(np.maximum(np.ceil(limit - 0.5 - shift), 0), length)
        k -= (k > 0) & ((k - 0.5) + shift >= limit)
        k += (k < length) & ((k + 0.5) + shift < limit)
        return k

    across = 2 if axis == 3 else 1
    # Comparing into integers is many times faster on a CPU than into booleans.
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
    """Shift (n, c, h, w) images by whole pixels along an axis, on a CPU.

    Neighbours with the same shift move together, so sort images by shift for speed.
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
    check_bytes(x)
    values = for_each("slope", slope, x)
    if x.device.type == "cpu" and values.device.type == "cpu" and x.numel():
        return sample(x, sheared_positions(values.numpy(), axis, *x.shape[2:]))
    return affine(x, affine_matrix(**{"b" if axis == 3 else "d": values}))


def _translate(x: Tensor, pixels: Parameter, axis: int) -> Tensor:
    check_bytes(x)
    values = for_each("pixels", pixels, x)
    on_cpu = x.device.type == "cpu" and values.device.type == "cpu" and x.numel() > 0
    if on_cpu and bool((values % 1 == 0).all()):
        return translate_groups(x, values.numpy(), axis)
    return affine(x, affine_matrix(**{"c" if axis == 3 else "f": values}))


def shear_x(x: Tensor, slope: Parameter) -> Tensor:
    """Shift every row by slope times its distance from the top, bilinearly; the rest is black.

    Pillow's `Image.transform(size, AFFINE, (1, slope, 0, 0, 1, 0), BILINEAR)`, up to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        slope: Pixels per row, for each image or for all; positive moves the picture left.

    Source: AugMix (arXiv 1912.02781), operation 6 of 9; paper eq. 1.

    >>> shear_x(torch.tensor([[[[8, 8], [0, 8]]]], dtype=torch.uint8), 0.5).tolist()
    [[[[8, 8], [6, 0]]]]
    """
    return _shear(x, slope, 3)


def shear_y(x: Tensor, slope: Parameter) -> Tensor:
    """Shift every column by slope times its distance from the left; see `shear_x`.

    Pillow's `Image.transform(size, AFFINE, (1, 0, 0, slope, 1, 0), BILINEAR)`, up to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        slope: Pixels per column, for each image or for all; positive moves the picture up.

    Source: AugMix (arXiv 1912.02781), operation 7 of 9; paper eq. 1.

    >>> shear_y(torch.tensor([[[[8, 0], [8, 8]]]], dtype=torch.uint8), 0.5).tolist()
    [[[[8, 6], [8, 0]]]]
    """
    return _shear(x, slope, 2)


def translate_x(x: Tensor, pixels: Parameter) -> Tensor:
    """Shift images sideways; the uncovered part is black.

    Pillow's `Image.transform(size, AFFINE, (1, 0, pixels, 0, 1, 0), BILINEAR)`, up to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        pixels: One number for each image or for all; positive moves the picture left.

    Source: AugMix (arXiv 1912.02781), operation 8 of 9; paper eq. 1.

    >>> translate_x(torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8), -1).tolist()
    [[[[0, 1, 2]]]]
    """
    return _translate(x, pixels, 3)


def translate_y(x: Tensor, pixels: Parameter) -> Tensor:
    """Shift images up or down; the uncovered part is black.

    Pillow's `Image.transform(size, AFFINE, (1, 0, 0, 0, 1, pixels), BILINEAR)`, up to 1 grey level.

    Args:
        x: (n, c, h, w) uint8.
        pixels: One number for each image or for all; positive moves the picture up.

    Source: AugMix (arXiv 1912.02781), operation 9 of 9; paper eq. 1.

    >>> translate_y(torch.tensor([[[[1], [2], [3]]]], dtype=torch.uint8), -1).flatten().tolist()
    [0, 1, 2]
    """
    return _translate(x, pixels, 2)
