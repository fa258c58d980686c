"""Contrast, elastic transform, pixelate and saturate on (n, h, w, 3) bytes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nmlib._devices import to_device
from nmlib.corruptions._draws import ElasticDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import blur_map, box_map, from_columns, separable_columns, to_bytes, to_columns


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
    return ElasticDraw(
        stream.uniform("corners", 3, 2, low=-1.0, high=1.0),
        stream.symmetric("columns", h, w),
        stream.symmetric("rows", h, w),
    )


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


def _normalised(position: Tensor, size: int) -> Tensor:
    """Convert pixel positions to grid_sample's coordinates with -1 and 1 at the outer pixels."""
    return position.mul(2.0 / (size - 1)).sub_(1.0)


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
    position = []
    for axis, size in ((0, w), (1, h)):
        a, b, c = (inverse[:, axis, k, None, None] for k in range(3))
        # OpenCV's fixed-point positions: 1/1024 pixel each, their sum cut to 1/32.
        fixed = (a * column * 1024).round() + ((b * row + c) * 1024).round() + 16
        position.append(_normalised((fixed / 32).floor() / 32, size).to(torch.float32))
    planes = x.permute(0, 3, 1, 2).to(torch.float32)
    planes = F.grid_sample(
        planes, torch.stack(position, -1), "bilinear", "reflection", align_corners=True
    )
    if amplitude > 0:
        fields = torch.cat([draw.columns, draw.rows]).to(torch.float64)
        if int(3 * sigma + 0.5) > 0:
            rest = (float(sigma), 3.0, "reflect")
            fields = fields.reshape(2 * n, h * w).T.contiguous().reshape(h, w, 2 * n)
            fields = separable_columns(fields, blur_map, (h, *rest), (w, *rest))
            fields = fields.reshape(h * w, 2 * n).T.reshape(2 * n, h, w)
        fields = (fields * amplitude).to(torch.float32)
        grid = torch.stack(
            [
                _half_normalised(fields[:n] + column.to(torch.float32), w),
                _half_normalised(fields[n:] + row.to(torch.float32), h),
            ],
            -1,
        )
        planes = F.grid_sample(planes, grid, "bilinear", "reflection", align_corners=False)
    return to_bytes(planes.permute(0, 2, 3, 1).contiguous())


def _half_normalised(position: Tensor, size: int) -> Tensor:
    """Convert pixel positions to grid_sample's coordinates with -1 and 1 at the outer edges."""
    return position.mul(2.0).add_(1.0).div_(size).sub_(1.0)


def pixelate(x: Tensor, share: float, draw: None = None) -> Tensor:
    """Pillow's BOX reduction to `share` of the size, and BOX enlargement back.

    Pillow resamples columns, then rows, in 22-bit fixed point with bytes in between; float64
    reproduces its whole numbers exactly.

    Source: CIFAR-C, ImageNet-C, which call Pillow.
    """
    _, h, w, _ = x.shape
    small = (int(h * share), int(w * share))
    values = to_columns(x).reshape(h, w, -1)
    for before, after in (((h, w), small), (small, (h, w))):
        for axis in (1, 0):
            still, moved = (before[0], before[0]), (before[1], after[1])
            if axis == 0:
                still, moved = (after[1], after[1]), (before[0], after[0])
            height, width = (still, moved) if axis else (moved, still)
            values = separable_columns(values, box_map, height, width)
            values = values.add_(0.5).floor_().clamp_(0, 255)
    return from_columns(values.to(torch.uint8), 3)


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
