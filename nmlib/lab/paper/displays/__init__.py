"""The paper's figures redrawn, with ours beside them.

The paper's numbers are hollow grey diamonds or dashed outlines, RobustBench's hollow green squares,
ours are filled and coloured.
"""

from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.imagenet import ImageNetDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay
from nmlib.lab.paper.displays.sources import SourcesDisplay, misfiled_table, sources_table

__all__ = [
    "AccuracyScatterDisplay",
    "CorruptionDifferenceDisplay",
    "FamilyDisplay",
    "ImageNetDisplay",
    "SourcesDisplay",
    "misfiled_table",
    "sources_table",
]
