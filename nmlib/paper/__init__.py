"""The numbers that the paper prints, as data, and what recomputing them shows.

`table(n)` returns Table n as a tidy pandas frame, `printed(n)` as it looks in print, `audit()` the
places where the tables disagree with each other, `claims()` what the text says of them. The frames
need pandas: `pip install pandas`.
"""

from nmlib.paper.audits import audit, chance_of_rounding
from nmlib.paper.frames import ablation, printed, table, tables
from nmlib.paper.numbers import ARXIV, SWITCHES
from nmlib.paper.spread import seed_deviation
from nmlib.paper.text import claims

__all__ = [
    "ARXIV",
    "SWITCHES",
    "ablation",
    "audit",
    "chance_of_rounding",
    "claims",
    "printed",
    "seed_deviation",
    "table",
    "tables",
]
