"""Records under the paper's names and units, against sums written out."""

import numpy as np
import pytest
from oracles.records import FIFTEEN, grid, record

from nmlib import paper
from nmlib.lab.cifar.conditions import (
    PAPER_NAMES,
    by_corruption,
    comparable,
    conditions,
    flips_note,
    scheme_cells,
    scheme_values,
)


def test_names_are_those_of_the_paper():
    printed = set(paper.table(2)["method"])
    assert set(PAPER_NAMES.values()) == printed


@pytest.mark.parametrize(("seeds", "words"), [(1, "seed 0,"), (2, "seeds 0, 1,")])
def test_conditions_say_everything(seeds, words):
    text = conditions(grid(seeds, ["baseline", "noisymix"]))
    assert text.startswith("invented, none, budget smoke (1,000 images x 1 epochs), 100 test")
    assert words in text
    assert text.endswith("commit 0")


def test_conditions_say_which_seeds_are_complete():
    some = [*grid(2, ["baseline"]), record("noisymix", 1)]
    assert "seeds 0, 1 (1 of every scheme)" in conditions(some)
    assert "(none of every scheme)" in conditions([record("baseline", 0), record("nfm", 1)])


@pytest.mark.parametrize("key", ["dataset", "model", "budget", "test_fingerprint"])
def test_records_of_two_kinds_are_refused(key):
    with pytest.raises(ValueError, match=f"differ in {key}: "):
        conditions([record("baseline", 0), record("noisymix", 0, **{key: "other"})])


def test_no_records():
    with pytest.raises(ValueError, match="no records"):
        conditions([])


def test_sequences_of_an_older_kind_are_left_out_of_all():
    flips = {"gaussian_noise": 0.3, "zoom_blur": 0.9, "tilt": 0.1}
    new = [record("mixup", k, flip_probability=flips) for k in range(2)]
    old = [{k: v for k, v in r.items() if k != "sequences"} for r in new]
    assert scheme_values(new, "flip_probability")["mixup"] == pytest.approx([130 / 3] * 2)
    assert flips_note(new) == "" and comparable(new) == new
    for rows in (old, [old[0], new[1]], [old[0] | {"sequences": None}, new[1]]):
        assert scheme_values(rows, "flip_probability")["mixup"] == pytest.approx([20, 20])
        assert flips_note(rows) == (
            "9 of 10 sequences, zoom_blur left out (measured with another zoom)"
        )
    # The records stay as they are, and one without flips is none of an older kind.
    assert all(r["flip_probability"] == flips for r in old)
    without = record("mixup", 0, flip_probability=None, sequences=None)
    assert comparable([without, *new]) == [without, *new]
    assert flips_note([{"flip_probability": {"tilt": 0.1}}]) == ""


def test_values_by_seed():
    rows = grid(3, ["mixup", "mixing"])[::-1]
    values = scheme_values(rows, "robust_accuracy")
    assert values["mixup"] == pytest.approx(
        [100 * record("mixup", s)["robust_accuracy"] for s in range(3)]
    )
    flips = record("mixup", 1)["flip_probability"]
    assert scheme_values(rows, "flip_probability")["mixup"][1] == pytest.approx(
        100 * (flips["gaussian_noise"] + flips["tilt"]) / 2
    )
    assert np.isnan(scheme_values(rows, "flip_probability")["mixing"]).all()
    with pytest.raises(ValueError, match="did you mean 'robust_accuracy'"):
        scheme_values(rows, "robust_acuracy")


def test_by_corruption():
    rows = grid(2, ["nfm"])
    found = by_corruption(rows)["nfm"]
    assert list(found) == FIFTEEN
    total = sum(sum(r["accuracy"]["fog"]) for r in rows)
    assert found["fog"] == pytest.approx(100 * total / 10)
    del rows[1]["accuracy"]["fog"]
    with pytest.raises(ValueError, match="nfm, seed 1 lacks fog"):
        by_corruption(rows)


def test_scheme_cells_hold_the_accuracies():
    rows = grid(2, ["noisymix", "baseline", "mixing", "augmix"])
    for metric in ("robust_accuracy", "clean_accuracy"):
        cells = scheme_cells(rows, metric)
        # In the order of the paper's names; rows of the ablation are not among them.
        assert cells.switches == ("baseline", "augmix", "noisymix")
        for k, name in enumerate(cells.switches):
            assert cells.on[k].tolist() == [n == name for n in cells.switches]
            assert cells.values[k] == pytest.approx(
                [100 * record(name, s)[metric] for s in range(2)]
            )


def test_scheme_cells_use_seeds_that_all_have():
    rows = [*grid(2, ["baseline"]), record("noisymix", 1)]
    assert scheme_cells(rows).seeds == 1
    with pytest.raises(ValueError, match="no seed in common"):
        scheme_cells([record("baseline", 0), record("noisymix", 1)])
