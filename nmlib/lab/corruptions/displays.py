"""Pictures of the corruptions: contact sheet, difference, frequencies, sequences."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.corruptions import CORRUPTIONS, FAMILIES, Benchmark, corrupt, perturbation_sequence
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import new_figure

__all__ = [
    "ContactSheetDisplay",
    "DifferenceDisplay",
    "FrequencyDisplay",
    "SequenceDisplay",
    "compare_strip",
    "encode_jpeg",
]

Bytes = NDArray[np.uint8]


def encode_jpeg(picture: Bytes, quality: int = 82) -> bytes:
    """Encode an (H, W, 3) picture for showing."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def enlarged(picture: Bytes, side: int) -> Bytes:
    """Repeat or skip pixels until the picture is about `side` wide, whole factors only."""
    factor = side / picture.shape[1]
    if factor >= 1:
        times = max(1, int(factor))
        return picture.repeat(times, 0).repeat(times, 1)
    step = int(np.ceil(1 / factor))
    h, w = (s // step * step for s in picture.shape[:2])
    blocks = picture[:h, :w].reshape(h // step, step, w // step, step, 3)
    return blocks.mean((1, 3)).round().astype(np.uint8)


def compare_strip(clean: Bytes, corrupted: Bytes, side: int = 224) -> Bytes:
    """Return clean image, corrupted image and their difference side by side.

    Grey stands for no difference; the largest of all differences is brought to black or white.
    """
    change = corrupted.astype(np.float64) - clean
    top = max(float(np.abs(change).max()), 1.0)
    difference = np.clip(127.5 + change * (127.5 / top), 0, 255).astype(np.uint8)
    parts = [enlarged(p, side) for p in (clean, corrupted, difference)]
    gap = np.full((parts[0].shape[0], 6, 3), 255, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], 1)


class _Photographic(Shown):
    """Shown as JPEG: photographs do not fit a palette."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        figure = self.plot()
        figure.canvas.draw()
        picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        data = {
            "text/plain": self.summary,
            "image/jpeg": encode_jpeg(np.ascontiguousarray(picture)),
        }
        return data, {"image/jpeg": {"alt": self.summary}}


def _words(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class ContactSheetDisplay(_Photographic):
    """One image under every corruption at every severity.

    Attributes:
        clean: (H, W, 3) uint8.
        tiles: (names, 5, H, W, 3) uint8.
        names: Corruptions, one a column.
        title: What the image is.

    >>> sheet = ContactSheetDisplay.from_image(torch.zeros(32, 32, 3, dtype=torch.uint8))
    >>> sheet.tiles.shape
    (15, 5, 32, 32, 3)
    """

    clean: Bytes
    tiles: NDArray[np.uint8]
    names: tuple[str, ...]
    title: str

    @classmethod
    def from_image(
        cls,
        image: Tensor,
        *,
        names: Sequence[str] = CORRUPTIONS,
        benchmark: Benchmark = "cifar",
        seed: int = 0,
        title: str = "image",
    ) -> ContactSheetDisplay:
        """Corrupt an (H, W, 3) uint8 image in every way."""
        tiles = [
            [corrupt(image[None], n, s, benchmark=benchmark, seed=seed)[0] for s in range(1, 6)]
            for n in names
        ]
        return cls(
            image.numpy(), torch.stack([torch.stack(t) for t in tiles]).numpy(), tuple(names), title
        )

    def change(self) -> dict[str, list[float]]:
        """Return the mean absolute change in grey levels, by corruption and severity."""
        distance = np.abs(self.tiles.astype(int) - self.clean).mean((2, 3, 4))
        return {n: d.tolist() for n, d in zip(self.names, distance, strict=True)}

    @property
    def summary(self) -> str:
        return (
            f"Contact sheet of {self.title}: {len(self.names)} corruptions from left to right "
            f"({', '.join(map(_words, self.names))}), severity 1 to 5 from top to bottom."
        )

    def plot(self) -> Any:
        # One picture of all tiles; whole factors keep small images sharp.
        side, gap = 64, 2
        tiles = [[enlarged(t, side) for t in column] for column in self.tiles]
        side = tiles[0][0].shape[1]
        rows, columns = tiles[0][0].shape[0] + gap, side + gap
        sheet = np.full((5 * rows, len(tiles) * columns, 3), 255, np.uint8)
        for j, column in enumerate(tiles):
            for s, tile in enumerate(column):
                sheet[s * rows : (s + 1) * rows - gap, j * columns : (j + 1) * columns - gap] = tile
        height, width = sheet.shape[:2]
        left, right, top = 24, 70, 76
        figure = new_figure((width + left + right) / 80, (height + top) / 80, dpi=80, layout=None)
        whole = (width + left + right, height + top)
        axes = figure.add_axes((left / whole[0], 0, width / whole[0], height / whole[1]))
        axes.imshow(sheet, interpolation="nearest", aspect="auto")
        axes.axis("off")
        for j, name in enumerate(self.names):
            axes.text(
                (j + 0.3) * columns, -6, _words(name), rotation=35, fontsize=9, va="bottom",
                rotation_mode="anchor",
            )  # fmt: skip
        for s in range(5):
            axes.text(-6, (s + 0.5) * rows, str(s + 1), ha="right", va="center")
        return figure


@dataclass(frozen=True)
class DifferenceDisplay(_Photographic):
    """An image, its corrupted version, and what was changed.

    Attributes:
        clean: (H, W, 3) uint8.
        corrupted: (H, W, 3) uint8.
        name: Corruption.
        severity: 1 to 5.
        title: What the image is.
    """

    clean: Bytes
    corrupted: Bytes
    name: str
    severity: int
    title: str

    @classmethod
    def from_image(
        cls,
        image: Tensor,
        name: str,
        severity: int,
        *,
        benchmark: Benchmark = "cifar",
        seed: int = 0,
        title: str = "image",
    ) -> DifferenceDisplay:
        """Corrupt an (H, W, 3) uint8 image."""
        corrupted = corrupt(image[None], name, severity, benchmark=benchmark, seed=seed)[0]
        return cls(image.numpy(), corrupted.numpy(), name, severity, title)

    @property
    def mean_change(self) -> float:
        """Mean absolute change, in grey levels of 255."""
        return float(np.abs(self.corrupted.astype(int) - self.clean).mean())

    @property
    def summary(self) -> str:
        return (
            f"{self.title}, {_words(self.name)} at severity {self.severity}: clean, corrupted, "
            f"and difference (grey: none). Mean change {self.mean_change:.3g} of 255 grey levels."
        )

    def plot(self) -> Any:
        strip = compare_strip(self.clean, self.corrupted)
        figure = new_figure(9, 9 * strip.shape[0] / strip.shape[1] + 0.3, dpi=80, layout=None)
        axes = figure.add_axes(
            (0, 0, 1, strip.shape[0] / strip.shape[1] * 9 / figure.get_figheight())
        )
        axes.imshow(strip, interpolation="nearest")
        axes.axis("off")
        words = ("clean", f"{_words(self.name)}, severity {self.severity}", "difference")
        for k, word in enumerate(words):
            figure.text((k + 0.5) / 3, 0.995, word, ha="center", va="top")
        return figure


@dataclass(frozen=True)
class FrequencyDisplay(Shown):
    r"""Which spatial frequencies each corruption changes.

    The mean power $E|F(c(x) - x)|^2$ of the change, summed over rings of equal frequency and
    divided by its total.

    Attributes:
        names: Corruptions.
        edges: (bins + 1,) ring borders in cycles a pixel.
        share: (names, bins) share of the change's power in each ring; rows sum to 1.
        power: (names,) total power: mean squared change in grey levels.
        clean: (bins,) share of the clean images' own power (mean taken off).
        title: What the images are, and the severity.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]
    share: NDArray[np.float64]
    power: NDArray[np.float64]
    clean: NDArray[np.float64]
    title: str

    @classmethod
    def from_images(
        cls,
        images: Tensor,
        severity: int = 3,
        *,
        names: Sequence[str] = CORRUPTIONS,
        benchmark: Benchmark = "cifar",
        seed: int = 0,
        bins: int = 12,
        title: str = "images",
    ) -> FrequencyDisplay:
        """Measure the spectra on (N, H, W, 3) uint8 images."""
        _, h, w, _ = images.shape
        frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
        edges = np.linspace(0, 0.5, bins + 1)
        # Corners of the square, above 0.5, join the last ring.
        ring = np.minimum((frequency * 2 * bins).astype(int), bins - 1).ravel()

        def rings(change: NDArray[np.float64]) -> NDArray[np.float64]:
            spectrum = np.abs(np.fft.fft2(change, axes=(1, 2))) ** 2
            power = spectrum.mean((0, 3)).ravel()
            return np.bincount(ring, power, minlength=bins).astype(np.float64)

        base = images.numpy().astype(np.float64)
        own = rings(base - base.mean((1, 2), keepdims=True))
        power, share = [], []
        for name in names:
            corrupted = corrupt(images, name, severity, benchmark=benchmark, seed=seed)
            change = corrupted.numpy().astype(np.float64) - base
            spectrum = rings(change)
            share.append(spectrum / spectrum.sum())
            power.append(float((change**2).mean()))
        return cls(
            tuple(names), edges, np.array(share), np.array(power), own / max(own.sum(), 1e-12),
            f"{title}, severity {severity}",
        )  # fmt: skip

    def high_share(self, above: float = 0.25) -> dict[str, float]:
        """Return the share of the change's power above a frequency (cycles a pixel)."""
        rings = self.edges[:-1] >= above
        return dict(zip(self.names, self.share[:, rings].sum(1).tolist(), strict=True))

    @property
    def summary(self) -> str:
        order = sorted(self.high_share().items(), key=lambda item: -item[1])
        high = ", ".join(f"{_words(n)} {100 * v:.0f} %" for n, v in order[:3])
        low = ", ".join(f"{_words(n)} {100 * v:.0f} %" for n, v in order[-3:])
        return (
            f"Share of the change above half the Nyquist frequency ({self.title}). "
            f"Highest: {high}. Lowest: {low}."
        )

    def plot(self) -> Any:
        figure = new_figure(9, 0.27 * len(self.names) + 1.2, dpi=80, layout=None)
        heat, bars = figure.subplots(
            1, 2, width_ratios=(3, 1), sharey=True,
            gridspec_kw={"left": 0.17, "right": 0.98, "top": 0.90, "bottom": 0.13, "wspace": 0.12},
        )  # fmt: skip
        rows = len(self.names)
        extent = (0, 0.5, rows - 0.5, -0.5)
        image = heat.imshow(
            self.share, aspect="auto", cmap="cividis", extent=extent, vmin=0, vmax=0.6
        )
        heat.set_yticks(range(rows), [_words(n) for n in self.names], fontsize=9)
        heat.set_xlabel("spatial frequency, cycles a pixel")
        heat.set_title("where the change's power lies", fontsize=10)
        figure.colorbar(image, ax=heat, pad=0.02, label="share of the power", extend="max")
        family = {n: f for f, names in FAMILIES.items() for n in names}
        colours = dict(
            zip(FAMILIES, ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#999999"), strict=True)
        )
        hatches = dict(zip(FAMILIES, ("", "//", "..", "xx", "--"), strict=True))
        for k, name in enumerate(self.names):
            bars.barh(
                k, 100 * self.high_share()[name], color=colours[family[name]],
                hatch=hatches[family[name]], edgecolor="white", linewidth=0,
            )  # fmt: skip
        bars.set_xlabel("% above 0.25")
        bars.set_title("high frequencies", fontsize=10)
        return figure


@dataclass(frozen=True)
class SequenceDisplay(_Photographic):
    """Frames of a perturbation sequence, as a strip.

    Attributes:
        frames: (F, H, W, 3) uint8.
        name: Perturbation.
        title: What the image is.
    """

    frames: NDArray[np.uint8]
    name: str
    title: str

    @classmethod
    def from_image(
        cls,
        image: Tensor,
        name: str,
        *,
        benchmark: Benchmark = "cifar",
        seed: int = 0,
        title: str = "image",
    ) -> SequenceDisplay:
        """Make the frames of an (H, W, 3) uint8 image."""
        frames = perturbation_sequence(image[None], name, benchmark=benchmark, seed=seed)[0]
        return cls(frames.numpy(), name, title)

    @property
    def summary(self) -> str:
        change = np.abs(np.diff(self.frames.astype(int), axis=0)).mean()
        return (
            f"{self.title}, {_words(self.name)}: {len(self.frames)} frames; from one to the next "
            f"a pixel changes by {change:.3g} of 255 grey levels on average."
        )

    def plot(self) -> Any:
        shown = np.linspace(0, len(self.frames) - 1, 7).round().astype(int)
        figure = new_figure(9, 1.6, dpi=80, layout=None)
        grid = figure.subplots(
            1, 7, gridspec_kw={"wspace": 0.04, "left": 0, "right": 1, "top": 0.86, "bottom": 0}
        )
        for axes, k in zip(grid, shown, strict=True):
            axes.imshow(enlarged(self.frames[k], 112), interpolation="nearest")
            axes.set_title(f"frame {k}", fontsize=9)
            axes.axis("off")
        return figure
