"""Notebook 01: the toy lab, its explorer and the thousand seeds of Fig. 4."""

from nmlib.lab.toy.explorer import explore
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["Settings", "ToyLab", "explore"]
