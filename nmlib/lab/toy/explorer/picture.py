"""PNG pictures of a lab without a plotting window: a small painter, and the six panels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from nmlib.lab.display.base import png
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.lab import ToyLab

__all__ = ["encode_png", "lab_png", "paint"]

# Orange to blue through near white (Okabe-Ito), as in static/field.js.
RAMP = np.array(
    [[249, 217, 168], [252, 236, 212], [252, 252, 251], [208, 231, 246], [142, 198, 234]]
)
COLOURS = np.stack(
    [np.interp(np.arange(256), np.linspace(0, 255, len(RAMP)), c) for c in RAMP.T], axis=1
).astype(np.uint8)
INK, ZERO, ONE = (22, 25, 29), (133, 54, 0), (0, 78, 125)


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Encode an (H, W, 3) uint8 array as PNG.

    >>> encode_png(np.zeros((2, 3, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"rgb must be uint8 of shape (H, W, 3), got {rgb.dtype} {rgb.shape}")
    height, width, _ = rgb.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), rgb.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _stretch(grid: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Bilinear interpolation between pixel centres."""
    n = grid.shape[0]
    at = np.clip((np.arange(side) + 0.5) / side * n - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), n - 2)
    part = at - low
    g = grid.astype(float)
    g = g[low] * (1 - part)[:, None] + g[low + 1] * part[:, None]
    return g[:, low] * (1 - part) + g[:, low + 1] * part


def paint(lab: ToyLab, lane: str, side: int = 360) -> NDArray[np.uint8]:
    """Paint one scheme: field, isolines, boundary and points, as (side, side, 3) uint8.

    Class 0 is orange and round, class 1 blue and triangular; test points are hollow.
    """
    field = _stretch(lab.grid(lane, 72), side).astype(np.float32)
    image = COLOURS[np.rint(field).astype(np.uint8)]

    def edge(level: float) -> NDArray[np.bool_]:
        above = field > level
        line = np.zeros_like(above)
        line[:, 1:] |= above[:, 1:] != above[:, :-1]
        line[1:] |= above[1:] != above[:-1]
        return line

    for share in (0.1, 0.3, 0.7, 0.9):
        line = edge(255 * share)
        image[line] = (0.7 * image[line] + 0.3 * np.array(INK)).astype(np.uint8)
    rows, columns = np.mgrid[-5:6, -5:6]
    disc = rows**2 + columns**2 <= 10
    triangle = (rows <= 3) & (rows >= -4) & (np.abs(columns) <= (rows + 5) * 0.55)
    shapes = {0: disc, 1: triangle}

    def rim(shape: NDArray[np.bool_]) -> NDArray[np.bool_]:
        inner = shape.copy()
        inner[1:-1, 1:-1] &= shape[:-2, 1:-1] & shape[2:, 1:-1] & shape[1:-1, :-2] & shape[1:-1, 2:]
        return shape & ~inner

    for test, X, y in ((True, lab.X_test, lab.y_test), (False, lab.X_train, lab.y_train)):
        at = (X * (1, -1) + lab.EXTENT) / (2 * lab.EXTENT) * side
        column, row = np.rint(at).astype(int).T
        seen = (np.minimum(row, column) >= 5) & (np.maximum(row, column) < side - 5)
        for label, colour in ((0, ZERO), (1, ONE)):
            shape = rim(shapes[label]) if test else shapes[label]
            down, right = np.nonzero(shape)
            chosen = seen & (y == label)
            image[row[chosen, None] + down - 5, column[chosen, None] + right - 5] = colour
    line = edge(127.5)
    line[:, 1:] |= line[:, :-1].copy()
    line[1:] |= line[:-1].copy()
    image[line] = INK
    return image


def lab_png(lab: ToyLab) -> bytes:
    """Draw all six schemes as PNG: with titles if matplotlib is installed, without if not."""
    try:
        return png(DecisionBoundaryDisplay.from_lab(lab).plot().figure_, dpi=72, colours=96)
    except ModuleNotFoundError:
        tiles = [np.pad(paint(lab, lane, 260), ((4, 4), (4, 4), (0, 0))) for lane in lab.lanes]
        rows = [np.concatenate(tiles[i : i + 3], axis=1) for i in (0, 3)]
        return encode_png(np.concatenate(rows))
