"""The building blocks under the hand: mixing, noise and AugMix on two images, all at once."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmlib._checks import choice
from nmlib.data import ImageData
from nmlib.lab.blocks.bench import (
    CONTROLS,
    DEFAULTS,
    LAWS,
    STABILITY,
    STREAMS,
    Bench,
    Reading,
    summary,
)
from nmlib.lab.blocks.displays.mixing import beta_density
from nmlib.lab.blocks.displays.pixels import map_levels
from nmlib.lab.blocks.picture import paint_panel
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
from nmlib.models import StagedModel

__all__ = ["BlocksStill", "building_blocks"]

SCRIPT = Path(__file__).parent / "static" / "building_blocks.js"


def reply_to(reading: Reading) -> Reply:
    """Return all that the front end draws: plain data, and the pictures as bytes.

    The buffers are the views (3, 2, H, W, 3) and the four states at the mix point: (4, h, w, 3)
    pixels at point 0, else (4, n, h, w) indices of the map colours.
    """
    m, v, parts = reading.mixing, reading.views, reading.parts
    coloured = m.pixels is None
    states = map_levels(m.maps[:, m.channels], m.limit) if m.pixels is None else m.pixels
    where = np.linspace(0.01, 0.99, 49)
    content = {
        "kind": "reading",
        "words": summary(reading),
        "names": list(m.names),
        "lam": m.lam,
        "density": np.minimum(beta_density(where, reading.alpha), 4.0).round(3).tolist(),
        "label": m.label_words,
        "shares": m.shares.round(4).tolist(),
        "classes": list(m.classes),
        "point": m.point,
        "total_channels": int(m.maps.shape[1]),
        "limit": m.limit,
        "probs": v.probs.round(4).tolist(),
        "jsd": v.jsd.tolist(),
        "step_jsd": list(reading.step_jsd),
        "top": v.limit,
        "ce": float(parts.ce),
        "mean_jsd": float(parts.jsd),
        "total": float(parts.total),
        "stability": STABILITY,
        "chains": [list(c) for c in reading.chains],
        "mix": reading.plan.mix[:, 0].tolist(),
        "view_shape": list(v.views.shape),
        "state_shape": list(states.shape),
        "coloured": coloured,
    }
    return content, [v.views.tobytes(), np.ascontiguousarray(states).tobytes()]


def _refuse(text: str) -> dict[str, Any]:
    return {"kind": "reading", "error": text}


class _Panel:
    """What all forms of the panel can do."""

    bench: Bench

    @property
    def settings(self) -> dict[str, Any]:
        """The settings now."""
        raise NotImplementedError

    @property
    def reading(self) -> Reading:
        """The arrays and numbers at these settings."""
        return self.bench.read(self.settings)

    def summary(self) -> str:
        """Say in words what the panel shows, with its numbers."""
        return summary(self.reading)

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return picture and text for pages without a kernel, as MIME data and metadata."""
        text = repr(self)
        png = base64.b64encode(paint_panel(self.reading)).decode("ascii")
        return {"text/plain": text, "image/png": png}, {"image/png": {"alt": text}}

    def __repr__(self) -> str:
        return self.bench.words(self.settings)


class BlocksStill(_Panel, StillOnly):
    """The panel where there is no front end: a picture and a text.

    Args:
        bench: Networks and images.
        **settings: Where to start.
    """

    def __init__(self, bench: Bench, **settings: Any) -> None:
        self.bench = bench
        self._settings = bench.checked(settings)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings now."""
        return dict(self._settings)


def building_blocks(
    models: Mapping[str, StagedModel] | StagedModel,
    data: ImageData,
    *,
    mode: str = "auto",
    **settings: Any,
) -> Any:
    r"""Show a NoisyMix step on two images, with a slider for each of its pieces.

    Args:
        models: A staged model of images with mix points 0 to 3, or several by name to switch
            between.
        data: Images to choose pairs from.
        mode: "live" (anywidget), "basic" (core ipywidgets only), "still" (a picture and text), or
            "auto": the best of them that works here.
        **settings: Where to start: `alpha` in [0.1, 4], `point` 0 to 3, `sigma_add` and
            `sigma_mult` in [0, 2], `op_severity` in [0.1, 10], `width` 1 to 5, `depth` 1 to 4 (0:
            1 to 3 at random), `law` "paper" or "released", `net` (a name of `models`), and the
            counters `draw` (of lambda), `pair` (of images) and `seed` (of everything else).

    Returns:
        A panel; put it last in a cell. All kinds have `settings`, `reading` and `summary()`.

    Raises:
        ValueError: For an unknown setting or mode, or a value out of range.
        ModuleNotFoundError: Without SciPy.

    Source: paper sec. 3.

    >>> import nmlib as nm
    >>> model = nm.build_model("preact_resnet_small")
    >>> building_blocks(model, nm.load("fashion-mini", "test"), mode="still", alpha=2.0)
    Building blocks on fashion-mini at alpha=2.0, ... and the divergence of three views.
    """
    choice("mode", mode, ("auto", "live", "basic", "still"))
    bench = Bench(models, data)
    full = bench.checked(settings)
    if mode == "auto":
        from nmlib._host import choose_transport

        mode = choose_transport().name
    if mode == "live":
        return _live_class()(bench, **full)
    if mode == "basic":
        return _basic(bench, full)
    return BlocksStill(bench, **full)


def _live_class() -> Any:
    """Define the live widget where anywidget is installed."""
    import anywidget
    import traitlets

    class BuildingBlocks(_Panel, LiveWithStill, anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        """The live panel: the browser asks, the kernel answers one reading at a time."""

        _esm = script(SCRIPT)
        _controls: Any = traitlets.List().tag(sync=True)
        _nets: Any = traitlets.List().tag(sync=True)
        net = traitlets.Unicode().tag(sync=True)
        alpha = traitlets.Float(DEFAULTS["alpha"]).tag(sync=True)
        point = traitlets.Int(DEFAULTS["point"]).tag(sync=True)
        sigma_add = traitlets.Float(DEFAULTS["sigma_add"]).tag(sync=True)
        sigma_mult = traitlets.Float(DEFAULTS["sigma_mult"]).tag(sync=True)
        op_severity = traitlets.Float(DEFAULTS["op_severity"]).tag(sync=True)
        width = traitlets.Int(DEFAULTS["width"]).tag(sync=True)
        depth = traitlets.Int(DEFAULTS["depth"]).tag(sync=True)
        law = traitlets.Unicode(DEFAULTS["law"]).tag(sync=True)
        draw = traitlets.Int(0).tag(sync=True)
        pair = traitlets.Int(0).tag(sync=True)
        seed = traitlets.Int(0).tag(sync=True)

        def __init__(self, bench: Bench, **settings: Any) -> None:
            self.bench = bench
            super().__init__(_controls=_controls_for(bench), _nets=list(bench.models), **settings)
            # JupyterLab may answer messages on a second thread.
            self._lock = threading.RLock()
            self.on_msg(self._answer)

        @property
        def settings(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in self.bench.defaults}

        @traitlets.validate(*DEFAULTS, "net")
        def _check(self, proposal: Any) -> Any:
            name = proposal["trait"].name
            return self.bench.checked({name: proposal["value"]})[name]

        def _read(self, message: Message) -> Reply:
            return reply_to(self.bench.read(message.table("params", needed=True)))

        def _answer(self, _widget: Any, content: Any, _buffers: Any) -> None:
            with self._lock:
                reply = answered(content, {"read": self._read, "ping": pong}, _refuse)
            if reply is not None:
                self.send(*reply)

    return BuildingBlocks


def _controls_for(bench: Bench) -> list[dict[str, Any]]:
    """Return the controls with the mix points that the networks have."""
    top = {"point": bench.points - 1}
    return [{**c, "max": min(c["max"], top.get(c["name"], c["max"]))} for c in CONTROLS]


def _basic(bench: Bench, settings: dict[str, Any]) -> Any:
    """Build the panel from core ipywidgets: controls above a picture."""
    import ipywidgets

    image = framed(ipywidgets.Image(format="png"), 760)
    text = ipywidgets.HTML()
    wide = {"description_width": "84px"}
    controls: dict[str, Any] = {}
    for c in _controls_for(bench):
        kind = ipywidgets.FloatSlider if c["digits"] else ipywidgets.IntSlider
        controls[c["name"]] = kind(
            value=settings[c["name"]], min=c["min"], max=c["max"], step=c["step"],
            description=c["label"].split(",")[0], continuous_update=True, style=wide,
        )  # fmt: skip
    for name, options in (("law", LAWS), ("net", tuple(bench.models))):
        controls[name] = ipywidgets.Dropdown(
            options=options, value=settings[name], description=name, style=wide
        )
    for name, label in (("draw", "λ number"), ("pair", "pair number"), ("seed", "seed")):
        controls[name] = ipywidgets.BoundedIntText(
            value=settings[name], min=0, max=STREAMS - 1, description=label, style=wide
        )

    class BasicBlocks(_Panel, LiveWithStill, ipywidgets.VBox):  # type: ignore[misc,unused-ignore]
        """Controls and a picture."""

        @property
        def settings(self) -> dict[str, Any]:
            return {name: control.value for name, control in controls.items()}

    rows = ipywidgets.Layout(flex_flow="row wrap")
    panel = BasicBlocks([ipywidgets.Box(fitted(*controls.values()), layout=rows), text, image])
    panel.bench = bench

    def refresh(_change: Any = None) -> None:
        with computing(text, image):
            reading = panel.reading
            image.value = paint_panel(reading)
            text.value = f'<p role="status">{summary(reading)}</p>'

    for control in controls.values():
        control.observe(refresh, names="value")
    refresh()
    return panel
