"""The explorer where there is no front end: a picture and a text."""

from __future__ import annotations

from typing import Any

from nmlib.explorer import Settings, ToyLab
from nmlib.widgets._shared import ExplorerBase

__all__ = ["StillExplorer"]


class StillExplorer(ExplorerBase):
    """A picture of the six trained schemes and a text; nothing moves."""

    def __init__(self, settings: Settings | None = None, *, note: str = "", **changes: Any) -> None:
        self._lab = ToyLab(settings, **changes)
        self.note = note

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        return self._lab

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self.still()
        if self.note:
            data["text/plain"] += f"\nNothing moves here: {self.note}."
        return data, metadata
