"""The perturbation sequences of CIFAR-10-P and ImageNet-P: one image, frame after frame."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib import _checks
from nmlib._devices import to_device
from nmlib._threads import run_all
from nmlib.corruptions import _blur, _weather
from nmlib.corruptions import _noise as _noises
from nmlib.corruptions._api import Images, check_images
from nmlib.corruptions._draws import FieldDraw
from nmlib.corruptions._severities import BENCHMARKS, PERTURBATIONS, Benchmark
from nmlib.corruptions._streams import Stream, image_stream
from nmlib.ops import to_bytes

__all__ = ["frame_count", "frames_are_independent", "perturbation_sequence"]

_FRAMES = 31


def frame_count(name: str, benchmark: Benchmark = "cifar") -> int:
    """Return the number of frames of a sequence.

    >>> frame_count("motion_blur"), frame_count("translate", "imagenet"), frame_count("tilt")
    (21, 41, 31)
    """
    _checks.choice("perturbation", name, PERTURBATIONS)
    _checks.choice("benchmark", benchmark, BENCHMARKS)
    return _PERTURBATIONS[name].frames[BENCHMARKS.index(benchmark)]


def frames_are_independent(name: str) -> bool:
    """Return whether frames are independent draws; flips then count from the first frame.

    Such sequences (noise) have different frames for each difficulty. For the others, a higher
    difficulty compares frames further apart.

    >>> frames_are_independent("shot_noise"), frames_are_independent("tilt")
    (True, False)
    """
    _checks.choice("perturbation", name, PERTURBATIONS)
    return _PERTURBATIONS[name].independent


@dataclass(frozen=True)
class _Request:
    """Input of the functions that make frames.

    Attributes:
        x: Bytes (n, h, w, 3).
        which: 0 for CIFAR-P, 1 for ImageNet-P.
        difficulty: 1 to 3.
        stream: Source of random numbers.
    """

    x: Tensor
    which: int
    difficulty: int
    stream: Stream


def _noise(
    levels: Sequence[tuple[float, float, float]], noise: Callable[[Tensor, float, Stream], Tensor]
) -> Callable[[_Request], list[Tensor]]:
    """Return a function that makes frames of noise; levels belong to difficulty 1, 2, 3."""

    def frames(request: _Request) -> list[Tensor]:
        level = levels[request.which][request.difficulty - 1]
        # Separate keys make each frame independent of the others.
        keys = (Stream(request.stream.words(f"frame {i}", 2)) for i in range(1, _FRAMES))
        return [request.x, *(noise(request.x, level, key) for key in keys)]

    return frames


def _gaussian(x: Tensor, level: float, keys: Stream) -> Tensor:
    return _noises.gaussian_noise(x, level, FieldDraw(keys.normal("noise", *x.shape[1:])))


def _shot(x: Tensor, level: float, keys: Stream) -> Tensor:
    return _noises.shot_noise(x, level, _noises.draw_poisson(x, keys, level))


def _motion(request: _Request) -> list[Tensor]:
    radius, sigma, step, count = ((6, 1.8, 9.0, 21), (10, 3.0, 4.0, 31))[request.which]
    values, first = request.x.to(torch.float32), (20, 30)[request.which]
    return [
        to_bytes(_blur.motion(values, radius, sigma, _same(request.x, step * (i - first))))
        for i in range(count)
    ]


def _same(x: Tensor, degrees: float) -> Tensor:
    return torch.full((len(x),), degrees, dtype=torch.float64)


def _zoom(request: _Request) -> list[Tensor]:
    # Averaged in single precision and truncated, as the official generators do.
    x = request.x
    total = x.to(torch.float32) / 255
    frames = [x]
    for i in range(1, _FRAMES):
        total += _warp(x, _scaling(1 + 0.004 * i, *x.shape[1:3]), "pillow").to(torch.float32) / 255
        frames.append((total / (i + 1) * 255).to(torch.uint8))
    return frames


def _snow(request: _Request) -> list[Tensor]:
    # Zoom of the grains, blur radius, blur sigma.
    zoom, radius, sigma = ((2.0, 10, 2.0), (3.0, 14, 4.0))[request.which]
    x, params = request.x, (0.05, 0.3, zoom, 0.5, radius, sigma)
    normal = request.stream.normal("layer", *x.shape[1:3])
    layers = (_weather.snow_layer(normal, _same(x, 4.0 * i - 150), params) for i in range(_FRAMES))
    return [_weather.add_snow(x, layer, 0.85) for layer in layers]


def _brightness(request: _Request) -> list[Tensor]:
    step = (0.015, 0.02)[request.which]
    return [_weather.brightness(request.x, step * (i - 15)) for i in range(_FRAMES)]


def _warp(x: Tensor, matrix: NDArray[np.float64], rim: str) -> Tensor:
    """Sample bytes (n, h, w, 3) bilinearly where a 3 x 3 matrix sends each output pixel.

    Positions count pixel centres from 0. With `rim` = "pillow", positions outside the image are
    black and those inside use their nearest pixels. With "opencv", pixels outside the image count
    as black, and positions are rounded to 1/32.
    """
    n, h, w, _ = x.shape
    rows, columns = np.mgrid[:h, :w].astype(np.float64)
    u, v, s = np.tensordot(matrix, np.stack([columns, rows, np.ones_like(rows)]), 1)
    u, v = u / s, v / s
    inside = (u >= -0.5) & (u < w - 0.5) & (v >= -0.5) & (v < h - 0.5)
    if rim == "opencv":
        u, v = np.rint(u * 32) / 32, np.rint(v * 32) / 32
    grid = np.stack([u * 2 / (w - 1) - 1, v * 2 / (h - 1) - 1], -1)
    grid_n = to_device(grid, x.device).expand(n, h, w, 2)
    planes = x.permute(0, 3, 1, 2).to(torch.float64)
    mode = "border" if rim == "pillow" else "zeros"
    warped = F.grid_sample(planes, grid_n, "bilinear", mode, align_corners=True)
    if rim == "pillow":
        warped *= to_device(inside, x.device)
    warped = warped.permute(0, 2, 3, 1).contiguous()
    # Pillow truncates, OpenCV rounds.
    return to_bytes(warped if rim == "pillow" else warped.add_(0.5))


def _about_centre(matrix: NDArray[np.float64], h: int, w: int) -> NDArray[np.float64]:
    shift = np.array([[1, 0, (w - 1) / 2], [0, 1, (h - 1) / 2], [0, 0, 1.0]])
    return shift @ matrix @ np.linalg.inv(shift)


def _rotation(degrees: float, h: int, w: int) -> NDArray[np.float64]:
    """Return the clockwise rotation about the centre, from output to input positions."""
    t = math.radians(degrees)
    turn = np.array([[math.cos(t), math.sin(t), 0], [-math.sin(t), math.cos(t), 0], [0, 0, 1]])
    return _about_centre(turn, h, w)


def _scaling(factor: float, h: int, w: int) -> NDArray[np.float64]:
    """Return the magnification about the centre, from output to input positions."""
    return _about_centre(np.diag([1 / factor, 1 / factor, 1.0]), h, w)


def _tilt(degrees: float, h: int, w: int) -> NDArray[np.float64]:
    """Return the perspective view of the image turned about both axes, output to input."""
    t = math.radians(degrees)
    focal = math.hypot(h, w)
    lift = np.array([[1, 0, -w / 2], [0, 1, -h / 2], [0, 0, 1], [0, 0, 1]])
    c, s = math.cos(t), math.sin(t)
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    about_y = np.array([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1]])
    away = np.eye(4)
    away[2, 3] = focal
    project = np.array([[focal, 0, w / 2, 0], [0, focal, h / 2, 0], [0, 0, 1, 0]])
    return np.linalg.inv(project @ away @ about_x @ about_y @ lift)


def _translated(x: Tensor, shift: int) -> Tensor:
    out = torch.zeros_like(x)
    w = x.shape[2]
    out[:, :, max(shift, 0) : w + min(shift, 0)] = x[:, :, max(-shift, 0) : w - max(shift, 0)]
    return out


def _translate(request: _Request) -> list[Tensor]:
    first = (7, 20)[request.which]
    return [_translated(request.x, i - first) for i in range((16, 41)[request.which])]


def _rotate(request: _Request) -> list[Tensor]:
    size = request.x.shape[1:3]
    return [_warp(request.x, _rotation(i - 15, *size), "pillow") for i in range(_FRAMES)]


def _tilting(request: _Request) -> list[Tensor]:
    size, step = request.x.shape[1:3], (0.75, 1.0)[request.which]
    return [_warp(request.x, _tilt(step * (i - 15), *size), "opencv") for i in range(_FRAMES)]


def _scale(request: _Request) -> list[Tensor]:
    size, (start, step) = request.x.shape[1:3], ((0.70, 0.02), (0.40, 0.025))[request.which]
    return [_warp(request.x, _scaling(start + step * i, *size), "pillow") for i in range(_FRAMES)]


@dataclass(frozen=True)
class _Perturbation:
    """One kind of sequence.

    Attributes:
        make: Function that makes its frames.
        frames: Number of frames, in CIFAR-P and ImageNet-P.
        whole: Frames use the whole picture and are then cropped; otherwise the crop is the input.
        independent: See `frames_are_independent`.
    """

    make: Callable[[_Request], list[Tensor]]
    frames: tuple[int, int] = (_FRAMES, _FRAMES)
    whole: bool = False
    independent: bool = False


# Levels of noise: standard deviations, or photons at full brightness.
_GAUSSIAN = (0.02, 0.04, 0.06), (0.03, 0.05, 0.08)
_SHOT = (700, 400, 200), (300, 120, 60)

_PERTURBATIONS: dict[str, _Perturbation] = {
    "gaussian_noise": _Perturbation(_noise(_GAUSSIAN, _gaussian), independent=True),
    "shot_noise": _Perturbation(_noise(_SHOT, _shot), independent=True),
    "motion_blur": _Perturbation(_motion, (21, 31)),
    "zoom_blur": _Perturbation(_zoom, whole=True),
    "snow": _Perturbation(_snow),
    "brightness": _Perturbation(_brightness),
    "translate": _Perturbation(_translate, (16, 41), whole=True),
    "rotate": _Perturbation(_rotate, whole=True),
    "tilt": _Perturbation(_tilting, whole=True),
    "scale": _Perturbation(_scale, whole=True),
}


def perturbation_sequence(
    images: Images,
    name: str,
    *,
    benchmark: Benchmark = "cifar",
    seed: int = 0,
    difficulty: int = 1,
    first_index: int = 0,
    crop: int | None = None,
) -> Images:
    """Return the frames of each image in a sequence of CIFAR-10-P or ImageNet-P.

    Args:
        images: uint8 tensor or array, (N, H, W, 3) or (N, 3, H, W), sides of 32 pixels or more.
        name: One of `PERTURBATIONS`.
        benchmark: "cifar" or "imagenet": whose parameters and frame counts to use.
        seed: Non-negative integer (noise and snow are random).
        difficulty: 1, 2 or 3, for the two kinds of noise; always 1 in published results.
        first_index: Index of images[0] in its data set, when a data set is streamed in parts.
        crop: Return the central crop x crop pixels, as ImageNet-P does with 224 on images of 256
            pixels. Sequences that move pixels are cropped at the end, which hides the black rims;
            noise, motion blur, snow and brightness are made from the crop.

    Returns:
        uint8 (N, frames, H, W, 3) or (N, frames, 3, H, W), on the same device.

    Raises:
        TypeError: For images that are not uint8.
        ValueError: For an unknown name, benchmark or difficulty.

    Source: Hendrycks & Dietterich (2019), the sequences of the paper's Tables 1, 12, 13 and 14.
    Differs: published frames of ImageNet-P went through a video codec; these did not. `translate`
        moves the picture to the right and `rotate` turns it clockwise as the frame number grows.
        Zooms and turns are about the centre, as torchvision does today; its early releases took a
        point half a pixel further right and down, so the published files may do so.

    >>> x = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    >>> perturbation_sequence(x, "translate").shape
    torch.Size([2, 16, 32, 32, 3])
    """
    view, channels_first = check_images(images)
    count = frame_count(name, benchmark)
    difficulty = _checks.integer("difficulty", difficulty, 1, 3)
    first_index = _checks.integer("first_index", first_index, 0)
    kind = _PERTURBATIONS[name]
    if difficulty > 1 and not kind.independent:
        raise ValueError(
            f"difficulty {difficulty} exists for noise only; for {name} compare frames "
            f"{difficulty} apart: flip_probability(..., stride={difficulty})"
        )
    n, h, w, _ = view.shape
    crop = None if crop is None else _checks.integer("crop", crop, 1, min(h, w))
    which = BENCHMARKS.index(benchmark)
    size: tuple[int, int] = (h, w) if crop is None else (crop, crop)
    # Half a pixel is rounded to even, as torchvision does.
    top, left = round((h - size[0]) / 2), round((w - size[1]) / 2)
    middle = (slice(None), slice(top, top + size[0]), slice(left, left + size[1]))
    out = torch.empty((n, count, *size, 3), dtype=torch.uint8, device=view.device)
    step = max(1, 32 * 1024 // (h * w)) if view.device.type == "cpu" else max(1, n)

    def piece(start: int) -> None:
        part = view[start : start + step]
        part = (part if kind.whole else part[middle]).contiguous()
        stream = image_stream(
            seed, ("perturb", name, difficulty), first_index + start, len(part), part.device
        )
        frames = kind.make(_Request(part, which, difficulty, stream))
        for i, frame in enumerate(frames):
            out[start : start + step, i] = frame[middle] if kind.whole else frame

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        if view.device.type == "cpu":
            run_all(piece, range(0, n, step))
        else:
            piece(0)
    result = out.permute(0, 1, 4, 2, 3).contiguous() if channels_first else out
    return result if isinstance(images, Tensor) else result.numpy()
