"""The published tables as the user gets them: tidy, as printed, and as cells of an ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib import _checks
from nmlib.paper.audits import published_audit
from nmlib.paper.numbers import (
    ARXIV,
    FAMILY,
    SPECS,
    SWITCHES,
    known,
    load_pandas,
    printed_text,
    read_table,
)
from nmlib.statistics import Cells, deviation_from_range

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ablation", "printed", "seed_deviation", "table", "tables"]

_SEEDS = 5
# The column headings of Tables 6 to 10 and 12 to 14; other names stand as they are.
_HEADINGS = {
    "gaussian_noise": "White", "shot_noise": "Shot", "impulse_noise": "Impulse",
    "defocus_blur": "Defocus", "glass_blur": "Glass", "motion_blur": "Motion",
    "zoom_blur": "Zoom", "brightness": "Bright", "elastic_transform": "Elastic",
    "pixelate": "Pixel", "jpeg_compression": "JPEG", "mean": "mFR",
}  # fmt: skip
_TICK_HEADINGS = ("Augmentations", "Feature Mixing", "Noise Injections", "JSD Loss")


def _errata(n: int) -> tuple[str, ...]:
    """Return the findings of the audit about a table, in words."""
    found = published_audit()
    here = found[(found["table"] == n) | (found["against"] == n)]
    return tuple(
        f"Table {f.table}, {f.method}, {f.dataset}, {f.quantity}: {f.explanation}"
        for f in here.itertuples()
    )


def table(n: int) -> pd.DataFrame:
    """Return Table n of the paper, one row a published number.

    Columns: `table`, `row` (its place in print), `method` (one name in all tables),
    `printed_method`, `dataset`, `network`, `metric`, `corruption` ("mean", "mean of noise", "mean
    without noise" for averages, "none" for sets without corruptions), `family`, `value`, `low` and
    `high` (lowest and highest seed where printed, else nan), `decimals`, `unit`, `copied` (the
    paper's star), `source` ("paper"); in Table 4 also the four switches.

    Args:
        n: 1 to 14.

    Returns:
        The frame; `attrs` has `caption`, `units`, `source`, `errata` (what the audit finds in this
        table) and `notes` (what recomputing cannot show).

    Raises:
        ValueError: For any other number.
        ModuleNotFoundError: Without pandas.

    Source: paper Tables 1 to 14.

    >>> t = table(4)
    >>> float(t.query("method == 'NoisyMix' and metric == 'robustness_gain'")["value"].iloc[0])
    24.4
    """
    spec, frame = SPECS[known(n)], read_table(n)
    frame.attrs = {
        "caption": spec.caption,
        "units": dict(spec.units),
        "source": f"Table {n} of arXiv:{ARXIV}",
        "errata": _errata(n),
        "notes": spec.notes,
    }
    return frame


def tables() -> pd.DataFrame:
    """List the published tables: caption, network, number of numbers and of errata.

    >>> int(tables()["numbers"].sum())
    1139
    """
    records = [
        {
            "table": n,
            "caption": spec.caption,
            "network": spec.network,
            "numbers": len(read_table(n)),
            "errata": len(_errata(n)),
        }
        for n, spec in SPECS.items()
    ]
    return load_pandas().DataFrame(records).set_index("table")


def _cell(cell: pd.DataFrame) -> str:
    """Write the numbers of one printed cell as the paper does."""
    first = cell.iloc[0]
    text = [printed_text(*pair) for pair in zip(cell["value"], cell["decimals"], strict=True)]
    if first["metric"] == "robustness_gain":
        return f"+{text[0]}"
    if first["low"] == first["low"]:
        low, high = (printed_text(first[end], first["decimals"]) for end in ("low", "high"))
        return f"{text[0]} ({low} / {high})"
    if len(text) == 2:
        return f"{text[0]} ({text[1]})"
    return " / ".join(text)


def _heading(n: int, number: Any) -> Any:
    if number.corruption in FAMILY:
        name = _HEADINGS.get(number.corruption, number.corruption.capitalize())
        return FAMILY[number.corruption].capitalize(), name
    if n in (12, 13, 14):
        return "", "mFR"
    if n == 11:
        return {"aurra": "AURRA (%)"}.get(number.metric, "RMS Calibration Error (%)")
    if number.metric == "robustness_gain":
        return "Robustness Gain (%)"
    return f"{number.dataset} (%)"


def printed(n: int) -> pd.DataFrame:
    """Return Table n as it looks in print: text cells, the paper's headings and names.

    Args:
        n: 1 to 14.

    Source: paper Tables 1 to 14.

    >>> printed(1).loc["NoisyMix (ours)", "ImageNet-C (%)"]
    '52.3 (52.4)'
    """
    pandas, parts = load_pandas(), read_table(n)
    parts["heading"] = [_heading(n, p) for p in parts.itertuples()]
    headings = list(dict.fromkeys(parts["heading"]))
    cells = {at: _cell(cell) for at, cell in parts.groupby(["row", "heading"])}
    first = parts.drop_duplicates("row")
    names = first["printed_method"].str.cat(first["copied"].map({True: "*", False: ""})).tolist()
    # "-" for the gain of the first row of Table 4, and for the gaps of the copied row.
    rows = [[cells.get((row, h), "-") for h in headings] for row in first["row"]]
    frame = pandas.DataFrame(rows, columns=headings, index=names)
    if isinstance(headings[0], tuple):
        frame.columns = pandas.MultiIndex.from_tuples(headings)
    if n == 4:
        ticks = np.where(first[list(SWITCHES)], "✓", "✗").tolist()
        left = pandas.DataFrame(ticks, columns=_TICK_HEADINGS)
        frame = pandas.concat([left, frame.reset_index(drop=True)], axis=1)
    frame.attrs = {"caption": SPECS[n].caption, "source": f"Table {n} of arXiv:{ARXIV}"}
    return frame


def ablation(metric: str = "robust_accuracy") -> Cells:
    """Return the ten rows of Table 4 as cells with one seed.

    Args:
        metric: "robust_accuracy" (CIFAR-100-C) or "clean_accuracy" (CIFAR-100), in percent.

    Raises:
        ModuleNotFoundError: Without pandas.

    Source: paper Table 4.

    >>> float(ablation().means.max())
    71.9
    """
    _checks.choice("metric", metric, ("robust_accuracy", "clean_accuracy"))
    corruption = "mean" if metric == "robust_accuracy" else "none"
    four = read_table(4)
    rows = four[(four["metric"] == "accuracy") & (four["corruption"] == corruption)]
    return Cells(SWITCHES, rows[list(SWITCHES)].to_numpy(), rows[["value"]].to_numpy())


def seed_deviation(table: int, dataset: str) -> dict[str, float]:
    """Return the standard deviation over the paper's own seeds of each method, in points.

    Tables 2 and 3 print the lowest and highest of five seeds; see
    `nmlib.statistics.deviation_from_range`. Five seeds and printed tenths make each a rough
    estimate; their mean over the methods is a better one.

    Args:
        table: 2 or 3.
        dataset: Test set, as printed.

    Raises:
        ValueError: If the table prints no ranges for it.

    Source: paper Tables 2 and 3; the estimate is ours.

    >>> round(seed_deviation(3, "CIFAR-100-C")["NoisyMix"], 2)
    0.26
    """
    found = read_table(table)
    found = found[(found["dataset"] == dataset) & found["low"].notna()]
    if found.empty:
        raise ValueError(
            f"Table {table} prints no lowest and highest seed for {dataset!r}; Tables 2 and 3 do, "
            "for CIFAR-10, CIFAR-10-C, CIFAR-100 and CIFAR-100-C"
        )
    values = np.round(deviation_from_range(found["low"], found["high"], _SEEDS), 6)
    return dict(zip(found["method"], values.tolist(), strict=True))
