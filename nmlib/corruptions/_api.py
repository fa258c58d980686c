"""`corrupt`: any corruption on a batch of images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._memory import reused_memory
from nmlib._threads import run_all, thread_count
from nmlib.corruptions._draws import AnyDraw
from nmlib.corruptions._frost_textures import frost_textures
from nmlib.corruptions._jpeg import jpeg_compression
from nmlib.corruptions._registry import REGISTRY, Corruption, apply_to, draw_for
from nmlib.corruptions._severities import BENCHMARKS, Benchmark
from nmlib.corruptions._streams import image_stream

__all__ = [
    "SMALLEST_SIDE",
    "apply_corruption",
    "corrupt",
    "draw_corruption",
    "find_corruption",
]

SMALLEST_SIDE = 32
"""Smallest height and width, in pixels, for which the definitions make sense."""

Images = TypeVar("Images", Tensor, NDArray)
# A Pillow image, too, whose type nmlib does not import.
Pictures = TypeVar("Pictures")


def check_images(images: Any) -> tuple[Tensor, bool]:
    """Return the images as an (N, H, W, 3) tensor view, and whether channels came first."""
    view, channels_first = _checks.byte_images(images)
    if min(view.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"images of {view.shape[1]} x {view.shape[2]} pixels are too small; the corruptions "
            f"need {SMALLEST_SIDE} x {SMALLEST_SIDE} or more"
        )
    return view, channels_first


def find_corruption(which: str | Corruption) -> Corruption:
    """Return nmlib's corruption of a name, or your own one unchanged.

    Raises:
        ValueError: For an unknown name, or if your own has the name of one of nmlib's.
    """
    if not isinstance(which, Corruption):
        _checks.choice("corruption", which, REGISTRY)
        return REGISTRY[which]
    if REGISTRY.get(which.name, which) is not which:
        raise ValueError(
            f"a corruption of your own needs a name of its own; {which.name!r} is one of nmlib's"
        )
    return which


def check_request(which: str | Corruption, severity: int, benchmark: str) -> tuple[Corruption, int]:
    """Look up a corruption and check severity and benchmark, or raise."""
    _checks.choice("benchmark", benchmark, BENCHMARKS)
    return find_corruption(which), _checks.integer("severity", severity, 1, 5)


def _textures(
    corruption: Corruption, benchmark: str, view: Tensor, frost: Sequence[NDArray] | None
) -> list[Tensor]:
    if not corruption.textures:
        return []
    return frost_textures(benchmark, view.shape[1], view.shape[2], view.device, frost)


def chunk_size(corruption: Corruption, view: Tensor) -> int:
    """Return the number of images in a chunk: enough to be fast, few enough for the cache."""
    _, h, w, _ = view.shape
    if view.device.type != "cpu":
        return max(1, (1 << 22) // (h * w))
    load = max(1, corruption.load * 1024 // (h * w))
    if h * w >= 128 * 128:
        load = max(load, corruption.least)
    return max(1, min(load, -(-len(view) // thread_count())))


def corrupt(
    images: Pictures,
    name: str | Corruption,
    severity: int,
    *,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    first_index: int = 0,
    frost: Sequence[NDArray] | None = None,
    jpeg: int | None = None,
) -> Pictures:
    """Corrupt images the way CIFAR-C or ImageNet-C does.

    The result for an image depends only on (seed, name, severity, index of the image), not on the
    batch size or on other calls. Every device makes the same draws; results on two devices agree
    up to rounding, so a few values may differ by one grey level.

    Args:
        images: uint8 tensor, array or list of images, (N, H, W, 3) or (N, 3, H, W), sides of 32
            pixels or more; or a single one, (H, W, 3), (3, H, W) or a Pillow image of mode RGB.
        name: One of `CORRUPTIONS` or `EXTRA_CORRUPTIONS`, or a `Corruption` of your own.
        severity: 1 to 5.
        benchmark: "cifar" or "imagenet": whose parameters to use.
        seed: Non-negative integer.
        first_index: Index of images[0] in its data set, when a data set is streamed in parts, or of
            the single image.
        frost: Photographs for frost, from `read_frost_photographs`; None for drawn textures.
        jpeg: Quality, 1 to 100, of a JPEG compression of the result. The published files of
            ImageNet-C are JPEGs of quality 85, and accuracies on them are lower by 2 to 8 points.

    Returns:
        A new tensor or array of the same shape, dtype, layout and device, or a Pillow image.

    Raises:
        TypeError: For images that are not uint8.
        ValueError: For an unknown name (the message suggests the nearest), a severity outside
            1 ... 5, or images that are too small or do not have three channels.

    Source: Hendrycks & Dietterich (2019), the test sets of the paper's Tables 1 to 4.
    Differs: the published files were made without a seed, so the random ones match in
        distribution only. Frost uses drawn textures unless `frost` is given. Plasma clouds grow
        with the image beyond 256 pixels.

    >>> import torch
    >>> x = torch.full((2, 32, 32, 3), 100, dtype=torch.uint8)
    >>> corrupt(x, "brightness", 3)[0, 0, 0].tolist()
    [138, 138, 138]
    >>> whole = corrupt(x, "gaussian_noise", 1, seed=4)
    >>> bool((corrupt(x[1:], "gaussian_noise", 1, seed=4, first_index=1) == whole[1:]).all())
    True
    """
    batch, back = _checks.as_batch(images)
    view, channels_first = check_images(batch)
    corruption, severity = check_request(name, severity, benchmark)
    first_index = _checks.integer("first_index", first_index, 0)
    jpeg = None if jpeg is None else _checks.integer("jpeg", jpeg, 1, 100)
    n, h, w, _ = view.shape
    out = torch.empty_like(view, memory_format=torch.preserve_format)
    params = corruption.parameters(benchmark, severity, min(h, w))
    textures = _textures(corruption, benchmark, view, frost)
    step = chunk_size(corruption, view)
    purpose = ("corrupt", corruption.name, severity)

    def piece(start: int) -> None:
        part = view[start : start + step].contiguous()
        stream = image_stream(seed, purpose, first_index + start, len(part), part.device)
        draw = draw_for(corruption, part, stream, params, textures)
        made = apply_to(corruption, part, params, draw, textures)
        out[start : start + step] = made if jpeg is None else jpeg_compression(made, jpeg)

    with warnings.catch_warnings(), reused_memory(view.device):
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts = range(0, n, step)
        if view.device.type == "cpu":
            run_all(piece, starts)
        else:
            for start in starts:
                piece(start)
    if channels_first:
        out = out.permute(0, 3, 1, 2)
    if not isinstance(batch, Tensor):
        return back(np.ascontiguousarray(out.numpy()))
    return back(out.contiguous() if batch.is_contiguous() else out)


def draw_corruption(
    images: Tensor,
    name: str | Corruption,
    severity: int,
    *,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    first_index: int = 0,
    frost: Sequence[NDArray] | None = None,
) -> AnyDraw:
    """Return the random numbers that `corrupt` uses for these images, or None if it uses none.

    Args:
        images: As for `corrupt`; only shot noise depends on the pixels.
        name: As for `corrupt`.
        severity: As for `corrupt`.
        benchmark: As for `corrupt`.
        seed: As for `corrupt`.
        first_index: As for `corrupt`.
        frost: As for `corrupt`.

    >>> import torch
    >>> x = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    >>> draw_corruption(x, "motion_blur", 1).degrees.shape
    torch.Size([2])
    """
    view, _ = check_images(_checks.as_batch(images)[0])
    corruption, severity = check_request(name, severity, benchmark)
    params = corruption.parameters(benchmark, severity, min(view.shape[1:3]))
    purpose = ("corrupt", corruption.name, severity)
    stream = image_stream(seed, purpose, first_index, len(view), view.device)
    textures = _textures(corruption, benchmark, view, frost)
    return draw_for(corruption, view.contiguous(), stream, params, textures)


def apply_corruption(
    images: Pictures,
    name: str | Corruption,
    severity: int,
    draw: AnyDraw = None,
    *,
    benchmark: Benchmark = "cifar",
    frost: Sequence[NDArray] | None = None,
) -> Pictures:
    """Apply a corruption with given random numbers, drawn or written by hand.

    Args:
        images: As for `corrupt`.
        name: As for `corrupt`.
        severity: As for `corrupt`.
        draw: Record of the numbers, see `draw_corruption`; None for a deterministic corruption.
        benchmark: As for `corrupt`.
        frost: As for `corrupt`.

    >>> import torch
    >>> x = torch.full((1, 32, 32, 3), 9, dtype=torch.uint8)
    >>> d = draw_corruption(x, "speckle_noise", 5, seed=3)
    >>> again = corrupt(x, "speckle_noise", 5, seed=3)
    >>> bool((apply_corruption(x, "speckle_noise", 5, d) == again).all())
    True
    """
    batch, back = _checks.as_batch(images)
    view, channels_first = check_images(batch)
    corruption, severity = check_request(name, severity, benchmark)
    if corruption.draw is not None and draw is None:
        raise ValueError(
            f"{corruption.name} is random; pass the record that draw_corruption returns"
        )
    params = corruption.parameters(benchmark, severity, min(view.shape[1:3]))
    textures = _textures(corruption, benchmark, view, frost)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        out = apply_to(corruption, view.contiguous(), params, draw, textures)
    if channels_first:
        out = out.permute(0, 3, 1, 2)
    if not isinstance(batch, Tensor):
        return back(np.ascontiguousarray(out.numpy()))
    return back(out.contiguous())
