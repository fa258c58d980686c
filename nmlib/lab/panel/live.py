"""The live form of a panel: the browser asks, the kernel answers one question at a time."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import anywidget
import traitlets

from nmlib.lab.panel.base import Panel
from nmlib.lab.panel.controls import Control
from nmlib.lab.panel.messages import Message, Reply, answered
from nmlib.lab.panel.mime import STATIC

__all__ = ["live_class", "script"]


def script(panel: type[Panel]) -> str:
    """Return a panel's JavaScript as one module: the shared files, then its own."""
    parts = (STATIC / "keys.js", STATIC / "panel.js", panel.SCRIPT)
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def _trait(control: Control) -> Any:
    if control.kind == "switch":
        return traitlets.Bool(control.start)
    if control.kind in ("radio", "list"):
        return traitlets.Unicode(control.start or "")
    return traitlets.Float(control.start) if control.digits else traitlets.Int(control.start)


@cache
def live_class(panel: type[Panel]) -> Any:
    """Return the widget class of a panel; every setting is a trait that Python and page change."""
    names = [control.name for control in panel.CONTROLS]

    class Live(panel, anywidget.AnyWidget):  # type: ignore[misc,valid-type,unused-ignore]
        _esm = script(panel)
        _controls: Any = traitlets.List().tag(sync=True)

        def _begin(self, settings: dict[str, Any]) -> None:
            specs = [control.spec() for control in self.controls]
            anywidget.AnyWidget.__init__(self, _controls=specs, **settings)
            self._lock = threading.RLock()  # JupyterLab may answer messages on a second thread
            self.on_msg(self._receive)

        def _current(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in names}

        @traitlets.validate(*names)
        def _check(self, proposal: Any) -> Any:
            name = proposal["trait"].name
            return self.checked({name: proposal["value"]})[name]

        def _ask(self, message: Message) -> Reply:
            settings = self.checked(message.table("settings", needed=True))
            reply, buffers = self.answer(settings, message)
            return {"kind": "answer", **reply}, buffers

        def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
            with self._lock:
                self.send(*answered(content, self._ask))

    traits = {control.name: _trait(control).tag(sync=True) for control in panel.CONTROLS}
    about = {"__module__": panel.__module__, "__doc__": panel.__doc__}
    return type(panel.__name__, (Live,), {**traits, **about})
