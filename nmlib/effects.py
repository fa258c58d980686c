r"""Effects of switches: what each part of a scheme adds, alone and in company, and how sure.

Every statistic here is a function of the row means $\bar v_1, \dots, \bar v_R$ of an ablation, so
one bootstrap of the row means serves all. Rows share seeds and test images; both are resampled for
all rows at once, which keeps the differences paired.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks
from nmlib.rng import Rng

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
    "student_t_quantile",
]

Floats = NDArray[np.float64]
Over = Literal["seeds", "images", "both"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Results of an ablation: rows of switches, with a value for each seed.

    Args:
        switches: Names of the k switches.
        on: (R, k) bool, the ticks of each row; no row twice.
        values: (R, S) one value a row and seed; column s has the same seed in all rows.
        correct: Optional (R, S, N) in [0, 1]: per test image, whether it was classified rightly,
            or the share of its corrupted versions that were. Then image n is the same everywhere.

    Raises:
        ValueError: For shapes that do not fit, a row given twice, or values that are not finite.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> cells.missing
    ((False, True),)
    """

    switches: tuple[str, ...]
    on: NDArray[np.bool_]
    values: Floats
    correct: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "switches", tuple(self.switches))
        on = np.asarray(self.on, dtype=bool)
        values = np.asarray(self.values, dtype=np.float64)
        k = len(self.switches)
        if on.ndim != 2 or on.shape[1] != k:
            raise ValueError(f"on must have shape (rows, {k}), got {on.shape}")
        if values.ndim != 2 or values.shape[0] != on.shape[0] or not values.shape[1]:
            raise ValueError(f"values must have shape ({on.shape[0]}, seeds), got {values.shape}")
        if not np.isfinite(values).all():
            row, seed = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(
                f"values[{row}, {seed}] is {values[row, seed]}; leave out seeds that not all rows "
                "have"
            )
        seen = [tuple(r) for r in on.tolist()]
        for row in seen:
            if seen.count(row) > 1:
                raise ValueError(f"the row {_ticks(row)} is given {seen.count(row)} times")
        if self.correct is not None:
            correct = np.asarray(self.correct, dtype=np.float32)
            if correct.ndim != 3 or correct.shape[:2] != values.shape:
                raise ValueError(
                    f"correct must have shape {values.shape} + (images,), got {correct.shape}"
                )
            object.__setattr__(self, "correct", correct)
        object.__setattr__(self, "on", on)
        object.__setattr__(self, "values", values)

    @classmethod
    def from_correct(
        cls, switches: Sequence[str], on: ArrayLike, correct: ArrayLike, *, scale: float = 100.0
    ) -> Cells:
        """Make cells whose values are `scale` times the mean over test images."""
        right: Any = np.asarray(correct, dtype=np.float32)
        values = scale * right.mean(-1, dtype=np.float64)
        return cls(tuple(switches), np.asarray(on), values, right)

    @classmethod
    def from_frame(
        cls, frame: Any, value: str, *, switches: Sequence[str], seed: str = "seed"
    ) -> Cells:
        """Make cells from a tidy table with one line for each row of switches and seed.

        Args:
            frame: Anything whose columns are got by name (pandas, or a dict of lists).
            value: Column of the results.
            switches: Columns of the switches.
            seed: Column of the seeds.

        Raises:
            ValueError: If a row lacks a seed that another has, or has one twice.
        """
        ticks = np.stack([np.asarray(frame[s]).astype(bool) for s in switches], 1)
        seeds = np.asarray(frame[seed]).tolist()
        found: dict[tuple[bool, ...], dict[Any, float]] = {}
        for row, s, v in zip(ticks.tolist(), seeds, np.asarray(frame[value], float), strict=True):
            cell = found.setdefault(tuple(row), {})
            if s in cell:
                raise ValueError(f"row {_ticks(row)} has seed {s} twice")
            cell[s] = float(v)
        wanted = sorted(set(seeds), key=str)
        for ticked, cell in found.items():
            lacking = [s for s in wanted if s not in cell]
            if lacking:
                raise ValueError(
                    f"row {_ticks(ticked)} lacks seed(s) {lacking}; differences are paired, so "
                    "give all rows the same seeds"
                )
        values = [[cell[s] for s in wanted] for cell in found.values()]
        return cls(tuple(switches), np.array(list(found)), np.array(values))

    @property
    def means(self) -> Floats:
        """(R,) mean over the seeds."""
        return self.values.mean(1)

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return self.values.shape[1]

    @property
    def rows(self) -> dict[tuple[bool, ...], int]:
        """Where each combination of switches stands."""
        return {tuple(row): k for k, row in enumerate(self.on.tolist())}

    @property
    def missing(self) -> tuple[tuple[bool, ...], ...]:
        """Combinations of switches without a row."""
        every = itertools.product((False, True), repeat=len(self.switches))
        return tuple(row for row in every if row not in self.rows)

    def name(self, row: Sequence[bool]) -> str:
        """Call a combination by its switches that are on."""
        return (
            " + ".join(s for s, on in zip(self.switches, row, strict=True) if on) or "none of them"
        )


def _ticks(row: Sequence[bool]) -> str:
    return "".join("✓" if on else "✗" for on in row)


# -- resampling -----------------------------------------------------------------------------------


def resample(cells: Cells, rng: Rng, *, resamples: int = 2000, over: Over | None = None) -> Floats:
    r"""Draw row means from the bootstrap over seeds, test images, or both.

    From n seeds (or images), n - 1 are drawn with replacement: the mean of so many draws has
    variance $s^2/n$ with $s^2$ the unbiased variance, where n draws would give $(n-1)/n$ of it,
    a third too little for three seeds. Seeds and images are drawn for all rows at once.

    Args:
        cells: Results.
        rng: Random source.
        resamples: How many draws.
        over: "seeds", "images" or "both"; default: whatever there is more than one of.

    Returns:
        (resamples, R) row means. With one seed and no images, all are the printed values.

    Raises:
        ValueError: If images are asked for and `cells.correct` is None.

    Source: ours (rescaled bootstrap, Rao and Wu 1988).

    >>> cells = Cells(("a",), [[0], [1]], [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    >>> draws = resample(cells, Rng(0), resamples=4)
    >>> (draws[:, 1] - draws[:, 0]).tolist()  # paired: the difference is always 1
    [1.0, 1.0, 1.0, 1.0]
    """
    _checks.positive("resamples", resamples)
    if over is None:
        over = "seeds" if cells.correct is None else "both"
    _checks.choice("over", over, ("seeds", "images", "both"))
    if over != "seeds" and cells.correct is None:
        raise ValueError(f"over={over!r} needs results for each image; give Cells correct=")
    n = cells.seeds
    draw = rng.fold("bootstrap", "seeds").numpy()
    if over == "images" or n == 1:
        weights = np.full((resamples, n), 1 / n)
    else:
        weights = draw.multinomial(n - 1, np.full(n, 1 / n), size=resamples) / (n - 1)
    if over == "seeds" or cells.correct is None:
        return weights @ cells.values.T
    rows, _, images = cells.correct.shape
    if images < 2:
        raise ValueError("the bootstrap over images needs two images or more, got 1")
    scale = _scale(cells)
    # In single precision the last digits would depend on the number of threads.
    flat = cells.correct.reshape(rows * n, images).astype(np.float64)
    picked = rng.fold("bootstrap", "images").numpy()
    result = np.empty((resamples, rows))
    for start in range(0, resamples, 64):  # 64 x images counts at a time
        some = slice(start, min(start + 64, resamples))
        counts = picked.multinomial(
            images - 1, np.full(images, 1 / images), size=some.stop - some.start
        )
        means = (counts @ flat.T) / (images - 1)
        result[some] = np.einsum("brs,bs->br", means.reshape(-1, rows, n), weights[some]) * scale
    return result


def _scale(cells: Cells) -> float:
    """Return the factor from shares of images to values (100 for percent)."""
    assert cells.correct is not None
    shares = cells.correct.mean(-1, dtype=np.float64)
    scale = float((cells.values * shares).sum() / max((shares**2).sum(), 1e-300))
    if not np.allclose(cells.values, scale * shares, rtol=1e-4, atol=1e-6 * abs(scale)):
        raise ValueError("values are not proportional to the means of correct over its images")
    return scale


def _interval(cells: Cells, draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return percentile limits; nan for one seed without images, which says nothing of chance."""
    if cells.seeds == 1 and cells.correct is None:
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}; 0.95 is usual")


@cache
def student_t_quantile(p: float, df: int) -> float:
    """Return the quantile of Student's t distribution, by quadrature and bisection.

    Args:
        p: Probability in (0, 1).
        df: Degrees of freedom, 1 or more.

    >>> round(student_t_quantile(0.975, 2), 3)
    4.303
    """
    if not 0 < p < 1 or df < 1:
        raise ValueError(f"needs 0 < p < 1 and df >= 1, got p={p}, df={df}")
    if p < 0.5:
        return -student_t_quantile(1 - p, df)
    # t = sqrt(df) tan(a) turns the density into cos(a)^(df - 1) on a finite interval.
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def mass(angle: float) -> float:
        at = angle * (nodes + 1) / 2
        return float((weights * np.cos(at) ** (df - 1)).sum() * angle / 2)

    whole = 2 * mass(math.pi / 2)
    low, high = 0.0, math.pi / 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 + mass(middle) / whole < p else (low, middle)
    return math.sqrt(df) * math.tan(low)


def seed_scatter(values: ArrayLike) -> tuple[float, int]:
    r"""Return the variance of a result from seed to seed, and its degrees of freedom.

    $$s^2 = \frac{1}{(R-1)(S-1)} \sum_{r,s}
      (x_{rs} - \bar x_{r\cdot} - \bar x_{\cdot s} + \bar x_{\cdot\cdot})^2$$

    What a seed does to all rows alike is left out, as it drops out of their differences; the
    difference of two rows has variance $2 s^2 / S$. Three seeds of two rows say little of their
    scatter; ten rows together say much, as far as they scatter alike.

    Args:
        values: (R, S) results of R rows with S seeds.

    Returns:
        Variance of one result, and (R - 1)(S - 1).

    Raises:
        ValueError: For one row or one seed.

    Source: ours (the residual of a two-way analysis of variance).

    >>> seed_scatter([[1.0, 2.0, 3.0], [2.0, 3.5, 3.5]])[1]
    2
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or min(x.shape) < 2:
        raise ValueError(f"needs (rows, seeds) with at least two of each, got shape {x.shape}")
    left = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    freedom = (x.shape[0] - 1) * (x.shape[1] - 1)
    return float((left**2).sum()) / freedom, freedom


# -- differences to a row -------------------------------------------------------------------------


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
    over: Over | None = None,
    pooled: bool = False,
) -> Differences:
    """Compare each row with the baseline, seed by seed.

    With three seeds a bootstrap has ten different samples and misses the truth too often; the
    Student interval does not, as far as the differences are normal.

    Args:
        cells: Results.
        rng: Random source of the bootstrap.
        baseline: Row to compare with; default: all switches off.
        level: Coverage of the intervals.
        resamples: Draws of the bootstrap.
        over: See `resample`.
        pooled: Take the scatter between seeds from all rows together (`seed_scatter`) instead of
            from the two that are compared: much narrower with few seeds, if all scatter alike.

    >>> cells = Cells(("a",), [[0], [1]], [[1.0, 2.0, 3.0], [2.0, 3.5, 3.5]])
    >>> d = differences(cells, Rng(0))
    >>> float(d.difference[1]), round(float(d.error[1]), 3), round(float(d.t_high[1]), 2)
    (1.0, 0.289, 2.24)
    """
    _level(level)
    row = tuple(bool(b) for b in (baseline or (False,) * len(cells.switches)))
    if row not in cells.rows:
        raise ValueError(f"there is no row {_ticks(row)} to compare with; name another baseline")
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
    reach = student_t_quantile((1 + level) / 2, freedom) * error
    mean = paired.mean(1)
    draws = resample(cells, rng, resamples=resamples, over=over)
    low, high = _interval(cells, draws - draws[:, [base]], level)
    return Differences(cells.on, mean, error, mean - reach, mean + reach, low, high)


# -- how sure more data makes ---------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """What the difference of two rows varies with, in the unit of the values.

    Attributes:
        seed_deviation: Standard deviation over seeds of the difference to the baseline on the same
            test images, pooled over the rows; nan for one seed.
        image_deviation: Standard error of that difference from the choice of test images, pooled;
            nan without results for each image.
        images: So many images; 0 without results for each image.
        unpaired: What the image part would be if each row had test images of its own.
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

        with $N_0$ the images measured on. A part that was not measured is left out, so that the
        result is then a lower bound.

        Args:
            seeds: $S$, how many seeds.
            images: $N$, how many test images; default as many as measured on.
            level: Coverage.

        >>> round(Precision(1.0, 0.0, 100, 0.0).half_width(1), 2)
        1.96
        """
        _level(level)
        _checks.positive("seeds", seeds)
        share = self.images / images if images else 1.0
        parts = [self.seed_deviation**2 / seeds, self.image_deviation**2 * share]
        z = student_t_quantile((1 + level) / 2, 10**6)
        return z * math.sqrt(sum(p for p in parts if not math.isnan(p)))


def precision(cells: Cells) -> Precision:
    r"""Measure what differences to the all-off row vary with, seeds and test images.

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
    by_image = _scale(cells) * cells.correct.mean(1, dtype=np.float64)
    together = (by_image[others] - by_image[base]).var(1, ddof=1).mean() / n
    apart = (by_image[others].var(1, ddof=1).mean() + by_image[base].var(ddof=1)) / n
    return Precision(over_seeds, math.sqrt(float(together)), n, math.sqrt(float(apart)))


@cache
def _mean_range(n: int) -> float:
    """Return the expected range of n standard normal numbers, by the trapezoidal rule."""
    x = np.linspace(-12, 12, 4801)
    below = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    return float((1 - below**n - (1 - below) ** n).sum() * (x[1] - x[0]))


def deviation_from_range(low: ArrayLike, high: ArrayLike, n: int) -> Floats:
    r"""Estimate a standard deviation from the lowest and highest of n normal values.

    $$\hat s = \frac{high - low}{d_n}, \qquad
      d_n = \int_{-\infty}^{\infty} 1 - \Phi(x)^n - (1 - \Phi(x))^n \, dx$$

    Args:
        low: Lowest of each group.
        high: Highest.
        n: Size of a group, 2 or more.

    Source: ours (Tippett 1925).

    >>> float(deviation_from_range(0.0, 2.326, 5).round(3))
    1.0
    """
    if n < 2:
        raise ValueError(f"a range needs two values or more, got n={n}")
    spread = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
    return np.asarray(spread / _mean_range(n))


# -- main effects and interactions ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Effects:
    """Least-squares effects of the switches.

    Attributes:
        terms: Switch sets: () the constant, ("a",) a main effect, ("a", "b") an interaction.
        estimate: Value for each term; nan where the rows do not identify it.
        low: Bootstrap interval; nan where not identified or not resampled.
        high: Its upper end.
        identified: Whether the rows determine the term.
        mixture: For each term not identified: with which weights it mixes with others in what
            the rows do determine (the row of the resolution matrix).
        combinations: Sums of not identified terms that the rows do determine, with their values.
        rank: Rank of the design.
        residual: Root mean square of what the terms leave over.
        coding: "average" or "baseline".
    """

    terms: tuple[tuple[str, ...], ...]
    estimate: Floats
    low: Floats
    high: Floats
    identified: NDArray[np.bool_]
    mixture: Mapping[tuple[str, ...], Mapping[tuple[str, ...], float]]
    combinations: tuple[tuple[Mapping[tuple[str, ...], float], float], ...]
    rank: int
    residual: float
    coding: str

    def of(self, *switches: str) -> float:
        """Return the estimate of one term, in any order of its switches."""
        for term, value in zip(self.terms, self.estimate, strict=True):
            if set(term) == set(switches):
                return float(value)
        raise ValueError(f"no term {switches}; there are {self.terms}")


def _design(cells: Cells, terms: Sequence[tuple[str, ...]], coding: str) -> Floats:
    x = cells.on.astype(np.float64) - (0.5 if coding == "average" else 0.0)
    at = {s: k for k, s in enumerate(cells.switches)}
    return np.stack([x[:, [at[s] for s in term]].prod(1) for term in terms], 1)


def _echelon(matrix: Floats) -> Floats:
    """Return the reduced row echelon form without zero rows."""
    m = matrix.copy()
    row = 0
    for column in range(m.shape[1]):
        if row == len(m):
            break
        pivot = row + int(np.abs(m[row:, column]).argmax())
        if abs(m[pivot, column]) < 1e-9:
            continue
        m[[row, pivot]] = m[[pivot, row]]
        m[row] /= m[row, column]
        others = np.arange(len(m)) != row
        m[others] -= np.outer(m[others, column], m[row])
        row += 1
    return np.where(np.abs(m[:row]) < 1e-9, 0.0, m[:row])


def effects(
    cells: Cells,
    rng: Rng,
    *,
    order: int = 2,
    coding: Literal["average", "baseline"] = "average",
    without: Sequence[Sequence[str]] = (),
    level: float = 0.95,
    resamples: int = 2000,
    over: Over | None = None,
) -> Effects:
    r"""Fit main effects and interactions of the switches to the rows there are.

    $$\bar v_r = \sum_{T,\ |T| \le \text{order}} \beta_T \prod_{s \in T} x_{rs} + \text{rest}$$

    With `coding="average"`, $x = \pm\tfrac12$: a main effect is the change when the switch goes on,
    averaged over all settings of the others; with `coding="baseline"`, $x \in \{0, 1\}$: the change
    when it goes on alone. An interaction is in both by how much the one's gain changes when the
    other is on. Terms that the rows do not determine are nan and listed in `mixture`; nothing is
    filled in.

    Args:
        cells: Results.
        rng: Random source of the bootstrap.
        order: Largest number of switches in a term.
        coding: What a main effect means.
        without: Terms taken as zero, such as ("augmentations", "jsd_loss"): without augmentation
            and noise all views are equal, so the divergence acts with them only.
        level: Coverage of the intervals.
        resamples: Draws of the bootstrap.
        over: See `resample`.

    Raises:
        ValueError: For an unknown switch in `without`.

    Source: ours (least squares; estimable functions).

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [0, 1], [1, 1]], [[1.0], [3.0], [4.0], [9.0]])
    >>> found = effects(cells, Rng(0))
    >>> [round(found.of(*t), 9) for t in (("a",), ("b",), ("a", "b"))]
    [3.5, 4.5, 3.0]
    """
    _level(level)
    _checks.choice("coding", coding, ("average", "baseline"))
    for term in without:
        for switch in term:
            _checks.choice("switch", switch, cells.switches)
    left_out = {frozenset(term) for term in without}
    terms = tuple(
        term
        for size in range(order + 1)
        for term in itertools.combinations(cells.switches, size)
        if frozenset(term) not in left_out
    )
    x = _design(cells, terms, coding)
    inverse = np.linalg.pinv(x, rcond=1e-10)
    resolution = inverse @ x  # identity exactly where a term is determined
    identified = np.abs(resolution - np.eye(len(terms))).max(1) < 1e-8
    solution = inverse @ cells.means
    estimate = np.where(identified, solution, np.nan)
    draws = resample(cells, rng, resamples=resamples, over=over) @ inverse.T
    low, high = _interval(cells, draws, level)
    mixture = {
        terms[j]: {terms[i]: float(w) for i, w in enumerate(resolution[j]) if abs(w) > 1e-8}
        for j in np.flatnonzero(~identified)
    }
    combinations = []
    for row in _echelon(x):
        if np.count_nonzero(row) > 1:
            parts = {terms[i]: float(row[i]) for i in np.flatnonzero(row)}
            combinations.append((parts, float(row @ solution)))
    return Effects(
        terms,
        estimate,
        np.where(identified, low, np.nan),
        np.where(identified, high, np.nan),
        identified,
        mixture,
        tuple(combinations),
        int(np.linalg.matrix_rank(x)),
        float(np.sqrt(np.mean((cells.means - x @ solution) ** 2))),
        coding,
    )


# -- gains, orders, Shapley values ----------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """What one switch adds to one combination of the others.

    Attributes:
        switch: The switch that goes on.
        before: Ticks before.
        gain: Change of the mean.
        low: Bootstrap interval; nan if nothing could be resampled.
        high: Its upper end.
    """

    switch: str
    before: tuple[bool, ...]
    gain: float
    low: float
    high: float


def _after(before: Sequence[bool], k: int) -> tuple[bool, ...]:
    return tuple(on or j == k for j, on in enumerate(before))


def gains(
    cells: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    over: Over | None = None,
) -> tuple[Gain, ...]:
    """Return the gain of each switch wherever the rows before and after it exist.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> [(g.switch, g.before, g.gain) for g in gains(cells, Rng(0))]
    [('a', (False, False), 2.0), ('b', (True, False), 1.0)]
    """
    _level(level)
    rows, means = cells.rows, cells.means
    pairs = [
        (k, before, rows[_after(before, k)])
        for k in range(len(cells.switches))
        for before in rows
        if not before[k] and _after(before, k) in rows
    ]
    if not pairs:
        return ()
    draws = resample(cells, rng, resamples=resamples, over=over)
    first, last = [rows[b] for _, b, _ in pairs], [a for _, _, a in pairs]
    low, high = _interval(cells, draws[:, last] - draws[:, first], level)
    return tuple(
        Gain(cells.switches[k], before, float(means[a] - means[rows[before]]), float(lo), float(hi))
        for (k, before, a), lo, hi in zip(pairs, low, high, strict=True)
    )


def orders(cells: Cells) -> tuple[tuple[str, ...], ...]:
    """Return the orders of switching everything on for which all rows on the way exist.

    >>> orders(Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]]))
    (('a', 'b'),)
    """
    return tuple(tuple(cells.switches[k] for k in order) for order in _orders(cells))


def _orders(cells: Cells) -> list[tuple[int, ...]]:
    rows, k = cells.rows, len(cells.switches)

    def exists(order: tuple[int, ...]) -> bool:
        steps = (frozenset(order[:i]) for i in range(k + 1))
        return all(tuple(j in step for j in range(k)) in rows for step in steps)

    return [order for order in itertools.permutations(range(k)) if exists(order)]


@dataclass(frozen=True, eq=False)
class Shapley:
    """Mean gain of each switch over the orders that the rows allow.

    Attributes:
        switches: Names.
        value: (k,) mean gain; they add up to the whole gain.
        low: (k,) bootstrap interval.
        high: (k,) its upper end.
        orders: The orders averaged over.
        every_order: k!, how many there are.
        missing: Combinations without a row, which keep the other orders out.
        settings: For each switch, in how many different combinations of the others its gain was
            seen.
    """

    switches: tuple[str, ...]
    value: Floats
    low: Floats
    high: Floats
    orders: tuple[tuple[str, ...], ...]
    every_order: int
    missing: tuple[tuple[bool, ...], ...]
    settings: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether these are Shapley values proper: all orders were there."""
        return len(self.orders) == self.every_order


def shapley(
    cells: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    over: Over | None = None,
) -> Shapley:
    r"""Average the gain of each switch over all orders that the rows allow.

    $$\phi_s = \frac1{|\Pi|} \sum_{\pi \in \Pi} \big(v(P_\pi(s) \cup s) - v(P_\pi(s))\big)$$

    with $\Pi$ the orders all of whose rows exist and $P_\pi(s)$ the switches before $s$. Shapley
    values proper need all $k!$ orders; see `exact`, and `shapley_bounds` for what the missing
    rows could make of them.

    Raises:
        ValueError: If no order from all off to all on is complete.

    Source: ours (Shapley 1953, restricted to the rows there are).

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [0, 1], [1, 1]], [[1.0], [3.0], [4.0], [9.0]])
    >>> shapley(cells, Rng(0)).value.tolist()
    [3.5, 4.5]
    """
    _level(level)
    found = _orders(cells)
    if not found:
        raise ValueError(
            "no order from all switches off to all on has all its rows; missing are "
            + ", ".join(map(_ticks, cells.missing))
        )
    rows, k = cells.rows, len(cells.switches)
    weights = np.zeros((k, len(rows)))
    seen: list[set[frozenset[int]]] = [set() for _ in range(k)]
    for order in found:
        for place, s in enumerate(order):
            before = frozenset(order[:place])
            seen[s].add(before)
            row = tuple(j in before for j in range(k))
            weights[s, rows[row]] -= 1 / len(found)
            weights[s, rows[_after(row, s)]] += 1 / len(found)
    draws = resample(cells, rng, resamples=resamples, over=over) @ weights.T
    low, high = _interval(cells, draws, level)
    return Shapley(
        cells.switches,
        weights @ cells.means,
        low,
        high,
        tuple(tuple(cells.switches[s] for s in order) for order in found),
        math.factorial(k),
        cells.missing,
        tuple(map(len, seen)),
    )


def shapley_bounds(cells: Cells, low: float, high: float) -> tuple[Floats, Floats]:
    r"""Return the range of the Shapley values proper if missing rows lie in [low, high].

    A Shapley value is linear in the rows, so each end takes every missing row at one of the ends.
    The ends of two switches need not be reached together.

    Args:
        cells: Results.
        low: Least value a missing row may have.
        high: Largest.

    >>> cells = Cells(("a", "b"), [[0, 0], [1, 0], [1, 1]], [[1.0], [3.0], [4.0]])
    >>> [bound.tolist() for bound in shapley_bounds(cells, 1.0, 4.0)]
    [[1.0, 0.5], [2.5, 2.0]]
    """
    if not low <= high:
        raise ValueError(f"low must not exceed high, got {low} and {high}")
    k, rows, means = len(cells.switches), cells.rows, cells.means
    least, most = np.zeros(k), np.zeros(k)
    for row in itertools.product((False, True), repeat=k):
        size = sum(row)
        for s in range(k):
            before = size - row[s]  # switches on besides s
            share = math.factorial(before) * math.factorial(k - before - 1) / math.factorial(k)
            weight = share if row[s] else -share
            known = (float(means[rows[row]]),) if row in rows else (low, high)
            ends = [weight * value for value in known]
            least[s] += min(ends)
            most[s] += max(ends)
    return least, most


# -- orderings ------------------------------------------------------------------------------------


def _ranks(values: Floats) -> Floats:
    """Rank along the last axis, from 1; equal values share their mean rank."""
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return below + (equal + 1) / 2


def spearman(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return Spearman's rank correlation along the last axis; ties share their mean rank.

    Args:
        a: (..., n).
        b: (..., n), broadcast against a.

    Returns:
        (...) in [-1, 1]; nan where one of the two is constant.

    >>> float(spearman([1, 2, 3, 4], [10, 20, 40, 30]))
    0.8
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape[-1] != y.shape[-1] or x.shape[-1] < 2:
        raise ValueError(f"needs two equally long lists of 2 or more, got {x.shape} and {y.shape}")
    x, y = _ranks(x), _ranks(y)
    x = x - x.mean(-1, keepdims=True)
    y = y - y.mean(-1, keepdims=True)
    size = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    top = np.asarray((x * y).sum(-1), dtype=np.float64)
    return np.divide(top, size, out=np.full(np.shape(size), np.nan), where=size > 0)


@dataclass(frozen=True)
class Agreement:
    """How far two orderings agree.

    Attributes:
        rho: Spearman's correlation of the row means with the reference.
        low: Bootstrap interval over our seeds and images; the reference is taken as exact.
        high: Its upper end.
        rows: Rows that both have.
    """

    rho: float
    low: float
    high: float
    rows: int


def agreement(
    cells: Cells,
    reference: Cells,
    rng: Rng,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    over: Over | None = None,
) -> Agreement:
    """Compare the order of our rows with that of a reference, such as the paper's.

    Resampling can only add disorder, so the interval leans below the estimate.

    Raises:
        ValueError: If the two have other switches, or fewer than three rows in common.
    """
    _level(level)
    if cells.switches != reference.switches:
        raise ValueError(f"switches differ: {cells.switches} and {reference.switches}")
    shared = [row for row in cells.rows if row in reference.rows]
    if len(shared) < 3:
        raise ValueError(f"needs three rows in common, got {len(shared)}")
    ours = [cells.rows[row] for row in shared]
    theirs = reference.means[[reference.rows[row] for row in shared]]
    draws = resample(cells, rng, resamples=resamples, over=over)[:, ours]
    rho = float(spearman(cells.means[ours], theirs))
    low, high = _interval(cells, spearman(draws, theirs), level)
    return Agreement(rho, float(low), float(high), len(shared))
