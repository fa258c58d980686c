"""The law of lambda, mixed feature maps, and the mixers beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.lab.blocks.displays.noise import noise_words
from nmlib.lab.blocks.displays.pixels import (
    Bytes,
    Floats,
    Pictured,
    as_floats,
    as_pixels,
    colour_maps,
    picture,
    shares_words,
)
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import OKABE_ITO, new_figure
from nmlib.mixing import Mixup, Pair, mix, mix_labels
from nmlib.models import StagedModel
from nmlib.models.modes import evaluating
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.rng import Rng

__all__ = [
    "LawDisplay",
    "MixersDisplay",
    "MixingDisplay",
    "beta_density",
]


@dataclass(frozen=True, eq=False)
class LawDisplay(Display):
    r"""The law of the mixing weight: draws of `Mixup` beside the density of Beta(alpha, alpha).

    Attributes:
        alphas: One panel each.
        lam: (alphas, draws) weights.
        title: Where the draws come from.
    """

    alphas: tuple[float, ...]
    lam: Floats
    title: str

    image = "lines"
    grid = "y"

    @classmethod
    def from_alphas(
        cls, alphas: Sequence[float], *, draws: int = 1000, seed: int = 0
    ) -> LawDisplay:
        """Draw weights as training does, one stream a draw."""
        x = torch.zeros(2, 1)
        lam = [
            [float(Mixup(a).draw(x, None, None, Rng(seed).fold(k)).lam) for k in range(draws)]
            for a in alphas
        ]
        return cls(tuple(alphas), np.array(lam), f"{draws} draws each, seed {seed}")

    @property
    def summary(self) -> str:
        extreme = (np.minimum(self.lam, 1 - self.lam) <= 0.1).mean(1)
        parts = [
            f"alpha {a:g}: {100 * s:.0f} % within 0.1 of 0 or 1"
            for a, s in zip(self.alphas, extreme, strict=True)
        ]
        return f"Mixing weights lambda ({self.title}). {'; '.join(parts)}."

    def _axes(self) -> Any:
        count = len(self.alphas)
        return new_figure(2.7 * count, 2.5).subplots(1, count, sharey=True, squeeze=False)[0]

    def _draw(self, ax: Any) -> None:
        axes = np.ravel(ax)
        where = np.linspace(0.005, 0.995, 199)
        for one, alpha, lam in zip(axes, self.alphas, self.lam, strict=True):
            one.hist(
                lam, bins=20, range=(0, 1), density=True, color=OKABE_ITO["sky blue"],
                edgecolor="white", label="draws",
            )  # fmt: skip
            one.plot(where, beta_density(where, alpha), color="black", label="density")
            one.set_title(rf"$\alpha = {alpha:g}$", fontsize=10)
            one.set_xlabel(r"$\lambda$")
            one.set_ylim(0, 4.2)
        axes[0].set_ylabel("density")
        axes[0].legend(frameon=False, fontsize=8, loc="upper center")


def beta_density(where: Floats, alpha: float) -> Floats:
    r"""Return the density of Beta($\alpha$, $\alpha$) inside (0, 1).

    >>> beta_density(np.array([0.5]), 1.0).tolist()
    [1.0]
    """
    from math import lgamma

    log_norm = lgamma(2 * alpha) - 2 * lgamma(alpha)
    return np.exp(log_norm + (alpha - 1) * np.log(where * (1 - where)))


@dataclass(frozen=True, eq=False)
class MixingDisplay(Pictured):
    r"""A pair of images on its way through mixing and noise at one mix point.

    $$h = g_k(x),\qquad \tilde h = \lambda h + (1-\lambda)\,h_{partner},\qquad
      (1 + \sigma_{mult}\,\xi^{mult}) \odot \tilde h + \sigma_{add}\,\xi^{add}.$$

    Attributes:
        images: (2, H, W, 3) uint8: the sample and its partner.
        maps: (4, C, h, w) activations at the mix point: sample, partner, mixture, mixture with
            noise. At point 0 they are the normalised images.
        channels: Which 16 channels are shown: those that vary most over the pair, in rising order.
        limit: Magnitude at which the colours end, the same for all four.
        point: The mix point.
        lam: Share of the sample.
        names: Classes of sample and partner.
        shares: (K,) mixed label.
        classes: Class names.
        noise: The law in words.
        pixels: (4, h, w, 3) uint8 pictures of `maps` at point 0 (noise cut off at black and
            white); None elsewhere.
        title: Which network.
    """

    images: Bytes
    maps: NDArray[np.float32]
    channels: NDArray[np.int64]
    limit: float
    point: int
    lam: float
    names: tuple[str, str]
    shares: Floats
    classes: tuple[str, ...]
    noise: str
    pixels: Bytes | None
    title: str

    @classmethod
    def from_model(
        cls,
        model: StagedModel,
        images: Tensor,
        labels: Tensor,
        pair: Pair,
        *,
        point: int,
        classes: Sequence[str],
        noise: Noise | NoiseDraw | None = None,
        rng: Rng | None = None,
        noise_name: str | None = None,
        title: str = "",
    ) -> MixingDisplay:
        """Run a pair of images to the mix point, mix, inject noise.

        Args:
            model: A staged model of images.
            images: (2, H, W, 3) uint8.
            labels: (2,) classes.
            pair: A draw for a batch of two; row 0 is shown.
            point: The mix point.
            classes: Class names.
            noise: A law to draw from (then `rng` is needed), fields for (1, 2, C, h, w)
                activations, or None.
            rng: The stream of the noise.
            noise_name: The noise in words, where it comes as fields.
            title: Which network.

        Raises:
            ValueError: Unless there are two images, or for a mix point that does not exist.
        """
        x = as_floats(images)
        if len(x) != 2:
            raise ValueError(f"a pair is two images, got {len(x)}")
        with evaluating(model), torch.no_grad():
            h = model(x, stop=point)
            mixed = mix(h, pair)
            noised = inject(mixed[None], noise, rng)[0]
        maps = torch.stack([h[0], h[1], mixed[0], noised[0]])
        spread = h.var((0, 2, 3))
        shown = spread.argsort(descending=True, stable=True)[:16].sort().values
        limit = float(np.quantile(h[:, shown].abs().numpy(), 0.995))
        pixels = None
        if point == 0:
            norm = model.normalise
            back = maps if norm is None else maps * norm.std + norm.mean  # type: ignore[operator]
            pixels = as_pixels(back)
        lam = pair.lam if not isinstance(pair.lam, Tensor) else float(pair.lam.reshape(-1)[0])
        shares = mix_labels(labels, pair, len(classes), dtype=torch.float64)[0].numpy()
        first, second = (classes[int(k)] for k in labels)
        return cls(
            images.numpy(), maps.numpy(), shown.numpy(), limit, point, float(lam),
            (first, second), shares, tuple(classes),
            noise_words(noise) if noise_name is None else noise_name, pixels, title,
        )  # fmt: skip

    def grids(self) -> list[Bytes]:
        """Return the four states as pictures: at point 0 the images, else grids of feature maps."""
        if self.pixels is not None:
            return list(self.pixels)
        return [colour_maps(m[self.channels], self.limit) for m in self.maps]

    @property
    def label_words(self) -> str:
        """The mixed label, e.g. "0.70 Coat + 0.30 Bag"."""
        return shares_words(self.shares, self.classes)

    @property
    def summary(self) -> str:
        what = (
            "the images themselves"
            if self.point == 0
            else f"{len(self.channels)} of {self.maps.shape[1]} feature maps of "
            f"{self.maps.shape[2]} x {self.maps.shape[3]}"
        )
        where = f"mix point {self.point}" + (f" of {self.title}" if self.title else "")
        states = "sample, partner, mixture" + ", mixture with noise" * self.noisy
        return (
            f"{self.names[0]} mixed with {self.names[1]} at {where}, {what}, lambda "
            f"{self.lam:.2f}, {self.noise}: {states}. "
            f"Label: {self.label_words}."
        )

    @property
    def noisy(self) -> bool:
        """Whether noise has changed anything; if not, three states are drawn."""
        return bool((self.maps[2] != self.maps[3]).any())

    def _axes(self) -> Any:
        columns = 4 if self.noisy else 3
        if self.point == 0:
            return new_figure(2.25 * columns, 2.75).subplots(1, columns)
        figure = new_figure(2.25 * columns, 4.6)
        grid = figure.add_gridspec(2, columns, height_ratios=(1, 2.1))
        places = [grid[0, 0], grid[0, 1], grid[0, 2:], *(grid[1, k] for k in range(columns))]
        return [figure.add_subplot(place) for place in places]

    def _draw(self, ax: Any) -> None:
        mixture = f"mixture, $\\lambda$ = {self.lam:.2f}"
        titles = ["sample", "partner", mixture, "mixture with noise"]
        below = ["", "", "", ""]
        states = ax
        if self.point == 0:
            label = self.label_words.replace(" + ", "\n+ ")
            below = [*self.names, label, self.noise.replace(", mult", ",\nmult")]
        else:
            states = ax[3:]
            for one, pixels, name in zip(ax[:2], self.images, self.names, strict=True):
                picture(one, pixels, below=name)
            self._bar(ax[2])
            words = f"{len(self.channels)} of {self.maps.shape[1]} feature maps at mix point"
            states[0].set_ylabel(f"{words} {self.point}", fontsize=8)
        # Without noise the fourth state is the third.
        for one, grid, title, words in zip(states, self.grids(), titles, below, strict=False):
            picture(one, grid, title, words)

    def _bar(self, axes: Any) -> None:
        """Draw the mixed label as a bar, and the noise in words."""
        left = 0.0
        order = np.argsort(-self.shares)
        looks = ((OKABE_ITO["blue"], ""), (OKABE_ITO["orange"], "////"))
        for k, (colour, hatch) in zip(order, looks, strict=False):
            share = self.shares[k]
            if share <= 0:
                continue
            axes.barh(0.5, share, 0.22, left, color=colour, hatch=hatch, edgecolor="white")
            anchor = "left" if left == 0 else "right"
            place = 0.0 if left == 0 else 1.0
            words = f"{share:.2f} {self.classes[k]}"
            axes.text(place, 0.66, words, ha=anchor, va="bottom", fontsize=9)
            left += share
        axes.text(0, 0.95, "mixed label", fontsize=9, color="0.35", va="bottom")
        axes.text(0, 0.3, self.noise, fontsize=9, color="0.35", va="top")
        legend = "blue below zero, white zero," + (" " if self.noisy else "\n") + "vermilion above"
        axes.text(0, 0.1, legend, fontsize=9, color="0.35", va="top")
        axes.set(xlim=(0, 1), ylim=(0, 1.1))
        axes.axis("off")


@dataclass(frozen=True, eq=False)
class MixersDisplay(Pictured):
    """The same pairs mixed in several ways.

    Attributes:
        samples: (B, H, W, 3) uint8.
        partners: (B, H, W, 3) uint8.
        mixed: (mixers, B, H, W, 3) uint8.
        names: Mixers.
        shares: (mixers, B, K) mixed labels.
        classes: Class names.
        labels: (B, 2) classes of sample and partner.
    """

    samples: Bytes
    partners: Bytes
    mixed: Bytes
    names: tuple[str, ...]
    shares: Floats
    classes: tuple[str, ...]
    labels: NDArray[np.int64]

    @classmethod
    def from_mixers(
        cls,
        mixers: Mapping[str, Any],
        images: Tensor,
        labels: Tensor,
        *,
        model: StagedModel,
        classes: Sequence[str],
        rng: Rng,
    ) -> MixersDisplay:
        """Mix a batch by each mixer; on one stream they share partners and lambda.

        Args:
            mixers: Name -> `Mixup`, `CutMix`, `PuzzleMix` or anything with their `draw`.
            images: (B, H, W, 3) uint8.
            labels: (B,) classes.
            model: For PuzzleMix, whose masks follow the gradient of the loss.
            classes: Class names.
            rng: The stream.
        """
        x = as_floats(images)
        mixed, shares, partner = [], [], None
        # PuzzleMix looks at the gradient of the loss.
        with evaluating(model), torch.enable_grad():
            for mixer in mixers.values():
                pair = mixer.draw(x, labels, model, rng)
                mixed.append(as_pixels(mix(x, pair)))
                shares.append(mix_labels(labels, pair, len(classes), dtype=torch.float64).numpy())
                if partner is not None and not torch.equal(partner, pair.partner):
                    raise ValueError("the mixers drew different partners; give them one stream")
                partner = pair.partner
        if partner is None:
            raise ValueError("mixers is empty; pass at least one name -> mixer")
        return cls(
            images.numpy(), images[partner].numpy(), np.stack(mixed), tuple(mixers),
            np.stack(shares), tuple(classes),
            torch.stack([labels, labels[partner]], 1).numpy(),
        )  # fmt: skip

    def share(self, name: str) -> Floats:
        """Return the (B,) label weight that a mixer leaves to the samples."""
        return self.shares[self.names.index(name)][np.arange(len(self.labels)), self.labels[:, 0]]

    @property
    def summary(self) -> str:
        rows = [
            f"{self.classes[a]} with {self.classes[b]}: "
            + ", ".join(
                f"{n} {shares_words(s[i], self.classes)}"
                for n, s in zip(self.names, self.shares, strict=True)
            )
            for i, (a, b) in enumerate(self.labels)
        ]
        return f"The same pairs mixed by {', '.join(self.names)}. Labels: {'; '.join(rows)}."

    def _axes(self) -> Any:
        rows, columns = len(self.samples), 2 + len(self.names)
        figure = new_figure(1.75 * columns, 2.12 * rows + 0.25)
        return figure.subplots(rows, columns, squeeze=False)

    def _draw(self, ax: Any) -> None:
        heads = ("sample", "partner", *self.names)
        for i, (row, (a, b)) in enumerate(
            zip(np.reshape(ax, (-1, len(heads))), self.labels, strict=True)
        ):
            pictures = [self.samples[i], self.partners[i], *self.mixed[:, i]]
            words = [self.classes[a], self.classes[b]]
            words += [shares_words(s[i], self.classes).replace(" + ", "\n+ ") for s in self.shares]
            for one, pixels, head, below in zip(row, pictures, heads, words, strict=True):
                picture(one, pixels, head if i == 0 else "", below, 8)
