"""Data sets."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

if TYPE_CHECKING:
    from nmlib.data.images import DATASETS, ImageData, Images, load
    from nmlib.data.reading import LazyImages
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.data.images": "DATASETS ImageData Images load",
            "nmlib.data.reading": "LazyImages",
        },
    )

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
