"""Textures for frost: drawn ice crystals, or the benchmark's photographs.

The six photographs have no known licence, so we do not ship them. The five textures here are drawn:
clouds with a power-law spectrum and sprays of needles, with the mean colour, contrast and spectral
slope that we measured on the five photographs in use.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib._files import file_digest, user_path
from nmlib.rng import Rng

__all__ = [
    "FROST_PHOTOGRAPHS",
    "draw_frost_textures",
    "frost_name",
    "frost_textures",
    "read_frost_photographs",
]

FROST_PHOTOGRAPHS: dict[str, str] = {
    "frost1.png": "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
    "frost2.png": "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
    "frost3.png": "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
    "frost4.jpg": "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
    "frost5.jpg": "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
}
"""SHA-256 of the five photographs in use (the official list has a sixth that is never drawn)."""

# Mean colour, standard deviation of the grey value, spectral exponent of the cloud, sprays per
# 10,000 pixels, and share of the needles in the contrast.
_LOOKS = (
    ((78, 149, 166), 18.0, 1.6, 20.0, 0.55),
    ((201, 205, 214), 22.0, 1.4, 60.0, 0.75),
    ((201, 205, 214), 22.0, 1.4, 80.0, 0.75),
    ((138, 153, 165), 28.9, 1.2, 50.0, 0.65),
    ((112, 123, 135), 43.1, 1.5, 35.0, 0.8),
)
_HEIGHT, _WIDTH = 360, 600


def _cloud(height: int, width: int, slope: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a field of zero mean and unit variance with amplitude spectrum f^-slope."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * np.maximum(frequency, 1 / 256) ** -slope, (height, width))
    return (field - field.mean()) / field.std()


def _needles(
    height: int, width: int, density: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw sprays of straight crystals from random centres, with zero mean and unit variance."""
    sprays = int(density * height * width / 10_000)
    per_spray, steps = 7, 48
    centre = rng.uniform(size=(sprays, 1, 1, 2)) * (height, width)
    angle = rng.uniform(0, 2 * np.pi, (sprays, 1)) + rng.normal(0, 0.9, (sprays, per_spray))
    length = rng.gamma(3.0, 4.0, (sprays, per_spray, 1))
    light = rng.gamma(2.0, 1.0, (sprays, per_spray, 1))
    along = np.linspace(0, 1, steps)
    direction = np.stack([np.sin(angle), np.cos(angle)], -1)[:, :, None]
    place = centre + direction * (length * along)[..., None]
    row = np.mod(place[..., 0].astype(np.int64), height)
    column = np.mod(place[..., 1].astype(np.int64), width)
    field = np.zeros((height, width))
    # A needle is brightest at its root; each step adds light in proportion to its length.
    np.add.at(field, (row, column), light * (1 - along) * length / steps)
    near = field + 0.5 * (np.roll(field, 1, 0) + np.roll(field, 1, 1))
    field = np.tanh(near / (3 * near.mean()))
    return (field - field.mean()) / field.std()


@functools.lru_cache(maxsize=4)
def draw_frost_textures(height: int = _HEIGHT, width: int = _WIDTH) -> tuple[NDArray, ...]:
    """Return five drawn frost textures.

    Args:
        height: Pixels, >= 1.
        width: Pixels, >= 1.

    Returns:
        Five (height, width, 3) uint8 arrays.

    >>> [t.shape for t in draw_frost_textures()[:2]]
    [(360, 600, 3), (360, 600, 3)]
    """
    textures = []
    for k, (colour, deviation, slope, density, share) in enumerate(_LOOKS):
        rng = Rng(2022).fold("frost texture", k, height, width).numpy()
        grey = np.sqrt(1 - share**2) * _cloud(height, width, slope, rng)
        grey += share * _needles(height, width, density, rng)
        level = np.array(colour) + deviation * (grey / grey.std())[..., None]
        textures.append(np.clip(level, 0, 255).astype(np.uint8))
    return tuple(textures)


def read_frost_photographs(folder: str | Path) -> tuple[NDArray, ...]:
    """Read the benchmark's five photographs from a folder and check their SHA-256.

    Args:
        folder: Where frost1.png ... frost5.jpg lie.

    Returns:
        Five (h, w, 3) uint8 arrays.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one differs from the benchmark's file.
    """
    from PIL import Image

    folder = user_path(folder)
    photographs = []
    for name, digest in FROST_PHOTOGRAPHS.items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}; fetch_frost_photographs() downloads all five"
            )
        found = file_digest(path, "sha256")
        if found != digest:
            raise ValueError(
                f"{path} has SHA-256 {found}, the benchmark's file has {digest}; remove it, and "
                "fetch_frost_photographs() downloads it"
            )
        with Image.open(path) as image:
            photographs.append(np.asarray(image.convert("RGB")))
    return tuple(photographs)


def frost_name(photographs: Sequence[NDArray] | None) -> str:
    """Return a name for the source of frost that depends on the photographs' pixels alone."""
    if photographs is None:
        return "drawn textures"
    digest = hashlib.sha256()
    for photograph in photographs:
        digest.update(np.ascontiguousarray(photograph).data)
    return f"photographs {digest.hexdigest()[:16]}"


def _enlarge(texture: NDArray, height: int, width: int) -> NDArray:
    """Stretch a texture bilinearly until a crop of height x width fits."""
    scale = max((height + 1) / texture.shape[0], (width + 1) / texture.shape[1])
    size = [int(np.ceil(s * scale)) for s in texture.shape[:2]]
    planes = torch.from_numpy(texture.copy()).permute(2, 0, 1)[None].to(torch.float32)
    larger = torch.nn.functional.interpolate(planes, size=size, mode="bilinear")
    return larger[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


def frost_textures(
    benchmark: str,
    height: int,
    width: int,
    device: torch.device,
    photographs: Sequence[NDArray] | None = None,
) -> list[Tensor]:
    """Return textures that a crop of height x width fits into.

    For CIFAR keep every fifth pixel: the official bilinear reduction to 20 % reads only those.

    Differs: the official code fails on images larger than a photograph; here the photograph is
        stretched to cover them.
    """
    step = 5 if benchmark == "cifar" else 1
    if photographs is None:
        need = (step * (height + 8), step * (width + 8))
        photographs = draw_frost_textures(max(_HEIGHT, need[0]), max(_WIDTH, need[1]))
    textures = []
    for given in photographs:
        photograph = _checks.byte_images([given], grey=True)[0][0].numpy()
        if step > 1:
            size = [round(0.2 * s) for s in photograph.shape[:2]]
            photograph = photograph[2::5, 2::5][: size[0], : size[1]]
        if photograph.shape[0] <= height or photograph.shape[1] <= width:
            photograph = _enlarge(photograph, height, width)
        textures.append(to_device(photograph.copy(), device))
    if not textures:
        raise ValueError("frost is empty; pass photographs, or use frost=None for drawn textures")
    return textures
