"""Measured grids as data frames: a row for each trained network, and tidy views of it.

`measured` reads a committed grid. `accuracies` and `flips` are its numbers with a row for each
corruption and severity, or each perturbation; `measures` has a column for each metric. All of it
needs pandas and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from nmlib import _checks
from nmlib._files import write_text
from nmlib.corruptions import CORRUPTIONS, PERTURBATIONS, outdated
from nmlib.lab.measurements import read_measured
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper import ablation
from nmlib.statistics import Cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABLATION_NAMES",
    "CALIBRATION",
    "GRID",
    "LENGTHS",
    "SCHEME_NAMES",
    "SHORT",
    "Records",
    "ablation_cells",
    "accuracies",
    "by_corruption",
    "by_family",
    "flips",
    "flips_note",
    "frame",
    "measured",
    "measures",
    "of_schemes",
    "one_kind",
    "paired",
    "scheme_cells",
    "seeds_complete",
    "sequences_left_out",
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

CALIBRATION = (
    "expected_calibration_error",
    "rms_calibration_error",
    "rms_calibration_error_reference",
    "aurra",
)
"""The measures of confidence that records may hold."""

Records: TypeAlias = "pd.DataFrame | Iterable[Mapping[str, Any]]"
"""A frame from `measured`, or the dictionaries of `run_grid` and `collect`."""

SCHEME_NAMES = (
    "baseline", "noise_injection", "stability_training", "mixup", "manifold_mixup", "cutmix",
    "puzzlemix", "nfm", "augmix", "augmix_no_jsd", "augmax", "noisymix",
)  # fmt: skip
"""The names of `nmlib.SCHEMES`, whose import needs torch."""

ABLATION_NAMES = (
    "baseline", "noise", "mixing", "mixing_noise", "augmix_no_jsd", "augmix_noise", "augmix",
    "noisymix_no_jsd", "augmix_mixing", "noisymix",
)  # fmt: skip
"""The names of `nmlib.ABLATION`: the rows of Table 4."""

_PLACE = {name: n for n, name in enumerate(dict.fromkeys([*SCHEME_NAMES, *ABLATION_NAMES]))}


def _order(record: Mapping[str, Any]) -> tuple[int, int]:
    return _PLACE.get(record["scheme"], len(_PLACE)), record["seed"]


def measured(name: str = GRID, *, schemes: Iterable[str] | None = None) -> pd.DataFrame:
    """Return a measured grid, a row for each trained network, by scheme and then seed.

    Columns are what `run_cell` returns; accuracies are shares in [0, 1].

    Args:
        name: A file of figures/data.
        schemes: Only these, in this order, e.g. `ABLATION_NAMES`.

    Raises:
        ValueError: For an unknown file, or a scheme without records.
    """
    runs = frame(sorted(read_measured(name), key=_order))
    return of_schemes(runs, schemes)


def store(records: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write the dictionaries of `collect` to a .jsonl file, in the order of `measured`."""
    lines = [
        json.dumps({k: v for k, v in record.items() if k != "settings"}, separators=(",", ":"))
        for record in sorted(records, key=_order)
    ]
    write_text(path, "".join(line + "\n" for line in lines))


def frame(records: Records) -> pd.DataFrame:
    """Return records as a data frame, a row for each trained network.

    Every function of this room takes a frame or the plain dictionaries of `run_grid`.

    Raises:
        ValueError: If there are no records.
    """
    import pandas as pd

    if isinstance(records, pd.DataFrame):
        runs = records
    else:
        runs = pd.DataFrame(list(records))
        # Records from before the sequences had versions are of the first.
        version = runs["sequences"] if "sequences" in runs else pd.Series(1, runs.index)
        runs["sequences"] = pd.to_numeric(version).fillna(1).astype(int)
    if runs.empty:
        raise ValueError("there are no records; measure some with `nmlib reproduce schemes`")
    return runs


def of_schemes(records: Records, schemes: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the records of some schemes, in the order in which these are named; default all.

    Raises:
        ValueError: For a scheme without records.
    """
    runs = frame(records)
    if schemes is None:
        return runs
    wanted = {scheme: place for place, scheme in enumerate(schemes)}
    for scheme in wanted:
        _checks.choice("measured scheme", scheme, runs["scheme"].unique())
    chosen = runs[runs["scheme"].isin(wanted)]
    return chosen.sort_values("scheme", key=lambda names: names.map(wanted), kind="stable")


def seeds_complete(records: Records) -> list[int]:
    """Return the seeds that every scheme of the records has.

    >>> rows = [("baseline", 0), ("baseline", 1), ("noisymix", 0)]
    >>> seeds_complete([{"scheme": scheme, "seed": seed} for scheme, seed in rows])
    [0]
    """
    import pandas as pd

    runs = frame(records)
    there = pd.crosstab(runs["seed"], runs["scheme"]).all(axis="columns")
    return there.index[there].tolist()


# -- tidy views -----------------------------------------------------------------------------------


def _unfold(runs: pd.DataFrame, column: str, key: str) -> pd.DataFrame:
    """Give every entry of a column of dictionaries its own row, with its key beside it."""
    entries = runs[column].map(lambda cell: cell if isinstance(cell, Mapping) else {})
    long = runs.reindex(columns=["dataset", "model", "scheme", "seed", "images"]).assign(
        **{key: entries.map(list), column: entries.map(lambda cell: list(cell.values()))}
    )
    return long.explode([key, column], ignore_index=True).dropna(subset=key)


def accuracies(records: Records) -> pd.DataFrame:
    """Return accuracies with a row for each scheme, seed, corruption and severity.

    Columns: dataset, model, scheme, seed, images, corruption ("clean" at severity 0, too),
    accuracy (a share), severity.

    >>> grid = accuracies(measured(schemes=["baseline", "noisymix"]))
    >>> fog = grid[grid["corruption"] == "fog"].pivot_table("accuracy", "scheme", "severity")
    >>> fog.round(2).loc["noisymix"].tolist()
    [0.68, 0.65, 0.6, 0.54, 0.39]
    """
    runs = frame(records)
    both = zip(runs["clean_accuracy"], runs["accuracy"], strict=True)
    levels = [{"clean": [clean], **corrupted} for clean, corrupted in both]
    long = _unfold(runs.assign(accuracy=levels, images=runs["test_images"]), "accuracy",
                   "corruption").explode("accuracy")  # fmt: skip
    severity = long.groupby(level=0).cumcount() + 1
    clean = long["corruption"] == "clean"
    return long.assign(
        accuracy=long["accuracy"].astype(float), severity=severity.mask(clean, 0)
    ).reset_index(drop=True)


def sequences_left_out(records: Records) -> tuple[str, ...]:
    """Return the sequences that were measured but cannot stand beside the paper's.

    The number `sequences` of a record is the version of its sequences, see
    `nmlib.corruptions.SEQUENCES`.
    """
    runs = frame(records)
    both = zip(runs["sequences"], runs["flip_probability"], strict=True)
    gone = {name for version, found in both if isinstance(found, Mapping)
            for name in outdated(version) if name in found}  # fmt: skip
    return tuple(name for name in PERTURBATIONS if name in gone)


def flips(records: Records) -> pd.DataFrame:
    """Return flip probabilities with a row for each scheme, seed and perturbation.

    What one record cannot compare with the paper is left out of all: a mean over nine sequences
    and a mean over ten are different measures.

    Columns: dataset, model, scheme, seed, images, perturbation, flip_probability (a share).
    """
    runs = frame(records)
    long = _unfold(
        runs.assign(images=runs.get("sequence_images")), "flip_probability", "perturbation"
    )
    kept = long[~long["perturbation"].isin(sequences_left_out(runs))]
    return kept.astype({"flip_probability": float}).reset_index(drop=True)


def flips_note(records: Records) -> str:
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


def measures(
    records: Records, calibration: Literal["corrupted", "clean"] = "corrupted"
) -> pd.DataFrame:
    """Return all metrics in percent, a row for each (scheme, seed).

    Args:
        records: As from `measured`.
        calibration: Images of the calibration measures: "corrupted" (mean over the sets) or
            "clean".

    Returns:
        Columns: clean_accuracy, robust_accuracy, flip_probability (mean over the sequences of
        `flips`, as the paper's mFR) and those of `CALIBRATION` that were measured.

    >>> robust = measures(measured())["robust_accuracy"].groupby("scheme").mean()
    >>> f"{robust['noisymix']:.1f}"
    '62.8'
    """
    import pandas as pd

    _checks.choice("calibration", calibration, ("corrupted", "clean"))
    runs = frame(records)
    by = ["scheme", "seed"]
    wide = runs.set_index(by)[["clean_accuracy", "robust_accuracy"]].astype(float)
    wide["flip_probability"] = flips(runs).groupby(by)["flip_probability"].mean()
    confidence = pd.DataFrame(runs[calibration].tolist(), index=wide.index, dtype=float)
    return 100 * wide.join(confidence.reindex(columns=CALIBRATION)).dropna(axis=1, how="all")


def by_corruption(records: Records) -> pd.DataFrame:
    """Return accuracies in percent, (corruption, scheme), means over severities and seeds.

    Raises:
        ValueError: If a record lacks one of the 15 corruptions.
    """
    wide = 100 * accuracies(records).pivot_table(
        "accuracy", ["scheme", "seed"], "corruption", sort=False
    ).reindex(columns=list(CORRUPTIONS))  # fmt: skip
    lacking = wide.isna().stack()
    if lacking.any():
        scheme, seed, corruption = lacking.idxmax()
        raise ValueError(f"the record of {scheme}, seed {seed} lacks {corruption}")
    return wide.groupby("scheme", sort=False).mean().T


def by_family(records: Records) -> pd.DataFrame:
    """Return accuracies in percent, a row for each (scheme, seed), means over severities.

    Columns: clean, the families of corruptions, and robust, the mean over all corruptions.
    """
    import pandas as pd

    wide = 100 * accuracies(records).pivot_table(
        "accuracy", ["scheme", "seed"], "corruption", sort=False
    )
    means = {
        family: wide[list(members)].mean(axis="columns")
        for family, members in CORRUPTION_FAMILIES.items()
    }
    robust = wide.drop(columns="clean").mean(axis="columns")
    return pd.DataFrame({"clean": wide["clean"], **means, "robust": robust})


# -- cells for nmlib.statistics -------------------------------------------------------------------


def paired(records: pd.DataFrame, column: str, schemes: Sequence[str]) -> pd.DataFrame:
    """Return a column as (schemes, seeds), without the seeds that not every scheme has.

    Raises:
        ValueError: If the schemes have no seed in common.
    """
    wide = records.pivot(index="scheme", columns="seed", values=column)
    wide = wide.loc[list(schemes)].dropna(axis="columns")
    if wide.empty:
        raise ValueError("the schemes have no seed in common; run the same seeds of all")
    return wide


def one_kind(records: Records) -> None:
    """Raise ValueError if records differ in data, network, budget or test images."""
    runs = frame(records)
    for key in ("dataset", "model", "budget", "test_fingerprint"):
        kinds = runs[key].dropna().unique() if key in runs else ()
        if len(kinds) > 1:
            found = ", ".join(sorted(map(str, kinds)))
            raise ValueError(f"records differ in {key}: {found}; give one at a time")


def _hits(records: pd.DataFrame, metric: str, schemes: Sequence[str]) -> np.ndarray:
    """Return (schemes, seeds, images), the share of each image's versions that was recognised."""
    _checks.choice("metric", metric, ("robust_accuracy", "clean_accuracy"))
    one_kind(records)
    robust = metric == "robust_accuracy"
    wide = paired(records, "robust_hits" if robust else "clean_hits", schemes)
    sets = sum(map(len, records["accuracy"].iloc[0].values())) if robust else 1
    return np.array(wide.to_numpy().tolist(), float) / sets


def scheme_cells(
    records: Records, metric: str = "robust_accuracy", *, schemes: Sequence[str]
) -> Cells:
    """Return schemes as cells in percent, one switch a scheme, for `resample` and `agreement`.

    Args:
        records: As from `measured`.
        metric: "robust_accuracy", "clean_accuracy" or "flip_probability"; the last has no results
            by image.
        schemes: Which, in this order.

    Raises:
        ValueError: If a scheme has no record, or no seed is common to all.
    """
    runs, on = of_schemes(records, schemes), np.eye(len(schemes), dtype=bool)
    if metric != "flip_probability":
        return Cells.from_correct(tuple(schemes), on, _hits(runs, metric, schemes))
    means = flips(runs).groupby(["scheme", "seed"])[metric].mean()
    return Cells(tuple(schemes), on, 100 * paired(means.reset_index(), metric, schemes).to_numpy())


def ablation_cells(records: Records, metric: str = "robust_accuracy") -> Cells:
    """Return the ten rows of Table 4 in percent, for `nmlib.statistics`.

    Rows are in the paper's order. Differences are paired, so seeds that not every row has are left
    out.

    Args:
        records: As from `measured`; other schemes than the ten rows are ignored.
        metric: "robust_accuracy" or "clean_accuracy".

    Raises:
        ValueError: If a row has no record, no seed is in all rows, or two rows were measured on
            different test images.
    """
    runs = frame(records)
    runs = runs[runs["scheme"].isin(ABLATION_NAMES)]
    lacking = [name for name in ABLATION_NAMES if name not in set(runs["scheme"])]
    if lacking:
        raise ValueError(
            f"no record of {', '.join(lacking)}; run `nmlib reproduce table4` with the same budget"
        )
    rows = ablation()
    return Cells.from_correct(rows.switches, rows.on, _hits(runs, metric, ABLATION_NAMES))
