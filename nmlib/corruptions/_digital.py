"""Contrast, elastic transform, pixelate and saturate on (n, h, w, 3) bytes."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib._devices import to_device
from nmlib.corruptions._draws import ElasticDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import blur_map, box_map, on_device, separable, to_bytes


def contrast(x: Tensor, share: float, draw: None = None) -> Tensor:
    r"""$(x - \mu)\,c + \mu$, where $\mu$ is the mean of the channel (`share` = c).

    Source: CIFAR-C, ImageNet-C.
    """
    n, h, w, c = x.shape
    total = x.reshape(n, h * w, c).sum(1, dtype=torch.int64).to(torch.float64)
    rest = total.mul_((1 - share) / (h * w)).to(torch.float32)
    return to_bytes(x.to(torch.float32).mul_(share).add_(rest[:, None, None]))


def draw_elastic(x: Tensor, stream: Stream, params: object) -> ElasticDraw:
    _, h, w, _ = x.shape
    columns, rows = stream.symmetrics(("columns", (h, w)), ("rows", (h, w)))
    return ElasticDraw(stream.uniform("corners", 3, 2, low=-1.0, high=1.0), columns, rows)


def _inverse_affine(corners: Tensor, height: int, width: int, jitter: float) -> Tensor:
    """Return (n, 2, 3) float64: output pixel (x, y, 1) to input position (x, y).

    Three points of a square about the centre move by up to `jitter` pixels; single precision
    where the definition has it.
    """
    middle = torch.tensor([height // 2, width // 2], dtype=torch.float32)
    reach = min(height, width) // 3
    offsets = torch.tensor([[1, 1], [1, -1], [-1, -1]], dtype=torch.float32) * reach
    before = to_device(middle + offsets, corners.device)
    after = before + (corners * jitter).to(torch.float32)
    homogeneous = torch.cat([after, torch.ones_like(after[..., :1])], -1).to(torch.float64)
    # Points that move so little always stay a triangle; `solve` would make the host wait to check.
    found, _ = torch.linalg.solve_ex(
        homogeneous, before.to(torch.float64).expand(len(corners), 3, 2)
    )
    return found.transpose(1, 2)


def elastic_transform(x: Tensor, params: tuple[float, float, float], draw: ElasticDraw) -> Tensor:
    r"""A random affine map, then a smooth random displacement.

    `params` = amplitude, smoothing sigma and affine jitter, in pixels. The affine map samples at
    1/32 pixel with mirrored borders, the displacement with reflected ones, both bilinearly.

    Source: CIFAR-C, ImageNet-C.
    """
    n, h, w, _ = x.shape
    amplitude, sigma, jitter = params
    device = x.device
    inverse = _inverse_affine(draw.corners, h, w, jitter)
    column = torch.arange(w, dtype=torch.float64, device=device)
    row = torch.arange(h, dtype=torch.float64, device=device)[:, None]
    planes = x.permute(0, 3, 1, 2).to(torch.float32)
    # Coordinates of grid_sample: -1 and 1 lie on the outer pixels, below on their outer edges.
    grid = torch.empty((n, h, w, 2), device=device)
    for axis, size in ((0, w), (1, h)):
        a, b, c = (inverse[:, axis, k, None, None] for k in range(3))
        # OpenCV's fixed-point positions: 1/1024 pixel each, their sum cut to 1/32.
        fixed = (a * column * 1024).round_() + ((b * row + c) * 1024).round_().add_(16)
        grid[..., axis] = fixed.mul_(1 / 32).floor_().mul_(2 / (size - 1) / 32).sub_(1)
    planes = F.grid_sample(planes, grid, "bilinear", "reflection", align_corners=True)
    if amplitude > 0:
        fields = torch.cat([draw.columns, draw.rows])
        if int(3 * sigma + 0.5) > 0:
            fields = separable(fields, blur_map, float(sigma), 3.0, "reflect")
            fields = fields.contiguous().to(torch.float32)
        for axis, (field, size) in enumerate(zip(fields.chunk(2), (w, h), strict=True)):
            still = (((row if axis else column) * 2 + 1) / size - 1).to(torch.float32)
            torch.add(field * (2 * amplitude / size), still, out=grid[..., axis])
        planes = F.grid_sample(planes, grid, "bilinear", "reflection", align_corners=False)
    return to_bytes(planes).permute(0, 2, 3, 1).contiguous()


@on_device
def _box_taps(size: int, out: int, channels: int) -> NDArray[np.int64]:
    """Return the k-th input of each output of Pillow's BOX filter, and its weight times 2^22.

    Returns:
        (taps, 2, out * channels); channels lie side by side. A tap that an output lacks weighs 0.
    """
    weights = np.round(box_map(size, out) * 2**22).astype(np.int64)
    count = (weights > 0).sum(1)
    tap = np.arange(count.max())[:, None]
    index = np.minimum((weights > 0).argmax(1) + tap, size - 1)
    weight = np.where(tap < count, weights[np.arange(out), index], 0)
    index = index[..., None] * channels + np.arange(channels)
    return np.stack([index.reshape(len(tap), -1), weight.repeat(channels, 1)], 1)


def _box(x: Tensor, size: int, out: int, channels: int = 1) -> Tensor:
    """Resample axis 1 of bytes (m, size * channels, ...) in 22-bit fixed point."""
    taps = _box_taps(size, out, channels, device=x.device)
    if x.device.type == "cpu":  # NumPy takes bytes in a quarter of the time
        parts = [torch.from_numpy(x.numpy().take(index.numpy(), 1)) for index in taps[:, 0]]
    else:
        parts = [x.index_select(1, index) for index in taps[:, 0]]
    if len(parts) == 1:  # enlarged: a copy of the nearest
        return parts[0]
    total = torch.full_like(parts[0], 1 << 21, dtype=torch.int32)
    for part, weight in zip(parts, taps[:, 1].to(torch.int32), strict=True):
        total.addcmul_(part.to(torch.int32), weight.reshape(-1, *[1] * (x.ndim - 2)))
    return total.bitwise_right_shift_(22).to(torch.uint8)


def pixelate(x: Tensor, share: float, draw: None = None) -> Tensor:
    """Pillow's BOX reduction to `share` of the size, and BOX enlargement back.

    Pillow resamples columns, then rows, with bytes in between.

    Source: CIFAR-C, ImageNet-C, which call Pillow.
    """
    n, h, w, c = x.shape
    for (rows, columns), (height, width) in itertools.pairwise(
        ((h, w), (int(h * share), int(w * share)), (h, w))
    ):
        x = _box(x.reshape(n * rows, columns * c), columns, width, c)
        x = _box(x.reshape(n, rows, width * c), rows, height)
    return x.reshape(n, h, w, c)


def saturate(x: Tensor, params: tuple[float, float], draw: None = None) -> Tensor:
    r"""Change S of HSV to $\min(\max(S\,a + b, 0), 1)$ (`params` = a, b).

    Grey pixels have hue 0, so b > 0 turns them red.

    Source: CIFAR-C, ImageNet-C (extra).
    """
    gain, shift = params
    pixels = x.to(torch.float64)
    largest = pixels.amax(-1, keepdim=True)
    spread = largest - pixels.amin(-1, keepdim=True)
    saturation = torch.where(largest > 0, spread / largest, 0.0).mul_(gain).add_(shift).clamp_(0, 1)
    depth = torch.where(spread > 0, (largest - pixels) / spread, 1.0)
    depth[..., 0] = torch.where(spread[..., 0] > 0, depth[..., 0], 0.0)
    return to_bytes(largest * (1 - saturation * depth))
