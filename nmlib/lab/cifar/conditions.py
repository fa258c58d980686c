"""Measured records beside the paper's tables: the same names, units and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib.corruptions import PERTURBATIONS, outdated
from nmlib.lab.cifar.records import seeds_complete
from nmlib.methods import CARDS
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.statistics import Cells

__all__ = [
    "METRICS",
    "PAPER_NAMES",
    "Conditions",
    "by_corruption",
    "comparable",
    "conditions",
    "flips_note",
    "in_paper",
    "scheme_cells",
    "scheme_values",
    "sequences_left_out",
]

Record = Mapping[str, Any]

PAPER_NAMES: dict[str, str] = {name: c.name for name, c in CARDS.items() if c.in_tables}
"""How the paper's CIFAR tables call our schemes."""

METRICS: dict[str, str] = {
    "clean_accuracy": "clean %",
    "robust_accuracy": "robust %",
    "expected_calibration_error": "ECE %",
    "flip_probability": "flips %",
}
"""What `scheme_values` can return, and its heading; ECE is over the corrupted sets."""

_CORRUPTIONS = tuple(c for names in CORRUPTION_FAMILIES.values() for c in names)


class Conditions(str):
    """Small print: what numbers were measured on, and the parts of it that pictures name alone.

    Attributes:
        data: Label of the data set, which may hold any character.
        budget: Training budget.

    >>> Conditions("mine, cropped, mlp, budget smoke", data="mine, cropped").data
    'mine, cropped'
    >>> Conditions.of("my photographs").data
    'my photographs'
    """

    data: str
    budget: str

    def __new__(cls, text: str, data: str = "", budget: str = "") -> Conditions:
        made = super().__new__(cls, text)
        made.data, made.budget = data, budget
        return made

    @classmethod
    def of(cls, text: str) -> Conditions:
        """Return small print as it is; a plain text is the name of the data as a whole."""
        return text if isinstance(text, cls) else cls(text, data=text)


def _all_of_one_kind(records: Sequence[Record]) -> None:
    if not records:
        raise ValueError("there are no records; measure some with `nmlib reproduce schemes`")
    for key in ("dataset", "model", "budget", "test_fingerprint"):
        found = sorted({str(r[key]) for r in records if key in r})
        if len(found) > 1:
            raise ValueError(f"records differ in {key}: {', '.join(found)}; give one at a time")


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))


def conditions(records: Sequence[Record]) -> Conditions:
    """Say what records were measured on: data, network, budget, seeds, commit.

    Raises:
        ValueError: If there are none, or they differ in data, network or budget.

    >>> row = {"dataset": "tiny", "model": "mlp", "budget": "smoke", "train_images": 1000,
    ...        "test_images": 200, "epochs": [{}] * 3, "seed": 0, "scheme": "mixup",
    ...        "provenance": {"commit": "abc"}}
    >>> conditions([row])
    'tiny, mlp, budget smoke (1,000 images x 3 epochs), 200 test images, seed 0, commit abc'
    """
    records = list(records)
    _all_of_one_kind(records)
    first = records[0]
    parts = [str(first["dataset"]), str(first["model"])]
    size = f"{first['train_images']:,} images x {len(first['epochs'])} epochs"
    parts += [f"budget {first['budget']} ({size})", f"{first['test_images']:,} test images"]
    shared, every = seeds_complete(records), {r["seed"] for r in records}
    word = "seed" if len(every) == 1 else "seeds"
    some = "" if set(shared) == every else f" ({_listed(shared) or 'none'} of every scheme)"
    parts.append(f"{word} {_listed(every)}{some}")
    found = (r.get("commit") or r.get("provenance", {}).get("commit") for r in records)
    commits = [c for c in dict.fromkeys(found) if c]
    if commits:
        parts.append(f"commit{'s' * (len(commits) > 1)} {', '.join(commits)}")
    return Conditions(", ".join(parts), str(first["dataset"]), str(first["budget"]))


def sequences_left_out(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the sequences that records have but cannot put beside the paper's, in its order.

    A record says by its number "sequences" along which version of the sequences it was measured;
    records without one are of version 1, see `nmlib.corruptions.SEQUENCES`.
    """
    found = {
        name
        for record in records
        for name in outdated(record.get("sequences") or 1)
        if name in (record.get("flip_probability") or {})
    }
    return tuple(name for name in PERTURBATIONS if name in found)


def comparable(records: Iterable[Record]) -> list[Record]:
    """Return records with those flip probabilities alone that can stand beside the paper's.

    What one record cannot compare is left out of all: a mean over nine sequences and one over ten
    are two measures.

    >>> row = {"flip_probability": {"zoom_blur": 0.1, "tilt": 0.2}}
    >>> [r["flip_probability"] for r in comparable([row])]
    [{'tilt': 0.2}]
    >>> comparable([row | {"sequences": 2}])[0]["flip_probability"]
    {'zoom_blur': 0.1, 'tilt': 0.2}
    """
    records = list(records)
    gone = sequences_left_out(records)
    if not gone:
        return records
    kept: list[Record] = []
    for record in records:
        flips = record.get("flip_probability")
        left = flips and {name: p for name, p in flips.items() if name not in gone}
        kept.append({**record, "flip_probability": left})
    return kept


def flips_note(records: Iterable[Record]) -> str:
    """Say which sequences our mean flip probability leaves out; "" if none.

    >>> flips_note([{"flip_probability": dict.fromkeys(PERTURBATIONS, 0.1)}])
    '9 of 10 sequences, zoom_blur left out (measured with another zoom)'
    """
    gone = sequences_left_out(records)
    if not gone:
        return ""
    every = len(PERTURBATIONS)
    names = ", ".join(gone)
    return (
        f"{every - len(gone)} of {every} sequences, {names} left out (measured with another zoom)"
    )


def _value(record: Record, metric: str) -> float:
    """Return one metric in percent; nan where it was not measured."""
    if metric == "flip_probability":
        flips = record.get("flip_probability")
        return 100 * float(np.mean(list(flips.values()))) if flips else float("nan")
    if metric in ("clean_accuracy", "robust_accuracy"):
        return 100 * float(record[metric])
    return 100 * float(record["corrupted"][metric])


def scheme_values(records: Iterable[Record], metric: str) -> dict[str, np.ndarray]:
    """Return a metric in percent by scheme, one value a seed.

    Args:
        records: As from `measured`.
        metric: A key of `METRICS`. A flip probability is the mean over the sequences, as the
            paper's column mFR, without those of `flips_note`.

    >>> rows = [{"scheme": "mixup", "seed": s, "clean_accuracy": 0.5 + s / 10} for s in (1, 0)]
    >>> scheme_values(rows, "clean_accuracy")["mixup"].round(1).tolist()
    [50.0, 60.0]
    """
    _checks.choice("metric", metric, METRICS)
    found: dict[str, dict[int, float]] = {}
    for record in comparable(records):
        found.setdefault(record["scheme"], {})[record["seed"]] = _value(record, metric)
    return {
        name: np.array([by_seed[s] for s in sorted(by_seed)]) for name, by_seed in found.items()
    }


def by_corruption(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Return accuracies in percent by scheme and corruption, means of severities and seeds.

    Raises:
        ValueError: If a record lacks one of the 15 corruptions.
    """
    found: dict[str, list[list[float]]] = {}
    for record in records:
        lacking = [c for c in _CORRUPTIONS if c not in record["accuracy"]]
        if lacking:
            raise ValueError(
                f"the record of {record['scheme']}, seed {record['seed']} lacks {lacking[0]}"
            )
        means = [100 * float(np.mean(record["accuracy"][c])) for c in _CORRUPTIONS]
        found.setdefault(record["scheme"], []).append(means)
    return {
        scheme: dict(zip(_CORRUPTIONS, np.mean(rows, 0).tolist(), strict=True))
        for scheme, rows in found.items()
    }


def scheme_cells(
    records: Sequence[Record],
    metric: str = "robust_accuracy",
    *,
    schemes: Sequence[str] | None = None,
) -> Cells:
    """Return schemes as cells, one switch a scheme, for `resample` and `agreement`.

    Args:
        records: As from `measured`.
        metric: "robust_accuracy" or "clean_accuracy", in percent.
        schemes: Which, in this order; default those of `PAPER_NAMES` that there are.

    Raises:
        ValueError: If a scheme has no record, or no seed is common to all.
    """
    _checks.choice("metric", metric, ("robust_accuracy", "clean_accuracy"))
    present = {r["scheme"] for r in records}
    names = list(schemes or (n for n in PAPER_NAMES if n in present))
    for name in names:
        _checks.choice("measured scheme", name, present)
    kept = [r for r in records if r["scheme"] in names]
    _all_of_one_kind(kept)
    seeds = seeds_complete(kept)
    if not seeds:
        raise ValueError("the schemes have no seed in common; run the same seeds of all")
    found = {(r["scheme"], r["seed"]): r for r in kept}
    key = "robust_hits" if metric == "robust_accuracy" else "clean_hits"
    hits = np.array([[found[n, s][key] for s in seeds] for n in names], float)
    if metric == "robust_accuracy":
        hits /= sum(len(levels) for levels in kept[0]["accuracy"].values())
    return Cells.from_correct(names, np.eye(len(names), dtype=bool), hits)


def in_paper(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records of schemes that the paper's tables have."""
    found = [r for r in records if r["scheme"] in PAPER_NAMES]
    if not found:
        raise ValueError(
            f"no record is of a scheme in the paper's tables: {', '.join(PAPER_NAMES)}"
        )
    return found
