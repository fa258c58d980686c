"""The panel of the building blocks: a slider for each piece of a NoisyMix step on two images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmlib.data import ImageData
from nmlib.lab.blocks.displays.mixing import MixingDisplay, beta_density
from nmlib.lab.blocks.displays.noise import noise_words
from nmlib.lab.blocks.displays.pixels import as_floats, map_levels
from nmlib.lab.blocks.displays.views import ViewsDisplay
from nmlib.lab.blocks.reading import BLOCK_CONTROLS, STABILITY, Reading, steady_lam, steady_plan
from nmlib.lab.panel import Message, Panel, Reply, open_panel
from nmlib.losses import jensen_shannon_divergence
from nmlib.mixing import Pair
from nmlib.models import StagedModel
from nmlib.models.modes import evaluating
from nmlib.noise import Noise, NoiseDraw
from nmlib.objective import Draws, apply_draws
from nmlib.rng import Rng
from nmlib.views import AugMix

__all__ = ["BuildingBlocks", "building_blocks"]


def drawn(reading: Reading) -> Reply:
    """Return all that the page draws: plain data, and the pictures as bytes.

    The buffers are the views (3, 2, H, W, 3) and the four states at the mix point: (4, h, w, 3)
    pixels at point 0, else (4, n, h, w) indices of the map colours.
    """
    m, v, parts = reading.mixing, reading.views, reading.parts
    coloured = m.pixels is None
    states = map_levels(m.maps[:, m.channels], m.limit) if m.pixels is None else m.pixels
    where = np.linspace(0.01, 0.99, 49)
    content = {
        "words": reading.summary,
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


class BuildingBlocks(Panel):
    """A NoisyMix step on two images.

    Args:
        models: Name -> staged model of images, with mix points 0 to 3.
        data: Images to choose pairs from.
        **settings: Where to start.
    """

    SCRIPT = Path(__file__).parent / "static" / "building_blocks.js"
    CONTROLS = BLOCK_CONTROLS

    def __init__(
        self,
        models: Mapping[str, StagedModel] | StagedModel,
        data: ImageData,
        **settings: Any,
    ) -> None:
        self.models = {"network": models} if isinstance(models, StagedModel) else {**models}
        if not self.models:
            raise ValueError("models is empty; pass a model, or name -> model")
        if not isinstance(data, ImageData):
            raise TypeError(
                f"data must be an ImageData as nm.load returns it, got {type(data).__name__}"
            )
        self.data = data
        names = tuple(self.models)
        last = min(m.num_points for m in self.models.values()) - 1
        top = {"max": min(3, last), "start": min(2, last)}
        narrowed: dict[str, dict[str, Any]] = {
            "net": {"choices": names, "start": names[0]},
            "point": top,
        }
        self.controls = tuple(replace(c, **narrowed.get(c.name, {})) for c in BLOCK_CONTROLS)
        super().__init__(**settings)

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return complete settings, or raise for an unknown name or a value out of range."""
        # AugMix writes a random depth as -1, a slider as its lowest stop.
        random = settings.get("depth") == -1
        return super().checked({**settings, "depth": 0} if random else settings)

    def rows(self, number: int) -> Tensor:
        """Return the rows of two images of different classes."""
        draws = Rng(number).fold("step", "pair").numpy()
        first = int(draws.integers(len(self.data)))
        others = (self.data.labels != self.data.labels[first]).nonzero()[:, 0]
        if not len(others):
            raise ValueError("data holds one class only; a pair needs two")
        return torch.tensor([first, int(others[int(draws.integers(len(others)))])])

    def read(self, settings: Mapping[str, Any]) -> Reading:
        """Compute what the panel shows."""
        s = self.checked(settings)
        rng = Rng(s["seed"]).fold("step")
        model, rows = self.models[s["net"]], self.rows(s["pair"])
        images, labels = self.data.images[rows], self.data.labels[rows]
        lam = steady_lam(s["alpha"], rng.fold("lam", s["draw"]))
        pair = Pair(torch.tensor([1, 0]), lam, lam)
        plan = steady_plan(
            s["op_severity"], s["width"], s["depth"], 2, rng.fold("views", s["pair"])
        )
        views = AugMix(width=s["width"]).apply(as_floats(images), plan)
        noise = (
            Noise(s["sigma_add"], s["sigma_mult"])
            if s["law"] == "paper"
            else Noise.released(s["sigma_add"], s["sigma_mult"])
        )
        classes = self.data.classes
        # One draw of the noise, so that the maps show the noise that the loss has seen.
        with evaluating(model), torch.no_grad():
            like = model(views.flatten(0, 1), stop=s["point"]).unflatten(0, views.shape[:2])
            fields = noise.draw(like, rng.fold("noise"))
            draws = Draws(views, s["point"], (pair,), fields)
            parts = apply_draws(model, labels, draws, stability=STABILITY)
        jsd = jensen_shannon_divergence(parts.logits, from_logits=True)
        mixing = MixingDisplay.from_model(
            model, images, labels, pair, point=s["point"], classes=classes,
            noise=_first_view(fields), noise_name=noise_words(noise), title=s["net"],
        )  # fmt: skip
        shown = ViewsDisplay.from_model(model, views, labels, classes=classes, title=s["net"])
        return Reading(mixing, shown, parts, (float(jsd[0]), float(jsd[1])), plan, s["alpha"])

    @property
    def reading(self) -> Reading:
        """The arrays and numbers at these settings."""
        return self.read(self.settings)

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return all that the page draws."""
        return drawn(self.read(settings))

    def summary(self) -> str:
        return self.reading.summary

    def displays(self) -> tuple[MixingDisplay, ViewsDisplay]:
        """Return the mixing and the views as they are now, as displays."""
        reading = self.reading
        return reading.mixing, reading.views

    def __repr__(self) -> str:
        s = self.settings
        rows = self.rows(s["pair"])
        first, second = (self.data.classes[int(k)] for k in self.data.labels[rows])
        lam = steady_lam(s["alpha"], Rng(s["seed"]).fold("step").fold("lam", s["draw"]))
        sliders = (c for c in self.controls if c.kind == "slider")
        where = ", ".join(f"{c.name}={c.show(s[c.name])}" for c in sliders)
        return (
            f"Building blocks on {self.data.label} at {where}, law={s['law']}, net={s['net']}. "
            f"{first} mixed with {second}, lambda {lam:.2f}, at mix point {s['point']}: images, "
            "feature maps before and after mixing and noise, labels, and the divergence of three "
            "views."
        )


def _first_view(fields: NoiseDraw) -> NoiseDraw:
    """Return the fields of view 0."""
    add, mult = fields.additive, fields.multiplicative
    return NoiseDraw(None if add is None else add[:1], None if mult is None else mult[:1])


def building_blocks(
    models: Mapping[str, StagedModel] | StagedModel,
    data: ImageData,
    *,
    mode: str = "auto",
    **settings: Any,
) -> Any:
    r"""Show a NoisyMix step on two images, with a slider for each of its pieces.

    Args:
        models: A staged model of images with mix points 0 to 3, or several by name.
        data: Images to choose pairs from.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        **settings: Where to start: `alpha` in [0.1, 4], `point` 0 to 3, `sigma_add` and
            `sigma_mult` in [0, 2], `op_severity` in [0.1, 10], `width` 1 to 5, `depth` 1 to 4 (0:
            1 to 3 at random), `law` "paper" or "released", `net` (a name of `models`), and the
            counters `draw` (of lambda), `pair` (of images) and `seed` (of everything else).

    Returns:
        A panel; put it last in a cell. Both forms have `settings`, `reading` and `summary()`.

    Raises:
        ValueError: For an unknown setting or mode, or a value out of range.
        ModuleNotFoundError: Without SciPy.

    Source: paper sec. 3.

    >>> import nmlib as nm
    >>> model = nm.build_model("preact_resnet_small")
    >>> building_blocks(model, nm.load("fashion-mini", "test"), mode="still", alpha=2.0)
    Building blocks on fashion-mini at alpha=2.0, ... and the divergence of three views.
    """
    return open_panel(BuildingBlocks, mode, models, data, **settings)
