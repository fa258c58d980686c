"""Operations on grey levels: autocontrast, equalize, posterize, solarize."""

from __future__ import annotations

import torch
from torch import Tensor

from nmlib.ops._arguments import Parameter, check_bytes, doubles, whole


def _planes(x: Tensor) -> Tensor:
    """Return bytes as (n * c, h * w) indices: each row is one channel of one image."""
    return x.reshape(x.shape[0] * x.shape[1], -1).to(torch.int64)


def autocontrast(x: Tensor) -> Tensor:
    r"""Stretch each channel of each image to the full range.

    $v \mapsto \lfloor 255\,(v - v_{min}) / (v_{max} - v_{min}) \rfloor$; a constant channel is
    unchanged. Every pixel equals that of Pillow's `ImageOps.autocontrast`.

    Args:
        x: (n, c, h, w) uint8.

    Source: AugMix (arXiv 1912.02781), operation 1 of 9; paper eq. 1.

    >>> autocontrast(torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)).tolist()
    [[[[0, 127, 255]]]]
    """
    check_bytes(x)
    if not x.numel():
        return x.clone()
    planes, place = x.reshape(x.shape[0] * x.shape[1], -1), doubles(x)
    low = planes.amin(1, keepdim=True).to(place, torch.float64)
    high = planes.amax(1, keepdim=True).to(place, torch.float64)
    # Pillow's order of operations in double precision, so that the same values are truncated.
    # `255 / span` would compute a rounded reciprocal times 255.
    span = (high - low).clamp_min_(1)
    scale = torch.full_like(span, 255.0).div_(span)
    grey = torch.arange(256, dtype=torch.float64, device=place)
    table = (grey * scale).sub_(low * scale).clamp_(0, 255)
    table = torch.where(high > low, table, grey).to(torch.uint8).to(x.device)
    return table.gather(1, _planes(x)).view_as(x)


def equalize(x: Tensor) -> Tensor:
    r"""Flatten the histogram of each channel of each image.

    $v \mapsto \lfloor (\lfloor s/2 \rfloor + \#\{pixels < v\}) / s \rfloor$ with
    $s = \lfloor (hw - \#\{pixels = v_{max}\}) / 255 \rfloor$; if s = 0 the channel is unchanged.
    Every pixel equals that of Pillow's `ImageOps.equalize`.

    Args:
        x: (n, c, h, w) uint8.

    Source: AugMix (arXiv 1912.02781), operation 2 of 9; paper eq. 1.

    >>> equalize(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))[0, 0, 0, :4].tolist()
    [0, 1, 2, 3]
    """
    check_bytes(x)
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
        bits: Whole numbers 1 to 8, one for each image or for all.

    Source: AugMix (arXiv 1912.02781), operation 3 of 9; paper eq. 1.

    >>> posterize(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), 3).item()
    224
    """
    check_bytes(x)
    dropped = 8 - whole("bits", bits, x, 1, 8)
    return x & (256 - (1 << dropped)).to(torch.uint8)


def invert(x: Tensor, lowest: Tensor) -> Tensor:
    """Return 255 - v where v >= lowest, else v; uint8 tensors that broadcast.

    >>> invert(torch.tensor([9, 10, 255], dtype=torch.uint8), torch.tensor(10).byte()).tolist()
    [9, 245, 0]
    """
    above = torch.empty_like(x, memory_format=torch.contiguous_format)
    # Comparing into bytes is many times faster on a CPU than into booleans.
    torch.ge(x, lowest, out=above)
    # neg turns 1 into 255, and v XOR 255 is 255 - v.
    return above.neg_().bitwise_xor_(x)


def solarize(x: Tensor, threshold: Parameter) -> Tensor:
    """Invert values from a threshold upwards; equal to Pillow's `ImageOps.solarize`.

    Args:
        x: (n, c, h, w) uint8.
        threshold: Grey levels, whole numbers 0 (inverts all) to 256 (inverts nothing), one for
            each image or for all.

    Source: AugMix (arXiv 1912.02781), operation 5 of 9; paper eq. 1.

    >>> solarize(torch.tensor([[[[199, 200, 255]]]], dtype=torch.uint8), 200).tolist()
    [[[[199, 55, 0]]]]
    """
    check_bytes(x)
    level = whole("threshold", threshold, x, 0, 256)
    # No byte reaches 256, so that threshold leaves the image unchanged.
    inverted = invert(x, level.clamp(max=255).to(torch.uint8))
    return torch.where(level == 256, x, inverted) if bool((level == 256).any()) else inverted
