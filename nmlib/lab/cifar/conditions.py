"""What records were measured on, and the paper's names of our schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmlib.lab.cifar.records import Records, frame, one_kind, seeds_complete
from nmlib.lab.display.conditions import Conditions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAPER_NAMES", "conditions", "in_paper"]

PAPER_NAMES = {
    "baseline": "Baseline",
    "mixup": "Mixup",
    "manifold_mixup": "Manifold Mixup",
    "cutmix": "CutMix",
    "puzzlemix": "Puzzle Mix",
    "nfm": "NFM",
    "augmix": "AugMix",
    "augmax": "AugMax",
    "noisymix": "NoisyMix",
}
"""Our schemes -> their names in the paper's CIFAR tables: those of the cards, without torch."""


def conditions(records: Records) -> Conditions:
    """Say what records were measured on: data, network, budget, seeds, commits.

    Raises:
        ValueError: If there are none, or they differ in data, network or budget.

    >>> row = {"dataset": "tiny", "model": "mlp", "budget": "smoke", "train_images": 1000,
    ...        "test_images": 200, "epochs": [{}] * 3, "seed": 0, "scheme": "mixup",
    ...        "provenance": {"commit": "abc"}}
    >>> print(conditions([row]))
    tiny, mlp, budget smoke (1,000 images x 3 epochs), 200 test images, seed 0, commit abc
    """
    runs = frame(records)
    one_kind(runs)
    first = runs.iloc[0]
    commits = dict.fromkeys(made.get("commit") for made in runs["provenance"])
    return Conditions(
        first["dataset"], first["model"], first["budget"],
        train_images=first["train_images"], epochs=len(first["epochs"]),
        test_images=first["test_images"], seeds=tuple(sorted(set(runs["seed"]))),
        common=tuple(seeds_complete(runs)), commits=tuple(filter(None, commits)),
    )  # fmt: skip


def in_paper(records: Records) -> pd.DataFrame:
    """Return the records of schemes that the paper's tables have.

    Raises:
        ValueError: If there are none.
    """
    runs = frame(records)
    found = runs[runs["scheme"].isin(PAPER_NAMES)]
    if found.empty:
        raise ValueError(
            f"no record is of a scheme in the paper's tables: {', '.join(PAPER_NAMES)}"
        )
    return found
