"""Names and numbers as figures write them."""

from __future__ import annotations

__all__ = ["short_name", "signed", "spaced"]

_SHORT = {
    "gaussian_noise": "gaussian", "shot_noise": "shot", "impulse_noise": "impulse",
    "defocus_blur": "defocus", "glass_blur": "glass", "motion_blur": "motion",
    "zoom_blur": "zoom", "elastic_transform": "elastic", "jpeg_compression": "JPEG",
}  # fmt: skip


def short_name(name: str) -> str:
    """Return the name of a corruption as axes have room for it."""
    return _SHORT.get(name, name.replace("_", " "))


def spaced(name: str) -> str:
    """Return a name as words."""
    return name.replace("_", " ")


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign and some digits; zero has no sign.

    >>> signed(-1.25), signed(0.04)
    ('−1.2', '0.0')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"
