"""Pictures of the corruptions: contact sheet, difference, frequencies, sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.corruptions import CORRUPTIONS, FAMILIES, Benchmark, corrupt, perturbation_sequence
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import looks_of, new_figure, plotly_heading
from nmlib.lab.display.words import spaced

__all__ = [
    "ContactSheetDisplay",
    "DifferenceDisplay",
    "FrequencyDisplay",
    "SequenceDisplay",
    "compare_strip",
    "enlarged",
]

Bytes = NDArray[np.uint8]


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


def difference(clean: Bytes, corrupted: Bytes) -> Bytes:
    """Return the change as a picture.

    Grey stands for no difference; the largest of all differences is brought to black or white.
    """
    change = corrupted.astype(np.float64) - clean
    top = max(float(np.abs(change).max()), 1.0)
    return np.clip(127.5 + change * (127.5 / top), 0, 255).astype(np.uint8)


def compare_strip(clean: Bytes, corrupted: Bytes, side: int = 224) -> Bytes:
    """Return clean image, corrupted image and their difference side by side."""
    parts = [enlarged(p, side) for p in (clean, corrupted, difference(clean, corrupted))]
    gap = np.full((parts[0].shape[0], 6, 3), 255, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], 1)


class _Photographic(Display):
    """Photographs, which are stored as JPEG and have no axes."""

    image = "photographs"
    grid = "none"


def _show(ax: Any, pixels: Bytes, side: int, title: str) -> None:
    ax.imshow(enlarged(pixels, side), interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.axis("off")


@dataclass(frozen=True, eq=False)
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
        benchmark: Benchmark = "cifar",
        seed: int = 0,
        title: str = "image",
    ) -> ContactSheetDisplay:
        """Corrupt an (H, W, 3) uint8 image in every way."""
        tiles = [
            [corrupt(image[None], n, s, benchmark=benchmark, seed=seed)[0] for s in range(1, 6)]
            for n in CORRUPTIONS
        ]
        whole = torch.stack([torch.stack(t) for t in tiles]).numpy()
        return cls(image.numpy(), whole, CORRUPTIONS, title)

    def change(self) -> dict[str, list[float]]:
        """Return the mean absolute change in grey levels, by corruption and severity."""
        distance = np.abs(self.tiles.astype(int) - self.clean).mean((2, 3, 4))
        return {n: d.tolist() for n, d in zip(self.names, distance, strict=True)}

    @property
    def summary(self) -> str:
        return (
            f"Contact sheet of {self.title}: {len(self.names)} corruptions from left to right "
            f"({', '.join(map(spaced, self.names))}), severity 1 to 5 from top to bottom."
        )

    def _sheet(self) -> Bytes:
        """Return one picture of all tiles; whole factors keep small images sharp."""
        gap = ((0, 2), (0, 2), (0, 0))
        return np.concatenate(
            [
                np.concatenate([np.pad(enlarged(t, 64), gap, constant_values=255) for t in column])
                for column in self.tiles
            ],
            axis=1,
        )

    def _axes(self) -> Any:
        height, width = self._sheet().shape[:2]
        whole = (24 + width + 70, 76 + height + 20 * bool(self.corner))
        figure = new_figure(whole[0] / 80, whole[1] / 80, dpi=80, layout=None)
        # Names of the corruptions above, severities to the left, the small print below.
        low = (whole[1] - 76 - height) / whole[1]
        return figure.add_axes((24 / whole[0], low, width / whole[0], height / whole[1]))

    def _draw(self, ax: Any) -> None:
        sheet = self._sheet()
        ax.imshow(sheet, interpolation="nearest", aspect="auto")
        ax.axis("off")
        high, wide = sheet.shape[0] / 5, sheet.shape[1] / len(self.names)
        for j, name in enumerate(self.names):
            ax.text(
                (j + 0.3) * wide, -6, spaced(name), rotation=35, fontsize=9, va="bottom",
                rotation_mode="anchor",
            )  # fmt: skip
        for s in range(5):
            ax.text(-6, (s + 0.5) * high, str(s + 1), ha="right", va="center")


@dataclass(frozen=True, eq=False)
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
            f"{self.title}, {spaced(self.name)} at severity {self.severity}: clean, corrupted, "
            f"and difference (grey: none). Mean change {self.mean_change:.3g} of 255 grey levels."
        )

    def _axes(self) -> Any:
        height, width = self.clean.shape[:2]
        return new_figure(9, 3 * height / width + 0.3, dpi=80).subplots(1, 3)

    def _draw(self, ax: Any) -> None:
        pictures = {
            "clean": self.clean,
            f"{spaced(self.name)}, severity {self.severity}": self.corrupted,
            "difference": difference(self.clean, self.corrupted),
        }
        for one, (title, pixels) in zip(ax, pictures.items(), strict=True):
            _show(one, pixels, 224, title)


@dataclass(frozen=True, eq=False)
class FrequencyDisplay(Display):
    r"""Which spatial frequencies each corruption changes.

    The mean power $E|F(c(x) - x)|^2$ of the change, summed over rings of equal frequency and
    divided by its total.

    Attributes:
        names: Corruptions.
        edges: (bins + 1,) ring borders in cycles a pixel.
        share: (names, bins) share of the change's power in each ring; rows sum to 1.
        clean: (bins,) share of the clean images' own power (mean taken off).
        title: What the images are, and the severity.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]
    share: NDArray[np.float64]
    clean: NDArray[np.float64]
    title: str

    grid = "x"

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
        share = []
        for name in names:
            corrupted = corrupt(images, name, severity, benchmark=benchmark, seed=seed)
            spectrum = rings(corrupted.numpy().astype(np.float64) - base)
            share.append(spectrum / spectrum.sum())
        return cls(
            tuple(names), edges, np.array(share), own / max(own.sum(), 1e-12),
            f"{title}, severity {severity}",
        )  # fmt: skip

    def high_share(self) -> dict[str, float]:
        """Return the share of the change's power above 0.25 cycles a pixel."""
        rings = self.edges[:-1] >= 0.25
        return dict(zip(self.names, self.share[:, rings].sum(1).tolist(), strict=True))

    @property
    def summary(self) -> str:
        order = sorted(self.high_share().items(), key=lambda item: -item[1])
        high = ", ".join(f"{spaced(n)} {100 * v:.0f} %" for n, v in order[:3])
        low = ", ".join(f"{spaced(n)} {100 * v:.0f} %" for n, v in order[-3:])
        return (
            f"Share of the change above half the Nyquist frequency ({self.title}). "
            f"Highest: {high}. Lowest: {low}."
        )

    def _axes(self) -> Any:
        figure = new_figure(9, 0.27 * len(self.names) + 1.2, dpi=80)
        return figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)

    def _draw(self, ax: Any) -> None:
        heat, bars = ax
        rows = len(self.names)
        image = heat.imshow(
            self.share, aspect="auto", cmap="cividis", extent=(0, 0.5, rows - 0.5, -0.5),
            vmin=0, vmax=0.6,
        )  # fmt: skip
        heat.grid(False)
        heat.set_yticks(range(rows), map(spaced, self.names), fontsize=9)
        heat.set_xlabel("spatial frequency, cycles a pixel")
        heat.set_title("where the change's power lies", fontsize=10)
        heat.figure.colorbar(image, ax=heat, pad=0.02, label="share of the power", extend="max")
        family = {n: f for f, names in FAMILIES.items() for n in names}
        looks = looks_of([*FAMILIES])
        shown = [looks[family[n]] for n in self.names]
        bars.barh(
            range(rows), [100 * v for v in self.high_share().values()], lw=0, edgecolor="white",
            color=[look.bar for look in shown], hatch=[look.hatch for look in shown],
        )  # fmt: skip
        bars.set_xlabel("% above 0.25")
        bars.set_title("high frequencies", fontsize=10)

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        middle = (self.edges[1:] + self.edges[:-1]) / 2
        figure = go.Figure(
            go.Heatmap(
                x=middle, y=[*map(spaced, self.names)], z=100 * self.share, zmin=0, zmax=60,
                colorscale="Cividis", colorbar={"title": "% of the power"},
                hovertemplate="%{y}, %{x:.2f} cycles a pixel: %{z:.1f} %<extra></extra>",
            )
        )  # fmt: skip
        figure.update_xaxes(title="spatial frequency, cycles a pixel")
        figure.update_yaxes(autorange="reversed")
        return plotly_heading(figure, "where the change's power lies")


@dataclass(frozen=True, eq=False)
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
            f"{self.title}, {spaced(self.name)}: {len(self.frames)} frames; from one to the next "
            f"a pixel changes by {change:.3g} of 255 grey levels on average."
        )

    def _axes(self) -> Any:
        return new_figure(9, 1.6, dpi=80).subplots(1, 7)

    def _draw(self, ax: Any) -> None:
        shown = np.linspace(0, len(self.frames) - 1, len(ax)).round().astype(int)
        for one, k in zip(ax, shown, strict=True):
            _show(one, self.frames[k], 112, f"frame {k}")
