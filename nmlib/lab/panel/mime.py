"""What Jupyter is given of a panel: the live view, and a still for pages without a kernel.

JupyterLab shows the richest form of an output only, and for a widget that is no longer there an
error. There the still is an output of its own before the live view, and a style shows whichever of
the two has something to show. Elsewhere both are one output.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from nmlib.lab.panel.messages import STATIC

__all__ = ["Bundle", "LiveWithStill", "StillOnly", "widget_view"]

Bundle = tuple[dict[str, Any], dict[str, Any]]
_VIEW = "application/vnd.jupyter.widget-view+json"
_GONE = "The panel itself needs a kernel: run this cell."


class StillOnly:
    """A form without a front end; `still` is given by another base."""

    def still(self) -> Bundle:
        """Return picture and text as MIME data and metadata."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        return self.still()


class LiveWithStill:
    """A form with a front end; comes before the widget class among the bases."""

    def still(self) -> Bundle:
        """Return picture and text as MIME data and metadata."""
        raise NotImplementedError

    def _live(self) -> Bundle:
        """Return the live view as MIME data and metadata; empty if there is none."""
        return widget_view(self.model_id, getattr(super(), "_repr_mimebundle_", None))  # type: ignore[attr-defined]

    def _ipython_display_(self) -> None:
        from nmlib._host import notebook_host

        data, about = self._live()
        if not data or notebook_host() != "jupyter":
            raise NotImplementedError  # IPython goes on with _repr_mimebundle_
        from IPython.display import publish_display_data

        publish_display_data({"text/html": _frame(), "text/plain": ""})
        publish_display_data(*self.still())
        publish_display_data({**data, "text/plain": _GONE}, about)

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        data, about = self._live()
        still, alt = self.still()
        return data | still, about | alt


def widget_view(model_id: str, found: Callable[[], Any] | None) -> Bundle:
    """Return what a widget shows alone.

    Args:
        model_id: Of the widget.
        found: Its own `_repr_mimebundle_`; ipywidgets 7 has none.
    """
    data: dict[str, Any] = {_VIEW: {"version_major": 2, "version_minor": 0, "model_id": model_id}}
    own = found() if found is not None else None
    if isinstance(own, tuple):
        return data | own[0], dict(own[1] or {})
    return data | (own or {}), {}


@cache
def _frame() -> str:
    """Return the style and the script of a cell that holds a panel; nothing of it is seen.

    The three outputs of the cell are this, the still and the live view. Core ipywidgets have no
    script of ours, so it is here that their keys are kept from the notebook.
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
