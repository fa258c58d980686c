"""Monte Carlo and Hutchinson probes against the exact values, and on an image network."""

import pytest
import torch
from oracles.theory_nets import TORCH
from theory.reference import CASES, REFERENCE, data, exact

from nmlib import Rng, StagedModel
from nmlib.theory import (
    at_point,
    nfm_expansion,
    nfm_loss_monte_carlo,
    slope,
    stability_expansion,
    stability_loss_monte_carlo,
)

S = dict(alpha=1.3, beta=0.7, sigma_add=0.4, sigma_mult=0.3)
X, Y = data("X"), REFERENCE["data"]["Y"]
VIEWS = torch.stack([data("X"), data("XA1")])


def within(mean, error, want, sigmas=4):
    assert error > 0 and abs(mean - want) < sigmas * error


def test_nfm_loss():
    got = nfm_loss_monte_carlo(TORCH["binary"], X, Y, eps=0.32, draws=600, rng=Rng(1), **S)
    within(got.mean[0], got.standard_error[0], exact("nfm_binary", 0.32))
    assert got.standard_error[0] < 0.005
    assert got.base == pytest.approx(CASES["nfm_binary"]["base"], rel=1e-12)


def test_released_law():
    got = nfm_loss_monte_carlo(
        TORCH["binary"], X, Y, eps=0.08, alpha=1.3, beta=0.7, sigma_add=2.0, sigma_mult=2.0,
        law="released", sparsity=0.65, draws=600, rng=Rng(2),
    )  # fmt: skip
    within(got.mean[0], got.standard_error[0], CASES["nfm_released"]["exact"][0])
    assert got.standard_error[0] < 0.002


@pytest.mark.parametrize("shared", [False, True])
def test_stability_loss(shared):
    name = "stability_shared" if shared else "stability_weighted"
    case = CASES[name]
    got = stability_loss_monte_carlo(
        TORCH["binary"], VIEWS, eps=0.16, weights=case["weights"], shared_noise=shared,
        draws=600, rng=Rng(3), **case["settings"],
    )  # fmt: skip
    within(got.mean[0], got.standard_error[0], case["exact"][1])
    assert got.standard_error[0] < 1e-4


def test_common_random_numbers_show_the_order_of_the_remainder():
    ladder = (0.08, 0.04, 0.02, 0.01)
    got = nfm_loss_monte_carlo(
        TORCH["binary"], X, Y, eps=ladder, draws=120, rng=Rng(4), remainder=True, **S
    )
    # The error of the loss is a hundred times its remainder; that of the remainder is not.
    assert got.standard_error[-1] > 50 * abs(got.remainder[-1])
    assert slope(ladder, got.remainder_error) == pytest.approx(3, abs=0.1)
    want = CASES["nfm_binary"]["exact"][2] - (nfm_expansion(TORCH["binary"], X, Y, **S).at(0.08))
    within(got.remainder[0], got.remainder_error[0], want)


def test_same_stream_same_numbers():
    a, b = (nfm_loss_monte_carlo(TORCH["binary"], X, Y, draws=4, rng=Rng(5), **S) for _ in range(2))
    assert a == b
    with pytest.raises(ValueError, match="draws must be an integer >= 2"):
        nfm_loss_monte_carlo(TORCH["binary"], X, Y, draws=1, rng=Rng(5), **S)


def test_probes_estimate_the_exact_terms():
    exact_terms = nfm_expansion(TORCH["softmax"], X, REFERENCE["data"]["Y3"], **S)
    probed = nfm_expansion(
        TORCH["softmax"], X, REFERENCE["data"]["Y3"], probes=300, partners=300, rng=Rng(6), **S
    )
    for name in exact_terms:
        within(probed[name], probed[name].standard_error, exact_terms[name])
        assert exact_terms[name].standard_error == 0
    for shared in (False, True):
        options = dict(weights=[0.3, 0.7], shared_noise=shared, **S)
        want = stability_expansion(TORCH["binary"], VIEWS, **options)
        got = stability_expansion(
            TORCH["binary"], VIEWS, probes=300, partners=300, rng=Rng(7), **options
        )
        for name in want:
            if got[name].standard_error == 0:
                assert got[name] == want[name] == 0
            else:
                within(got[name], got[name].standard_error, want[name])


def image_network():
    torch_rng = Rng(8).torch()
    stages = [
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4),
                            torch.nn.SiLU()),
        torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, stride=2, padding=1), torch.nn.SiLU()),
        torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                            torch.nn.Linear(6, 5)),
    ]  # fmt: skip
    model = StagedModel(stages).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=torch_rng, dtype=p.dtype) * 0.5)
    return model


def check_ladder(f, h, y, ladder, count):
    """The remainder falls with the third power, and the expansion is where Monte Carlo is."""
    probes, partners, draws = count
    terms = nfm_expansion(f, h, y, probes=probes, partners=partners, rng=Rng(10), **S)
    loss = nfm_loss_monte_carlo(f, h, y, eps=ladder, draws=draws, rng=Rng(11), remainder=True, **S)
    assert slope(ladder, loss.remainder_error) == pytest.approx(3, abs=0.2)
    first = ladder[0]
    spread = sum((t.standard_error * first**t.order) ** 2 for t in terms.terms.values()) ** 0.5
    error = (spread**2 + loss.standard_error[0] ** 2) ** 0.5
    assert abs(loss.mean[0] - terms.at(first)) < 4 * error + abs(loss.remainder[0])


@pytest.mark.parametrize("point", [0, 1])
def test_image_network_at_a_mix_point(point):
    x = torch.randn(6, 3, 8, 8, generator=Rng(9).torch(), dtype=torch.float64)
    y = [0, 1, 2, 3, 4, 0]
    f, h = at_point(image_network(), x, point)
    check_ladder(f, h, y, (0.08, 0.04, 0.02), (24, 24, 24))
    # Batch statistics must not couple the samples: the network is in evaluation mode. Sums of some
    # fifty products, in double precision and in an order that depends on the size of the batch.
    torch.testing.assert_close(f(h)[:2], f(h[:2]), rtol=1e-13, atol=1e-13)


def test_a_trained_image_network_at_a_chosen_layer():
    """The suite's own network, trained by its own loop, with a smooth activation."""
    from nmlib import build_model, fit, load
    from nmlib.schemes import SCHEMES
    from nmlib.training import Recipe

    data = load("fashion-mini").first(96)
    model = build_model("preact_resnet_small", seed=3, widths=(8, 8, 8, 8))
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.SiLU())
    recipe = Recipe(epochs=2, batch_size=32)
    fit(model, data, SCHEMES["nfm"], recipe, device="cpu", progress=False)
    x = data.images[:6].permute(0, 3, 1, 2).double() / 255
    y = data.labels[:6].tolist()
    f, h = at_point(model.double(), x, 2)
    check_ladder(f, h, y, (0.04, 0.02, 0.01), (16, 12, 12))
