"""Batched image operations: fixed linear maps, the nine operations of AugMix, 8-bit rounding.

Linear maps run in float64, and `to_bytes` truncates with a small guard. So the order of summation,
which depends on device, batch size and number of threads, cannot change a pixel.
"""

from nmlib.ops._bytes import on_device, to_bytes
from nmlib.ops._linear_maps import (
    BandedMap,
    banded,
    blur_map,
    box_map,
    from_columns,
    reflect_index,
    separable,
    sparse_map,
    to_columns,
    zoom_map,
)
from nmlib.ops._moves import (
    Positions,
    affine,
    affine_matrix,
    positions,
    rotate,
    rotation,
    sample,
    shear_x,
    shear_y,
    sheared_positions,
    translate_groups,
    translate_x,
    translate_y,
    turned_positions,
)
from nmlib.ops._resize import resized_crops
from nmlib.ops._tones import autocontrast, equalize, invert, posterize, solarize

__all__ = [
    "BandedMap",
    "Positions",
    "affine",
    "affine_matrix",
    "autocontrast",
    "banded",
    "blur_map",
    "box_map",
    "equalize",
    "from_columns",
    "invert",
    "on_device",
    "positions",
    "posterize",
    "reflect_index",
    "resized_crops",
    "rotate",
    "rotation",
    "sample",
    "separable",
    "shear_x",
    "shear_y",
    "sheared_positions",
    "solarize",
    "sparse_map",
    "to_bytes",
    "to_columns",
    "translate_groups",
    "translate_x",
    "translate_y",
    "turned_positions",
    "zoom_map",
]
