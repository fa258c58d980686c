"""The paper's tables and ours beside them: ablation, effects, Figs. 1 and 6 redrawn.

The paper's numbers are hollow grey diamonds or dashed outlines, ours are filled and coloured. The
paper prints one number a row, so only ours have intervals.
"""

from nmlib.plots.paper.ablation import AblationTableDisplay
from nmlib.plots.paper.corruptions import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.plots.paper.gains import InteractionDisplay, WaterfallDisplay
from nmlib.plots.paper.scatter import AccuracyScatterDisplay

__all__ = [
    "AblationTableDisplay",
    "AccuracyScatterDisplay",
    "CorruptionDifferenceDisplay",
    "FamilyDisplay",
    "InteractionDisplay",
    "WaterfallDisplay",
]
