"""The optimiser and its schedule against plain arithmetic."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import nmlib as nm
from nmlib.training import BUDGETS, Recipe


def test_defaults_are_the_papers():
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size) == (200, 128)
    assert (recipe.learning_rate, recipe.final_learning_rate) == (0.1, 1e-6)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, True, 5e-4)
    assert recipe.decay_all and recipe.augment and not recipe.drop_last
    # 390 whole batches and one of 80.
    assert recipe.steps_per_epoch(50_000) == 391
    assert Recipe(drop_last=True).steps_per_epoch(50_000) == 390


def test_the_rate_falls_along_half_a_cosine_every_step():
    recipe, steps = Recipe(), 200 * 391
    t = np.arange(steps)
    expected = 1e-6 + (0.1 - 1e-6) * np.cos(np.pi * t / (2 * steps)) ** 2  # half-angle form
    rates = [recipe.rate(int(i), steps) for i in t]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert rates[0] == 0.1
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_the_rate_falls_to_a_tenth_at_epochs():
    recipe, per_epoch = Recipe(epochs=150, learning_rate=0.01, drop_every=50), 7
    rates = [recipe.rate(step, 150 * per_epoch) for step in range(150 * per_epoch)]
    wanted = np.repeat([0.01, 0.001, 0.0001], 50 * per_epoch)
    np.testing.assert_allclose(rates, wanted, rtol=1e-12)


def test_steps_of_the_optimiser_against_numpy():
    recipe = Recipe(weight_decay=0.02)
    g = torch.Generator().manual_seed(3)
    weight = nn.Parameter(torch.randn(4, 3, generator=g, dtype=torch.float64))
    model = nn.ParameterList([weight])
    optimiser = recipe.optimiser(model)
    w, velocity = weight.detach().numpy().copy(), None
    for step in range(5):
        gradient = torch.randn(4, 3, generator=g, dtype=torch.float64)
        rate = recipe.rate(step, 5)
        optimiser.param_groups[0]["lr"] = rate
        weight.grad = gradient
        optimiser.step()
        d = gradient.numpy() + 0.02 * w
        velocity = d if velocity is None else 0.9 * velocity + d
        w = w - rate * (d + 0.9 * velocity)
        np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-12)


def test_weight_decay_groups():
    model = nm.build_model("preact_resnet_small")
    (everything,) = Recipe().optimiser(model).param_groups
    assert everything["weight_decay"] == 5e-4
    assert len(everything["params"]) == len(list(model.parameters()))
    decayed, free = Recipe(decay_all=False).optimiser(model).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (5e-4, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters"):
        Recipe().optimiser(frozen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 12.5}, "batch_size must be an integer"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number > 0"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"momentum": 0.0}, "nesterov=False"),
        ({"final_learning_rate": 0.2}, "only falls"),
        ({"precision": "fp16"}, "unknown precision 'fp16'; did you mean"),
        ({"parts": 200}, "lower parts"),
        ({"validation": -1}, "validation must be an integer >= 0"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**change)


def test_budgets():
    assert list(BUDGETS) == ["smoke", "laptop", "long", "paper"]
    data = nm.load("fashion-mini")
    for budget in BUDGETS.values():
        assert budget.model in nm.MODELS
        assert budget.recipe().epochs == budget.epochs
        assert len(budget.cut(data)) == min(budget.subset or len(data), len(data))
    assert BUDGETS["paper"].recipe() == Recipe()
    assert BUDGETS["smoke"].recipe(precision="bf16").precision == "bf16"
    assert len(BUDGETS["smoke"].cut(data.first(10))) == 10
