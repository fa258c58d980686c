"""What the explorer lets a person change: one list for every front end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nmlib.schemes import READINGS

__all__ = ["CONTROLS", "LANE_LABELS", "Control"]

LANE_LABELS: dict[str, str] = {
    "baseline": "Baseline",
    "noise_injection": "Noise injection",
    "manifold_mixup": "Manifold mixup",
    "nfm": "NFM",
    "manifold_mixup_jsd": "Manifold mixup + JSD",
    "noisymix": "NoisyMix",
}


@dataclass(frozen=True)
class Control:
    """One setting: its name in `Settings`, its words, and the range offered (not the range allowed).

    Attributes:
        digits: Decimals shown.
        slider: A slider beside the picture; the others are fields under 'More settings'.
        choices: Values of a setting that is not a number.
    """

    name: str
    label: str
    symbol: str
    help: str
    min: float = 0.0
    max: float = 1.0
    step: float = 0.01
    digits: int = 2
    unit: str = ""
    slider: bool = True
    choices: tuple[str, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the control as plain data for the browser."""
        return {**asdict(self), "choices": list(self.choices) or None}


CONTROLS: tuple[Control, ...] = (
    Control(
        "alpha", "Mixing", "α", "λ ~ Beta(α, α): larger mixes more evenly", 0.1, 4.0, 0.1, 1,
        "parameter of the Beta law",
    ),
    Control(
        "sigma_add", "Additive noise", "σ_add", "standard deviation; the outer ring has radius 1",
        0.0, 1.0, 0.02, 2, "standard deviation",
    ),
    Control(
        "sigma_mult", "Multiplicative noise", "σ_mult", "relative to the activation",
        0.0, 1.0, 0.02, 2, "of the activation",
    ),
    Control(
        "stability", "JSD weight", "γ", "pull between the views of a point; the paper's 12 is the end",
        0.0, 12.0, 0.1, 1, "weight of the divergence",
    ),
    Control("seed", "Seed", "s", "initial weights, batches, pairs and noise", 0, 49, 1, 0),
    Control(
        "reading", "JSD without augmentation", "reading", "what the views are", slider=False,
        choices=tuple(READINGS),
    ),
    Control(
        "law", "Noise law", "law", "the paper's, or the released code's", slider=False,
        choices=("paper", "released"),
    ),
    Control("learning_rate", "Learning rate", "lr", "of Adam", 0.0005, 0.2, 0.0005, 4, slider=False),
    Control("batch_size", "Batch size", "B", "points a step", 2, 250, 1, 0, slider=False),
    Control("width", "Hidden units", "H", "of the one hidden layer", 1, 256, 1, 0, slider=False),
)  # fmt: skip
