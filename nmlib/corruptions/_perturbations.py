"""The perturbation sequences of CIFAR-10-P and ImageNet-P: one image, frame after frame."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib import _checks
from nmlib._devices import to_device
from nmlib._threads import run_all
from nmlib.corruptions import _blur, _noise, _weather
from nmlib.corruptions._api import Images, check_images
from nmlib.corruptions._draws import FieldDraw
from nmlib.corruptions._severities import BENCHMARKS, Benchmark
from nmlib.corruptions._streams import Stream, image_stream
from nmlib.ops import to_bytes

__all__ = ["PERTURBATIONS", "SEQUENCES", "frame_count", "outdated", "perturbation_sequence"]

_FRAMES = 31

# These use the whole picture; ImageNet-P makes the others from the centre crop.
_BEFORE_THE_CROP = ("zoom_blur", "translate", "rotate", "tilt", "scale")


@dataclass(frozen=True)
class _Setting:
    """What differs between the two benchmarks (CIFAR, ImageNet)."""

    noise: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]]
    motion: tuple[tuple[int, float, float, int], tuple[int, float, float, int]]
    snow: tuple[tuple[float, int, float], tuple[float, int, float]]
    brightness: tuple[float, float] = (0.015, 0.02)
    translate: tuple[int, int] = (16, 41)
    tilt: tuple[float, float] = (0.75, 1.0)
    scale: tuple[tuple[float, float], tuple[float, float]] = ((0.70, 0.02), (0.40, 0.025))


_SETTING = _Setting(
    # Difficulty 1, 2, 3: standard deviation, or photons at full brightness.
    noise={
        "gaussian_noise": ((0.02, 0.04, 0.06), (0.03, 0.05, 0.08)),
        "shot_noise": ((700, 400, 200), (300, 120, 60)),
    },
    # Radius, sigma, degrees a frame, frames.
    motion=((6, 1.8, 9.0, 21), (10, 3.0, 4.0, 31)),
    # Zoom of the grains, blur radius, blur sigma.
    snow=((2.0, 10, 2.0), (3.0, 14, 4.0)),
)

PERTURBATIONS: tuple[str, ...] = (
    "gaussian_noise", "shot_noise", "motion_blur", "zoom_blur", "snow",
    "brightness", "translate", "rotate", "tilt", "scale",
)  # fmt: skip
"""The ten sequences, in official order."""

SEQUENCES = 2
"""Version of the sequences, stored with every measurement along them.

Records of version 1 carry no version. There `zoom_blur` used the zoom of CIFAR-C, and `rotate` ran
from the last frame to the first; with `crop`, every frame was cropped at the end.
"""


def outdated(version: int) -> tuple[str, ...]:
    """Return the sequences whose flip probabilities have changed since a version.

    >>> outdated(1), outdated(SEQUENCES)
    (('zoom_blur',), ())
    """
    return ("zoom_blur",) if version < 2 else ()


def frame_count(name: str, benchmark: Benchmark = "cifar") -> int:
    """Return the number of frames of a sequence.

    >>> frame_count("motion_blur"), frame_count("translate", "imagenet"), frame_count("tilt")
    (21, 41, 31)
    """
    _checks.choice("perturbation", name, PERTURBATIONS)
    _checks.choice("benchmark", benchmark, BENCHMARKS)
    which = BENCHMARKS.index(benchmark)
    if name == "motion_blur":
        return _SETTING.motion[which][3]
    if name == "translate":
        return _SETTING.translate[which]
    return _FRAMES


def _noise_frames(x: Tensor, name: str, level: float, stream: Stream) -> list[Tensor]:
    frames = [x]
    for i in range(1, _FRAMES):
        # Its own keys make each frame independent of the others.
        keys = Stream(stream.words(f"frame {i}", 2))
        if name == "gaussian_noise":
            draw = FieldDraw(keys.normal("noise", *x.shape[1:]))
            frames.append(_noise.gaussian_noise(x, level, draw))
        else:
            frames.append(_noise.shot_noise(x, level, _noise.draw_poisson(x, keys, level)))
    return frames


def _motion_frames(x: Tensor, which: int) -> list[Tensor]:
    radius, sigma, step, count = _SETTING.motion[which]
    values = x.to(torch.float32)
    return [
        to_bytes(_blur.motion(values, radius, sigma, _same(x, step * (i - (20, 30)[which]))))
        for i in range(count)
    ]


def _same(x: Tensor, degrees: float) -> Tensor:
    return torch.full((len(x),), degrees, dtype=torch.float64)


def _zoom_frames(x: Tensor) -> list[Tensor]:
    # Averaged in single precision and truncated, as the official generators do.
    total = x.to(torch.float32) / 255
    frames = [x]
    for i in range(1, _FRAMES):
        total += _warp(x, _scaling(1 + 0.004 * i, *x.shape[1:3]), "pillow").to(torch.float32) / 255
        frames.append((total / (i + 1) * 255).to(torch.uint8))
    return frames


def _snow_frames(x: Tensor, which: int, stream: Stream) -> list[Tensor]:
    zoom, radius, sigma = _SETTING.snow[which]
    normal = stream.normal("layer", *x.shape[1:3])
    frames = []
    for i in range(_FRAMES):
        params = (0.05, 0.3, zoom, 0.5, radius, sigma)
        layer = _weather.snow_layer(normal, _same(x, 4.0 * i - 150), params)
        frames.append(_weather.add_snow(x, layer, 0.85))
    return frames


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


def _geometric(x: Tensor, name: str, which: int) -> list[Tensor]:
    _, h, w, _ = x.shape
    if name == "translate":
        count = _SETTING.translate[which]
        return [_translated(x, i - count // 2 + 1 - which) for i in range(count)]
    if name == "rotate":
        return [_warp(x, _rotation(i - 15, h, w), "pillow") for i in range(_FRAMES)]
    if name == "scale":
        start, step = _SETTING.scale[which]
        return [_warp(x, _scaling(start + step * i, h, w), "pillow") for i in range(_FRAMES)]
    step = _SETTING.tilt[which]
    return [_warp(x, _tilt(step * (i - 15), h, w), "opencv") for i in range(_FRAMES)]


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
    if difficulty > 1 and name not in _SETTING.noise:
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
        part = (part if name in _BEFORE_THE_CROP else part[middle]).contiguous()
        stream = image_stream(
            seed, ("perturb", name, difficulty), first_index + start, len(part), part.device
        )
        if name in _SETTING.noise:
            level = _SETTING.noise[name][which][difficulty - 1]
            frames = _noise_frames(part, name, level, stream)
        elif name == "motion_blur":
            frames = _motion_frames(part, which)
        elif name == "zoom_blur":
            frames = _zoom_frames(part)
        elif name == "snow":
            frames = _snow_frames(part, which, stream)
        elif name == "brightness":
            shift = _SETTING.brightness[which]
            frames = [_weather.brightness(part, shift * (i - 15)) for i in range(_FRAMES)]
        else:
            frames = _geometric(part, name, which)
        for i, frame in enumerate(frames):
            out[start : start + step, i] = frame[middle] if name in _BEFORE_THE_CROP else frame

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        if view.device.type == "cpu":
            run_all(piece, range(0, n, step))
        else:
            piece(0)
    result = out.permute(0, 1, 4, 2, 3).contiguous() if channels_first else out
    return result if isinstance(images, Tensor) else result.numpy()
