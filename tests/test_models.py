"""Staged models: the law of stages, initial values, wrong points."""

import math

import numpy as np
import pytest
import torch
from oracles.mixing import mlp_stage
from torch import nn

from nmlib import Rng, StagedModel, mlp
from nmlib.models import mlp_initial_values


def models():
    conv = [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(4, 5),
    ]
    return {
        "mlp": (mlp((2, 8, 2)), (6, 2)),
        "deep": (mlp((2, 8, 7, 6, 3), activation="tanh"), (6, 2)),
        "one stage": (mlp((4, 3)), (6, 4)),
        "normalised images": (StagedModel(conv, normalise=nn.BatchNorm2d(3)), (6, 3, 8, 8)),
    }


@pytest.mark.parametrize("name", models())
def test_stage_law(name):
    model, shape = models()[name]
    model.eval()
    x = torch.randn(*shape, generator=Rng(0).torch())
    before = x.clone()
    whole = model(x)
    for k in range(model.num_points):
        assert torch.equal(model(model(x, stop=k), start=k), whole)
        for j in range(k + 1):
            assert torch.equal(model(model(x, stop=j), start=j, stop=k), model(x, stop=k))
    assert torch.equal(x, before)


def test_point_zero_is_the_normalised_input():
    model = StagedModel([nn.Linear(2, 2)], normalise=nn.BatchNorm1d(2, affine=False)).eval()
    model.normalise.running_mean += 3
    x = torch.zeros(4, 2)
    assert torch.allclose(model(x, stop=0), torch.full((4, 2), -3.0), atol=1e-4)
    # start=0 takes what stop=0 gave; it does not normalise again.
    assert torch.equal(model(model(x, stop=0), start=0), model(x))
    assert torch.equal(mlp((2, 3, 2))(x, stop=0), x)


def test_mlp_equals_numpy():
    model = mlp((3, 5, 4, 2), seed=3)
    x = Rng(0).numpy().normal(size=(7, 3))
    h, values, at = x, mlp_initial_values((3, 5, 4, 2), 3), 0
    for i, (a, b) in enumerate([(3, 5), (5, 4), (4, 2)]):
        weight = values[at : at + a * b].reshape(b, a)
        bias = values[at + a * b : at + (a + 1) * b]
        at += (a + 1) * b
        h = mlp_stage(h, weight, bias, relu=i < 2)
    assert at == len(values)
    got = model(torch.tensor(x, dtype=torch.float32)).detach()
    assert np.allclose(got, h, atol=1e-6)


def test_initial_values_are_uniform_with_pytorchs_scale():
    values = mlp_initial_values((50, 400, 10), 0)
    first, second = values[: 51 * 400], values[51 * 400 :]
    for part, fan_in in ((first, 50), (second, 400)):
        bound = 1 / math.sqrt(fan_in)
        assert np.abs(part).max() <= bound
        assert part.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert part.mean() == pytest.approx(0, abs=4 * bound / math.sqrt(3 * len(part)))


def test_seeds_fix_the_network():
    a, b, c = (mlp((2, 8, 2), seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not any(torch.equal(a[k], c[k]) for k in a)
    assert all(p.requires_grad for p in mlp((2, 8, 2)).parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mlp((2,)), r"at least two numbers >= 1, got \(2,\)"),
        (lambda: mlp((2, 0, 2)), r"got \(2, 0, 2\)"),
        (lambda: mlp((2, 2), activation="rleu"), "unknown activation 'rleu'; did you mean 'relu'"),
        (lambda: StagedModel([]), "at least one stage"),
        (
            lambda: mlp((2, 4, 2))(torch.zeros(1, 2), stop=2),
            "mix point 2 does not exist: .* 0 to 1",
        ),
        (lambda: mlp((2, 4, 2))(torch.zeros(1, 2), start=-1), "mix point -1 does not exist"),
        (lambda: mlp((2, 2, 2))(torch.zeros(1, 2), start=1, stop=0), "stop=0 lies before start=1"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
