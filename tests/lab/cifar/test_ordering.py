"""The paper's order of schemes: published numbers, intervals, verdicts."""

import math

import numpy as np
import pytest
from oracles.records import record

import nmlib as nm
from nmlib.lab.cifar.conditions import PAPER_NAMES
from nmlib.lab.cifar.ordering import (
    Interval,
    compare_schemes,
    paired_interval,
    paper_ordering,
    verdict,
)
from nmlib.lab.cifar.published import published, published_by_corruption, tables_for
from nmlib.paper import table
from nmlib.statistics import seed_scatter, spearman

SHARED = ("baseline", "cutmix", "nfm", "augmix", "augmax", "noisymix")


def flips(scheme, seed):
    draw = np.random.default_rng([seed, *scheme.encode()])
    return {n: float(draw.uniform(0.01, 0.2)) for n in nm.PERTURBATIONS}


@pytest.fixture(scope="module")
def records():
    schemes = (*SHARED, "stability_training")
    return [
        record(s, k, images=60, flip_probability=flips(s, k)) for s in schemes for k in range(3)
    ]


@pytest.mark.parametrize(
    ("number", "dataset", "column", "metric"),
    [
        (2, "CIFAR-10-C", "mean", "accuracy"),
        (3, "CIFAR-100", "none", "accuracy"),
        (13, "CIFAR-10-P", "mean", "flip_probability"),
    ],
)
def test_published_is_what_the_table_has(number, dataset, column, metric):
    frame = table(number).query("dataset == @dataset and corruption == @column")
    found = published(number, dataset, column)
    assert len(found) == len(frame)
    for row in frame.to_dict("records"):
        ours = next(s for s, name in PAPER_NAMES.items() if name == row["method"])
        assert found.loc[ours].to_dict() == pytest.approx(
            {k: row[k] for k in ("value", "low", "high", "copied")}, nan_ok=True
        )
        assert row["metric"] == metric
    with pytest.raises(ValueError, match="no column 'fog'"):
        published(2, "CIFAR-10-C", "fog")


@pytest.mark.parametrize("number", [7, 10, 14])
def test_published_by_corruption_is_what_the_table_has(number):
    found = published_by_corruption(number)
    frame = table(number).query("not corruption.str.startswith('mean')")
    for row in frame.to_dict("records"):
        ours = next(s for s, name in PAPER_NAMES.items() if name == row["method"])
        assert found[ours][row["corruption"]] == row["value"]
    assert set(found.index) - {"clean"} == set(nm.PERTURBATIONS if number == 14 else nm.CORRUPTIONS)
    if number == 10:
        clean = table(3).query("dataset == 'CIFAR-100' and method == 'NoisyMix'")["value"].item()
        assert found["noisymix"]["clean"] == clean
    with pytest.raises(ValueError, match="7 to 10, 13 and 14, got 4"):
        published_by_corruption(4)


def test_the_table_follows_network_and_data():
    def found(dataset, model, metric):
        return tables_for([{"dataset": dataset, "model": model}], metric)

    assert found("cifar100", "wrn28_4", "robust_accuracy") == (3, "CIFAR-100-C", "mean")
    assert found("cifar10-jpeg", "preact_resnet_small", "clean_accuracy") == (2, "CIFAR-10", "none")
    assert found("fashion-mini", "wrn28_2", "flip_probability") == (14, "CIFAR-10-P", "mean")
    with pytest.raises(ValueError, match="no flip probabilities on CIFAR-100"):
        found("cifar100", "wrn28_4", "flip_probability")


def test_an_interval_over_seeds_alone_is_students():
    scipy = pytest.importorskip("scipy.stats")
    values = np.array([0.4, 1.1, 2.7, 0.9])
    found = paired_interval(values, level=0.9)
    low, high = scipy.t.interval(0.9, 3, values.mean(), scipy.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert found.difference == values.mean()


def test_an_interval_over_both_covers_the_truth():
    # Effects of seed, image and both together; 3 seeds, 40 images, true difference 1.
    draw = np.random.default_rng(0)
    hits, n = 0, 2000
    for _ in range(n):
        seed, image = draw.normal(0, 0.7, 3), draw.normal(0, 3, 40)
        d = 1 + seed[:, None] + image + draw.normal(0, 4, (3, 40))
        found = paired_interval(d.mean(1), d.mean(0))
        hits += found.low <= 1 <= found.high
    assert 0.94 <= hits / n <= 0.995  # errs on the wide side, as it says


def test_what_cannot_be_told_has_no_interval():
    alone = paired_interval(np.array([2.0]))
    assert alone.difference == 2 and math.isnan(alone.low) and math.isnan(alone.high)
    assert paired_interval(np.array([1.0, 1.0])) == Interval(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 95"):
        paired_interval(np.array([1.0, 2.0]), level=95)


@pytest.mark.parametrize(
    ("clear", "low", "high", "expected"),
    [
        (True, 0.1, 0.3, "holds"),
        (True, -0.3, -0.1, "reversed"),
        (True, -0.1, 0.1, "open"),
        (True, math.nan, math.nan, "open"),
        (False, 0.1, 0.3, "tied"),
    ],
)
def test_verdicts(clear, low, high, expected):
    assert verdict(clear, Interval(0.2, low, high)) == expected


def test_pairs_are_compared_by_seed_and_image(records):
    found = paper_ordering(records, resamples=50)
    value = {(r["scheme"], r["seed"]): np.array(r["robust_hits"]) / 75 for r in records}
    every = [[100 * value[s, k].mean() for k in range(3)] for s in found.ours]
    scatter = seed_scatter(every)
    paper = published(2, "CIFAR-10-C")["value"]
    assert found.schemes == tuple(sorted(SHARED, key=lambda s: -paper[s]))
    assert len(found.pairs) == 15 and sum(found.counts.values()) == 15
    for p in found.pairs.itertuples():
        d = 100 * np.array([value[p.upper, k] - value[p.lower, k] for k in range(3)])
        expected = paired_interval(d.mean(1), d.mean(0), scatter=scatter)
        for a, b in zip((p.difference, p.low, p.high), vars(expected).values(), strict=True):
            assert a == pytest.approx(b, abs=1e-4)
        assert p.paper == pytest.approx(paper[p.upper] - paper[p.lower])
        assert p.paper >= 0
    assert set(found.to_baseline) == {*SHARED, "stability_training"} - {"baseline"}
    means = [found.ours[s].mean() for s in found.schemes]
    rho = spearman(means, [paper[s] for s in found.schemes])
    assert found.agreement.rho == pytest.approx(float(rho))
    assert "Table 2" in found.summary and "and 60 test images" in found.uncertainty
    assert "pooled over the schemes" in found.uncertainty
    assert found.pair("cutmix", "noisymix").equals(found.pair("noisymix", "cutmix"))
    with pytest.raises(ValueError, match="no pair"):
        found.pair("cutmix", "stability_training")


def test_ranges_of_the_paper_that_overlap_are_not_an_order(records):
    found = paper_ordering(records, resamples=10)
    # 73.8 (73.5 / 74.2) and 73.0 (71.8 / 73.9) overlap; 91.2 (91.1 / 91.3) and 88.8 do not.
    assert not found.pair("baseline", "cutmix").clear
    assert found.pair("noisymix", "augmix").clear
    assert found.paper["copied"]["augmax"]


def test_flip_probabilities_have_seeds_but_no_images(records):
    found = paper_ordering(records, "flip_probability", resamples=10)
    assert found.images == 0 and found.table == 13
    p = found.pairs.iloc[0]
    d = [
        100 * (np.mean([*flips(p.upper, k).values()]) - np.mean([*flips(p.lower, k).values()]))
        for k in range(3)
    ]
    every = [[100 * np.mean([*flips(s, k).values()]) for k in range(3)] for s in found.ours]
    expected = paired_interval(np.array(d), scatter=seed_scatter(every))
    assert p.low == pytest.approx(expected.low)


def test_one_seed_says_so(records):
    single = [r for r in records if r["seed"] == 0]
    found = paper_ordering(single, resamples=20)
    assert "one seed, so another may differ by more" in found.summary
    assert found.pairs["low"].notna().all()
    nothing = paper_ordering(single, "flip_probability", resamples=10)
    assert nothing.counts["open"] == len(nothing.pairs) - nothing.counts["tied"]
    assert "no intervals" in nothing.summary


def test_seeds_that_not_all_have_are_left_out(records):
    fewer = [r for r in records if (r["scheme"], r["seed"]) != ("nfm", 1)]
    found = paper_ordering(fewer, resamples=10)
    assert found.seeds == (0, 2) and found.conditions.seeds == (0, 2)


def test_two_schemes_take_the_scatter_of_all(records):
    every = paper_ordering(records, resamples=2)
    alike = compare_schemes(records, "noisymix")
    # Accuracies by image are in single precision there.
    assert vars(alike) == pytest.approx(vars(every.to_baseline["noisymix"]), abs=1e-3)
    back = compare_schemes(records, "baseline", "noisymix")
    assert (back.difference, back.low) == pytest.approx((-alike.difference, -alike.high))
    alone = compare_schemes(
        [r for r in records if r["scheme"] in ("noisymix", "baseline")], "noisymix"
    )
    assert (alone.low, alone.high) != pytest.approx((alike.low, alike.high), abs=1e-3)
    # Only the seeds that both have.
    others = [r for r in records if (r["scheme"], r["seed"]) != ("noisymix", 0)]
    kept = [r for r in records if r["seed"] != 0]
    assert compare_schemes(others, "noisymix").difference == pytest.approx(
        compare_schemes(kept, "noisymix").difference
    )
    # A scheme that lacks a seed still says something of the scatter, and costs the pair nothing.
    fewer = [r for r in records if (r["scheme"], r["seed"]) != ("nfm", 1)]
    found = compare_schemes(fewer, "noisymix")
    assert found.difference == alike.difference
    assert found.low not in (alike.low, alone.low)


def test_bad_input(records):
    with pytest.raises(ValueError, match="an order needs three"):
        paper_ordering(records, schemes=["baseline", "noisymix"])
    with pytest.raises(ValueError, match="unknown metric"):
        paper_ordering(records, "accuracy")
    with pytest.raises(ValueError, match="unknown measured scheme 'mixup'"):
        paper_ordering(records, schemes=["baseline", "mixup", "noisymix"])
    with pytest.raises(ValueError, match="no flip probabilities of nfm"):
        without = [r | {"flip_probability": None} if r["scheme"] == "nfm" else r for r in records]
        paper_ordering(without, "flip_probability", schemes=SHARED)
    with pytest.raises(ValueError, match="differ in budget"):
        paper_ordering([records[0] | {"budget": "paper"}, *records[1:]])
