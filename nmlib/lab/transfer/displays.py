"""Table 5 beside what we measured, a small transfer, and the boxes that training sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OURS, bare, diamond, looks_of, new_figure
from nmlib.lab.display.words import spaced
from nmlib.lab.measurements import measured_files, read_measured
from nmlib.paper.numbers import load_pandas, read_table

if TYPE_CHECKING:
    import pandas as pd

    from nmlib.data import ImageData
    from nmlib.transfer_learning import Transferred

__all__ = [
    "TRANSFERS", "BoxesDisplay", "TransferBarsDisplay", "TransferDisplay", "measured_transfers",
]  # fmt: skip

_TARGETS = ("CIFAR-10", "CIFAR-100")
# As in Table 5 -> heading. The mean over all has no column: it follows from the other two.
_SETS = {"none": "clean", "mean without noise": "corrupted, no noise", "mean of noise": "noise"}
_LABELS = {"efficientnet_lite0": "EfficientNet-Lite0", "squeezenet1_0": "SqueezeNet 1.0"}


TRANSFERS = tuple(name for name in measured_files() if name.startswith("transfer_"))
"""The files that `benchmarks/transfer.py` wrote."""


def measured_transfers() -> list[dict[str, Any]]:
    """Return what `TRANSFERS` hold."""
    return [read_measured(name) for name in TRANSFERS]


def _measured_on(records: Sequence[Mapping[str, Any]]) -> Conditions:
    def each(name: str) -> list[Any]:
        return list(dict.fromkeys(record[name] for record in records))

    tests = each("test_images")
    return Conditions(
        " or ".join(each("dataset")),
        budget=" or ".join(each("budget")),
        train_images=max(each("train_images")),
        test_images=tests[0] if len(tests) == 1 else None,
        details=("features frozen",) * (each("freeze") == ["features"]),
        seeds=tuple(each("seed")),
        commits=tuple(dict.fromkeys(record["provenance"]["commit"] for record in records)),
    )


@dataclass(frozen=True, eq=False)
class TransferDisplay(Display):
    """Accuracy of ImageNet networks after transfer: the paper's Table 5 and ours.

    Attributes:
        paper: (method, (target, set)) percent.
        ours: (network, set) percent, on data of CIFAR-10's kind.
        conditions: What ours were measured on.

    Source: paper Table 5.
    """

    paper: pd.DataFrame
    ours: pd.DataFrame

    image = "lines"
    grid = "x"

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]] | None = None) -> TransferDisplay:
        """Collect the paper's numbers and ours.

        Args:
            records: As `Transferred.record` gives them; default those that come with nmlib.
        """
        records = measured_transfers() if records is None else list(records)
        t = read_table(5)
        t = t[t["corruption"].isin(list(_SETS))]
        t = t.assign(target=t["dataset"].str.removesuffix("-C"))
        wide = t.pivot(index="method", columns=["target", "corruption"], values="value")
        own = {
            _LABELS.get(r["model"], r["model"]): {
                name: 100 * r["table5"]["clean" if name == "none" else name] for name in _SETS
            }
            for r in records
        }
        frame = load_pandas().DataFrame.from_dict(own, orient="index").reindex(columns=list(_SETS))
        made = _measured_on(records) if records else Conditions()
        return cls(wide.loc[t["method"].unique()], frame.astype(float), conditions=made)

    @property
    def summary(self) -> str:
        parts = []
        for target in _TARGETS:
            columns = {heading: self.paper[target, name] for name, heading in _SETS.items()}
            numbers = (
                f"{heading} {v.min():.1f} to {v.max():.1f} (highest: {v.idxmax()})"
                for heading, v in columns.items()
            )
            parts.append(f"{target}: {', '.join(numbers)}")
        text = f"Table 5, accuracy in percent of {len(self.paper)} networks. {'. '.join(parts)}."
        for network, row in self.ours.iterrows():
            numbers = (f"{heading} {row[name]:.1f}" for name, heading in _SETS.items())
            text += f" Ours, {network}: {', '.join(numbers)}."
        return text

    @property
    def small_print(self) -> str:
        own = f"; ours: {self.conditions}" if self.conditions else ""
        return f"paper: Table 5, ResNet-50, 150 epochs{own}"

    def _axes(self) -> Any:
        rows = len(self.paper)
        figure = new_figure(8.6, 1.6 + 0.27 * (2 * rows + len(self.ours)))
        return figure.subplots(
            2, 3, sharex="col", sharey="row", height_ratios=(rows + len(self.ours), rows)
        )

    def _draw(self, ax: Any) -> None:
        for row, target in zip(ax, _TARGETS, strict=True):
            names = list(self.paper.index)
            own = self.ours if target == "CIFAR-10" else self.ours.iloc[:0]
            for one, (name, heading) in zip(row, _SETS.items(), strict=True):
                one.plot(self.paper[target, name], range(len(names)), **diamond(label="paper"))
                places = range(len(names), len(names) + len(own))
                one.plot(own[name], places, "o", ms=7, color=OURS, label="ours")
                one.set_ylim(len(names) + len(own) - 0.5, -0.5)
                if target == _TARGETS[0]:
                    one.set_title(heading, fontsize=10)
                else:
                    one.set_xlabel("accuracy (%)")
                one.margins(x=0.12)
            row[0].set_yticks(range(len(names) + len(own)), [*names, *own.index], fontsize=9)
            row[0].set_ylabel(f"{target} and its kind" if len(own) else target)
        if len(self.ours):
            ax[0, 0].legend(fontsize=8, loc="upper left")


@dataclass(frozen=True, eq=False)
class TransferBarsDisplay(Display):
    """Accuracy of heads on frozen features, on clean images and under corruptions.

    Attributes:
        values: (features, set) percent.
        errors: The same: standard errors of the choice of test images, in points.
        conditions: Data and settings.
    """

    values: pd.DataFrame
    errors: pd.DataFrame

    image = "lines"
    grid = "y"

    @classmethod
    def from_results(cls, results: Mapping[str, Transferred]) -> TransferBarsDisplay:
        """Collect results on the same images.

        Args:
            results: By the name of the features.
        """
        pandas = load_pandas()
        rows = {
            name: {"clean": r.report.clean.accuracy, **r.report.by_corruption}
            for name, r in results.items()
        }
        shares = pandas.DataFrame.from_dict(rows, orient="index")
        any_of = next(iter(results.values()))
        images, levels = len(any_of.report.clean), any_of.report.severities
        made = Conditions(
            any_of.run.data["label"],
            train_images=any_of.run.data["images"],
            epochs=any_of.run.recipe.epochs,
            test_images=images,
            details=(f"severity {', '.join(map(str, levels))}",),
            seeds=tuple(dict.fromkeys(r.run.seed for r in results.values())),
        )
        errors = (shares * (1 - shares) / images) ** 0.5
        return cls(100 * shares, 100 * errors, conditions=made)

    @property
    def summary(self) -> str:
        parts = (
            f"{name}: " + ", ".join(f"{spaced(k)} {v:.0f}" for k, v in row.items())
            for name, row in self.values.iterrows()
        )
        return f"Accuracy in percent of a linear head on frozen features. {'; '.join(parts)}."

    @property
    def small_print(self) -> str:
        return f"{self.conditions}; whiskers: standard error for the choice of test images"

    def _axes(self) -> Any:
        return new_figure(8.2, 3.6).add_subplot()

    def _draw(self, ax: Any) -> None:
        width, at = 0.82 / len(self.values), np.arange(self.values.shape[1])
        looks = looks_of(list(self.values.index))
        for number, (name, row) in enumerate(self.values.iterrows()):
            look = looks[name]
            ax.bar(
                at + (number - (len(self.values) - 1) / 2) * width, row, 0.92 * width,
                color=look.bar, hatch=look.hatch, edgecolor="white", linewidth=0, label=name,
                yerr=self.errors.loc[name], error_kw={"lw": 1, "capsize": 2, "ecolor": "0.3"},
            )  # fmt: skip
        ax.set_xticks(at, [spaced(name) for name in self.values])
        ax.set_ylim(0, 100)
        ax.set_ylabel("accuracy (%)")
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5, frameon=False)


@dataclass(frozen=True, eq=False)
class BoxesDisplay(Display):
    """What of a small image testing and training see.

    Attributes:
        image_pixels: (H, W, 3) in [0, 1].
        seen: (S, S, 3) the crop that is classified.
        boxes: (4, B) top, left, height, width of random boxes.
        views: (B, S, S, 3) what training makes of them.
        inner: Side of the square that the crop shows, in pixels of the image.
    """

    image_pixels: NDArray[np.float32]
    seen: NDArray[np.float32]
    boxes: NDArray[np.int64]
    views: NDArray[np.float32]
    inner: float

    image = "photographs"
    grid = "none"

    @classmethod
    def from_data(
        cls, data: ImageData, row: int = 0, *, count: int = 4, seed: int = 0
    ) -> BoxesDisplay:
        """Draw boxes of one image by the released settings.

        Args:
            data: Small images.
            row: Which of them.
            count: Number of boxes.
            seed: Of the boxes.
        """
        from nmlib.data.image_folder import Preparation
        from nmlib.rng import Rng
        from nmlib.transfer_learning import prepared
        from nmlib.views import RandomResizedCrop

        x = data.images[row : row + 1].permute(0, 3, 1, 2).float() / 255
        crop, preparation = RandomResizedCrop(), Preparation()
        boxes, _ = crop.draw(count, x.shape[2], x.shape[3], Rng(seed))
        views = crop.make(x.expand(count, -1, -1, -1), None, None, Rng(seed))[0]
        whole, seen, made = (
            v.clamp(0, 1).permute(0, 2, 3, 1).numpy() for v in (x, prepared(x, preparation), views)
        )
        inner = min(x.shape[2:]) * 224 / 256
        return cls(whole[0], seen[0], boxes, made, inner, conditions=Conditions.of(data.label))

    @property
    def summary(self) -> str:
        sides = ", ".join(f"{h} x {w}" for h, w in self.boxes[2:].T.tolist())
        height, width = self.image_pixels.shape[:2]
        return (
            f"Of an image of {height} x {width} pixels the test sees the inner {self.inner:g} x "
            f"{self.inner:g}, training a random box each time, here {sides}, half of them "
            "mirrored. All become 224 x 224."
        )

    def _axes(self) -> Any:
        return new_figure(1.6 * (2 + len(self.views)), 2.1).subplots(1, 2 + len(self.views))

    def _draw(self, ax: Any) -> None:
        from matplotlib.patches import Rectangle

        looks = looks_of([str(k) for k in range(len(self.views))])
        ax[0].imshow(self.image_pixels, interpolation="nearest")
        side = (self.image_pixels.shape[0] - self.inner) / 2 - 0.5
        ax[0].add_patch(
            Rectangle((side, side), self.inner, self.inner, fill=False, ec="white", lw=2)
        )
        for look, (top, left, height, width) in zip(looks.values(), self.boxes.T, strict=True):
            corner = left - 0.5, top - 0.5
            ax[0].add_patch(Rectangle(corner, width, height, fill=False, ec=look.bar, lw=1.6))
        ax[1].imshow(self.seen, interpolation="nearest")
        for one, view, look in zip(ax[2:], self.views, looks.values(), strict=True):
            one.imshow(view, interpolation="nearest")
            one.set_title("training", fontsize=9, color=look.bar)
        ax[0].set_title("the image", fontsize=9)
        ax[1].set_title("test", fontsize=9)
        for one in ax:
            bare(one)
