"""Pictures of notebook 05: training, corruption, calibration, flips, schemes and their order."""

from nmlib.lab.cifar.displays.bars import FamilyBarsDisplay, FlipBarsDisplay
from nmlib.lab.cifar.displays.flips import FlipCurvesDisplay
from nmlib.lab.cifar.displays.length import LengthDisplay
from nmlib.lab.cifar.displays.ordering import OrderingDisplay
from nmlib.lab.cifar.displays.radar import CorruptionRadarDisplay
from nmlib.lab.cifar.displays.reliability import ReliabilityDisplay
from nmlib.lab.cifar.displays.scheme_table import SchemeTableDisplay, scheme_sheet
from nmlib.lab.cifar.displays.training import LivePlot, TrainingDisplay

__all__ = [
    "CorruptionRadarDisplay",
    "FamilyBarsDisplay",
    "FlipBarsDisplay",
    "FlipCurvesDisplay",
    "LengthDisplay",
    "LivePlot",
    "OrderingDisplay",
    "ReliabilityDisplay",
    "SchemeTableDisplay",
    "TrainingDisplay",
    "scheme_sheet",
]
