"""The controls of a panel: one description for the checks in Python and the widgets on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nmlib._checks import choice, integer, number, truth

__all__ = ["Control", "checked_settings"]


@dataclass(frozen=True)
class Control:
    """One setting, the values that it takes, and the widget that changes it.

    Attributes:
        name: Name of the setting.
        label: Text beside the widget.
        start: Value to begin with; its type is that of the setting.
        min: Smallest value of a number.
        max: Largest value of a number.
        step: Distance between the stops of a slider.
        digits: Decimals shown; a setting without decimals is an integer.
        kind: "slider", "switch", "radio" (a few choices), "list" (many choices), "count" (a button
            that adds 1) or "field" (a number to type).
        choices: Values of a setting that is a name.
        words: What the page calls each of the choices; empty: their own names.
        group: Heading above this control and those that follow.
        help: A few words below the label.
        symbol: Short form of the label.
        spoken: What a screen reader says before the value.
        unit: What a screen reader says after the value.
        zero: Words for the value 0.
        values: Stops of a slider with uneven steps, in increasing order.

    >>> Control("alpha", "α", 1.0, 0.1, 4.0).checked(2)
    2.0
    >>> Control("alpha", "α", 1.0, 0.1, 4.0).checked(9)
    Traceback (most recent call last):
    ValueError: alpha must lie in [0.1, 4.0], got 9
    """

    name: str
    label: str
    start: Any = None
    min: float = 0.0
    max: float = 1.0
    step: float = 0.01
    digits: int = 2
    kind: Literal["slider", "switch", "radio", "list", "count", "field"] = "slider"
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    group: str = ""
    help: str = ""
    symbol: str = ""
    spoken: str = ""
    unit: str = ""
    zero: str = ""
    values: tuple[float, ...] = ()

    def checked(self, value: Any) -> Any:
        """Return a value in the setting's own type, or raise an error that names it."""
        if self.kind == "switch":
            return truth(self.name, value)
        if self.kind in ("radio", "list"):
            return choice(self.name, value, self.choices)
        if self.digits == 0:
            return integer(self.name, value, int(self.min), int(self.max))
        return float(number(self.name, value, self.min, self.max))

    def spec(self) -> dict[str, Any]:
        """Return the control as plain data for the page; what is empty is left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name != "start" and value not in ("", ())
        }

    def show(self, value: Any) -> str:
        """Return a value as text."""
        return f"{value:.{self.digits}f}" if isinstance(value, (int, float)) else str(value)


def checked_settings(controls: Iterable[Control], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every control: the one given, else the one to start with.

    Raises:
        ValueError: For an unknown setting, or a value out of range.

    >>> checked_settings([Control("alpha", "α", 1.0), Control("sigma", "σ", 0.2)], {"sigma": 0})
    {'alpha': 1.0, 'sigma': 0.0}
    """
    known = {control.name: control for control in controls}
    for name in settings:
        choice("setting", name, known)
    return {name: c.checked(settings.get(name, c.start)) for name, c in known.items()}
