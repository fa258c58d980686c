"""JPEG compression of whole batches by libjpeg's integer arithmetic, without files.

Entropy coding loses nothing, so encoding and decoding amount to colour conversion, chroma
averaging, an integer cosine transform, quantisation, and the inverse with "fancy" chroma
interpolation. Floats reproduce this integer arithmetic exactly: single precision below 2^24, double
precision for the transform. The tests compare with Pillow's libjpeg byte for byte.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib._devices import to_device

# The example tables of the JPEG standard (annex K), which libjpeg scales by the quality.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip


def quantisation_table(base: tuple[int, ...], quality: int) -> NDArray[np.int64]:
    """Return the (8, 8) divisors for a quality from 1 to 100.

    >>> quantisation_table(_LUMA, 50)[0].tolist()
    [16, 11, 10, 16, 24, 40, 51, 61]
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((np.array(base) * scale + 50) // 100, 1, 255).reshape(8, 8)


@lru_cache(maxsize=1)
def _transforms() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the forward and inverse 8-point transforms in units of 2^-13.

    They are the Loeffler-Ligtenberg-Moschytz flow graph with its constants rounded to 13 bits,
    multiplied out into matrices. The graph rounds nothing inside, so the sums are the same.
    """
    f = {k: round(v * 8192) for k, v in {
        "a": 0.298631336, "b": 0.390180644, "c": 0.541196100, "d": 0.765366865,
        "e": 0.899976223, "f": 1.175875602, "g": 1.501321110, "h": 1.847759065,
        "i": 1.961570560, "j": 2.053119869, "k": 2.562915447, "l": 3.072711026,
    }.items()}  # fmt: skip
    eye = np.eye(8)
    # Forward: rows are outputs, written as combinations of the inputs.
    s = [eye[k] + eye[7 - k] for k in range(4)]
    d = [eye[k] - eye[7 - k] for k in range(4)]
    forward = np.zeros((8, 8))
    forward[0] = (s[0] + s[3] + s[1] + s[2]) * 8192
    forward[4] = (s[0] + s[3] - s[1] - s[2]) * 8192
    even = (s[0] - s[3] + s[1] - s[2]) * f["c"]
    forward[2] = even + (s[0] - s[3]) * f["d"]
    forward[6] = even - (s[1] - s[2]) * f["h"]
    t4, t5, t6, t7 = d[3], d[2], d[1], d[0]
    z5 = (t4 + t6 + t5 + t7) * f["f"]
    z1, z2 = -(t4 + t7) * f["e"], -(t5 + t6) * f["k"]
    z3, z4 = z5 - (t4 + t6) * f["i"], z5 - (t5 + t7) * f["b"]
    forward[7] = t4 * f["a"] + z1 + z3
    forward[5] = t5 * f["j"] + z2 + z4
    forward[3] = t6 * f["l"] + z2 + z3
    forward[1] = t7 * f["g"] + z1 + z4
    # Inverse: inputs are frequencies.
    q = list(eye)
    even = (q[2] + q[6]) * f["c"]
    low, high = even - q[6] * f["h"], even + q[2] * f["d"]
    plus, minus = (q[0] + q[4]) * 8192, (q[0] - q[4]) * 8192
    inner = [plus + high, minus + low, minus - low, plus - high]
    t0, t1, t2, t3 = q[7], q[5], q[3], q[1]
    z5 = (t0 + t2 + t1 + t3) * f["f"]
    z1, z2 = -(t0 + t3) * f["e"], -(t1 + t2) * f["k"]
    z3, z4 = z5 - (t0 + t2) * f["i"], z5 - (t1 + t3) * f["b"]
    outer = [
        t3 * f["g"] + z1 + z4, t2 * f["l"] + z2 + z3,
        t1 * f["j"] + z2 + z4, t0 * f["a"] + z1 + z3,
    ]  # fmt: skip
    inverse = np.array(
        [inner[k] + outer[k] for k in range(4)] + [inner[k] - outer[k] for k in (3, 2, 1, 0)]
    )
    return forward, inverse


def _shift(values: Tensor, bits: int) -> Tensor:
    """Divide whole numbers by 2^bits, halves rounded up (in place)."""
    return values.mul_(2.0**-bits).add_(0.5).floor_()


def _roundtrip(plane: Tensor, table: NDArray[np.int64]) -> Tensor:
    """Transform, quantise and transform back (n, 8a, 8b) whole numbers 0 ... 255."""
    n, h, w = plane.shape
    forward, inverse = (to_device(m, plane.device) for m in _transforms())
    steps = to_device(table.astype(np.float64), plane.device).repeat(1, w // 8)
    # Rows keep 2 extra bits, columns remove them; the result is 8 times the cosine transform.
    blocks = _shift(plane.to(torch.float64).sub_(128.0).reshape(-1, 8) @ forward.T, 11).reshape(
        -1, 8, w
    )
    blocks = _shift(torch.matmul(forward, blocks), 15)
    # Quantise to the nearest step, halves away from zero.
    size = blocks.abs().add_(steps * 4).div_(steps * 8).floor_()
    blocks = size.copysign_(blocks).mul_(steps)
    # The inverse takes columns first.
    blocks = _shift(torch.matmul(inverse, blocks), 11).reshape(-1, 8)
    pixels = _shift(blocks @ inverse.T, 18)
    return pixels.add_(128.0).clamp_(0, 255).reshape(n, h, w).to(torch.float32)


def _halve(plane: Tensor) -> Tensor:
    """Average 2 x 2 pixels; the rounding alternates between columns, as in libjpeg."""
    total = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    total[..., ::2] += 1
    total[..., 1::2] += 2
    return total.mul_(0.25).floor_()


def _double(plane: Tensor) -> Tensor:
    """Enlarge (n, h, w) twofold by libjpeg's triangle filter, whole numbers throughout."""
    n, h, w = plane.shape
    padded = F.pad(plane[:, None], (0, 0, 1, 1), mode="replicate")[:, 0]
    rows = torch.stack([plane * 3 + padded[:, :-2], plane * 3 + padded[:, 2:]], 2)
    rows = rows.reshape(n, 2 * h, w)
    padded = F.pad(rows[:, None], (1, 1, 0, 0), mode="replicate")[:, 0]
    left, right = rows * 3 + padded[..., :-2] + 8, rows * 3 + padded[..., 2:] + 7
    return torch.stack([left, right], -1).mul_(1 / 16).floor_().reshape(n, 2 * h, 2 * w)


def _fixed(value: float) -> float:
    return float(int(value * 65536 + 0.5))


# On a CPU, images of this many pixels or more are faster one by one through libjpeg.
_LARGE = 64 * 64


def jpeg_compression(x: Tensor, quality: int, draw: None = None) -> Tensor:
    """Compress bytes (n, h, w, 3) as JPEG with halved chroma, and decode them.

    Large images on a CPU go through Pillow's libjpeg if Pillow is installed, all others through
    the batched arithmetic. The bytes are the same.

    Args:
        x: (n, h, w, 3) uint8.
        quality: 1 to 100.
        draw: Unused: the corruption is deterministic.

    Source: CIFAR-C, ImageNet-C, which call Pillow.
    """
    if x.device.type == "cpu" and x.shape[1] * x.shape[2] >= _LARGE:
        try:
            return _by_libjpeg(x, quality)
        except ImportError:
            pass
    return _by_arithmetic(x, quality)


def _by_libjpeg(x: Tensor, quality: int) -> Tensor:
    from PIL import Image

    out = np.empty(x.shape, dtype=np.uint8)
    for source, target in zip(x.numpy(), out, strict=True):
        with io.BytesIO() as file:
            Image.fromarray(source).save(file, "JPEG", quality=quality)
            with Image.open(file) as decoded:
                target[:] = np.asarray(decoded)
    return torch.from_numpy(out)


def _by_arithmetic(x: Tensor, quality: int) -> Tensor:
    n, h, w, _ = x.shape
    r, g, b = x.permute(3, 0, 1, 2).contiguous().to(torch.float32).unbind(0)
    half = float(1 << 15)
    centre = float((128 << 16) + (1 << 15) - 1)
    luma = (r * _fixed(0.299) + g * _fixed(0.587)).add_(b * _fixed(0.114)).add_(half)
    blue = (b * half - r * _fixed(0.168735892)).sub_(g * _fixed(0.331264108)).add_(centre)
    red = (r * half - g * _fixed(0.418687589)).sub_(b * _fixed(0.081312411)).add_(centre)
    planes = [p.mul_(2.0**-16).floor_() for p in (luma, blue, red)]
    tall, wide = -(-h // 2), -(-w // 2)
    decoded = []
    for k, plane in enumerate(planes):
        across = 8 * (-(-w // 8)) if k == 0 else 16 * (-(-wide // 8))
        plane = _extend(plane, h if k == 0 else 2 * tall, across)
        if k:
            plane = _halve(plane)
        plane = _extend(plane, 8 * (-(-plane.shape[1] // 8)), plane.shape[2])
        plane = _roundtrip(plane, quantisation_table(_CHROMA if k else _LUMA, quality))
        decoded.append(_double(plane[:, :tall, :wide])[:, :h, :w] if k else plane[:, :h, :w])
    y, cb, cr = decoded
    cb, cr = cb - 128, cr - 128
    out = torch.empty((n, h, w, 3), device=x.device)
    torch.add(y, (cr * _fixed(1.40200)).add_(half).mul_(2.0**-16).floor_(), out=out[..., 0])
    green = (cb * -_fixed(0.34414)).sub_(cr * _fixed(0.71414)).add_(half).mul_(2.0**-16)
    torch.add(y, green.floor_(), out=out[..., 1])
    torch.add(y, (cb * _fixed(1.77200)).add_(half).mul_(2.0**-16).floor_(), out=out[..., 2])
    return out.clamp_(0, 255).to(torch.int32).to(torch.uint8)


def _extend(plane: Tensor, height: int, width: int) -> Tensor:
    """Pad to a size by repeating the last row and column."""
    if plane.shape[1:] == (height, width):
        return plane
    extra = (0, width - plane.shape[2], 0, height - plane.shape[1])
    return F.pad(plane[:, None], extra, mode="replicate")[:, 0]
