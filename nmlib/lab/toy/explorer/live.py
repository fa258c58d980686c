"""The explorer on a running kernel: an anywidget front end and its Python side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from nmlib.lab.panel import Bundle, WithStill
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.explorer.still import Explorer, still_sliders
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["LiveExplorer", "front_end"]

STATIC = Path(__file__).parent / "static"
PARTS = ("field.js", "charts.js", "transport.js", "explorer.js")
MOST_VIEWS = 16


def front_end() -> str:
    """Return the JavaScript of the explorer: its files one after the other, no bundler."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)


class SliderBox(WithStill, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
    """Ordinary sliders below one another, and their values as text where there is no kernel."""

    lab: ToyLab

    def still(self) -> Bundle:
        """Return the values as MIME data, and no metadata."""
        return still_sliders(self.lab)


class LiveExplorer(Explorer, anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
    """The explorer with live training; Python and the browser can both change it.

    Each setting is a trait: `explorer.alpha = 0.5` moves the slider on the page, and moving the
    slider sets `explorer.alpha`. So are `lane`, `race` and `playing`.

    Settings travel in the explorer's own messages and not as widget state. The reply that carries a
    picture then belongs to the setting that asked for it, and nothing is echoed under a moving
    finger.

    Args:
        settings: Where to start.
        lane: Scheme shown large.
        race: Show all six instead.
        playing: Train at once.
        **changes: Settings by name.
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

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lane: str = "noisymix",
        race: bool = False,
        playing: bool = True,
        **changes: Any,
    ) -> None:
        self._session = Session(
            ToyLab(settings, **changes), lane=lane, race=race, playing=playing,
            on_browser=self._browser_changed,
        )  # fmt: skip
        self._views: dict[str, None] = {}
        self._sliders: Any = None
        super().__init__()
        self._set_traits(self._session.params | self._session.state)
        self.observe(self._trait_changed, [*self._session.params, *self._session.state])
        self.on_msg(self._receive)

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture. Hold `lock` while using it: the browser may be training."""
        return self._session.lab

    @property
    def lock(self) -> Any:
        """The lock of the lab."""
        return self._session.lock

    # Two threads may set traits: a cell and the one that handles messages. Both hold the lock.

    def _trait_changed(self, change: Any) -> None:
        """Pass a new value of a trait on to the lab and the page, unless they have it already.

        Values are compared. A flag "the browser did it" would also silence what another thread, or
        an observer of the first trait, sets meanwhile.
        """
        name, value = change["name"], change["new"]
        with self.lock:
            if (self._session.params | self._session.state)[name] == value:
                return
            values = {name: value}
            is_state = name in self._session.state
            self.send(self._session.change({} if is_state else values, values if is_state else {}))
            # The browser may have set the trait while this waited for the lock; the last one wins.
            setattr(self, name, value)

    def _set_traits(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    @traitlets.validate(*(c.name for c in TOY_CONTROLS), "data_seed")
    def _check(self, proposal: Any) -> Any:
        # Settings checks the range; its error names the value and the remedy.
        replace(self._session.lab.settings, **{proposal["trait"].name: proposal["value"]})
        return proposal["value"]

    @traitlets.validate("lane")
    def _check_lane(self, proposal: Any) -> Any:
        lanes = self._session.lab.lanes
        if proposal["value"] not in lanes:
            raise ValueError(f"unknown lane {proposal['value']!r}; lanes are {', '.join(lanes)}")
        return proposal["value"]

    def _receive(self, _widget: Any, content: Any, _buffers: list[Any]) -> None:
        # The reply leaves before anything that another thread changes after it.
        with self.lock:
            reply, buffers = self._session.answer(content)
            if reply["kind"] != "error" and reply.get("view"):
                self._remember(str(reply["view"]))
            self.send(reply, buffers)

    def _remember(self, view: str) -> None:
        """Keep the views that asked last; a page that is loaded again does not say goodbye."""
        self._views.pop(view, None)
        self._views[view] = None
        while len(self._views) > MOST_VIEWS:
            del self._views[next(iter(self._views))]

    def _browser_changed(self, params: dict[str, Any], state: dict[str, Any], view: str) -> None:
        """Pass a change of the browser on to the traits and to the browser's other views."""
        self._set_traits(params | state)
        if len(self._views) > 1:
            message = {"kind": "set", "rev": self._session.rev, "params": params, "state": state}
            for other in [name for name in self._views if name != view]:
                self.send({**message, "view": other})

    @property
    def sliders(self) -> Any:
        """Ordinary ipywidgets sliders of the same settings, in a box; they lead and follow."""
        if self._sliders is None:
            self._sliders = SliderBox([self._slider(c) for c in TOY_CONTROLS if c.kind == "slider"])
            self._sliders.lab = self.lab
        return self._sliders

    def _slider(self, control: Any) -> Any:
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

        # An equal value is no change, so neither direction answers itself.
        def follow(change: Any) -> None:
            # Otherwise the slider would clip the trait.
            slider.max = max(slider.max, change["new"])
            slider.min = min(slider.min, change["new"])
            slider.value = change["new"]

        def lead(change: Any) -> None:
            with self.lock:
                setattr(self, control.name, change["new"])

        self.observe(follow, control.name)
        slider.observe(lead, "value")
        return slider
