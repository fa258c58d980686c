"""A card for each of the ten ResNet-50 of Table 1: its weights, its numbers, what to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nmlib import _checks
from nmlib.data.image_folder import Preparation
from nmlib.evaluation import CHECKPOINTS
from nmlib.paper import robustbench
from nmlib.paper.audits import published_audit
from nmlib.paper.leaderboard import SETS
from nmlib.paper.numbers import printed_text, read_table

__all__ = ["ModelCards"]

_CHECKPOINTS = {c.method: c for c in CHECKPOINTS.values() if c.method}
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


def _words(images: Preparation) -> str:
    """Say how pictures become inputs."""
    if images.crop_first:
        how = f"cropped to {images.crop}/{images.resize} of the shorter side, then resized"
    else:
        how = f"shorter side to {images.resize}, centre cropped to {images.crop}"
    return f"images: {how}, {images.interpolation}"


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

    methods: tuple[str, ...] = tuple(_CHECKPOINTS)

    def __post_init__(self) -> None:
        for method in self.methods:
            _checks.choice("method of Table 1", method, _CHECKPOINTS)

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
        known = _CHECKPOINTS[method]
        yield f"### {method}\n"
        yield f"- `{known.name}`: {known.file}; {known.source.replace(', in a browser', '')}"
        yield f"- licence: {known.licence}; {_words(known.preparation)}"
        yield from [f"- {known.note}"] if known.note else []
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
