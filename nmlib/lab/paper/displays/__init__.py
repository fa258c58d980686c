"""The paper's figures redrawn, with ours beside them.

The paper's numbers are hollow grey diamonds or dashed outlines, ours are filled and coloured.
"""

from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay

__all__ = ["AccuracyScatterDisplay", "CorruptionDifferenceDisplay", "FamilyDisplay"]
