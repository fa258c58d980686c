"""How Display objects show themselves in a notebook: a picture with words beside it."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

__all__ = ["Shown", "png"]


def png(figure: Any, *, dpi: float = 80, colours: int = 160) -> bytes:
    """Return a matplotlib figure as a small PNG (palette of `colours`, so notebooks stay small).

    Args:
        figure: The figure.
        dpi: Resolution.
        colours: Size of the palette, 2 to 256.
    """
    from PIL import Image

    raw = io.BytesIO()
    figure.savefig(raw, dpi=dpi, format="png")
    packed = io.BytesIO()
    with Image.open(raw) as image:
        flat = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        flat.save(packed, format="png", optimize=True)
    return packed.getvalue()


class Shown:
    """Mixin: put the object last in a cell and it draws itself, with its summary as alt text.

    Subclasses have a property `summary` (what the figure says, in words) and a method `plot()`
    that returns a matplotlib figure.
    """

    @property
    @abstractmethod
    def summary(self) -> str: ...

    @abstractmethod
    def plot(self) -> Any: ...

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data = {"text/plain": self.summary, "image/png": png(self.plot())}
        return data, {"image/png": {"alt": self.summary}}
