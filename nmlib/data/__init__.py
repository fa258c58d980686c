"""Data sets."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

if TYPE_CHECKING:
    from nmlib.data.image_folder import ImageFolder, Preparation
    from nmlib.data.imagenet import (
        corrupted_folder,
        renditions_folder,
        validation_folder,
        video_folder,
    )
    from nmlib.data.images import DATASETS, ImageData, Images, load
    from nmlib.data.reading import LazyImages
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.data.image_folder": "ImageFolder Preparation",
            "nmlib.data.imagenet": (
                "corrupted_folder renditions_folder validation_folder video_folder"
            ),
            "nmlib.data.images": "DATASETS ImageData Images load",
            "nmlib.data.reading": "LazyImages",
        },
    )

__all__ = [
    "DATASETS",
    "POLYGON_VERTICES",
    "ImageData",
    "ImageFolder",
    "Images",
    "LazyImages",
    "Preparation",
    "corrupted_folder",
    "load",
    "make_polygon_band",
    "renditions_folder",
    "signed_distance",
    "validation_folder",
    "video_folder",
]
