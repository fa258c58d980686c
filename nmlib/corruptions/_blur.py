"""Defocus, glass, motion, zoom and Gaussian blur on (n, h, w, 3) bytes."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib._devices import to_device
from nmlib.corruptions._draws import AngleDraw, GlassDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import (
    blur_map,
    from_columns,
    on_device,
    reflect_index,
    separable,
    sparse_map,
    to_bytes,
    to_columns,
    zoom_map,
)

# Largest number of pixels for which zoom blur builds a sparse matrix of the whole image.
_SPARSE_PIXELS = 512 * 512


def _apply_sparse(matrix: Tensor, x: Tensor) -> Tensor:
    """Apply an (h*w, h*w) map to every image and channel of bytes (n, h, w, c)."""
    columns = to_columns(x)
    mapped = matrix @ columns.reshape(len(matrix), -1)
    return from_columns(to_bytes(mapped).reshape(columns.shape), x.shape[3])


@functools.lru_cache(maxsize=32)
def disk_kernel(radius: float, alias_blur: float) -> NDArray[np.float64]:
    """Return the defocus kernel: a disk of ones, normalised, then smoothed against aliasing.

    The grid is 17 x 17 up to radius 8. The smoothing Gaussian is 3 x 3 (5 x 5 above radius 8) with
    OpenCV's mirrored border, which does not cut off a disk that touches the rim.
    """
    reach = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    size = 3 if radius <= 8 else 5
    disk = (reach[:, None] ** 2 + reach[None] ** 2 <= radius**2).astype(np.float64)
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * alias_blur**2))
    weights /= weights.sum()
    smooth = np.zeros((len(reach), len(reach)))
    rows = np.arange(len(reach))
    for offset, weight in zip(offsets, weights, strict=True):
        np.add.at(smooth, (rows, reflect_index(rows + offset, len(reach), "mirror")), weight)
    return smooth @ (disk / disk.sum()) @ smooth.T


@functools.lru_cache(maxsize=16)
def _disk_sparse(
    height: int, width: int, radius: float, alias_blur: float, device: torch.device
) -> Tensor:
    kernel = disk_kernel(radius, alias_blur)
    reach = len(kernel) // 2
    shift = {}
    for axis, size in ((0, height), (1, width)):
        for offset in range(-reach, reach + 1):
            matrix = np.zeros((size, size))
            rows = np.arange(size)
            matrix[rows, reflect_index(rows + offset, size, "mirror")] = 1.0
            shift[axis, offset] = matrix
    terms = [
        (shift[0, int(dy) - reach], shift[1, int(dx) - reach], float(kernel[dy, dx]))
        for dy, dx in np.argwhere(kernel > 1e-9)
    ]
    return sparse_map(terms, device)


def defocus_blur(x: Tensor, params: tuple[float, float], draw: None = None) -> Tensor:
    """Convolve with a disk (`params` = radius, anti-aliasing sigma), mirrored at the border.

    Source: CIFAR-C, ImageNet-C. At CIFAR severities 1 to 3 the disk is a single pixel.
    """
    n, h, w, _ = x.shape
    kernel = disk_kernel(*params)
    if np.count_nonzero(kernel > 1e-9) * h * w <= 1 << 20:
        return _apply_sparse(_disk_sparse(h, w, *params, x.device), x)
    reach = len(kernel) // 2
    planes = x.permute(0, 3, 1, 2).reshape(-1, h, w)
    # Single precision errs by less than the guard, 2^-13, on values this small.
    planes = torch.cat([planes, planes[: len(planes) % 2]]).to(torch.float32).sub_(128)
    size = [_fast_length(side + 2 * reach) for side in (h, w)]
    around = (reach, size[1] - w - reach, reach, size[0] - h - reach)
    # The kernel is real, so that one complex picture carries two planes.
    pair = torch.complex(*F.pad(planes, around, "reflect").chunk(2))
    spectrum = _disk_spectrum(*params, *size, device=x.device)
    pair = torch.fft.ifft2(torch.fft.fft2(pair).mul_(spectrum))
    blurred = torch.view_as_real(pair)[:, reach : reach + h, reach : reach + w]
    blurred = to_bytes(blurred.add_(128 * float(kernel.sum())), 2.0**-13)
    blurred = blurred.permute(3, 0, 1, 2).reshape(-1, h, w)[: 3 * n]
    return blurred.reshape(n, 3, h, w).permute(0, 2, 3, 1).contiguous()


@on_device
def _disk_spectrum(radius: float, alias_blur: float, height: int, width: int) -> NDArray:
    """Return the transform of the defocus kernel about the origin, which is real."""
    kernel = disk_kernel(radius, alias_blur)
    centred = np.zeros((height, width))
    centred[: len(kernel), : len(kernel)] = kernel
    centred = np.roll(centred, -(len(kernel) // 2), (0, 1))
    return np.fft.fft2(centred).real.astype(np.float32)


def _fast_length(length: int) -> int:
    """Return the smallest even number >= length with prime factors 2, 3 and 5 only."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and length % 2 == 0:
            return length
        length += 1


def gaussian_blur(x: Tensor, sigma: float, draw: None = None) -> Tensor:
    """Gaussian filter, cut off at 4 sigma, edge pixels repeated.

    Source: CIFAR-C, ImageNet-C (extra).
    """
    if int(4 * sigma + 0.5) == 0:
        return x
    return to_bytes(separable(x, blur_map, float(sigma))).contiguous()


def draw_glass(x: Tensor, stream: Stream, params: tuple[float, int, int]) -> GlassDraw:
    _, h, w, _ = x.shape
    _, delta, iterations = params
    words = stream.words("shifts", iterations * h * w)
    halves = words.view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF)
    shifts = halves.mul_(2 * delta).bitwise_right_shift_(16).sub_(delta).to(torch.int8)
    return GlassDraw(shifts.reshape(-1, iterations, h, w, 2))


@on_device
def _glass_visits(h: int, w: int, delta: int) -> NDArray[np.int32]:
    """Return whether each of h * w pixels is visited."""
    row, column = np.arange(h)[:, None], np.arange(w)
    visited = (row > delta) & (row <= h - delta) & (column > delta) & (column <= w - delta)
    return visited.astype(np.int32).ravel()


def _where(mask: Tensor) -> Tensor:
    if mask.device.type == "cpu":  # NumPy is several times as fast
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return torch.nonzero(mask)[:, 0]


def glass_sources(shifts: Tensor, delta: int) -> Tensor:
    """Return the source of each pixel in one pass of glass blur.

    The definition visits the pixels from last to first and copies to each the pixel at its
    displacement (it means to swap the two, but overwrites one first). A source that comes later in
    the image has already been overwritten, so its own source counts. All such links are
    followed together, a hop a round; less than half of them go on.

    Args:
        shifts: (n, h, w, 2) integers in [-delta, delta).
        delta: Largest displacement, in pixels.

    Returns:
        (n, h * w) int64 pixel numbers.
    """
    n, h, w, _ = shifts.shape
    step = shifts[..., 0].to(torch.int32).mul_(w).add_(shifts[..., 1]).reshape(n, h * w)
    step = step.mul_(_glass_visits(h, w, delta, device=shifts.device))
    first = torch.arange(n, device=shifts.device)[:, None] * (h * w)
    source = step + torch.arange(h * w, device=shifts.device)
    if delta == 1:
        return source  # every source precedes its pixel
    hop = (source + first).flatten()
    pixel = _where((step > 0).flatten())
    source, at = hop.clone(), hop.index_select(0, pixel)
    while len(pixel):
        # A chain ends at its first hop backwards: nothing has been copied there yet.
        there = hop.index_select(0, at)
        source.scatter_(0, pixel, there)
        onward = _where(there > at)
        pixel, at = pixel.index_select(0, onward), there.index_select(0, onward)
    return source.reshape(n, h * w).sub_(first)


def glass_blur(x: Tensor, params: tuple[float, int, int], draw: GlassDraw) -> Tensor:
    """Blur, copy pixels from random neighbours, blur (`params` = sigma, delta, iterations).

    Source: CIFAR-C, ImageNet-C. Three quirks of the official code stay: its "swap" of two array
    views is a one-way copy, displacements range from -delta to delta - 1, and a rim of delta + 1
    pixels at the top and left (delta - 1 at the bottom and right) is not visited.
    """
    sigma, delta, iterations = params
    n, h, w, c = x.shape
    steps = glass_sources(draw.shifts.flatten(0, 1), delta).reshape(n, iterations, h * w)
    source = steps[:, 0]
    for i in range(1, iterations):
        source = source.gather(1, steps[:, i])
    place = source + torch.arange(n, device=x.device)[:, None] * (h * w)
    moved = gaussian_blur(x, sigma).reshape(n * h * w, c).index_select(0, place.flatten())
    return gaussian_blur(moved.reshape(x.shape), sigma)


def draw_angle(x: Tensor, stream: Stream, params: object) -> AngleDraw:
    return AngleDraw(stream.uniform("angle", low=-45.0, high=45.0))


@functools.lru_cache(maxsize=64)
def motion_weights(radius: int, sigma: float) -> tuple[float, ...]:
    """Return the one-sided half Gaussian of ImageMagick's motion blur, weights below 1e-7 cut."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2.0 * sigma**2))
    weights /= weights.sum()
    return tuple(float(v) for v in weights[weights > 1e-7])


def motion(layer: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    r"""Motion blur of (n, h, w, c) float32 grey levels, with one direction per image.

    Tap k of a one-sided half Gaussian reads the pixel at the whole-number offset nearest to
    $k(\cos\theta, \sin\theta)$, edge pixels repeated.

    Images are sorted by angle. The offset of a tap is then constant over runs of images, and each
    run needs one shifted addition.
    """
    n, h, w, c = layer.shape
    weights = motion_weights(radius, sigma)
    degrees = degrees.cpu()  # Python needs the ends of the runs as slice bounds
    order = torch.argsort(degrees)
    angle = torch.deg2rad(degrees[order].to(torch.float64)).numpy()
    order = to_device(order, layer.device)
    taps = np.arange(len(weights))[:, None]
    right = np.ceil(taps * np.cos(angle) - 0.5).astype(np.int64)
    down = np.ceil(taps * np.sin(angle) - 0.5).astype(np.int64)
    top, bottom = max(-int(down.min()), 0), max(int(down.max()), 0)
    left, last = max(-int(right.min()), 0), max(int(right.max()), 0)
    padded = layer.new_empty((n, h + top + bottom, w + left + last, c))
    padded[:, top : top + h, left : left + w] = layer[order]
    padded[:, top : top + h, :left] = padded[:, top : top + h, left : left + 1]
    padded[:, top : top + h, left + w :] = padded[:, top : top + h, left + w - 1 : left + w]
    padded[:, :top] = padded[:, top : top + 1]
    padded[:, top + h :] = padded[:, top + h - 1 : top + h]
    out = padded[:, top : top + h, left : left + w].mul(weights[0])
    for k in range(1, len(weights)):
        change = np.flatnonzero((np.diff(right[k]) != 0) | (np.diff(down[k]) != 0)) + 1
        bounds = [0, *change.tolist(), n]
        for first, stop in itertools.pairwise(bounds):
            y, z = top + int(down[k, first]), left + int(right[k, first])
            out[first:stop].add_(padded[first:stop, y : y + h, z : z + w], alpha=weights[k])
    result = torch.empty_like(out)
    result[order] = out
    return result


def motion_blur(x: Tensor, params: tuple[int, float], draw: AngleDraw) -> Tensor:
    """Blur along a random direction between -45 and 45 degrees (`params` = radius, sigma).

    Source: CIFAR-C, ImageNet-C, which call ImageMagick.
    """
    radius, sigma = params
    return to_bytes(motion(x.to(torch.float32), radius, sigma, draw.degrees))


def zoom_factors(params: tuple[float, float]) -> list[float]:
    """Return the zoom factors 1, 1 + step, ...; rounding decides whether they include `stop`."""
    stop, step = params
    return [float(f) for f in np.arange(1, stop, step)]


@functools.lru_cache(maxsize=16)
def _zoom_sparse(
    height: int, width: int, params: tuple[float, float], device: torch.device
) -> Tensor:
    factors = zoom_factors(params)
    share = 1 / (len(factors) + 1)
    terms = [(zoom_map(height, f), zoom_map(width, f), share) for f in factors]
    return sparse_map([*terms, (np.eye(height), np.eye(width), share)], device)


def zoom_blur(x: Tensor, params: tuple[float, float], draw: None = None) -> Tensor:
    """Mean of the image and its magnified centres (`params` = end, step of the factors).

    Source: CIFAR-C, ImageNet-C. The map is linear and fixed, hence one sparse matrix.
    """
    _, h, w, _ = x.shape
    if h * w <= _SPARSE_PIXELS:
        return _apply_sparse(_zoom_sparse(h, w, params, x.device), x)
    factors = zoom_factors(params)
    total = sum(separable(x, zoom_map, factor) for factor in factors) + x
    return to_bytes(total / (len(factors) + 1)).contiguous()
