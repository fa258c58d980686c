"""The panel of the building blocks: a slider for each piece of a NoisyMix step on two images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmlib.data import ImageData
from nmlib.lab.blocks.bench import BENCH_CONTROLS, STABILITY, Bench, Reading, summary
from nmlib.lab.blocks.displays.mixing import MixingDisplay, beta_density
from nmlib.lab.blocks.displays.pixels import map_levels
from nmlib.lab.blocks.displays.views import ViewsDisplay
from nmlib.lab.panel import Message, Panel, Reply, open_panel
from nmlib.models import StagedModel

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


class BuildingBlocks(Panel):
    """A NoisyMix step on two images.

    Args:
        bench: Networks and images.
        **settings: Where to start.
    """

    SCRIPT = Path(__file__).parent / "static" / "building_blocks.js"
    CONTROLS = BENCH_CONTROLS

    def __init__(self, bench: Bench, **settings: Any) -> None:
        self.bench, self.controls = bench, bench.controls
        super().__init__(**settings)

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return complete settings, or raise for an unknown name or a value out of range."""
        return self.bench.checked(settings)

    @property
    def reading(self) -> Reading:
        """The arrays and numbers at these settings."""
        return self.bench.read(self.settings)

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Return all that the page draws."""
        return drawn(self.bench.read(settings))

    def summary(self) -> str:
        return summary(self.reading)

    def displays(self) -> tuple[MixingDisplay, ViewsDisplay]:
        """Return the mixing and the views as they are now, as displays."""
        reading = self.reading
        return reading.mixing, reading.views

    def __repr__(self) -> str:
        return self.bench.words(self.settings)


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
    return open_panel(BuildingBlocks, mode, Bench(models, data), **settings)
