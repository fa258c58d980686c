"""Effects of switches: by hand, against known answers, against scipy."""

import itertools
import math
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng
from nmlib.statistics import (
    Cells,
    agreement,
    deviation_from_range,
    differences,
    effects,
    gains,
    orders,
    precision,
    resample,
    seed_scatter,
    shapley,
    shapley_bounds,
    spearman,
)

A, M, N, J = SWITCHES
TEN = ablation().on
ALL16 = np.array(list(itertools.product([False, True], repeat=4)))


def model(on, coefficients, constant=40.0):
    """Values from a table of 0/1 coefficients by sets of switches."""
    at = {s: k for k, s in enumerate(SWITCHES)}
    return np.array(
        [
            constant + sum(c for term, c in coefficients.items() if all(row[at[s]] for s in term))
            for row in on
        ]
    )


KNOWN = {(A,): 16.0, (M,): 6.0, (N,): 2.0, (J,): 3.0, (A, M): -4.0, (A, N): -1.5, (M, N): 3.5,
         (M, J): 0.5, (N, J): -1.0}  # fmt: skip


def one_seed(on, values, switches=SWITCHES):
    return Cells(switches, on, np.asarray(values, float)[:, None])


# -- main effects and interactions ----------------------------------------------------------------


def test_full_factorial_gives_back_its_coefficients():
    found = effects(one_seed(ALL16, model(ALL16, KNOWN)), Rng(0))
    assert found.identified.all()
    for term in itertools.combinations(SWITCHES, 2):
        assert found.of(*term) == pytest.approx(KNOWN.get(term, 0))


def test_effects_are_means_over_the_other_switches():
    values = model(ALL16, KNOWN) + np.random.default_rng(0).normal(size=16)
    found = effects(one_seed(ALL16, values), Rng(0), order=4)
    by = {tuple(row): v for row, v in zip(ALL16.tolist(), values, strict=True)}

    def mean(**fixed):
        rows = [r for r in by if all(r[SWITCHES.index(s)] == v for s, v in fixed.items())]
        return np.mean([by[r] for r in rows])

    for s in SWITCHES:
        assert found.of(s) == pytest.approx(mean(**{s: True}) - mean(**{s: False}))
    for s, t in itertools.combinations(SWITCHES, 2):
        with_t = mean(**{s: True, t: True}) - mean(**{s: False, t: True})
        without = mean(**{s: True, t: False}) - mean(**{s: False, t: False})
        assert found.of(s, t) == pytest.approx(with_t - without)


def test_ten_rows_determine_what_they_determine():
    found = effects(one_seed(TEN, model(TEN, KNOWN)), Rng(0), without=[(A, J)])
    unknown = {t for t, known in zip(found.terms, found.identified, strict=True) if not known}
    full = effects(one_seed(ALL16, model(ALL16, KNOWN)), Rng(0))
    for s in SWITCHES:
        assert found.of(s) == pytest.approx(full.of(s))
    assert unknown == {(A, M), (A, N), (M, J), (N, J)}
    assert found.of(M, N) == pytest.approx(KNOWN[M, N])
    assert math.isnan(found.of(A, M))


def test_with_the_divergence_only_beside_augmentations_the_two_cannot_be_told_apart():
    found = effects(one_seed(TEN, model(TEN, KNOWN)), Rng(0))
    unknown = {t for t, known in zip(found.terms, found.identified, strict=True) if not known}
    assert {(J,), (A, J)} <= unknown


@pytest.mark.parametrize("seed", range(6))
def test_identified_is_what_rank_says(seed):
    rng = np.random.default_rng(seed)
    on = ALL16[np.sort(rng.choice(16, rng.integers(3, 14), replace=False))]
    found = effects(one_seed(on, rng.normal(size=len(on))), Rng(0))
    at = {s: k for k, s in enumerate(SWITCHES)}
    x = np.stack([(on - 0.5)[:, [at[s] for s in t]].prod(1) for t in found.terms], 1)
    rank = np.linalg.matrix_rank(x)
    for j, known in enumerate(found.identified):
        # A term is determined if asking for it adds nothing to the rows.
        unit = np.eye(len(found.terms))[j]
        assert known == (np.linalg.matrix_rank(np.vstack([x, unit])) == rank)


def test_least_squares_is_that_of_numpy():
    cells = ablation()
    found = effects(cells, Rng(0), order=1)
    x = np.column_stack([np.ones(10), cells.on - 0.5])
    np.testing.assert_allclose(found.estimate, np.linalg.lstsq(x, cells.means, rcond=None)[0])
    assert np.isnan(found.low).all()  # one number a row says nothing of chance


def test_unknown_terms_are_refused():
    with pytest.raises(ValueError, match="did you mean 'jsd_loss'"):
        effects(ablation(), Rng(0), without=[("jsd_los",)])
    with pytest.raises(ValueError, match="no term"):
        effects(ablation(), Rng(0), order=1).of(A, M)


# -- gains, orders, Shapley -----------------------------------------------------------------------


def test_gains_of_the_paper_by_hand():
    found = {(g.switch, "".join("AMNJ"[k] for k in range(4) if g.before[k])): g.gain
             for g in gains(ablation(), Rng(0))}  # fmt: skip
    expected = {
        (A, ""): 16.6, (A, "MN"): 9.9, (M, ""): 5.8, (M, "N"): 9.2, (M, "ANJ"): 5.2,
        (M, "AJ"): 2.4, (N, ""): 2.1, (N, "M"): 5.5, (N, "AJ"): -0.2, (N, "AMJ"): 2.6,
        (J, "A"): 2.9, (J, "AMN"): 3.3,
    }  # fmt: skip
    assert found == pytest.approx(expected)


def test_orders_and_means_of_the_paper_by_hand():
    assert set(orders(ablation())) == {(A, J, M, N), (A, J, N, M), (M, N, A, J), (N, M, A, J)}
    found = shapley(ablation(), Rng(0))
    assert found.value == pytest.approx([13.25, 5.65, 2.5, 3.1])
    assert found.value.sum() == pytest.approx(71.9 - 47.4)
    assert (len(found.orders), found.every_order) == (4, 24)
    assert len(ablation().missing) == 6


def by_permutations(on, values):
    """Shapley values by their definition, slowly."""
    by = {tuple(r): v for r, v in zip(on.tolist(), values, strict=True)}
    total = np.zeros(4)
    for order in itertools.permutations(range(4)):
        row = [False] * 4
        for s in order:
            before = by[tuple(row)]
            row[s] = True
            total[s] += by[tuple(row)] - before
    return total / 24


def test_full_lattice_gives_shapley_values():
    values = np.random.default_rng(1).normal(size=16)
    found = shapley(one_seed(ALL16, values), Rng(0))
    np.testing.assert_allclose(found.value, by_permutations(ALL16, values))
    low, high = shapley_bounds(one_seed(ALL16, values), -9.0, 9.0)
    np.testing.assert_allclose(low, found.value)
    np.testing.assert_allclose(high, found.value)


def test_bounds_hold_and_are_reached():
    values = np.random.default_rng(2).uniform(0, 1, size=16)
    kept = [k for k, row in enumerate(ALL16.tolist()) if row in TEN.tolist()]
    cells = one_seed(ALL16[kept], values[kept])
    low, high = shapley_bounds(cells, 0.0, 1.0)
    truth = by_permutations(ALL16, values)
    assert (low <= truth).all() and (truth <= high).all()
    # Each missing row at 0 or 1: the extremes over all 64 fillings.
    fillings = []
    for ends in itertools.product((0.0, 1.0), repeat=6):
        filled = values.copy()
        filled[[k for k in range(16) if k not in kept]] = ends
        fillings.append(by_permutations(ALL16, filled))
    np.testing.assert_allclose(low, np.min(fillings, 0))
    np.testing.assert_allclose(high, np.max(fillings, 0))
    with pytest.raises(ValueError, match="low must not exceed"):
        shapley_bounds(cells, 1.0, 0.0)


def test_no_complete_order_is_an_error_that_names_the_rows():
    cells = Cells(("a", "b"), [[0, 0], [1, 1]], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="✗✓, ✓✗"):
        shapley(cells, Rng(0))
    assert gains(cells, Rng(0)) == ()


# -- resampling -----------------------------------------------------------------------------------


def noisy(seeds=3, images=None, seed=0):
    rng = np.random.default_rng(seed)
    if images is None:
        return Cells(SWITCHES, TEN, rng.normal(size=(10, seeds)) + model(TEN, KNOWN)[:, None])
    share = rng.uniform(size=images)
    correct = rng.uniform(size=(10, seeds, images)) < share
    return Cells.from_correct(SWITCHES, TEN, correct)


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_bootstrap_over_seeds_has_the_unbiased_variance(seeds):
    cells = noisy(seeds)
    draws = resample(cells, Rng(0), resamples=40_000)
    expected = cells.values.var(1, ddof=1) / seeds
    np.testing.assert_allclose(draws.var(0), expected, rtol=0.05)
    assert (np.abs(draws.mean(0) - cells.means) < 4 * np.sqrt(expected / 40_000)).all()


def test_bootstrap_over_images_has_the_binomial_variance():
    cells = noisy(1, 400)
    draws = resample(cells, Rng(0), resamples=6000)
    p = cells.means / 100
    np.testing.assert_allclose(draws.std(0), 100 * np.sqrt(p * (1 - p) / 399), rtol=0.05)


def test_seeds_and_images_add_up():
    cells = noisy(4, 300)
    both = resample(cells, Rng(0), resamples=6000).var(0)
    by_seed = cells.values.var(1, ddof=1) / 4
    by_image = (100 * cells.correct.mean(1)).var(1, ddof=1) / 300
    assert (both > np.maximum(by_seed, by_image)).all()
    # Seeds, images, and what seeds and images do together: at most counted once more.
    assert (both < 2.3 * (by_seed + by_image)).all()


def test_rows_are_drawn_together():
    """What all rows share cancels in differences: seeds and images alike."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=5)
    cells = Cells(SWITCHES, TEN, np.arange(10.0)[:, None] + shared)
    draws = resample(cells, Rng(0), resamples=50)
    np.testing.assert_allclose(draws - draws[:, [0]], np.tile(np.arange(10.0), (50, 1)), atol=1e-9)
    right = rng.uniform(size=(1, 2, 60)) < 0.5
    same = Cells.from_correct(SWITCHES, TEN, np.repeat(right, 10, 0))
    assert np.ptp(resample(same, Rng(0), resamples=50), axis=1).max() < 1e-9


def test_draws_depend_on_the_source_alone():
    cells = noisy(3, 50)
    first = resample(cells, Rng(3), resamples=100)
    np.testing.assert_array_equal(first, resample(cells, Rng(3), resamples=100))
    assert not np.array_equal(first, resample(cells, Rng(4), resamples=100))


def test_one_seed_has_no_interval_and_images_give_one():
    assert math.isnan(shapley(ablation(), Rng(0)).low[0])
    found = shapley(noisy(1, 200), Rng(0), resamples=200)
    assert (found.low < found.value).all() and (found.value < found.high).all()


def test_values_that_do_not_belong_to_the_images_are_refused():
    right = np.random.default_rng(0).uniform(size=(10, 2, 50)) < 0.5
    cells = Cells(SWITCHES, TEN, np.random.default_rng(1).uniform(size=(10, 2)), right)
    with pytest.raises(ValueError, match="not proportional"):
        resample(cells, Rng(0), resamples=2)


# -- differences ----------------------------------------------------------------------------------


def test_paired_differences_equal_scipy():
    cells = noisy(4)
    found = differences(cells, Rng(0), level=0.9)
    base = cells.values[0]
    for k in range(1, 10):
        test = stats.ttest_rel(cells.values[k], base)
        low, high = test.confidence_interval(0.9)
        assert found.difference[k] / found.error[k] == pytest.approx(test.statistic)
        assert (found.t_low[k], found.t_high[k]) == pytest.approx((low, high), rel=1e-6)
    assert found.difference[0] == 0
    other = differences(cells, Rng(0), baseline=(True,) * 4)
    np.testing.assert_allclose(other.difference, cells.means - cells.means[9])
    with pytest.raises(ValueError, match="no row ✗✗✗✓"):
        differences(cells, Rng(0), baseline=(False, False, False, True))


def test_pooled_scatter_is_the_residual_of_seeds_and_rows():
    values = np.random.default_rng(3).normal(size=(5, 4)) + np.arange(5)[:, None] + np.arange(4)
    found, freedom = seed_scatter(values)
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    assert freedom == 12
    assert found == pytest.approx((left**2).sum() / 12)
    # Of two rows it is their paired scatter.
    pair = values[:2]
    assert 2 * seed_scatter(pair)[0] == pytest.approx(np.var(pair[0] - pair[1], ddof=1))
    with pytest.raises(ValueError, match=r"got shape \(1, 4\)"):
        seed_scatter(values[:1])


def test_pooled_scatter_with_cells_that_were_not_measured():
    values = np.random.default_rng(4).normal(size=(6, 4)) + np.arange(6)[:, None] + np.arange(4)
    lacking = np.zeros((6, 4), dtype=bool)
    lacking[0, 3] = lacking[2, 1:] = lacking[5, 0] = True
    found, freedom = seed_scatter(np.where(lacking, np.nan, values))
    # Row and seed effects by turns, until nothing changes.
    filled = np.where(lacking, 0.0, values)
    for _ in range(2000):
        fit = filled.mean(0) + filled.mean(1, keepdims=True) - filled.mean()
        filled = np.where(lacking, fit, values)
    assert freedom == 15 - 5
    assert found == pytest.approx(((values - fit)[~lacking] ** 2).sum() / 10)
    # A row with a single seed says nothing of the scatter.
    without = np.delete(np.where(lacking, np.nan, values), 2, axis=0)
    assert seed_scatter(without) == (pytest.approx(found), 10)
    with pytest.raises(ValueError, match="3 results do not determine the scatter"):
        seed_scatter([[1.0, 2.0], [np.nan, 3.0]])


def test_pooled_intervals_cover_and_are_narrower():
    rng = np.random.default_rng(0)
    inside, widths = 0, []
    for _ in range(400):
        values = rng.normal(size=(10, 3)) + rng.normal(0, 5, 3) + np.arange(10)[:, None]
        cells = Cells(SWITCHES, TEN, values)
        pooled, alone = (differences(cells, Rng(0), resamples=2, pooled=p) for p in (True, False))
        inside += pooled.t_low[4] < 4 < pooled.t_high[4]
        widths.append((pooled.t_high - pooled.t_low)[4] / (alone.t_high - alone.t_low)[4])
        assert pooled.t_high[0] == pooled.t_low[0] == 0
    # 0.95 x 400 = 380, three standard deviations 13.
    assert 367 <= inside <= 393
    assert np.median(widths) < 0.65


def test_student_intervals_of_three_seeds_cover():
    rng = np.random.default_rng(0)
    inside, boot = 0, 0
    for _ in range(300):
        cells = Cells(("a",), [[0], [1]], rng.normal(size=(2, 3)) + np.array([[0.0], [1.0]]))
        found = differences(cells, Rng(0), resamples=400)
        inside += found.t_low[1] < 1 < found.t_high[1]
        boot += found.low[1] < 1 < found.high[1]
    # 0.95 x 300 = 285, three standard deviations 11; the bootstrap falls short, as documented.
    assert 274 <= inside <= 296
    assert boot < inside


# -- orderings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_spearman_equals_scipy_with_ties(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, (2, 12))
    assert float(spearman(a, b)) == pytest.approx(stats.spearmanr(a, b).statistic)
    many = rng.normal(size=(4, 12))
    expected = [stats.spearmanr(row, b).statistic for row in many]
    np.testing.assert_allclose(spearman(many, b), expected)


def test_spearman_of_a_constant_or_a_nan_is_nan():
    assert np.isnan(spearman([1, 2, np.nan], [1, 2, 3])) and np.isnan(spearman([1, 2], [np.nan, 2]))
    many = spearman([[1, 2, 3], [1, np.nan, 3], [3, 2, 1]], [1, 2, 3])
    np.testing.assert_equal(many, [1, np.nan, -1])
    long = np.random.default_rng(0).random(999)
    assert abs(spearman(long, 3 * long)) <= 1
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="equally long"):
        spearman([1, 2], [1, 2, 3])


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scipy"):
        spearman([1, 2], [1, 2])


def test_agreement_with_the_paper():
    reference = ablation()
    same = agreement(reference, reference, Rng(0))
    assert (same.rho, same.rows) == (1.0, 10)
    assert math.isnan(same.low)
    quiet = Cells(SWITCHES, TEN, reference.means[:, None] + [[-0.01, 0.0, 0.01]])
    assert agreement(quiet, reference, Rng(0)).low == 1.0
    rng = np.random.default_rng(0)
    loud = Cells(SWITCHES, TEN[::-1], reference.means[::-1, None] + 8 * rng.normal(size=(10, 5)))
    found = agreement(loud, reference, Rng(0))
    assert found.rho == pytest.approx(stats.spearmanr(loud.means, reference.means[::-1]).statistic)
    assert found.low < found.rho < found.high + 1e-9
    with pytest.raises(ValueError, match="switches differ"):
        agreement(Cells(("a",), [[0], [1]], [[0.0], [1.0]]), reference, Rng(0))


# -- input ----------------------------------------------------------------------------------------


def test_cells_from_a_table():
    table = pd.DataFrame(
        {"a": [1, 0, 1, 0], "b": 0, "seed": [1, 1, 0, 0], "acc": [5.0, 2.0, 4.0, 1.0]}
    )
    cells = Cells.from_frame(table, "acc", switches=("a", "b"))
    assert cells.on.tolist() == [[False, False], [True, False]]
    assert cells.values.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    for seeds, message in ([1, 1, 0, 2], "leave out seeds that not all"), ([1, 1, 1, 2], "dupl"):
        with pytest.raises(ValueError, match=message):
            Cells.from_frame(table.assign(seed=seeds), "acc", switches=("a", "b"))


@pytest.mark.parametrize(
    ("on", "values", "message"),
    [
        ([[0, 0, 0]], [[1.0]], r"shape \(rows, 2\)"),
        ([[0, 0]], [1.0], r"shape \(1, seeds\)"),
        ([[0, 0], [0, 0]], [[1.0], [2.0]], "✗✗ is given 2 times"),
        ([[0, 0], [0, 1]], [[1.0], [np.nan]], r"values\[1, 0\] is nan"),
    ],
)
def test_cells_that_do_not_fit(on, values, message):
    with pytest.raises(ValueError, match=message):
        Cells(("a", "b"), on, values)


def test_inputs_are_left_alone():
    on, values = TEN.copy(), np.random.default_rng(0).normal(size=(10, 3))
    kept = values.copy()
    cells = Cells(SWITCHES, on, values)
    effects(cells, Rng(0))
    shapley(cells, Rng(0))
    differences(cells, Rng(0))
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(on, TEN)


def test_level_must_be_a_probability():
    for call in (effects, gains, shapley, differences):
        with pytest.raises(ValueError, match="level must lie in"):
            call(ablation(), Rng(0), level=95)


# -- precision ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(2, 1.128), (3, 1.693), (5, 2.326), (10, 3.078)])
def test_range_to_deviation_has_the_constants_of_control_charts(n, d):
    assert float(deviation_from_range(1.0, 1.0 + d, n)) == pytest.approx(1, abs=5e-4)


def test_range_needs_two_values():
    with pytest.raises(ValueError, match="n must be an integer >= 2, got 1"):
        deviation_from_range(0, 1, 1)


def test_precision_finds_the_variances_it_was_given():
    rng = np.random.default_rng(0)
    seeds, images = 400, 500
    hard = rng.normal(size=images)
    skill = np.array([0.0, 0.5])[:, None, None] + 0.2 * rng.normal(size=(2, seeds, 1))
    correct = 1 / (1 + np.exp(-(skill + hard)))  # shares, exactly
    cells = Cells.from_correct(("a",), [[0], [1]], correct)
    found = precision(cells)
    difference = 100 * (correct[1] - correct[0])
    assert found.seed_deviation == pytest.approx(difference.mean(1).std(ddof=1), rel=1e-4)
    assert found.image_deviation == pytest.approx(
        difference.mean(0).std(ddof=1) / np.sqrt(images), rel=1e-4
    )
    assert found.images == images
    by_image = 100 * correct.mean(1)
    assert found.unpaired == pytest.approx(
        np.sqrt(by_image.var(1, ddof=1).sum() / images), rel=1e-4
    )
    expected = 1.959964 * np.sqrt(found.seed_deviation**2 / 4 + found.image_deviation**2 / 20)
    assert found.half_width(4, 20 * images) == pytest.approx(expected, rel=1e-4)


def test_precision_leaves_out_what_was_not_measured():
    one = precision(Cells(("a",), [[0], [1]], [[1.0], [2.0]]))
    assert np.isnan(one.seed_deviation)
    assert np.isnan(one.image_deviation)
    assert one.half_width(1) == 0
    with pytest.raises(ValueError, match="all switches off"):
        precision(Cells(("a",), [[1]], [[1.0]]))
    with pytest.raises(ValueError, match="seeds must be"):
        one.half_width(0)
