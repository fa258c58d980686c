"""The form that a panel takes here: live, or a still picture and a text."""

from __future__ import annotations

from typing import Any

from nmlib._checks import choice
from nmlib._host import choose_form
from nmlib.lab.panel.base import Panel

__all__ = ["choose_mode", "open_panel"]

MODES = ("auto", "live", "still")


def choose_mode(mode: str) -> tuple[str, str]:
    """Return "live" or "still", and one line that says how to get the live form if it is missing.

    Args:
        mode: "live", "still", or "auto" for the better of the two that works here.

    Raises:
        ValueError: For another mode.
    """
    choice("mode", mode, MODES)
    if mode != "auto":
        return mode, ""
    form = choose_form()
    note = f"A still picture: {form.reason}. To make it live: {form.remedy}" if form.remedy else ""
    return form.name, note


def open_panel(panel: type[Panel], mode: str, /, *parts: Any, **settings: Any) -> Any:
    """Return a panel in the form that is wanted.

    Args:
        panel: The class.
        mode: "auto", "live" or "still".
        *parts: What the panel works on.
        **settings: Where to start.

    Raises:
        ValueError: For an unknown mode or setting, or a value out of range.
    """
    mode, note = choose_mode(mode)
    if mode == "live":
        from nmlib.lab.panel.live import live_class

        return live_class(panel)(*parts, **settings)  # type: ignore[arg-type]
    made = panel(*parts, **settings)
    made.note = note
    return made
