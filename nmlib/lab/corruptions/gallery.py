"""Panels of the corruptions: choose one and raise its severity; play a perturbation sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, PERTURBATIONS, frame_count
from nmlib.lab.corruptions.displays import (
    DifferenceDisplay,
    SequenceDisplay,
    compare_strip,
    enlarged,
)
from nmlib.lab.display.base import jpeg
from nmlib.lab.panel import Control, Message, Panel, Reply, open_panel

__all__ = ["CorruptionGallery", "SequencePlayer", "corruption_gallery", "sequence_player"]

_NAMES = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
_LONGEST = max(frame_count(name, "imagenet") for name in PERTURBATIONS)
_SCRIPT = Path(__file__).parent / "static" / "gallery.js"


def _benchmark(image: Tensor) -> Literal["cifar", "imagenet"]:
    """Small images take CIFAR's parameters, larger ones ImageNet's."""
    return "cifar" if image.shape[0] <= 64 else "imagenet"


class CorruptionGallery(Panel):
    """A clean image, the corrupted one and their difference.

    Args:
        images: Title -> (H, W, 3) uint8.
        **settings: Where to start.
    """

    SCRIPT = _SCRIPT
    CONTROLS = (
        Control("image", "image", kind="list"),
        Control(
            "name", "corruption", "glass_blur", kind="list", choices=_NAMES,
            words=tuple(name.replace("_", " ") for name in _NAMES),
        ),
        Control("severity", "severity", 3, 1, 5, 1, 0),
        Control("seed", "seed", 0, 0, 999_999, 1, 0, kind="field"),
    )  # fmt: skip

    def __init__(self, images: Mapping[str, Tensor], **settings: Any) -> None:
        if not images:
            raise ValueError("images is empty; pass at least one title -> image")
        self.images, titles = dict(images), tuple(images)
        image, *others = self.CONTROLS
        self.controls = (replace(image, choices=titles, start=titles[0]), *others)
        super().__init__(**settings)

    def display(self, settings: Mapping[str, Any] | None = None) -> DifferenceDisplay:
        """Return the current choice, or another one, as a figure."""
        s = settings or self.settings
        image = self.images[s["image"]]
        return DifferenceDisplay.from_image(
            image, s["name"], s["severity"], benchmark=_benchmark(image), seed=s["seed"],
            title=s["image"],
        )  # fmt: skip

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return the picture and its description."""
        shown = self.display(settings)
        return {"words": shown.summary}, [jpeg(compare_strip(shown.clean, shown.corrupted))]

    def summary(self) -> str:
        return self.display().summary

    def displays(self) -> tuple[DifferenceDisplay]:
        """Return the gallery as it is now, as a display."""
        return (self.display(),)

    caption = property(summary)


class SequencePlayer(Panel):
    """A perturbation sequence, frame by frame.

    Args:
        image: (H, W, 3) uint8.
        title: What the image is.
        seed: Seed of the random perturbations.
        **settings: Where to start.
    """

    SCRIPT = _SCRIPT
    CONTROLS = (
        Control(
            "name",
            "sequence",
            "rotate",
            kind="list",
            choices=PERTURBATIONS,
            words=tuple(name.replace("_", " ") for name in PERTURBATIONS),
        ),
        Control("frame", "frame", 0, 0, _LONGEST - 1, 1, 0),
    )

    def __init__(self, image: Tensor, title: str, seed: int, **settings: Any) -> None:
        self.image, self.title, self.seed = image, title, seed
        self._last: SequenceDisplay | None = None
        super().__init__(**settings)

    def sequence(self, name: str | None = None) -> SequenceDisplay:
        """Return the current sequence, or another one, as a figure."""
        name = name or self.settings["name"]
        if self._last is None or self._last.name != name:
            self._last = SequenceDisplay.from_image(
                self.image, name, benchmark=_benchmark(self.image), seed=self.seed,
                title=self.title,
            )  # fmt: skip
        return self._last

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return one frame; a frame beyond the end of the sequence is the last one."""
        frames = self.sequence(settings["name"]).frames
        last = len(frames) - 1
        frame = min(settings["frame"], last)
        words = f"{settings['name'].replace('_', ' ')}, frame {frame} of {last}"
        picture = jpeg(enlarged(frames[frame], 448))
        return {"words": words, "plays": "frame", "last": last}, [picture]

    def summary(self) -> str:
        return self.sequence().summary

    def displays(self) -> tuple[SequenceDisplay]:
        """Return frames of the sequence side by side, as a display."""
        return (self.sequence(),)

    caption = property(summary)


def corruption_gallery(
    images: Mapping[str, Tensor],
    name: str = "glass_blur",
    severity: int = 3,
    seed: int = 0,
    *,
    mode: str = "auto",
) -> Any:
    """Show images corrupted, with a choice of image, corruption and severity.

    Args:
        images: Title -> (H, W, 3) uint8.
        name: Corruption to begin with.
        severity: Severity to begin with, 1 to 5.
        seed: Seed of the random corruptions.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.

    Returns:
        A gallery; put it last in a cell. Both forms have `settings` and `display()`.

    Raises:
        ValueError: Without images, for an unknown corruption or mode, or a value out of range.
    """
    return open_panel(CorruptionGallery, mode, images, name=name, severity=severity, seed=seed)


def sequence_player(
    image: Tensor,
    name: str = "rotate",
    title: str = "image",
    seed: int = 0,
    *,
    mode: str = "auto",
) -> Any:
    """Play a perturbation sequence of an image, or step through its frames.

    Args:
        image: (H, W, 3) uint8.
        name: Perturbation to begin with.
        title: What the image is.
        seed: Seed of the random perturbations.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.

    Returns:
        A player; put it last in a cell. Both forms have `settings` and `sequence()`.

    Raises:
        ValueError: For an unknown perturbation or mode.
    """
    return open_panel(SequencePlayer, mode, image, title, seed, name=name)
