"""RobustBench's numbers, and the rows that stand under wrong headings."""

import numpy as np
import pytest

from nmlib import paper
from nmlib.corruptions import CORRUPTIONS
from nmlib.paper.leaderboard import SETS

MISFILED = {"Erichson2022NoisyMix", "Addepalli2022Efficient_WRN_34_10"}


@pytest.fixture(scope="module")
def found():
    return paper.robustbench_audit()


@pytest.mark.parametrize(("dataset", "models"), [("CIFAR-10-C", 23), ("CIFAR-100-C", 13),
                                                 ("ImageNet-C", 12)])  # fmt: skip
def test_every_number_is_there(dataset, models):
    frame = paper.robustbench(dataset)
    corrupted = frame[frame["corruption"] != "none"]
    cells = corrupted.groupby(["model", "corruption", "severity"]).size()
    assert len(corrupted) == len(cells) == models * 75
    assert set(corrupted["corruption"]) == set(CORRUPTIONS)
    assert (frame["images"] == (5_000 if dataset == "ImageNet-C" else 10_000)).all()
    # Whole images: the numbers are multiples of one image in percent.
    step = 100 / SETS[dataset].images
    values = frame["value"].to_numpy()
    np.testing.assert_allclose(values, np.round(values / step) * step, atol=1e-9)


@pytest.mark.parametrize(
    ("dataset", "model", "mean"),
    [  # what the benchmark itself states for them
        ("CIFAR-10-C", "Erichson2022NoisyMix", 92.78),
        ("CIFAR-100-C", "Erichson2022NoisyMix", 72.06),
        ("ImageNet-C", "Standard_R50", 39.48),
        ("ImageNet-C", "Hendrycks2020AugMix", 49.33),
        ("ImageNet-C", "Erichson2022NoisyMix_new", 53.28),
    ],
)
def test_means_are_those_of_the_leaderboard(dataset, model, mean):
    rows = paper.robustbench(dataset).query("model == @model and corruption != 'none'")
    assert rows["value"].mean() == pytest.approx(mean, abs=0.006)


def test_two_rows_stand_under_wrong_headings(found):
    assert len(found) == 48
    wrong = found[found["misfiled"]]
    assert set(wrong["dataset"]) == {"CIFAR-100-C"} and set(wrong["model"]) == MISFILED
    # Nothing is near the line between right and wrong.
    right = found[~found["misfiled"]]
    assert right["as_filed"].min() > 0.8 > 0.65 > right["reordered"].max()
    assert wrong["as_filed"].max() <= 0.5 and wrong["reordered"].min() > 0.98


def test_the_row_of_noisymix_against_table_10(found):
    row = found.query("dataset == 'CIFAR-100-C' and method == 'NoisyMix'").iloc[0]
    assert row["paper_as_filed"] == pytest.approx(-0.15, abs=0.005)
    assert row["paper_reordered"] == pytest.approx(0.98, abs=0.005)
    assert "-0.15 as labelled, 0.98 in that order" in row["explanation"]
    assert "order of the file of CIFAR-10-C" in row["explanation"]
    assert row["explanation"] in paper.robustbench("CIFAR-100-C").attrs["notes"]


@pytest.mark.parametrize("model", sorted(MISFILED))
def test_the_networks_own_cifar_10_rows_agree(model):
    """Evidence that the audit does not use: the same method on CIFAR-10."""

    def means(dataset, heading):
        frame = paper.robustbench(dataset)
        return frame[frame["model"] == model].groupby(heading)["value"].mean()

    reference = means("CIFAR-10-C", "corruption")
    mended, filed = (means("CIFAR-100-C", heading) for heading in ("corruption", "filed_as"))
    assert reference.corr(mended) > 0.88
    assert reference.corr(filed) < 0


def test_rows_that_are_in_order_stay_as_filed():
    frame = paper.robustbench("CIFAR-100-C")
    moved = frame[frame["corruption"] != frame["filed_as"]]
    assert set(moved["model"]) == MISFILED
    with pytest.raises(ValueError, match="did you mean 'CIFAR-10-C'"):
        paper.robustbench("CIFAR10-C")
