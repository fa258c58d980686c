"""Pictures of notebook 01."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.lab.toy.displays.study import ToyScreenDisplay, ToyStudyDisplay

if TYPE_CHECKING:
    from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.lab.toy.displays.decision": "DecisionBoundaryDisplay",
        },
    )

__all__ = ["DecisionBoundaryDisplay", "ToyScreenDisplay", "ToyStudyDisplay"]
