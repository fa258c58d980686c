"""A network's first five classes of a corrupted picture, and what JPEG does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.corruptions import CORRUPTIONS, corrupt
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OKABE_ITO, OURS, PAPER, ROBUSTBENCH, new_figure
from nmlib.lab.display.words import spaced
from nmlib.lab.imagenet.pictures import recompressed
from nmlib.lab.imagenet.squeezenet import class_names, probabilities
from nmlib.lab.measurements import read_measured
from nmlib.paper import robustbench

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MEASURED", "JpegDisplay", "ProfileDisplay", "TopFiveDisplay", "five", "prepared"]

MEASURED = "imagenet_lite0.json"
"""EfficientNet-Lite0 on photographs, as measured by `benchmarks/imagenet.py`."""


def prepared(image: Tensor, name: str, severity: int, *, jpeg: bool, seed: int = 0) -> Tensor:
    """Return a picture corrupted as ImageNet-C's are, and stored as JPEG 85 if wanted.

    Args:
        image: (H, W, 3) uint8.
        name: One of the corruptions, or "none".
        severity: 1 to 5.
        jpeg: Whether to store the result as JPEG, as in the published files.
        seed: Of the random corruptions.
    """
    if name == "none":
        return recompressed(image) if jpeg else image
    quality = 85 if jpeg else None
    return corrupt(image[None], name, severity, benchmark="imagenet", seed=seed, jpeg=quality)[0]


def five(probability: Tensor) -> list[tuple[str, float]]:
    """Return the five likeliest classes, each with its probability.

    Args:
        probability: (1000,).
    """
    top = probability.topk(5)
    names = class_names()
    return [(names[k], p) for p, k in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class TopFiveDisplay(Display):
    """A corrupted picture, SqueezeNet's first five classes, and what it said of the clean picture.

    Attributes:
        pixels: (H, W, 3) uint8, what the network sees.
        now: (1000,) probabilities of it.
        clean: (1000,) probabilities of the clean picture, with the same mask.
        title: What is shown, in words.
    """

    pixels: NDArray[np.uint8]
    now: Tensor
    clean: Tensor
    title: str

    image = "photographs"
    grid = "none"

    @classmethod
    def from_image(
        cls,
        image: Tensor,
        name: str = "none",
        severity: int = 3,
        *,
        jpeg: bool = False,
        masked: bool = False,
        title: str = "picture",
    ) -> TopFiveDisplay:
        """Corrupt a picture and ask the network.

        Args:
            image: (H, W, 3) uint8.
            name: One of the corruptions, or "none".
            severity: 1 to 5.
            jpeg: Whether the result goes through JPEG 85.
            masked: Whether only ImageNet-R's 200 classes may be named.
            title: What the picture is.
        """
        seen = prepared(image, name, severity, jpeg=jpeg)
        now, clean = probabilities(torch.stack([seen, image]), masked=masked)
        words = title if name == "none" else f"{title}, {spaced(name)} at severity {severity}"
        words += ", JPEG 85" * jpeg + ", ImageNet-R's classes only" * masked
        return cls(seen.numpy(), now, clean, words)

    @property
    def top(self) -> list[tuple[str, float, float]]:
        """The first five: class, probability, and its probability on the clean picture."""
        then = dict(zip(class_names(), self.clean.tolist(), strict=True))
        return [(name, p, then[name]) for name, p in five(self.now)]

    @property
    def summary(self) -> str:
        """What is shown; whole percents, which are the same on every machine."""
        named = ", ".join(f"{name} {100 * p:.0f} %" for name, p, _ in self.top)
        first = five(self.clean)[0]
        return f"{self.title}: {named}. Clean: {first[0]} {100 * first[1]:.0f} %."

    def _axes(self) -> Any:
        return new_figure(8.4, 3.2, dpi=80).subplots(1, 2, width_ratios=(1, 1.5))

    def _draw(self, ax: Any) -> None:
        picture, bars = ax
        picture.imshow(self.pixels, interpolation="nearest")
        picture.axis("off")
        names, now, clean = zip(*self.top, strict=True)
        bars.barh(range(5), [100 * p for p in now], color=OKABE_ITO["sky blue"])
        bars.plot([100 * p for p in clean], range(5), ls="none", marker="|", ms=16, mew=2,
                  color=PAPER, label="clean picture")  # fmt: skip
        bars.set_yticks(range(5), names)
        bars.invert_yaxis()
        bars.set_xlim(0, 100)
        bars.set_xlabel("probability (%)")
        bars.spines[["top", "right"]].set_visible(False)
        bars.legend(fontsize=8, loc="lower right", frameon=False)
        bars.set_title(self.title, fontsize=9, loc="left")


@dataclass(frozen=True, eq=False)
class JpegDisplay(Display):
    r"""How much JPEG 85 changes SqueezeNet's answers about corrupted pictures.

    Attributes:
        names: Corruptions; "none" first.
        moved: (names,) mean total variation $\tfrac12 \sum_k |p_k - q_k|$ between the probabilities
            before and after.
        renamed: (names,) share of the pictures whose first class changes.
        count: Number of pictures.
        severity: 1 to 5.
    """

    names: tuple[str, ...]
    moved: NDArray[np.float64]
    renamed: NDArray[np.float64]
    count: int
    severity: int

    image = "lines"
    grid = "x"

    @classmethod
    def from_pictures(cls, pictures: Mapping[str, Tensor], severity: int = 3) -> JpegDisplay:
        """Ask the network about every picture under every corruption, with and without JPEG.

        Args:
            pictures: (H, W, 3) uint8 of one size, by title.
            severity: 1 to 5.
        """
        names, moved, renamed = ("none", *CORRUPTIONS), [], []
        for name in names:
            plain = [prepared(p, name, severity, jpeg=False) for p in pictures.values()]
            stored = probabilities(torch.stack([recompressed(p) for p in plain]))
            before = probabilities(torch.stack(plain))
            moved.append(float((before - stored).abs().sum(1).mean() / 2))
            renamed.append(float((before.argmax(1) != stored.argmax(1)).double().mean()))
        return cls(names, np.array(moved), np.array(renamed), len(pictures), severity)

    @property
    def summary(self) -> str:
        order = self.moved.argsort()[::-1]
        most = ", ".join(f"{spaced(self.names[k])} {100 * self.moved[k]:.0f} %" for k in order[:3])
        least = spaced(self.names[order[-1]])
        return (
            f"JPEG 85 after the corruption moves this share of SqueezeNet's probability, mean of "
            f"{self.count} pictures at severity {self.severity}. Most: {most}. Least: {least}, "
            f"{100 * self.moved[order[-1]]:.0f} %."
        )

    @property
    def small_print(self) -> str:
        return f"SqueezeNet 1.0, {self.count} pictures, severity {self.severity}, seed 0"

    def _axes(self) -> Any:
        return new_figure(7.6, 4.4).add_subplot()

    def _draw(self, ax: Any) -> None:
        places = range(len(self.names))
        ax.barh(places, 100 * self.moved, color=OKABE_ITO["sky blue"], label="probability moved")
        ax.plot(100 * self.renamed, places, "o", color=OURS, label="pictures renamed")
        ax.set_yticks(places, [spaced(n).replace("none", "clean") for n in self.names], fontsize=9)
        ax.invert_yaxis()
        ax.set_xlabel("% (of probability, of pictures)")
        ax.legend(fontsize=8, loc="lower right")


@dataclass(frozen=True, eq=False)
class ProfileDisplay(Display):
    """How much of its clean accuracy each network keeps under each corruption.

    Photographs and networks differ, so accuracies cannot be compared; the shares that are kept
    show which corruptions are hard for whom.

    Attributes:
        kept: (corruption, network) percent of the clean accuracy, mean over the severities; ours
            without and with JPEG 85, then RobustBench's.
        accuracy: (network,) the mean accuracy under corruption, in percent.

    Source: RobustBench (arXiv 2010.09670) for ResNet-50 and AlexNet.
    """

    kept: pd.DataFrame
    accuracy: pd.Series

    image = "lines"
    grid = "x"

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None = None) -> ProfileDisplay:
        """Draw what `benchmarks/imagenet.py` measured.

        Args:
            record: Its JSON; by default the measured file that comes with nmlib.
        """
        import pandas as pd

        given = read_measured(MEASURED) if record is None else record
        columns: dict[str, pd.Series] = {}
        accuracy = {}
        for source, clean, label in (
            ("generated", "clean", "EfficientNet-Lite0"),
            ("generated, JPEG 85", "clean, JPEG 85", "EfficientNet-Lite0, JPEG 85"),
        ):
            means = pd.Series(
                {name: np.mean([*v.values()]) for name, v in given[source]["accuracy"].items()}
            )
            columns[label] = 100 * means / given[clean]["accuracy"]
            accuracy[label] = 100 * means.mean()
        rows = robustbench("ImageNet-C")
        for model, label in (("Standard_R50", "ResNet-50"), ("AlexNet", "AlexNet")):
            own = rows[rows["model"] == model]
            corrupted = own[own["severity"] > 0].groupby("corruption")["value"].mean()
            clean_value = own.loc[own["corruption"] == "none", "value"].iloc[0]
            columns[f"{label} (RobustBench)"] = 100 * corrupted / clean_value
            accuracy[f"{label} (RobustBench)"] = corrupted.mean()
        kept = pd.DataFrame(columns).reindex(list(CORRUPTIONS))
        made = Conditions(
            given["data"], "EfficientNet-Lite0", details=(f"{given['images']:,} photographs",),
            commits=(given["provenance"]["commit"],),
        )  # fmt: skip
        return cls(kept, pd.Series(accuracy), conditions=made)

    @property
    def agreement(self) -> pd.DataFrame:
        """(network, network) correlations of the profiles over the corruptions."""
        return self.kept.corr()

    @property
    def summary(self) -> str:
        means = ", ".join(f"{name} {v:.0f} %" for name, v in self.kept.mean().items())
        hardest = "; ".join(f"{n}: {spaced(str(c.idxmin()))}" for n, c in self.kept.items())
        return f"Share of the clean accuracy kept: {means}. Hardest: {hardest}."

    @property
    def small_print(self) -> str:
        return f"ours: {self.conditions.full}\nRobustBench: 5,000 images of ImageNet-C"

    def _axes(self) -> Any:
        return new_figure(8.2, 5.2).add_subplot()

    def _draw(self, ax: Any) -> None:
        looks = (
            {"marker": "o", "ms": 7, "color": OURS},
            {"marker": "o", "ms": 7, "mec": OURS, "mfc": "none", "mew": 1.6},
            {"marker": "s", "ms": 7, "mec": ROBUSTBENCH, "mfc": "none", "mew": 1.5},
            {"marker": "^", "ms": 7, "mec": ROBUSTBENCH, "mfc": "none", "mew": 1.5},
        )
        order = self.kept.iloc[:, 0].sort_values().index
        for (name, values), look in zip(self.kept.items(), looks, strict=True):
            ax.plot(values[order], range(len(order)), ls="none", label=name, **look)
        ax.set_yticks(range(len(order)), [spaced(name) for name in order])
        ax.set_xlim(0, 100)
        ax.set_xlabel("kept of the clean accuracy (%)")
        ax.figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
