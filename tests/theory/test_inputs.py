"""What the theory functions refuse or warn about, and their smaller laws."""

import re
import warnings

import numpy as np
import pytest
import torch
from oracles.theory_nets import TORCH, linear, torch_net
from theory.reference import REFERENCE, data

from nmlib import Rng, jensen_shannon_divergence, mlp
from nmlib.theory import (
    AccuracyWarning,
    NonSmoothWarning,
    at_point,
    divergence_expansion,
    nfm_expansion,
    nfm_loss_exact,
    nonsmooth_operations,
    slope,
    stability_expansion,
    stability_loss_exact,
)
from nmlib.theory.exact import _settled
from nmlib.theory.quadrature import beta_rule, gauss_rule, partner_share_rule

S = dict(alpha=1.0, sigma_add=0.4, sigma_mult=0.3)
X, Y = data("X"), REFERENCE["data"]["Y"]
VIEWS = torch.stack([data("X"), data("XA1")])


def test_dimension_too_high_for_quadrature():
    wide = torch.randn(4, 40, generator=Rng(0).torch())
    with pytest.raises(ValueError, match="nfm_loss_monte_carlo"):
        nfm_loss_exact(lambda x: x.sum(-1), wide, [0, 1, 0, 1], **S)
    with pytest.raises(ValueError, match="stability_loss_monte_carlo"):
        stability_loss_exact(lambda x: x.sum(-1), torch.stack([wide, wide + 0.1]), **S)


def test_too_many_coordinates_without_probes():
    wide = torch.randn(4, 400, generator=Rng(0).torch())
    with pytest.raises(ValueError, match="probes=32"):
        nfm_expansion(lambda x: x.sum(-1).tanh(), wide, [0, 1, 0, 1], **S)
    with pytest.raises(ValueError, match="rng=Rng"):
        nfm_expansion(lambda x: x.sum(-1).tanh(), wide, [0, 1, 0, 1], probes=8, **S)


@pytest.mark.parametrize("eps", [-0.1, 1.01, float("nan")])
def test_eps_outside_its_range(eps):
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1\]"):
        nfm_loss_exact(linear, X, Y, eps=eps, **S)
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1\]"):
        nfm_expansion(linear, X, Y, **S).at(eps)


@pytest.mark.parametrize("bad", [-1, 2])
def test_binary_labels(bad):
    with pytest.raises(ValueError, match=rf"labels 0 or 1, got {bad}; .*\(y \+ 1\) / 2"):
        nfm_expansion(linear, X, [bad, *Y[1:]], **S)
    with pytest.raises(ValueError, match="labels 0 or 1"):
        nfm_loss_exact(linear, X, [bad, *Y[1:]], **S)


def test_labels_of_many_classes():
    with pytest.raises(ValueError, match="out of range for 3 classes"):
        nfm_loss_exact(TORCH["softmax"], X, [3, *Y[1:]], **S)
    hard = nfm_loss_exact(TORCH["softmax"], X, Y, eps=0.1, **S)
    soft = nfm_loss_exact(TORCH["softmax"], X, np.eye(3)[Y], eps=0.1, **S)
    assert hard == pytest.approx(soft, rel=1e-12)


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.2, -0.2], [1.0]])
def test_weights_that_are_no_distribution(weights):
    for function in (stability_loss_exact, stability_expansion):
        with pytest.raises(ValueError, match="weights must be"):
            function(TORCH["binary"], VIEWS, weights=weights, **S)


def test_one_view_is_refused():
    with pytest.raises(ValueError, match="V >= 2"):
        stability_loss_exact(TORCH["binary"], VIEWS[:1], **S)


def test_a_view_of_weight_zero_changes_nothing():
    three = torch.stack([*VIEWS, data("XA2")])
    weights = [0.4, 0.6, 0.0]
    levels = {**S, "sigma_add": [0.4, 0.2, 0.9]}
    pair = {**S, "sigma_add": [0.4, 0.2]}
    a = stability_expansion(TORCH["softmax"], three, weights=weights, **levels)
    b = stability_expansion(TORCH["softmax"], VIEWS, weights=weights[:2], **pair)
    assert dict(a.terms) == dict(b.terms)


def test_nonsmooth_network_warns():
    relu = torch_net((2, 5, 4, 1), activation=torch.relu)
    with pytest.warns(NonSmoothWarning, match="relu.*tanh, softplus, GELU"):
        terms = nfm_expansion(relu, X, Y, **S)
    assert terms.R3 == terms.R3_add == terms.R3_mult == 0
    with pytest.warns(NonSmoothWarning, match="grad terms"):
        assert stability_expansion(relu, VIEWS, **S).mix_grad == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", NonSmoothWarning)
        nfm_expansion(TORCH["binary"], X, Y, **S)


def test_nonsmooth_operations_are_seen_in_modules_and_functions():
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.LeakyReLU(), torch.nn.GELU())
    assert nonsmooth_operations(module, torch.ones(1, 2)) == ("leaky_relu",)
    assert nonsmooth_operations(lambda x: x.clamp(min=0).abs(), X) == ("abs", "clamp")
    assert nonsmooth_operations(TORCH["binary"], X) == ()


def test_quadrature_over_kinks_says_so():
    relu = torch_net((2, 5, 4, 1), activation=torch.relu)
    with pytest.warns(AccuracyWarning, match="smaller eps"):
        nfm_loss_exact(relu, X[:3], Y[:3], eps=1.0, alpha=None, sigma_add=0.4, sigma_mult=0.3)


def two_views_by_trapezoid(f, views, eps, add, mult):
    """Two views of scalar samples without mixing: the joint law of their noises, point by point.

    The trapezoidal rule converges exponentially on a Gaussian.
    """
    at = torch.linspace(-8, 8, 401, dtype=torch.float64)
    weight = torch.exp(-(at**2) / 2)
    weight /= weight.sum()

    def entropy(p):
        return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))

    total = 0.0
    for pair in views.unbind(1):
        level = eps * (add**2 + (mult * pair) ** 2).sqrt()
        a, b = (
            torch.sigmoid(f((z + s * at).unsqueeze(-1))) for z, s in zip(pair, level, strict=True)
        )
        mixture = entropy((a[:, None] + b) / 2)
        total += float(weight @ mixture @ weight - weight @ (entropy(a) + entropy(b)) / 2)
    return total / views.shape[1]


@pytest.mark.parametrize("eps", [0.5, 1.0])
@pytest.mark.parametrize("steepness", [1.0, 2.0, 3.0, 4.0, 6.0, 8.0])
def test_what_is_left_of_a_steep_net_is_not_understated(steepness, eps):
    views = torch.tensor([[[0.8], [-0.4], [0.3]], [[0.74], [-0.22], [0.34]]], dtype=torch.float64)

    def steep(x):
        return 3 * torch.tanh(steepness * x).sum(-1)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = stability_loss_exact(
            steep, views, eps=eps, alpha=None, sigma_add=0.4, sigma_mult=0.2
        )
    error = abs(found - two_views_by_trapezoid(steep, views[..., 0], eps, 0.4, 0.2))
    said = [float(re.search(r"settled to (\S+) only", str(w.message))[1]) for w in seen]
    # Printed to two digits.
    assert error <= 1.05 * max(said, default=1e-10 * found)
    assert steepness < 4 or said


@pytest.mark.parametrize("values", [
    [1.0, 1.5, 1.2, 1.4, 1.33, 1.3301], [1.0, 2.0, 1.0, 2.0, 1.0, 1.0 + 1e-9],
])  # fmt: skip
def test_a_small_last_change_is_no_proof(values):
    """The largest distance of the last value to the three before it is what is said."""
    with pytest.warns(AccuracyWarning, match="settled to") as seen:
        assert _settled(values.__getitem__, tuple(range(len(values))), "it") == values[-1]
    said = float(re.search(r"settled to (\S+) only", str(seen[0].message))[1])
    assert said == pytest.approx(max(abs(values[-1] - v) for v in values[-4:-1]), rel=0.05)


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="alpha must be"):
        nfm_loss_exact(linear, X, Y, alpha=0.0, sigma_add=0, sigma_mult=0)
    with pytest.raises(ValueError, match="alpha must be"):
        nfm_expansion(linear, X, Y, alpha=-1.0, sigma_add=0, sigma_mult=0)
    with pytest.raises(ValueError, match="sigma_add must be"):
        nfm_loss_exact(linear, X, Y, alpha=1.0, sigma_add=-0.1, sigma_mult=0)
    with pytest.raises(ValueError, match="did you mean 'gaussian'"):
        nfm_loss_exact(linear, X, Y, law="gausian", **S)
    with pytest.raises(ValueError, match=r"sparsity=0\.5 belongs to"):
        nfm_loss_exact(linear, X, Y, sparsity=0.5, **S)
    with pytest.raises(ValueError, match="independently"):
        stability_loss_exact(TORCH["binary"], VIEWS, law="released", shared_noise=True, **S)
    with pytest.raises(ValueError, match="NaN or infinite"):
        nfm_loss_exact(linear, X * float("nan"), Y, **S)
    with pytest.raises(ValueError, match="12 labels"):
        nfm_loss_exact(linear, X, Y[:5], **S)
    with pytest.raises(ValueError, match="must map"):
        nfm_loss_exact(lambda x: x.sum(), X, Y, **S)
    with pytest.raises(TypeError, match="float64"):
        nfm_loss_exact(lambda x: x.float().sum(-1), X, Y, **S)


def test_module_is_left_as_it_was():
    model = mlp((2, 8, 2), seed=0).train()
    before = [p.clone() for p in model.parameters()]
    with pytest.warns(NonSmoothWarning):
        nfm_expansion(model, X, Y, **S)
    nfm_loss_exact(model, X, Y, eps=0.01, **S)
    assert model.training and all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_mix_point_inside_a_network():
    model = mlp((2, 3, 2), seed=1)
    f, h = at_point(model, X.float(), 1)
    terms = nfm_expansion(lambda z: f(z.float()).double(), h, Y, **S)
    linear_head = model.stages[1]
    want = nfm_expansion(linear_head, h, Y, **S)
    assert terms.R2_add == pytest.approx(want.R2_add, rel=1e-5)
    with pytest.raises(ValueError, match="mix point 7"):
        at_point(model, X.float(), 7)


def test_scalar_logit_and_two_classes_agree():
    def two(x):
        f = TORCH["binary"](x)
        return torch.stack([f, 2 * f], -1)

    one = stability_expansion(TORCH["binary"], VIEWS, **S)
    other = stability_expansion(two, VIEWS, **S)
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-10, abs=1e-16)
    assert stability_loss_exact(TORCH["binary"], VIEWS, eps=0.1, **S) == pytest.approx(
        stability_loss_exact(two, VIEWS, eps=0.1, **S), rel=1e-9
    )


def test_five_views():
    """Grouping two at a time holds for any number of views."""
    views = torch.stack([VIEWS[0], VIEWS[1], data("XA2"), VIEWS[0] * 0.9, VIEWS[1] * 1.1])
    weights = [0.1, 0.2, 0.3, 0.25, 0.15]
    terms = stability_expansion(TORCH["softmax"], views, weights=weights, **S)
    ladder = (0.04, 0.02, 0.01)
    exact = [
        stability_loss_exact(TORCH["softmax"], views, eps=e, weights=weights, order=(3, 3), **S)
        for e in ladder
    ]
    errors = [v - terms.at(e) for v, e in zip(exact, ladder, strict=True)]
    assert slope(ladder, errors) == pytest.approx(3, abs=0.05)


def test_proposition_1():
    z = torch.tensor([[0.2, -0.4, 0.9], [1.0, 0.1, -0.5]], dtype=torch.float64)
    u = torch.tensor([[0.7, 0.3, -1.0], [-0.2, 0.8, 0.5]], dtype=torch.float64)
    w = torch.tensor([[-0.4, 1.1, 0.3], [0.9, -0.6, 0.2]], dtype=torch.float64)
    weights = [0.3, 0.7]

    def curves(eps):
        return torch.softmax(z + eps * u + eps**2 * w, -1)

    terms = divergence_expansion(curves, weights)
    ladder = [0.16, 0.08, 0.04, 0.02, 0.01, 0.005]
    exact = [float(jensen_shannon_divergence(curves(torch.tensor(e)), weights)) for e in ladder]

    def slope_of(t):
        return slope(ladder, [v - t.at(e) for v, e in zip(exact, ladder, strict=True)], floor=1e-12)

    assert slope_of(terms) == pytest.approx(3, abs=0.05)
    assert slope_of(terms.without("second")) == pytest.approx(2, abs=0.05)
    assert slope_of(terms.without("first")) == pytest.approx(1, abs=0.05)
    # The formula of the proposition, written out.
    p = curves(torch.tensor(0.0, dtype=torch.float64))
    m = 0.3 * p[0] + 0.7 * p[1]
    first = p * (u - (p * u).sum(-1, keepdim=True))
    want = sum(
        float((a * d * (q / m).log()).sum()) for a, d, q in zip(weights, first, p, strict=True)
    )
    assert terms.first == pytest.approx(want, rel=1e-12)


def test_activations_without_a_second_forward_derivative():
    """SiLU goes by reverse mode; the same function, spelt out, by forward mode."""
    w = torch.tensor([[0.9, -0.4], [0.3, 1.2], [-0.8, 0.5]], dtype=torch.float64)

    def net(activation):
        return lambda x: activation(x @ w.T) @ w

    a = nfm_expansion(net(torch.nn.functional.silu), X, Y, **S)
    b = nfm_expansion(net(lambda z: z * torch.sigmoid(z)), X, Y, **S)
    for name in a:
        assert a[name] == pytest.approx(b[name], rel=1e-11, abs=1e-16)


def test_identical_views_leave_the_fisher_penalty():
    same = torch.stack([X, X])
    independent = stability_expansion(TORCH["softmax"], same, **S)
    shared = stability_expansion(TORCH["softmax"], same, shared_noise=True, **S)
    nfm = nfm_expansion(TORCH["softmax"], X, REFERENCE["data"]["Y3"], **S)
    # pi_1 pi_2 / 2 (s1^2 + s2^2) tr(J' S J), and R2_add is half of the trace.
    assert independent.add_diag == pytest.approx(0.5 * nfm.R2_add * 1.0, rel=1e-10)
    assert independent.mult_diag == pytest.approx(0.5 * nfm.R2_mult, rel=1e-10)
    assert abs(shared.coefficient(2)) < 1e-16 and abs(shared.coefficient(1)) < 1e-16


def test_records():
    terms = nfm_expansion(TORCH["binary"], X, Y, **S)
    assert terms.at(0.1) == pytest.approx(
        terms.base + sum(t * 0.1**t.order for t in terms.terms.values()), rel=1e-14
    )
    assert set(terms.without("R1", "R2")) == {"R3", "R2_add", "R2_mult", "R3_add", "R3_mult"}
    with pytest.raises(AttributeError, match="R2_mult"):
        _ = terms.R2mult
    with pytest.raises(KeyError, match="R2_mult"):
        terms.without("R2mult")
    with pytest.raises(TypeError):
        terms.terms["R1"] = 0.0
    import copy
    import pickle

    again = pickle.loads(pickle.dumps(copy.deepcopy(terms)))
    assert again.base == terms.base and dict(again.terms) == dict(terms.terms)
    assert again.R2_add.raw == terms.R2_add.raw and again.R1.order == 1


@pytest.mark.parametrize(
    ("a", "b"), [(0.3, 1.7), (1.0, 1.0), (0.5, 0.5), (2.3, 0.7), (1e-3, 1.001)]
)
def test_beta_rule_against_scipy(a, b):
    from scipy.special import roots_jacobi

    x, w = beta_rule(a, b, 7)
    want_x, want_w = roots_jacobi(7, b - 1, a - 1)
    np.testing.assert_allclose(x, (1 + want_x) / 2, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(w, want_w / want_w.sum(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("alpha", "beta"), [(1.3, 0.7), (1.0, 1.0), (0.2, 0.2), (5.0, 0.5)])
def test_merged_rule_has_the_moments_of_both(alpha, beta):
    x, w = (np.array(v) for v in partner_share_rule(alpha, beta, 5))
    y, v = (np.array(v) for v in partner_share_rule(alpha, beta, 12, merged=False))
    for power in range(10):
        assert (w * x**power).sum() == pytest.approx((v * y**power).sum(), rel=1e-11)


def test_gauss_rule_of_few_points_keeps_them():
    values = torch.tensor([[2.0, 2.0, 2.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    x, w = gauss_rule(values, torch.full((3,), 1 / 3, dtype=torch.float64), 5)
    torch.testing.assert_close((w * x.exp()).sum(-1), values.exp().mean(-1))
    assert torch.isfinite(x).all()
