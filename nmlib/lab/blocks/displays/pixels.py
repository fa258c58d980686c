"""Pixels, feature maps and words of the pictures of NoisyMix's pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.lab.display.base import Display

__all__ = [
    "MAP_COLOURS",
    "Bytes",
    "Floats",
    "Pictured",
    "as_floats",
    "as_pixels",
    "colour_maps",
    "map_levels",
    "picture",
    "shares_words",
    "tile_maps",
]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
_NEGATIVE, _ZERO, _POSITIVE = (0, 114, 178), (250, 250, 250), (213, 94, 0)
MAP_COLOURS: Bytes = np.stack(
    [
        np.interp(np.arange(256), (0, 128, 255), colour)
        for colour in zip(_NEGATIVE, _ZERO, _POSITIVE, strict=True)
    ],
    axis=1,
).astype(np.uint8)
"""Blue below zero, white at zero, vermilion above (Okabe-Ito): 256 colours of feature maps."""


class Pictured(Display):
    """Images and feature maps without axes, in a palette that keeps vermilion and orange apart."""

    image = "maps"
    grid = "none"


def as_floats(images: Tensor) -> Tensor:
    """Return (B, H, W, 3) uint8 images as (B, 3, H, W) floats in [0, 1].

    >>> as_floats(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)).unique().tolist()
    [1.0]
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"images must be uint8 of shape (B, H, W, 3), got {images.dtype} of shape "
            f"{tuple(images.shape)}; ImageData.images has it"
        )
    # Noise is drawn in the order of memory: one order for all callers.
    return images.permute(0, 3, 1, 2).float().contiguous() / 255


def as_pixels(x: Tensor) -> Bytes:
    """Return (..., C, H, W) floats as (..., H, W, C) bytes, cut off outside [0, 1]."""
    pixels = (x.detach().cpu().float() * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.movedim(-3, -1).contiguous().numpy()


def tile_maps(tiles: Bytes) -> Bytes:
    """Lay (n, h, w) levels out as a square grid, row by row, with gaps of level 128.

    >>> tile_maps(np.zeros((4, 8, 8), np.uint8)).shape
    (17, 17)
    """
    count, height, width = tiles.shape
    gap = max(1, width // 8)
    side = int(np.ceil(np.sqrt(count)))
    rows = -(-count // side)
    grid = np.full((rows * (height + gap) - gap, side * (width + gap) - gap), 128, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // side * (height + gap), k % side * (width + gap)
        grid[top : top + height, left : left + width] = tile
    return grid


def map_levels(maps: NDArray, limit: float) -> Bytes:
    """Return activations as indices of `MAP_COLOURS`: 128 is zero, 1 and 255 are -+`limit`."""
    scaled = np.asarray(maps, dtype=np.float64) * (127 / max(limit, 1e-12))
    return (128 + np.clip(scaled, -127, 127).round()).astype(np.uint8)


def colour_maps(maps: NDArray, limit: float) -> Bytes:
    """Return (n, h, w) activations as one coloured square grid (H, W, 3), gaps in white.

    In 33 shades, so that pictures stay small.
    """
    grid = tile_maps(map_levels(maps, limit)).astype(int)
    return MAP_COLOURS[np.clip(128 + 8 * np.rint((grid - 128) / 8).astype(int), 0, 255)]


def shares_words(shares: NDArray, classes: Sequence[str], least: float = 0.005) -> str:
    """Say a label distribution, largest share first.

    >>> shares_words(np.array([0.3, 0.7]), ("Bag", "Coat"))
    '0.70 Coat + 0.30 Bag'
    """
    order = sorted(np.flatnonzero(shares >= least).tolist(), key=lambda k: -shares[k])
    return " + ".join(f"{shares[k]:.2f} {classes[k]}" for k in order)


def picture(axes: Any, pixels: NDArray, title: str = "", below: str = "", size: int = 9) -> None:
    """Show an image without ticks, with words above and below."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.8")
    if title:
        axes.set_title(title, fontsize=size)
    if below:
        axes.set_xlabel(below, fontsize=size, labelpad=4)
