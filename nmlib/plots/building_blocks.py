"""Pictures of NoisyMix's pieces: laws, mixed and noised feature maps, chains, views and their JSD.

Every display computes its arrays in `from_...`, through the same functions that training calls,
with the network in evaluation mode (batches of two or three have no batch statistics worth
the name); `plot` only draws them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.losses import jensen_shannon_divergence
from nmlib.mixing import Mixup, Pair, mix, mix_labels
from nmlib.models import StagedModel
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.plots.robustness import scheme_label
from nmlib.plots.shown import Shown, png
from nmlib.plots.style import OKABE_ITO, new_figure
from nmlib.rng import Rng
from nmlib.views import AugMix, AugMixPlan

__all__ = [
    "AugMixDisplay",
    "LawDisplay",
    "MixersDisplay",
    "MixingDisplay",
    "NoiseDisplay",
    "SeverityDisplay",
    "ViewsDisplay",
    "colour_maps",
    "evaluating",
    "operation_words",
    "pillow_font",
    "shares_words",
    "tile_maps",
]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

_NEGATIVE, _ZERO, _POSITIVE = (0, 114, 178), (250, 250, 250), (213, 94, 0)
MAP_COLOURS: Bytes = np.stack(
    [
        np.interp(np.arange(256), (0, 128, 255), colour)
        for colour in zip(_NEGATIVE, _ZERO, _POSITIVE, strict=True)
    ],
    axis=1,
).astype(np.uint8)
"""Blue below zero, white at zero, vermilion above (Okabe-Ito): 256 colours of feature maps."""

# Colour and hatch of the clean view, the two augmented ones and further ones.
_VIEW_LOOKS = (
    (OKABE_ITO["blue"], ""), (OKABE_ITO["orange"], "////"), (OKABE_ITO["bluish green"], "...."),
    (OKABE_ITO["reddish purple"], "xx"), (OKABE_ITO["sky blue"], "\\\\"),
)  # fmt: skip
_NET_LOOKS = (
    (OKABE_ITO["blue"], "o", "--"), (OKABE_ITO["bluish green"], "^", ":"),
    (OKABE_ITO["reddish purple"], "D", "-."), (OKABE_ITO["orange"], "v", (0, (5, 1))),
)  # fmt: skip
# NoisyMix looks the same in all figures.
_OURS = (OKABE_ITO["vermilion"], "s", "-")


@contextmanager
def evaluating(model: StagedModel, *, gradients: bool = False) -> Iterator[StagedModel]:
    """Put a model into evaluation mode, by default without gradients, and leave it as it was.

    >>> from nmlib.models import mlp
    >>> model = mlp((2, 3, 2)).train()
    >>> with evaluating(model) as quiet:
    ...     print(quiet.training)
    False
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.set_grad_enabled(gradients):
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


class _Compact(Shown):
    """Shown with a palette that keeps vermilion and orange apart."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data = {"text/plain": self.summary, "image/png": png(self.plot(), colours=128, octree=True)}
        return data, {"image/png": {"alt": self.summary}}


def as_floats(images: Tensor) -> Tensor:
    """Return (B, H, W, 3) uint8 images as (B, 3, H, W) floats in [0, 1].

    >>> as_floats(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)).unique().tolist()
    [1.0]
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"images must be uint8 of shape (B, H, W, 3), got {images.dtype} of shape "
            f"{tuple(images.shape)}; ImageData.images has it"
        )
    # Noise is drawn in the order of memory: one order for all callers.
    return images.permute(0, 3, 1, 2).float().contiguous() / 255


def as_pixels(x: Tensor) -> Bytes:
    """Return (..., C, H, W) floats as (..., H, W, C) bytes, cut off outside [0, 1]."""
    pixels = (x.detach().cpu().float() * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.movedim(-3, -1).contiguous().numpy()


def tile_maps(tiles: NDArray, *, gap: int | None = None, fill: int = 128) -> NDArray:
    """Lay (n, h, w, ...) tiles out as a square grid, row by row.

    Args:
        tiles: The tiles; a last square with fewer is filled up.
        gap: Pixels between them; default an eighth of their width, at least 1.
        fill: Value of the gaps.

    >>> tile_maps(np.zeros((4, 8, 8), np.uint8)).shape
    (17, 17)
    """
    count, height, width = tiles.shape[:3]
    gap = max(1, width // 8) if gap is None else gap
    side = int(np.ceil(np.sqrt(count)))
    rows = -(-count // side)
    shape = (rows * (height + gap) - gap, side * (width + gap) - gap, *tiles.shape[3:])
    grid = np.full(shape, fill, tiles.dtype)
    for k, tile in enumerate(tiles):
        top, left = k // side * (height + gap), k % side * (width + gap)
        grid[top : top + height, left : left + width] = tile
    return grid


def map_levels(maps: NDArray, limit: float) -> Bytes:
    """Return activations as indices of `MAP_COLOURS`: 128 is zero, 1 and 255 are -+`limit`."""
    scaled = np.asarray(maps, dtype=np.float64) * (127 / max(limit, 1e-12))
    return (128 + np.clip(scaled, -127, 127).round()).astype(np.uint8)


def colour_maps(maps: NDArray, limit: float) -> Bytes:
    """Return (n, h, w) activations as one coloured square grid (H, W, 3), gaps in white.

    In 33 shades, so that pictures stay small.
    """
    grid = tile_maps(map_levels(maps, limit)).astype(int)
    return MAP_COLOURS[np.clip(128 + 8 * np.rint((grid - 128) / 8).astype(int), 0, 255)]


def operation_words(operation: str, parameter: float) -> str:
    """Say what one step of an AugMix chain does.

    Args:
        operation: One of `nmlib.views.OPERATIONS`.
        parameter: What `operation_parameter` gives for it.

    >>> operation_words("rotate", -8.0), operation_words("equalize", 0.0)
    ('rotate −8°', 'equalize')
    """
    plain = operation.replace("_", " ")
    number = f"{abs(parameter):.3g}"
    signed = ("−" if parameter < 0 else "+") + number if parameter else "0"
    if operation == "rotate":
        return f"rotate {signed}°"
    if operation == "posterize":
        return f"posterize {number} bits"
    if operation == "solarize":
        return f"solarize from {number}"
    if operation.startswith("shear"):
        return f"{plain} {signed}"
    if operation.startswith("translate"):
        return f"{plain} {signed} px"
    return plain


def shares_words(shares: NDArray, classes: Sequence[str], least: float = 0.005) -> str:
    """Say a label distribution, largest share first.

    >>> shares_words(np.array([0.3, 0.7]), ("Bag", "Coat"))
    '0.70 Coat + 0.30 Bag'
    """
    order = sorted(np.flatnonzero(shares >= least).tolist(), key=lambda k: -shares[k])
    return " + ".join(f"{shares[k]:.2f} {classes[k]}" for k in order)


@functools.cache
def pillow_font(size: int) -> Any:
    """Return matplotlib's sans-serif font for pictures painted by Pillow.

    Args:
        size: Pixels.

    >>> pillow_font(12).getname()[0]
    'DejaVu Sans'
    """
    import matplotlib
    from PIL import ImageFont

    # Pillow's own font has no Greek letters.
    path = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size)


def _picture(axes: Any, pixels: NDArray, title: str = "", below: str = "", size: int = 9) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.8")
    if title:
        axes.set_title(title, fontsize=size)
    if below:
        axes.set_xlabel(below, fontsize=size, labelpad=4)


# -- laws -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LawDisplay(_Compact):
    r"""The law of the mixing weight: draws of `Mixup` beside the density of Beta(alpha, alpha).

    Attributes:
        alphas: One panel each.
        lam: (alphas, draws) weights.
        title: Where the draws come from.
    """

    alphas: tuple[float, ...]
    lam: Floats
    title: str

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

    def extreme_share(self, within: float = 0.1) -> Floats:
        """Return, for each alpha, the share of draws within a distance of 0 or 1."""
        return (np.minimum(self.lam, 1 - self.lam) <= within).mean(1)

    @property
    def summary(self) -> str:
        parts = [
            f"alpha {a:g}: {100 * s:.0f} % within 0.1 of 0 or 1"
            for a, s in zip(self.alphas, self.extreme_share(), strict=True)
        ]
        return f"Mixing weights lambda ({self.title}). {'; '.join(parts)}."

    def plot(self) -> Any:
        figure = new_figure(2.7 * len(self.alphas), 2.5, layout=None)
        grid = figure.subplots(1, len(self.alphas), sharey=True, squeeze=False)[0]
        where = np.linspace(0.005, 0.995, 199)
        for axes, alpha, lam in zip(grid, self.alphas, self.lam, strict=True):
            axes.hist(
                lam, bins=20, range=(0, 1), density=True, color=OKABE_ITO["sky blue"],
                edgecolor="white", label="draws",
            )  # fmt: skip
            axes.plot(where, beta_density(where, alpha), color="black", label="density")
            axes.set_title(rf"$\alpha = {alpha:g}$", fontsize=10)
            axes.set_xlabel(r"$\lambda$")
            axes.set_ylim(0, 4.2)
            axes.spines[["top", "right"]].set_visible(False)
        grid[0].set_ylabel("density")
        grid[0].legend(frameon=False, fontsize=8, loc="upper center")
        figure.subplots_adjust(left=0.07, right=0.99, top=0.88, bottom=0.19, wspace=0.08)
        return figure


def beta_density(where: Floats, alpha: float) -> Floats:
    r"""Return the density of Beta($\alpha$, $\alpha$) inside (0, 1).

    >>> beta_density(np.array([0.5]), 1.0).tolist()
    [1.0]
    """
    from math import lgamma

    log_norm = lgamma(2 * alpha) - 2 * lgamma(alpha)
    return np.exp(log_norm + (alpha - 1) * np.log(where * (1 - where)))


# -- mixing and noise -----------------------------------------------------------------------------


@dataclass(frozen=True)
class MixingDisplay(_Compact):
    r"""A pair of images on its way through mixing and noise at one mix point.

    $$h = g_k(x),\qquad \tilde h = \lambda h + (1-\lambda)\,h_{partner},\qquad
      (1 + \sigma_{mult}\,\xi^{mult}) \odot \tilde h + \sigma_{add}\,\xi^{add}.$$

    Attributes:
        images: (2, H, W, 3) uint8: the sample and its partner.
        maps: (4, C, h, w) activations at the mix point: sample, partner, mixture, mixture with
            noise. At point 0 they are the normalised images.
        channels: Which channels are shown: those that vary most over the pair, in rising order.
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
        channels: int = 16,
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
            channels: So many channels are shown at most.
            noise_name: The noise in words, where it comes as fields.
            title: Which network.

        Raises:
            ValueError: Unless there are two images, or for a mix point that does not exist.
        """
        x = as_floats(images)
        if len(x) != 2:
            raise ValueError(f"a pair is two images, got {len(x)}")
        with evaluating(model):
            h = model(x, stop=point)
            mixed = mix(h, pair)
            noised = inject(mixed[None], noise, rng)[0]
        maps = torch.stack([h[0], h[1], mixed[0], noised[0]])
        spread = h.var((0, 2, 3))
        shown = spread.argsort(descending=True, stable=True)[:channels].sort().values
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

    def plot(self) -> Any:
        columns = 4 if self.noisy else 3
        low = self.point == 0
        figure = new_figure(2.25 * columns, 2.75 if low else 4.6, layout=None)
        tops = figure.subplots(
            1 if low else 2, columns, squeeze=False, height_ratios=None if low else (1, 2.1)
        )
        mixture = f"mixture, $\\lambda$ = {self.lam:.2f}"
        titles = ("sample", "partner", mixture, "mixture with noise")
        if not low:
            for axes, pixels, name in zip(tops[0], self.images, self.names, strict=False):
                _picture(axes, pixels, below=name)
            bar = figure.add_subplot(tops[0, 2].get_gridspec()[0, 2:])
            for axes in tops[0, 2:]:
                axes.remove()
        for axes, grid, title in zip(tops[-1], self.grids(), titles, strict=False):
            _picture(axes, grid, title)
        if low:
            for axes, name in zip(tops[0], self.names, strict=False):
                axes.set_xlabel(name, fontsize=9)
            tops[0, 2].set_xlabel(self.label_words.replace(" + ", "\n+ "), fontsize=8)
            if self.noisy:
                tops[0, 3].set_xlabel(self.noise.replace(", mult", ",\nmult"), fontsize=8)
        else:
            self._bar(bar)
            word = f"{len(self.channels)} of {self.maps.shape[1]} feature maps at mix point"
            tops[-1, 0].set_ylabel(f"{word} {self.point}", fontsize=8)
        left, right = 0.14 / columns, 1 - 0.02 / columns
        figure.subplots_adjust(left, 0.15 if low else 0.03, right, 0.93, 0.05, 0.28)
        return figure

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


@dataclass(frozen=True)
class NoiseDisplay(_Compact):
    r"""An image under additive and multiplicative noise, by several laws.

    Attributes:
        laws: Names of the rows.
        pixels: (laws, 3, H, W, 3) uint8: additive only, multiplicative only, both; cut off at
            black and white.
        nominal: (laws, 2) levels as given, additive and multiplicative.
        effective: (laws, 2) root mean square that the law gives them, `Noise.effective_levels`.
        measured: (laws, 2) root mean square over `draws` fields of the law.
        draws: Fields measured.
        clean: (H, W, 3) uint8.
    """

    laws: tuple[str, ...]
    pixels: Bytes
    nominal: Floats
    effective: Floats
    measured: Floats
    draws: int
    clean: Bytes

    @classmethod
    def from_laws(
        cls, image: Tensor, laws: Mapping[str, Noise], *, rng: Rng, draws: int = 200
    ) -> NoiseDisplay:
        """Put noise on an image, in the units of the normalised network input.

        Args:
            image: (H, W, 3) uint8.
            laws: Name -> law.
            rng: The stream; all laws draw from it.
            draws: Fields for the measured levels (the released law's vary from draw to draw).
        """
        x = (as_floats(image[None]) - 0.5) / 0.5
        pixels, nominal, effective, measured = [], [], [], []
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
            measured.append(_root_mean_squares(law, x[None], rng, draws))
        return cls(
            tuple(laws), np.stack(pixels), np.array(nominal), np.array(effective),
            np.array(measured), draws, image.numpy(),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        rows = [
            f"{name}: levels {a:g} and {m:g} act like {ea:.2f} and {em:.2f} (measured {fa:.2f} and "
            f"{fm:.2f})"
            for name, (a, m), (ea, em), (fa, fm) in zip(
                self.laws, self.nominal, self.effective, self.measured, strict=True
            )
        ]
        return (
            f"Additive, multiplicative and both kinds of noise on an image. {'; '.join(rows)}, "
            f"over {self.draws} fields."
        )

    def plot(self) -> Any:
        rows = len(self.laws)
        figure = new_figure(8.6, 2.2 * rows + 0.35, layout=None)
        grid = figure.subplots(rows, 4, squeeze=False)
        heads = ("clean", "additive", "multiplicative", "both")
        for r, name in enumerate(self.laws):
            below = ["", *(f"given {g:g}, acts like {e:.2f}" for g, e in
                           zip(self.nominal[r], self.effective[r], strict=True)), ""]  # fmt: skip
            pictures = (self.clean, *self.pixels[r])
            for axes, pixels, head, words in zip(grid[r], pictures, heads, below, strict=True):
                _picture(axes, pixels, head if r == 0 else "", words)
            grid[r, 0].set_ylabel(name, fontsize=10)
        figure.subplots_adjust(0.04, 0.07, 0.995, 0.93, 0.04, 0.2)
        return figure


def _root_mean_squares(law: Noise, like: Tensor, rng: Rng, draws: int) -> tuple[float, float]:
    """Measure the levels of a law over many fields, one stream each."""
    squares = np.zeros(2)
    for k in range(draws):
        drawn = law.draw(like, rng.fold("measured", k))
        for j, field in enumerate((drawn.additive, drawn.multiplicative)):
            squares[j] += 0.0 if field is None else float(field.double().square().mean())
    add, mult = np.sqrt(squares / draws)
    return float(add), float(mult)


@dataclass(frozen=True)
class MixersDisplay(_Compact):
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
        with evaluating(model, gradients=True):
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
        own = self.shares[self.names.index(name)][np.arange(len(self.labels)), self.labels[:, 0]]
        return own

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

    def plot(self) -> Any:
        rows, columns = len(self.samples), 2 + len(self.names)
        figure = new_figure(1.75 * columns, 2.12 * rows + 0.25, layout=None)
        grid = figure.subplots(rows, columns, squeeze=False)
        for i, (a, b) in enumerate(self.labels):
            pictures = [self.samples[i], self.partners[i], *self.mixed[:, i]]
            words = [self.classes[a], self.classes[b]]
            words += [shares_words(s[i], self.classes).replace(" + ", "\n+ ") for s in self.shares]
            heads = ("sample", "partner", *self.names)
            for axes, pixels, head, below in zip(grid[i], pictures, heads, words, strict=True):
                _picture(axes, pixels, head if i == 0 else "", below, 8)
        figure.subplots_adjust(0.01, 0.25 / (rows + 1.0), 0.99, 1 - 0.12 / rows, 0.05, 0.32)
        return figure


# -- AugMix ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AugMixDisplay(_Compact):
    r"""AugMix of one image, step by step.

    $$A(x) = (1-m)\,x + m \sum_j w_j\,C_j(x)$$

    Attributes:
        clean: (H, W, 3) uint8.
        steps: For each chain, the (H, W, 3) uint8 pictures after each of its operations.
        words: For each chain, its operations with their parameters.
        weights: (width,) Dirichlet weights w.
        mix: m, the share of the augmentations.
        result: (H, W, 3) uint8: the mixture, rounded for the picture.
        title: What the image is.
    """

    clean: Bytes
    steps: tuple[tuple[Bytes, ...], ...]
    words: tuple[tuple[str, ...], ...]
    weights: Floats
    mix: float
    result: Bytes
    title: str

    @classmethod
    def from_plan(
        cls,
        image: Tensor,
        plan: AugMixPlan,
        *,
        copy: int = 0,
        sample: int = 0,
        title: str = "image",
    ) -> AugMixDisplay:
        """Follow the plan of one augmented view of one image.

        Args:
            image: (H, W, 3) uint8.
            plan: From `AugMix.draw`, or a hand.
            copy: Which augmented view.
            sample: Which sample of the plan.
            title: What the image is.

        >>> plan = AugMixPlan.same(1, [("rotate", "solarize"), ("equalize",)], mix=0.5)
        >>> AugMixDisplay.from_plan(torch.zeros(32, 32, 3, dtype=torch.uint8), plan).words
        (('rotate +9°', 'solarize from 180'), ('equalize',))
        """
        one = slice(sample, sample + 1)
        view = slice(copy, copy + 1)
        own = AugMixPlan(
            plan.operation[view, one], plan.level[view, one], plan.sign[view, one],
            plan.weights[view, one], plan.mix[view, one],
        )  # fmt: skip
        x = as_floats(image[None])
        augmix = AugMix(width=own.operation.shape[2])
        lengths = own.depth[0, 0]
        height, width = image.shape[:2]
        # After t operations: the same plan with everything later left out.
        after = []
        for t in range(1, int(lengths.max(initial=0)) + 1):
            kept = np.where(np.arange(own.operation.shape[3]) < t, own.operation, -1)
            cut = AugMixPlan(kept, own.level, own.sign, own.weights, own.mix)
            after.append(augmix.chains(x, cut)[0, 0].permute(0, 2, 3, 1).numpy())
        steps = tuple(tuple(after[t][j] for t in range(n)) for j, n in enumerate(lengths))
        words = tuple(
            tuple(operation_words(*step) for step in chain)
            for chain in own.chains(0, 0, height=height, width=width)
        )
        result = as_pixels(augmix.apply(x, own)[1, 0])
        return cls(
            image.numpy(), steps, words, own.weights[0, 0], float(own.mix[0, 0]), result, title
        )

    @property
    def summary(self) -> str:
        chains = "; ".join(
            f"{', then '.join(words) or 'nothing'} (weight {w:.2f})"
            for words, w in zip(self.words, self.weights, strict=True)
        )
        return (
            f"AugMix of {self.title}: {len(self.words)} chains: {chains}. Result: "
            f"{1 - self.mix:.2f} of the image and {self.mix:.2f} of the weighted chains."
        )

    def plot(self) -> Any:
        deepest = max((len(s) for s in self.steps), default=1)
        rows = max(len(self.steps), 1)
        columns = deepest + 2
        figure = new_figure(1.75 * columns, 1.98 * rows + 0.3, layout=None)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel():
            axes.axis("off")

        def show(axes: Any, pixels: Bytes, title: str, below: str) -> None:
            axes.axis("on")
            _picture(axes, pixels, title, below, 8)

        middle = (rows - 1) // 2
        show(grid[middle, 0], self.clean, "image", self.title)
        for j, (pictures, words) in enumerate(zip(self.steps, self.words, strict=True)):
            for t, (pixels, word) in enumerate(zip(pictures, words, strict=True)):
                title = f"chain {j + 1}, weight {self.weights[j]:.2f}" if t == 0 else ""
                show(grid[j, 1 + t], pixels, title, word)
        below = f"{1 - self.mix:.2f} image +\n{self.mix:.2f} chains"
        show(grid[middle, -1], self.result, "result", below)
        figure.subplots_adjust(0.01, 0.12 / rows, 0.99, 1 - 0.13 / rows, 0.06, 0.34)
        return figure


# -- views and their divergence -------------------------------------------------------------------


@dataclass(frozen=True)
class ViewsDisplay(_Compact):
    r"""What a network says to the views of some images, and how much that differs.

    $$JSD = \frac1V \sum_v KL(p_v \,\|\, m),\qquad m = \frac1V \sum_v p_v .$$

    Attributes:
        views: (V, B, H, W, 3) uint8, view 0 clean.
        probs: (V, B, K) class probabilities.
        mixture: (B, K), m.
        jsd: (B,) divergences in nats.
        labels: (B,) classes.
        classes: Class names.
        title: Which network.
    """

    views: Bytes
    probs: Floats
    mixture: Floats
    jsd: Floats
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    title: str

    @classmethod
    def from_model(
        cls,
        model: StagedModel,
        views: Tensor,
        labels: Tensor,
        *,
        classes: Sequence[str],
        title: str = "network",
    ) -> ViewsDisplay:
        """Classify views, as `AugMix.make` or `AugMix.apply` returns them.

        Args:
            model: Images -> logits.
            views: (V, B, 3, H, W) in [0, 1].
            labels: (B,) classes.
            classes: Class names.
            title: Which network.
        """
        probs = _view_probabilities(model, views)
        return cls(
            as_pixels(views), probs.numpy(), probs.mean(0).numpy(),
            jensen_shannon_divergence(probs).numpy(), labels.numpy(), tuple(classes), title,
        )  # fmt: skip

    @property
    def limit(self) -> float:
        """The largest value that the divergence can take: log V."""
        return float(np.log(len(self.probs)))

    @property
    def summary(self) -> str:
        parts = []
        for b, label in enumerate(self.labels):
            said = [
                f"{self.classes[k]} {p[k]:.2f}"
                for p in self.probs[:, b]
                for k in (int(p.argmax()),)
            ]
            parts.append(f"{self.classes[label]}: {', '.join(said)}, JSD {self.jsd[b]:.3f}")
        return (
            f"{self.title}, clean view and {len(self.probs) - 1} augmented ones, what each is "
            f"taken for, and the divergence in nats (at most {self.limit:.2f}). "
            f"{'; '.join(parts)}."
        )

    def plot(self) -> Any:
        count, rows = len(self.probs), len(self.labels)
        figure = new_figure(9.2, 1.62 * rows + 1.1, layout=None)
        whole = figure.subplots(
            rows, count + 2, squeeze=False, width_ratios=(*[1] * count, 0.12, 3.6)
        )
        for spacer in whole[:, count]:
            spacer.remove()
        grid = np.delete(whole, count, axis=1)
        names = ["clean", *(f"view {v}" for v in range(1, count))]
        at = np.arange(len(self.classes))
        width = 0.8 / count
        for b, label in enumerate(self.labels):
            for v in range(count):
                _picture(grid[b, v], self.views[v, b], names[v] if b == 0 else "", size=9)
            grid[b, 0].set_ylabel(self.classes[label], fontsize=9)
            axes = grid[b, -1]
            for v in range(count):
                colour, hatch = _VIEW_LOOKS[v % len(_VIEW_LOOKS)]
                axes.bar(
                    at + (v - (count - 1) / 2) * width, self.probs[v, b], width, color=colour,
                    hatch=hatch, edgecolor="white", linewidth=0, label=names[v],
                )  # fmt: skip
            edges = np.stack([at - 0.4, at + 0.4], 1)
            for k, (left, right) in enumerate(edges):
                m = self.mixture[b, k]
                line = axes.plot((left, right), (m, m), color="black", linewidth=1.4)[0]
            line.set_label("mean m")
            axes.set(ylim=(0, 1.04), xlim=(-0.6, len(at) - 0.4))
            axes.set_yticks((0, 0.5, 1))
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.text(
                0.995, 0.97, f"JSD {self.jsd[b]:.3f}", transform=axes.transAxes, ha="right",
                va="top", fontsize=10, weight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )  # fmt: skip
            last = b == rows - 1
            axes.set_xticks(at, self.classes if last else [], rotation=40, ha="right")
        handles, words = grid[0, -1].get_legend_handles_labels()
        figure.legend(
            handles, words, loc="upper right", ncols=count + 1, frameon=False, fontsize=8,
            bbox_to_anchor=(0.995, 1.0),
        )  # fmt: skip
        low, high = 0.78 / figure.get_figheight(), 1 - 0.3 / figure.get_figheight()
        figure.subplots_adjust(0.03, low, 0.995, high, 0.12, 0.16)
        figure.text(0.02, 0.02, f"network: {scheme_label(self.title)}", fontsize=9, color="0.3")
        return figure


def _view_probabilities(model: StagedModel, views: Tensor) -> Tensor:
    with evaluating(model):
        logits = model(views.flatten(0, 1)).unflatten(0, views.shape[:2])
    return logits.double().softmax(-1)


@dataclass(frozen=True)
class SeverityDisplay(_Compact):
    """How the divergence of three views grows with AugMix's severity, for several networks.

    Attributes:
        names: Networks.
        severities: Highest levels of the operations.
        jsd: (networks, severities, images) divergences in nats.
        title: Which images.
    """

    names: tuple[str, ...]
    severities: tuple[float, ...]
    jsd: Floats
    title: str

    @classmethod
    def from_models(
        cls,
        models: Mapping[str, StagedModel],
        images: Tensor,
        *,
        severities: Sequence[float] = (1, 3, 5, 7, 10),
        rng: Rng,
        title: str = "images",
    ) -> SeverityDisplay:
        """Augment images at each severity and compare the views.

        All severities and networks share the draws: operations, signs and weights stay, levels
        grow in proportion.

        Args:
            models: Name -> network.
            images: (B, H, W, 3) uint8.
            severities: Each 0.1 to 10.
            rng: The stream of the plans.
            title: Which images.
        """
        if not models:
            raise ValueError("models is empty; pass at least one name -> model")
        x = as_floats(images)
        jsd = np.zeros((len(models), len(severities), len(x)))
        for s, severity in enumerate(severities):
            views = AugMix(severity=severity).make(x, None, None, rng)
            for n, model in enumerate(models.values()):
                jsd[n, s] = jensen_shannon_divergence(_view_probabilities(model, views)).numpy()
        return cls(tuple(models), tuple(map(float, severities)), jsd, title)

    def means(self) -> dict[str, list[float]]:
        """Return the mean divergence of each network at each severity."""
        return {n: j.mean(-1).tolist() for n, j in zip(self.names, self.jsd, strict=True)}

    @property
    def summary(self) -> str:
        parts = [
            f"{n}: {', '.join(f'{v:.2g}' for v in values)}" for n, values in self.means().items()
        ]
        return (
            f"Mean divergence of three views in nats ({self.title}) at operation severities "
            f"{', '.join(f'{s:g}' for s in self.severities)}. {'; '.join(parts)}."
        )

    def plot(self) -> Any:
        figure = new_figure(9, 3.1, layout=None)
        left, right = figure.subplots(1, 2)
        middle = len(self.severities) // 2
        for k, (name, jsd) in enumerate(zip(self.names, self.jsd, strict=True)):
            colour, marker, dash = _OURS if name == "noisymix" else _NET_LOOKS[k % len(_NET_LOOKS)]
            left.plot(
                self.severities, jsd.mean(-1), linestyle=dash, color=colour, marker=marker,
                label=scheme_label(name),
            )  # fmt: skip
            ranked = np.sort(jsd[middle])
            share = (np.arange(len(ranked)) + 0.5) / len(ranked)
            right.plot(ranked.clip(1e-6), 100 * share, linestyle=dash, color=colour)
        left.set_xlabel("operation severity")
        left.set_ylabel("mean JSD, nats")
        left.set_ylim(bottom=0)
        left.legend(frameon=False, fontsize=8)
        right.set_xscale("log")
        right.set_xlabel(f"JSD of one image at severity {self.severities[middle]:g}, nats")
        right.set_ylabel("% of the images below")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(True, color="0.93")
        figure.text(0.01, 0.015, self.title, fontsize=9, color="0.3")
        figure.subplots_adjust(0.085, 0.23, 0.985, 0.95, 0.22)
        return figure


def augmix_of(images: Tensor, plan: AugMixPlan) -> Tensor:
    """Return the (1 + A, B, 3, H, W) views that a plan makes of (B, H, W, 3) uint8 images.

    >>> plan = AugMixPlan.same(2, [("equalize",)], copies=2)
    >>> augmix_of(torch.zeros(2, 32, 32, 3, dtype=torch.uint8), plan).shape
    torch.Size([3, 2, 3, 32, 32])
    """
    return AugMix(width=plan.operation.shape[2]).apply(as_floats(images), plan)
