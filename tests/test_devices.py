"""Small arrays on their way to a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nmlib._devices import sent

ARRAYS = [np.arange(6.0).reshape(2, 3), np.arange(6)[::-2], np.zeros(0), torch.arange(3)]


@pytest.mark.parametrize("values", ARRAYS)
def test_values_and_types_arrive(values):
    found = sent(values, "cpu")
    np.testing.assert_array_equal(found.numpy(), values)
    assert found.numpy().dtype == np.asarray(values).dtype
    assert sent(values, "meta").shape == values.shape


def test_to_a_gpu_the_copy_takes_its_turn(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: calls.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device, non_blocking: calls.append(non_blocking) or self
    )
    sent(np.arange(3), torch.device("cuda", 1))
    assert calls == ["pinned", True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("values", ARRAYS)
def test_values_arrive_on_a_gpu(values):
    np.testing.assert_array_equal(sent(values, "cuda").cpu().numpy(), values)
