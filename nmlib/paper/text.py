"""What the paper's text says of its tables, tested on the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.numbers import SWITCHES, joined, load_pandas

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["claims"]

# The statement, whether it holds (None: the tables lack a row to tell), and what they show.
Answer = tuple[str, bool | None, str]
_CORRUPTED = ("CIFAR-10-C", "CIFAR-100-C")


def _column(t: pd.DataFrame, table: int, dataset: str, corruption: str = "none") -> pd.Series:
    """Return one printed column by method, without rows copied from other papers."""
    here = t[(t["table"] == table) & (t["dataset"] == dataset) & ~t["copied"]]
    return (
        here[here["corruption"] == corruption]
        .drop_duplicates("method")
        .set_index("method")["value"]
    )


def _best(values: pd.Series) -> str:
    return " = ".join(values.index[values == values.max()])


def _imagenet(t: pd.DataFrame) -> Iterator[Answer]:
    sets = {"ImageNet-C": "mean", "ImageNet-R": "none"}
    columns = {data: _column(t, 1, data, corruption) for data, corruption in sets.items()}
    yield (
        "NoisyMix is the most robust on ImageNet-C and ImageNet-R",
        all(_best(c) == "NoisyMix" for c in columns.values()),
        "; ".join(
            f"{data} {c['NoisyMix']:g}, next {c.nlargest(2).iloc[1]:g}"
            for data, c in columns.items()
        ),
    )
    robust = columns["ImageNet-C"]
    gap = robust["Adversarial training"] - robust["Baseline"]
    yield (
        "Adversarial training lowers the accuracy on ImageNet-C",
        gap < 0, f"{gap:+.1f} points on ImageNet-C",
    )  # fmt: skip


def _calibration(t: pd.DataFrame) -> Iterator[Answer]:
    error = _column(t[t["metric"] == "rms_calibration_error"], 11, "ImageNet-R")
    yield (
        "NoisyMix is the best calibrated on ImageNet-R", error.idxmin() == "NoisyMix",
        f"least error: {error.idxmin()}, {error.min():g} %",
    )  # fmt: skip


def _cifar(t: pd.DataFrame) -> Iterator[Answer]:
    clean = {
        f"Table {n}, {data}": _best(_column(t, n, data))
        for n in (2, 3)
        for data in ("CIFAR-10", "CIFAR-100")
    }
    yield (
        "Puzzle Mix has the best clean accuracy",
        all("Puzzle Mix" in best for best in clean.values()),
        "; ".join(f"{where}: {best}" for where, best in clean.items()),
    )
    pairs = {data: [_column(t, n, data, "mean") for n in (2, 3)] for data in _CORRUPTED}
    # Table 3 has the wider network of the two, and one method less.
    change = {data: wide - narrow.reindex(wide.index) for data, (narrow, wide) in pairs.items()}
    change = load_pandas().DataFrame(change).round(1)

    def said(methods: list[str]) -> str:
        rows = change.loc[methods].itertuples(name=None)
        return "; ".join(f"{m} {a:+.1f} and {b:+.1f}" for m, a, b in rows)

    losers, winners = ["Puzzle Mix", "NFM"], ["AugMix", "NoisyMix"]
    others = change.index[change.lt(0).any(axis=1)].difference(losers, sort=False)
    yield (
        "A wider network hurts Puzzle Mix and NFM", bool(change.loc[losers].lt(0).all(axis=None)),
        f"{said(losers)}. On one of the sets or both it hurts also {', '.join(others)}",
    )  # fmt: skip
    yield (
        "A wider network helps AugMix and NoisyMix",
        bool(change.loc[winners].gt(0).all(axis=None)), said(winners),
    )  # fmt: skip


def _ablation(t: pd.DataFrame) -> Iterator[Answer]:
    four = t[(t["table"] == 4) & (t["metric"] == "accuracy")]
    ticks = four[list(SWITCHES)].astype(bool).astype(int).astype(str).agg("".join, axis=1)
    rows = four.assign(ticks=ticks).pivot(index="ticks", columns="corruption", values="value")
    robust, clean = (rows[c] - rows[c]["0000"] for c in ("mean", "none"))
    yield (
        "Augmentations alone gain 17 points", _about(robust["1000"], 17),
        f"{robust['1000']:+.1f} points",
    )  # fmt: skip
    yield (
        "Mixing and noise together raise clean accuracy, and robust by 11 points",
        clean["0110"] > 0 and _about(robust["0110"], 11),
        f"clean {clean['0110']:+.1f}, robust {robust['0110']:+.1f}; mixing alone has clean "
        f"{clean['0100']:+.1f}, so noise takes some of it back",
    )
    names = ("augmentations", "feature mixing", "noise", "JSD")
    less = robust.reindex(["0111", "1011", "1101", "1110"]).set_axis(names) - robust["1111"]
    there, lacking = less.dropna(), ", ".join(less.index[less.isna()])
    text = ", ".join(f"without {name} {value:+.1f}" for name, value in there.items())
    yield (
        "All four parts are needed",
        False if (there >= 0).any() else None if lacking else True,
        text + (f"; no row without {lacking} alone" if lacking else ""),
    )


def _transfer(t: pd.DataFrame) -> Iterator[Answer]:
    first = {data: _column(t, 5, data, "mean").nlargest(2).index for data in _CORRUPTED}
    yield (
        "Robust ImageNet models make the most robust fine-tuned ones",
        all(set(two) == {"NoisyMix", "AugMix"} for two in first.values()),
        "; ".join(f"{data}: {' before '.join(two)}" for data, two in first.items()),
    )
    for data, points in zip(_CORRUPTED, (12, 6), strict=True):
        column = _column(t, 5, data, "mean of noise")
        gain = column["NoisyMix"] - column["Baseline"]
        yield (
            f"NoisyMix gains about {points} points under noise on {data}", _about(gain, points),
            f"{gain:+.1f} points over the baseline",
        )  # fmt: skip


def _corruptions(t: pd.DataFrame) -> Iterator[Answer]:
    columns = {
        family: [_column(t, 6, "ImageNet-C", c).rename(c) for c in names]
        for family, names in CORRUPTION_FAMILIES.items()
    }
    won = [c.name for family in columns.values() for c in family if _best(c) == "NoisyMix"]
    yield (
        "NoisyMix is best on 9 of the 15 corruptions", len(won) == 9,
        f"best on {len(won)}: {', '.join(map(str, won))}",
    )  # fmt: skip
    best = {family: _best(sum(found) / len(found)) for family, found in columns.items()}
    yield (
        "NoisyMix is best in all families but blur, where AugMix is",
        best == dict.fromkeys(best, "NoisyMix") | {"blur": "AugMix"},
        ", ".join(f"{family}: {method}" for family, method in best.items()),
    )


def _about(value: float, said: float) -> bool:
    return abs(value - said) <= 0.5 + 1e-9


_SECTIONS = (
    ("1", "1", _imagenet),
    ("4.2, D.2", "11", _calibration),
    ("4.3", "2, 3", _cifar),
    ("4.4", "4", _ablation),
    ("4.5", "5", _transfer),
    ("D.1", "6", _corruptions),
)


def claims(tables: Mapping[int, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Test what the text says of the tables, one row a statement (in our words).

    "About" numbers hold within half a point.

    Args:
        tables: Frames by number; default: all 14 as published.

    Returns:
        Columns `place` (section of the paper), `tables`, `says`, `verdict` ("holds", "fails", or
        "open" where the tables lack a row to tell) and `found` (what they show).

    Source: paper sections 1, 4 and D.

    >>> claims().set_index("says")["verdict"][["All four parts are needed"]].tolist()
    ['open']
    >>> claims().query("verdict == 'fails'")["says"].tolist()
    ['Puzzle Mix has the best clean accuracy']
    """
    t = joined(tables)
    rows = [
        (place, source, says, "open" if holds is None else "holds" if holds else "fails", found)
        for place, source, answers in _SECTIONS
        for says, holds, found in answers(t)
    ]
    return load_pandas().DataFrame(rows, columns=["place", "tables", "says", "verdict", "found"])
