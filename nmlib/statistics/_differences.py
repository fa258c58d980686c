"""Differences between rows, and how seeds and test images contribute to their variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.rng import Rng
from nmlib.statistics._cells import Cells, Floats, row_ticks
from nmlib.statistics._resampling import check_level, interval, resample, scale_of
from nmlib.statistics._scatter import load_scipy, seed_scatter


@dataclass(frozen=True, eq=False)
class Differences:
    """Paired differences of each row to one row.

    Attributes:
        on: (R, k) rows.
        difference: (R,) mean over seeds.
        error: (R,) standard error over seeds; nan for one seed.
        t_low: (R,) Student interval over seeds (honest for few seeds); nan for one seed.
        t_high: (R,) its upper end.
        low: (R,) bootstrap interval.
        high: (R,) its upper end.
    """

    on: NDArray[np.bool_]
    difference: Floats
    error: Floats
    t_low: Floats
    t_high: Floats
    low: Floats
    high: Floats


def differences(
    cells: Cells,
    rng: Rng,
    *,
    baseline: Sequence[bool] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    pooled: bool = False,
) -> Differences:
    """Compare each row with the baseline, seed by seed.

    A bootstrap over three seeds has ten different samples, and its intervals are too narrow. The
    Student interval covers the truth as often as it says, if the differences are normal.

    Args:
        cells: Results.
        rng: Random source of the bootstrap.
        baseline: Row to compare with; default: all switches off.
        level: Coverage of the intervals.
        resamples: Draws of the bootstrap.
        pooled: Take the scatter between seeds from all rows together (`seed_scatter`) instead of
            from the two that are compared: much narrower with few seeds, if all scatter alike.

    >>> cells = Cells(("a",), [[0], [1]], [[1.0, 2.0, 3.0], [2.0, 3.5, 3.5]])
    >>> d = differences(cells, Rng(0))
    >>> float(d.difference[1]), round(float(d.error[1]), 3), round(float(d.t_high[1]), 2)
    (1.0, 0.289, 2.24)
    """
    check_level(level)
    row = tuple(bool(b) for b in (baseline or (False,) * len(cells.switches)))
    if row not in cells.rows:
        raise ValueError(f"there is no row {row_ticks(row)} to compare with; name another baseline")
    base = cells.rows[row]
    paired = cells.values - cells.values[base]
    n = cells.seeds
    nothing = np.full(len(paired), np.nan)
    error, freedom = nothing, 1
    if n > 1 and pooled:
        variance, freedom = seed_scatter(cells.values)
        # The baseline does not differ from itself.
        error = math.sqrt(2 * variance / n) * (np.arange(len(paired)) != base)
    elif n > 1:
        error, freedom = paired.std(1, ddof=1) / math.sqrt(n), n - 1
    reach = load_scipy().t.ppf((1 + level) / 2, freedom) * error
    mean = paired.mean(1)
    draws = resample(cells, rng, resamples=resamples)
    low, high = interval(cells, draws - draws[:, [base]], level)
    return Differences(cells.on, mean, error, mean - reach, mean + reach, low, high)


@dataclass(frozen=True)
class Precision:
    """How much seeds and test images scatter the difference of two rows, in units of the values.

    Attributes:
        seed_deviation: Standard deviation over seeds of the difference to the baseline on the same
            test images, pooled over the rows; nan for one seed.
        image_deviation: Standard error of that difference from the choice of test images, pooled;
            nan without results for each image.
        images: Number of images; 0 without results for each image.
        unpaired: The image part if each row had test images of its own.
    """

    seed_deviation: float
    image_deviation: float
    images: int
    unpaired: float

    @property
    def summary(self) -> str:
        """The 95 % half widths of a difference, part by part.

        >>> print(Precision(1.0, 0.5, 100, 2.0).summary)
        half width of a 95 % interval of a difference:
          from the seed, one of them     2
          from the 100 test images       0.98
          were the images not shared     3.9
        """

        def said(deviation: float) -> str:
            return "not known" if math.isnan(deviation) else f"{1.96 * deviation:.2g}"

        lines = [
            ("from the seed, one of them", self.seed_deviation),
            (f"from the {self.images:,} test images", self.image_deviation),
            ("were the images not shared", self.unpaired),
        ]
        head = "half width of a 95 % interval of a difference:"
        return "\n".join([head, *(f"  {name:31}{said(value)}" for name, value in lines)])

    def half_width(self, seeds: int, images: int | None = None, *, level: float = 0.95) -> float:
        r"""Return half the width of a normal interval of a difference.

        $$z \sqrt{s_{seed}^2 / S + s_{image}^2\, N_0 / N}$$

        with $N_0$ the number of images measured. A part that was not measured is left out; the
        result is then a lower bound.

        Args:
            seeds: $S$, number of seeds.
            images: $N$, number of test images; default as measured.
            level: Coverage.

        >>> round(Precision(1.0, 0.0, 100, 0.0).half_width(1), 2)
        1.96
        """
        check_level(level)
        seeds = _checks.integer("seeds", seeds, 1)
        images = None if images is None else _checks.integer("images", images, 1)
        share = self.images / images if images else 1.0
        parts = [self.seed_deviation**2 / seeds, self.image_deviation**2 * share]
        return float(load_scipy().norm.ppf((1 + level) / 2)) * math.sqrt(
            sum(p for p in parts if not math.isnan(p))
        )


def precision(cells: Cells) -> Precision:
    r"""Measure how seeds and test images scatter the differences to the all-off row.

    $$s_{seed}^2 = \frac1{R-1} \sum_r \mathrm{var}_s (v_{rs} - v_{0s}), \qquad
      s_{image}^2 = \frac1{R-1} \sum_r \frac1N \mathrm{var}_n (\bar c_{rn} - \bar c_{0n})$$

    where $\bar c_{rn}$ is the mean over the seeds of image n in row r.

    Raises:
        ValueError: If the row with all switches off is missing.

    Source: ours.

    >>> cells = Cells(("a",), [[0], [1]], [[1.0, 2.0, 3.0], [2.0, 3.5, 3.5]])
    >>> precision(cells).seed_deviation
    0.5
    """
    off = (False,) * len(cells.switches)
    if off not in cells.rows or len(cells.rows) < 2:
        raise ValueError("needs the row with all switches off, and another to compare with it")
    base = cells.rows[off]
    others = [k for k in range(len(cells.on)) if k != base]
    paired = cells.values[others] - cells.values[base]
    over_seeds = float("nan")
    if cells.seeds > 1:
        over_seeds = math.sqrt(float(paired.var(1, ddof=1).mean()))
    if cells.correct is None or cells.correct.shape[2] < 2:
        return Precision(over_seeds, float("nan"), 0, float("nan"))
    n = cells.correct.shape[2]
    by_image = scale_of(cells) * cells.correct.mean(1, dtype=np.float64)
    together = (by_image[others] - by_image[base]).var(1, ddof=1).mean() / n
    apart = (by_image[others].var(1, ddof=1).mean() + by_image[base].var(ddof=1)) / n
    return Precision(over_seeds, math.sqrt(float(together)), n, math.sqrt(float(apart)))
