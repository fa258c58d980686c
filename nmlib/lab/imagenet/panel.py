"""A panel: corrupt a picture and see what an ImageNet network calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.display.base import jpeg
from nmlib.lab.imagenet.displays import TopFiveDisplay
from nmlib.lab.imagenet.pictures import pictures
from nmlib.lab.panel import Control, Message, Panel, Reply, open_panel

__all__ = ["PicturePanel", "picture_panel"]

_NAMES = ("none", *CORRUPTIONS)


class PicturePanel(Panel):
    """A corrupted picture and SqueezeNet's first five classes.

    Args:
        images: Title -> (H, W, 3) uint8.
        **settings: Where to start.
    """

    SCRIPT = Path(__file__).parent / "static" / "picture.js"
    CONTROLS = (
        Control("picture", "picture", kind="list"),
        Control(
            "name", "corruption", "none", kind="list", choices=_NAMES,
            words=tuple(name.replace("_", " ") for name in _NAMES),
        ),
        Control("severity", "severity", 3, 1, 5, 1, 0),
        Control("jpeg", "JPEG 85", False, kind="switch", symbol="J",
                help="stored once more, as the published files are"),
        Control("masked", "ImageNet-R's 200 classes", False, kind="switch", symbol="R",
                help="no other class can be named"),
    )  # fmt: skip

    def __init__(self, images: Mapping[str, Tensor], **settings: Any) -> None:
        if not images:
            raise ValueError("images is empty; pass at least one title -> image")
        self.images, titles = dict(images), tuple(images)
        first, *others = self.CONTROLS
        self.controls = (replace(first, choices=titles, start=titles[0]), *others)
        super().__init__(**settings)

    def display(self, settings: Mapping[str, Any] | None = None) -> TopFiveDisplay:
        """Return the current choice, or another one, as a figure."""
        s = dict(settings or self.settings)
        title = s.pop("picture")
        return TopFiveDisplay.from_image(self.images[title], **s, title=title)

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return the picture, its first five classes and the description."""
        shown = self.display(settings)
        top = [[name, round(now, 4), round(clean, 4)] for name, now, clean in shown.top]
        return {"words": shown.summary, "top": top}, [jpeg(shown.pixels, 92)]

    def summary(self) -> str:
        """Describe the current choice."""
        return self.display().summary

    def displays(self) -> tuple[TopFiveDisplay]:
        """Return the panel as it is now, as a display."""
        return (self.display(),)

    caption = property(summary)


def picture_panel(
    images: Mapping[str, Tensor] | None = None, *, mode: str = "auto", **settings: Any
) -> Any:
    """Corrupt a picture and see what SqueezeNet calls it.

    Args:
        images: Title -> (224, 224, 3) uint8, or of a similar size; default `pictures()`.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        **settings: Where to start: `picture` (a title), `name` (a corruption or "none"), `severity`
            1 to 5, `jpeg` and `masked` (True or False).

    Returns:
        A panel; put it last in a cell. Both forms have `settings` and `display()`.

    Raises:
        ValueError: Without images, for an unknown setting or mode, or a value out of range.

    >>> picture_panel(picture="clock, edges", mode="still").summary()
    'clock, edges: wall clock 48 %, ... Clean: wall clock 48 %.'
    """
    images = pictures() if images is None else images
    return open_panel(PicturePanel, mode, images, **settings)
