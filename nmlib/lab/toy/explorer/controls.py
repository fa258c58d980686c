"""What the explorer lets a person change: one list for every front end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nmlib.lab.display.looks import LANE_LABELS
from nmlib.schemes import READINGS

__all__ = ["CONTROLS", "LANE_LABELS", "Control"]


@dataclass(frozen=True)
class Control:
    """One setting: its name in `Settings`, its words, and the range offered (more is allowed).

    Attributes:
        digits: Decimals shown.
        slider: A slider beside the picture; the others are fields under 'More settings'.
        choices: Values of a setting that is not a number.
        values: Stops of a slider whose steps are not all alike, in increasing order.
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
    values: tuple[float, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the control as plain data for the browser."""
        lists = {"choices": list(self.choices) or None, "values": list(self.values) or None}
        return {**asdict(self), **lists}


# Fine where the effect is, coarse up to the paper's value.
STABILITY_STOPS = (
    *(round(0.05 * k, 2) for k in range(20)),
    *(round(1 + 0.1 * k, 1) for k in range(20)),
    *(3 + 0.5 * k for k in range(19)),
)


CONTROLS: tuple[Control, ...] = (
    Control(
        "alpha", "Mixing", "α", "λ ~ Beta(α, α): larger mixes more evenly", 0.05, 2.0, 0.05, 2,
        "parameter of the Beta law",
    ),
    Control(
        "sigma_add", "Additive noise", "σ_add", "noise s.d.; the outer ring has radius 1",
        0.0, 1.0, 0.01, 2, "standard deviation",
    ),
    Control(
        "sigma_mult", "Multiplicative noise", "σ_mult", "relative to the activation",
        0.0, 1.0, 0.01, 2, "of the activation",
    ),
    Control(
        "stability", "JSD weight", "γ", "pull between views (12 in the paper)",
        0.0, 12.0, 0.05, 2, "weight of the divergence", values=STABILITY_STOPS,
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
    Control(
        "learning_rate", "Learning rate", "lr", "of Adam", 0.0005, 0.2, 0.0005, 4, slider=False
    ),
    Control("batch_size", "Batch size", "B", "points a step", 2, 250, 1, 0, slider=False),
    Control("width", "Hidden units", "H", "of the one hidden layer", 1, 256, 1, 0, slider=False),
)  # fmt: skip
