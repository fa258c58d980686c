"""Which cells make up a table of the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmlib import _checks
from nmlib.lab.cifar.cell import Cell
from nmlib.schemes import ABLATION, SCHEMES, Scheme, suited
from nmlib.training import BUDGETS

__all__ = ["EXPERIMENTS", "Experiment", "cells"]

# The rows of the paper's comparison tables.
COMPARED = {
    name: SCHEMES[name]
    for name in (
        "baseline",
        "mixup",
        "manifold_mixup",
        "cutmix",
        "puzzlemix",
        "nfm",
        "augmix",
        "noisymix",
        "augmax",
    )
}


@dataclass(frozen=True)
class Experiment:
    """One data set and network of a published table.

    Attributes:
        dataset: Data set at the paper's size.
        model: Network at the paper's size.
        schemes: The rows, by name.
        perturbations: Whether flip probabilities belong to it.
        seeds: Seeds that the paper averages over.
    """

    dataset: str
    model: str
    schemes: Mapping[str, Scheme]
    perturbations: bool = False
    seeds: int = 5


def _both(model: str) -> tuple[Experiment, ...]:
    return tuple(Experiment(name, model, COMPARED) for name in ("cifar10", "cifar100"))


def _flips(model: str) -> tuple[Experiment, ...]:
    return (Experiment("cifar10", model, COMPARED, perturbations=True),)


EXPERIMENTS: dict[str, tuple[Experiment, ...]] = {
    "table2": _both("preact_resnet18"),
    "table3": _both("wrn28_4"),
    "table4": (Experiment("cifar100", "wrn28_4", ABLATION, perturbations=True, seeds=1),),
    "table7": _both("preact_resnet18")[:1],
    "table8": _both("preact_resnet18")[1:],
    "table9": _both("wrn28_4")[:1],
    "table10": _both("wrn28_4")[1:],
    "table13": _flips("preact_resnet18"),
    "table14": _flips("wrn28_4"),
    "schemes": (Experiment("cifar10", "preact_resnet18", SCHEMES, perturbations=True),),
}
"""Tables 2, 3, 4, 7 to 10, 13 and 14, and "schemes": every scheme there is.

Tables 7 to 10 show the cells of Tables 2 and 3 by corruption, so these are computed once.
"""


def cells(
    table: str,
    *,
    budget: str = "smoke",
    seeds: int | Sequence[int] | None = None,
    dataset: str | None = None,
    model: str | None = None,
    schemes: Iterable[str] | None = None,
    root: str | Path | None = None,
    label: str | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    compile: bool = False,
    epochs: int | None = None,
) -> list[Cell]:
    """Return the cells of a table at a budget.

    Args:
        table: A key of `EXPERIMENTS`.
        budget: A key of `nmlib.training.BUDGETS`. Below "paper" the network is that of the budget;
            the data set is fashion-mini at "smoke" and the table's otherwise.
        seeds: How many, or which; by default as many as the paper.
        dataset: Another data set.
        model: Another network.
        schemes: Only these rows.
        root: Folder that has the data set.
        label: What figures call the data, when the files in `root` are not the official ones.
        precision: "fp32", or "bf16" by autocast: faster on a GPU, on most CPUs not.
        compile: Train with torch.compile.
        epochs: Instead of the budget's.

    Raises:
        ValueError: For unknown names, seeds that are not integers >= 0, or less than one epoch.

    >>> [cell.scheme.name for cell in cells("table4", seeds=1)][:2]
    ['baseline', ...]
    >>> cells("table44")
    Traceback (most recent call last):
    ValueError: unknown table 'table44'; did you mean 'table4'? ...
    """
    _checks.choice("table", table, EXPERIMENTS)
    _checks.choice("budget", budget, BUDGETS)
    size = BUDGETS[budget]
    found: dict[tuple[str, str, str, int], Cell] = {}
    wanted = None if schemes is None else list(schemes)
    for experiment in EXPERIMENTS[table]:
        if wanted is not None:
            for name in wanted:
                _checks.choice("scheme", name, experiment.schemes)
        numbers = experiment.seeds if seeds is None else _checks.plain(seeds)
        if not isinstance(numbers, Iterable):
            numbers = range(_checks.integer("seeds", numbers, 1))
        data = dataset or ("fashion-mini" if budget == "smoke" else experiment.dataset)
        network = model or (experiment.model if budget == "paper" else size.model)
        for seed in _checks.integers("seeds", numbers, 0):
            for name, scheme in experiment.schemes.items():
                if wanted is None or name in wanted:
                    found[data, network, name, seed] = Cell(
                        data, network, suited(scheme, data, network), seed, budget,
                        experiment.perturbations,
                        None if root is None else str(root), label, precision, compile, epochs,
                    )  # fmt: skip
    return list(found.values())
