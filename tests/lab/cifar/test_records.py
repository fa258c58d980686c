"""Records as data frames, their tidy views and cells, against sums written out."""

import json

import numpy as np
import pandas as pd
import pytest
from oracles.records import FIFTEEN, grid, record

import nmlib as nm
from nmlib import paper
from nmlib.lab import measurements as files
from nmlib.lab.cifar.conditions import PAPER_NAMES, conditions, in_paper
from nmlib.lab.cifar.records import (
    ABLATION_NAMES,
    SCHEME_NAMES,
    ablation_cells,
    accuracies,
    by_corruption,
    flips,
    flips_note,
    frame,
    measured,
    measures,
    of_schemes,
    scheme_cells,
    seeds_complete,
    store,
)
from nmlib.methods import CARDS
from nmlib.schemes import ABLATION, SCHEMES, Switches


def rows(*pairs, **changes):
    return [record(scheme, seed, **changes) for scheme, seed in pairs]


def test_names_are_those_of_the_schemes_and_of_the_paper():
    """They stand in the lab once more, because the schemes need torch."""
    assert tuple(SCHEMES) == SCHEME_NAMES and tuple(ABLATION) == ABLATION_NAMES
    assert {n: c.name for n, c in CARDS.items() if c.in_tables} == PAPER_NAMES
    cells = paper.ablation()
    assert [scheme.switches for scheme in ABLATION.values()] == list(map(tuple, cells.on.tolist()))
    assert cells.switches == Switches._fields
    assert set(PAPER_NAMES.values()) == set(paper.table(2)["method"])
    assert list(in_paper(rows(("mixing", 0), ("nfm", 0)))["scheme"]) == ["nfm"]
    with pytest.raises(ValueError, match="no record is of a scheme in the paper's tables: base"):
        in_paper(rows(("mixing", 0)))


def test_written_and_read(tmp_path, monkeypatch):
    made = grid(2, [*reversed(ABLATION), "cutmix"])
    store([r | {"settings": {}} for r in made], tmp_path / "some.jsonl")
    monkeypatch.setattr(files, "_folder", lambda: tmp_path)
    found = measured("some.jsonl")
    assert len(found) == 22 and "settings" not in found
    assert found.iloc[:2][["scheme", "seed"]].to_numpy().tolist() == [
        ["baseline", 0],
        ["baseline", 1],
    ]
    first = json.loads((tmp_path / "some.jsonl").read_text().splitlines()[0])
    assert found.iloc[0].to_dict() == first == made[-4]
    assert list(measured("some.jsonl", schemes=ABLATION)["scheme"].unique()) == list(ABLATION)
    with pytest.raises(ValueError, match="unknown measured scheme 'augmax'; did you mean"):
        measured("some.jsonl", schemes=["augmax"])


def test_records_of_some_schemes_in_the_order_named():
    made = grid(2, ["baseline", "nfm", "noisymix"])
    found = of_schemes(made, ["noisymix", "baseline"])
    assert found[["scheme", "seed"]].to_numpy().tolist() == [
        ["noisymix", 0], ["noisymix", 1], ["baseline", 0], ["baseline", 1]
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no records"):
        frame([])


@pytest.mark.parametrize(("seeds", "words"), [(1, "seed 0,"), (2, "seeds 0, 1,")])
def test_conditions_say_everything(seeds, words):
    text = conditions(grid(seeds, ["baseline", "noisymix"])).full
    assert text.startswith("invented, none, budget smoke (1,000 images x 1 epoch), 100 test")
    assert words in text
    assert text.endswith("commit 0")


def test_conditions_say_which_seeds_are_complete():
    some = rows(("baseline", 0), ("baseline", 1), ("noisymix", 1))
    assert seeds_complete(some) == [1]
    assert "seeds 0, 1 (1 of every scheme)" in conditions(some).full
    assert "(none of every scheme)" in conditions(rows(("baseline", 0), ("nfm", 1))).full


@pytest.mark.parametrize("key", ["dataset", "model", "budget", "test_fingerprint"])
def test_records_of_two_kinds_are_refused(key):
    with pytest.raises(ValueError, match=f"differ in {key}: "):
        conditions([record("baseline", 0), record("noisymix", 0, **{key: "other"})])


def test_every_accuracy_has_a_row():
    made = grid(2, ["nfm", "mixing"])
    long = accuracies(made)
    assert len(long) == len(made) * 76
    for r in made:
        own = long[(long["scheme"] == r["scheme"]) & (long["seed"] == r["seed"])]
        expected = {("clean", 0): r["clean_accuracy"]} | {
            (name, level): v for name, levels in r["accuracy"].items()
            for level, v in enumerate(levels, 1)
        }  # fmt: skip
        assert own.set_index(["corruption", "severity"])["accuracy"].to_dict() == expected
        assert set(own["images"]) == {100} and set(own["dataset"]) == {"invented"}
    means = by_corruption(made)
    assert list(means.index) == FIFTEEN and list(means) == ["nfm", "mixing"]
    total = sum(sum(r["accuracy"]["fog"]) for r in made[:2])
    assert means["nfm"]["fog"] == pytest.approx(100 * total / 10)
    del made[1]["accuracy"]["fog"]
    with pytest.raises(ValueError, match="nfm, seed 1 lacks fog"):
        by_corruption(made)


def test_sequences_of_an_older_kind_are_left_out_of_all():
    found = {"gaussian_noise": 0.3, "zoom_blur": 0.9, "tilt": 0.1}
    new = rows(("mixup", 0), ("mixup", 1), flip_probability=found)
    old = [{k: v for k, v in r.items() if k != "sequences"} for r in new]

    def means(records):
        return measures(records)["flip_probability"]["mixup"].tolist()

    assert means(new) == pytest.approx([130 / 3] * 2)
    assert flips_note(new) == "" and len(flips(new)) == 6
    for some in (old, [old[0], new[1]], [old[0] | {"sequences": None}, new[1]]):
        assert means(some) == pytest.approx([20, 20])
        assert flips_note(some) == (
            "9 of 10 sequences, zoom_blur left out (measured with another zoom)"
        )
        assert set(flips(some)["perturbation"]) == {"gaussian_noise", "tilt"}
    # A record without flips is none of an older kind.
    without = record("mixup", 2, flip_probability=None, sequences=None)
    assert flips_note([without, *new]) == ""
    assert np.isnan(means([*new, without])[2])


def test_measures_are_those_of_the_records():
    made = grid(3, ["mixup", "mixing"])
    found = measures(made)
    for r in made:
        own = found.loc[(r["scheme"], r["seed"])]
        assert own["robust_accuracy"] == pytest.approx(100 * r["robust_accuracy"])
        assert own["aurra"] == pytest.approx(100 * r["corrupted"]["aurra"])
    both = made[1]["flip_probability"]
    assert found["flip_probability"]["mixup", 1] == pytest.approx(
        100 * (both["gaussian_noise"] + both["tilt"]) / 2
    )
    assert found["flip_probability"]["mixing"].isna().all()
    assert "rms_calibration_error_reference" not in found
    assert (measures(made, "clean")["aurra"] == 80).all()


@pytest.mark.parametrize("metric", ["robust_accuracy", "clean_accuracy"])
def test_cells_hold_the_accuracies(metric):
    made = grid(2, [*reversed(ABLATION), "cutmix"])
    cells = ablation_cells(made, metric)
    assert cells.switches == paper.SWITCHES
    hits, share = ("robust_hits", 75) if metric == "robust_accuracy" else ("clean_hits", 1)
    for k, (name, scheme) in enumerate(ABLATION.items()):
        assert tuple(cells.on[k]) == scheme.switches
        for seed in (0, 1):
            expected = np.array(record(name, seed)[hits]) / share
            assert cells.correct[k, seed] == pytest.approx(expected)
            assert cells.values[k, seed] == pytest.approx(100 * expected.mean())
    few = scheme_cells(made, metric, schemes=["noisymix", "cutmix"])
    assert few.switches == ("noisymix", "cutmix") and (few.on == np.eye(2)).all()
    assert few.values[1] == pytest.approx([100 * record("cutmix", s)[metric] for s in range(2)])


def test_cells_have_the_seeds_that_all_have():
    made = grid(2, ABLATION)
    without = [r for r in made if (r["scheme"], r["seed"]) != ("augmix", 0)]
    assert ablation_cells(without).seeds == 1
    with pytest.raises(ValueError, match="no seed in common"):
        ablation_cells([r for r in without if r["scheme"] == "augmix" or r["seed"] == 0])
    with pytest.raises(ValueError, match="no record of noise;"):
        ablation_cells([r for r in made if r["scheme"] != "noise"])
    with pytest.raises(ValueError, match="differ in test_fingerprint"):
        ablation_cells([*made[1:], made[0] | {"test_fingerprint": "other"}])
    with pytest.raises(ValueError, match="did you mean 'robust_accuracy'"):
        ablation_cells(made, "robust_acuracy")


def test_a_frame_stays_as_it_is():
    made = frame(grid(1, ["nfm"]))
    before = made.copy(deep=True)
    for view in (frame, accuracies, flips, measures, conditions, by_corruption, of_schemes):
        view(made)
    pd.testing.assert_frame_equal(made, before)
    assert set(nm.SCHEMES) >= set(made["scheme"])
