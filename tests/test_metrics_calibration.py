"""Calibration measures: torchmetrics, slow definitions, examples by hand, bad input."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracles import calibration as slow
from torchmetrics.functional.classification import multiclass_calibration_error

from nmlib.metrics import (
    ReliabilityCurve,
    aurra,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_curve,
    rms_calibration_error,
)

MEASURES = (
    reliability_curve, expected_calibration_error, rms_calibration_error, aurra, brier_score,
    negative_log_likelihood,
)  # fmt: skip


def drawn(n=1234, classes=7, seed=0, sharpness=2.0, dtype=np.float64):
    """Probabilities of a model that is right about as often as it is sure, and labels."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(rng.random(n) < 0.6, p.argmax(1), rng.integers(0, classes, n))
    return p.astype(dtype), labels


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expected_calibration_error_equals_torchmetrics(norm, bins, dtype):
    p, y = drawn(dtype=dtype)
    found = expected_calibration_error(p, y, bins=bins, norm=norm)
    theirs = multiclass_calibration_error(
        torch.from_numpy(p), torch.from_numpy(y), 7, n_bins=bins, norm=norm
    )
    assert found == pytest.approx(float(theirs), rel=1e-5)  # they work in float32
    assert found == pytest.approx(slow.calibration_error(slow.top(p, y), bins, norm), rel=1e-12)


@pytest.mark.parametrize("n", [1, 99, 100, 199, 200, 250, 1234])
def test_rms_and_aurra_equal_the_slow_definitions(n):
    p, y = drawn(n)
    pairs = slow.top(p, y)
    assert rms_calibration_error(p, y) == pytest.approx(slow.rms_error(pairs, 100, False))
    assert aurra(p, y) == pytest.approx(slow.response_area(pairs))
    assert brier_score(p, y) == pytest.approx(slow.brier(p, y))
    if n < 200:
        with pytest.raises(ValueError, match="at least 200"):
            rms_calibration_error(p, y, reference_compatible=True)
    else:
        compatible = rms_calibration_error(p, y, reference_compatible=True)
        assert compatible == pytest.approx(slow.rms_error(pairs, 100, True))
        assert compatible < rms_calibration_error(p, y)


def test_the_bin_that_the_references_drop_is_the_most_confident():
    """Right at every low confidence, wrong where most sure: they see next to nothing of it."""
    low, high = np.full(100, 0.5), np.full(100, 1.0)
    p = np.concatenate([low, high])
    p = np.stack([p, 1 - p], 1)
    y = np.array([0, 1] * 50 + [1] * 100)
    assert rms_calibration_error(p, y) == pytest.approx(np.sqrt(0.5))
    assert rms_calibration_error(p, y, reference_compatible=True) == 0


def test_by_hand():
    p = [[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [1.0, 0.0]]
    y = [0, 0, 0, 0]  # right, wrong, right, right
    curve = reliability_curve(p, y, bins=5)
    assert curve.count.tolist() == [0, 0, 1, 1, 2]
    assert curve.confidence[2:] == pytest.approx([0.6, 0.7, 0.95])
    assert curve.accuracy[2:].tolist() == [1, 0, 1]
    assert curve.gap[2:] == pytest.approx([-0.4, 0.7, -0.05])
    assert expected_calibration_error(p, y, bins=5) == pytest.approx((0.4 + 0.7 + 2 * 0.05) / 4)
    assert expected_calibration_error(p, y, bins=5, norm="max") == pytest.approx(0.7)
    # In order of confidence: right, right, wrong, right.
    assert aurra(p, y) == pytest.approx((1 + 1 + 2 / 3 + 3 / 4) / 4)
    # Pairs (0.6, 0.7) with one right and (0.9, 1.0) with two.
    assert rms_calibration_error(p, y, bin_size=2) == pytest.approx(
        np.sqrt((0.15**2 + 0.05**2) / 2)
    )
    assert brier_score(p, y) == pytest.approx((2 * 0.16 + 2 * 0.49 + 2 * 0.01) / 4)
    assert negative_log_likelihood(p, y) == pytest.approx(-np.log([0.6, 0.3, 0.9]).sum() / 4)


def test_likelihood_equals_torch_and_survives_a_zero():
    p, y = map(torch.from_numpy, drawn())
    theirs = torch.nn.functional.nll_loss(p.log(), y)
    assert negative_log_likelihood(p, y) == pytest.approx(float(theirs))
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == pytest.approx(87.3, abs=0.1)


def test_confidences_on_a_border_belong_to_the_lower_bin():
    edges = np.linspace(0, 1, 6)[3:]  # 0.6, 0.8, 1
    p = np.stack([edges, 1 - edges], 1)
    assert reliability_curve(p, [0, 0, 0], bins=5).count.tolist() == [0, 0, 1, 1, 1]
    # A float32 softmax may sum to a little more than 1.
    over = torch.tensor([[1 + 6e-8, 0.0]])
    assert reliability_curve(over, [0], bins=5).count.tolist() == [0, 0, 0, 0, 1]


KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("bins", [4, 5, 10, 15, 20, 49])
def test_borders_are_those_of_the_type(kind, bins):
    """Each multiple of 1 / bins ends its bin, and the next number of the type begins another."""
    k = torch.arange(bins // 2 + 1, bins)
    border = (k.double() / bins).to(kind)
    for value, bin_ in ((border, k - 1), (torch.nextafter(border, torch.ones_like(border)), k)):
        if kind == torch.float64 and bin_ is k:
            value = value + 2**-50  # beyond the roundings of a border in double precision
        p = torch.stack([value, 1 - value], 1)
        for given in (p, p.numpy()) if kind != torch.bfloat16 else (p,):
            found = reliability_curve(given, torch.zeros(len(k), dtype=int), bins=bins)
            assert found.count.tolist() == np.bincount(bin_, minlength=bins).tolist()
    # The error is that of the same bins.
    error = expected_calibration_error(p, torch.zeros(len(k), dtype=int), bins=bins, norm="max")
    assert error == pytest.approx(float(1 - p[:, 0].double().min()))


def test_six_tenths_is_in_the_same_bin_in_every_type():
    for kind in KINDS:
        p = torch.tensor([[0.6, 0.4]], dtype=kind)
        assert reliability_curve(p, [0], bins=15).count.argmax() == 8
    assert reliability_curve([[0.6, 0.4]], [0], bins=15).count.argmax() == 8


def test_aurra_of_ties_is_the_mean_over_their_orders():
    confidence = [0.9, 0.7, 0.7, 0.7, 0.6]
    right = [1, 1, 0, 1, 0]
    p = [[c, 1 - c] for c in confidence]
    orders = [
        slow.response_area([(0.9, 1), *((0.7, r) for r in order), (0.6, 0)])
        for order in itertools.permutations(right[1:4])
    ]
    for order in itertools.permutations(range(5)):
        y = [1 - right[i] for i in order]
        assert aurra([p[i] for i in order], y) == pytest.approx(np.mean(orders))


def test_perfect_constant_and_worst():
    sure = torch.eye(3)
    assert expected_calibration_error(sure, [0, 1, 2]) == 0
    assert rms_calibration_error(sure, [0, 1, 2]) == 0
    assert aurra(sure, [0, 1, 2]) == 1 and aurra(sure, [1, 2, 0]) == 0
    assert brier_score(sure, [0, 1, 2]) == 0 and brier_score(sure, [1, 2, 0]) == 2
    assert expected_calibration_error(sure, [1, 2, 0]) == 1


def test_order_does_not_matter():
    p, y = drawn(500)
    mixed = np.random.default_rng(5).permutation(500)
    for measure in MEASURES[1:]:
        assert measure(p[mixed], y[mixed]) == pytest.approx(measure(p, y), rel=1e-12)


def test_pooled_curves_are_the_curve_of_all():
    p, y = drawn(900)
    parts = [reliability_curve(p[a:b], y[a:b]) for a, b in ((0, 30), (30, 500), (500, 900))]
    pooled, whole = ReliabilityCurve.pooled(parts), reliability_curve(p, y)
    assert pooled.count.tolist() == whole.count.tolist()
    np.testing.assert_allclose(pooled.confidence, whole.confidence, rtol=1e-12)
    np.testing.assert_allclose(pooled.accuracy, whole.accuracy, rtol=1e-12)
    assert pooled.error() == pytest.approx(expected_calibration_error(p, y))
    with pytest.raises(ValueError, match="no curve"):
        ReliabilityCurve.pooled([])
    with pytest.raises(ValueError, match="different bins"):
        ReliabilityCurve.pooled([whole, reliability_curve(p, y, bins=3)])


@pytest.mark.parametrize("measure", MEASURES)
def test_lists_arrays_tensors_and_predictions(measure):
    p, y = drawn(300)
    record = SimpleNamespace(probabilities=torch.from_numpy(p), labels=torch.from_numpy(y))
    results = [
        measure(p.tolist(), y.tolist()), measure(torch.from_numpy(p), torch.from_numpy(y)),
        measure(record), measure(p, y),
    ]  # fmt: skip
    if measure is reliability_curve:
        results = [r.error() for r in results]
    assert len(set(results)) == 1
    with pytest.raises(TypeError, match="labels are missing"):
        measure(p)
    with pytest.raises(TypeError, match="leave the argument"):
        measure(record, y)


@pytest.mark.parametrize("measure", MEASURES)
def test_bad_input(measure):
    p, y = drawn(40)
    with pytest.raises(ValueError, match=r"sum to 1.*softmax"):
        measure(p * 1.1, y)
    with pytest.raises(ValueError, match=r">= 0.*softmax"):
        measure(np.log(p), y)
    hole = p.copy()
    hole[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 40 rows"):
        measure(hole, y)
    with pytest.raises(ValueError, match=r"40 rows .* one label"):
        measure(p, y[:39])
    with pytest.raises(ValueError, match="label 7 is out of range for 7"):
        measure(p, np.where(np.arange(40) == 5, 7, y))
    with pytest.raises(ValueError, match="label -1"):
        measure(p, np.where(np.arange(40) == 5, -1, y))
    with pytest.raises(TypeError, match="integers"):
        measure(p, y.astype(float))
    with pytest.raises(TypeError, match="floating-point"):
        measure(np.eye(3, dtype=int), [0, 1, 2])
    with pytest.raises(ValueError, match="shape"):
        measure(p[0], y)
    with pytest.raises(ValueError, match="shape"):
        measure(p[:0], y[:0])


def test_bad_settings():
    p, y = drawn(40)
    with pytest.raises(ValueError, match="unknown norm 'l3'"):
        expected_calibration_error(p, y, norm="l3")
    for bins in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="bins must be an integer"):
            reliability_curve(p, y, bins=bins)
        with pytest.raises(ValueError, match="bin_size must be an integer"):
            rms_calibration_error(p, y, bin_size=bins)
