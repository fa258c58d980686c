"""The theory meter: sliders, measured loss against expansion, amber where they part."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

from nmlib import _checks
from nmlib.lab.panel.messages import (
    Message,
    Reply,
    answered,
    computing,
    fitted,
    framed,
    pong,
    script,
)
from nmlib.lab.panel.mime import LiveWithStill, StillOnly
from nmlib.theory import MeterReading, meter_reading

__all__ = ["MeterStill", "theory_meter"]

SCRIPT = Path(__file__).parent / "static" / "theory_meter.js"
_RANGES = (
    ("eps", "ε, scale of everything", "epsilon", 0.0, 1.0, 0.01, 2),
    ("alpha", "α, how evenly pairs mix", "alpha", 0.1, 4.0, 0.1, 1),
    ("sigma_add", "σ add, additive noise", "sigma add", 0.0, 1.0, 0.02, 2),
    ("sigma_mult", "σ mult, multiplicative noise", "sigma mult", 0.0, 1.0, 0.02, 2),
)
_FIELDS = ("name", "label", "spoken", "min", "max", "step", "digits")
CONTROLS: tuple[dict[str, Any], ...] = tuple(
    dict(zip(_FIELDS, row, strict=True)) for row in _RANGES
)
DEFAULTS: dict[str, Any] = {
    "eps": 0.3, "alpha": 1.0, "sigma_add": 0.4, "sigma_mult": 0.2, "part": "nfm"
}  # fmt: skip
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


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """Return complete settings, or raise for an unknown name or a value out of range."""
    unknown = set(settings) - set(DEFAULTS)
    if unknown:
        raise ValueError(f"unknown setting {sorted(unknown)[0]!r}; there are {', '.join(DEFAULTS)}")
    full = DEFAULTS | settings
    if full["part"] not in ("nfm", "stability"):
        raise ValueError(f"part must be 'nfm' or 'stability', got {full['part']!r}")
    for control in CONTROLS:
        name = control["name"]
        full[name] = float(_checks.number(name, full[name], control["min"], control["max"]))
    return full


def _read(settings: dict[str, Any]) -> MeterReading:
    return meter_reading(**settings)


def reply_to(settings: dict[str, Any]) -> dict[str, Any]:
    """Return all that the front end draws for these settings."""
    settings = _checked(settings)
    reading = _read(settings)
    curve = [_read(settings | {"eps": e}) for e in CURVE]
    return {
        "kind": "reading",
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


def _read_reply(message: Message) -> Reply:
    return reply_to(message.table("params", needed=True)), []


def _refuse(text: str) -> dict[str, Any]:
    return {"kind": "reading", "error": text}


def summary(settings: dict[str, Any]) -> str:
    """Say in words what the meter shows."""
    reading = _read(settings)
    name = {"nfm": "NFM loss", "stability": "Stability loss"}[settings["part"]]
    verdict = "amber: they part" if reading.parted else "they agree"
    where = ", ".join(f"{c['name']}={settings[c['name']]:.{c['digits']}f}" for c in CONTROLS)
    return (
        f"Theory meter at {where}. {name}: measured {reading.measured:.3g}, expansion "
        f"{reading.expanded:.3g}, off by {100 * reading.miss:.2g} % of the change; {verdict}."
    )


def picture(settings: dict[str, Any]) -> bytes:
    """Draw the meter as a PNG."""
    from nmlib.lab.display.base import png
    from nmlib.lab.theory.displays import draw_meter

    return png(draw_meter(reply_to(settings)))


class _Meter:
    """What every form can do; `settings` come from the subclass."""

    settings: Any

    def __repr__(self) -> str:
        return summary(self.settings)

    @property
    def reading(self) -> MeterReading:
        """The reading at these settings."""
        return _read(self.settings)

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return picture and text for pages without a kernel, as MIME data and metadata."""
        text, png = repr(self), base64.b64encode(picture(self.settings)).decode("ascii")
        return {"text/plain": text, "image/png": png}, {"image/png": {"alt": text}}


class MeterStill(_Meter, StillOnly):
    """The meter where there is no front end: a picture and a text."""

    def __init__(self, **settings: Any) -> None:
        self.settings = _checked(settings)


def theory_meter(*, mode: str = "auto", **settings: Any) -> Any:
    r"""Show measured loss against expansion, with sliders for eps, alpha and the noise levels.

    Args:
        mode: "live" (anywidget), "basic" (core ipywidgets only), "still" (a picture and text), or
            "auto": the best of them that works here.
        **settings: Where to start: `eps` in [0, 1], `alpha` in [0.1, 4], `sigma_add` and
            `sigma_mult` in [0, 1], `part` "nfm" or "stability".

    Returns:
        A meter; put it last in a cell. All kinds have `settings` and `reading`.

    Raises:
        ValueError: For an unknown setting or mode, or a value out of range.

    Source: paper eqs. 9 and 38.

    >>> theory_meter(mode="still", eps=0.1)
    Theory meter at eps=0.10, ... they agree.
    """
    from nmlib._checks import choice

    choice("mode", mode, ("auto", "live", "basic", "still"))
    if mode == "auto":
        from nmlib._host import choose_transport

        mode = choose_transport().name
    if mode == "live":
        return _live_class()(**_checked(settings))
    if mode == "basic":
        return _basic(**_checked(settings))
    return MeterStill(**settings)


def _live_class() -> Any:
    """Define the live widget where anywidget is installed."""
    import anywidget
    import traitlets

    class TheoryMeter(_Meter, LiveWithStill, anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        """The live meter: the browser asks, the kernel answers one reading at a time."""

        _esm = script(SCRIPT)
        _controls = traitlets.List(list(CONTROLS)).tag(sync=True)
        eps = traitlets.Float(DEFAULTS["eps"]).tag(sync=True)
        alpha = traitlets.Float(DEFAULTS["alpha"]).tag(sync=True)
        sigma_add = traitlets.Float(DEFAULTS["sigma_add"]).tag(sync=True)
        sigma_mult = traitlets.Float(DEFAULTS["sigma_mult"]).tag(sync=True)
        part = traitlets.Unicode(DEFAULTS["part"]).tag(sync=True)

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            # JupyterLab may answer messages on a second thread.
            self._lock = threading.RLock()
            self.on_msg(self._answer)

        @property
        def settings(self) -> dict[str, Any]:
            """The settings now."""
            return {name: getattr(self, name) for name in DEFAULTS}

        @traitlets.validate(*DEFAULTS)
        def _check(self, proposal: Any) -> Any:
            return _checked({proposal["trait"].name: proposal["value"]})[proposal["trait"].name]

        def _answer(self, _widget: Any, content: Any, _buffers: Any) -> None:
            with self._lock:
                reply = answered(content, {"read": _read_reply, "ping": pong}, _refuse)
            if reply is not None:
                self.send(reply[0])

    return TheoryMeter


def _basic(**settings: Any) -> Any:
    """Build the meter from core ipywidgets: sliders above a picture."""
    import ipywidgets

    image = framed(ipywidgets.Image(format="png"), 640)
    text = ipywidgets.HTML()
    sliders = {
        c["name"]: ipywidgets.FloatSlider(
            value=settings[c["name"]], min=c["min"], max=c["max"], step=c["step"],
            description=c["label"].split(",")[0], continuous_update=True,
        )
        for c in CONTROLS
    }  # fmt: skip
    part = ipywidgets.RadioButtons(options=["nfm", "stability"], value=settings["part"])

    class BasicMeter(_Meter, LiveWithStill, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
        """Sliders and a picture."""

        @property
        def settings(self) -> dict[str, Any]:
            """The settings now."""
            return {k: s.value for k, s in sliders.items()} | {"part": part.value}

    meter = BasicMeter([*fitted(*sliders.values(), part), text, image])

    def refresh(_change: Any = None) -> None:
        with computing(text, image):
            image.value = picture(meter.settings)
            text.value = summary(meter.settings)

    for control in (*sliders.values(), part):
        control.observe(refresh, names="value")
    refresh()
    return meter
