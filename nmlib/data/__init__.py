"""Data sets."""

from nmlib.data.images import DATASETS, ImageData, Images, load
from nmlib.data.reading import LazyImages
from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

__all__ = [
    "DATASETS",
    "POLYGON_VERTICES",
    "ImageData",
    "Images",
    "LazyImages",
    "load",
    "make_polygon_band",
    "signed_distance",
]
