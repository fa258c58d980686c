"""The numbers that the paper prints, as data, and what recomputing them shows.

`table(n)` returns Table n as a tidy pandas frame, `printed(n)` as it looks in print, `audit()` the
places where the tables disagree with each other, `claims()` what the text says of them.
`robustbench(dataset)` returns what RobustBench measured, and `robustbench_audit()` which of its
rows stand under wrong headings. All of it needs pandas (`pip install pandas`) when it is called,
not when it is imported.
"""

from nmlib.paper.audits import audit, chance_of_rounding
from nmlib.paper.frames import ablation, printed, seed_deviation, table, tables
from nmlib.paper.leaderboard import robustbench, robustbench_audit
from nmlib.paper.numbers import ARXIV, SWITCHES
from nmlib.paper.text import claims

__all__ = [
    "ARXIV",
    "SWITCHES",
    "ablation",
    "audit",
    "chance_of_rounding",
    "claims",
    "printed",
    "robustbench",
    "robustbench_audit",
    "seed_deviation",
    "table",
    "tables",
]
