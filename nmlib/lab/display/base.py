"""The base of all displays: `plot()`, `plotly()`, and how they show themselves in a notebook.

A display is a frozen dataclass of arrays. It follows scikit-learn's manner: `from_...` makes it,
`plot(ax=None)` draws it and returns it, with `ax_` and `figure_` set. To write one:

    @dataclass(frozen=True, eq=False)
    class GainsDisplay(Display):
        gains: Mapping[str, float]

        image = "lines"     # how a notebook stores the picture, see `IMAGES`
        grid = "x"          # which grid lines the axes have

        @property
        def summary(self): ...           # the picture in words; its alt text

        def _axes(self):                 # default: one pair of axes
            return new_figure(9, 3).subplots(1, 2)

        def _draw(self, ax):             # axes of _axes(), or the reader's, already dressed
            left, right = ax

        def _plotly(self): ...           # only where hovering helps; returns a go.Figure

        @property
        def small_print(self):           # default: conditions.full
            return f"paper: Table 4; ours: {self.conditions}"

The base does the rest: frames and grids, the small print of both forms, the plotly template, and
the three forms that a notebook stores.
"""

from __future__ import annotations

import base64
import copy
import io
import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from nmlib.lab.display.conditions import Conditions, small_print, wrapped
from nmlib.lab.display.looks import PLOTLY_TEMPLATE, dress, new_figure, plotly_small_print

__all__ = ["IMAGES", "Display", "Live", "compact_json", "jpeg", "png"]

IMAGES: dict[str, dict[str, Any]] = {
    # Few colours keep notebooks small; the octree keeps those of thin lines.
    "lines": {"colours": 64, "octree": True},
    "fields": {"colours": 160},
    "maps": {"colours": 128, "octree": True},
    "photographs": {},
}
"""How a notebook stores the picture of a display: a palette for PNG, or JPEG for photographs."""

_PLOTLY = "application/vnd.plotly.v1+json"


def png(figure: Any, *, dpi: float = 80, colours: int = 160, octree: bool = False) -> bytes:
    """Return a matplotlib figure as a small PNG with a palette.

    Args:
        figure: The figure.
        dpi: Resolution.
        colours: Size of the palette, 2 to 256.
        octree: Choose the palette by octree: keeps neighbouring hues apart where there are many,
            and the colours of thin lines, which the default gives up first.
    """
    from PIL import Image

    raw = io.BytesIO()
    figure.savefig(raw, dpi=dpi, format="png")
    packed = io.BytesIO()
    with Image.open(raw) as image:
        method = Image.Quantize.FASTOCTREE if octree else Image.Quantize.MEDIANCUT
        flat = image.convert("RGB").quantize(colours, method, dither=Image.Dither.NONE)
        flat.save(packed, format="png", optimize=True)
    return packed.getvalue()


def jpeg(pixels: np.ndarray, quality: int = 82) -> bytes:
    """Return (H, W, 3) uint8 pixels as a JPEG."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "jpeg", quality=quality, optimize=True)
    return packed.getvalue()


def compact_json(value: Any) -> Any:
    """Return a plotly figure's dictionary as small plain JSON.

    Arrays become single precision in base64, on one line: a notebook would give every number of a
    list a line of its own. Numbers outside arrays keep five digits.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        value = _packed(value)
    if isinstance(value, dict):
        if value.get("dtype") == "f8":
            array = np.frombuffer(base64.b64decode(value["bdata"]))
            return value | _packed(array)
        return {key: compact_json(v) for key, v in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [compact_json(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as plotly.js reads it: bytes as they are, all else in single precision."""
    array = array if array.dtype == np.uint8 else array.astype("<f4")
    found = {"dtype": array.dtype.str[1:], "bdata": base64.b64encode(array.tobytes()).decode()}
    if array.ndim > 1:
        found["shape"] = ", ".join(map(str, array.shape))
    return found


@dataclass(frozen=True, eq=False)
class Display(ABC):
    """A picture that also has words, and an interactive form where hovering helps.

    Put it last in a cell. JupyterLab, VS Code and Colab show the interactive form, GitHub and
    nbviewer the picture, screen readers the summary. After `plot()` a notebook shows what was
    plotted, with the reader's changes.

    Attributes:
        conditions: What the numbers were measured on; a text is the name of the data.
        origin: Where the numbers come from, a line below the small print of a picture that is
            published alone.
        ax_: The axes, or an array of them, after `plot()`.
        figure_: The figure, after `plot()`.
    """

    conditions: Conditions = field(default=Conditions(), kw_only=True)
    origin: str = field(default="", kw_only=True)
    ax_: Any = field(init=False, repr=False)
    figure_: Any = field(init=False, repr=False)

    image: ClassVar[str] = "fields"
    grid: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", Conditions.of(self.conditions))

    @property
    @abstractmethod
    def summary(self) -> str:
        """What the picture shows, in words."""

    @property
    def small_print(self) -> str:
        """What stands in the lower right corner of both forms."""
        return self.conditions.full

    @property
    def corner(self) -> str:
        """The small print with the origin."""
        return "\n".join(filter(None, (self.small_print, self.origin)))

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw with matplotlib.

        Args:
            ax: Axes to draw into, as many as there are panels. By default a new figure is made,
                with the small print in its corner.
            **kwargs: Options of the display, if it has any.

        Returns:
            The display itself, with the axes in `ax_` and their figure in `figure_`.

        Raises:
            ValueError: For too many or too few axes, or axes of another projection.
        """
        axes = self._axes()
        if ax is None:
            small_print(_figure(axes), self.corner)
        else:
            _same_kind(type(self).__name__, given=ax, wanted=axes)
            axes = ax
        for one in np.ravel(axes):
            dress(one, self.grid)
        self._draw(axes, **kwargs)
        # Past the frozen dataclass's __setattr__.
        vars(self).update(ax_=axes, figure_=_figure(axes))
        return self

    def _axes(self) -> Any:
        """Return the axes of a new figure."""
        return new_figure(7, 4.2).add_subplot()

    @abstractmethod
    def _draw(self, ax: Any, *args: Any, **kwargs: Any) -> None:
        """Draw into axes like those of `_axes`."""

    def plotly(self) -> Any:
        """Return the interactive form as a plotly figure.

        Raises:
            NotImplementedError: If the display has none.
        """
        figure = self._plotly()
        figure.layout.template = PLOTLY_TEMPLATE
        if figure.layout.height is None:
            # JupyterLab shows the picture until the pointer is on it; then nothing must jump.
            figure.layout.height = max(340, round(80 * _figure(self._axes()).get_figheight()))
        if any(a.yref == "paper" and a.y == 1 for a in figure.layout.annotations):
            # The legend stands above the headings of panels.
            figure.layout.legend.y = figure.layout.legend.y or 1 + 30 / (figure.layout.height - 130)
        if self.corner:
            plotly_small_print(figure, wrapped(self.corner, 3.5).split("\n"))
        return figure

    @property
    def is_interactive(self) -> bool:
        """Whether there is a plotly form."""
        return type(self)._plotly is not Display._plotly

    def _plotly(self) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} has no interactive form; plot() draws it with matplotlib"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data: dict[str, Any] = {"text/plain": self.summary}
        figure = vars(self).get("figure_")
        if getattr(getattr(figure, "canvas", None), "manager", None) is not None:
            return data, {}  # pyplot shows its figures itself
        if figure is None:
            figure = copy.copy(self).plot().figure_
            data |= self._interactive()
        mime, picture = self._picture(figure)
        return data | {mime: picture}, {mime: {"alt": self.summary}}

    def _picture(self, figure: Any) -> tuple[str, bytes]:
        if self.image != "photographs":
            return "image/png", png(figure, **IMAGES[self.image])
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        return "image/jpeg", jpeg(np.ascontiguousarray(pixels))

    def _interactive(self) -> dict[str, Any]:
        if not self.is_interactive:
            return {}
        try:
            import plotly.io as pio
        except ModuleNotFoundError:
            return {}
        figure = compact_json(self.plotly().to_plotly_json())
        if "google.colab" in sys.modules:  # knows no plotly, but runs scripts
            return dict(pio.renderers["colab"].to_mimebundle(figure))
        return {_PLOTLY: figure | {"config": {"displaylogo": False, "responsive": True}}}


def _figure(axes: Any) -> Any:
    return np.ravel(axes)[0].figure


def _same_kind(name: str, *, given: Any, wanted: Any) -> None:
    """Check a reader's axes against those that the display would make."""
    mine, theirs = np.ravel(given), np.ravel(wanted)
    if len(mine) != len(theirs):
        raise ValueError(f"{name} draws into {len(theirs)} axes, got {len(mine)}")
    for ax, like in zip(mine, theirs, strict=True):
        if ax.name != like.name:
            raise ValueError(
                f"{name} needs {like.name} axes, got {ax.name} ones; make them with "
                f"subplot_kw={{'projection': {like.name!r}}}"
            )


class Live:
    """A display of numbers that were trained a moment ago, which no two kinds of machine share.

    Its plain text says what it is and no number, so that a strict comparison of notebooks passes on
    any machine; the alt text of the picture has the numbers. Attributes are the display's.

    Args:
        display: What to show.
    """

    def __init__(self, display: Any) -> None:
        self.display = display

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.display, name)

    def __repr__(self) -> str:
        words = self.display.__doc__ or ""
        return f"{type(self.display).__name__}: {words.splitlines()[0] if words else ''}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data, metadata = self.display._repr_mimebundle_(include, exclude)
        return data | {"text/plain": repr(self)}, metadata
