"""Pictures of notebook 01."""

from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.displays.study import ToyScreenDisplay, ToyStudyDisplay

__all__ = ["DecisionBoundaryDisplay", "ToyScreenDisplay", "ToyStudyDisplay"]
