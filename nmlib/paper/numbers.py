"""The published numbers, read from `published/`, and the subject of each table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
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
    "TableSpec",
    "joined",
    "known",
    "load_pandas",
    "printed_text",
    "read_table",
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
    """The subject of a table.

    Attributes:
        caption: In our words.
        network: Architecture as printed.
        units: Unit of each metric in it.
        notes: Known facts about it that recomputing cannot show.
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


_COLUMNS = (
    "table", "row", "method", "printed_method", "dataset", "network", "metric", "corruption",
    "family", "value", "low", "high", "decimals", "unit", "copied", "source",
)  # fmt: skip


@cache
def _read(n: int) -> pd.DataFrame:
    text = load_pandas().read_csv(
        _FOLDER / f"table{n:02d}.csv", keep_default_na=False, na_values={"low": "", "high": ""},
        dtype={"value": str, "low": float, "high": float, "copied": bool}
        | dict.fromkeys(SWITCHES, bool),
        true_values=["1"], false_values=["0"],
    )  # fmt: skip
    spec = SPECS[n]
    frame = text.assign(
        table=n,
        network=spec.network,
        family=text["corruption"].map(FAMILY).fillna("all"),
        value=text["value"].astype(float),
        decimals=text["value"].str.partition(".")[2].str.len(),
        unit=text["metric"].map(spec.units),
        source="paper",
    )
    return frame[[*_COLUMNS, *(s for s in SWITCHES if s in frame)]]


def read_table(n: int) -> pd.DataFrame:
    """Return the numbers of Table n in reading order, in a frame of the caller's own.

    `method` is one name in all tables, `printed_method` what this one prints ("" in Table 4, which
    has ticks); `corruption` is a corruption or perturbation, "mean", "mean of noise", "mean without
    noise", or "none" for a set without corruptions; `decimals` is the number of digits printed
    after the point.
    """
    return _read(known(n)).copy()


def joined(tables: Mapping[int, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Return all numbers in one frame, of the published tables or of changed copies of them."""
    frames = map(_read, SPECS) if tables is None else tables.values()
    return load_pandas().concat(frames, ignore_index=True)


def printed_text(value: float, decimals: int) -> str:
    """Return a number with the digits that the paper prints."""
    return f"{value:.{decimals}f}"
