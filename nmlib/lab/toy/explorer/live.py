"""The explorer on a running kernel: an anywidget front end and its Python side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget

from nmlib.lab.toy.explorer.led import LedExplorer
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["LiveExplorer", "front_end"]

STATIC = Path(__file__).parent / "static"
MOST_VIEWS = 16
PARTS = ("field.js", "charts.js", "transport.js", "explorer.js")


def front_end() -> str:
    """Return the JavaScript of the explorer: its files one after the other, no bundler."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)


class LiveExplorer(LedExplorer, anywidget.AnyWidget):
    """The explorer with live training.

    Settings travel in the explorer's own messages rather than as widget state: the reply that
    carries a picture then belongs to the setting that asked for it, and nothing is echoed under a
    moving finger.

    Args:
        settings: Where to start.
        lane: Scheme shown large.
        race: Show all six instead.
        playing: Train at once.
    """

    _esm = front_end() + "\nexport default { render };\n"
    _css = (STATIC / "explorer.css").read_text(encoding="utf-8")

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lane: str = "noisymix",
        race: bool = False,
        playing: bool = True,
        note: str = "",
        **changes: Any,
    ) -> None:
        lab = ToyLab(settings, **changes)
        session = Session(lab, lane=lane, race=race, playing=playing, on_browser=self._follow)
        self._session = session
        self._note = note
        self._views: dict[str, None] = {}
        super().__init__()
        self._begin()
        self.on_msg(self._receive)

    # Two threads may set traits: a cell and the one that handles messages. Both hold the lock.

    def _receive(self, _widget: Any, content: Any, _buffers: list[Any]) -> None:
        # The reply leaves before anything that another thread changes after it.
        with self.lock:
            reply, buffers = self._session.answer(content)
            if reply["kind"] == "hello":
                reply["note"] = self._note
            if reply["kind"] != "error" and reply.get("view"):
                self._remember(str(reply["view"]))
            self.send(reply, buffers)

    def _remember(self, view: str) -> None:
        """Keep the views that spoke last: a page that is loaded again never says goodbye."""
        self._views.pop(view, None)
        self._views[view] = None
        while len(self._views) > MOST_VIEWS:
            del self._views[next(iter(self._views))]

    def _follow(self, params: dict[str, Any], state: dict[str, Any], view: str) -> None:
        """The browser has changed something: the traits follow, and so do its other views."""
        self._take(params | state)
        if len(self._views) > 1:
            message = {"kind": "set", "rev": self._session.rev, "params": params, "state": state}
            for other in [name for name in self._views if name != view]:
                self.send({**message, "view": other})

    def _tell(self, message: dict[str, Any]) -> None:
        self.send(message)
