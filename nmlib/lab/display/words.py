"""Names and small print of the pictures of robustness."""

from __future__ import annotations

import textwrap
from typing import Any

__all__ = [
    "PAPER_COLOUR",
    "short_name",
    "signed",
    "small_print",
    "spaced",
    "wrapped",
]

PAPER_COLOUR = "#595959"
_SHORT = {
    "gaussian_noise": "gaussian", "shot_noise": "shot", "impulse_noise": "impulse",
    "defocus_blur": "defocus", "glass_blur": "glass", "motion_blur": "motion",
    "zoom_blur": "zoom", "elastic_transform": "elastic", "jpeg_compression": "JPEG",
}  # fmt: skip


def wrapped(text: str, width: float) -> str:
    """Break small print into lines of a figure `width` inches wide."""
    lines = (textwrap.wrap(part, int(18 * width)) for part in text.split("\n"))
    return "\n".join(line for part in lines for line in part)


def small_print(figure: Any, text: str) -> None:
    """Write the conditions into the lower right corner, in lines that the figure has room for."""
    if text:
        text = wrapped(text, figure.get_figwidth())
        figure.supxlabel(text, fontsize=7.5, color="0.35", x=0.99, ha="right")


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
