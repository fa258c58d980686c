"""Snow, frost, fog and brightness on (n, h, w, 3) bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmlib._devices import to_device
from nmlib.corruptions._blur import motion
from nmlib.corruptions._draws import FogDraw, FrostDraw, SnowDraw
from nmlib.corruptions._streams import Stream
from nmlib.ops import on_device, separable, to_bytes, zoom_map

_GREY = (0.299, 0.587, 0.114)


def draw_snow(x: Tensor, stream: Stream, params: object) -> SnowDraw:
    layer = stream.normal("layer", *x.shape[1:3])
    return SnowDraw(layer, stream.uniform("angle", low=-135.0, high=-45.0))


def snow_layer(
    normal: Tensor, degrees: Tensor, params: tuple[float, float, float, float, int, float]
) -> Tensor:
    """Return the (n, h, w) float32 grey levels of falling snow, whole numbers.

    `params` = mean and deviation of the grains, zoom, threshold, radius and sigma of the blur.
    """
    location, deviation, zoom, threshold, radius, sigma = params
    grains = normal.to(torch.float64).mul(deviation).add_(location)
    if zoom != 1:
        grains = separable(grains, zoom_map, float(zoom))
    grains = torch.where(grains < threshold, 0.0, grains)
    levels = to_bytes(grains.mul_(255)).contiguous().to(torch.float32)
    return motion(levels[..., None], radius, sigma, degrees)[..., 0].add_(2.0**-10).floor_()


def add_snow(x: Tensor, layer: Tensor, mix: float) -> Tensor:
    """Whiten (n, h, w, 3) bytes, then add the layer and its copy turned by 180 degrees."""
    pixels = x.to(torch.float32)
    grey = pixels[..., 0] * _GREY[0]
    grey += pixels[..., 1] * _GREY[1]
    grey += pixels[..., 2] * _GREY[2]
    white = torch.maximum(pixels, grey.mul_(1.5).add_(127.5)[..., None]).mul_(1 - mix)
    snow = layer + layer.flip(1, 2)
    return to_bytes(pixels.mul_(mix).add_(white).add_(snow[..., None]))


def snow(x: Tensor, params: tuple[float, ...], draw: SnowDraw) -> Tensor:
    """Add falling snow: thresholded Gaussian grains, blurred along the fall.

    `params` = mean, deviation, zoom, threshold, blur radius, blur sigma, share of the image.
    Source: CIFAR-C, ImageNet-C.
    """
    return add_snow(x, snow_layer(draw.layer, draw.degrees, params[:6]), params[6])  # type: ignore[arg-type]


def draw_frost(x: Tensor, stream: Stream, params: object, textures: Sequence[Tensor]) -> FrostDraw:
    _, h, w, _ = x.shape
    which = stream.integers("texture", len(textures))
    corner = stream.uniform("corner", 2)
    room = to_device(np.array([[t.shape[0] - h, t.shape[1] - w] for t in textures]), x.device)
    # The definition's upper bound is exclusive, so the last position is never used.
    return FrostDraw(which, (corner * room[which].clamp(min=1)).floor_().to(torch.int64))


def frost(
    x: Tensor, params: tuple[float, float], draw: FrostDraw, textures: Sequence[Tensor]
) -> Tensor:
    """Add a crop of a frost texture (`params` = weight of the image, weight of the frost).

    Source: CIFAR-C, ImageNet-C, which crop photographs; see `frost_textures`.
    """
    _, h, w, _ = x.shape
    out = torch.empty_like(x)
    which = draw.texture.cpu()  # textures differ in size, so each is cropped by itself
    for k, texture in enumerate(textures):
        (rows,) = torch.nonzero(which == k, as_tuple=True)
        if len(rows) == 0:
            continue
        chosen = to_device(rows, x.device)
        crops = texture.unfold(0, h, 1).unfold(1, w, 1)
        corner = draw.corner[chosen]
        crop = crops[corner[:, 0], corner[:, 1]].permute(0, 2, 3, 1).to(torch.float32)
        out[chosen] = to_bytes(
            crop.mul_(params[1]).add_(x[chosen].to(torch.float32).mul_(params[0]))
        )
    return out


def _side(x: Tensor) -> int:
    """Return the side of the plasma: the next power of two, e.g. 256 for images of 224 pixels."""
    return 1 << (max(x.shape[1], x.shape[2]) - 1).bit_length()


def draw_fog(x: Tensor, stream: Stream, params: object) -> FogDraw:
    sizes = [1 << level for level in range(_side(x).bit_length() - 1)]
    fields = stream.symmetrics(
        *((f"plasma {k} {kind}", (k, k)) for k in sizes for kind in ("square", "drop", "left"))
    )
    return FogDraw(tuple(zip(fields[::3], fields[1::3], fields[2::3], strict=True)))


def plasma(fields: Sequence[tuple[Tensor, Tensor, Tensor]], decay: float) -> Tensor:
    r"""Return (n, side, side) diamond-square clouds, scaled to 0 ... 1.

    Each level halves the mesh: the centre of a square is the mean of its corners plus noise, then
    the middle of an edge is the mean of its four neighbours plus noise, all periodic. The noise
    is $w\cdot U(-w, w)$, hence of order $w^2$ (the official quirk), with w = 100, 100/decay, ...
    """
    cloud = torch.zeros_like(fields[0][0])
    wobble = 100.0
    for square, drop, left in fields:
        n, size, _ = cloud.shape
        scale = wobble * wobble
        below = cloud + cloud.roll(-1, 1)
        centre = (below + below.roll(-1, 2)).mul_(0.25).add_(square * scale)
        # Middles of horizontal edges have corners beside them and centres above and below;
        # vertical edges the other way round.
        beside = (centre + centre.roll(1, 1)).add_(cloud).add_(cloud.roll(-1, 2))
        above = below.add_(centre).add_(centre.roll(1, 2))
        finer = cloud.new_empty((n, 2 * size, 2 * size))
        finer[:, ::2, ::2] = cloud
        finer[:, 1::2, 1::2] = centre
        finer[:, ::2, 1::2] = beside.mul_(0.25).add_(drop * scale)
        finer[:, 1::2, ::2] = above.mul_(0.25).add_(left * scale)
        cloud, wobble = finer, wobble / decay
    cloud = cloud - cloud.amin((1, 2), keepdim=True)
    return cloud.div_(cloud.amax((1, 2), keepdim=True))


def fog(x: Tensor, params: tuple[float, float], draw: FogDraw) -> Tensor:
    r"""$(x + c\,p)\,m/(m + c)$ with plasma p and m the image's maximum (`params` = c, decay).

    Source: CIFAR-C, ImageNet-C.
    """
    _, h, w, _ = x.shape
    intensity, decay = params
    cloud = plasma(draw.fields, decay)[:, :h, :w, None].mul(255 * intensity)
    brightest = x.amax((1, 2, 3)).to(torch.float32)[:, None, None, None]
    share = brightest / (brightest + 255 * intensity)
    return to_bytes((cloud + x).mul_(share))


@on_device
def _brightness_levels(shift: float) -> np.ndarray:
    """Tabulate the HSV round trip with V raised and clipped, by (largest channel, channel)."""
    largest = np.arange(256)[:, None] / 255.0
    channel = np.minimum(np.arange(256)[None] / 255.0, largest)
    raised = np.clip(largest + shift, 0, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        saturation = np.where(largest > 0, (largest - channel) / largest, 0.0)
    levels = np.where(channel == largest, raised, raised * (1 - saturation))
    return (np.clip(levels, 0, 1) * 255).astype(np.uint8).ravel()


def brightness(x: Tensor, shift: float, draw: None = None) -> Tensor:
    r"""Raise V of HSV by `shift`, clipped.

    Hue and saturation stay, so every channel is multiplied by $V'/V$.

    Source: CIFAR-C, ImageNet-C.
    """
    largest = torch.maximum(torch.maximum(x[..., 0], x[..., 1]), x[..., 2])
    place = largest.to(torch.int32).mul_(256)[..., None] + x
    levels = _brightness_levels(float(shift), device=x.device)
    return levels.index_select(0, place.flatten()).reshape(x.shape)
