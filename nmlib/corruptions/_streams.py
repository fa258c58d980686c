"""Random numbers keyed by image: a counter-based generator in tensor operations.

A 32-bit word is a hash of (image key, field, element). It does not depend on other draws, on their
order, or on the split into batches, and integer arithmetic makes it the same on every device. The
hash is a well-tested 32-bit finaliser (two multiplications and three xor-shifts), applied once to
the counter and once, keyed twice, to the result.
"""

from __future__ import annotations

import functools
import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmlib._devices import to_device
from nmlib.rng import Rng

__all__ = ["Stream", "image_stream"]

_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)


def _xorshift_(x: Tensor, bits: int) -> Tensor:
    # int32 shifts carry the sign in; the mask makes them logical.
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (32 - bits)) - 1))


def _mix_(x: Tensor, key: Tensor | None = None) -> Tensor:
    """Hash int32 words in place; `key` enters between the two multiplications."""
    _xorshift_(x, 16).mul_(_FIRST)
    if key is not None:
        x.bitwise_xor_(key)
    _xorshift_(x, 15).mul_(_SECOND)
    return _xorshift_(x, 16)


@functools.lru_cache(maxsize=32)
def _counters(fields: tuple[tuple[str, int], ...], device: torch.device) -> Tensor:
    """Return the hashed element numbers of fields, one after another, which all images share."""
    parts = [torch.arange(count, device=device) + zlib.crc32(f.encode()) for f, count in fields]
    return _mix_((torch.cat(parts) & 0xFFFFFFFF).sub_(1 << 31).to(torch.int32))


def _splitmix64(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Stream:
    """The random numbers of a batch of images.

    Attributes:
        keys: (n, 2) int32, one 64-bit key per image.

    >>> one = image_stream(0, ("demo",), 5, 1).words("layer", 4)
    >>> many = image_stream(0, ("demo",), 0, 9).words("layer", 100)
    >>> bool((one[0] == many[5, :4]).all())
    True
    """

    keys: Tensor

    def words(self, field: str, count: int) -> Tensor:
        """Return (n, count) int32 words, all 32 bits random."""
        return self._words(((field, count),))

    def _words(self, fields: tuple[tuple[str, int], ...]) -> Tensor:
        counters = _counters(fields, self.keys.device)
        return _mix_(counters ^ self.keys[:, :1], self.keys[:, 1:])

    def uniform(self, field: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return (n, *shape) float64 numbers, uniform on the open interval (low, high)."""
        words = self.words(field, math.prod(shape)).to(torch.float64)
        unit = words.add_(2.0**31 + 0.5).mul_(2.0**-32)
        return unit.mul_(high - low).add_(low).reshape(-1, *shape)

    def symmetric(self, field: str, *shape: int) -> Tensor:
        """Return (n, *shape) float32 numbers, uniform on [-1, 1]."""
        return self.symmetrics((field, shape))[0]

    def symmetrics(self, *fields: tuple[str, tuple[int, ...]]) -> list[Tensor]:
        """Return `symmetric` of several (field, shape) in one draw."""
        sizes = tuple((field, math.prod(shape)) for field, shape in fields)
        values = self._words(sizes).to(torch.float32).mul_(2.0**-31)
        parts = values.split([count for _, count in sizes], 1)
        return [p.reshape(-1, *shape) for p, (_, shape) in zip(parts, fields, strict=True)]

    def normal(self, field: str, *shape: int) -> Tensor:
        r"""Return (n, *shape) float32 standard normal numbers.

        $\sqrt{-2\ln u}\,(\cos 2\pi v, \sin 2\pi v)$ for independent uniform u and v. Logarithm and
        angle are computed in float64; rounding to float32 then removes last-digit differences
        between devices and vector widths.
        """
        count = math.prod(shape)
        half = (count + 1) // 2
        words = self.words(field, 2 * half).to(torch.float64)
        radius = words[:, :half].add(2.0**31 + 0.5).mul_(2.0**-32).log_().mul_(-2.0)
        radius32 = radius.to(torch.float32).sqrt_()
        angle = words[:, half:].mul(math.tau * 2.0**-32)
        out = torch.empty((len(words), 2, half), dtype=torch.float32, device=words.device)
        torch.mul(torch.cos(angle).to(torch.float32), radius32, out=out[:, 0])
        torch.mul(torch.sin(angle).to(torch.float32), radius32, out=out[:, 1])
        return out.reshape(-1, 2 * half)[:, :count].reshape(-1, *shape)

    def integers(self, field: str, bound: int, *shape: int) -> Tensor:
        """Return (n, *shape) int64 numbers, uniform on 0 ... bound - 1 (bias below bound/2^32)."""
        words = self.words(field, math.prod(shape)).to(torch.int64)
        return words.add_(1 << 31).mul_(bound).bitwise_right_shift_(32).reshape(-1, *shape)


def image_stream(
    seed: int,
    purpose: tuple[str | int, ...],
    first: int,
    count: int,
    device: torch.device | str = "cpu",
) -> Stream:
    """Return the stream of images first ... first + count - 1 for a purpose.

    Args:
        seed: Non-negative integer.
        purpose: What the numbers are for (corruption name, severity ...).
        first: Index of the first image in its data set, >= 0.
        count: Number of images.
        device: Where to draw; the numbers are the same everywhere.
    """
    base = int(Rng(seed).fold(*purpose).numpy().integers(1 << 63))
    index = np.arange(first, first + count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        key = _splitmix64(_splitmix64(index) ^ np.uint64(base))
    halves = torch.from_numpy(key.view(np.int32).reshape(count, 2).copy())
    return Stream(to_device(halves, device))
