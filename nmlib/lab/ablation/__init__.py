"""Notebook 06: the four parts of NoisyMix switched on and off."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand

if TYPE_CHECKING:
    from nmlib.lab.ablation.lab import AblationLab, LabResult, LabSettings, LabStatus
    from nmlib.lab.ablation.table import LabTable, lab_table
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.lab.ablation.lab": "AblationLab LabResult LabSettings LabStatus",
            "nmlib.lab.ablation.table": "LabTable lab_table",
        },
    )

__all__ = [
    "AblationLab",
    "LabResult",
    "LabSettings",
    "LabStatus",
    "LabTable",
    "lab_table",
]
