"""Controls for the corruptions: pick one, turn it up, play a sequence.

Core ipywidgets only, pictures as bytes: no Output widget and no plotting in callbacks. Without a
front end the same objects are a picture and a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, PERTURBATIONS
from nmlib.plots.corruptions import (
    DifferenceDisplay,
    SequenceDisplay,
    _enlarged,
    compare_strip,
    encode_jpeg,
)

__all__ = ["CorruptionGallery", "SequencePlayer"]


def _widgets() -> Any:
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets


def _benchmark(image: Tensor) -> Literal["cifar", "imagenet"]:
    """Small images take CIFAR's parameters, larger ones ImageNet's."""
    return "cifar" if image.shape[0] <= 64 else "imagenet"


class _Gallery:
    """A widget with a picture and a sentence behind it."""

    view: Any = None

    def still(self) -> tuple[str, bytes]:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        words, picture = self.still()
        data: dict[str, Any] = {"text/plain": words, "image/jpeg": picture}
        if self.view is not None:
            if hasattr(self.view, "_repr_mimebundle_"):
                view = self.view._repr_mimebundle_()
                view = view[0] if isinstance(view, tuple) else view
            else:  # ipywidgets 7
                key = "application/vnd.jupyter.widget-view+json"
                view = {
                    key: {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
                }
            data |= {k: v for k, v in view.items() if k != "text/plain"}
        return data, {"image/jpeg": {"alt": words}}


class CorruptionGallery(_Gallery):
    """Corruption, severity and image as controls; clean, corrupted and difference as picture.

    Args:
        images: Title -> (H, W, 3) uint8.
        name: Corruption to begin with.
        severity: Severity to begin with.
        seed: Seed of the random corruptions.

    Attributes:
        choice: The current (title, name, severity, seed).
    """

    def __init__(
        self,
        images: Mapping[str, Tensor],
        name: str = "glass_blur",
        severity: int = 3,
        seed: int = 0,
    ) -> None:
        if not images:
            raise ValueError("images is empty; pass at least one title -> image")
        self.images = dict(images)
        self.choice = (next(iter(self.images)), name, severity, seed)
        widgets = _widgets()
        if widgets is None:
            return
        wide = {"description_width": "80px"}
        self.image_control = widgets.Dropdown(
            options=list(self.images), description="image", style=wide
        )
        self.name_control = widgets.Dropdown(
            options=[*CORRUPTIONS, *EXTRA_CORRUPTIONS], value=name, description="corruption",
            style=wide,
        )  # fmt: skip
        self.severity_control = widgets.IntSlider(
            value=severity, min=1, max=5, description="severity", style=wide
        )
        self.seed_control = widgets.BoundedIntText(
            value=seed, min=0, max=999_999, description="seed", style=wide
        )
        words, picture = self.still()
        self.picture = widgets.Image(value=picture, format="jpeg")
        self.words = widgets.HTML(value=words)
        controls = (
            self.image_control, self.name_control, self.severity_control, self.seed_control
        )  # fmt: skip
        for control in controls:
            control.observe(self._changed, names="value")
        self.view = widgets.VBox([widgets.HBox(controls[:2]), widgets.HBox(controls[2:]),
                                  self.picture, self.words])  # fmt: skip

    def _changed(self, _: Any) -> None:
        self.choice = (
            self.image_control.value, self.name_control.value,
            self.severity_control.value, self.seed_control.value,
        )  # fmt: skip
        words, picture = self.still()
        self.picture.value = picture
        self.words.value = words

    def display(self) -> DifferenceDisplay:
        """Return the current choice as a figure."""
        title, name, severity, seed = self.choice
        image = self.images[title]
        return DifferenceDisplay.from_image(
            image, name, severity, benchmark=_benchmark(image), seed=seed, title=title
        )

    def still(self) -> tuple[str, bytes]:
        """Return the current choice in words and as a JPEG."""
        shown = self.display()
        return shown.summary, encode_jpeg(compare_strip(shown.clean, shown.corrupted))


class SequencePlayer(_Gallery):
    """A perturbation sequence to play or to step through.

    Args:
        image: (H, W, 3) uint8.
        name: Perturbation to begin with.
        title: What the image is.
        seed: Seed of the random ones.

    Attributes:
        frame: The current frame.
    """

    def __init__(
        self, image: Tensor, name: str = "rotate", title: str = "image", seed: int = 0
    ) -> None:
        self.image, self.title, self.seed = image, title, seed
        self.frame = 0
        self._load(name)
        widgets = _widgets()
        if widgets is None:
            return
        last = len(self.sequence.frames) - 1
        self.name_control = widgets.Dropdown(
            options=list(PERTURBATIONS), value=name, description="sequence"
        )
        self.play = widgets.Play(min=0, max=last, interval=120, description="play")
        self.frame_control = widgets.IntSlider(value=0, min=0, max=last, description="frame")
        widgets.jslink((self.play, "value"), (self.frame_control, "value"))
        self.picture = widgets.Image(value=self._jpeg(0), format="jpeg")
        self.name_control.observe(self._renamed, names="value")
        self.frame_control.observe(self._stepped, names="value")
        self.view = widgets.VBox(
            [widgets.HBox([self.name_control, self.play, self.frame_control]), self.picture]
        )

    def _load(self, name: str) -> None:
        self.sequence = SequenceDisplay.from_image(
            self.image, name, benchmark=_benchmark(self.image), seed=self.seed, title=self.title
        )

    def _jpeg(self, k: int) -> bytes:
        return encode_jpeg(_enlarged(self.sequence.frames[k], 224))

    def _renamed(self, change: Any) -> None:
        self._load(change["new"])
        last = len(self.sequence.frames) - 1
        self.play.max = self.frame_control.max = last
        self.frame = min(self.frame, last)
        self.picture.value = self._jpeg(self.frame)

    def _stepped(self, change: Any) -> None:
        self.frame = min(change["new"], len(self.sequence.frames) - 1)
        self.picture.value = self._jpeg(self.frame)

    def still(self) -> tuple[str, bytes]:
        """Return the sequence in words and a strip of its frames as a JPEG."""
        data, _ = self.sequence._repr_mimebundle_()
        return data["text/plain"], data["image/jpeg"]
