"""Spatter: drops of water or mud on (n, h, w, 3) bytes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nmlib._devices import to_device
from nmlib.corruptions._draws import FieldDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import blur_map, separable, to_bytes

_WATER = (175.0, 238.0, 238.0)
_MUD = (63.0, 42.0, 20.0)
# OpenCV's 5 x 5 chamfer distance: straight, diagonal and knight's steps, in units of 2^-16.
_STEPS = (round(1.0 * 65536), round(1.4 * 65536), round(2.1969 * 65536))


def draw_spatter(x: Tensor, stream: Stream, params: object) -> FieldDraw:
    return FieldDraw(stream.normal("layer", *x.shape[1:3]))


def _pad(planes: Tensor, mode: str, reach: int = 1, value: float = 0.0) -> Tensor:
    size = (reach, reach, reach, reach)
    if mode == "constant":
        return F.pad(planes, size, value=value)
    return F.pad(planes[:, None], size, mode=mode)[:, 0]


def _shifted(padded: Tensor, reach: int, dy: int, dx: int) -> Tensor:
    h, w = padded.shape[1] - 2 * reach, padded.shape[2] - 2 * reach
    return padded[:, reach + dy : reach + dy + h, reach + dx : reach + dx + w]


def _filter(planes: Tensor, kernel: tuple[tuple[int, ...], ...], mode: str = "reflect") -> Tensor:
    """Correlate (n, h, w) whole numbers with a 3 x 3 kernel."""
    padded = _pad(planes, mode)
    out = torch.zeros_like(planes)
    for i, row in enumerate(kernel):
        for j, weight in enumerate(row):
            if weight:
                out += _shifted(padded, 1, i - 1, j - 1) * weight
    return out


def canny(levels: Tensor, low: int, high: int) -> Tensor:
    """Return Canny's edges (bool) of (n, h, w) whole numbers, as OpenCV finds them.

    Sobel gradients (edge pixels repeated), the sum of absolute values as magnitude, thinning
    along four directions, then every pixel above `low` joined to one above `high`.
    """
    gx = _filter(levels, ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)), "replicate")
    gy = _filter(levels, ((-1, -2, -1), (0, 0, 0), (1, 2, 1)), "replicate")
    size = gx.abs() + gy.abs()
    around = _pad(size, "constant")
    x, y = gx.abs(), gy.abs() * 32768
    # tan(22.5 deg) and tan(67.5 deg) in 15-bit fixed point.
    flat, steep = x * 13573, x * 13573 + x * 65536
    across = (size > _shifted(around, 1, 0, -1)) & (size >= _shifted(around, 1, 0, 1))
    along = (size > _shifted(around, 1, -1, 0)) & (size >= _shifted(around, 1, 1, 0))
    falling = (size > _shifted(around, 1, -1, -1)) & (size > _shifted(around, 1, 1, 1))
    rising = (size > _shifted(around, 1, -1, 1)) & (size > _shifted(around, 1, 1, -1))
    same_sign = (gx < 0) == (gy < 0)
    diagonal = torch.where(same_sign, falling, rising)
    ridge = torch.where(y < flat, across, torch.where(y > steep, along, diagonal))
    weak = ridge & (size > low)
    edges = weak & (size > high)
    while True:
        grown = F.max_pool2d(edges[:, None].to(torch.float32), 3, 1, 1)[:, 0] > 0
        grown &= weak
        if bool((grown == edges).all()):
            return edges
        edges = grown


def chamfer_distance(edges: Tensor, limit: float) -> Tensor:
    """Return the distance of each pixel to the nearest edge pixel, at most `limit`.

    Shortest path over straight, diagonal and knight's steps; every step has at least length 1, so
    `limit` rounds of relaxation settle all distances up to it.
    """
    far = int(limit * 65536)
    # Whole numbers below 2^24: exact in single precision.
    distance = torch.where(edges, 0, far).to(torch.float32)
    steps = [
        (dy, dx, _STEPS[0] if abs(dy) + abs(dx) == 1 else _STEPS[abs(dy) + abs(dx) - 1])
        for dy in range(-2, 3)
        for dx in range(-2, 3)
        if (abs(dy), abs(dx)) in {(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)}
    ]
    for _ in range(math.ceil(limit)):
        padded = _pad(distance, "constant", 2, float(far))
        new = distance
        for dy, dx, length in steps:
            new = torch.minimum(new, _shifted(padded, 2, dy, dx) + length)
        # On an accelerator, this check would cost more than the rounds it saves.
        if new.device.type == "cpu" and bool((new == distance).all()):
            break
        distance = new
    return distance.to(torch.float64) / 65536


def _mean3(planes: Tensor) -> Tensor:
    padded = _pad(planes, "reflect")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def equalise(levels: Tensor) -> Tensor:
    """Equalise the histogram of each of (n, h, w) planes of whole numbers 0 ... 255."""
    n, h, w = levels.shape
    flat = levels.reshape(n, -1).to(torch.int64)
    counts = torch.zeros((n, 256), dtype=torch.int64, device=levels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    lowest = flat.amin(1, keepdim=True)
    rest = h * w - counts.gather(1, lowest)
    above = counts.cumsum(1) - counts.gather(1, lowest)
    scale = (255.0 / rest.clamp(min=1).to(torch.float32)).to(torch.float32)
    table = (above.clamp(min=0).to(torch.float32) * scale).round().clamp_(0, 255)
    table = torch.where(rest == 0, lowest.to(torch.float32), table)
    return table.gather(1, flat).reshape(n, h, w).to(torch.float64)


def spatter(x: Tensor, params: tuple[float, ...], draw: FieldDraw) -> Tensor:
    """Add drops: a smoothed Gaussian field above a threshold.

    `params` = mean, deviation, smoothing sigma, threshold, strength of the water or second sigma
    of the mud, and 1 for mud. Water is embossed along the rims of the drops and added in pale
    turquoise; mud covers the image.

    Source: CIFAR-C, ImageNet-C (extra).
    """
    location, deviation, sigma, threshold, strength, mud = params
    field = draw.values.to(torch.float64).mul(deviation).add_(location)
    liquid = separable(field, blur_map, float(sigma)).contiguous()
    pixels = x.to(torch.float32)
    if mud:
        # The definition thresholds in single precision.
        mask = (liquid > threshold).to(torch.float64)
        mask = separable(mask, blur_map, float(strength))
        mask = torch.where(mask < 0.8, 0.0, mask)[..., None].to(torch.float32)
        colour = to_device(torch.tensor(_MUD), x.device)
        return to_bytes(pixels * (1 - mask) + colour * mask)
    liquid = torch.where(liquid < threshold, 0.0, liquid)
    # Grains above 1 wrap round, as in the definition's cast to bytes.
    levels = torch.remainder((liquid * 255).floor_(), 256)
    distance = _mean3(chamfer_distance(canny(levels, 50, 150), 20.0)).add_(2.0**-20)
    rim = equalise(distance.floor_().clamp_(0, 255))
    rim = _filter(rim, ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))).clamp_(0, 255)
    rim = (_mean3(rim) + 0.5).floor_()
    mask = levels * rim
    brightest = mask.amax((1, 2), keepdim=True)
    mask = torch.where(brightest > 0, mask / brightest, 0.0).mul_(strength)
    colour = to_device(torch.tensor(_WATER), x.device)
    return to_bytes(pixels.add_(mask.to(torch.float32)[..., None] * colour))
