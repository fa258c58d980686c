"""Noise laws and what they do to feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmlib.lab.blocks.displays.pixels import Bytes, Floats, Pictured, as_floats, as_pixels, picture
from nmlib.lab.display.looks import new_figure
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.rng import Rng

__all__ = [
    "NoiseDisplay",
    "noise_words",
]


def noise_words(noise: Noise | NoiseDraw | None) -> str:
    """Say a noise law in a few words.

    >>> noise_words(Noise(0.5, 0.25)), noise_words(None)
    ('additive noise 0.5, multiplicative 0.25 (paper law)', 'no noise')
    """
    if noise is None:
        return "no noise"
    if isinstance(noise, NoiseDraw):
        return "given noise"
    if not noise.additive and not noise.multiplicative:
        return "no noise"
    return (
        f"additive noise {noise.additive:g}, multiplicative {noise.multiplicative:g} "
        f"({noise.law} law)"
    )


@dataclass(frozen=True, eq=False)
class NoiseDisplay(Pictured):
    r"""An image under additive and multiplicative noise, by several laws.

    Attributes:
        laws: Names of the rows.
        pixels: (laws, 3, H, W, 3) uint8: additive only, multiplicative only, both; cut off at
            black and white.
        nominal: (laws, 2) levels as given, additive and multiplicative.
        effective: (laws, 2) root mean square that the law gives them, `Noise.effective_levels`.
        clean: (H, W, 3) uint8.
    """

    laws: tuple[str, ...]
    pixels: Bytes
    nominal: Floats
    effective: Floats
    clean: Bytes

    @classmethod
    def from_laws(cls, image: Tensor, laws: Mapping[str, Noise], *, rng: Rng) -> NoiseDisplay:
        """Put noise on an image, in the units of the normalised network input.

        Args:
            image: (H, W, 3) uint8.
            laws: Name -> law.
            rng: The stream; all laws draw from it.
        """
        x = (as_floats(image[None]) - 0.5) / 0.5
        pixels, nominal, effective = [], [], []
        for law in laws.values():
            drawn = law.draw(x[None], rng)
            states = [
                inject(x[None], NoiseDraw(drawn.additive, None))[0],
                inject(x[None], NoiseDraw(None, drawn.multiplicative))[0],
                inject(x[None], drawn)[0],
            ]
            pixels.append(as_pixels(torch.stack(states)[:, 0] * 0.5 + 0.5))
            nominal.append((law.additive, law.multiplicative))
            effective.append(law.effective_levels())
        return cls(
            tuple(laws), np.stack(pixels), np.array(nominal), np.array(effective), image.numpy()
        )

    @property
    def summary(self) -> str:
        rows = [
            f"{name}: levels {a:g} and {m:g} act like {ea:.2f} and {em:.2f}"
            for name, (a, m), (ea, em) in zip(self.laws, self.nominal, self.effective, strict=True)
        ]
        return f"Additive, multiplicative and both kinds of noise on an image. {'; '.join(rows)}."

    def _axes(self) -> Any:
        rows = len(self.laws)
        return new_figure(8.6, 2.2 * rows + 0.35).subplots(rows, 4, squeeze=False)

    def _draw(self, ax: Any) -> None:
        heads = ("clean", "additive", "multiplicative", "both")
        for r, (row, name) in enumerate(zip(np.reshape(ax, (-1, 4)), self.laws, strict=True)):
            levels = zip(self.nominal[r], self.effective[r], strict=True)
            below = ["", *(f"given {g:g}, acts like {e:.2f}" for g, e in levels), ""]
            pictures = (self.clean, *self.pixels[r])
            for one, pixels, head, words in zip(row, pictures, heads, below, strict=True):
                picture(one, pixels, head if r == 0 else "", words)
            row[0].set_ylabel(name, fontsize=10)
