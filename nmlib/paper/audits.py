"""The paper's tables against each other: every printed average recomputed from its parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.numbers import joined, load_pandas, printed_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UNLIKELY", "audit", "chance_of_rounding", "published_audit"]

UNLIKELY = 1e-4
"""Report a difference less probable than this, even if rounding could just explain it.

About a hundred averages are checked: one false alarm in a hundred such papers.
"""

_SLACK = 1e-9  # floating-point error of sums of printed decimals
_SEEDS = 5  # behind a mean that is printed with its lowest and highest
_SAME = ["method", "dataset", "network", "metric"]
_COLUMNS = (
    "kind", "table", "against", "method", "dataset", "quantity", "printed", "recomputed",
    "tolerance", "chance", "explanation",
)  # fmt: skip


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


def _terms(t: pd.DataFrame, single: pd.DataFrame) -> pd.DataFrame:
    """Return the weighted parts of every printed number that is a sum of others.

    A mean is the mean of its corruptions, a gain the difference of two accuracies, a number that
    two tables print the number itself.
    """

    def pairs(targets: pd.DataFrame, parts: pd.DataFrame, on: list[str]) -> pd.DataFrame:
        left = targets.rename_axis("target").reset_index()
        return left.merge(parts.rename_axis("part").reset_index(), on=on, suffixes=("", "_part"))

    # Table 4 repeats averages of Table 3 and is compared with those.
    means = t[
        t["corruption"].isin(["mean", "mean without noise"]) & ~t["copied"] & (t["table"] != 4)
    ]
    average = pairs(means, single, _SAME)
    average = average[(average["corruption"] == "mean") | (average["family_part"] != "noise")]
    accuracy, gain = t[t["metric"] == "accuracy"], t[t["metric"] == "robustness_gain"]
    place = ["table", "dataset", "corruption"]
    own = pairs(gain, accuracy, [*place, "row"])
    first = pairs(gain, accuracy[accuracy["row"] == 0], place)
    twice = pairs(t, t, [*_SAME, "corruption"])
    twice = twice[twice["table"] > twice["table_part"]]
    size = average.groupby("target")["part"].transform("size")
    terms = [
        average.assign(kind="average", weight=1 / size),
        own.assign(kind="gain", weight=1.0),
        first.assign(kind="gain", weight=-1.0),
        twice.assign(kind="printed twice", weight=1.0),
    ]
    return load_pandas().concat(terms)[["kind", "target", "part", "weight"]]


def _sums(t: pd.DataFrame, terms: pd.DataFrame) -> pd.DataFrame:
    """Compare printed numbers with their sums: difference, tolerance, chance of rounding."""
    parts, half = t.loc[terms["part"]], 0.5 * 10.0 ** -t["decimals"]
    terms["term"] = terms["weight"] * parts["value"].to_numpy()
    terms["width"] = terms["weight"].abs() * half[terms["part"]].to_numpy()
    terms["against"] = parts["table"].to_numpy()
    sums = (
        terms.groupby(["kind", "target"], sort=False)
        .agg(against=("against", "first"), parts=("part", list), widths=("width", list),
             recomputed=("term", "sum"), width=("width", "sum"))
        .reset_index().merge(t, left_on="target", right_index=True)
    )  # fmt: skip
    own_half = half[sums["target"]].to_numpy()
    # A number printed twice was rounded twice from the same digits.
    once = sums["kind"] != "printed twice"
    sums["tolerance"] = (own_half + sums["width"]).where(once, (own_half - sums["width"]).abs())
    sums["difference"] = (sums["value"] - sums["recomputed"]).abs()
    sums["impossible"] = sums["difference"] > sums["tolerance"] + _SLACK
    # Half of the room that rounding leaves is never unlikely; most checks end here.
    tight = once & (sums["difference"] >= sums["tolerance"] / 2)
    sums["chance"] = [
        chance_of_rounding(d, [h, *w]) if close else float(not wrong)
        for d, h, w, close, wrong in zip(
            sums["difference"], own_half, sums["widths"], tight, sums["impossible"], strict=True
        )
    ]
    return sums


def _slips(text: str) -> list[str]:
    """Return the numbers that differ from a printed one in one digit."""
    return [
        text[:k] + digit + text[k + 1 :]
        for k, old in enumerate(text)
        if old.isdigit()
        for digit in "0123456789"
        if digit != old and not (k == 0 and digit == "0" and text[1:2] != ".")
    ]


def _suspect(single: pd.DataFrame, check: Any) -> str:
    """Find the one part that fits the other network's row badly, and a slip of one digit in it."""
    parts = single.loc[check.parts].set_index("corruption")
    same = single[["method", "dataset", "metric"]] == [check.method, check.dataset, check.metric]
    sister = single[same.all(axis=1) & (single["network"] != check.network)]
    gaps = (parts["value"] - sister.set_index("corruption")["value"]).reindex(parts.index)
    if len(gaps) < 5 or gaps.isna().any():
        return ""
    middle = gaps.median()
    off = (gaps - middle).abs()
    name = str(off.idxmax())
    if off[name] < 5 * max(off.median(), 0.1):
        return ""
    value = parts["value"][name]
    written = printed_text(value, parts["decimals"][name])
    text = (
        f" Odd entry: {name} {written} is {gaps[name]:+.1f} against Table "
        f"{sister['table'].iloc[0]}, where the row's median is {middle:+.1f}."
    )
    repairs = [
        slip for slip in _slips(written)
        if abs(check.value - check.recomputed - (float(slip) - value) / len(parts))
        <= check.tolerance + _SLACK
    ]  # fmt: skip
    if repairs:
        text += f" One digit changed, {' or '.join(repairs)}, reconciles the average."
    return text + _always_below(single, check.against, parts["row"].iloc[0])


def _always_below(single: pd.DataFrame, table: int, row: int) -> str:
    """Name corruptions whose order in this row of Tables 7 to 10 contradicts all other rows."""
    kin = single[single["table"].between(7, 10)]
    rows = kin.pivot(index=["table", "row"], columns="corruption", values="value")
    if (table, row) not in rows.index:
        return ""
    own, others = rows.loc[(table, row)], rows.drop((table, row))
    found = [
        f"{a} {own[a]:g} above {b} {own[b]:g}"
        for a, b in itertools.permutations(rows, 2)
        if own[a] > own[b] and (others[a] < others[b]).all()
    ]
    if not found:
        return ""
    return f" In all other rows of Tables 7 to 10 the order is the other way: {'; '.join(found)}."


def _swapped(t: pd.DataFrame, sums: pd.DataFrame, check: Any) -> tuple[str, str] | None:
    """Look in the table for the number that another table prints here: its row, and the words."""
    place = ["table", "dataset", "metric", "corruption"]
    column = t[(t[place] == [getattr(check, c) for c in place]).all(axis=1)]
    there = column[(column["value"] == check.recomputed) & (column["row"] != check.row)]
    pinned = sums[sums["kind"] == "printed twice"].set_index("target")
    # Only a row that no other table pins down can hold the number by mistake.
    if len(there) != 1 or there.index[0] in pinned.index:
        return None
    other = there["method"].iloc[0]
    wanted = printed_text(check.recomputed, check.decimals)
    text = (
        f"Table {check.against} prints {wanted} for {check.method}, which stands here in the row "
        f"{other}; with the {check.metric} cells of the two rows exchanged (and what is computed "
        "from them) the tables agree."
    )
    rest = pinned[(pinned["table"] == check.table) & (pinned["row"] == check.row)]
    if not rest.drop(check.target)["impossible"].any():
        text += " The clean accuracies agree as they stand."
    return other, text


def _wrong_sums(
    t: pd.DataFrame, single: pd.DataFrame, sums: pd.DataFrame, repeated: set[tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    for check in sums[sums["impossible"] | (sums["chance"] < UNLIKELY)].itertuples():
        kind, method, parts = check.kind, check.method, t.loc[check.parts]
        if not check.impossible:
            text = "Rounding could just do it, if nearly all digits were rounded the same way."
        elif kind == "gain":
            text = "The difference of the two accuracies is another."
        elif kind == "average":
            text = f"The {len(parts)} parts in Table {check.against} have another mean."
            if (check.against, parts["row"].iloc[0]) in repeated:
                text += " That row is a repeated one."
            text += _suspect(single, check)
        elif swap := _swapped(t, sums, check):
            kind, method, text = "interchanged", f"{method} / {swap[0]}", swap[1]
        else:
            wanted = printed_text(check.recomputed, parts["decimals"].iloc[0])
            text = f"Table {check.against} prints {wanted}."
        yield check._asdict() | {
            "kind": kind, "method": method, "quantity": f"{check.corruption} {check.metric}",
            "printed": check.value, "explanation": text,
        }  # fmt: skip


def _rows(single: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of five or more corruptions, with their digits as one text."""
    text = single.assign(text=single["corruption"] + " " + single["value"].astype(str))
    rows = text.groupby(["table", "row"], as_index=False).agg(
        method=("method", "first"), dataset=("dataset", "first"), length=("text", "size"),
        recomputed=("value", "mean"), text=("text", "; ".join),
    )  # fmt: skip
    return rows[rows["length"] >= 5]


def _repeats(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Find rows, of whatever tables, with the same digits throughout."""
    first = rows.drop_duplicates("text").set_index("text")
    for row in rows[rows.duplicated("text")].itertuples():
        source = first.loc[row.text]
        yield row._asdict() | {
            "kind": "repeated row", "against": source["table"],
            "method": f"{source['method']} / {row.method}", "quantity": f"{row.length} numbers",
            "tolerance": 0.0,
            "explanation": f"All {row.length} numbers of {row.method} are those of "
            f"{source['method']} in Table {source['table']}.",
        }  # fmt: skip


def _ranges(t: pd.DataFrame) -> Iterator[dict[str, Any]]:
    r"""Check that a mean of n seeds fits its lowest and highest.

    One seed is the lowest, one the highest, and the others lie between:
    $((n-1) l + h)/n \le m \le (l + (n-1) h)/n$.
    """
    for p in t[t["low"].notna()].itertuples():
        share, slack = (p.high - p.low) / _SEEDS, 10.0**-p.decimals
        least, most = p.low + share, p.high - share
        if share < 0 or not least - slack - _SLACK <= p.value <= most + slack + _SLACK:
            low, high = (printed_text(v, p.decimals) for v in (p.low, p.high))
            yield p._asdict() | {
                "kind": "range", "against": p.table, "quantity": f"{p.corruption} {p.metric}",
                "printed": p.value, "recomputed": min(max(p.value, least), most),
                "tolerance": slack,
                "explanation": f"A mean of {_SEEDS} seeds from {low} to {high} lies between "
                f"{least:.2f} and {most:.2f}.",
            }  # fmt: skip


# The means that Table 5 prints of every test set, all in tenths.
_ALL, _NOISE, _REST = "mean", "mean of noise", "mean without noise"


def _over(x: Any, weight: float) -> Any:
    """Return how far triples miss the weighted mean beyond what rounding explains."""
    miss = abs(x[_ALL] - weight * x[_NOISE] - (1 - weight) * x[_REST]) - 0.1
    return np.where(miss > _SLACK, miss, 0.0)


def _weight_range(x: Any) -> tuple[float, float]:
    """Return the weights of noise that rounding allows one triple."""
    corners = itertools.product((-0.05, 0.05), repeat=3)
    found = [(x[_ALL] + a - x[_REST] - r) / (x[_NOISE] + n - x[_REST] - r) for a, n, r in corners]
    return min(found), max(found)


def _weights(triples: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Find with which weight of noise the triples of Table 5 fit together."""
    noise, every = len(CORRUPTION_FAMILIES["noise"]), sum(map(len, CORRUPTION_FAMILIES.values()))
    expected = Fraction(noise, every)
    shares = {Fraction(k, n) for n in range(2, 20) for k in range(1, n)}
    # The benchmark's own weight wins a tie: nothing is said against a table that it fits.
    ranked = sorted(shares, key=lambda f: (f != expected, f.denominator, f.numerator))
    fits = {f: int((_over(triples, float(f)) == 0).sum()) for f in ranked}
    weight = max(ranked, key=lambda f: fits[f])
    records = triples.to_dict("records")
    wrong = _over(triples, float(weight)) > 0
    about = {"table": 5, "against": 5}
    if weight != expected:
        ends = [_weight_range(x) for x in itertools.compress(records, ~wrong)]
        low, high = max(e[0] for e in ends), min(e[1] for e in ends)
        gap, rise = triples[_NOISE] - triples[_REST], triples[_ALL] - triples[_REST]
        slope = float(gap @ rise / (gap @ gap))
        text = (
            f"{fits[expected]} of {len(triples)} triples fit noise weighted {expected} "
            f"({noise} of {every} corruptions); {fits[weight]} fit {weight} = {float(weight):g}, "
            f"and rounding leaves {low:.4f} to {high:.4f} for those. Least squares over all: "
            f"{slope:.4f}."
        )
        if weight == Fraction(1, 4):
            text += " So weighs a mean of the four families, or of 16 corruptions with 4 of noise."
        yield about | {
            "kind": "weights", "method": " / ".join(triples["method"].unique()),
            "dataset": ", ".join(triples["dataset"].unique()),
            "quantity": "weight of noise in the mean", "printed": float(expected),
            "recomputed": slope, "tolerance": (high - low) / 2, "explanation": text,
        }  # fmt: skip
    for x in itertools.compress(records, wrong):
        yield about | x | {
            "kind": "weights, one row", "quantity": "mean accuracy", "printed": x[_ALL],
            "recomputed": weight * x[_NOISE] + (1 - weight) * x[_REST], "tolerance": 0.1,
            "chance": 0.0, "explanation": _mend(x, float(weight)),
        }  # fmt: skip


def _mend(x: Mapping[str, Any], weight: float) -> str:
    """Say which slips of one digit would bring a triple together, or come closest."""
    slips = [
        (float(_over({**x, name: float(slip)}, weight)), f"{name} {slip} for {x[name]:.1f}")
        for name in (_ALL, _NOISE, _REST)
        for slip in _slips(f"{x[name]:.1f}")
    ]
    low, high = _weight_range(x)
    text = (
        f"This triple alone needs noise weighted {low:.3f} to {high:.3f}; the others agree on "
        f"{weight:g}. "
    )
    over, change = min(slips, key=lambda slip: slip[0])
    if over:
        return text + f"Nearest slip of one digit: {change}, still off by {over:.2f}."
    fits = [change for over, change in slips if not over]
    return text + f"One digit changed would do: {', or '.join(fits)}."


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
        One row a disagreement: its `kind` ("average", "gain", "printed twice", "interchanged",
        "repeated row", "range", "weights" or "weights, one row"), the `table` of the number and the
        one it is compared with (`against`), `method` (several are joined by " / "), `dataset`,
        `quantity`, the number as `printed` and as `recomputed` from its parts, the `tolerance` that
        rounding leaves, the `chance` that rounding alone makes so large a difference (nan: not
        defined), and an `explanation`. `attrs["checked"]` counts the checks made.

    Raises:
        ModuleNotFoundError: Without pandas.

    Source: paper Tables 1 to 14.

    >>> found = audit()
    >>> found.query("kind == 'repeated row'")["method"].tolist()
    ['Adversarial training / Puzzle Mix']
    """
    t = joined(tables)
    single = t[~t["corruption"].str.startswith(("mean", "none"))]
    sums, rows = _sums(t, _terms(t, single)), _rows(single)
    five = t[(t["table"] == 5) & t["corruption"].isin([_ALL, _NOISE, _REST])]
    triples = five.pivot(index=["row", "method", "dataset"], columns="corruption", values="value")
    copies = rows[rows.duplicated("text", keep=False)]
    found = [
        *_repeats(rows),
        *_wrong_sums(t, single, sums, set(zip(copies["table"], copies["row"], strict=True))),
        *_ranges(t),
        *(_weights(triples.reset_index()) if len(triples) else ()),
    ]
    frame = load_pandas().DataFrame(found, columns=list(_COLUMNS))
    frame = frame.sort_values(["table", "kind", "method"], kind="stable", ignore_index=True)
    frame["recomputed"] = frame["recomputed"].astype(float).round(9)
    frame.attrs["checked"] = {
        **{
            kind: int((sums["kind"] == kind).sum()) for kind in ("average", "gain", "printed twice")
        },
        "range": int(t["low"].notna().sum()),
        "repeated row": len(rows) * (len(rows) - 1) // 2,
        "weights": len(triples),
    }
    return frame


@cache
def published_audit() -> pd.DataFrame:
    """Return the audit of the tables as published, made once; not to be changed."""
    return audit()
