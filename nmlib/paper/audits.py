"""The paper's tables against each other: every printed average recomputed from its parts."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.numbers import SPECS, Number, from_frame, load_pandas, numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UNLIKELY", "Finding", "audit", "chance_of_rounding", "findings"]

UNLIKELY = 1e-4
"""Probability under which a difference is reported although rounding could just explain it.

About a hundred averages are checked: one false alarm in a hundred such papers.
"""

_NOISE = CORRUPTION_FAMILIES["noise"]
_SLACK = 1e-9  # floating-point error of sums of printed decimals

# The printed average, and the table that prints its parts.
_AVERAGES = (
    (1, "ImageNet-C", "mean", 6),
    (1, "ImageNet-C", "mean without noise", 6),
    (1, "ImageNet-P", "mean", 12),
    (1, "ImageNet-P", "mean without noise", 12),
    (2, "CIFAR-10-C", "mean", 7),
    (2, "CIFAR-100-C", "mean", 8),
    (3, "CIFAR-10-C", "mean", 9),
    (3, "CIFAR-100-C", "mean", 10),
    (12, "ImageNet-P", "mean", 12),
    (13, "CIFAR-10-P", "mean", 13),
    (14, "CIFAR-10-P", "mean", 14),
)
# Pairs of tables that print some of the same numbers.
_TWICE = ((1, 12), (3, 4))
# The same networks and methods on the same corruptions, so that rows resemble each other.
_SISTERS = {7: 9, 9: 7, 8: 10, 10: 8}
_RUNS = {2: 5, 3: 5}  # tables with a lowest and a highest seed, and how many seeds


@dataclass(frozen=True)
class Finding:
    """One place where the tables disagree.

    Attributes:
        kind: "average", "gain", "printed twice", "interchanged", "repeated row", "range",
            "weights" or "weights, one row".
        table: Table of the printed number.
        against: Table of what it is compared with.
        method: Its row; several are joined by " / ".
        dataset: Test set.
        quantity: What of the test set.
        printed: As printed.
        recomputed: What the parts give.
        tolerance: Largest difference that rounding can make.
        chance: Probability that rounding alone makes a difference as large (nan: not defined).
        explanation: What may have happened.
    """

    kind: str
    table: int
    against: int
    method: str
    dataset: str
    quantity: str
    printed: float
    recomputed: float
    tolerance: float
    chance: float
    explanation: str


def _half(text: str) -> float:
    """Half a unit of the last printed digit."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def chance_of_rounding(difference: float, widths: Sequence[float]) -> float:
    r"""Return the probability that rounding alone makes a difference at least this large.

    Rounding errors are taken as independent and uniform on $[-h_i, h_i]$. Their sum $E$ has the
    characteristic function $\prod_i \operatorname{sinc}(h_i t)$, so

    $$P(|E| \ge d) = 1 - \frac{2}{\pi} \int_0^\infty \frac{\sin dt}{t}
        \prod_i \frac{\sin h_i t}{h_i t}\, dt .$$

    Args:
        difference: $d$.
        widths: The $h_i > 0$.

    Source: ours (inversion of the characteristic function).

    >>> round(chance_of_rounding(0.05, [0.05, 0.05]), 3)  # triangle on [-0.1, 0.1]
    0.25
    """
    h = np.asarray([w for w in widths if w > 0], dtype=np.float64)
    d = abs(difference)
    if d >= h.sum() - _SLACK:
        return 0.0
    # A lattice in t stands for a periodic law; a period of 8 widths keeps its copies apart.
    scale = float(h.sum())
    k = np.arange(1, 20001)
    t = np.pi * k / (4 * scale)
    phi = np.prod(np.sinc(h[:, None] * t / np.pi), 0)
    inside = d / (4 * scale) + float((2 / (np.pi * k) * np.sin(d * t) * phi).sum())
    return float(min(max(1 - inside, 0.0), 1.0))


@dataclass(frozen=True)
class _Check:
    """A printed number against a weighted sum of printed numbers."""

    kind: str
    target: Number
    parts: tuple[Number, ...]
    weights: tuple[float, ...]

    @property
    def recomputed(self) -> float:
        return sum(w * float(p.value) for w, p in zip(self.weights, self.parts, strict=True))

    @property
    def difference(self) -> float:
        return float(self.target.value) - self.recomputed

    @property
    def widths(self) -> list[float]:
        own = [abs(w) * _half(p.value) for w, p in zip(self.weights, self.parts, strict=True)]
        return [_half(self.target.value), *own]

    @property
    def tolerance(self) -> float:
        # A number printed twice was rounded twice from the same digits.
        if self.kind in ("printed twice", "interchanged"):
            return abs(self.widths[0] - self.widths[1])
        return sum(self.widths)

    @property
    def impossible(self) -> bool:
        return abs(self.difference) > self.tolerance + _SLACK

    @property
    def chance(self) -> float:
        if self.kind in ("printed twice", "interchanged"):
            return 0.0 if self.impossible else 1.0
        # Half of the room that rounding leaves is never unlikely; most checks end here.
        if abs(self.difference) < self.tolerance / 2:
            return 1.0
        return chance_of_rounding(self.difference, self.widths)

    def finding(self, explanation: str) -> Finding:
        t = self.target
        return Finding(
            self.kind, t.table, self.parts[0].table, t.method, t.dataset,
            f"{t.corruption} {t.metric}", float(t.value), self.recomputed,
            self.tolerance, self.chance, explanation,
        )  # fmt: skip


class _Tables:
    """All numbers, found by table, method, test set and corruption."""

    def __init__(self, parts: Iterable[Number]) -> None:
        self.all = tuple(parts)
        self._by = {(p.table, p.method, p.dataset, p.metric, p.corruption): p for p in self.all}

    def like(self, number: Number, table: int) -> Number | None:
        return self._by.get(
            (table, number.method, number.dataset, number.metric, number.corruption)
        )

    def parts_of(self, average: Number, table: int) -> tuple[Number, ...]:
        """Return the single corruptions that an average runs over."""
        return tuple(
            p
            for p in self.all
            if (p.table, p.method, p.dataset) == (table, average.method, average.dataset)
            and not p.corruption.startswith(("mean", "none"))
            and (average.corruption == "mean" or p.corruption not in _NOISE)
        )

    def rows(self) -> dict[tuple[int, int], tuple[Number, ...]]:
        found: dict[tuple[int, int], list[Number]] = defaultdict(list)
        for p in self.all:
            found[p.table, p.row].append(p)
        return {key: tuple(row) for key, row in found.items()}


def _averages(tables: _Tables) -> Iterator[_Check]:
    for table, dataset, corruption, source in _AVERAGES:
        for p in tables.all:
            if (p.table, p.dataset, p.corruption) != (table, dataset, corruption) or p.copied:
                continue
            parts = tables.parts_of(p, source)
            if parts:
                yield _Check("average", p, parts, (1 / len(parts),) * len(parts))


def _gains(tables: _Tables) -> Iterator[_Check]:
    for p in tables.all:
        if p.metric != "robustness_gain":
            continue
        own = next(
            q for q in tables.all if (q.table, q.row, q.metric, q.corruption)
            == (p.table, p.row, "accuracy", p.corruption)
        )  # fmt: skip
        base = next(
            q for q in tables.all if (q.table, q.row, q.metric, q.corruption)
            == (p.table, 0, "accuracy", p.corruption)
        )  # fmt: skip
        yield _Check("gain", p, (own, base), (1.0, -1.0))


def _twice(tables: _Tables) -> Iterator[_Check]:
    for first, second in _TWICE:
        for p in tables.all:
            if p.table == second and (other := tables.like(p, first)) is not None:
                yield _Check("printed twice", p, (other,), (1.0,))


def _suspect(tables: _Tables, check: _Check) -> str:
    """Look for the one part that fits a sister table badly, and for a slip of one digit in it."""
    table = check.parts[0].table
    sister = _SISTERS.get(table)
    pairs = [(p, tables.like(p, sister)) for p in check.parts] if sister else []
    gaps = [float(p.value) - float(q.value) for p, q in pairs if q is not None]
    if len(gaps) < 5 or len(gaps) != len(check.parts):
        return ""
    middle = float(np.median(gaps))
    spread = float(np.median(np.abs(np.asarray(gaps) - middle)))
    at = int(np.argmax(np.abs(np.asarray(gaps) - middle)))
    odd = check.parts[at]
    if abs(gaps[at] - middle) < 5 * max(spread, 0.1):
        return ""
    text = (
        f"Odd entry: {odd.corruption} {odd.value} is {gaps[at]:+.1f} against Table {sister}, "
        f"where the row's median is {middle:+.1f}."
    )
    repairs = [
        value for value in _slips(odd.value)
        if not _with_part(check, at, value).impossible
    ]  # fmt: skip
    if repairs:
        text += f" One digit changed, {' or '.join(repairs)}, reconciles the average."
    return text


def _slips(text: str) -> list[str]:
    """Return the numbers that differ from a printed one in one digit."""
    return [
        text[:k] + digit + text[k + 1 :]
        for k, old in enumerate(text)
        if old.isdigit()
        for digit in "0123456789"
        if digit != old and not (k == 0 and digit == "0" and text[1:2] != ".")
    ]


def _with_part(check: _Check, at: int, value: str) -> _Check:
    """Return a check with another value for one part."""
    parts = list(check.parts)
    parts[at] = replace(parts[at], value=value)
    return replace(check, parts=tuple(parts))


def _always_below(tables: _Tables, parts: Sequence[Number]) -> str:
    """Name two corruptions whose order in this row is the opposite of all rows of its kind."""
    kin = {p.table for p in parts} & _SISTERS.keys()
    if not kin:
        return ""
    rows: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for p in tables.all:
        if p.table in _SISTERS:
            rows[p.table, p.row][p.corruption] = float(p.value)
    own = rows.pop((parts[0].table, parts[0].row))
    found = [
        f"{a} {own[a]:g} above {b} {own[b]:g}"
        for a, b in itertools.permutations(own, 2)
        if own[a] > own[b] and all(row[a] < row[b] for row in rows.values())
    ]
    return f" In all other rows of Tables 7 to 10 the order is the other way: {'; '.join(found)}." \
        if found else ""  # fmt: skip


def _linear(tables: _Tables, checked: dict[str, int]) -> Iterator[Finding]:
    failed: list[_Check] = []
    for check in itertools.chain(_averages(tables), _gains(tables), _twice(tables)):
        checked[check.kind] += 1
        if check.impossible or check.chance < UNLIKELY:
            failed.append(check)
    repeated = {(p.table, p.row) for pair in _equal_rows(tables) for p in (pair[0][0], pair[1][0])}
    for check in failed:
        if check.kind == "printed twice" and (swap := _swap(tables, check)) is not None:
            yield swap
            continue
        if not check.impossible:
            text = "Rounding could just do it, if nearly all digits were rounded the same way."
        elif check.kind == "average":
            source = check.parts[0]
            text = f"The {len(check.parts)} parts in Table {source.table} have another mean."
            if (source.table, source.row) in repeated:
                text += " That row is a repeated one."
            if odd := _suspect(tables, check):
                text += " " + odd + _always_below(tables, check.parts)
        elif check.kind == "printed twice":
            text = f"Table {check.parts[0].table} prints {check.parts[0].value}."
        else:
            text = "The difference of the two accuracies is another."
        yield check.finding(text)


def _swap(tables: _Tables, check: _Check) -> Finding | None:
    """Look in the table for the number that another table prints here."""
    t, expected = check.target, check.parts[0]
    column = [
        p for p in tables.all if (p.table, p.dataset, p.metric, p.corruption)
        == (t.table, t.dataset, t.metric, t.corruption)
    ]  # fmt: skip
    there = [p for p in column if p.value == expected.value and p.row != t.row]
    # Only a row that no other table pins down can hold the number by mistake.
    free = [p for p in there if tables.like(p, expected.table) is None]
    if len(free) != 1 or len(there) != 1:
        return None
    other = free[0]
    found = replace(check, kind="interchanged").finding(
        f"Table {expected.table} prints {expected.value} for {t.method}, which stands here in the "
        f"row {other.method}; with the {t.metric} cells of the two rows exchanged (and what is "
        "computed from them) the tables agree. The clean accuracies agree as they stand."
        if _others_agree(tables, t, expected.table)
        else f"Table {expected.table} prints {expected.value} for {t.method}, which stands here "
        f"in the row {other.method}; the two rows may be interchanged."
    )
    return replace(found, method=f"{t.method} / {other.method}")


def _others_agree(tables: _Tables, number: Number, source: int) -> bool:
    rest = [
        (p, tables.like(p, source)) for p in tables.all
        if (p.table, p.row) == (number.table, number.row) and p != number
    ]  # fmt: skip
    return all(q is None or p.value == q.value for p, q in rest)


def _equal_rows(tables: _Tables) -> Iterator[tuple[tuple[Number, ...], tuple[Number, ...]]]:
    """Yield pairs of long rows, of whatever tables, with the same digits throughout."""
    seen: dict[tuple[object, ...], tuple[Number, ...]] = {}
    for row in tables.rows().values():
        single = tuple(p for p in row if not p.corruption.startswith(("mean", "none")))
        if len(single) < 5:
            continue
        key = tuple((p.corruption, p.value) for p in single)
        if key in seen:
            yield seen[key], single
        else:
            seen[key] = single


def _repeats(tables: _Tables, checked: dict[str, int]) -> Iterator[Finding]:
    long = [r for r in tables.rows().values() if len(r) >= 5 and r[0].table >= 6]
    checked["repeated row"] = len(long) * (len(long) - 1) // 2
    for first, second in _equal_rows(tables):
        a, b = first[0], second[0]
        mean = sum(float(p.value) for p in second) / len(second)
        yield Finding(
            "repeated row", b.table, a.table, f"{a.method} / {b.method}", b.dataset,
            f"{len(second)} numbers", math.nan, mean, 0.0, math.nan,
            f"All {len(second)} numbers of {b.method} are those of {a.method} in "
            f"Table {a.table}.",
        )  # fmt: skip


def _ranges(tables: _Tables, checked: dict[str, int]) -> Iterator[Finding]:
    r"""Check that a mean of n seeds fits its lowest and highest.

    One seed is the lowest, one the highest, and the others lie between:
    $((n-1) l + h)/n \le m \le (l + (n-1) h)/n$.
    """
    for p in tables.all:
        if not (p.low and p.high):
            continue
        checked["range"] += 1
        n, low, high, mean = _RUNS[p.table], float(p.low), float(p.high), float(p.value)
        slack = _half(p.value) + _half(p.low)
        least, most = ((n - 1) * low + high) / n, (low + (n - 1) * high) / n
        if low > high or mean < least - slack - _SLACK or mean > most + slack + _SLACK:
            yield Finding(
                "range", p.table, p.table, p.method, p.dataset, f"{p.corruption} {p.metric}", mean,
                min(max(mean, least), most), slack, math.nan,
                f"A mean of {n} seeds from {p.low} to {p.high} lies between {least:.2f} and "
                f"{most:.2f}.",
            )  # fmt: skip


@dataclass(frozen=True)
class _Triple:
    """A mean over everything, over the noise corruptions, and over the others."""

    whole: Number
    noise: Number
    rest: Number

    def weight(self) -> tuple[float, float]:
        """Return the interval of weights of noise that rounding allows."""
        found = [
            (w - r) / (n - r)
            for w, n, r in itertools.product(*(
                (float(p.value) - _half(p.value), float(p.value) + _half(p.value))
                for p in (self.whole, self.noise, self.rest)
            ))
        ]  # fmt: skip
        return min(found), max(found)

    def allows(self, weight: float) -> bool:
        check = self.check(weight)
        return not check.impossible

    def check(self, weight: float) -> _Check:
        return _Check("weights", self.whole, (self.noise, self.rest), (weight, 1 - weight))


def _triples(tables: _Tables) -> Iterator[_Triple]:
    by = {(p.row, p.dataset, p.corruption): p for p in tables.all if p.table == 5}
    for (row, dataset, corruption), whole in by.items():
        noise = by.get((row, dataset, "mean of noise"))
        rest = by.get((row, dataset, "mean without noise"))
        if corruption == "mean" and noise is not None and rest is not None:
            yield _Triple(whole, noise, rest)


def _candidates() -> list[Fraction]:
    """Return the shares k/n of noise among at most 19 corruptions, in order of n."""
    return sorted(
        {Fraction(k, n) for n in range(2, 20) for k in range(1, n)},
        key=lambda f: (f.denominator, f.numerator),
    )


def _weights(tables: _Tables, checked: dict[str, int]) -> Iterator[Finding]:
    """Find with which weight of noise the triples of Table 5 fit together."""
    triples = list(_triples(tables))
    checked["weights"] = len(triples)
    if not triples:
        return
    expected = Fraction(len(_NOISE), sum(map(len, CORRUPTION_FAMILIES.values())))
    fits = {f: [t for t in triples if t.allows(float(f))] for f in _candidates()}
    best = max(len(rows) for rows in fits.values())
    # The benchmark's own weight wins a tie: nothing is said against a table that it fits.
    tied = [f for f, rows in fits.items() if len(rows) == best]
    weight = expected if expected in tied else tied[0]
    gap = np.array([float(t.noise.value) - float(t.rest.value) for t in triples])
    rise = np.array([float(t.whole.value) - float(t.rest.value) for t in triples])
    slope = float(gap @ rise / (gap @ gap))
    if weight != expected:
        low = max(t.weight()[0] for t in fits[weight])
        high = min(t.weight()[1] for t in fits[weight])
        methods = " / ".join(dict.fromkeys(t.whole.method for t in triples))
        yield Finding(
            "weights", 5, 5, methods, "CIFAR-10-C, CIFAR-100-C", "weight of noise in the mean",
            float(expected), slope, (high - low) / 2, math.nan,
            f"{len(fits[expected])} of {len(triples)} triples fit noise weighted {expected} "
            f"({len(_NOISE)} of 15 corruptions); {best} fit {weight} = {float(weight):g}, and "
            f"rounding leaves {low:.4f} to {high:.4f} for those. Least squares over all: "
            f"{slope:.4f}. {_meaning(weight)}".rstrip(),
        )  # fmt: skip
    for triple in triples:
        check = triple.check(float(weight))
        if check.impossible:
            yield replace(check, kind="weights, one row").finding(_mend(triple, float(weight)))


def _meaning(weight: Fraction) -> str:
    if weight == Fraction(1, 4):
        return "So weighs a mean of the four families, or of 16 corruptions with 4 of noise."
    return ""


def _mend(triple: _Triple, weight: float) -> str:
    """Say which slips of one digit would bring a triple together, or come closest."""
    ranked = []
    for place in ("whole", "noise", "rest"):
        printed: Number = getattr(triple, place)
        for value in _slips(printed.value):
            mended: _Triple = replace(triple, **{place: replace(printed, value=value)})
            check = mended.check(weight)
            over = max(0.0, abs(check.difference) - check.tolerance)
            ranked.append((over, value, printed))
    over, value, printed = min(ranked, key=lambda r: r[0])
    low, high = triple.weight()
    text = (
        f"This triple alone needs noise weighted {low:.3f} to {high:.3f}; the others agree on "
        f"{weight:g}. "
    )
    if over > _SLACK:
        change = f"{printed.corruption} {value} for {printed.value}"
        return text + f"Nearest slip of one digit: {change}, still off by {over:.2f}."
    fits = [f"{p.corruption} {v} for {p.value}" for o, v, p in ranked if o <= _SLACK]
    return text + f"One digit changed would do: {', or '.join(fits)}."


def findings(
    parts: Iterable[Number] | None = None,
) -> tuple[tuple[Finding, ...], dict[str, int]]:
    """Return all disagreements, and how many checks of each kind were made; needs no pandas."""
    everything = [p for n in SPECS for p in numbers(n)] if parts is None else parts
    tables = _Tables(everything)
    checked: dict[str, int] = dict.fromkeys(
        ("average", "gain", "printed twice", "range", "repeated row", "weights"), 0
    )
    found = [
        *_repeats(tables, checked),
        *_linear(tables, checked),
        *_ranges(tables, checked),
        *_weights(tables, checked),
    ]
    return tuple(sorted(found, key=lambda f: (f.table, f.kind, f.method))), checked


def audit(tables: Mapping[int, pd.DataFrame] | None = None) -> pd.DataFrame:
    r"""Recompute what the paper prints twice or could be computed from its parts.

    Six kinds of checks, each with the room that rounding leaves:

    - an average against the corruptions it runs over, a gain against its two accuracies:
      $|m - \sum_i w_i x_i| \le h + \sum_i |w_i| h_i$, $h$ half a unit of the last digit;
    - a number in two tables, and whether a wrong one stands in another row;
    - all rows of ten or more corruptions against all others, for copies;
    - means of five seeds against the lowest and highest;
    - Table 5, which prints means of everything, of noise and of the rest: the share of noise
      $k/n$, $n \le 19$, that most rows allow.

    Args:
        tables: Frames by number, such as changed copies of `table(n)`; default: all 14.

    Returns:
        One row a disagreement, columns as in `Finding`; `attrs["checked"]` counts the checks made.

    Raises:
        ModuleNotFoundError: Without pandas.

    Source: paper Tables 1 to 14.

    >>> found = audit()
    >>> found.query("kind == 'repeated row'")["method"].tolist()
    ['Adversarial training / Puzzle Mix']
    """
    frames = load_pandas()
    parts = None if tables is None else [p for f in tables.values() for p in from_frame(f)]
    found, checked = findings(parts)
    columns = list(Finding.__dataclass_fields__)
    frame = frames.DataFrame([[getattr(f, c) for c in columns] for f in found], columns=columns)
    frame.attrs["checked"] = dict(checked)
    return frame
