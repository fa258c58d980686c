"""Streams are keys, not positions: independent, stateless, the same everywhere."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from nmlib import Rng, batch_loss, default_device, fig4_schemes, make_polygon_band, mlp


def test_a_stream_is_its_key():
    rng = Rng(7).fold("mix")
    first = rng.numpy().random(5)
    Rng(7).fold("noise").numpy().random(1000)
    assert np.array_equal(first, rng.numpy().random(5))
    assert np.array_equal(first, Rng(7, path=("mix",)).numpy().random(5))
    assert torch.equal(
        torch.rand(5, generator=rng.torch()), torch.rand(5, generator=Rng(7).fold("mix").torch())
    )


def test_folding_twice_is_folding_both():
    assert Rng(1).fold("a").fold(2, "b") == Rng(1).fold("a", 2, "b")


def test_different_keys_give_different_streams():
    paths = [(), (0,), ("0",), (1,), (-1,), ("a",), ("b",), ("a", "b"), ("ab",), ("b", "a"), (0, 0)]
    keys = {Rng(s).fold(*p)._key() for s in (0, 1, 2**40, 2**70) for p in paths}
    assert len(keys) == 4 * len(paths)
    steps = [Rng(0).fold("epoch", e, "step", t)._key() for e in range(60) for t in range(500)]
    assert len(set(steps)) == 30_000
    # Neighbouring keys share no bits on average.
    bits = np.unpackbits(np.array(steps, dtype=np.uint64).view(np.uint8)).reshape(-1, 64)
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / 30_000**0.5


def test_neighbouring_streams_are_independent():
    fields = torch.stack([torch.randn(2000, generator=Rng(0).fold(t).torch()) for t in range(40)])
    correlation = torch.corrcoef(fields) - torch.eye(40)
    assert float(correlation.abs().max()) < 5 / 2000**0.5
    draws = np.array([Rng(s).numpy().random() for s in range(2000)])
    assert abs(draws.mean() - 0.5) < 5 * (1 / 12 / 2000) ** 0.5
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 5 / 2000**0.5


def test_numpy_integers_name_the_same_streams():
    plain, numpy = Rng(3).fold("epoch", 4), Rng(np.int64(3)).fold(np.str_("epoch"), np.int32(4))
    assert plain == numpy
    assert plain.numpy().random() == numpy.numpy().random()


def test_the_numbers_are_the_same_in_another_process_and_never_change():
    code = "import nmlib; print(nmlib.Rng(5).fold('mix', 3)._key())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    # A change of this number changes every result of the project.
    assert int(other) == Rng(5).fold("mix", 3)._key() == STORED_KEY


STORED_KEY = 7063418206764409842


@pytest.mark.parametrize("device", ["meta", "cuda:0", torch.device("cpu")])
def test_small_decisions_ignore_the_device(device):
    rng = Rng(11).fold("mix")
    assert rng.to(device).numpy().random() == rng.numpy().random()
    assert rng.to(device).fold("x")._key() == rng.fold("x")._key()
    assert rng.to(device).device == device


def legacy_state():
    return np.random.get_state()  # noqa: NPY002 (reads it, to see that nobody touches it)


def test_global_random_state_is_left_alone():
    state = random.getstate(), legacy_state(), torch.get_rng_state()
    x, y = make_polygon_band(40, random_state=0)
    make_polygon_band(40)
    batch = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    for scheme in fig4_schemes(law="released").values():
        model = mlp((2, 8, 2), seed=1)
        batch_loss(model, batch, scheme, Rng(0)).total.backward()
    Rng(0).torch()
    assert random.getstate() == state[0]
    assert all(np.array_equal(a, b) for a, b in zip(legacy_state(), state[1], strict=True))
    assert torch.equal(torch.get_rng_state(), state[2])


def test_global_seeds_change_nothing():
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        x, y = make_polygon_band(40, random_state=0)
        batch = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
        scheme = fig4_schemes(law="released")["noisymix"]
        values.append(float(batch_loss(mlp((2, 8, 2)), batch, scheme, Rng(0)).total.detach()))
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Rng(-1), ValueError, "seed must be an integer >= 0, got -1"),
        (lambda: Rng(1.5), TypeError, "seed must be an integer >= 0, got 1.5"),
        (lambda: Rng(True), TypeError, "seed must be an integer >= 0, got True"),
        (lambda: Rng(None), TypeError, "seed must be an integer >= 0, got None"),
        (lambda: Rng(0).fold(0.5), TypeError, r"strings and integers, got 0\.5"),
        (lambda: Rng(0).fold(True), TypeError, "strings and integers, got True"),
    ],
)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_default_device_can_hold_a_tensor():
    assert torch.zeros(2, device=default_device()).sum().item() == 0
