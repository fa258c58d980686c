"""The published tables as the user gets them: tidy, as printed, and as cells of an ablation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib import _checks
from nmlib.paper.audits import findings
from nmlib.paper.numbers import (
    ARXIV,
    FAMILY,
    SPECS,
    SWITCHES,
    Number,
    frame_of,
    known,
    load_pandas,
    numbers,
)
from nmlib.statistics import Cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ablation", "errata", "printed", "table", "tables"]

# The column headings of Tables 6 to 10 and 12 to 14; other names stand as they are.
_HEADINGS = {
    "gaussian_noise": "White", "shot_noise": "Shot", "impulse_noise": "Impulse",
    "defocus_blur": "Defocus", "glass_blur": "Glass", "motion_blur": "Motion",
    "zoom_blur": "Zoom", "brightness": "Bright", "elastic_transform": "Elastic",
    "pixelate": "Pixel", "jpeg_compression": "JPEG", "mean": "mFR",
}  # fmt: skip
_TICK_HEADINGS = ("Augmentations", "Feature Mixing", "Noise Injections", "JSD Loss")


@cache
def errata() -> dict[int, tuple[str, ...]]:
    """Return what the audit says of each table, in words; a disagreement is told in both."""
    found: dict[int, list[str]] = defaultdict(list)
    for f in findings()[0]:
        where = f"Table {f.table}, {f.method}, {f.dataset}, {f.quantity}"
        for n in dict.fromkeys((f.table, f.against)):
            found[n].append(f"{where}: {f.explanation}")
    return {n: tuple(lines) for n, lines in found.items()}


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
    spec = SPECS[known(n)]
    frame = frame_of(numbers(n))
    frame.attrs = {
        "caption": spec.caption,
        "units": dict(spec.units),
        "source": f"Table {n} of arXiv:{ARXIV}",
        "errata": errata().get(n, ()),
        "notes": spec.notes,
    }
    return frame


def tables() -> pd.DataFrame:
    """List the published tables: number, caption, network, how many numbers, how many errata.

    >>> int(tables()["numbers"].sum())
    1139
    """
    records = [
        {
            "table": n,
            "caption": spec.caption,
            "network": spec.network,
            "numbers": len(numbers(n)),
            "errata": len(errata().get(n, ())),
        }
        for n, spec in SPECS.items()
    ]
    return load_pandas().DataFrame(records).set_index("table")


def _text(n: int, cell: Sequence[Number]) -> str:
    """Write the numbers of one printed cell as the paper does."""
    first = cell[0]
    if first.metric == "robustness_gain":
        return f"+{first.value}"
    if first.low:
        return f"{first.value} ({first.low} / {first.high})"
    if n == 1 and len(cell) == 2:
        return f"{first.value} ({cell[1].value})"
    return " / ".join(p.value for p in cell)


def _heading(n: int, number: Number) -> Any:
    if n in SPECS and number.corruption in FAMILY:
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
    frames = load_pandas()
    rows: dict[int, dict[Any, list[Number]]] = defaultdict(lambda: defaultdict(list))
    headings: list[Any] = []
    for number in numbers(n):
        heading = _heading(n, number)
        if heading not in headings:
            headings.append(heading)
        rows[number.row][heading].append(number)
    names, ticks, cells = [], [], []
    for row in rows.values():
        first = next(iter(row.values()))[0]
        names.append(first.printed_method + ("*" if first.copied else ""))
        ticks.append(["✓" if on else "✗" for on in first.switches])
        # The gain of the first row of Table 4 and what the copied row does not have.
        cells.append([_text(n, row[h]) if h in row else "-" for h in headings])
    frame = frames.DataFrame(cells, columns=headings, index=names)
    if isinstance(headings[0], tuple):
        frame.columns = frames.MultiIndex.from_tuples(headings)
    if n == 4:
        left = frames.DataFrame(ticks, columns=_TICK_HEADINGS)
        frame = frames.concat([left, frame.reset_index(drop=True)], axis=1)
    frame.attrs = {"caption": SPECS[n].caption, "source": f"Table {n} of arXiv:{ARXIV}"}
    return frame


def ablation(metric: str = "robust_accuracy") -> Cells:
    """Return the ten rows of Table 4 as cells with one seed; needs no pandas.

    Args:
        metric: "robust_accuracy" (CIFAR-100-C) or "clean_accuracy" (CIFAR-100), in percent.

    Source: paper Table 4.

    >>> float(ablation().means.max())
    71.9
    """
    _checks.choice("metric", metric, ("robust_accuracy", "clean_accuracy"))
    corruption = "mean" if metric == "robust_accuracy" else "none"
    rows = [p for p in numbers(4) if p.metric == "accuracy" and p.corruption == corruption]
    return Cells(
        SWITCHES,
        np.array([p.switches for p in rows]),
        np.array([[float(p.value)] for p in rows]),
    )
