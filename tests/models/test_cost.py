"""Parameters and multiply-adds against a count by hooks."""

import pytest
import torch
from torch import nn

import nmlib as nm
from nmlib.models.cost import count_cost


@pytest.mark.parametrize("name", ["preact_resnet18", "preact_resnet_small", "wrn28_4"])
def test_cost_counts_every_convolution(name):
    model = nm.build_model(name).train()
    found = []

    def count(layer, given, out):
        per_output = layer.weight[0].numel()
        found.append(per_output * out.numel())

    hooks = [
        m.register_forward_hook(count) for m in model.modules()
        if isinstance(m, (nn.Conv2d, nn.Linear))
    ]  # fmt: skip
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    model.train()
    cost = count_cost(model)
    assert cost.multiply_adds == sum(found)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert model.training
