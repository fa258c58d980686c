"""What the two explorers with a front end share: a trait for each setting, and sliders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ipywidgets
import traitlets

from nmlib.lab.panel.mime import LiveWithStill
from nmlib.lab.toy.explorer.controls import CONTROLS
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.explorer.shared import ExplorerBase, sliders_still
from nmlib.lab.toy.lab import ToyLab

__all__ = ["LedExplorer"]


class SliderBox(LiveWithStill, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
    """Ordinary sliders below one another, and their values as text where there is no kernel."""

    lab: ToyLab

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values as MIME data, and no metadata."""
        return sliders_still(self.lab)


class LedExplorer(ExplorerBase, LiveWithStill, traitlets.HasTraits):
    """An explorer that Python and a browser can both lead.

    Each setting is a trait: `explorer.alpha = 0.5` moves the slider on the page, and moving the
    slider sets `explorer.alpha`. So are `lane`, `race` and `playing`. Subclasses set `_session`
    before anything else and call `_begin`.
    """

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

    _session: Session
    _sliders: Any = None

    def _begin(self) -> None:
        """Fill the traits and start to watch them."""
        self._take(self._session.params | self._session.state)
        self.observe(self._lead, [*self._session.params, *self._session.state])

    def _lead(self, change: Any) -> None:
        """A trait has another value: the lab and the page follow, unless they have it already.

        Compared are values. A flag that says 'the browser did it' would also silence what another
        thread, or an observer of the first trait, sets meanwhile.
        """
        name, value = change["name"], change["new"]
        with self.lock:
            if (self._session.params | self._session.state)[name] == value:
                return
            is_state = name in self._session.state
            values = {name: value}
            self._tell(self._session.change({} if is_state else values, values if is_state else {}))
            # The browser may have set the trait while this waited for the lock; the last one wins.
            setattr(self, name, value)

    def _tell(self, message: dict[str, Any]) -> None:
        """Bring a change to the page."""
        raise NotImplementedError

    def _take(self, values: dict[str, Any]) -> None:
        """Let traits follow what the lab and the session have."""
        for name, value in values.items():
            setattr(self, name, value)

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
        box = SliderBox(rows)
        box.lab = self.lab
        return box

    def _couple(self, slider: Any, name: str) -> None:
        # An equal value is not a change, so neither direction answers itself.
        def follow(change: Any) -> None:
            if hasattr(slider, "max"):  # else the slider would clip the trait
                slider.max = max(slider.max, change["new"])
                slider.min = min(slider.min, change["new"])
            slider.value = change["new"]

        def lead(change: Any) -> None:
            with self.lock:
                setattr(self, name, change["new"])

        self.observe(follow, name)
        slider.observe(lead, "value")
