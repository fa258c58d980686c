"""What a panel is: controls, an answer to each setting, and a still picture with a text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nmlib.lab.display.base import Display
from nmlib.lab.panel.controls import Control, checked_settings
from nmlib.lab.panel.messages import Message, Reply
from nmlib.lab.panel.mime import Bundle, WithStill, picture_of

__all__ = ["Panel"]


class Panel(WithStill):
    """A panel without a front end; `open_panel` makes the live form of a subclass.

    A subclass sets `SCRIPT` and `CONTROLS` and writes the abstract methods. Its script defines
    `render` with what `static/panel.js` offers; `lab/theory/meter.py` is a small example.

    Args:
        **settings: Where to start, by the names of the controls.

    Attributes:
        controls: The controls of this panel; the class's, unless what it shows narrows them.
    """

    SCRIPT: ClassVar[Path]
    CONTROLS: ClassVar[tuple[Control, ...]]
    controls: tuple[Control, ...] = ()

    def __init__(self, **settings: Any) -> None:
        self.controls = self.controls or self.CONTROLS
        self._begin(self.checked(settings))

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return complete settings, or raise for an unknown name or a value out of range."""
        return checked_settings(self.controls, settings)

    def _begin(self, settings: dict[str, Any]) -> None:
        """Keep the settings; the live form makes them its traits."""
        self._settings = settings

    def _current(self) -> dict[str, Any]:
        return dict(self._settings)

    @property
    def settings(self) -> Any:
        """The settings now."""
        return self._current()

    @abstractmethod
    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return all that the page draws: plain data, and bytes.

        Args:
            settings: Of the page, checked.
            message: The question, for whatever else the panel's script puts into it.
        """

    @abstractmethod
    def summary(self) -> str:
        """Say in words what the panel shows, with its numbers."""

    @abstractmethod
    def displays(self) -> tuple[Display, ...]:
        """Return the panel as it is now: one display, or several below one another."""

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self._current().items())
        return f"{type(self).__name__}({words})"

    @property
    def caption(self) -> str:
        """Text of the still; the same on every machine, for notebooks are compared."""
        return repr(self)

    def still(self) -> Bundle:
        """Return picture and text for pages without a kernel, as MIME data and metadata."""
        text = self.caption
        kind, picture = picture_of(*self.displays())
        return {"text/plain": text, kind: picture}, {kind: {"alt": text}}
