"""The published Tables 1 to 14 as tidy frames, and as they look in print."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmlib import _checks
from nmlib.metrics import CORRUPTION_FAMILIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARXIV",
    "FAMILY",
    "SPECS",
    "SWITCHES",
    "Number",
    "TableSpec",
    "frame_of",
    "from_frame",
    "known",
    "load_pandas",
    "numbers",
]

ARXIV = "2202.01263"
SWITCHES = ("augmentations", "feature_mixing", "noise_injections", "jsd_loss")
"""The four columns of ticks of Table 4, in its order."""

_FOLDER = Path(__file__).parent / "published"
_PREACT, _WRN, _R50 = "PreActResNet-18", "Wide-ResNet-28x2", "ResNet-50"
_PERCENT = "% of test images"
_SEEDS = "mean (lowest / highest) of 5 seeds"
_NETWORK = (
    "The network is printed as Wide-ResNet-28x2; the authors' code and their leaderboard entry "
    "have width 4 (WRN-28-4)."
)
_SNOW = (
    "The public evaluation script of CIFAR-10-P runs spatter where its list of names says snow, so "
    "the column Snow may be spatter."
)
_RAW = "The column printed as mFR is a mean of raw flip probabilities: no AlexNet divides them."
_FAST = "AutoAugment is called Fast AutoAugment in Tables 6 and 12."


@dataclass(frozen=True)
class TableSpec:
    """What a table shows, apart from its numbers.

    Attributes:
        caption: What it holds, in our words.
        network: Architecture as printed.
        units: Unit of each metric in it.
        notes: What is known about it that recomputing cannot show.
    """

    caption: str
    network: str
    units: dict[str, str]
    notes: tuple[str, ...] = ()


def _by_corruption(data: str, network: str, *notes: str) -> TableSpec:
    caption = f"Robust accuracy on {data} by corruption, mean of the severities: {network}"
    return TableSpec(caption, network, {"accuracy": _PERCENT}, notes)


_FLIPS = {"flip_rate": "% of AlexNet's flip probability"}
_RAW_FLIPS = {"flip_probability": "% of steps of a sequence"}

SPECS: dict[int, TableSpec] = {
    1: TableSpec(
        "ImageNet models: clean, corrupted and rendered images, and flips along sequences; "
        "in brackets without the noise corruptions",
        _R50,
        {"accuracy": _PERCENT} | _FLIPS,
        (_FAST, "The metric printed as ImageNet-P (%) is the mean flip rate (mFP in the text)."),
    ),
    2: TableSpec(
        f"CIFAR models, clean and corrupted: {_SEEDS}", _PREACT, {"accuracy": _PERCENT},
        ("The starred AugMax row is copied from the paper that introduced it.",),
    ),
    3: TableSpec(
        f"CIFAR models, clean and corrupted: {_SEEDS}", _WRN, {"accuracy": _PERCENT}, (_NETWORK,)
    ),
    4: TableSpec(
        "Ablation on CIFAR-100: ten combinations of the four parts of NoisyMix",
        _WRN,
        {"accuracy": _PERCENT, "robustness_gain": "percentage points over the first row"},
        (_NETWORK, "No network is printed; the rows shared with Table 3 identify it."),
    ),
    5: TableSpec(
        "ImageNet models fine-tuned on CIFAR; corrupted sets: all / noise / all but noise",
        _R50, {"accuracy": _PERCENT},
    ),
    6: _by_corruption("ImageNet-C", _R50),
    7: _by_corruption("CIFAR-10-C", _PREACT),
    8: _by_corruption("CIFAR-100-C", _PREACT),
    9: _by_corruption("CIFAR-10-C", _WRN, _NETWORK),
    10: _by_corruption("CIFAR-100-C", _WRN, _NETWORK),
    11: TableSpec(
        "Calibration on ImageNet-R", _R50,
        {"rms_calibration_error": "%", "aurra": "%"},
        ("The reference code of the RMS calibration error leaves out the most confident bin.",),
    ),
    12: TableSpec("Flip rates on ImageNet-P by perturbation, and their mean", _R50, _FLIPS),
    13: TableSpec(
        "Flip probabilities on CIFAR-10-P by perturbation, and their mean",
        _PREACT, _RAW_FLIPS, (_RAW, _SNOW),
    ),
    14: TableSpec(
        "Flip probabilities on CIFAR-10-P by perturbation, and their mean",
        _WRN, _RAW_FLIPS, (_NETWORK, _RAW, _SNOW),
    ),
}  # fmt: skip

_SEQUENCE_FAMILIES = {
    "noise": ("gaussian_noise", "shot_noise"),
    "blur": ("motion_blur", "zoom_blur"),
    "weather": ("snow", "brightness"),
    "digital": ("translate", "rotate", "tilt", "scale"),
}
FAMILY = {
    name: family
    for families in (CORRUPTION_FAMILIES, _SEQUENCE_FAMILIES)
    for family, names in families.items()
    for name in names
}


@dataclass(frozen=True)
class Number:
    """One published number, as text where its digits matter.

    Attributes:
        table: 1 to 14.
        row: Place of its row in the table, from 0.
        method: One name a method in all tables.
        printed_method: How this table calls it; "" in Table 4, which has ticks.
        dataset: Test set.
        metric: Name as in `nmlib.metrics`.
        corruption: A corruption or perturbation, "mean", "mean of noise", "mean without noise",
            or "none" for a set without corruptions.
        value: Digits as printed.
        low: Lowest seed as printed, or "".
        high: Highest seed as printed, or "".
        copied: Whether the paper took it from elsewhere (its star).
        switches: Ticks of Table 4 in the order of `SWITCHES`; empty elsewhere.
    """

    table: int
    row: int
    method: str
    printed_method: str
    dataset: str
    metric: str
    corruption: str
    value: str
    low: str = ""
    high: str = ""
    copied: bool = False
    switches: tuple[bool, ...] = ()


def load_pandas() -> Any:
    """Import pandas, or say how to get it."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the published tables are pandas frames: pip install pandas",
            name="pandas",
        ) from error
    return pandas


def known(n: int) -> int:
    """Return n as an int if the paper has such a table."""
    found = _checks.plain(n)
    if type(found) not in (int, float) or found not in SPECS:
        raise ValueError(f"the paper has tables 1 to 14, got {n!r}; tables() lists them")
    return int(found)


@_checks.remembered(32)
def numbers(n: int) -> tuple[Number, ...]:
    """Return the numbers of Table n in reading order; needs no pandas."""
    with (_FOLDER / f"table{known(n):02d}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Number(
                n,
                int(r["row"]),
                r["method"],
                r["printed_method"],
                r["dataset"],
                r["metric"],
                r["corruption"],
                r["value"],
                r["low"],
                r["high"],
                r["copied"] == "1",
                tuple(r[s] == "1" for s in SWITCHES) if SWITCHES[0] in r else (),
            )
            for r in csv.DictReader(file)
        )


def _record(number: Number) -> dict[str, Any]:
    spec = SPECS[number.table]
    record = asdict(number)
    digits = number.value.partition(".")[2]
    record |= {
        "value": float(number.value),
        "low": float(number.low or "nan"),
        "high": float(number.high or "nan"),
        "decimals": len(digits),
        "network": spec.network,
        "family": FAMILY.get(number.corruption, "all"),
        "unit": spec.units[number.metric],
        "source": "paper",
    }
    del record["switches"]
    record |= dict(zip(SWITCHES, number.switches, strict=False))
    return record


_COLUMNS = (
    "table", "row", "method", "printed_method", "dataset", "network", "metric", "corruption",
    "family", "value", "low", "high", "decimals", "unit", "copied", "source",
)  # fmt: skip


def frame_of(parts: Iterable[Number]) -> pd.DataFrame:
    """Return numbers as a tidy frame."""
    parts = list(parts)
    columns = [*_COLUMNS, *(SWITCHES if parts and parts[0].switches else ())]
    return load_pandas().DataFrame([_record(part) for part in parts], columns=columns)


def from_frame(frame: pd.DataFrame) -> tuple[Number, ...]:
    """Return the numbers of a tidy frame, with as many digits as its column `decimals` says."""

    def text(value: float, decimals: int) -> str:
        return "" if value != value else f"{value:.{decimals}f}"

    found = []
    for r in frame.to_dict("records"):
        d = int(r["decimals"])
        found.append(
            Number(
                int(r["table"]),
                int(r["row"]),
                str(r["method"]),
                str(r["printed_method"]),
                str(r["dataset"]),
                str(r["metric"]),
                str(r["corruption"]),
                text(r["value"], d),
                text(r["low"], d),
                text(r["high"], d),
                bool(r["copied"]),
                tuple(bool(r[s]) for s in SWITCHES) if SWITCHES[0] in r else (),
            )
        )
    return tuple(found)
