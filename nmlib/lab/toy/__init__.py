"""Notebook 01: the toy lab, its explorer and the thousand seeds of Fig. 4."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand

if TYPE_CHECKING:
    from nmlib.lab.toy.explorer import explore
    from nmlib.lab.toy.lab import Settings, ToyLab
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.lab.toy.explorer": "explore",
            "nmlib.lab.toy.lab": "Settings ToyLab",
        },
    )

__all__ = ["Settings", "ToyLab", "explore"]
