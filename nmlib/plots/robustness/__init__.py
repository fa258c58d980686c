"""Pictures of robustness: corruption radar, family bars, reliability diagrams, flip curves."""

from nmlib.plots.looks import scheme_label
from nmlib.plots.robustness.bars import FamilyBarsDisplay, FlipBarsDisplay
from nmlib.plots.robustness.flips import FlipCurvesDisplay
from nmlib.plots.robustness.radar import CorruptionRadarDisplay
from nmlib.plots.robustness.reliability import ReliabilityDisplay
from nmlib.plots.robustness.rows import Measured, rows_of_records

__all__ = [
    "CorruptionRadarDisplay",
    "FamilyBarsDisplay",
    "FlipBarsDisplay",
    "FlipCurvesDisplay",
    "Measured",
    "ReliabilityDisplay",
    "rows_of_records",
    "scheme_label",
]
