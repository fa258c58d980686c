"""The settings that a reader changes in the explorer; Python may go beyond the ranges."""

from __future__ import annotations

from nmlib.lab.panel import Control
from nmlib.schemes import READINGS

__all__ = ["TOY_CONTROLS"]

# Fine steps where the effect is, coarse ones up to the paper's value.
_STABILITY_STOPS = (
    *(round(0.05 * k, 2) for k in range(20)),
    *(round(1 + 0.1 * k, 1) for k in range(20)),
    *(3 + 0.5 * k for k in range(19)),
)

TOY_CONTROLS: tuple[Control, ...] = (
    Control(
        "alpha", "Mixing", min=0.05, max=2.0, step=0.05, symbol="α",
        help="λ ~ Beta(α, α): larger mixes more evenly", unit="parameter of the Beta law",
    ),
    Control(
        "sigma_add", "Additive noise", symbol="σ_add",
        help="noise s.d.; the outer ring has radius 1", unit="standard deviation",
    ),
    Control(
        "sigma_mult", "Multiplicative noise", symbol="σ_mult", help="relative to the activation",
        unit="of the activation",
    ),
    Control(
        "stability", "JSD weight", max=12.0, step=0.05, symbol="γ",
        help="pull between views (12 in the paper)", unit="weight of the divergence",
        values=_STABILITY_STOPS,
    ),
    Control(
        "seed", "Seed", max=49, step=1, digits=0, symbol="s",
        help="initial weights, batches, pairs and noise",
    ),
    Control(
        "reading", "JSD without augmentation", kind="list", choices=tuple(READINGS),
        symbol="reading", help="what the views are",
    ),
    Control(
        "law", "Noise law", kind="list", choices=("paper", "released"), symbol="law",
        help="the paper's, or the released code's",
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
)  # fmt: skip
