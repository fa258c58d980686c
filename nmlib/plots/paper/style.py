"""How the paper's numbers and ours are told apart, and the words of figures about both."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from nmlib.effects import Cells
from nmlib.plots.style import OKABE_ITO
from nmlib.reproduction.compared import PAPER_NAMES

__all__ = [
    "OURS",
    "PAPER",
    "SWITCH_WORDS",
    "bare",
    "diamond",
    "differing",
    "in_paper",
    "ink",
    "low_words",
    "note",
    "seeds_words",
]

SWITCH_WORDS = {
    "augmentations": "Augmentations",
    "feature_mixing": "Feature mixing",
    "noise_injections": "Noise",
    "jsd_loss": "JSD loss",
}
OURS = OKABE_ITO["blue"]
PAPER = "0.35"


def note(figure: Any, text: str) -> None:
    """Write the conditions into the lower right corner, in lines that the figure has room for."""
    room = int(17 * figure.get_figwidth())
    text = "\n".join(textwrap.fill(line, room) for line in text.split("\n"))
    figure.supxlabel(text, fontsize=7.5, color="0.35", x=0.99, ha="right")


def diamond(**more: Any) -> dict[str, Any]:
    """Return how matplotlib draws a number of the paper, with other properties."""
    return {
        "marker": "D", "ms": 6, "mfc": "none", "mec": PAPER, "color": PAPER, "ls": "none",
    } | more  # fmt: skip


def differing() -> Any:
    """Return the map of differences: two hues that all readers tell apart, white at zero."""
    from matplotlib import colormaps

    # Few steps: a notebook's small palette then holds every one.
    return colormaps["PuOr_r"].resampled(25)


def ink(value: float, reach: float) -> str:
    """Return the colour of text, black or white, that stands out on a field."""
    red, green, blue, _ = differing()((value / reach + 1) / 2)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def bare(ax: Any) -> None:
    """Take frame and ticks away."""
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


def low_words(switch: str) -> str:
    """Return what running text calls a switch."""
    return SWITCH_WORDS[switch] if switch == "jsd_loss" else SWITCH_WORDS[switch].lower()


def in_paper(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records of schemes that the paper's tables have."""
    found = [r for r in records if r["scheme"] in PAPER_NAMES]
    if not found:
        raise ValueError(
            f"no record is of a scheme in the paper's tables: {', '.join(PAPER_NAMES)}"
        )
    return found


def seeds_words(cells: Cells | None) -> str:
    """Return the number of seeds with its noun."""
    count = cells.seeds if cells else 0
    return f"{count} seed{'s' * (count != 1)}"
