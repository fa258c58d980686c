"""The explorer where there is no front end: a picture and a text."""

from __future__ import annotations

from typing import Any

from nmlib.lab.panel.mime import StillOnly
from nmlib.lab.toy.explorer.shared import ExplorerBase, sliders_still
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["StillExplorer"]


class StillSliders(StillOnly):
    """The sliders of an explorer that does not move: what they would say."""

    def __init__(self, lab: ToyLab) -> None:
        self.lab = lab

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the text as MIME data, and no metadata."""
        return sliders_still(self.lab)

    def __repr__(self) -> str:
        return self.still()[0]["text/plain"]


class StillExplorer(ExplorerBase):
    """A picture of the six trained schemes and a text; nothing moves."""

    def __init__(self, settings: Settings | None = None, *, note: str = "", **changes: Any) -> None:
        self._lab = ToyLab(settings, **changes)
        self.note = note

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        return self._lab

    @property
    def sliders(self) -> StillSliders:
        """The settings that have a slider, as text."""
        return StillSliders(self._lab)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self.still()
        if self.note:
            data["text/plain"] += f"\nNothing moves here: {self.note}."
        return data, metadata
