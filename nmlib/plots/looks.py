"""What figures call a scheme, and its colour, marker, line and hatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nmlib.plots.style import LANE_LABELS, OKABE_ITO

__all__ = ["Look", "looks_of", "scheme_label"]

# Colour, marker, line and hatch go together: each alone tells the schemes apart. Yellow and sky
# blue are too pale for lines on white, so they come last.
_COLOURS = (
    OKABE_ITO["black"], OKABE_ITO["blue"], OKABE_ITO["orange"], OKABE_ITO["bluish green"],
    OKABE_ITO["reddish purple"], OKABE_ITO["sky blue"], "#999999", OKABE_ITO["yellow"],
)  # fmt: skip
_OURS = OKABE_ITO["vermilion"]
_MARKERS = ("o", "^", "v", "D", "P", "X", "<", ">")
_DASHES: tuple[Any, ...] = (
    "-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2)),
)  # fmt: skip
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "oo", "++")
_PLOTLY_MARKERS = (
    "circle", "triangle-up", "triangle-down", "diamond", "cross", "x", "triangle-left",
    "triangle-right",
)  # fmt: skip
_PLOTLY_DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "solid", "dash")
_PLOTLY_HATCHES = ("", "/", ".", "\\", "x", "-", "|", "+")
_SCHEMES = {
    "stability_training": "Stability training",
    "cutmix": "CutMix",
    "puzzlemix": "PuzzleMix",
    "augmix": "AugMix",
    "augmix_no_jsd": "AugMix without JSD",
    "augmax": "AugMax",
    "mixing_noise": "Mixing + noise",
    "augmix_noise": "AugMix + noise",
    "augmix_mixing": "AugMix + mixing",
    "noisymix_no_jsd": "NoisyMix without JSD",
}


def scheme_label(name: str) -> str:
    """Return what figures call a scheme.

    >>> scheme_label("puzzlemix"), scheme_label("mixup")
    ('PuzzleMix', 'Mixup')
    """
    known = LANE_LABELS | _SCHEMES
    return known.get(name, name.replace("_", " ").capitalize() if name.islower() else name)


@dataclass(frozen=True)
class Look:
    """How a scheme is drawn, in matplotlib and in plotly."""

    colour: str
    marker: str
    dash: Any
    hatch: str
    symbol: str
    plotly_dash: str
    plotly_hatch: str

    @property
    def bar(self) -> str:
        # Whole bars of black outshine all others.
        return "#4d4d4d" if self.colour == OKABE_ITO["black"] else self.colour


def looks_of(schemes: Sequence[str]) -> dict[str, Look]:
    """Give every scheme a look; NoisyMix has the same one in all figures."""
    looks, number = {}, 0
    for scheme in schemes:
        if scheme == "noisymix":
            looks[scheme] = Look(_OURS, "s", "-", "", "square", "solid", "")
            continue
        # The ninth scheme has the first one's colour, so it gets another marker and line.
        k, other = number % 8, (number + 3 * (number // 8)) % 8
        looks[scheme] = Look(
            _COLOURS[k], _MARKERS[other], _DASHES[other], _HATCHES[other], _PLOTLY_MARKERS[other],
            _PLOTLY_DASHES[other], _PLOTLY_HATCHES[other],
        )  # fmt: skip
        number += 1
    return looks
