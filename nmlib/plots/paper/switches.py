"""Checks and conditions of figures about the four switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nmlib.effects import Cells
from nmlib.paper import SWITCHES
from nmlib.reproduction.compared import Conditions, conditions
from nmlib.schemes import ABLATION

__all__ = [
    "ablation_conditions",
    "all_off",
    "same_switches",
]


def all_off(cells: Cells) -> float:
    """Return the mean of the row without any switch, from which gains are counted."""
    off = (False,) * len(cells.switches)
    if off not in cells.rows:
        raise ValueError("the row with all switches off is missing; gains are counted from it")
    return float(cells.means[cells.rows[off]])


def ablation_conditions(records: Sequence[Mapping[str, Any]]) -> Conditions:
    """Return the conditions of the records that belong to the ablation."""
    return conditions([r for r in records if r["scheme"] in ABLATION])


def same_switches(cells: Cells | None) -> None:
    """Raise a ValueError for cells of other switches than Table 4's."""
    if cells is not None and cells.switches != SWITCHES:
        raise ValueError(f"cells must have the switches {SWITCHES}, got {cells.switches}")
