"""Pairs, mixing of inputs and labels, Mixup and CutMix."""

import numpy as np
import pytest
import torch
from oracles import mixing as oracle

from nmlib import CutMix, Mixup, Pair, Rng, mix, mix_labels

DEVICES = ["cpu", "meta"] + (["cuda"] if torch.cuda.is_available() else [])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=Rng(seed).torch(), dtype=torch.float64)


PARTNER = torch.tensor([2, 0, 1, 3, 3])
WEIGHTS = {
    "number": 0.3,
    "zero": 0.0,
    "one": 1.0,
    "one number a sample": torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0], dtype=torch.float64),
    "mask": (normal(1, 1, 4, 6) > 0).double(),
    "soft mask a sample": torch.rand(5, 1, 4, 6, generator=Rng(1).torch(), dtype=torch.float64),
    "0-d": torch.tensor(0.7, dtype=torch.float64),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_mix_equals_the_loop(name):
    h, weight = normal(5, 3, 4, 6), WEIGHTS[name]
    if name == "one number a sample":
        weight = weight.reshape(-1, 1, 1, 1)
    before = h.clone()
    got = mix(h, Pair(PARTNER, weight, 0.5))
    assert np.allclose(got, oracle.mix(h, PARTNER, weight), rtol=1e-15, atol=1e-15)
    assert torch.equal(h, before)


def test_each_view_mixes_within_itself():
    views, pair = normal(3, 5, 4), Pair(PARTNER, 0.3, 0.3)
    stacked = mix(views, pair, dim=1)
    # Rounded once or twice, by the place in a vector.
    assert torch.allclose(stacked, torch.stack([mix(v, pair) for v in views]), rtol=0, atol=1e-15)


def test_lam_one_is_no_mixing():
    h, y = normal(5, 3), torch.tensor([0, 1, 2, 0, 1])
    for weight in (1.0, 1, torch.tensor(1.0), torch.ones(5, 1)):
        assert torch.equal(mix(h, Pair(PARTNER, weight, 1.0)), h)
    one_hot = torch.nn.functional.one_hot(y, 3).float()
    assert torch.equal(mix_labels(y, Pair(PARTNER, 1.0, 1.0), 3), one_hot)
    assert torch.equal(mix_labels(y, Pair.identity(5), 3), one_hot)
    assert torch.equal(mix(h, Pair.identity(5)), h)


def test_lam_zero_is_the_partner():
    h = normal(5, 3)
    assert torch.equal(mix(h, Pair(PARTNER, 0.0, 0.0)), h[PARTNER])


def test_swapping_roles_swaps_lam():
    h = normal(6, 3)
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    swapped = mix(h[partner], Pair(partner, 0.7, 0.7))
    assert torch.allclose(mix(h, Pair(partner, 0.3, 0.3)), swapped, atol=1e-15)


def test_mixing_keeps_the_batch_mean_under_permutations():
    h = normal(5, 3)
    pair = Pair(torch.tensor([4, 2, 0, 1, 3]), 0.23, 0.23)
    assert torch.allclose(mix(h, pair).mean(0), h.mean(0), atol=1e-15)


@pytest.mark.parametrize("lam", [0.3, torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])])
def test_mixed_labels(lam):
    y = torch.tensor([0, 1, 2, 0, 1])
    got = mix_labels(y, Pair(PARTNER, 0.5, lam), 3, dtype=torch.float64)
    each = np.broadcast_to(np.asarray(lam, dtype=np.float64), (5,))
    expected = oracle.mix(np.eye(3)[y], PARTNER, each[:, None])
    assert np.allclose(got, expected, atol=1e-15)
    assert np.allclose(got.sum(1), 1, atol=1e-15)
    again = mix_labels(torch.eye(3, dtype=torch.float64)[y], Pair(PARTNER, 0.5, lam), 3)
    assert torch.equal(again, got)


def test_labels_of_doubles_keep_their_precision():
    lam = 1 / 3
    got = mix_labels(torch.tensor([0, 1]), Pair(torch.tensor([1, 0]), lam, lam), 2,
                     dtype=torch.float64)  # fmt: skip
    assert float(got[0, 0]) == lam


def test_mixing_is_differentiable():
    h = normal(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: mix(h, Pair(PARTNER, 0.3, 0.3)), h)
    mask = (normal(5, 3, seed=2) > 0).double()
    assert torch.autograd.gradcheck(lambda h: mix(h, Pair(PARTNER, mask, 0.5)), h)


# -- draws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, None), (0.2, None), (1.3, 0.7)])
def test_mixup_draws_from_beta(alpha, beta):
    x = torch.zeros(2, 1)
    mixup = Mixup(alpha, beta)
    lam = np.array([mixup.draw(x, None, None, Rng(0).fold(t)).lam for t in range(4000)])
    b = alpha if beta is None else beta
    mean, variance = alpha / (alpha + b), alpha * b / ((alpha + b) ** 2 * (alpha + b + 1))
    assert lam.mean() == pytest.approx(mean, abs=4 * (variance / 4000) ** 0.5)
    assert lam.var() == pytest.approx(variance, rel=0.08)
    # E[2 lam (1 - lam)] is the m_1 of the theory.
    m1 = 2 * alpha * b / ((alpha + b) * (alpha + b + 1))
    assert (2 * lam * (1 - lam)).mean() == pytest.approx(m1, abs=0.015)


def test_mixup_draws_a_uniform_permutation():
    counts = np.zeros((5, 5))
    for t in range(3000):
        partner = Mixup().draw(torch.zeros(5, 1), None, None, Rng(1).fold(t)).partner.numpy()
        assert sorted(partner) == list(range(5))
        counts[np.arange(5), partner] += 1
    assert np.abs(counts / 3000 - 0.2).max() < 5 * (0.2 * 0.8 / 3000) ** 0.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mixer", [Mixup(0.4), CutMix(0.7, prob=1.0)])
def test_decisions_do_not_depend_on_device_or_type(device, mixer):
    x = torch.zeros(6, 3, 8, 8)
    for t in range(5):
        rng = Rng(2).fold(t)
        here = mixer.draw(x, None, None, rng)
        there = mixer.draw(x.to(device, torch.float16), None, None, rng.to(device))
        assert there.lam == here.lam
        assert there.partner.device.type == device
        if device != "meta":
            assert torch.equal(there.partner.cpu(), here.partner)
            if isinstance(here.weight, torch.Tensor):
                assert torch.equal(there.weight.float().cpu(), here.weight)


def test_cutmix_label_weight_is_the_mean_of_its_mask():
    areas = []
    for t in range(300):
        pair = CutMix(1.0, prob=1.0).draw(torch.zeros(4, 3, 12, 16), None, None, Rng(0).fold(t))
        assert pair.weight.shape == (1, 1, 12, 16)
        assert set(pair.weight.unique().tolist()) <= {0.0, 1.0}
        assert float(pair.weight.mean()) == pytest.approx(pair.lam, abs=1e-6)
        hole = (pair.weight[0, 0] == 0).nonzero()
        if len(hole):  # the hole is a full rectangle
            rows, columns = hole[:, 0].unique(), hole[:, 1].unique()
            assert len(hole) == len(rows) * len(columns)
        areas.append(1 - pair.lam)
    # Cut off at the border, so smaller than E[1 - lam] = 1/2 on average.
    assert 0.25 < np.mean(areas) < 0.42


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_cutmix_draws_the_boxes_of_its_definition(alpha):
    """How often a pixel is pasted, and how large boxes are, against all centres and shares."""
    height, width, draws = 8, 12, 4000
    often, (mean, square) = oracle.cutmix_law(height, width, alpha)
    x, found, shares = torch.zeros(2, 1, height, width), np.zeros((height, width)), []
    for t in range(draws):
        pair = CutMix(alpha, prob=1.0).draw(x, None, None, Rng(3).fold(t))
        found += 1 - pair.weight[0, 0].numpy()
        shares.append(1 - pair.lam)
    error = np.sqrt(often * (1 - often) / draws)
    assert np.abs(found / draws - often).max() < 5 * error.max()
    assert abs(np.mean(shares) - mean) < 4 * ((square - mean**2) / draws) ** 0.5
    assert np.mean(np.square(shares)) == pytest.approx(square, rel=0.06)
    # Not at the border as often as in the middle.
    assert often[0, 0] < 0.6 * often[height // 2, width // 2]


def test_cutmix_mixes_with_its_probability():
    cutmix, x = CutMix(prob=0.3), torch.zeros(3, 1, 8, 8)
    pairs = [cutmix.draw(x, None, None, Rng(0).fold(t)) for t in range(2000)]
    mixed = np.mean([isinstance(p.weight, torch.Tensor) for p in pairs])
    assert mixed == pytest.approx(0.3, abs=4 * (0.21 / 2000) ** 0.5)


def test_draws_do_not_change_the_batch():
    x = normal(4, 1, 6, 6)
    before = x.clone()
    mix(x, CutMix(prob=1.0).draw(x, None, None, Rng(0)))
    mix(x, Mixup().draw(x, None, None, Rng(0)))
    assert torch.equal(x, before)


# -- wrong input ----------------------------------------------------------------------------------

h, y = torch.zeros(5, 5), torch.tensor([0, 1, 2, 0, 1])
short = Pair(torch.tensor([0, 1]), 0.5, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mix(h, short), "partner has 2 entries but the batch has 5; draw"),
        (lambda: mix(torch.zeros(2, 5, 3), short, dim=1), "2 entries but the batch has 5"),
        (lambda: mix_labels(y, short, 3), "partner has 2 entries but there are 5 labels; draw"),
        (lambda: mix_labels(y, Pair(PARTNER, 0.5, 0.5), 2), "label 2 is out of range for 2"),
        (lambda: mix_labels(y - 1, Pair(PARTNER, 0.5, 0.5), 3), "label -1 is out of range"),
        # On a square batch a (B,) weight would silently weight the columns.
        (
            lambda: mix(h, Pair(PARTNER, torch.ones(5), 0.5)),
            r"weight has shape \(5,\) but a sample batch has \(5, 5\); give it 2 axes",
        ),
        (lambda: Pair(PARTNER, 1.5, 0.5), r"weight must lie in \[0, 1\], got 1.5"),
        (lambda: Pair(PARTNER, 0.5, -0.1), r"lam must lie in \[0, 1\], got -0.1"),
        (lambda: Pair(PARTNER, 0.5, float("nan")), r"lam must lie in \[0, 1\], got nan"),
        (lambda: Pair(PARTNER.float(), 0.5, 0.5), "1-d integer tensor, got torch.float32"),
        (lambda: Pair(PARTNER[None], 0.5, 0.5), r"1-d integer.*shape \(1, 5\)"),
        (lambda: Mixup(0), "alpha must be a finite number > 0, got 0; for no mixing use mix=None"),
        (lambda: Mixup(-1.0), "alpha must be .* got -1.0"),
        (lambda: Mixup(1.0, 0.0), "beta must be .* got 0.0"),
        (lambda: Mixup(float("inf")), "alpha must be .* got inf"),
        (lambda: CutMix(0), "alpha must be .* got 0"),
        (lambda: CutMix(prob=1.5), r"prob must lie in \[0, 1\], got 1.5"),
        (
            lambda: CutMix().draw(h, None, None, Rng(0)),
            r"images \(B, C, H, W\), got shape \(5, 5\)",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_types_are_named():
    with pytest.raises(TypeError, match=r"labels must be integers, got dtype torch\.float32"):
        mix_labels(y.float(), Pair(PARTNER, 0.5, 0.5), 3)
    with pytest.raises(TypeError, match="alpha must be a number, got '1'"):
        Mixup("1")
