"""What all displays of Table 4 share: its rows, its words, its ticks, the fit of the effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import ABLATION_NAMES, Records, frame
from nmlib.lab.display.conditions import Conditions
from nmlib.paper import SWITCHES
from nmlib.paper.numbers import load_pandas, read_table
from nmlib.rng import Rng
from nmlib.statistics import Cells, Effects, effects

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SWITCH_WORDS",
    "ablation_conditions",
    "all_off",
    "by_switches",
    "check_switches",
    "draw_ticks",
    "fitted_effects",
    "low_words",
    "paper_gains",
    "row_words",
    "seeds_words",
]

SWITCH_WORDS = {
    "augmentations": "Augmentations",
    "feature_mixing": "Feature mixing",
    "noise_injections": "Noise",
    "jsd_loss": "JSD loss",
}


def ablation_conditions(records: Records) -> Conditions:
    """Return the conditions of the records that belong to the ablation."""
    runs = frame(records)
    return conditions(runs[runs["scheme"].isin(ABLATION_NAMES)])


def check_switches(cells: Cells) -> None:
    """Raise a ValueError for cells of other switches than Table 4's."""
    if cells.switches != SWITCHES:
        raise ValueError(f"cells must have the switches {SWITCHES}, got {cells.switches}")


def all_off(cells: Cells) -> float:
    """Return the mean of the row without any switch, from which gains are counted."""
    off = (False,) * len(cells.switches)
    if off not in cells.rows:
        raise ValueError("the row with all switches off is missing; gains are counted from it")
    return float(cells.means[cells.rows[off]])


def by_switches(cells: Cells, values: Any) -> pd.Series:
    """Return one value a row of cells, with the four switches as index."""
    pandas = load_pandas()
    index = pandas.MultiIndex.from_arrays(cells.on.T, names=cells.switches)
    return pandas.Series(values, index)


def paper_gains() -> pd.Series:
    """Return the gains that Table 4 prints, with the four switches as index.

    The last is 24.4, though the printed accuracies 71.9 and 47.4 differ by 24.5.
    """
    gains = read_table(4).query("metric == 'robustness_gain'").set_index(list(SWITCHES))["value"]
    gains.loc[(False,) * 4] = 0.0
    return gains


def fitted_effects(cells: Cells, rng: Rng | None = None, **options: Any) -> Effects:
    """Fit main effects and interactions; `options` are those of `nmlib.statistics.effects`.

    The divergence alone does nothing: without augmentations (and noise) all views are equal. Its
    interaction with augmentations is taken as zero, unless the cells have a row to fit it to.
    """
    alone = any(row[3] and not row[0] for row in cells.rows)
    without = [] if alone else [(SWITCHES[0], SWITCHES[3])]
    return effects(cells, rng or Rng(0), without=without, **options)


def low_words(switch: str) -> str:
    """Return what running text calls a switch."""
    return SWITCH_WORDS[switch] if switch == "jsd_loss" else SWITCH_WORDS[switch].lower()


def row_words(row: Sequence[bool]) -> str:
    """Name the switches that are on."""
    on = [low_words(s) for s, is_on in zip(SWITCHES, row, strict=True) if is_on]
    return " + ".join(on) or "none"


def seeds_words(cells: Cells) -> str:
    """Return the number of seeds with its noun."""
    return f"{cells.seeds} seed{'s' * (cells.seeds != 1)}"


def draw_ticks(ax: Any, rows: Iterable[Sequence[bool]], names: Sequence[str], **text: Any) -> None:
    """Draw the switches of rows, the first on top, below their names."""
    rows = list(rows)
    for y, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        on = [k for k, is_on in enumerate(row) if is_on]
        ax.plot([on[0], on[-1]] if on else [], [y, y] if on else [], color="0.15", lw=1.2)
        for k, is_on in enumerate(row):
            look = {"ms": 9, "color": "0.15"} if is_on else {"ms": 3, "color": "0.75"}
            ax.plot(k, y, "o", clip_on=False, **look)
    for k, name in enumerate(names):
        ax.text(k, len(rows) - 0.35, name, ha="center", **text)
