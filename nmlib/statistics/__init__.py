r"""Effects of switches: what each part of a scheme adds, alone and in company, and how sure.

Every statistic here is a function of the row means $\bar v_1, \dots, \bar v_R$ of an ablation, so
one bootstrap of the row means serves all. Rows share seeds and test images; both are resampled for
all rows at once, which keeps the differences paired.
"""

from nmlib.statistics._cells import Cells
from nmlib.statistics._differences import Differences, Precision, differences, precision
from nmlib.statistics._gains import Gain, Shapley, gains, orders, shapley, shapley_bounds
from nmlib.statistics._least_squares import Effects, effects
from nmlib.statistics._orderings import Agreement, agreement, spearman
from nmlib.statistics._resampling import resample
from nmlib.statistics._scatter import deviation_from_range, seed_scatter

__all__ = [
    "Agreement",
    "Cells",
    "Differences",
    "Effects",
    "Gain",
    "Precision",
    "Shapley",
    "agreement",
    "deviation_from_range",
    "differences",
    "effects",
    "gains",
    "orders",
    "precision",
    "resample",
    "seed_scatter",
    "shapley",
    "shapley_bounds",
    "spearman",
]
