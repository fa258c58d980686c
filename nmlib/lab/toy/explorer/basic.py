"""The explorer with core ipywidgets only: no JavaScript of ours, works with ipywidgets 7.7."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from nmlib.lab.toy.explorer.controls import CONTROLS, LANE_LABELS
from nmlib.lab.toy.explorer.led import LedExplorer
from nmlib.lab.toy.explorer.picture import encode_png, paint
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.lab import Settings, ToyLab, one_class_words

__all__ = ["BasicExplorer"]

SIDE = 400
# A callback must be short: ipywidgets merges slider events while one runs, so the last one wins.
BUDGET_MS = 60


class BasicExplorer(LedExplorer, ipywidgets.VBox):
    """Sliders, a picture and a line of numbers.

    Moving a slider trains for a moment and draws; the play button's own clock (it runs in the
    browser) or 'Train to the end' goes on from there.

    Args:
        settings: Where to start.
        lane: Scheme shown.
        note: Why this explorer and not the live one, in one line.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lane: str = "noisymix",
        note: str = "",
        **changes: Any,
    ) -> None:
        self._session = Session(ToyLab(settings, **changes), lane=lane, playing=False)
        super().__init__()
        self._begin()
        self._image = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(width="100%", max_width=f"{SIDE}px")
        )
        self._words = ipywidgets.HTML()
        self._picker = ipywidgets.Dropdown(
            options=[(label, name) for name, label in LANE_LABELS.items()],
            value=lane,
            description="scheme",
        )
        self._picker.observe(self._pick, "value")
        self._clock = ipywidgets.Play(
            value=0, min=0, max=100_000, interval=150, description="train a little, repeatedly"
        )
        self._clock.observe(lambda _: self._advance(), "value")
        finish = ipywidgets.Button(description="Train to the end", tooltip="takes about a second")
        finish.on_click(lambda _: self._advance(None))
        again = ipywidgets.Button(description="Reset", tooltip="back to the initial weights")
        again.on_click(lambda _: self._reset())
        fields = [
            ipywidgets.Dropdown(
                options=c.choices, value=getattr(self, c.name), description=c.symbol
            )
            for c in CONTROLS
            if c.choices
        ]
        for field, control in zip(fields, (c for c in CONTROLS if c.choices), strict=True):
            self._couple(field, control.name)
        controls = ipywidgets.VBox(
            [
                self._picker,
                *self.sliders.children,
                *fields,
                ipywidgets.HBox([self._clock]),
                ipywidgets.HBox([finish, again]),
            ]
        )
        said = f"Basic explorer: {note}." if note else "Basic explorer: core ipywidgets only."
        row = ipywidgets.Layout(flex_flow="row wrap")
        self.children = (
            ipywidgets.HTML(
                f"<b>Decision-boundary lab</b> &nbsp;<small>{html.escape(said)}</small>"
            ),
            ipywidgets.Box([self._image, controls], layout=row),
            self._words,
        )
        self._advance()

    def _tell(self, message: dict[str, Any]) -> None:
        if "lane" in message["state"]:
            self._picker.value = message["state"]["lane"]
            self._draw()
        elif message["params"]:
            self._advance()

    def _pick(self, change: Any) -> None:
        self.lane = change["new"]

    def _advance(self, budget_ms: float | None = BUDGET_MS) -> None:
        """Train for a moment, or to the end, and draw."""
        with self.lock:
            if self.lab.done and budget_ms is not None and self._image.value:
                return
            self.lab.step(self.lab.total_steps, budget_ms=budget_ms)
            self._draw()

    def _reset(self) -> None:
        with self.lock:
            self.lab.reset()
            self._draw()

    def _draw(self) -> None:
        with self.lock:
            lane = self._session.state["lane"]
            self._image.value = encode_png(paint(self.lab, lane, SIDE))
            m = self.lab.metrics(lane)
            text = (
                f"{LANE_LABELS[lane]}, step {m['step']} of {self.lab.total_steps}: test accuracy "
                f"{100 * m['test_accuracy']:.1f} %, under test noise "
                f"{100 * m['noisy_accuracy']:.1f} %, boundary {m['boundary_length']:.2f} long, "
                f"{m['errors']} test errors."
            )
            if words := one_class_words(m):
                text += f" <b>{words[0].upper()}{words[1:]}.</b>"
        self._words.value = f'<p role="status">{text}</p>'
        # `alt` is a trait of the image in newer ipywidgets only.
        if self._image.has_trait("alt"):
            self._image.alt = text
