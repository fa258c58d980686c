"""What all panels share: controls, messages of the page, the live form and the still picture.

A new panel is a subclass of `Panel` and a script; `nmlib/lab/theory/meter.py` is a small example.
"""

from nmlib.lab.panel.base import Panel
from nmlib.lab.panel.controls import Control, checked_settings
from nmlib.lab.panel.forms import choose_mode, open_panel
from nmlib.lab.panel.messages import Message, Reply, answered
from nmlib.lab.panel.mime import Bundle, WithStill, picture_of

__all__ = [
    "Bundle",
    "Control",
    "Message",
    "Panel",
    "Reply",
    "WithStill",
    "answered",
    "checked_settings",
    "choose_mode",
    "open_panel",
    "picture_of",
]
