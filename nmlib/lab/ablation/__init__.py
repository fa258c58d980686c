"""Notebook 06: the four parts of NoisyMix switched on and off."""

from nmlib.lab.ablation.lab import AblationLab, LabResult, LabSettings, LabStatus
from nmlib.lab.ablation.lab_table import LabTable, lab_table

__all__ = [
    "AblationLab",
    "LabResult",
    "LabSettings",
    "LabStatus",
    "LabTable",
    "lab_table",
]
