"""How Display objects show themselves in a notebook: a picture with words beside it."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any, ClassVar

__all__ = ["Live", "Shown", "png"]


def png(figure: Any, *, dpi: float = 80, colours: int = 160, octree: bool = False) -> bytes:
    """Return a matplotlib figure as a small PNG (palette of `colours`, so notebooks stay small).

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


class Shown:
    """Mixin: put the object last in a cell and it draws itself, with its summary as alt text.

    Subclasses have a property `summary` (what the figure says, in words) and a method `plot()`
    that returns a matplotlib figure. `flat` is for lines and bars without gradients: their picture
    in a notebook has few colours, and keeps those of thin lines.
    """

    flat: ClassVar[bool] = False

    @property
    @abstractmethod
    def summary(self) -> str: ...

    @abstractmethod
    def plot(self) -> Any: ...

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        palette: dict[str, Any] = {"colours": 64, "octree": True} if self.flat else {}
        data = {"text/plain": self.summary, "image/png": png(self.plot(), **palette)}
        return data, {"image/png": {"alt": self.summary}}


class Live:
    """A display of numbers that were trained a moment ago, which no two kinds of machine share.

    Its plain text says what it is and no number, so that a strict comparison of notebooks passes on
    any machine; the alt text of the picture has the numbers. Attributes are the display's.

    Args:
        display: What to show.
    """

    def __init__(self, display: Shown) -> None:
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
