"""What the explorer offers, for Python and for the page: settings, stories and their texts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from nmlib._checks import choice
from nmlib.data.toy import POLYGON_VERTICES
from nmlib.lab.panel import Control
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.lab.toy.shapes import SHAPES
from nmlib.schemes import READINGS

__all__ = ["LANGUAGES", "STORIES", "TOY_CONTROLS", "about", "strings"]

STATIC = Path(__file__).parent / "static"
LANGUAGES = tuple(sorted(path.stem for path in (STATIC / "strings").glob("*.json")))
"""A file of static/strings each."""


@cache
def strings(language: str) -> dict[str, str]:
    """Return every text of the explorer in a language, by its key."""
    language = choice("language", language, LANGUAGES)
    table: dict[str, str] = json.loads((STATIC / f"strings/{language}.json").read_text("utf-8"))
    return table


# Fine steps where the effect is, coarse ones up to the paper's value.
_STABILITY_STOPS = (
    *(round(0.05 * k, 2) for k in range(20)),
    *(round(1 + 0.1 * k, 1) for k in range(10)),
    *(float(k) for k in range(2, 13)),
)


def _control(name: str, **what: Any) -> Control:
    """A setting with its English texts."""
    texts = strings("en")
    words = tuple(texts[f"{name}.{choice}"] for choice in what.get("choices", ()))
    given: dict[str, Any] = {
        part: texts.get(f"{name}.{part}", "") for part in ("symbol", "help", "unit")
    }
    return Control(name, texts[name], words=words, **given, **what)


TOY_CONTROLS: tuple[Control, ...] = (
    _control("alpha", min=0.05, max=2.0, step=0.05),
    _control("sigma_add", max=0.5),
    _control("sigma_mult", max=0.8),
    _control("stability", max=12.0, step=0.05, values=_STABILITY_STOPS),
    _control("seed", max=49, step=1, digits=0),
    _control("data_seed", max=999, step=1, digits=0, kind="field"),
    _control("shape", kind="list", choices=tuple(SHAPES)),
    _control("data_noise", max=0.6),
    _control("reading", kind="list", choices=tuple(READINGS)),
    _control("law", kind="list", choices=("paper", "released")),
    _control("learning_rate", min=0.0005, max=0.2, step=0.0005, digits=4, kind="field"),
    _control("batch_size", min=2, max=250, step=1, digits=0, kind="field"),
    _control("width", min=1, max=256, step=1, digits=0, kind="field"),
    _control("epochs", min=1, max=400, step=1, digits=0, kind="field"),
)
"""Every setting of the lab, as the explorer offers it."""

# Where a slider's end is not the last value that a link or Python may ask for.
_MOST: dict[str, float] = {
    "alpha": 100.0, "sigma_add": 5.0, "sigma_mult": 5.0, "stability": 1000.0, "seed": 2**32 - 1,
    "data_seed": 2**32 - 1, "data_noise": 2.0, "learning_rate": 10.0, "batch_size": 5000,
    "width": 512, "epochs": 2000,
}  # fmt: skip
_LEAST: dict[str, float] = {"alpha": 0.01, "learning_rate": 1e-6, "batch_size": 1}
# Sliders whose end of meaning, the collapse, the page looks for.
_EDGES = ("alpha", "sigma_add", "sigma_mult", "stability")


STORIES: dict[str, dict[str, Any]] = {
    "small": {},
    "overfits": {
        "shape": "moons", "data_noise": 0.5, "epochs": 300, "width": 200, "learning_rate": 0.1,
    },
    "fine": {"shape": "spiral"},
    "collapse": {"stability": 12.0},
}  # fmt: skip
"""Settings that show something: what differs from the defaults. Buttons of the explorer, whose
texts are true of the mean over seeds 0 to 3 (tests/browser/test_engine.py)."""


def about() -> dict[str, Any]:
    """Return what the page needs to know of the lab, as plain data."""
    start = Settings()
    specs = []
    for control in TOY_CONTROLS:
        spec = control.spec() | {
            "start": getattr(start, control.name),
            "slider": control.kind == "slider" and control.name != "data_noise",
            "edge": control.name in _EDGES,
        }
        for name, table in (("least", _LEAST), ("most", _MOST)):
            if control.name in table:
                spec[name] = table[control.name]
        left_out = ["label", "help", "symbol", "unit", "words"]  # the page has them in its language
        if control.kind == "list":
            left_out += ["min", "max", "step", "digits"]
        specs.append({k: v for k, v in spec.items() if k not in left_out})
    return {
        "specs": specs,
        "lanes": list(ToyLab.lanes),
        "presets": [{"name": name, "settings": settings} for name, settings in STORIES.items()],
        "polygon": [list(map(float, corner)) for corner in POLYGON_VERTICES],
        "band": 0.1,
        "extent": ToyLab.EXTENT,
    }
