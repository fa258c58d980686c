"""The table of corruptions: how each draws and how it applies what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nmlib.corruptions import _blur, _digital, _jpeg, _noise, _spatter, _weather
from nmlib.corruptions._draws import AnyDraw
from nmlib.corruptions._severities import BENCHMARKS, FAMILIES, SEVERITIES
from nmlib.corruptions._streams import Stream

__all__ = ["REGISTRY", "Corruption"]


@dataclass(frozen=True)
class Corruption:
    """One corruption: its family, its five severities and its two halves.

    Attributes:
        name: Official name.
        family: "noise", "blur", "weather", "digital" or "extra".
        draw: (bytes, stream, parameters[, textures]) -> record of the random numbers, or None if
            the corruption has no randomness.
        apply: (bytes, parameters, record[, textures]) -> bytes.
        load: Images of 32 x 32 that a thread takes at a time, by measurement: small enough for the
            cache, large enough that calls cost little.
    """

    name: str
    family: str
    draw: Callable[..., AnyDraw] | None
    apply: Callable[..., Tensor]
    load: int = 64

    def parameters(self, benchmark: str, severity: int, side: int) -> Any:
        """Return what the functions call `params`, lengths that scale with the image in pixels."""
        values = SEVERITIES[self.name][BENCHMARKS.index(benchmark)][severity - 1]
        if self.name == "elastic_transform":
            # The ImageNet script takes 244 for images of 224 pixels; other sizes keep the ratio.
            scale = side * (244 / 224 if benchmark == "imagenet" else 1)
            return tuple(v * scale for v in values)
        return values


_HALVES: dict[str, tuple[Callable[..., AnyDraw] | None, Callable[..., Tensor], int]] = {
    "gaussian_noise": (_noise.draw_normal, _noise.gaussian_noise, 128),
    "shot_noise": (_noise.draw_poisson, _noise.shot_noise, 64),
    "impulse_noise": (_noise.draw_impulse, _noise.impulse_noise, 128),
    "defocus_blur": (None, _blur.defocus_blur, 64),
    "glass_blur": (_blur.draw_glass, _blur.glass_blur, 128),
    "motion_blur": (_blur.draw_angle, _blur.motion_blur, 256),
    "zoom_blur": (None, _blur.zoom_blur, 64),
    "snow": (_weather.draw_snow, _weather.snow, 512),
    "frost": (_weather.draw_frost, _weather.frost, 512),
    "fog": (_weather.draw_fog, _weather.fog, 256),
    "brightness": (None, _weather.brightness, 256),
    "contrast": (None, _digital.contrast, 128),
    "elastic_transform": (_digital.draw_elastic, _digital.elastic_transform, 128),
    "pixelate": (None, _digital.pixelate, 64),
    "jpeg_compression": (None, _jpeg.jpeg_compression, 256),
    "speckle_noise": (_noise.draw_normal, _noise.speckle_noise, 128),
    "gaussian_blur": (None, _blur.gaussian_blur, 64),
    "spatter": (_spatter.draw_spatter, _spatter.spatter, 256),
    "saturate": (None, _digital.saturate, 64),
}

REGISTRY: dict[str, Corruption] = {
    name: Corruption(name, family, *_HALVES[name])
    for family, names in FAMILIES.items()
    for name in names
}


def draw_for(
    corruption: Corruption, x: Tensor, stream: Stream, params: Any, textures: Sequence[Tensor]
) -> AnyDraw:
    """Draw a corruption's random numbers for bytes (n, h, w, 3)."""
    if corruption.draw is None:
        return None
    if corruption.name == "frost":
        return corruption.draw(x, stream, params, textures)
    return corruption.draw(x, stream, params)


def apply_to(
    corruption: Corruption, x: Tensor, params: Any, draw: AnyDraw, textures: Sequence[Tensor]
) -> Tensor:
    """Apply a corruption to bytes (n, h, w, 3) with the given draws."""
    if corruption.name == "frost":
        return corruption.apply(x, params, draw, textures)
    return corruption.apply(x, params, draw)
