"""One look for all figures: colours that survive colour blindness, and what they stand for."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CLASS_COLOURS",
    "CLASS_MARKERS",
    "LANE_LABELS",
    "OKABE_ITO",
    "PAPER_STYLE",
    "new_figure",
]

OKABE_ITO: dict[str, str] = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "reddish purple": "#CC79A7",
}
"""The palette of Okabe and Ito (2008)."""

CLASS_COLOURS: tuple[str, str] = (OKABE_ITO["orange"], OKABE_ITO["blue"])
CLASS_MARKERS: tuple[str, str] = ("o", "^")

PAPER_STYLE: dict[str, object] = {
    "color": "0.35", "marker": "D", "markerfacecolor": "none", "linestyle": "none"
}  # fmt: skip
"""Numbers printed in the paper: hollow grey diamonds, never a colour of ours."""

LANE_LABELS: dict[str, str] = {
    "baseline": "Baseline",
    "noise_injection": "Noise injection",
    "manifold_mixup": "Manifold mixup",
    "nfm": "NFM",
    "manifold_mixup_jsd": "Manifold mixup + JSD",
    "noisymix": "NoisyMix",
}
"""How figures call the six schemes of Fig. 4."""


def new_figure(
    width: float, height: float, *, dpi: float | None = None, layout: Any = "constrained"
) -> Any:
    """Return an empty matplotlib figure of some inches.

    Made by the object interface, not pyplot: there is no global state, and widgets may draw while
    a cell is plotting.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure
