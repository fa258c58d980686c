"""A card for each of the ten ResNet-50 of Table 1: its weights, its numbers, what to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nmlib import _checks
from nmlib.paper import robustbench
from nmlib.paper.audits import published_audit
from nmlib.paper.leaderboard import SETS
from nmlib.paper.numbers import printed_text, read_table

__all__ = ["WEIGHTS", "ModelCards"]

WEIGHTS: dict[str, tuple[str, str]] = {
    "Baseline": (
        "torchvision's first weights, resnet50-19c8e357.pth or resnet50-0676ba61.pth",
        "shorter side to 256, bilinear; central 224",
    ),
    "Adversarial training": (
        "Salman et al. 2020, L∞, 4/255: resnet50_linf_eps4.0.ckpt of MadryLab",
        "shorter side to 256; central 224; the file's own normalisation",
    ),
    "Stylized ImageNet": (
        "Geirhos et al. 2019, trained on Stylized ImageNet and ImageNet: "
        "resnet50_train_45_epochs_combined_IN_SF-2a0d100e.pth.tar",
        "standard",
    ),
    "AutoAugment": (
        "Fast AutoAugment, Lim et al. 2019: imagenet_resnet50_top1_22.2.pth",
        "central 7/8 of the shorter side, then 224, bicubic",
    ),
    "Mixup": ("the release of CutMix (22.58 % error)", "standard"),
    "Manifold Mixup": (
        "none found: the release of CutMix has one with 77.5 %, not 76.7 %", "standard",
    ),
    "CutMix": ("Yun et al. 2019 (21.40 % error)", "standard"),
    "Puzzle Mix": ("Kim et al. 2020 (21.24 % error, 300 epochs)", "standard"),
    "AugMix": ("Hendrycks et al. 2020, 180 epochs (mCE 65.3)", "standard"),
    "NoisyMix": (
        "RobustBench's Erichson2022NoisyMix, and a better tuned one, Erichson2022NoisyMix_new",
        "standard",
    ),
}  # fmt: skip
"""Table 1's methods: where the weights come from, and how their authors prepare the images.

"Standard" is torchvision's way: the shorter side to 256 pixels, the central 224.
"""

_TABLES = (1, 5, 6, 11, 12)
# Heading of a row -> table, metric, test set, kind of mean, unit.
_ROWS: tuple[tuple[str, int, str, str, str], ...] = (
    ("ImageNet", 1, "accuracy", "ImageNet", "none"),
    ("ImageNet-C", 1, "accuracy", "ImageNet-C", "mean"),
    ("ImageNet-C without noise", 1, "accuracy", "ImageNet-C", "mean without noise"),
    ("ImageNet-R", 1, "accuracy", "ImageNet-R", "none"),
    ("ImageNet-P, flip rate", 1, "flip_rate", "ImageNet-P", "mean"),
    ("RMS calibration error on ImageNet-R", 11, "rms_calibration_error", "ImageNet-R", "none"),
    ("AURRA on ImageNet-R", 11, "aurra", "ImageNet-R", "none"),
    ("fine-tuned: CIFAR-10-C", 5, "accuracy", "CIFAR-10-C", "mean"),
    ("fine-tuned: CIFAR-100-C", 5, "accuracy", "CIFAR-100-C", "mean"),
)


def _measured(model: str) -> dict[str, float]:
    """Return RobustBench's accuracies of a network, under the headings of the card."""
    t = robustbench("ImageNet-C")
    t = t[t["model"] == model]
    corrupted = t[t["corruption"] != "none"]
    return {
        "ImageNet": float(t.loc[t["corruption"] == "none", "value"].iloc[0]),
        "ImageNet-C": float(corrupted["value"].mean()),
        "ImageNet-C without noise": float(
            corrupted.loc[corrupted["family"] != "noise", "value"].mean()
        ),
    }


@dataclass(frozen=True)
class ModelCards:
    """The cards of some of Table 1's networks.

    Attributes:
        methods: As the paper calls them.

    Raises:
        ValueError: For a method that Table 1 lacks.

    Source: paper Tables 1, 5, 6, 11 and 12; RobustBench (arXiv 2010.09670).

    >>> print(ModelCards(("Baseline",)).text().splitlines()[0])
    ### Baseline
    """

    methods: tuple[str, ...] = tuple(WEIGHTS)

    def __post_init__(self) -> None:
        for method in self.methods:
            _checks.choice("method of Table 1", method, WEIGHTS)

    def numbers(self, method: str) -> dict[str, dict[str, Any]]:
        """Return the numbers of a card, by heading and then by source, as text in percent."""
        found: dict[str, dict[str, Any]] = {}
        for heading, table, metric, dataset, corruption in _ROWS:
            t = read_table(table)
            same = t[["method", "metric", "dataset", "corruption"]]
            rows = t[(same == [method, metric, dataset, corruption]).all(axis=1)]
            if len(rows):
                first = rows.iloc[0]
                found[heading] = {"paper": printed_text(first["value"], first["decimals"])}
        for model, (name, network) in SETS["ImageNet-C"].models.items():
            if name == method:
                source = model if network == "ResNet-50" else f"{model} ({network})"
                for heading, value in _measured(model).items():
                    found[heading][source] = f"{value:.1f}"
        return found

    def _card(self, method: str) -> Iterator[str]:
        weights, preparation = WEIGHTS[method]
        yield f"### {method}\n"
        yield f"- weights: {weights}"
        yield f"- images: {preparation}"
        for f in published_audit().itertuples():
            # The weights of Table 5 are not about one method.
            if f.kind != "weights" and f.table in _TABLES and method in f.method.split(" / "):
                quantity = f.quantity.replace("_", " ")
                yield f"- audit, Table {f.table}, {quantity}: {f.explanation}"
        numbers = self.numbers(method)
        sources = list(dict.fromkeys(s for row in numbers.values() for s in row))
        yield f"\n| % | {' | '.join(sources)} |"
        yield "|---" + "|---:" * len(sources) + "|"
        for heading, row in numbers.items():
            yield f"| {heading} | {' | '.join(row.get(s, '') for s in sources)} |"
        yield ""

    def text(self) -> str:
        """Return the cards as Markdown."""
        return "\n".join(line for method in self.methods for line in self._card(method))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/markdown": self.text()}
