"""What the explorer offers, for Python and for the page: settings and stories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmlib.data.toy import POLYGON_VERTICES
from nmlib.lab.panel import Control
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.lab.toy.shapes import SHAPES
from nmlib.schemes import READINGS

__all__ = ["STORIES", "TOY_CONTROLS", "Story", "about"]

# Fine steps where the effect is, coarse ones up to the paper's value.
_STABILITY_STOPS = (
    *(round(0.05 * k, 2) for k in range(20)),
    *(round(1 + 0.1 * k, 1) for k in range(10)),
    *(float(k) for k in range(2, 13)),
)

TOY_CONTROLS: tuple[Control, ...] = (
    Control(
        "alpha", "Mixing", min=0.05, max=2.0, step=0.05, symbol="α",
        help="λ ~ Beta(α, α): larger mixes more evenly", unit="parameter of the Beta law",
    ),
    Control(
        "sigma_add", "Additive noise", max=0.5, symbol="σ_add",
        help="standard deviation; the outer ring has radius 1", unit="standard deviation",
    ),
    Control(
        "sigma_mult", "Multiplicative noise", max=0.8, symbol="σ_mult",
        help="relative to the activation", unit="of the activation",
    ),
    Control(
        "stability", "JSD weight", max=12.0, step=0.05, symbol="γ",
        help="how much disagreement between the views costs; 12 in the paper",
        unit="weight of the divergence", values=_STABILITY_STOPS,
    ),
    Control(
        "seed", "Seed", max=49, step=1, digits=0, symbol="seed",
        help="of the initial weights, batches, pairs and noise",
    ),
    Control(
        "data_seed", "Data seed", None, 0, 999, 1, 0, "field", symbol="data",
        help="of the points",
    ),
    Control(
        "shape", "Shape", kind="list", choices=tuple(SHAPES), words=(
            "polygon band (the paper's)", "circle", "exclusive or", "two clouds", "spiral",
            "two moons",
        ), symbol="shape", help="of the data",
    ),
    Control(
        "data_noise", "Noise of the data", max=0.6, symbol="noise", help="how far points stray",
    ),
    Control(
        "reading", "What disagrees", kind="list", choices=tuple(READINGS), words=(
            "views with partners of their own", "a mixed view and the unmixed one",
            "views with noise of their own",
        ), symbol="reading", help="what the paper's 'JSD without augmentation' compares",
    ),
    Control(
        "law", "Noise law", kind="list", choices=("paper", "released"), words=(
            "the paper's formula", "the released code's",
        ), symbol="law", help="Gaussian, or sparse with a random scale for each view",
    ),
    Control(
        "learning_rate", "Learning rate", None, 0.0005, 0.2, 0.0005, 4, "field", symbol="lr",
        help="of Adam",
    ),
    Control(
        "batch_size", "Batch size", None, 2, 250, 1, 0, "field", symbol="B", help="points a step"
    ),
    Control(
        "width", "Hidden units", None, 1, 256, 1, 0, "field", symbol="H",
        help="of the one hidden layer",
    ),
    Control(
        "epochs", "Epochs", None, 1, 400, 1, 0, "field", symbol="epochs",
        help="after which training stops",
    ),
)  # fmt: skip
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


@dataclass(frozen=True)
class Story:
    """Settings that show something, and the sentence that says what.

    Attributes:
        name: What the button says.
        words: What there is to see; true of the mean over seeds 0 to 3 (tests/lab/toy).
        settings: What differs from the defaults.
    """

    name: str
    words: str
    settings: dict[str, Any]


STORIES: tuple[Story, ...] = (
    Story(
        "A small class: smoothing costs",
        "A fifth of the points are blue. Whatever smooths the boundary takes points from them: "
        "NoisyMix has the shorter boundary and the lower accuracy.",
        {},
    ),
    Story(
        "It overfits: smoothing is free",
        "Two noisy moons, a wide network, long training. The baseline follows single points; "
        "NoisyMix does not, and is right more often.",
        {"shape": "moons", "data_noise": 0.5, "epochs": 300, "width": 200, "learning_rate": 0.1},
    ),
    Story(
        "Fine structure: too smooth",
        "A spiral has to be followed closely. Mixing joins points of different arms, and NoisyMix "
        "never finds them.",
        {"shape": "spiral"},
    ),
    Story(
        "Agreement wins: collapse",
        "The paper's weight 12, here with views that are mixed with different partners. A network "
        "that always says the same agrees with itself perfectly.",
        {"stability": 12.0},
    ),
)
"""Settings with a sentence each; buttons of the explorer."""


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
        if control.kind == "list":
            spec = {k: v for k, v in spec.items() if k not in ("min", "max", "step", "digits")}
        specs.append(spec)
    return {
        "specs": specs,
        "lanes": list(ToyLab.lanes),
        "presets": [{"name": s.name, "words": s.words, "settings": s.settings} for s in STORIES],
        "polygon": [list(map(float, corner)) for corner in POLYGON_VERTICES],
        "band": 0.1,
        "extent": ToyLab.EXTENT,
    }
