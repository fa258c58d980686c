"""RobustBench's accuracies by corruption and severity, and whether their columns are in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib import _checks
from nmlib.paper.numbers import FAMILY, joined, load_pandas

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SETS", "BenchmarkSet", "robustbench", "robustbench_audit"]

_FOLDER = Path(__file__).parent / "published" / "robustbench"
_SEVERITIES = 5


@dataclass(frozen=True)
class BenchmarkSet:
    """One of RobustBench's files.

    Attributes:
        file: In `published/robustbench`.
        images: Test images of each corruption and severity.
        tables: The paper's tables by corruption of the same test set; the last is the nearest.
        models: Networks of the paper's methods: name there -> (method, architecture).
    """

    file: str
    images: int
    tables: tuple[int, ...]
    models: dict[str, tuple[str, str]]


SETS: dict[str, BenchmarkSet] = {
    "CIFAR-10-C": BenchmarkSet(
        "cifar10_c.csv", 10_000, (7, 9),
        {
            "Standard": ("Baseline", "WRN-28-10"),
            "Hendrycks2020AugMixWRN": ("AugMix", "WRN-40-2"),
            "Erichson2022NoisyMix": ("NoisyMix", "WRN-28-4"),
        },
    ),
    "CIFAR-100-C": BenchmarkSet(
        "cifar100_c.csv", 10_000, (8, 10),
        {
            "Hendrycks2020AugMix_WRN": ("AugMix", "WRN-40-2"),
            "Erichson2022NoisyMix": ("NoisyMix", "WRN-28-4"),
        },
    ),
    "ImageNet-C": BenchmarkSet(
        "imagenet_c.csv", 5_000, (6,),
        {
            "Standard_R50": ("Baseline", "ResNet-50"),
            "Salman2020Do_50_2_Linf": ("Adversarial training", "WRN-50-2"),
            "Geirhos2018_SIN_IN": ("Stylized ImageNet", "ResNet-50"),
            "Hendrycks2020AugMix": ("AugMix", "ResNet-50"),
            "Erichson2022NoisyMix": ("NoisyMix", "ResNet-50"),
            "Erichson2022NoisyMix_new": ("NoisyMix", "ResNet-50"),
        },
    ),
}  # fmt: skip
"""RobustBench's files by test set. Its ImageNet numbers are of 5,000 images, not of 50,000."""


@cache
def _read(dataset: str) -> pd.DataFrame:
    """Return a file as it is: models by `corruption/severity` (and `clean`), in percent."""
    return load_pandas().read_csv(_FOLDER / SETS[dataset].file, index_col="model") * 100


@cache
def _order(dataset: str) -> tuple[str, ...]:
    """Return the corruptions of a file from left to right."""
    return tuple(dict.fromkeys(c.partition("/")[0] for c in _read(dataset) if c != "clean"))


def _means(dataset: str) -> pd.DataFrame:
    """Return means over the severities, models by corruptions, as filed."""
    filed = _read(dataset).drop(columns="clean").to_numpy()
    means = filed.reshape(len(filed), -1, _SEVERITIES).mean(-1)
    return load_pandas().DataFrame(means, _read(dataset).index, _order(dataset))


def _printed(dataset: str) -> pd.DataFrame:
    """Return the paper's rows of a test set by corruption, without repeated ones."""
    t = joined()
    t = t[t["table"].isin(SETS[dataset].tables) & t["corruption"].isin(_order(dataset))]
    names = t["method"] + ", Table " + t["table"].astype(str)
    rows = t.assign(name=names).pivot(index="name", columns="corruption", values="value")
    return rows[list(_order(dataset))].drop_duplicates()


def _correlations(row: Any, others: pd.DataFrame) -> pd.Series:
    """Return Pearson's correlation of a row with each of the others, column by column."""
    return others.T.corrwith(load_pandas().Series(np.asarray(row), others.columns))


@cache
def _audited() -> pd.DataFrame:
    found = []
    for dataset, known in SETS.items():
        means, printed, own = _means(dataset), _printed(dataset), _order(dataset)
        # Of files with the same order the first gives its name.
        elsewhere = {_order(d): d for d in reversed(SETS) if _order(d) != own}
        for model, row in means.iterrows():
            others = load_pandas().concat([printed, means.drop(model)])
            here = _correlations(row, others)
            best = {o: _correlations(row, others[list(o)]) for o in elsewhere}
            order = max(best, key=lambda o: best[o].max())
            there, wrong = best[order], bool(best[order].max() > here.max())
            method = known.models.get(str(model), ("", ""))[0]
            name = f"{method}, Table {known.tables[-1]}"
            same = {"filed": here.get(name, np.nan), "reordered": there.get(name, np.nan)}
            text = ""
            if wrong:
                text = (
                    f"Filed under the wrong order of columns: as labelled the row correlates at "
                    f"most {here.max():.2f} with any other ({here.idxmax()}); in the order of the "
                    f"file of {elsewhere[order]} it correlates {there.max():.2f} with "
                    f"{there.idxmax()}."
                )
                if name in here:
                    text += (
                        f" With the paper's own row ({name}): {same['filed']:.2f} as labelled, "
                        f"{same['reordered']:.2f} in that order."
                    )
                text += " Means over the corruptions are not touched."
            found.append(
                {
                    "dataset": dataset, "model": model, "method": method,
                    "as_filed": here.max(), "nearest": here.idxmax(),
                    "reordered": there.max(), "nearest_reordered": there.idxmax(),
                    "paper_as_filed": same["filed"], "paper_reordered": same["reordered"],
                    "misfiled": wrong, "order_of": elsewhere[order] if wrong else dataset,
                    "explanation": text,
                }
            )  # fmt: skip
    return load_pandas().DataFrame(found)


def robustbench_audit() -> pd.DataFrame:
    r"""Check by correlation whether each row of RobustBench stands under its own columns.

    The fifteen accuracies of a network follow those of some similar network: Pearson's $r$ with the
    nearest row of the paper's tables or of the same file is high. A row whose numbers stand under
    the headings of another order correlates with none. Each row is therefore compared with all
    others twice: as labelled, and with its numbers in the order of columns of the other files. It
    is misfiled if the second correlation is the higher one.

    Returns:
        One row a network: `dataset`, `model`, `method` (the paper's, "" if it has none),
        `as_filed` and `nearest` (the highest correlation as labelled, and with whom), `reordered`
        and `nearest_reordered`, `paper_as_filed` and `paper_reordered` (the same with the row that
        the paper prints for the method; nan without one), `misfiled`, `order_of` (the file whose
        order the numbers have) and an `explanation`, "" if there is nothing to say.

    Raises:
        ModuleNotFoundError: Without pandas.

    Source: ours; the numbers are RobustBench's (arXiv 2010.09670) and the paper's Tables 6 to 10.

    >>> robustbench_audit().query("misfiled")[["dataset", "model"]].values.tolist()
    [['CIFAR-100-C', 'Erichson2022NoisyMix'], ['CIFAR-100-C', 'Addepalli2022Efficient_WRN_34_10']]
    """
    return _audited().copy()


def robustbench(dataset: str) -> pd.DataFrame:
    """Return RobustBench's accuracies of a corrupted test set, one row a number.

    They are of public networks, measured by other people than the paper's authors.

    Args:
        dataset: "CIFAR-10-C", "CIFAR-100-C" or "ImageNet-C".

    Returns:
        Columns `model` (name there), `method` (the paper's, "" if it has none), `network` ("" for
        models of no method of the paper), `dataset`, `images`, `corruption` ("none" for the clean
        images, which are there for ImageNet), `family`, `severity` (0 for clean), `value` (percent
        of test images), `filed_as` (the heading that the number stands under; it differs from
        `corruption` in misfiled rows) and `source`; `attrs["notes"]` has what is wrong.

    Raises:
        ValueError: For another test set.
        ModuleNotFoundError: Without pandas.

    Source: RobustBench (arXiv 2010.09670), commit 78fcc9e; the order of columns by
        `robustbench_audit`.

    >>> rows = robustbench("ImageNet-C").query("corruption != 'none'")
    >>> rows.groupby("model")["value"].mean().round(2)["Erichson2022NoisyMix"].item()
    52.47
    """
    _checks.choice("test set", dataset, SETS)
    known, wide = SETS[dataset], _read(dataset)
    audited = _audited().query("dataset == @dataset").set_index("model")
    long = wide.melt(ignore_index=False, var_name="column").dropna().reset_index()
    heading = long["column"].str.split("/", expand=True)
    filed = heading[0].replace("clean", "none")
    # A misfiled row has its numbers where another file has them.
    moved = {
        model: dict(zip(_order(dataset), _order(row["order_of"]), strict=True))
        for model, row in audited[audited["misfiled"]].iterrows()
    }
    corruption = [
        moved.get(m, {}).get(c, c) for m, c in zip(long["model"], filed, strict=True)
    ]  # fmt: skip
    about = long["model"].map(lambda m: known.models.get(m, ("", "")))
    place = {model: k for k, model in enumerate(wide.index)}
    frame = load_pandas().DataFrame(
        {
            "model": long["model"], "method": about.str[0], "network": about.str[1],
            "dataset": dataset, "images": known.images, "corruption": corruption,
            "family": load_pandas().Series(corruption).map(FAMILY).fillna("all"),
            "severity": heading[1].fillna("0").astype(int), "value": long["value"].round(2),
            "filed_as": filed, "source": "RobustBench",
        }
    )  # fmt: skip
    frame = frame.sort_values("model", key=lambda m: m.map(place), kind="stable", ignore_index=True)
    frame.attrs["notes"] = tuple(filter(None, audited["explanation"]))
    return frame
