"""Table 4 and our rows: ticks and gains, effects, interactions, precision.

The paper's numbers are hollow grey diamonds or dashed outlines, ours are filled and coloured. The
paper prints one number a row, so only ours have intervals.
"""

from nmlib.lab.ablation.displays.effects import EffectsDisplay, PrecisionDisplay
from nmlib.lab.ablation.displays.gains import InteractionDisplay, WaterfallDisplay
from nmlib.lab.ablation.displays.table4 import AblationTableDisplay

__all__ = [
    "AblationTableDisplay",
    "EffectsDisplay",
    "InteractionDisplay",
    "PrecisionDisplay",
    "WaterfallDisplay",
]
