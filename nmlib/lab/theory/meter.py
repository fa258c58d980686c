"""The theory meter: sliders, measured loss against expansion, amber where they part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nmlib.lab.panel import Control, Message, Panel, Reply, open_panel
from nmlib.lab.theory.displays import MeterDisplay
from nmlib.theory import MeterReading, meter_reading

__all__ = ["TheoryMeter", "theory_meter"]

METER_CONTROLS = (
    Control("eps", "ε, scale of everything", 0.3, spoken="epsilon"),
    Control("alpha", "α, how evenly pairs mix", 1.0, 0.1, 4.0, 0.1, 1, spoken="alpha"),
    Control("sigma_add", "σ add, additive noise", 0.4, step=0.02, spoken="sigma add"),
    Control("sigma_mult", "σ mult, multiplicative noise", 0.2, step=0.02, spoken="sigma mult"),
    Control(
        "part", "Which loss", "nfm", kind="radio", choices=("nfm", "stability"),
        words=("NFM loss", "stability loss"),
    ),
)  # fmt: skip
# What stands beside each term; the levels are part of its value.
TERMS: dict[str, str] = {
    "R1": "mixing, first order: how the loss changes along the way from a sample to its partners",
    "R2": "mixing, second order, from the gradient of the network: large where it is steep",
    "R3": "mixing, second order, from the curvature of the network",
    "R2_add": "additive noise times the squared gradient: penalises steepness, never negative",
    "R2_mult": "multiplicative noise times the gradient, scaled by the input: never negative",
    "R3_add": "additive noise times the curvature of the network",
    "R3_mult": "multiplicative noise times the curvature, scaled by the input",
}
_BY = {"mix": "mixing", "add": "additive noise", "mult": "multiplicative noise"}
_PARTS = {
    "grad": "the curvature of the network, weighted by the gradient of the divergence",
    "diag": "each view moved by itself: a penalty on steepness where the views agree",
    "cross": "two views moved together: takes away what they share; 0 for independent noise",
}
STABILITY_TERMS = {
    "R1": "mixing, first order: how the divergence of the views changes along it"
} | {
    f"{by}_{part}": f"{_BY[by]}, second order: {words}"
    for by in _BY
    for part, words in _PARTS.items()
}
CURVE = tuple(k / 10 for k in range(11))


def readings(settings: dict[str, Any]) -> tuple[MeterReading, ...]:
    """Return the readings at every eps of the curve."""
    return tuple(meter_reading(**settings | {"eps": eps}) for eps in CURVE)


class TheoryMeter(Panel):
    """Measured loss against expansion.

    Args:
        **settings: Where to start.
    """

    SCRIPT = Path(__file__).parent / "static" / "theory_meter.js"
    CONTROLS = METER_CONTROLS

    @property
    def reading(self) -> MeterReading:
        """The reading at these settings."""
        return meter_reading(**self.settings)

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return all that the page draws."""
        reading, curve = meter_reading(**settings), readings(settings)
        content = {
            "eps": reading.eps,
            "measured": reading.measured,
            "expanded": reading.expanded,
            "miss": min(reading.miss, 1e6),
            "parted": reading.parted,
            "terms": reading.terms,
            "words": TERMS if settings["part"] == "nfm" else STABILITY_TERMS,
            "curve": {
                "eps": list(CURVE),
                "measured": [r.measured for r in curve],
                "expanded": [r.expanded for r in curve],
            },
        }
        return content, []

    def summary(self) -> str:
        s, reading = self.settings, self.reading
        name = {"nfm": "NFM loss", "stability": "Stability loss"}[s["part"]]
        verdict = "amber: they part" if reading.parted else "they agree"
        where = ", ".join(f"{c.name}={c.show(s[c.name])}" for c in self.controls[:-1])
        return (
            f"Theory meter at {where}. {name}: measured {reading.measured:.3g}, expansion "
            f"{reading.expanded:.3g}, off by {100 * reading.miss:.2g} % of the change; {verdict}."
        )

    def __repr__(self) -> str:
        return self.summary()

    def displays(self) -> tuple[MeterDisplay]:
        """Return the meter as it is now, as a display."""
        return (MeterDisplay(self.reading, readings(self.settings), self.summary()),)


def theory_meter(*, mode: str = "auto", **settings: Any) -> Any:
    r"""Show measured loss against expansion, with sliders for eps, alpha and the noise levels.

    Args:
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        **settings: Where to start: `eps` in [0, 1], `alpha` in [0.1, 4], `sigma_add` and
            `sigma_mult` in [0, 1], `part` "nfm" or "stability".

    Returns:
        A meter; put it last in a cell. Both forms have `settings`, `reading` and `summary()`.

    Raises:
        ValueError: For an unknown setting or mode, or a value out of range.

    Source: paper eqs. 9 and 38.

    >>> theory_meter(mode="still", eps=0.1)
    Theory meter at eps=0.10, ... they agree.
    """
    return open_panel(TheoryMeter, mode, **settings)
