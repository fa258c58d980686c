"""Records of the random numbers that corruptions draw, with one row for each image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = [
    "AngleDraw",
    "AnyDraw",
    "ElasticDraw",
    "FieldDraw",
    "FogDraw",
    "FrostDraw",
    "GlassDraw",
    "SnowDraw",
]


@dataclass(frozen=True)
class FieldDraw:
    """One number per element.

    Attributes:
        values: (n, h, w, 3) or, for spatter, (n, h, w): standard normal numbers; Poisson counts
            for shot noise; for impulse noise -1 (pepper), 0 (untouched) or 1 (salt).
    """

    values: Tensor


@dataclass(frozen=True)
class GlassDraw:
    """Draws of glass blur.

    Attributes:
        shifts: (n, iterations, h, w, 2) displacements (rows, columns), integers in
            [-delta, delta). Only pixels that the definition visits use theirs.
    """

    shifts: Tensor


@dataclass(frozen=True)
class AngleDraw:
    """Draws of motion blur.

    Attributes:
        degrees: (n,) direction of the motion.
    """

    degrees: Tensor


@dataclass(frozen=True)
class SnowDraw:
    """Draws of snow.

    Attributes:
        layer: (n, h, w) standard normal numbers.
        degrees: (n,) direction of the fall.
    """

    layer: Tensor
    degrees: Tensor


@dataclass(frozen=True)
class FrostDraw:
    """Draws of frost.

    Attributes:
        texture: (n,) index of the texture.
        corner: (n, 2) first row and column of the crop.
    """

    texture: Tensor
    corner: Tensor


@dataclass(frozen=True)
class FogDraw:
    """Draws of fog.

    Attributes:
        fields: For each level of the plasma, finest last, three (n, k, k) fields of uniform numbers
            on (-1, 1): squares, then the two kinds of diamonds.
    """

    fields: tuple[tuple[Tensor, Tensor, Tensor], ...]


@dataclass(frozen=True)
class ElasticDraw:
    """Draws of an elastic transform.

    Attributes:
        corners: (n, 3, 2) uniform numbers on (-1, 1): jitter (x, y) of three points.
        columns: (n, h, w) uniform numbers on (-1, 1): horizontal displacement before smoothing.
        rows: (n, h, w) the same, vertical.
    """

    corners: Tensor
    columns: Tensor
    rows: Tensor


AnyDraw = FieldDraw | GlassDraw | AngleDraw | SnowDraw | FrostDraw | FogDraw | ElasticDraw | None
