"""Whether the paper's order of the schemes holds in measured records, pair by pair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.published import ORDERED, published, tables_for
from nmlib.lab.cifar.records import (
    SCHEME_NAMES,
    Records,
    flips_note,
    frame,
    measures,
    of_schemes,
    scheme_cells,
    seeds_complete,
)
from nmlib.lab.display.conditions import Conditions
from nmlib.rng import Rng
from nmlib.statistics import Agreement, Cells, agreement, seed_scatter

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Interval",
    "Ordering",
    "compare_schemes",
    "paired_interval",
    "paper_ordering",
    "verdict",
]

Floats = NDArray[np.float64]

VERDICTS = ("holds", "reversed", "open", "tied")


@dataclass(frozen=True)
class Interval:
    """A paired difference of two schemes in points, with its interval.

    Attributes:
        difference: Mean over the seeds.
        low: nan where nothing was measured that could tell, as `high`.
        high: Upper end.

    >>> print(Interval(1.25, -0.5, 3.0))
    +1.2 (-0.5 to +3.0)
    """

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.difference:+.1f}"
        return f"{self.difference:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


def paired_interval(
    by_seed: Floats,
    by_image: Floats | None = None,
    *,
    level: float = 0.95,
    scatter: tuple[float, int] | None = None,
) -> Interval:
    r"""Return the mean of paired differences with an interval over seeds and test images.

    $$\bar d \pm t_\nu \sqrt{V_s + V_n}, \qquad V_s = \frac{\mathrm{var}_s\, d_s}{S}, \quad
      V_n = \frac{\mathrm{var}_n\, d_n}{N}, \quad
      \nu = \Big\lfloor \frac{(V_s + V_n)^2}{V_s^2 / (S-1) + V_n^2 / (N-1)} \Big\rfloor$$

    with $d_s$ the mean over the images of seed s, $d_n$ the mean over the seeds of image n, and
    $\nu$ after Welch and Satterthwaite: three seeds that differ much get the wide $t_2$, unless
    their scatter is known from more schemes than these two. What depends on seed and image
    together is in both variances, so the interval errs on the wide side. A part that was not
    measured (one seed, no images) is left out.

    Args:
        by_seed: (S,) differences.
        by_image: (N,) differences, or None.
        level: Coverage.
        scatter: Variance of one scheme's result from seed to seed and its degrees of freedom, from
            `nmlib.statistics.seed_scatter`; by default from `by_seed`.

    Source: ours (Welch 1947, Satterthwaite 1946).

    >>> i = paired_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(i.difference, 2), round(i.high, 2)
    (2.0, 4.48)
    """
    from scipy.stats import t

    level = _checks.number("level", level, 0, 1, ends="()", remedy="0.95 is usual")
    given = {"by_seed": by_seed, "by_image": by_image}
    parts = [_checks.array(name, d) for name, d in given.items() if d is not None]
    mean = float(parts[0].mean())
    found = [(float(d.var(ddof=1)) / len(d), len(d) - 1) for d in parts if len(d) > 1]
    if scatter is not None and len(parts[0]) > 1:
        found[0] = (2 * scatter[0] / len(parts[0]), scatter[1])
    if not found:
        return Interval(mean, math.nan, math.nan)
    variance = sum(v for v, _ in found)
    if not variance:
        return Interval(mean, mean, mean)
    freedom = math.floor(variance**2 / sum(v**2 / n for v, n in found) + 1e-9)
    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(mean, mean - reach, mean + reach)


def _compare(cells: Cells, a: int, b: int, scatter: tuple[float, int] | None) -> Interval:
    """Return row a minus row b of cells in percent."""
    by_image = None
    if cells.correct is not None:
        shares = cells.correct[[a, b]].mean(1, dtype=np.float64)
        by_image = 100 * (shares[0] - shares[1])
    by_seed = cells.values[a] - cells.values[b]
    return paired_interval(by_seed, by_image, scatter=scatter)


def compare_schemes(
    records: Records,
    scheme: str,
    other: str = "baseline",
    metric: str = "robust_accuracy",
) -> Interval:
    """Return by how many points one scheme is ahead of another, with a 95 % interval.

    Over the seeds that both have and over the test images; with one seed over the images alone, so
    that another seed may differ by more. The scatter between seeds is that of all schemes of the
    records, whichever seeds each has, as if all scattered alike.

    Args:
        records: As from `measured`.
        scheme: The one.
        other: The other.
        metric: "clean_accuracy", "robust_accuracy" or "flip_probability".

    Raises:
        ValueError: If a scheme has no record, or no seed is common to both.
    """
    cells = scheme_cells(records, metric, schemes=(scheme, other))
    scatter = None
    if cells.seeds > 1:
        scatter = seed_scatter(measures(records)[metric].unstack("seed").to_numpy())
    return _compare(cells, 0, 1, scatter)


def verdict(clear: bool, ours: Interval) -> str:
    """Say what of the paper's order of two schemes holds.

    Args:
        clear: Whether the paper tells them apart.
        ours: The scheme that is ahead in the paper minus the other.

    Returns:
        "holds", "reversed", "open" (our interval contains zero) or "tied" (not clear in the paper).
    """
    if not clear:
        return "tied"
    if ours.low > 0:
        return "holds"
    return "reversed" if ours.high < 0 else "open"


_WORDS = {
    "clean_accuracy": "clean accuracy",
    "robust_accuracy": "robust accuracy",
    "flip_probability": "mean flip probability",
}


@dataclass(frozen=True, eq=False)
class Ordering:
    """The paper's order of the schemes, and what of it holds in our records.

    Attributes:
        metric: What is ordered.
        schemes: Those that both have, the largest number of the paper first.
        ours: (seeds, schemes) percent, also of schemes that the paper does not have.
        paper: The published numbers of `schemes`, see `published`.
        pairs: A row for each pair of `schemes`: upper (the one with the larger number in the paper)
            and lower, paper (their difference there in points), clear (whether the paper's two
            numbers differ and their ranges of seeds, where printed, do not overlap; five seeds
            against five do so by chance in one case of 126), difference, low and high (ours), and
            the `verdict`.
        to_baseline: Scheme -> our difference to the baseline, of all schemes but it.
        agreement: Rank correlation with the paper's order.
        images: Number of test images that the intervals are over; 0 for flip probabilities.
        table: The paper's table.
        dataset: Its test set, as printed.
        conditions: What ours were measured on.
        note: What our numbers leave out and the paper's do not; "" if nothing.
    """

    metric: str
    schemes: tuple[str, ...]
    ours: pd.DataFrame
    paper: pd.DataFrame
    pairs: pd.DataFrame
    to_baseline: Mapping[str, Interval]
    agreement: Agreement
    images: int
    table: int
    dataset: str
    conditions: Conditions
    note: str = ""

    def __repr__(self) -> str:
        return self.summary

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every scheme has."""
        return tuple(self.ours.index)

    @property
    def counts(self) -> dict[str, int]:
        """Number of pairs that hold, are reversed, are open, or are tied in the paper."""
        return self.pairs["verdict"].value_counts().reindex(VERDICTS, fill_value=0).to_dict()

    def pair(self, a: str, b: str) -> pd.Series:
        """Return the row of two schemes, in either order."""
        found = self.pairs[self.pairs[["upper", "lower"]].isin([a, b]).all(axis="columns")]
        if found.empty:
            raise ValueError(f"no pair {a!r}, {b!r}; there are {', '.join(self.schemes)}")
        return found.iloc[0]

    @property
    def uncertainty(self) -> str:
        """What the intervals are over."""
        parts = []
        if len(self.seeds) > 1:
            parts.append(f"{len(self.seeds)} seeds (their scatter pooled over the schemes)")
        if self.images:
            parts.append(f"{self.images:,} test images")
        if not parts:
            return "one seed and no results by image: no intervals"
        text = f"95 % intervals over {' and '.join(parts)}"
        return text if len(self.seeds) > 1 else f"{text}; one seed, so another may differ by more"

    @property
    def summary(self) -> str:
        """What of the order holds, in words."""
        n, a = self.counts, self.agreement
        clear = len(self.pairs) - n["tied"]
        interval = "" if math.isnan(a.low) else f" ({a.low:.2f} to {a.high:.2f})"
        note = f" (ours over {self.note}; the paper's over all)" if self.note else ""
        return (
            f"Order of {len(self.schemes)} schemes by {_WORDS[self.metric]}{note}: rank "
            f"correlation with Table {self.table} {a.rho:.2f}{interval}. Of the {clear} pairs that "
            f"the paper tells apart, same order here: {n['holds']}, opposite: {n['reversed']}, "
            f"cannot be told: {n['open']}. Not told apart in the paper: {n['tied']}. "
            f"{self.uncertainty[0].upper()}{self.uncertainty[1:]}."
        )


def _clear(a: pd.Series, b: pd.Series) -> bool:
    if a["value"] == b["value"]:
        return False
    # A comparison with nan is false: without a range, the two values decide.
    return not (a["low"] <= b["high"] and b["low"] <= a["high"])


def paper_ordering(
    records: Records,
    metric: str = "robust_accuracy",
    *,
    schemes: Sequence[str] | None = None,
    resamples: int = 2000,
) -> Ordering:
    """Compare the order of measured schemes with the paper's, and say how sure each pair is.

    Schemes share seeds and test images, so each pair is compared seed by seed and image by image.
    Every pair has a 95 % interval of its own: of twenty pairs that do not differ at all, one is
    expected to be decided by chance. The scatter between seeds is that of all schemes together, for
    a few seeds of two schemes say little of it; that supposes that they scatter alike.

    Args:
        records: As from `measured`.
        metric: "clean_accuracy", "robust_accuracy" or "flip_probability".
        schemes: Which; default those of `SCHEMES` that have records (of flip probabilities).
        resamples: Draws of the bootstrap of the rank correlation.

    Raises:
        ValueError: If fewer than three schemes are in the paper's table too, no seed is common to
            all, or a scheme lacks the metric.

    Source: paper Tables 2, 3, 13 and 14; the comparison is ours.
    """
    import pandas as pd

    _checks.choice("metric", metric, ORDERED)
    runs, flip = frame(records), metric == "flip_probability"
    there = set(runs.dropna(subset=metric)["scheme"])
    names = list(schemes or (n for n in SCHEME_NAMES if n in there))
    runs = of_schemes(runs, names)
    conditions(runs)  # refuses mixtures
    if lacking := [n for n in names if n not in there]:
        raise ValueError(
            f"no flip probabilities of {', '.join(lacking)}; measure them with "
            "`nmlib reproduce schemes`"
        )
    table, dataset, column = tables_for(runs, metric)
    printed = published(table, dataset, column).sort_values("value", ascending=False, kind="stable")
    paper = printed[printed.index.isin(names)]
    if len(paper) < 3:
        raise ValueError(
            f"Table {table} has {len(paper)} of these schemes, an order needs three; it has "
            + ", ".join(printed.index)
        )
    runs = runs.dropna(subset=metric)
    seeds = seeds_complete(runs)
    cells = scheme_cells(runs, metric, schemes=names)
    used = runs[runs["seed"].isin(seeds)]
    row = {name: k for k, name in enumerate(names)}
    scatter = seed_scatter(cells.values) if cells.seeds > 1 else None

    def compare(a: str, b: str) -> Interval:
        return _compare(cells, row[a], row[b], scatter)

    pairs = []
    for (a, p), (b, q) in itertools.combinations(paper.iterrows(), 2):
        clear, ours = _clear(p, q), compare(a, b)
        pairs.append(
            {"upper": a, "lower": b, "paper": round(p["value"] - q["value"], 6), "clear": clear}
            | asdict(ours) | {"verdict": verdict(clear, ours)}
        )  # fmt: skip
    on = cells.on[[row[s] for s in paper.index]]
    reference = Cells(cells.switches, on, paper[["value"]].to_numpy())
    others = [n for n in names if n != "baseline"] if "baseline" in row else []
    return Ordering(
        metric=metric,
        schemes=tuple(paper.index),
        ours=pd.DataFrame(cells.values.T, seeds, names),
        paper=paper,
        pairs=pd.DataFrame(pairs),
        to_baseline={name: compare(name, "baseline") for name in others},
        agreement=agreement(cells, reference, Rng(0), resamples=resamples),
        images=0 if cells.correct is None else cells.correct.shape[2],
        table=table,
        dataset=dataset,
        conditions=conditions(used),
        note=flips_note(used) if flip else "",
    )
