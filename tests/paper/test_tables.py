"""The published tables as data: every number counted, spot values, the printed view."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from nmlib import paper
from nmlib.paper.numbers import SPECS

# Numbers in each table, and a digest of its digits; both taken when all 1267 numbers (with lowest
# and highest seeds) had been compared with the paper's text and with an independent transcription.
COUNTS = {1: 60, 2: 34, 3: 32, 4: 29, 5: 48, 6: 150, 7: 120, 8: 120, 9: 120, 10: 120, 11: 20,
          12: 110, 13: 88, 14: 88}  # fmt: skip
DIGEST = "dedb42e9cc870fbbaec4f976911eec13c6defe5d382fefd88833650fda73c5f8"


def digits(p, *columns):
    return ["" if np.isnan(p[c]) else f"{p[c]:.{p['decimals']}f}" for c in columns]


def test_no_digit_has_changed():
    rows = [p for n in SPECS for p in paper.table(n).to_dict("records")]
    assert {n: len(paper.table(n)) for n in SPECS} == COUNTS
    written = [digits(p, "value", "low", "high") for p in rows]
    assert sum(bool(text) for row in written for text in row) == 1267
    keys = ("table", "row", "method", "dataset", "metric", "corruption")
    lines = [
        " ".join([*(str(p[k]) for k in keys), *text, str(p["copied"]),
                  str(tuple(p[s] for s in paper.SWITCHES if s in p))])
        for p, text in zip(rows, written, strict=True)
    ]  # fmt: skip
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST


def value(n, method, dataset, corruption, metric="accuracy", column="value"):
    found = paper.table(n).query(
        "method == @method and dataset == @dataset and corruption == @corruption"
        " and metric == @metric"
    )
    assert len(found) == 1
    return found[column].item()


@pytest.mark.parametrize(
    ("expected", "where"),
    [
        (52.4, (1, "NoisyMix", "ImageNet-C", "mean without noise")),
        (45.7, (1, "NoisyMix", "ImageNet-R", "none")),
        (28.5, (1, "NoisyMix", "ImageNet-P", "mean", "flip_rate")),
        (90.36, (2, "AugMax", "CIFAR-10-C", "mean")),
        (66.7, (3, "AugMix", "CIFAR-100-C", "mean")),
        (24.4, (4, "NoisyMix", "CIFAR-100-C", "mean", "robustness_gain")),
        (82.1, (4, "NoisyMix without noise", "CIFAR-100", "none")),
        (24.2, (5, "AugMix", "CIFAR-100-C", "mean of noise")),
        (8.5, (6, "Adversarial training", "ImageNet-C", "contrast")),
        (89.9, (7, "NoisyMix", "CIFAR-10-C", "gaussian_noise")),
        (77.8, (8, "NoisyMix", "CIFAR-100-C", "impulse_noise")),
        (44.2, (9, "CutMix", "CIFAR-10-C", "gaussian_noise")),
        (59.5, (10, "NoisyMix", "CIFAR-100-C", "glass_blur")),
        (3.9, (11, "NoisyMix", "ImageNet-R", "none", "rms_calibration_error")),
        (54.4, (12, "Stylized ImageNet", "ImageNet-P", "mean", "flip_rate")),
        (0.1, (13, "NoisyMix", "CIFAR-10-P", "zoom_blur", "flip_probability")),
        (15.9, (14, "CutMix", "CIFAR-10-P", "mean", "flip_probability")),
    ],
)
def test_spot_values(expected, where):
    assert value(*where) == expected


def test_lowest_and_highest_seeds():
    where = (3, "NoisyMix", "CIFAR-10-C", "mean", "accuracy")
    assert (value(*where, "low"), value(*where, "high")) == (91.2, 92.7)
    assert np.isnan(value(1, "NoisyMix", "ImageNet", "none", "accuracy", "low"))


@pytest.mark.parametrize("n", SPECS)
def test_every_frame_is_tidy_and_says_what_it_is(n):
    frame = paper.table(n)
    key = ["row", "dataset", "metric", "corruption"]
    assert not frame.duplicated(key).any()
    assert frame["value"].between(0, 100).all()
    assert set(frame["unit"]) == set(frame.attrs["units"].values())
    assert set(frame["metric"]) == set(frame.attrs["units"])
    assert frame.attrs["source"] == f"Table {n} of arXiv:2202.01263"
    assert frame.attrs["caption"]
    assert (frame["source"] == "paper").all()
    # A method has one row, and one name in all tables.
    assert frame.groupby("method")["row"].nunique().eq(1).all()


def test_methods_have_one_name_in_all_tables():
    names = {method for n in SPECS if n != 4 for method in paper.table(n)["method"]}
    assert names == {
        "Baseline", "Adversarial training", "Stylized ImageNet", "AutoAugment", "Mixup",
        "Manifold Mixup", "CutMix", "Puzzle Mix", "NFM", "AugMix", "AugMax", "NoisyMix",
    }  # fmt: skip
    assert set(paper.table(6)["printed_method"]) >= {"Fast AutoAugment", "NoisyMix (ours)"}
    assert paper.table(2).query("copied")["method"].unique().tolist() == ["AugMax"]


def test_the_switches_of_table_4():
    frame = paper.table(4)
    on = frame.drop_duplicates("row").set_index("method")[list(paper.SWITCHES)]
    ticks = on.astype(int).astype(str).agg("".join, axis=1)
    assert ticks.tolist() == [
        "0000", "0010", "0100", "0110", "1000", "1011", "1001", "1110", "1101", "1111",
    ]  # fmt: skip
    # Its network is not printed: the rows that Table 3 has too say which it is.
    clean = frame.query("corruption == 'none'").set_index("method")["value"]
    same = {}
    for n in (2, 3):
        other = paper.table(n).query("dataset == 'CIFAR-100'").set_index("method")["value"]
        shared = clean.index.intersection(other.index)
        same[n] = int((clean[shared] == other[shared]).sum())
    assert same == {2: 0, 3: 5}
    assert frame["network"].unique().tolist() == ["Wide-ResNet-28x2"]


def test_errata_come_with_their_table_and_only_there():
    assert any("Adversarial training / Puzzle Mix" in e for e in paper.table(6).attrs["errata"])
    assert any("weighted 1/5" in e for e in paper.table(5).attrs["errata"])
    assert any("spatter" in note for note in paper.table(13).attrs["notes"])
    assert paper.table(7).attrs["errata"] == ()
    # The CutMix average of Table 3 is told where its parts stand, too.
    (cutmix,) = paper.table(9).attrs["errata"]
    assert cutmix in paper.table(3).attrs["errata"]
    found = paper.audit()
    told = {n for n in range(1, 15) if paper.table(n).attrs["errata"]}
    assert told == set(found["table"]) | set(found["against"])


def test_printed_views_look_like_print():
    assert paper.printed(1).shape == (10, 4)
    assert paper.printed(2).loc["NFM", "CIFAR-10-C (%)"] == "83.3 (82.7 / 83.9)"
    assert paper.printed(2).loc["AugMax*"].tolist() == ["-", "90.36", "-", "65.75"]
    four = paper.printed(4)
    assert four.iloc[0].tolist() == ["✗", "✗", "✗", "✗", "79.0", "47.4", "-"]
    assert four.iloc[9].tolist() == ["✓", "✓", "✓", "✓", "81.3", "71.9", "+24.4"]
    assert paper.printed(5).loc["PuzzleMix", "CIFAR-100-C (%)"] == "57.2 / 26.1 / 67.6"
    six = paper.printed(6)
    assert six.shape == (10, 15)
    assert six.loc["NoisyMix (ours)", ("Noise", "White")] == "53.1"
    assert six.columns.get_level_values(0).unique().tolist() == [
        "Noise", "Blur", "Weather", "Digital",
    ]  # fmt: skip
    assert paper.printed(11).loc["NoisyMix (ours)"].tolist() == ["3.9", "74.8"]
    assert paper.printed(14).loc["CutMix"].tolist()[-1] == "15.9"


def test_the_ablation_as_cells():
    cells = paper.ablation()
    assert cells.on.shape == (10, 4)
    assert cells.seeds == 1
    assert cells.means[cells.rows[(True, False, False, True)]] == 66.9
    assert paper.ablation("clean_accuracy").means.max() == 82.1
    with pytest.raises(ValueError, match="robust_accuracy"):
        paper.ablation("accuracy")


@pytest.mark.parametrize("n", [0, 15, "4", 2.5, True])
def test_other_numbers_of_tables_are_refused(n):
    with pytest.raises(ValueError, match="tables 1 to 14"):
        paper.table(n)


def test_a_changed_frame_changes_nobody_elses():
    frame = paper.table(4)
    frame["value"] = 0.0
    frame.attrs["units"]["accuracy"] = "?"
    assert paper.table(4)["value"].max() == 82.1
    assert paper.table(4).attrs["units"]["accuracy"] != "?"


def test_without_pandas_the_error_says_what_to_install():
    code = """
import sys
sys.modules["pandas"] = None
import nmlib.paper
try:
    nmlib.paper.table(4)
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install pandas" in done.stdout
