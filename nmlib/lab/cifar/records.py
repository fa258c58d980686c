"""The committed results of a grid: one JSON record a line, a record for each scheme and seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib._files import write_text
from nmlib.lab.measurements import read_measured
from nmlib.schemes import ABLATION, SCHEMES, Switches
from nmlib.statistics import Cells

__all__ = [
    "GRID",
    "LENGTHS",
    "SHORT",
    "SWITCHES",
    "ablation_cells",
    "measured",
    "seeds_complete",
    "store",
]

GRID = "grid_cifar10-jpeg_long.jsonl"
"""The measured grid that the notebooks show: every scheme, 60 epochs."""

SHORT = "grid_cifar10-jpeg_laptop.jsonl"
"""Every scheme and every row of Table 4, 20 epochs."""

LENGTHS = {
    20: SHORT,
    60: GRID,
    120: "grid_cifar10-jpeg_long-120.jsonl",
    200: "grid_cifar10-jpeg_long-200.jsonl",
}
"""Number of epochs -> file; beyond 60 some schemes with one seed, and reliability curves."""

SWITCHES = Switches._fields
"""The columns of the ablation table, in the order of `Scheme.switches`."""

Record = dict[str, Any]

_ORDER = {name: place for place, name in enumerate(dict.fromkeys([*SCHEMES, *ABLATION]))}


def measured(name: str = GRID, *, schemes: Iterable[str] | None = None) -> list[Record]:
    """Return the records of a grid, by scheme and then seed.

    A record is what `run_cell` returns; accuracies are shares in [0, 1].

    Args:
        name: A file of figures/data.
        schemes: Only these, e.g. `ABLATION`.

    Raises:
        ValueError: For an unknown file, or a scheme without records.
    """
    records: list[Record] = read_measured(name)
    if schemes is not None:
        wanted = list(schemes)
        present = {record["scheme"] for record in records}
        lacking = [scheme for scheme in wanted if scheme not in present]
        if lacking:
            raise ValueError(
                f"{name} has no record of {', '.join(lacking)}; it has: "
                + ", ".join(sorted(present, key=_place))
            )
        records = [record for record in records if record["scheme"] in wanted]
    return sorted(records, key=lambda r: (_place(r["scheme"]), r["seed"]))


def _place(scheme: str) -> int:
    return _ORDER.get(scheme, len(_ORDER))


def seeds_complete(records: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the seeds that every scheme of the records has.

    >>> rows = [("baseline", 0), ("baseline", 1), ("noisymix", 0)]
    >>> seeds_complete([{"scheme": scheme, "seed": seed} for scheme, seed in rows])
    [0]
    """
    seeds: dict[str, set[int]] = {}
    for record in records:
        seeds.setdefault(record["scheme"], set()).add(record["seed"])
    return sorted(set.intersection(*seeds.values())) if seeds else []


def ablation_cells(records: Sequence[Mapping[str, Any]], metric: str = "robust_accuracy") -> Cells:
    """Return the ten rows of Table 4 in percent, for `nmlib.statistics`.

    Rows are in the paper's order. Seeds that not every row has are left out, as differences are
    paired.

    Args:
        records: As from `measured`; others than the ten rows are passed over.
        metric: "robust_accuracy" or "clean_accuracy".

    Raises:
        ValueError: If a row has no record, no seed is in all rows, or two rows were measured on
            different test images.
    """
    _checks.choice("metric", metric, ("robust_accuracy", "clean_accuracy"))
    found = {(r["scheme"], r["seed"]): r for r in records if r["scheme"] in ABLATION}
    lacking = [name for name in ABLATION if name not in {scheme for scheme, _ in found}]
    if lacking:
        raise ValueError(
            f"no record of {', '.join(lacking)}; run `nmlib reproduce table4` with the same budget"
        )
    seeds = seeds_complete(found.values())
    if not seeds:
        raise ValueError("the rows have no seed in common; run the same seeds of all rows")
    images = {record["test_fingerprint"] for record in found.values()}
    if len(images) > 1:
        raise ValueError(
            f"the records are of {len(images)} different test sets; give one at a time"
        )
    hits = "robust_hits" if metric == "robust_accuracy" else "clean_hits"
    correct = np.array([[found[name, seed][hits] for seed in seeds] for name in ABLATION], float)
    if metric == "robust_accuracy":
        # Of each image, so many corrupted versions: as many as there are accuracies.
        some = found[next(iter(ABLATION)), seeds[0]]
        correct /= sum(len(by_severity) for by_severity in some["accuracy"].values())
    on = [ABLATION[name].switches for name in ABLATION]
    return Cells.from_correct(SWITCHES, on, correct)


def store(records: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write records to a .jsonl file as `measured` reads them, in its order."""
    ordered = sorted(records, key=lambda r: (_place(r["scheme"]), r["seed"]))
    lines = [
        json.dumps({k: v for k, v in record.items() if k != "settings"}, separators=(",", ":"))
        for record in ordered
    ]
    write_text(path, "".join(line + "\n" for line in lines))
