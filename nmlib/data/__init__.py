"""Data sets."""

from nmlib.data.toy import POLYGON_VERTICES, make_polygon_band, signed_distance

__all__ = ["POLYGON_VERTICES", "make_polygon_band", "signed_distance"]
