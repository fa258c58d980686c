"""Random boxes of the images, enlarged: the augmentation of ImageNet networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.mixing import Model
from nmlib.ops import resized_crops
from nmlib.rng import Rng, checked_rng

_TRIES = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    r"""One view: a random box of each image, resized to a square, half of them mirrored.

    The box has a share of the image's area drawn from $U(scale)$ and $\log(width/height)$ drawn
    from $U(\log ratio)$, both sides rounded; its place is uniform. A box that does not fit is drawn
    again, ten times at most; then the largest central box within `ratio` is taken.

    Args:
        size: Side of the view in pixels.
        scale: Least and greatest share of the area.
        ratio: Least and greatest width over height.

    Source: the transform of the released transfer code, with torchvision's settings.
    Differs: drawn per image from the step's stream, on the device of the images, and not rounded to
        whole grey levels.

    >>> import torch
    >>> RandomResizedCrop(64).make(torch.zeros(5, 3, 32, 32), None, None, Rng(0)).shape
    torch.Size([1, 5, 3, 64, 64])
    """

    size: int = 224
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.integer, "size", least=1)
        for name in ("scale", "ratio"):
            pair = _checks.numbers(name, getattr(self, name), 0)
            if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
                raise ValueError(f"{name} must be (least, greatest) above 0, got {pair}")
            object.__setattr__(self, name, pair)
        if self.scale[1] > 1:
            raise ValueError(f"scale is a share of the area, at most 1, got {self.scale}")

    @property
    def count(self) -> int:
        """Number of views V."""
        return 1

    def draw(
        self, batch: int, height: int, width: int, rng: Rng
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Draw the boxes of `batch` images; they are the same on every device.

        Returns:
            (4, B) top, left, height and width; (B,) whether to mirror.
        """
        stream = checked_rng(rng).fold("crop").numpy()
        area = stream.uniform(*self.scale, (_TRIES, batch)) * height * width
        low, high = np.log(self.ratio)
        ratio = np.exp(stream.uniform(low, high, (_TRIES, batch)))
        place = stream.random((2, batch))
        wide, tall = (np.rint(np.sqrt(v)).astype(np.int64) for v in (area * ratio, area / ratio))
        fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
        chosen = fits.argmax(0), np.arange(batch)
        nearest = min(max(width / height, self.ratio[0]), self.ratio[1])
        last_tall = min(height, round(width / nearest))
        last_wide = min(width, round(height * nearest))
        found = fits.any(0)
        w = np.where(found, wide[chosen], last_wide)
        h = np.where(found, tall[chosen], last_tall)
        top, left = ((n - m + 1) * u for n, m, u in ((height, h, place[0]), (width, w, place[1])))
        top = np.where(found, top.astype(np.int64), (height - h) // 2)
        left = np.where(found, left.astype(np.int64), (width - w) // 2)
        mirrored = checked_rng(rng).fold("flip").numpy().random(batch) < 0.5
        return np.stack([top, left, h, w]), mirrored

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (1, B, C, size, size).

        Args:
            x: (B, C, H, W).
            y: Not used.
            model: Not used.
            rng: Stream of the draws.
        """
        x = _checks.tensor("x", x)
        if x.ndim != 4:
            raise ValueError(f"x must be images (B, C, H, W), got {tuple(x.shape)}")
        box, mirrored = self.draw(len(x), x.shape[2], x.shape[3], rng)
        table = to_device(np.concatenate([box, mirrored[None]]), x.device)
        return resized_crops(x, table[:4], self.size, table[4].bool())[None]
