"""Data sets."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

if TYPE_CHECKING:
    from nmlib.data.images import DATASETS, ImageData, load
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.data.images": "DATASETS ImageData load",
        },
    )

__all__ = [
    "DATASETS",
    "POLYGON_VERTICES",
    "ImageData",
    "load",
    "make_polygon_band",
    "signed_distance",
]
