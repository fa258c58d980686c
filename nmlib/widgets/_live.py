"""The explorer on a running kernel: an anywidget front end and its Python side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nmlib.explorer import Settings, ToyLab
from nmlib.widgets._controls import CONTROLS
from nmlib.widgets._session import Session
from nmlib.widgets._shared import ExplorerBase

__all__ = ["LiveExplorer", "front_end"]

STATIC = Path(__file__).parent / "static"
PARTS = ("field.js", "charts.js", "transport.js", "explorer.js")


def front_end() -> str:
    """Return the JavaScript of the explorer: its files one after the other, no bundler."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)


class LiveExplorer(ExplorerBase, anywidget.AnyWidget):
    """The explorer with live training.

    Each setting is a trait (`explorer.alpha = 0.5` moves the slider in the browser, and moving the
    slider sets `explorer.alpha`), and so are `lane`, `race` and `playing`. They travel in the
    explorer's own messages rather than as widget state: the reply that carries the picture then
    belongs to the setting that asked for it, and nothing is echoed under a moving finger.

    Args:
        settings: Where to start.
        lane: Scheme shown large.
        race: Show all six instead.
        playing: Train at once.
    """

    _esm = front_end() + "\nexport default { render };\n"
    _css = (STATIC / "explorer.css").read_text(encoding="utf-8")

    alpha = traitlets.Float()
    sigma_add = traitlets.Float()
    sigma_mult = traitlets.Float()
    stability = traitlets.Float()
    seed = traitlets.Int()
    data_seed = traitlets.Int()
    reading = traitlets.Unicode()
    law = traitlets.Unicode()
    learning_rate = traitlets.Float()
    batch_size = traitlets.Int()
    width = traitlets.Int()
    lane = traitlets.Unicode()
    race = traitlets.Bool()
    playing = traitlets.Bool()

    # ipywidgets 7 would print the widget alone, without the picture for pages without a kernel.
    _ipython_display_ = None

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
        self._views: set[str] = set()
        self._quiet = True
        self._sliders: Any = None
        super().__init__()
        self._take(session.params | session.state)
        self._quiet = False
        self.on_msg(self._receive)
        self.observe(self._lead, [*session.params, *session.state])

    # Two threads may set traits: a cell and the one that handles messages. Both hold the lock.

    def _receive(self, _widget: Any, content: dict[str, Any], _buffers: list[Any]) -> None:
        view = str(content.get("view", ""))
        if content.get("kind") == "hello":
            self._views.add(view)
        reply, buffers = self._session.answer(content)
        if reply["kind"] == "hello":
            reply["note"] = self._note
        self.send(reply, buffers)

    def _take(self, values: dict[str, Any]) -> None:
        """Set traits without telling the browser."""
        before, self._quiet = self._quiet, True
        try:
            for name, value in values.items():
                setattr(self, name, value)
        finally:
            self._quiet = before

    def _follow(self, params: dict[str, Any], state: dict[str, Any], view: str) -> None:
        """The browser has changed something: the traits follow, and so do its other views."""
        self._take(params | state)
        if len(self._views) > 1:
            message = {"kind": "set", "rev": self._session.rev, "params": params, "state": state}
            for other in self._views - {view}:
                self.send({**message, "view": other})

    def _lead(self, change: Any) -> None:
        """Python has changed a trait: the lab and the browsers follow."""
        if self._quiet:
            return
        is_state = change["name"] in self._session.state
        values = {change["name"]: change["new"]}
        self.send(self._session.change({} if is_state else values, values if is_state else None))

    @traitlets.validate(*(c.name for c in CONTROLS), "data_seed")
    def _check(self, proposal: Any) -> Any:
        # Settings knows the allowed ranges; its error names the value and the remedy.
        replace(self._session.lab.settings, **{proposal["trait"].name: proposal["value"]})
        return proposal["value"]

    @traitlets.validate("lane")
    def _check_lane(self, proposal: Any) -> Any:
        lanes = self._session.lab.lanes
        if proposal["value"] not in lanes:
            raise ValueError(f"unknown lane {proposal['value']!r}; lanes are {', '.join(lanes)}")
        return proposal["value"]

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture. Hold `lock` while using it: the browser may be training."""
        return self._session.lab

    @property
    def lock(self) -> Any:
        """The lock of the lab."""
        return self._session.lock

    @property
    def sliders(self) -> Any:
        """Ordinary ipywidgets sliders of the same settings, in a box; they lead and follow."""
        if self._sliders is None:
            self._sliders = self._make_sliders()
        return self._sliders

    def _make_sliders(self) -> Any:
        import ipywidgets

        rows = []
        for control in (c for c in CONTROLS if c.slider):
            whole = control.digits == 0
            kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
            number: Callable[[float], float] = int if whole else float
            value = getattr(self, control.name)
            slider = kind(
                value=value,
                min=number(control.min),
                max=max(number(control.max), value),
                step=number(control.step),
                description=control.symbol,
                readout_format="d" if whole else f".{control.digits}f",
                continuous_update=True,
            )
            self._couple(slider, control.name)
            rows.append(slider)
        return ipywidgets.VBox(rows)

    def _couple(self, slider: Any, name: str) -> None:
        # An equal value is not a change, so neither direction answers itself.
        def follow(change: Any) -> None:
            slider.max = max(slider.max, change["new"])  # else the slider would clip the trait
            slider.min = min(slider.min, change["new"])
            slider.value = change["new"]

        def lead(change: Any) -> None:
            with self.lock:
                setattr(self, name, change["new"])

        self.observe(follow, name)
        slider.observe(lead, "value")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        still, about = self.still()
        return {**data, **still}, {**(metadata or {}), **about}
