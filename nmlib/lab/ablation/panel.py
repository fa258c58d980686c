"""The ablation lab: four switches, three levels, a network trained on the spot and placed.

The browser is the clock in the live and in the basic form. A thread of the kernel trains; what the
browser asks for is a look at how far it is, so cells are not blocked, and no message is ever sent
from that thread (Colab would not deliver it).
"""

from __future__ import annotations

import base64
import html
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nmlib import _checks
from nmlib.lab.ablation.lab import LEVELS, AblationLab, LabSettings
from nmlib.lab.ablation.lab_table import LabTable, lab_table
from nmlib.lab.ablation.view import LETTERS, loss_svg, row_key, status_words, table_html
from nmlib.lab.panel.messages import Message, Reply, answered, fitted, pong, script
from nmlib.lab.panel.mime import LiveWithStill, StillOnly
from nmlib.training import Budget

__all__ = ["AblationLabStill", "LabSession", "ablation_lab"]

_SWITCHES = (
    ("augmentations", "Augmentations", "AugMix"),
    ("feature_mixing", "Feature mixing", "manifold mixup at a random layer"),
    ("noise_injections", "Noise", "at the same layer, released law"),
    ("jsd_loss", "JSD loss", "between three views, times 12"),
)
SWITCHES: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "label": label, "help": words, "letter": letter}
    for (name, label, words), letter in zip(_SWITCHES, LETTERS, strict=True)
)
_SLIDERS = (
    ("alpha", "α, how evenly pairs mix", "alpha", "feature_mixing"),
    ("sigma_add", "σ add, additive noise", "sigma add", "noise_injections"),
    ("sigma_mult", "σ mult, multiplicative noise", "sigma mult", "noise_injections"),
)
SLIDERS: tuple[dict[str, Any], ...] = tuple(
    {
        "name": name, "label": label, "spoken": spoken, "needs": needs, "step": 0.05, "digits": 2,
        "min": LEVELS[name][0], "max": LEVELS[name][1],
    }
    for name, label, spoken, needs in _SLIDERS
)  # fmt: skip
STATIC = Path(__file__).parent / "static"
SCRIPT, CSS = STATIC / "ablation_lab.js", STATIC / "ablation_lab.css"


def _css() -> str:
    return CSS.read_text(encoding="utf-8")


def _refuse(text: str) -> dict[str, Any]:
    return {"kind": "view", "error": text}


class LabSession:
    """Answers a browser's questions about a lab; knows no widget library.

    Args:
        lab: The lab.
        settings: Where the switches stand.

    Attributes:
        lab: The lab.
        settings: Where the switches stand; None while a browser shows something out of range.
    """

    def __init__(self, lab: AblationLab, settings: LabSettings) -> None:
        self.lab, self.settings = lab, settings
        self._lock = threading.RLock()
        self._table: tuple[int, LabTable] | None = None
        # What the switches say goes with the gap between a press and the first news of it.
        self._refused = ""

    def table(self) -> LabTable:
        """Return the table as it is now."""
        with self._lock:
            count = len(self.lab.results)
            if self._table is None or self._table[0] != count:
                self._table = (count, lab_table(self.lab))
            return self._table[1]

    def fresh(self) -> str:
        """Return the key of the row that was trained last; empty if none was."""
        status = self.lab.snapshot()
        return row_key(status.settings) if status.state == "done" and status.settings else ""

    def train(self) -> None:
        """Begin to train what the switches say; what cannot be trained is told by `view`."""
        self._refused = ""
        try:
            self.lab.start(self.settings)
        except ValueError as error:
            self._refused = str(error)

    def answer(self, request: object) -> dict[str, Any] | None:
        """Answer one question: settings in, everything that the page shows out.

        None is the answer to a message that is not the lab's.
        """
        with self._lock:
            reply = answered(request, {"ask": self._answer, "ping": pong}, _refuse)
        return None if reply is None else reply[0]

    def _answer(self, request: Message) -> Reply:
        problem = ""
        seen, settings = request.table("seen"), request.table("settings")
        action = request.one_of("action", ("train", "stop"))
        try:
            self.settings = LabSettings(**settings)
        except (TypeError, ValueError) as error:
            problem = str(error)
        if action == "train" and not problem:
            self.train()
        elif action == "stop":
            self.lab.cancel()
        reply = self.view(seen)
        if problem:
            reply |= {"problem": problem, "code": "", "known": False}
        return reply, []

    def view(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """Return what to show; table and curve only if they are not the ones `seen`."""
        settings, status, table = self.settings, self.lab.snapshot(), self.table()
        problem = settings.problem or (self._refused if not status.busy else "")
        words = status_words(status, table)
        trained = status.settings
        if status.state == "done" and trained and trained.canonical != settings.canonical:
            words = f"Trained last: {words}"
        reply: dict[str, Any] = {
            "kind": "view",
            "problem": problem,
            "note": settings.note,
            "key": row_key(settings),
            "fresh": self.fresh(),
            "known": settings.canonical in self.lab.results,
            "code": "" if settings.problem else self.lab.as_code(settings),
            "status": {
                "state": status.state,
                "busy": status.busy,
                "job": status.job,
                "share": round(status.share, 4),
                "words": words,
            },
            "tableVersion": len(self.lab.results),
            "curveVersion": f"{status.job} {status.part} {len(status.losses)}",
        }
        if seen.get("table") != reply["tableVersion"]:
            reply["table"] = table_html(table, interactive=True)
        if seen.get("curve") != reply["curveVersion"]:
            reply["curve"] = loss_svg(status)
        return reply


class _Lab:
    """What every form has."""

    _session: LabSession

    @property
    def lab(self) -> AblationLab:
        """The lab: `lab.results` holds reports and networks."""
        return self._session.lab

    @property
    def settings(self) -> LabSettings:
        """Where the switches stand."""
        return self._session.settings

    def table(self) -> LabTable:
        """Return the table as it is now."""
        return self._session.table()

    def as_code(self) -> str:
        """Return Python that trains and measures the same without the lab."""
        return self.lab.as_code(self.settings)

    def __repr__(self) -> str:
        s = self.settings
        levels = f", {s.levels}" if s.levels else ""
        return (
            f"Ablation lab at {s.switches.ticks()}{levels}, seed {s.seed}; "
            f"{len(self.lab.results)} trained here on {self.lab.conditions}"
        )

    def summary(self) -> str:
        """Return the table as text."""
        return f"{self!r}\n{self.table().text()}"

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return picture and text for pages without a kernel, as MIME data and metadata."""
        from nmlib.lab.ablation.displays.placed import AblationLabDisplay
        from nmlib.lab.display.base import png

        shown = AblationLabDisplay(self.table())
        live = "Live in a notebook: switches, sliders and Train; a picture here."
        text = f"{self!r}.\n{shown.summary} {live}"
        picture = base64.b64encode(png(shown.plot().figure_)).decode("ascii")
        return {"text/plain": text, "image/png": picture}, {"image/png": {"alt": text}}


class _LabWidget(_Lab, LiveWithStill):
    """A form with a front end; comes before the widget class among the bases."""


class AblationLabStill(_Lab, StillOnly):
    """The lab where there is no front end: the table as a picture; `lab.train()` still trains."""

    def __init__(self, session: LabSession) -> None:
        self._session = session


def ablation_lab(
    lab: AblationLab | None = None,
    *,
    mode: str = "auto",
    budget: str | Budget = "smoke",
    settings: LabSettings | None = None,
    **changes: Any,
) -> Any:
    r"""Train a combination of NoisyMix's four parts while you watch, and see where it stands.

    Args:
        lab: A lab with results of its own; default a new one.
        mode: "live" (anywidget), "basic" (core ipywidgets only), "still" (a picture and text), or
            "auto": the best of them that works here.
        budget: How much a new lab trains.
        settings: Where to start; default the paper's NoisyMix.
        **changes: Settings by name: `augmentations`, `feature_mixing`, `noise_injections`,
            `jsd_loss` (bool), `alpha`, `sigma_add`, `sigma_mult`, `seed`.

    Returns:
        A lab with switches; put it last in a cell. All kinds have `lab`, `settings`, `table()`,
        `as_code()` and `summary()`.

    Raises:
        ValueError: For an unknown mode, a setting out of range, or both `lab` and `budget`.

    Source: paper Table 4.

    >>> ablation_lab(mode="still", feature_mixing=False, seed=1)
    Ablation lab at ✓✗✓✓, σ_add 0.50, σ_mult 0.50, seed 1; 0 trained here on fashion-mini, ...
    """
    _checks.choice("mode", mode, ("auto", "live", "basic", "still"))
    if lab is not None and budget != "smoke":
        raise ValueError("a lab has its budget already; give lab or budget, not both")
    for name in changes:
        _checks.choice("setting", name, LabSettings.__dataclass_fields__)
    chosen = replace(settings or LabSettings(), **changes)
    session = LabSession(AblationLab(budget) if lab is None else lab, chosen)
    if mode == "auto":
        from nmlib._host import choose_transport

        mode = choose_transport().name
    if mode == "live":
        return _live_class()(session)
    if mode == "basic":
        return _basic_class()(session)
    return AblationLabStill(session)


def _live_class() -> Any:
    """Define the live widget where anywidget is installed."""
    import anywidget
    import traitlets

    class LiveAblationLab(_LabWidget, anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        """The live lab."""

        _esm = script(SCRIPT)
        _css = _css()
        _controls: Any = traitlets.Dict().tag(sync=True)
        _settings: Any = traitlets.Dict().tag(sync=True)

        def __init__(self, session: LabSession) -> None:
            self._session = session
            super().__init__(
                _controls={"switches": list(SWITCHES), "levels": list(SLIDERS)},
                _settings=asdict(session.settings),
            )
            self.on_msg(self._receive)

        def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
            reply = self._session.answer(content)
            if reply is not None:
                self.send(reply)

    return LiveAblationLab


def _basic_class() -> Any:
    """Define the form of core ipywidgets."""
    import ipywidgets

    class BasicAblationLab(_LabWidget, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
        """Checkboxes and sliders above status, loss curve and table."""

        def __init__(self, session: LabSession) -> None:
            self._session = session
            super().__init__()
            s = session.settings
            self._fields: dict[str, Any] = {
                c["name"]: ipywidgets.Checkbox(
                    value=getattr(s, c["name"]), description=f"{c['letter']} {c['label']}",
                    indent=False,
                )
                for c in SWITCHES
            } | {
                c["name"]: ipywidgets.FloatSlider(
                    value=getattr(s, c["name"]), min=c["min"], max=c["max"], step=c["step"],
                    description=c["label"].split(",")[0],
                )
                for c in SLIDERS
            }  # fmt: skip
            self._fields["seed"] = ipywidgets.BoundedIntText(
                value=s.seed, min=0, max=999, description="seed"
            )
            for field in self._fields.values():
                field.observe(self._changed, "value")
            self._train = ipywidgets.Button(description="Train", button_style="primary")
            self._train.on_click(lambda _: self._press("train"))
            self._stop = ipywidgets.Button(description="Stop", disabled=True)
            self._stop.on_click(lambda _: self._press("stop"))
            # Its clock runs in the browser and asks how far the training is.
            self._clock = ipywidgets.Play(
                min=0, max=100_000, interval=500, layout=ipywidgets.Layout(display="none")
            )
            self._clock.observe(lambda _: self._refresh(), "value")
            self._running = "playing" if self._clock.has_trait("playing") else "_playing"
            self._words, self._curve, self._placed = (ipywidgets.HTML() for _ in range(3))
            self._shown: dict[str, str] = {}
            row = ipywidgets.Layout(flex_flow="row wrap")
            controls = ipywidgets.VBox(
                [
                    *fitted(*self._fields.values()),
                    ipywidgets.HBox([self._train, self._stop]),
                    self._clock,
                ]
            )
            said = ipywidgets.VBox(
                [self._words, self._curve],
                layout=ipywidgets.Layout(flex="1 1 300px", min_width="280px", max_width="520px"),
            )
            self.children = (
                ipywidgets.HTML(f"<style>{_css()}</style><b>Ablation lab</b>"),
                ipywidgets.Box([controls, said], layout=row),
                self._placed,
            )
            self._refresh()

        def _changed(self, _: Any) -> None:
            self._refresh()

        def _press(self, action: str) -> None:
            self._refresh(action)

        def _refresh(self, action: str = "") -> None:
            values = {name: field.value for name, field in self._fields.items()}
            request: dict[str, Any] = {"kind": "ask", "settings": values}
            if action:
                request["action"] = action
            reply = self._session.answer(request) or {}
            status = reply["status"]
            for control in SLIDERS:
                self._fields[control["name"]].disabled = not values[control["needs"]]
            self._train.disabled = status["busy"] or bool(reply["problem"])
            self._stop.disabled = not status["busy"]
            lines = [status["words"], reply["note"]]
            text = "".join(f'<p role="status">{html.escape(line)}</p>' for line in lines if line)
            if reply["problem"]:
                text = f'<p class="nl-problem">{html.escape(reply["problem"])}</p>{text}'
            table = table_html(self.table(), key=reply["key"], fresh=reply["fresh"])
            self._show(self._words, f'<div class="nl-basic">{text}</div>')
            if "curve" in reply:
                self._show(self._curve, f'<div class="nl-basic">{reply["curve"]}</div>')
            self._show(self._placed, f'<div class="nl-basic nl-placed">{table}</div>')
            if getattr(self._clock, self._running) != status["busy"]:
                setattr(self._clock, self._running, status["busy"])

        @staticmethod
        def _show(field: Any, text: str) -> None:
            if field.value != text:
                field.value = text

    return BasicAblationLab
