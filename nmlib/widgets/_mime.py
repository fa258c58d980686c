"""What Jupyter is given of a panel: the live view, and a still for pages without a kernel."""

from __future__ import annotations

from typing import Any

__all__ = ["LiveWithStill", "StillOnly"]

Bundle = tuple[dict[str, Any], dict[str, Any]]


class StillOnly:
    """A form without a front end; `still` is given by another base."""

    def still(self) -> Bundle:
        """Return picture and text as MIME data and metadata."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        return self.still()


class LiveWithStill:
    """A form with a front end; comes before the widget class among the bases."""

    # ipywidgets 7 would show the widget alone, without the picture for pages without a kernel.
    _ipython_display_ = None

    def still(self) -> Bundle:
        """Return picture and text as MIME data and metadata."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}  # type: ignore[attr-defined]
        data: dict[str, Any] = {"application/vnd.jupyter.widget-view+json": view}
        about: dict[str, Any] = {}
        parent = getattr(super(), "_repr_mimebundle_", None)  # ipywidgets 7 has none
        if parent is not None:
            live = parent(**kwargs)
            found, more = live if isinstance(live, tuple) else (live or {}, {})
            data, about = data | found, about | (more or {})
        still, alt = self.still()
        return data | still, about | alt
