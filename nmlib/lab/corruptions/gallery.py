"""Controls for the corruptions: pick one, turn it up, play a sequence.

Core ipywidgets only, pictures as bytes: no Output widget and no plotting in callbacks. Without a
front end the same objects are a picture and a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from nmlib._host import notebook_host
from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, PERTURBATIONS
from nmlib.lab.corruptions.displays import (
    DifferenceDisplay,
    SequenceDisplay,
    compare_strip,
    encode_jpeg,
    enlarged,
)
from nmlib.lab.panel.messages import computing, fitted, framed
from nmlib.lab.panel.mime import Bundle, LiveWithStill, widget_view

__all__ = ["CorruptionGallery", "SequencePlayer"]


def _widgets() -> Any:
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets


def _row(widgets: Any, *controls: Any) -> Any:
    """Return controls side by side, one below the other where there is no room."""
    return widgets.Box(fitted(*controls), layout=widgets.Layout(flex_flow="row wrap"))


def _benchmark(image: Tensor) -> Literal["cifar", "imagenet"]:
    """Small images take CIFAR's parameters, larger ones ImageNet's."""
    return "cifar" if image.shape[0] <= 64 else "imagenet"


class _Gallery(LiveWithStill):
    """Controls around a picture and a sentence; without ipywidgets these two alone.

    Attributes:
        view: The widget that is shown; None without ipywidgets.
    """

    view: Any = None

    def picture_and_words(self) -> tuple[str, bytes]:
        """Return the current choice in words and as a JPEG."""
        raise NotImplementedError

    def still(self) -> Bundle:
        """Return picture and text for pages without a kernel, as MIME data and metadata."""
        words, picture = self.picture_and_words()
        return {"text/plain": words, "image/jpeg": picture}, {"image/jpeg": {"alt": words}}

    def _live(self) -> Bundle:
        # What a test stores is read without a kernel.
        if self.view is None or notebook_host() == "nbval":
            return {}, {}
        return widget_view(self.view.model_id, getattr(self.view, "_repr_mimebundle_", None))


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
        words, picture = self.picture_and_words()
        self.picture = framed(widgets.Image(value=picture, format="jpeg"), 720, "50vh")
        self.words = widgets.HTML(value=words)
        controls = (
            self.image_control, self.name_control, self.severity_control, self.seed_control
        )  # fmt: skip
        for control in controls:
            control.observe(self._changed, names="value")
        self.view = widgets.VBox([_row(widgets, *controls), self.picture, self.words])

    def _changed(self, _: Any) -> None:
        self.choice = (
            self.image_control.value, self.name_control.value,
            self.severity_control.value, self.seed_control.value,
        )  # fmt: skip
        with computing(self.words, self.picture):
            words, picture = self.picture_and_words()
            self.picture.value, self.words.value = picture, words

    def display(self) -> DifferenceDisplay:
        """Return the current choice as a figure."""
        title, name, severity, seed = self.choice
        image = self.images[title]
        return DifferenceDisplay.from_image(
            image, name, severity, benchmark=_benchmark(image), seed=seed, title=title
        )

    def picture_and_words(self) -> tuple[str, bytes]:
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
        self.picture = framed(widgets.Image(format="jpeg"), 480, "50vh")
        self.words = widgets.HTML()
        self._show()
        self.name_control.observe(self._renamed, names="value")
        self.frame_control.observe(self._stepped, names="value")
        controls = _row(widgets, self.name_control, self.play, self.frame_control)
        self.view = widgets.VBox([controls, self.picture, self.words])

    def _load(self, name: str) -> None:
        self.sequence = SequenceDisplay.from_image(
            self.image, name, benchmark=_benchmark(self.image), seed=self.seed, title=self.title
        )

    def _show(self) -> None:
        last = len(self.sequence.frames) - 1
        self.picture.value = encode_jpeg(enlarged(self.sequence.frames[self.frame], 448))
        self.words.value = f"{self.name_control.value}, frame {self.frame} of {last}"

    def _renamed(self, change: Any) -> None:
        with computing(self.words, self.picture):
            self._load(change["new"])
            last = len(self.sequence.frames) - 1
            self.play.max = self.frame_control.max = last
            self.frame = min(self.frame, last)
            self._show()

    def _stepped(self, change: Any) -> None:
        self.frame = min(change["new"], len(self.sequence.frames) - 1)
        self._show()

    def picture_and_words(self) -> tuple[str, bytes]:
        """Return the sequence in words and a strip of its frames as a JPEG."""
        data, _ = self.sequence._repr_mimebundle_()
        return data["text/plain"], data["image/jpeg"]
