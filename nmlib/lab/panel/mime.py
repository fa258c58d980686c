"""What a notebook shows of a panel: the live view, and a still picture for pages without a kernel.

JupyterLab shows only the richest form of an output, and an error for a widget that no longer
exists. There the still is an output of its own before the live view, and a style hides one of the
two. Elsewhere both are one output.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from nmlib._host import notebook_host
from nmlib.lab.display.base import Display

__all__ = ["STATIC", "Bundle", "WithStill", "picture_of"]

STATIC = Path(__file__).parent / "static"
Bundle = tuple[dict[str, Any], dict[str, Any]]
_VIEW = "application/vnd.jupyter.widget-view+json"
_GONE = "The panel itself needs a kernel: run this cell."


class WithStill:
    """An object that a notebook shows live if it is a widget, and as a picture and a text if not.

    Comes before the widget class among the bases.

    Attributes:
        note: One line below the still: how to get the live form. Empty if there is nothing to say.
    """

    note: str = ""

    def still(self) -> Bundle:
        """Return picture and text as MIME data and metadata."""
        raise NotImplementedError

    def _live(self) -> Bundle:
        """Return the live view as MIME data and metadata; empty if there is none."""
        model = getattr(self, "model_id", None)
        if model is None:
            return {}, {}
        view = {_VIEW: {"version_major": 2, "version_minor": 0, "model_id": model}}
        # anywidget says where Colab finds its widget manager; ipywidgets 7 has no such method.
        own: Any = getattr(super(), "_repr_mimebundle_", dict)()
        if isinstance(own, tuple):
            return view | own[0], dict(own[1] or {})
        return view | (own or {}), {}

    def _ipython_display_(self) -> None:
        data, about = self._live()
        apart = bool(data) and notebook_host() == "jupyter"
        if not apart and not self.note:
            raise NotImplementedError  # IPython goes on with _repr_mimebundle_
        from IPython.display import publish_display_data

        if apart:
            publish_display_data({"text/html": _frame(), "text/plain": ""})
        publish_display_data(*self.still())
        if apart:
            publish_display_data({**data, "text/plain": _GONE}, about)
        else:
            publish_display_data({"text/plain": self.note})

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        data, about = self._live()
        still, alt = self.still()
        return data | still, about | alt


def picture_of(*displays: Display) -> tuple[str, bytes]:
    """Return MIME type and bytes of the picture of a display, or of several below one another."""
    found = []
    for display in displays:
        data, _ = display._repr_mimebundle_()
        found += [(kind, data[kind]) for kind in data if kind.startswith("image/")]
    if len(found) == 1:
        return found[0]
    from PIL import Image

    pictures = [Image.open(io.BytesIO(picture)).convert("RGB") for _, picture in found]
    size = max(p.width for p in pictures), sum(p.height for p in pictures)
    sheet, packed, top = Image.new("RGB", size, "white"), io.BytesIO(), 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    flat = sheet.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    flat.save(packed, "png", optimize=True)
    return "image/png", packed.getvalue()


@cache
def _frame() -> str:
    """Return an invisible output with the style and the script of a cell that holds a panel.

    The three outputs of the cell are this one, the still and the live view. Core ipywidgets (the
    explorer's row of sliders) load no script of ours, so this one keeps their keys from the
    notebook.
    """
    child, body = ".jp-OutputArea-child", "> .jp-OutputArea-output >"
    frame = f"{child}:has(.nmlib-frame)"
    hidden = (
        frame,
        # A view is a widget inside the output after the still; without a model it is mere text.
        f"{frame} + {child}:has(+ {child} {body} .lm-Widget)",
        f"{frame} + {child} + {child}:not(:has({body} *))",
    )
    style = f"{', '.join(hidden)} {{ display: none }}"
    keys = (STATIC / "keys.js").read_text(encoding="utf-8")
    script = (
        f"(() => {{ {keys}\n"
        'const area = document.currentScript?.closest(".jp-OutputArea");\n'
        "if (area) keepKeys(area); })();"
    )
    return f'<div class="nmlib-frame"><style>{style}</style><script>{script}</script></div>'
