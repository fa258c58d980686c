"""The explorer in a notebook: the page trains, Python holds the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets
from numpy.typing import ArrayLike

import nmlib
from nmlib.lab.panel import WithStill
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS, about, strings
from nmlib.lab.toy.explorer.page import front_end, style
from nmlib.lab.toy.explorer.still import Explorer, still_sliders
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["LiveExplorer"]

VIEWS = ("pair", "one", "six")
# Of a checkout; a wheel comes without it.
PAGE = Path(nmlib.__file__).resolve().parents[1] / "figures" / "explorer.html"


class SliderBox(WithStill, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
    """Ordinary sliders below one another, and their values as text where there is no kernel."""

    def __init__(self, explorer: LiveExplorer, rows: list[Any]) -> None:
        super().__init__(rows)
        self._explorer = explorer

    def still(self) -> Any:
        """Return the values as MIME data, and no metadata."""
        return still_sliders(self._explorer.lab, self._explorer.language)


def _trait(name: str) -> Any:
    start = getattr(Settings(), name)
    kinds = {float: traitlets.Float, int: traitlets.Int, str: traitlets.Unicode}
    return kinds[type(start)](start).tag(sync=True)


class LiveExplorer(Explorer, anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
    """The explorer on a page of the notebook.

    Each setting is a trait, on both sides: `explorer.alpha = 0.5` moves the slider, moving the
    slider sets `explorer.alpha`, and `ipywidgets.link((explorer, "alpha"), (mine, "value"))` joins
    a widget of your own. So are `lane`, `view` ("pair", "one" or "six") and `stopped` (the step at
    which training is held; None to train to the end). A busy or dead kernel changes nothing on the
    page.

    Args:
        settings: Where to start.
        lane: Scheme shown.
        view: "pair" (beside the baseline), "one" or "six".
        playing: Train at once.
        hide: Parts of the page to leave out, see `explore`.
        lesson: Text above the picture.
        language: "en" or "de".
        **changes: Single settings.
    """

    _esm = front_end() + "\nexport default { render };\n"
    _css = style()

    alpha = _trait("alpha")
    sigma_add = _trait("sigma_add")
    sigma_mult = _trait("sigma_mult")
    stability = _trait("stability")
    seed = _trait("seed")
    data_seed = _trait("data_seed")
    shape = _trait("shape")
    data_noise = _trait("data_noise")
    reading = _trait("reading")
    law = _trait("law")
    learning_rate = _trait("learning_rate")
    batch_size = _trait("batch_size")
    width = _trait("width")
    epochs = _trait("epochs")
    about = traitlets.Dict().tag(sync=True)
    lane = traitlets.Unicode("noisymix").tag(sync=True)
    view = traitlets.Unicode("pair").tag(sync=True)
    stopped = traitlets.Int(None, allow_none=True).tag(sync=True)
    own = traitlets.Any(None).tag(sync=True)  # rows [x, y, class, test], or None
    added: Any = traitlets.List().tag(sync=True)
    removed: Any = traitlets.List().tag(sync=True)
    layers = traitlets.Dict().tag(sync=True)
    hide = traitlets.Unicode().tag(sync=True)
    lesson = traitlets.Unicode().tag(sync=True)
    present = traitlets.Bool().tag(sync=True)
    language = traitlets.Unicode("en").tag(sync=True)

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lane: str = "noisymix",
        view: str = "pair",
        playing: bool = True,
        hide: str = "",
        lesson: str = "",
        language: str = "en",
        **changes: Any,
    ) -> None:
        start = replace(settings or Settings(), **changes)
        values = {control.name: getattr(start, control.name) for control in TOY_CONTROLS}
        self._sliders: SliderBox | None = None
        page = {"page": PAGE.as_uri()} if PAGE.is_file() else {}
        super().__init__(
            about=about() | page, lane=lane, view=view, stopped=None if playing else 0, hide=hide,
            lesson=lesson, language=language, **values,
        )  # fmt: skip

    @traitlets.validate(*(control.name for control in TOY_CONTROLS))
    def _check(self, proposal: Any) -> Any:
        # Settings knows the allowed values; its error names the bad one and the remedy.
        name = proposal["trait"].name
        return getattr(replace(Settings(), **{name: proposal["value"]}), name)

    @traitlets.validate("lane")
    def _check_lane(self, proposal: Any) -> Any:
        if proposal["value"] not in ToyLab.lanes:
            known = ", ".join(ToyLab.lanes)
            raise ValueError(f"unknown lane {proposal['value']!r}; lanes are {known}")
        return proposal["value"]

    @traitlets.validate("language")
    def _check_language(self, proposal: Any) -> Any:
        strings(proposal["value"])  # raises
        return proposal["value"]

    @traitlets.validate("view")
    def _check_view(self, proposal: Any) -> Any:
        if proposal["value"] not in VIEWS:
            raise ValueError(f"unknown view {proposal['value']!r}; views are {', '.join(VIEWS)}")
        return proposal["value"]

    def _settings(self) -> dict[str, Any]:
        return {control.name: getattr(self, control.name) for control in TOY_CONTROLS}

    @property
    def lab(self) -> ToyLab:
        """An untrained lab with the settings and the points of the page."""
        lab = ToyLab(**self._settings())
        if self.own is None and not self.added and not self.removed:
            return lab
        rows = lab.points() if self.own is None else self.own
        gone = set(self.removed)
        kept = [row for i, row in enumerate(rows) if i not in gone]
        table = np.array([*kept, *self.added], dtype=float).reshape(-1, 4)
        lab.set_points(table[:, :2], table[:, 2].astype(int), table[:, 3].astype(bool))
        return lab

    def set_points(self, X: ArrayLike, y: ArrayLike, is_test: ArrayLike) -> None:
        """Replace the points on the page; see `ToyLab.set_points`. Coordinates keep 3 decimals."""
        lab = ToyLab()
        lab.set_points(X, y, is_test)
        with self.hold_sync():
            self.own, self.added, self.removed = lab.points(digits=3), [], []

    @property
    def sliders(self) -> Any:
        """Ordinary ipywidgets sliders of the same settings, in a box; they lead and follow."""
        if self._sliders is None:
            self._sliders = SliderBox(
                self, [self._slider(c) for c in TOY_CONTROLS if c.kind == "slider"]
            )
        return self._sliders

    def _slider(self, control: Any) -> Any:
        whole = control.digits == 0
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        value = getattr(self, control.name)
        slider = kind(
            value=value, min=control.min, max=max(control.max, value), step=control.step,
            description=strings(self.language)[f"{control.name}.symbol"],
            readout_format="d" if whole else f".{control.digits}f",
        )  # fmt: skip

        def follow(change: Any) -> None:
            slider.max, slider.min = max(slider.max, change["new"]), min(slider.min, change["new"])
            slider.value = change["new"]

        def lead(change: Any) -> None:
            # The browser's slider counts in floats: 0.85 comes back as 0.8500000000000001.
            setattr(self, control.name, change["new"] if whole else round(change["new"], 6))

        self.observe(follow, control.name)
        slider.observe(lead, "value")
        return slider
