"""Theorem 3: identity, bound, and a verdict on each assumption."""

import pytest
import torch
from oracles.theory_nets import linear, torch_net
from theory.reference import REFERENCE, data

from nmlib.theory import adversarial_bound, kink_distance, nfm_loss_exact, slope

SETTINGS = dict(alpha=1.3, beta=0.7, sigma_add=0.4, sigma_mult=0.3)
RELU = torch_net((2, 5, 4, 1), gain=2.0, phase=4.7, bias=False, activation=torch.relu)
X = data("XC")


def shifted(x):
    return linear(x) + 1.0


def side(f, x=X):
    return (f(x) >= 0).long()


WRONG = side(linear).clone()
WRONG[[0, 3]] = 1 - WRONG[[0, 3]]
# name: network, samples, labels, noise law, assumptions that fail
CASES = {
    "a": (linear, X, side(linear), "gaussian", set()),
    "b": (RELU, X, side(RELU), "uniform", set()),
    "c": (shifted, X, side(shifted), "gaussian", {"homogeneous"}),
    "d": (linear, X, WRONG, "gaussian", {"signs"}),
}


def bound_and_loss(name, eps):
    f, x, y, law, _ = CASES[name]
    bound = adversarial_bound(f, x, y, eps=eps, **SETTINGS)
    order = (9, 6) if name != "b" else (4, 5)
    return bound, nfm_loss_exact(f, x, y, eps=eps, law=law, order=order, **SETTINGS)


@pytest.mark.parametrize("name", CASES)
def test_reference_values(name):
    want = REFERENCE["theorem3"][name]
    residuals = []
    for k, eps in enumerate(want["eps"]):
        bound, loss = bound_and_loss(name, eps)
        # Differences of losses of size 1: the rounding of the losses is the floor.
        close = dict(rel=1e-9, abs=1e-12)
        assert bound.residual(loss) == pytest.approx(want["residual"][k], **close), eps
        assert bound.slack(loss) == pytest.approx(want["gap_paper"][k], **close), eps
        gap = loss - bound.adversarial_exact - bound.regulariser
        assert gap == pytest.approx(want["gap_exact_radius"][k], **close), eps
        residuals.append(bound.residual(loss))
    assert bound.first_order_slack == pytest.approx(want["lead"], rel=1e-9)
    assert (bound["signs"].holds) is want["in_Theta"]
    assert bound["homogeneous"].value == pytest.approx(want["hom"], abs=1e-14)
    order = 3 if name in "ab" else 1
    assert slope(want["eps"], residuals) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name):
    bound, _ = bound_and_loss(name, 0.0064)
    assert {a.name for a in bound.assumptions if not a.holds} == CASES[name][4]
    assert bound.holds is (not CASES[name][4])


def test_the_printed_bound_holds_where_its_assumptions_do():
    for name in "ab":
        for eps in REFERENCE["theorem3"][name]["eps"]:
            bound, loss = bound_and_loss(name, eps)
            assert bound.slack(loss) > 0
            assert (bound.paper_radius <= bound.exact_radius + 1e-15).all()


def test_a_bias_breaks_the_bound():
    for eps in (0.02, 0.01, 0.005):
        bound, loss = bound_and_loss("c", eps)
        assert bound.slack(loss) < 0
    bound, loss = bound_and_loss("c", 0.16)
    assert bound.slack(loss) > 0


def test_wrong_labels_break_the_bound_at_every_eps():
    for eps in REFERENCE["theorem3"]["d"]["eps"]:
        bound, loss = bound_and_loss("d", eps)
        assert bound.slack(loss) < 0


def test_uncentred_data_break_the_bound_at_every_eps():
    x = X + 1.0
    y = side(linear, x)
    ladder, residuals = (0.32, 0.16, 0.08, 0.04, 0.02, 0.01, 0.005, 0.0025, 0.00125), []
    for eps in ladder:
        bound = adversarial_bound(linear, x, y, eps=eps, **SETTINGS)
        loss = nfm_loss_exact(linear, x, y, eps=eps, order=(9, 6), **SETTINGS)
        assert {a.name for a in bound.assumptions if not a.holds} == {"centred"}
        assert bound.slack(loss) < 0
        residuals.append(bound.residual(loss))
    assert slope(ladder, residuals) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("missing", ["variance", "additive", "multiplicative", "square"])
def test_each_part_of_the_identity_is_needed(missing):
    f, x, y, *_ = CASES["a"]
    m1, m2 = REFERENCE["lemmas"]["m1"], REFERENCE["lemmas"]["m2"]
    ladder = (0.01, 0.005, 0.0025)
    errors = []
    for eps in ladder:
        bound, loss = bound_and_loss("a", eps)
        value = bound.residual(loss)
        part = dict(SETTINGS)
        if missing == "variance":
            value += bound.variance
        else:
            if missing == "additive":
                part["sigma_add"] = 0.0
            elif missing == "multiplicative":
                part["sigma_mult"] = 0.0
            bare = adversarial_bound(f, x, y, eps=eps, **part)
            if missing == "square":  # E[1-lam]^2 where E[(1-lam)^2] belongs
                quiet = {**SETTINGS, "sigma_add": 0.0, "sigma_mult": 0.0}
                bare = adversarial_bound(f, x, y, eps=eps, **quiet)
                value += bare.regulariser * (1 - m1**2 / m2)
            else:
                value += bound.regulariser - bare.regulariser
        errors.append(value)
    assert slope(ladder, errors) == pytest.approx(2, abs=0.05)


def test_kink_distance_is_where_the_gradient_changes():
    distance = kink_distance(RELU, X)
    x = X.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(RELU(x).sum(), x)
    generator = torch.Generator().manual_seed(0)
    for i in range(len(X)):
        u = torch.randn(400, 2, generator=generator, dtype=torch.float64)
        u = u / u.norm(dim=1, keepdim=True)
        for factor, changes in ((0.999, False), (1.02, True)):
            z = (X[i] + factor * distance[i] * u).requires_grad_(True)
            (g,) = torch.autograd.grad(RELU(z).sum(), z)
            assert bool((g - gradient[i]).abs().max() > 1e-9) is changes


def test_kink_distance_of_other_networks():
    assert torch.isinf(kink_distance(linear, X)).all()
    pooled = torch.nn.Sequential(torch.nn.Unflatten(1, (1, 2)), torch.nn.MaxPool1d(2))
    assert kink_distance(lambda x: pooled(x).flatten(1), X) is None
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.ReLU(inplace=True), torch.nn.Linear(3, 1)
    ).double()
    w, b = module[0].weight.detach(), module[0].bias.detach()
    want = ((X @ w.T + b).abs() / w.norm(dim=1)).min(1).values
    torch.testing.assert_close(kink_distance(module, X), want)


def test_a_ball_that_reaches_a_kink_is_noticed():
    assert adversarial_bound(RELU, X, side(RELU), eps=1.0, **SETTINGS)["one piece"].holds is False
    smooth = adversarial_bound(
        torch_net((2, 6, 5, 1)), X, side(torch_net((2, 6, 5, 1))), eps=0.1, **SETTINGS
    )
    assert smooth["flat"].holds is False and smooth["homogeneous"].holds is False


def form(name):
    """Quadratic forms whose trace, diagonal or leading entries are 0."""

    def curved(x):
        if name == "trace":
            return 3 * (x[:, 0] ** 2 - x[:, 1] ** 2)
        if name == "product":
            return x[:, 2] * x[:, -1]
        if name == "last":
            return 0.01 * x[:, -1] ** 2
        return (x**2 * torch.linspace(-1, 1, x.shape[1], dtype=x.dtype)).sum(1)

    return curved


@pytest.mark.parametrize("d", [2, 16, 17, 18, 33, 400])
@pytest.mark.parametrize("name", ["trace", "product", "last", "antisymmetric"])
def test_every_quadratic_form_is_seen_in_any_dimension(name, d):
    d = max(d, 3)
    w = torch.linspace(0.5, 1.5, d, dtype=torch.float64)
    x = torch.randn(4, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    curved, y = form(name), (x @ w > 0).long()
    flat = adversarial_bound(lambda z: z @ w, x, y, eps=0.1, **SETTINGS)["flat"]
    bent = adversarial_bound(lambda z: z @ w + curved(z), x, y, eps=0.1, **SETTINGS)["flat"]
    assert flat.holds is True and bent.holds is False
    assert bent.value > 1e-3 / d


def test_bad_input():
    with pytest.raises(ValueError, match="one scalar logit"):
        adversarial_bound(torch_net((2, 6, 5, 3)), X, side(linear), eps=0.1, **SETTINGS)
    with pytest.raises(ValueError, match="labels 0 or 1"):
        adversarial_bound(linear, X, 2 * side(linear) - 1, eps=0.1, **SETTINGS)
    with pytest.raises(ValueError, match="eps must lie in"):
        adversarial_bound(linear, X, side(linear), eps=1.5, **SETTINGS)
    too_large = adversarial_bound(linear, X, side(linear), eps=0.1, c_x=9.0, **SETTINGS)
    assert too_large["size"].holds is False
    with pytest.raises(KeyError, match="homogeneous"):
        too_large["bias"]
