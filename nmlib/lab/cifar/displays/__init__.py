"""Pictures of notebook 05: training, corruption, calibration, flips, schemes and their order."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.lab.cifar.displays.bars import FamilyBarsDisplay, FlipBarsDisplay
from nmlib.lab.cifar.displays.flips import FlipCurvesDisplay
from nmlib.lab.cifar.displays.ordering import OrderingDisplay
from nmlib.lab.cifar.displays.radar import CorruptionRadarDisplay
from nmlib.lab.cifar.displays.scheme_table import SchemeTableDisplay, scheme_sheet

if TYPE_CHECKING:
    from nmlib.lab.cifar.displays.finetuning import FineTuningDisplay
    from nmlib.lab.cifar.displays.length import LengthDisplay
    from nmlib.lab.cifar.displays.reliability import ReliabilityDisplay
    from nmlib.lab.cifar.displays.training import LivePlot, TrainingDisplay
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.lab.cifar.displays.finetuning": "FineTuningDisplay",
            "nmlib.lab.cifar.displays.length": "LengthDisplay",
            "nmlib.lab.cifar.displays.reliability": "ReliabilityDisplay",
            "nmlib.lab.cifar.displays.training": "LivePlot TrainingDisplay",
        },
    )

__all__ = [
    "CorruptionRadarDisplay",
    "FamilyBarsDisplay",
    "FineTuningDisplay",
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
