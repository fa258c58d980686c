"""The divergence, the cross-entropy and the NoisyMix loss, against slow oracles and their laws."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import losses as oracle
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from torch.autograd import gradcheck, gradgradcheck

from nmlib import (
    Rng,
    jensen_shannon_divergence,
    kullback_leibler_divergence,
    noisymix_loss,
    soft_cross_entropy,
)

WEIGHTS = {
    2: [[0.5, 0.5], [0.3, 0.7], [1.0, 0.0]],
    3: [[1 / 3] * 3, [0.5, 0.3, 0.2], [0, 0.4, 0.6]],
}
CASES = [(v, w) for v, weights in WEIGHTS.items() for w in weights]


def normal(*shape, seed=0, scale=1.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=Rng(seed).torch(), dtype=dtype)


def dirichlet(*shape, concentration, seed=0):
    draw = Rng(seed).numpy().gamma(concentration, size=shape)
    return torch.from_numpy(draw / draw.sum(-1, keepdims=True))


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "weights"), CASES)
@pytest.mark.parametrize("concentration", [0.05, 1.0, 50.0])
def test_equals_scipy_on_random_probabilities(views, weights, concentration):
    p = dirichlet(views, 40, 6, concentration=concentration)
    expected = [oracle.divergence(p[:, i], weights) for i in range(40)]
    assert np.allclose(jensen_shannon_divergence(p, weights), expected, rtol=1e-12, atol=1e-15)


def test_equals_scipys_jensen_shannon_distance_squared():
    p = dirichlet(2, 100, 5, concentration=0.5)
    expected = jensenshannon(p[0], p[1], axis=-1) ** 2
    assert np.allclose(jensen_shannon_divergence(p), expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(("views", "weights"), CASES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_logits_equal_the_50_digit_oracle(views, weights, scale):
    z = normal(views, 12, 4, scale=scale)
    expected = [oracle.divergence_from_logits(z[:, i], weights) for i in range(12)]
    got = jensen_shannon_divergence(z, weights, from_logits=True)
    # Near equality the value is a difference of logarithms of order one, each rounded to eps.
    assert np.allclose(got, expected, rtol=1e-10, atol=1e-15 * max(1, 1 / scale))


EXTREME = {
    "opposite corners": ([[1, 0], [0, 1]], math.log(2)),
    "same corner": ([[0, 1, 0]] * 3, 0.0),
    "three corners": (np.eye(3), math.log(3)),
    "subnormal": ([[1.0, 5e-324], [1.0, 0.0]], 0.0),
    "tiny against none": ([[1 - 1e-300, 1e-300, 0], [1, 0, 0]], 0.0),
    "empty class": ([[0.5, 0.5, 0], [0.25, 0.75, 0]], None),
}


@pytest.mark.parametrize("name", EXTREME)
def test_extreme_probabilities(name):
    p = torch.tensor(np.array(EXTREME[name][0]), dtype=torch.float64)
    weights = [1 / len(p)] * len(p)
    got = float(jensen_shannon_divergence(p))
    assert got == pytest.approx(oracle.exact_divergence(p.tolist(), weights), rel=1e-12, abs=1e-15)
    if EXTREME[name][1] is not None:
        assert got == pytest.approx(EXTREME[name][1], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_saturated_logits_of_every_type(dtype):
    big = torch.finfo(dtype).max * 0.9
    opposite = torch.tensor([[big, -big], [-big, big]], dtype=dtype, requires_grad=True)
    same = torch.tensor([[big, -big, 0]] * 2, dtype=dtype, requires_grad=True)
    for logits, expected in ((opposite, math.log(2)), (same, 0.0)):
        value = jensen_shannon_divergence(logits, from_logits=True)
        value.backward()
        assert value.item() == pytest.approx(expected, abs=4 * torch.finfo(dtype).eps)
        assert float(logits.grad.abs().max()) == 0


def test_masked_classes_carry_nothing():
    z = normal(3, 5, 4)
    masked = torch.cat([z, torch.full((3, 5, 1), -math.inf, dtype=z.dtype)], -1).requires_grad_()
    value = jensen_shannon_divergence(masked, from_logits=True, validate=False)
    value.sum().backward()
    assert torch.allclose(value, jensen_shannon_divergence(z, from_logits=True), atol=1e-15)
    assert bool(masked.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounded_probabilities_are_accepted(dtype):
    p = normal(3, 200, 10).softmax(-1)
    got = jensen_shannon_divergence(p.to(dtype)).double()
    assert float((got - jensen_shannon_divergence(p)).abs().max()) < 20 * torch.finfo(dtype).eps


def test_probabilities_and_logits_agree():
    z = normal(3, 2, 5, 7, scale=3)
    from_logits = jensen_shannon_divergence(z, [0.2, 0.3, 0.5], from_logits=True)
    assert from_logits.shape == (2, 5)
    from_probs = jensen_shannon_divergence(z.softmax(-1), [0.2, 0.3, 0.5])
    assert torch.allclose(from_logits, from_probs, atol=1e-14)


# -- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "weights"), CASES)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 100.0, 1e5])
def test_lies_between_zero_and_the_entropy_of_the_weights(views, weights, scale):
    for dtype in (torch.float32, torch.float64):
        z = normal(views, 500, 5, scale=scale, dtype=dtype)
        for value in (
            jensen_shannon_divergence(z, weights, from_logits=True),
            jensen_shannon_divergence(z.softmax(-1), weights),
        ):
            assert float(value.min()) >= 0
            limit = oracle.weight_entropy(weights)
            assert float(value.max()) <= limit + 8 * torch.finfo(dtype).eps


def test_upper_limit_is_reached_by_disjoint_distributions():
    weights = [0.5, 0.3, 0.2]
    corners = torch.eye(3, dtype=torch.float64)
    limit = oracle.weight_entropy(weights)
    assert float(jensen_shannon_divergence(corners, weights)) == pytest.approx(limit, abs=1e-15)
    logits = jensen_shannon_divergence(2e3 * corners, weights, from_logits=True)
    assert float(logits) == pytest.approx(limit, abs=1e-15)


def test_zero_only_if_the_weighted_distributions_are_equal():
    p = dirichlet(1, 50, 6, concentration=1.0)
    equal = p.expand(3, -1, -1)
    assert float(jensen_shannon_divergence(equal).max()) < 1e-15
    assert float(jensen_shannon_divergence(equal.log(), from_logits=True).max()) < 1e-15
    moved = equal.clone()
    moved[2] = moved[2].roll(1, -1)
    assert float(jensen_shannon_divergence(moved).min()) > 1e-6
    # The moved view has no weight: the rest is equal.
    assert float(jensen_shannon_divergence(moved, [0.4, 0.6, 0.0]).max()) < 1e-15


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
def test_near_equality_it_is_the_fisher_form(size):
    z, direction = normal(4), normal(4, seed=1)
    p = z.softmax(-1)
    spread = float((p * direction**2).sum() - (p * direction).sum() ** 2)
    pair = torch.stack([z, z + size * direction])
    got = float(jensen_shannon_divergence(pair, [0.3, 0.7], from_logits=True))
    assert got == pytest.approx(0.3 * 0.7 / 2 * size**2 * spread, rel=2 * size, abs=2e-16)


def test_joint_permutations_change_nothing():
    z, weights = normal(3, 30, 5, scale=4), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    value = jensen_shannon_divergence(z, weights, from_logits=True)
    for order in itertools.permutations(range(3)):
        order = list(order)
        permuted = jensen_shannon_divergence(z[order], weights[order], from_logits=True)
        assert torch.allclose(value, permuted, atol=1e-14)
    # Classes may be renamed, and constants added to logits.
    assert torch.allclose(
        value, jensen_shannon_divergence(z.flip(-1) + 7, weights, from_logits=True), atol=1e-14
    )
    # But not the views alone.
    alone = jensen_shannon_divergence(z[[1, 0, 2]], weights, from_logits=True)
    assert float((alone - value).abs().max()) > 1e-3


def test_a_view_can_be_split():
    z = normal(2, 20, 4)
    split = jensen_shannon_divergence(z[[0, 0, 1]], [0.1, 0.3, 0.6], from_logits=True)
    whole = jensen_shannon_divergence(z, [0.4, 0.6], from_logits=True)
    assert torch.allclose(split, whole, atol=1e-14)
    assert float(jensen_shannon_divergence(z[:1], from_logits=True).max()) < 1e-15


# -- derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "weights"), CASES)
def test_derivatives_match_finite_differences(views, weights):
    z = normal(views, 2, 3).requires_grad_()
    p = normal(views, 2, 3).softmax(-1).requires_grad_()

    def from_logits(z):
        return jensen_shannon_divergence(z, weights, from_logits=True)

    def from_probs(p):
        return jensen_shannon_divergence(p, weights, validate=False)

    assert gradcheck(from_logits, z)
    assert gradgradcheck(from_logits, z)
    assert gradcheck(from_probs, p)
    assert gradgradcheck(from_probs, p)


def test_derivatives_at_equality():
    z = normal(1, 4, 3).expand(3, -1, -1).clone().requires_grad_()

    def mean(z):
        return jensen_shannon_divergence(z, from_logits=True).mean()

    (gradient,) = torch.autograd.grad(mean(z), z)
    # What cancels are logarithms of about 1, each rounded where it stands in the batch.
    assert float(gradient.abs().max()) < torch.finfo(torch.float64).eps
    assert gradcheck(mean, z)
    assert gradgradcheck(mean, z)
    exact = torch.zeros(3, 4, 3, requires_grad=True)
    jensen_shannon_divergence(exact, from_logits=True).sum().backward()
    assert float(exact.grad.abs().max()) < torch.finfo(torch.float32).eps


@pytest.mark.parametrize("weights", [[0.3, 0.7], [1.0, 0.0]])
def test_forward_mode_second_derivative_at_equality_is_the_fisher_form(weights):
    z = normal(5).expand(2, 5).clone()
    u, v = normal(2, 5, seed=1), normal(2, 5, seed=2)

    def value(z):
        return jensen_shannon_divergence(z, weights, from_logits=True, validate=False)

    first, second = torch.func.jvp(lambda z: torch.func.jvp(value, (z,), (u,))[1], (z,), (v,))
    p = z[0].softmax(-1)
    du, dv = u[0] - u[1], v[0] - v[1]
    fisher = (p * du * dv).sum() - (p * du).sum() * (p * dv).sum()
    assert float(first) == pytest.approx(0, abs=1e-15)
    assert float(second) == pytest.approx(weights[0] * weights[1] * float(fisher), abs=1e-14)


def test_works_under_vmap_grad_and_with_checks_under_jvp():
    z = normal(7, 2, 4)

    def value(z):
        return jensen_shannon_divergence(z, from_logits=True, validate=False)

    one_by_one = torch.stack([value(row) for row in z])
    assert torch.allclose(torch.func.vmap(value)(z), one_by_one, atol=1e-15)
    per_sample = torch.func.vmap(torch.func.grad(value))(z)
    (gradient,) = torch.autograd.grad(value(w := z[3].clone().requires_grad_()), w)
    assert torch.allclose(per_sample[3], gradient, atol=1e-15)
    checked = torch.func.jvp(
        lambda z: jensen_shannon_divergence(z, from_logits=True), (z[0],), (z[1],)
    )[1]
    assert float(checked) == pytest.approx(float((value_gradient(z[0]) * z[1]).sum()), abs=1e-14)


def value_gradient(z):
    return torch.func.grad(lambda z: jensen_shannon_divergence(z, from_logits=True))(z)


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
def test_gradients_stay_finite_and_bounded(scale):
    z = normal(3, 100, 5, scale=scale, dtype=torch.float32).requires_grad_()
    jensen_shannon_divergence(z, from_logits=True).sum().backward()
    # |g| = pi p |log(p/m) - KL| <= pi max(log(1/pi), ...) is below 1 for thirds.
    assert float(z.grad.abs().max()) < 1
    p = z.detach().softmax(-1).requires_grad_()
    jensen_shannon_divergence(p).sum().backward()
    assert bool(p.grad.isfinite().all())


# -- cross-entropy --------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_cross_entropy_equals_the_oracle(scale):
    z, y = normal(15, 4, scale=scale), torch.arange(15) % 4
    soft = dirichlet(15, 4, concentration=0.3, seed=4)
    hard = [oracle.cross_entropy(z[i], int(y[i])) for i in range(15)]
    mixed = [oracle.cross_entropy(z[i], soft[i].tolist()) for i in range(15)]
    assert np.allclose(soft_cross_entropy(z, y), hard, rtol=1e-12, atol=1e-15)
    assert np.allclose(soft_cross_entropy(z, soft), mixed, rtol=1e-12, atol=1e-15)
    assert torch.allclose(
        soft_cross_entropy(z, y), torch.nn.functional.cross_entropy(z, y, reduction="none")
    )


def test_cross_entropy_is_linear_in_the_target():
    z, a, b = normal(9, 4), torch.arange(9) % 4, (torch.arange(9) * 3 + 1) % 4
    one_hot = torch.nn.functional.one_hot
    mixed = 0.3 * one_hot(a, 4).double() + 0.7 * one_hot(b, 4).double()
    expected = 0.3 * soft_cross_entropy(z, a) + 0.7 * soft_cross_entropy(z, b)
    assert torch.allclose(soft_cross_entropy(z, mixed), expected, atol=1e-15)
    by_class = soft_cross_entropy(z, a)
    torch.testing.assert_close(soft_cross_entropy(z, one_hot(a, 4)), by_class, rtol=1e-15, atol=0)


def test_cross_entropy_of_saturated_logits_has_no_nan():
    z = torch.tensor([[6e4, -6e4]], dtype=torch.float16, requires_grad=True)
    value = soft_cross_entropy(z, torch.tensor([[1.0, 0.0]], dtype=torch.float16))
    value.sum().backward()
    assert value.item() == 0
    assert float(z.grad.abs().max()) == 0


def test_cross_entropy_derivatives():
    z = normal(3, 4).requires_grad_()
    y = dirichlet(3, 4, concentration=1.0)
    assert gradcheck(lambda z: soft_cross_entropy(z, y), z)
    assert gradgradcheck(lambda z: soft_cross_entropy(z, y), z)


# -- the loss -------------------------------------------------------------------------------------


def test_noisymix_loss_is_the_sum_of_its_parts():
    z, y = normal(3, 6, 4), torch.arange(6) % 4
    parts = noisymix_loss(z, y, stability=12, weights=[0.5, 0.25, 0.25])
    ce = np.mean([oracle.cross_entropy(z[0, i], int(y[i])) for i in range(6)])
    jsd = np.mean([oracle.divergence_from_logits(z[:, i], [0.5, 0.25, 0.25]) for i in range(6)])
    assert float(parts.ce) == pytest.approx(ce, rel=1e-12)
    assert float(parts.jsd) == pytest.approx(jsd, rel=1e-12)
    assert float(parts.total) == pytest.approx(ce + 12 * jsd, rel=1e-12)
    assert parts.logits is z


def test_noisymix_loss_without_stability_is_cross_entropy():
    z, y = normal(1, 6, 4), torch.arange(6) % 4
    parts = noisymix_loss(z, y, stability=0)
    plain = torch.nn.functional.cross_entropy(z[0], y)  # another way to write a mean over six
    torch.testing.assert_close(parts.total, plain, rtol=1e-14, atol=0)
    assert float(parts.jsd) == 0


@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_kullback_leibler_equals_scipy_and_50_digits(weights, scale):
    z = normal(3, 8, 4, scale=scale)
    _, one, two = weights or [1 / 3] * 3
    exact = (
        [[oracle.relative_entropy(z[0, i], z[v, i]) for v in (1, 2)] for i in range(8)]
        @ np.array([one, two])
        / (one + two)
    )
    got = kullback_leibler_divergence(z, weights, from_logits=True)
    # A difference of numbers of order one: absolute error ~ eps.
    assert np.allclose(got, exact, rtol=1e-9, atol=1e-14)
    p = z.softmax(-1)
    scipy = (one * rel_entr(p[0], p[1]) + two * rel_entr(p[0], p[2])).sum(-1) / (one + two)
    assert np.allclose(kullback_leibler_divergence(p, weights), scipy, rtol=1e-9, atol=1e-15)


def test_kullback_leibler_laws():
    z = normal(2, 5, 4)
    same = kullback_leibler_divergence(torch.stack([z[0], z[0] + 3]), from_logits=True)
    assert same.abs().max() < 1e-15
    assert same.min() >= 0
    corner = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert kullback_leibler_divergence(corner).item() == pytest.approx(math.log(2))

    def kl(z):
        return kullback_leibler_divergence(z, from_logits=True)

    assert gradcheck(kl, z.requires_grad_())
    parts = noisymix_loss(z, torch.arange(5) % 4, stability=0.01, divergence="kl")
    assert torch.equal(parts.jsd, kl(z).mean())
    assert torch.equal(parts.total, parts.ce + 0.01 * parts.jsd)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kullback_leibler_divergence(torch.ones(1, 3) / 3),
            r"got \(1, 3\); V >= 2",
        ),
        (lambda: kullback_leibler_divergence(torch.ones(2, 3)), "apply softmax, or pass"),
        (lambda: kullback_leibler_divergence(torch.ones(2, 2) / 2, [1, 0]), "use weights=None"),
        (
            lambda: noisymix_loss(torch.zeros(2, 1, 2), torch.tensor([0]), divergence="js"),
            "unknown divergence 'js'; did you mean 'jsd'",
        ),
    ],
)
def test_wrong_comparisons_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_inputs_are_not_changed():
    z, y = normal(3, 6, 4), dirichlet(6, 4, concentration=1.0)
    before = z.clone(), y.clone()
    noisymix_loss(z, y)
    p = z.softmax(-1)
    kept = p.clone()
    jensen_shannon_divergence(p)
    assert torch.equal(z, before[0])
    assert torch.equal(y, before[1])
    assert torch.equal(p, kept)


# -- wrong input ----------------------------------------------------------------------------------

half = torch.full((2, 3, 2), 0.5)
zeros = torch.zeros(2, 3, 2)
nan = torch.full((2, 3, 2), math.nan)
labels = torch.tensor([0, 1, 0])

WRONG = [
    (lambda: jensen_shannon_divergence(half, [0.3, 0.3]), r"sum to 1.*0\.6.*divide them"),
    (lambda: jensen_shannon_divergence(half, [1.5, -0.5]), r">= 0.*1\.5, -0\.5"),
    (lambda: jensen_shannon_divergence(half, [math.nan, 0.5]), r"weights must.*nan"),
    (lambda: jensen_shannon_divergence(half, [math.inf, 0.0]), r"weights must.*inf"),
    (lambda: jensen_shannon_divergence(half, [0.5, 0.3, 0.2]), r"must be 2 numbers.*\(3,\)"),
    (lambda: jensen_shannon_divergence(half, torch.ones(2, 1) / 2), r"2 numbers.*\(2, 1\)"),
    (lambda: jensen_shannon_divergence(torch.zeros(0, 2)), r"shape \(V, .*got \(0, 2\); V >= 1"),
    (lambda: jensen_shannon_divergence(torch.zeros(2)), r"shape \(V, ..., K\), got \(2,\)"),
    (lambda: jensen_shannon_divergence(nan), r"probs holds 12 NaN.*of 12; "),
    (lambda: jensen_shannon_divergence(nan, from_logits=True), r"logits holds 12 NaN"),
    (lambda: jensen_shannon_divergence(zeros - 1), r">= 0, got -1; .*from_logits=True"),
    (lambda: jensen_shannon_divergence(zeros), r"sum to 1.*off by 1; .*from_logits=True"),
    (lambda: soft_cross_entropy(zeros[0], labels + 1), r"label 2 is out of range for 2 classes"),
    (lambda: soft_cross_entropy(zeros[0], labels - 1), r"label -1 is out of range for 2"),
    (lambda: soft_cross_entropy(nan[0], labels), r"logits holds 6 NaN"),
    (lambda: soft_cross_entropy(zeros[0], labels[:2]), r"target must have shape \(3,\).*\(2,\)"),
    (lambda: soft_cross_entropy(zeros[0], half[0] * 1.5), r"target must sum to 1.*off by 0\.5"),
    (lambda: soft_cross_entropy(zeros[0], half[0] + torch.tensor([1, -1])), r"target must be >= 0"),
    (lambda: soft_cross_entropy(zeros[0], nan[0]), r"target must be >= 0, got nan"),
    (lambda: noisymix_loss(zeros, labels, stability=-1), r"stability must.*got -1"),
    (lambda: noisymix_loss(zeros, labels, stability=math.nan), r"stability must.*got nan"),
    (lambda: noisymix_loss(zeros[:1], labels), r"stability=12.0 compares views but there is 1"),
    (lambda: noisymix_loss(zeros[0], labels), r"shape \(V, B, K\), got \(3, 2\)"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_types_are_named():
    with pytest.raises(TypeError, match=r"floating point, got torch.int64"):
        jensen_shannon_divergence(torch.ones(2, 2, dtype=torch.long))
    with pytest.raises(TypeError, match=r"labels must be integers, got dtype torch.float32; use"):
        soft_cross_entropy(zeros[0], labels.float())


def test_checks_can_be_left_out():
    assert bool(jensen_shannon_divergence(nan, validate=False).isnan().all())
    assert bool(soft_cross_entropy(nan[0], labels, validate=False).isnan().all())


def test_empty_batches_have_empty_divergences():
    assert jensen_shannon_divergence(torch.zeros(2, 0, 3)).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("divergence", ["jsd", "kl"])
def test_half_precision_logits_are_compared_in_float32(dtype, divergence):
    """Early in training views differ by less than a step of half precision near log(1/K)."""
    rng = torch.Generator().manual_seed(0)
    shared = torch.randn(1, 64, 10, generator=rng)
    z = (shared + 0.02 * torch.randn(3, 64, 10, generator=rng)).to(dtype)
    halves, floats = z.clone().requires_grad_(), z.float().requires_grad_()
    found = noisymix_loss(halves, torch.zeros(64, dtype=torch.long), divergence=divergence)
    true = noisymix_loss(floats, torch.zeros(64, dtype=torch.long), divergence=divergence)
    assert found.jsd.dtype == found.ce.dtype == torch.float32
    assert true.jsd.item() > 0
    torch.testing.assert_close((found.jsd, found.ce), (true.jsd, true.ce), rtol=0, atol=0)
    true.jsd.backward()
    found.jsd.backward()
    torch.testing.assert_close(halves.grad.float(), floats.grad, rtol=1e-2, atol=6e-8)


def test_probabilities_in_half_precision_are_widened_too():
    p = torch.tensor([[0.5, 0.5], [0.49609375, 0.50390625]], dtype=torch.bfloat16)
    value = jensen_shannon_divergence(p)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, jensen_shannon_divergence(p.float()))


def test_views_in_a_list_or_in_one_batch_are_refused_with_the_remedy():
    y = torch.tensor([0, 1])
    with pytest.raises(TypeError, match=r"got list; put the views together with torch\.stack"):
        noisymix_loss([torch.zeros(2, 2)] * 3, y)
    with pytest.raises(ValueError, match=r"\(6, 2\); .*unflatten\(0, \(V, -1\)\)"):
        noisymix_loss(torch.zeros(6, 2), y)
