"""What the paper's text says of its tables, tested on the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.numbers import SPECS, Number, from_frame, load_pandas, numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CLAIMS", "Claim", "claims"]

Values = dict[str, float]  # by method


@dataclass(frozen=True)
class Claim:
    """A statement of the text, in our words, and how the tables answer.

    Attributes:
        place: Section of the paper.
        tables: Tables it speaks of.
        says: The statement.
        verdict: "holds", "fails", or "open" where the tables lack a row to tell.
        found: What the tables show.
    """

    place: str
    tables: str
    says: str
    verdict: str
    found: str


class _Lookup:
    def __init__(self, parts: tuple[Number, ...]) -> None:
        self.parts = parts

    def column(self, table: int, dataset: str, corruption: str, metric: str = "") -> Values:
        return {
            p.method: float(p.value)
            for p in self.parts
            if (p.table, p.dataset, p.corruption) == (table, dataset, corruption)
            and (not metric or p.metric == metric)
            and not p.copied
        }

    def switched(self, corruption: str) -> dict[str, float]:
        """Return Table 4's accuracies by ticks, "1011" and so on."""
        return {
            "".join(str(int(on)) for on in p.switches): float(p.value)
            for p in self.parts
            if p.table == 4 and p.corruption == corruption and p.metric == "accuracy"
        }


Answer = Callable[[_Lookup], tuple[bool | None, str]]


def _best(values: Values) -> list[str]:
    top = max(values.values())
    return [m for m, v in values.items() if v == top]


def _nine_of_fifteen(t: _Lookup) -> tuple[bool, str]:
    names = [c for family in CORRUPTION_FAMILIES.values() for c in family]
    won = [c for c in names if _best(t.column(6, "ImageNet-C", c)) == ["NoisyMix"]]
    return len(won) == 9, f"best on {len(won)}: {', '.join(won)}"


def _families(t: _Lookup) -> tuple[bool, str]:
    winners = {}
    for family, names in CORRUPTION_FAMILIES.items():
        columns = [t.column(6, "ImageNet-C", c) for c in names]
        mean = {m: sum(c[m] for c in columns) / len(columns) for m in columns[0]}
        winners[family] = " = ".join(_best(mean))
    expected = dict.fromkeys(winners, "NoisyMix") | {"blur": "AugMix"}
    return winners == expected, ", ".join(f"{f}: {m}" for f, m in winners.items())


def _puzzle_best(t: _Lookup) -> tuple[bool, str]:
    found = {
        f"Table {n}, {data}": _best(t.column(n, data, "none"))
        for n in (2, 3)
        for data in ("CIFAR-10", "CIFAR-100")
    }
    holds = all("Puzzle Mix" in best for best in found.values())
    return holds, "; ".join(f"{where}: {' = '.join(best)}" for where, best in found.items())


def _change_by_width(t: _Lookup) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for data in ("CIFAR-10-C", "CIFAR-100-C"):
        narrow, wide = t.column(2, data, "mean"), t.column(3, data, "mean")
        for method in wide:
            found.setdefault(method, []).append(round(wide[method] - narrow[method], 1))
    return found


def _width_hurts(t: _Lookup) -> tuple[bool, str]:
    change = _change_by_width(t)
    holds = all(d < 0 for m in ("Puzzle Mix", "NFM") for d in change[m])
    others = [m for m, d in change.items() if min(d) < 0 and m not in ("Puzzle Mix", "NFM")]
    pair = {m: change[m] for m in ("Puzzle Mix", "NFM")}
    said = "; ".join(f"{m} {a:+.1f} and {b:+.1f}" for m, (a, b) in pair.items())
    return holds, f"{said}. On one of the sets or both it hurts also {', '.join(others)}"


def _width_helps(t: _Lookup) -> tuple[bool, str]:
    change = _change_by_width(t)
    pair = {m: change[m] for m in ("AugMix", "NoisyMix")}
    holds = all(d > 0 for ds in pair.values() for d in ds)
    return holds, "; ".join(f"{m} {a:+.1f} and {b:+.1f}" for m, (a, b) in pair.items())


def _augmentations_gain(t: _Lookup) -> tuple[bool, str]:
    rows = t.switched("mean")
    gain = rows["1000"] - rows["0000"]
    return abs(gain - 17) <= 0.5 + 1e-9, f"{gain:+.1f} points"


def _transfer(data: str, about: float) -> Answer:
    def answer(t: _Lookup) -> tuple[bool, str]:
        column = t.column(5, data, "mean of noise")
        gain = column["NoisyMix"] - column["Baseline"]
        return abs(gain - about) <= 0.5 + 1e-9, f"{gain:+.1f} points over the baseline"

    return answer


def _all_needed(t: _Lookup) -> tuple[bool | None, str]:
    rows = t.switched("mean")
    full = rows["1111"]
    names = ("augmentations", "feature mixing", "noise", "JSD")
    without = {n: "".join("0" if j == k else "1" for j in range(4)) for k, n in enumerate(names)}
    there = {n: rows[key] for n, key in without.items() if key in rows}
    lacking = [n for n, key in without.items() if key not in rows]
    holds = None if lacking else True
    if any(v >= full for v in there.values()):
        holds = False
    text = ", ".join(f"without {n} {v - full:+.1f}" for n, v in there.items())
    return holds, text + (f"; no row without {', '.join(lacking)} alone" if lacking else "")


def _mixing_with_noise(t: _Lookup) -> tuple[bool, str]:
    clean, robust = t.switched("none"), t.switched("mean")
    holds = clean["0110"] > clean["0000"] and abs(robust["0110"] - robust["0000"] - 11) <= 0.5
    return holds, (
        f"clean {clean['0110'] - clean['0000']:+.1f}, robust "
        f"{robust['0110'] - robust['0000']:+.1f}; mixing alone has clean "
        f"{clean['0100'] - clean['0000']:+.1f}, so noise takes some of it back"
    )


def _robust_parents(t: _Lookup) -> tuple[bool, str]:
    target = t.column(5, "CIFAR-10-C", "mean"), t.column(5, "CIFAR-100-C", "mean")
    first = [sorted(c, key=lambda m: -c[m])[:2] for c in target]
    return all(set(f) == {"NoisyMix", "AugMix"} for f in first), "; ".join(
        f"{data}: {' before '.join(f)}"
        for data, f in zip(("CIFAR-10-C", "CIFAR-100-C"), first, strict=True)
    )


def _renditions(t: _Lookup) -> tuple[bool, str]:
    robust, rendered = t.column(1, "ImageNet-C", "mean"), t.column(1, "ImageNet-R", "none")
    holds = _best(robust) == _best(rendered) == ["NoisyMix"]
    return holds, (
        f"ImageNet-C {robust['NoisyMix']:g}, next {sorted(robust.values())[-2]:g}; ImageNet-R "
        f"{rendered['NoisyMix']:g}, next {sorted(rendered.values())[-2]:g}"
    )


def _adversarial(t: _Lookup) -> tuple[bool, str]:
    robust = t.column(1, "ImageNet-C", "mean")
    gap = robust["Adversarial training"] - robust["Baseline"]
    return gap < 0, f"{gap:+.1f} points on ImageNet-C"


def _calibrated(t: _Lookup) -> tuple[bool, str]:
    error = t.column(11, "ImageNet-R", "none", "rms_calibration_error")
    least = min(error, key=lambda m: error[m])
    return least == "NoisyMix", f"least error: {least}, {error[least]:g} %"


CLAIMS: tuple[tuple[str, str, str, Answer], ...] = (
    ("1", "1", "NoisyMix is the most robust on ImageNet-C and ImageNet-R", _renditions),
    ("1", "1", "Adversarial training lowers the accuracy on ImageNet-C", _adversarial),
    ("4.2, D.2", "11", "NoisyMix is the best calibrated on ImageNet-R", _calibrated),
    ("4.3", "2, 3", "Puzzle Mix has the best clean accuracy", _puzzle_best),
    ("4.3", "2, 3", "A wider network hurts Puzzle Mix and NFM", _width_hurts),
    ("4.3", "2, 3", "A wider network helps AugMix and NoisyMix", _width_helps),
    ("4.4", "4", "Augmentations alone gain 17 points", _augmentations_gain),
    (
        "4.4", "4", "Mixing and noise together raise clean accuracy, and robust by 11 points",
        _mixing_with_noise,
    ),
    ("4.4", "4", "All four parts are needed", _all_needed),
    ("4.5", "5", "Robust ImageNet models make the most robust fine-tuned ones", _robust_parents),
    (
        "4.5", "5", "NoisyMix gains about 12 points under noise on CIFAR-10-C",
        _transfer("CIFAR-10-C", 12),
    ),
    (
        "4.5", "5", "NoisyMix gains about 6 points under noise on CIFAR-100-C",
        _transfer("CIFAR-100-C", 6),
    ),
    ("D.1", "6", "NoisyMix is best on 9 of the 15 corruptions", _nine_of_fifteen),
    ("D.1", "6", "NoisyMix is best in all families but blur, where AugMix is", _families),
)  # fmt: skip


def _answers(parts: tuple[Number, ...]) -> Iterator[Claim]:
    lookup = _Lookup(parts)
    for place, source, says, answer in CLAIMS:
        holds, found = answer(lookup)
        verdict = "open" if holds is None else "holds" if holds else "fails"
        yield Claim(place, source, says, verdict, found)


def claims(tables: Mapping[int, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Test what the text says of the tables, one row a statement (in our words).

    "About" numbers hold within half a point.

    Args:
        tables: Frames by number; default: all 14 as published.

    Source: paper sections 1, 4 and D.

    >>> claims().set_index("says")["verdict"][["All four parts are needed"]].tolist()
    ['open']
    >>> claims().query("verdict == 'fails'")["says"].tolist()
    ['Puzzle Mix has the best clean accuracy']
    """
    frames = load_pandas()
    if tables is None:
        parts = tuple(p for n in SPECS for p in numbers(n))
    else:
        parts = tuple(p for f in tables.values() for p in from_frame(f))
    return frames.DataFrame([vars(c) for c in _answers(parts)])
