"""The table of corruptions, and the record that a corruption of your own fills in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nmlib.corruptions import _blur, _digital, _jpeg, _noise, _spatter, _weather
from nmlib.corruptions._draws import AnyDraw
from nmlib.corruptions._severities import BENCHMARKS, FAMILIES, SEVERITIES, Benchmark
from nmlib.corruptions._streams import Stream

__all__ = ["REGISTRY", "Corruption"]


@dataclass(frozen=True)
class Corruption:
    """One corruption. Make one to add your own: it goes wherever a corruption's name goes.

    Attributes:
        name: Official name, or one that no corruption of nmlib has.
        apply: (uint8 (n, h, w, 3), parameters, draw) -> uint8 of the same shape. Parameters are
            those of the severity; draw is what `draw` returned.
        severities: Parameters of severity 1 to 5, in CIFAR-C and in ImageNet-C.
        draw: (uint8 (n, h, w, 3), stream, parameters) -> its random numbers, a record of
            tensors; the stream's `uniform`, `normal` and `integers` give numbers that depend on
            seed, severity and image alone. None if nothing is.
        family: "noise", "blur", "weather", "digital", "extra" or "own", as reports group it.
        textures: Whether `draw` and `apply` take the frost textures as their last argument.
        side_lengths: The parameters are lengths, in units of the image's shorter side times these
            numbers (CIFAR, ImageNet); None for parameters that every size shares.
        load: Images of 32 x 32 that a thread takes at a time, by measurement: small enough for the
            cache, large enough that calls cost little.
        least: Images that a thread takes at a time at least, however large they are.

    Raises:
        ValueError: If there are not five severities for each benchmark.

    >>> darker = Corruption(
    ...     "darker", lambda x, share, draw: (x * share).to(x.dtype),
    ...     severities=((0.9, 0.8, 0.7, 0.6, 0.5),) * 2,
    ... )
    >>> darker.parameters("cifar", 5, side=32)
    0.5
    """

    name: str
    apply: Callable[..., Tensor]
    severities: tuple[tuple[Any, ...], tuple[Any, ...]]
    draw: Callable[..., Any] | None = None
    family: str = "own"
    textures: bool = False
    side_lengths: tuple[float, float] | None = None
    load: int = 64
    least: int = 8

    def __post_init__(self) -> None:
        if [len(levels) for levels in self.severities] != [5] * len(BENCHMARKS):
            raise ValueError(
                f"corruption {self.name!r} needs parameters of five severities for each of "
                f"{', '.join(BENCHMARKS)}, got {self.severities}"
            )

    def parameters(self, benchmark: Benchmark, severity: int, side: int) -> Any:
        """Return the parameters of a severity for images whose shorter side has `side` pixels."""
        which = BENCHMARKS.index(benchmark)
        values = self.severities[which][severity - 1]
        if self.side_lengths is None:
            return values
        unit = side * self.side_lengths[which]
        return tuple(v * unit for v in values) if isinstance(values, tuple) else values * unit


# Draw, apply, images at a time.
_Halves = tuple[Callable[..., AnyDraw] | None, Callable[..., Tensor], int]
_HALVES: dict[str, _Halves] = {
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

_MORE: dict[str, dict[str, Any]] = {
    "glass_blur": {"least": 4},
    "frost": {"textures": True},
    # The ImageNet script takes 244 for images of 224 pixels; other sizes keep the ratio.
    "elastic_transform": {"side_lengths": (1, 244 / 224)},
}

REGISTRY: dict[str, Corruption] = {
    name: Corruption(
        name, _HALVES[name][1], SEVERITIES[name], _HALVES[name][0], family,
        load=_HALVES[name][2], **_MORE.get(name, {}),
    )
    for family, names in FAMILIES.items()
    for name in names
}  # fmt: skip


def draw_for(
    corruption: Corruption, x: Tensor, stream: Stream, params: Any, textures: Sequence[Tensor]
) -> Any:
    """Draw a corruption's random numbers for bytes (n, h, w, 3)."""
    if corruption.draw is None:
        return None
    return corruption.draw(x, stream, params, *((textures,) if corruption.textures else ()))


def apply_to(
    corruption: Corruption, x: Tensor, params: Any, draw: Any, textures: Sequence[Tensor]
) -> Tensor:
    """Apply a corruption to bytes (n, h, w, 3) with the given draws.

    Raises:
        ValueError: If your own corruption does not return images of the same type and shape.
    """
    out = corruption.apply(x, params, draw, *((textures,) if corruption.textures else ()))
    if not isinstance(out, Tensor) or out.dtype != x.dtype or out.shape != x.shape:
        got = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else f"{out!r:.80}"
        raise ValueError(
            f"corruption {corruption.name!r} must return images as it got them, {x.dtype} "
            f"{tuple(x.shape)}, got {got}"
        )
    return out
