"""Data sets."""

from nmlib.data.images import DATASETS, ImageData, load
from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

__all__ = [
    "DATASETS",
    "POLYGON_VERTICES",
    "ImageData",
    "load",
    "make_polygon_band",
    "signed_distance",
]
