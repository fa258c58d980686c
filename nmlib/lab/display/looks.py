"""One table of looks: what a colour, a marker, a line and a hatch stand for in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "CLASS_COLOURS", "CLASS_MARKERS", "LANE_LABELS", "OKABE_ITO", "OURS", "PAPER",
    "PLOTLY_PAPER", "PLOTLY_TEMPLATE", "ROBUSTBENCH", "Look", "bare", "diamond",
    "differing", "dress", "ink", "looks_of", "new_figure", "plotly_heading", "plotly_small_print",
    "scheme_label",
]  # fmt: skip

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

LANE_LABELS: dict[str, str] = {
    "baseline": "Baseline",
    "noise_injection": "Noise injection",
    "manifold_mixup": "Manifold mixup",
    "nfm": "NFM",
    "manifold_mixup_jsd": "Manifold mixup + JSD",
    "noisymix": "NoisyMix",
}
"""How figures call the six schemes of Fig. 4."""

OURS = OKABE_ITO["blue"]
PAPER = "#595959"
ROBUSTBENCH = OKABE_ITO["bluish green"]
"""RobustBench's numbers, hollow squares."""

PLOTLY_PAPER: dict[str, Any] = {"symbol": "diamond-open", "color": PAPER, "size": 9}
"""Markers of plotly for numbers of the paper, as `diamond` for matplotlib."""

_PLOTLY_AXIS = {"gridcolor": "#ebebeb", "zerolinecolor": "#b0b0b0", "automargin": True}
PLOTLY_TEMPLATE: dict[str, Any] = {
    "data": {"bar": [{"marker": {"pattern": {"fillmode": "overlay", "solidity": 0.2}}}]},
    "layout": {
        "colorway": [OKABE_ITO[c] for c in ("blue", "orange", "bluish green", "reddish purple",
                                            "sky blue", "vermilion", "black")],
        "font": {"color": "#222", "size": 12}, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "xaxis": _PLOTLY_AXIS, "yaxis": _PLOTLY_AXIS,
        "margin": {"l": 60, "r": 20, "t": 50, "b": 40},
        # Above the axes, where it costs no width on a phone.
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
    }
}  # fmt: skip
"""White, pale grid, safe colours: plotly's own templates would add 7 kB to every output."""

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
    """How a scheme is drawn, in matplotlib and in plotly; each part alone tells schemes apart."""

    colour: str
    marker: str
    dash: Any
    hatch: str
    symbol: str
    plotly_dash: str
    plotly_hatch: str

    @property
    def bar(self) -> str:
        """The colour of bars, where whole areas of black would outshine all others."""
        return "#4d4d4d" if self.colour == OKABE_ITO["black"] else self.colour


_NOISYMIX = Look(OKABE_ITO["vermilion"], "s", "-", "", "square", "solid", "")
# Yellow and sky blue are too pale for lines on white, so they come late.
_LOOKS = tuple(
    Look(OKABE_ITO.get(colour, colour), *rest)
    for colour, *rest in (
        ("black", "o", "-", "", "circle", "solid", ""),
        ("blue", "^", "--", "///", "triangle-up", "dash", "/"),
        ("orange", "v", "-.", "...", "triangle-down", "dashdot", "."),
        ("bluish green", "D", ":", "\\\\\\", "diamond", "dot", "\\"),
        ("reddish purple", "P", (0, (5, 1)), "xx", "cross", "longdash", "x"),
        ("sky blue", "X", (0, (3, 1, 1, 1)), "--", "x", "longdashdot", "-"),
        ("#999999", "<", (0, (1, 1)), "oo", "triangle-left", "solid", "|"),
        ("yellow", ">", (0, (7, 2, 1, 2)), "++", "triangle-right", "dash", "+"),
    )
)


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """Give every scheme, or whatever has these names, a look; NoisyMix's is always the same."""
    looks, number = {}, 0
    for name in names:
        if name == "noisymix":
            looks[name] = _NOISYMIX
            continue
        # The ninth has the first one's colour, so it gets another marker and line.
        other = _LOOKS[(number + 3 * (number // 8)) % 8]
        looks[name] = replace(other, colour=_LOOKS[number % 8].colour)
        number += 1
    return looks


def diamond(**more: Any) -> dict[str, Any]:
    """Return how matplotlib draws a number of the paper, with other properties."""
    return {
        "marker": "D", "ms": 6, "mfc": "none", "mec": PAPER, "color": PAPER, "ls": "none",
    } | more  # fmt: skip


def plotly_small_print(figure: Any, lines: Sequence[str]) -> None:
    """Write lines at the foot of a plotly figure of known height, as its title."""
    last = len(lines) - 1
    figure.layout.height += 13 * last
    figure.update_layout(
        title={
            "text": "<br>".join(lines), "font": {"size": 10, "color": PAPER}, "x": 0.99,
            "xanchor": "right", "y": (8 + 13 * last) / figure.layout.height,
            "yanchor": "bottom", "yref": "container", "automargin": True,
        },
        margin_b=max(figure.layout.margin.b or 0, 80 + 13 * last),
    )  # fmt: skip


def plotly_heading(figure: Any, text: str) -> Any:
    """Write a heading above a plotly figure, whose title is the small print at its foot."""
    if text and len(figure.data) > 1:
        figure.update_layout(legend_title={"text": f"<b>{text}</b>", "side": "top"})
    elif text:
        figure.add_annotation(
            text=f"<b>{text}</b>", xref="paper", yref="paper", x=0, y=1, yshift=6, xanchor="left",
            yanchor="bottom", showarrow=False,
        )  # fmt: skip
    return figure


def differing() -> Any:
    """Return the map of differences: two hues that all readers tell apart, white at zero."""
    from matplotlib import colormaps

    # Few steps: a notebook's small palette then holds every one.
    return colormaps["PuOr_r"].resampled(25)


def ink(value: float, reach: float) -> str:
    """Return the colour of text, black or white, that stands out on a field."""
    red, green, blue, _ = differing()((value / reach + 1) / 2)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def dress(ax: Any, grid: str = "both") -> None:
    """Give axes an open frame and a pale grid: "both", "x", "y"; "none" for pictures."""
    if grid == "none":
        return
    ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    if ax.name == "rectilinear":
        ax.spines[["top", "right"]].set_visible(False)


def bare(ax: Any) -> None:
    """Take frame and ticks away."""
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


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
