"""The paper's numbers under our names of the schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmlib import _checks, paper
from nmlib.lab.cifar.conditions import PAPER_NAMES
from nmlib.lab.cifar.records import Records, frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ORDERED", "published", "published_by_corruption", "tables_for"]

ORDERED = ("clean_accuracy", "robust_accuracy", "flip_probability")
"""The metrics that both the paper and our records have."""

_SCHEMES = {printed: ours for ours, printed in PAPER_NAMES.items()}


def _table(number: int) -> pd.DataFrame:
    """Return the rows of a table that are of our schemes, with a column `scheme`."""
    rows = paper.table(number)
    return rows.assign(scheme=rows["method"].map(_SCHEMES)).dropna(subset="scheme")


def published(table: int, dataset: str, column: str = "mean") -> pd.DataFrame:
    """Return a column of a table of the paper, a row for each of our schemes.

    Args:
        table: A table of the CIFAR schemes: 2, 3, 7 to 10, 13 or 14.
        dataset: Test set as printed, e.g. "CIFAR-10-C".
        column: A corruption or perturbation, "mean" of all, or "none" for a clean test set.

    Returns:
        Columns: value, low and high (lowest and highest seed; nan where none is printed), all in
        percent, and copied (whether the paper took the number from elsewhere, its star).

    Raises:
        ValueError: If the table has no such column.

    Source: paper Tables 2, 3, 7 to 10, 13 and 14.

    >>> print(published(2, "CIFAR-10-C").loc["baseline"].to_dict())
    {'value': 73.8, 'low': 73.5, 'high': 74.2, 'copied': False}
    """
    rows = _table(table)
    found = rows[(rows["dataset"] == dataset) & (rows["corruption"] == column)]
    if found.empty:
        raise ValueError(f"Table {table} has no column {column!r} of {dataset!r}")
    return found.set_index("scheme")[["value", "low", "high", "copied"]]


def published_by_corruption(table: int) -> pd.DataFrame:
    """Return a table of corruptions or perturbations in percent, (corruption, scheme).

    For corruptions, "clean" is added from the table of the same network's clean accuracies.

    Args:
        table: 7 to 10 (corruptions), 13 or 14 (perturbations).

    Source: paper Tables 2, 3, 7 to 10, 13 and 14.

    >>> float(published_by_corruption(13)["noisymix"]["translate"])
    1.6
    """
    if table not in (7, 8, 9, 10, 13, 14):
        raise ValueError(
            f"columns by corruption of the CIFAR schemes are in Tables 7 to 10, 13 and 14, got "
            f"{table!r}"
        )
    wide = _table(table).pivot(index="corruption", columns="scheme", values="value")
    wide = wide[~wide.index.str.startswith("mean")]
    if table <= 10:
        dataset = "CIFAR-10" if table in (7, 9) else "CIFAR-100"
        wide.loc["clean"] = published(2 if table < 9 else 3, dataset, "none")["value"]
    return wide


def tables_for(records: Records, metric: str) -> tuple[int, str, str]:
    """Return where the paper prints a metric of such records: table, test set, column.

    Wide-ResNets are compared with Tables 3 and 14, all others with 2 and 13; data whose name
    starts with "cifar100" with CIFAR-100, all others with CIFAR-10.

    Args:
        records: As from `measured`.
        metric: "clean_accuracy", "robust_accuracy" or "flip_probability".

    Raises:
        ValueError: For flip probabilities on CIFAR-100, which the paper does not have.

    >>> tables_for([{"dataset": "cifar10-jpeg", "model": "preact_resnet_small"}], "clean_accuracy")
    (2, 'CIFAR-10', 'none')
    """
    _checks.choice("metric", metric, ORDERED)
    first = frame(records).iloc[0]
    wide = str(first["model"]).startswith("wrn")
    data = "CIFAR-100" if str(first["dataset"]).startswith("cifar100") else "CIFAR-10"
    if metric == "flip_probability":
        if data == "CIFAR-100":
            raise ValueError("the paper has no flip probabilities on CIFAR-100")
        return 14 if wide else 13, "CIFAR-10-P", "mean"
    robust = metric == "robust_accuracy"
    return 3 if wide else 2, data + "-C" * robust, "mean" if robust else "none"
