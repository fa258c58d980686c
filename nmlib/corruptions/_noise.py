"""Gaussian, shot, impulse and speckle noise on (n, h, w, 3) bytes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nmlib.corruptions._draws import FieldDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import on_device, to_bytes

_WINDOW = 256


def draw_normal(x: Tensor, stream: Stream, level: float) -> FieldDraw:
    return FieldDraw(stream.normal("noise", *x.shape[1:]))


def gaussian_noise(x: Tensor, level: float, draw: FieldDraw) -> Tensor:
    r"""$x + \sigma\,\xi$ with $\xi$ standard normal for each element (`level` = $\sigma$).

    Source: CIFAR-C, ImageNet-C.
    """
    return to_bytes(draw.values.mul(255 * level).add_(x))


def speckle_noise(x: Tensor, level: float, draw: FieldDraw) -> Tensor:
    r"""$x + x\,\sigma\,\xi$ with $\xi$ standard normal for each element (`level` = $\sigma$).

    Source: CIFAR-C, ImageNet-C (extra).
    """
    return to_bytes(draw.values.mul(level).add_(1.0).mul_(x))


def draw_impulse(x: Tensor, stream: Stream, amount: float) -> FieldDraw:
    words = stream.words("noise", x[0].numel())
    salt = words.to(torch.int8).bitwise_and_(1).mul_(2).sub_(1)
    # The upper 31 bits decide; the sign turned over, they compare as without one.
    hit = words.bitwise_xor_(-(1 << 31)) < round(amount * 2**31) * 2 - (1 << 31)
    return FieldDraw(salt.mul_(hit).reshape(x.shape))


def impulse_noise(x: Tensor, amount: float, draw: FieldDraw) -> Tensor:
    """Set each element (not each pixel) to 0 or 255 with probability `amount`, half to each.

    Source: CIFAR-C, ImageNet-C, which call scikit-image.
    """
    return draw.values.to(torch.int16).mul(255).add_(x).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)
def _poisson_alias(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Build alias tables of Poisson(scale * v / 255) for the 256 byte values v.

    Row v covers the 256 counts from start[v] on and misses less than 1e-7 of the mass. An entry
    packs a 24-bit threshold above an 8-bit alias.
    """
    rate = scale * np.arange(256) / 255
    start = np.maximum(np.floor(rate) - _WINDOW // 2, 0).astype(np.int64)
    counts = start[:, None] + np.arange(_WINDOW)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, counts.max() + 1)))])
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(counts == 0, 0.0, counts * np.log(rate)[:, None])
    logs = power - rate[:, None] - log_factorial[counts]
    share = np.exp(logs)
    share *= _WINDOW / share.sum(1, keepdims=True)
    threshold = np.ones_like(share)
    alias = np.tile(np.arange(_WINDOW), (256, 1))
    row = np.arange(256)
    open_ = np.ones_like(share, dtype=bool)
    for _ in range(_WINDOW - 1):
        # The fullest column tops up the emptiest one, which is then finished.
        low = np.where(open_, share, np.inf).argmin(1)
        high = np.where(open_, share, -np.inf).argmax(1)
        threshold[row, low] = np.minimum(share[row, low], 1.0)
        alias[row, low] = high
        share[row, high] -= 1.0 - threshold[row, low]
        open_[row, low] = False
    packed = (np.minimum(np.round(threshold * 2**24), 2**24 - 1).astype(np.int64) << 8) | alias
    packed = np.where(packed >= 1 << 31, packed - (1 << 32), packed)
    return packed.astype(np.int32).ravel(), start.astype(np.int32)


@on_device
def _poisson_entries(scale: float) -> np.ndarray:
    return _poisson_alias(scale)[0]


@on_device
def _poisson_starts(scale: float) -> np.ndarray:
    return _poisson_alias(scale)[1]


def draw_poisson(x: Tensor, stream: Stream, scale: float) -> FieldDraw:
    r"""Draw Poisson counts of mean $x\,c$ by the alias method: one word and look-up per element."""
    words = stream.words("noise", x[0].numel())
    row = x.reshape(len(x), -1).to(torch.int32)
    column = words & 0xFF
    entry = _poisson_entries(scale, device=x.device).index_select(
        0, row.mul(_WINDOW).add_(column).flatten()
    )
    entry = entry.reshape(words.shape)
    chance = words.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF)
    keep = chance < (entry >> 8).bitwise_and_(0xFFFFFF)
    count = torch.where(keep, column, entry.bitwise_and_(0xFF))
    if _poisson_alias(scale)[1].any():
        start = _poisson_starts(scale, device=x.device)
        count += start.index_select(0, row.flatten()).reshape(row.shape)
    return FieldDraw(count.reshape(x.shape))


@on_device
def _shot_levels(scale: float) -> np.ndarray:
    counts = np.arange(math.ceil(scale) + 2 * _WINDOW)
    return (np.clip(counts / float(scale), 0, 1) * 255).astype(np.uint8)


def shot_noise(x: Tensor, scale: float, draw: FieldDraw) -> Tensor:
    r"""$\mathrm{Poisson}(x\,c) / c$ (`scale` = c).

    Source: CIFAR-C, ImageNet-C.
    """
    levels = _shot_levels(scale, device=x.device)
    counts = draw.values.to(torch.int32).clamp(max=len(levels) - 1)
    return levels.index_select(0, counts.flatten()).reshape(x.shape)
