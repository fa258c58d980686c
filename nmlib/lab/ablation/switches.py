"""Checks and conditions of figures about the four switches."""

from __future__ import annotations

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import Records, frame
from nmlib.lab.display.conditions import Conditions
from nmlib.paper import SWITCHES
from nmlib.schemes import ABLATION
from nmlib.statistics import Cells

__all__ = [
    "SWITCH_WORDS",
    "ablation_conditions",
    "all_off",
    "low_words",
    "same_switches",
    "seeds_words",
]

SWITCH_WORDS = {
    "augmentations": "Augmentations",
    "feature_mixing": "Feature mixing",
    "noise_injections": "Noise",
    "jsd_loss": "JSD loss",
}


def all_off(cells: Cells) -> float:
    """Return the mean of the row without any switch, from which gains are counted."""
    off = (False,) * len(cells.switches)
    if off not in cells.rows:
        raise ValueError("the row with all switches off is missing; gains are counted from it")
    return float(cells.means[cells.rows[off]])


def ablation_conditions(records: Records) -> Conditions:
    """Return the conditions of the records that belong to the ablation."""
    runs = frame(records)
    return conditions(runs[runs["scheme"].isin(ABLATION)])


def same_switches(cells: Cells | None) -> None:
    """Raise a ValueError for cells of other switches than Table 4's."""
    if cells is not None and cells.switches != SWITCHES:
        raise ValueError(f"cells must have the switches {SWITCHES}, got {cells.switches}")


def low_words(switch: str) -> str:
    """Return what running text calls a switch."""
    return SWITCH_WORDS[switch] if switch == "jsd_loss" else SWITCH_WORDS[switch].lower()


def seeds_words(cells: Cells | None) -> str:
    """Return the number of seeds with its noun."""
    count = cells.seeds if cells else 0
    return f"{count} seed{'s' * (count != 1)}"
