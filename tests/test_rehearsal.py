"""The rehearsal of CUDA: it catches planted faults and waits, and lets through what is allowed."""

import numpy as np
import pytest
import torch
from rehearsal import CPU, GPU, Fault, rehearse
from torch import nn
from torch.nn import functional as F

from nmlib import Rng, mlp
from nmlib._devices import to_device

OTHER = torch.device("cuda", 1)


class Things:
    """What the cases below are made of."""

    def __init__(self, place=GPU):
        self.place = place
        self.x, self.y = torch.arange(6.0).view(2, 3) / 6, torch.tensor([0, 2])
        self.gx, self.gy = self.x.to(place, copy=True), self.y.to(place)
        self.g0 = self.gx.sum()  # without axes
        self.net, self.gnet = mlp((3, 3)), mlp((3, 3)).to(place)
        self.mask = self.gx > 0.4
        self.host, self.there = (torch.Generator(p).manual_seed(0) for p in (CPU, place))


def scaled(t):
    t.gx[:, :2] *= 2


def into_mask(t):
    t.gx[t.mask] = 0.0


def backward_through_host(t):
    weight = t.net.stages[0].weight.detach().requires_grad_()
    (t.gx @ weight.T).sum().backward()


FAULTS = {
    "host meets device": lambda t: t.gx + t.x,
    "host meets device in place": lambda t: t.gx.add_(t.x),
    "host scalar written": lambda t: t.x.sum().add_(t.g0),
    "host scalar in a product of matrices": lambda t: torch.dot(t.gx[0], t.x[0]),
    "host scalar joins another": lambda t: torch.stack([t.g0, t.x.sum()]),
    "joined": lambda t: torch.cat([t.gx, t.x]),
    "host weights": lambda t: t.net(t.gx),
    "device weights": lambda t: t.gnet(t.x),
    "host weights, gradient": backward_through_host,
    "host statistics": lambda t: nn.BatchNorm1d(3)(t.gx),
    "host labels": lambda t: F.cross_entropy(t.gx, t.y),
    "host index to index_select": lambda t: t.gx.index_select(1, t.y),
    "host index to gather": lambda t: t.gx.gather(1, t.y[:, None]),
    "device index, host tensor": lambda t: t.x[t.gy - t.gy],
    "device index into host tensor": lambda t: t.x.index_put_((t.gy - t.gy,), t.x[0]),
    "host meets device in a choice": lambda t: torch.where(t.mask, t.x, 0.0),
    "two GPUs": lambda t: t.gx + t.x.to(OTHER),
    "global draw": lambda t: torch.rand(3),
    "global draw on the device": lambda t: torch.rand(3, device=GPU),
    "global draw in place": lambda t: t.gx.normal_(),
    "global order": lambda t: torch.randperm(4, device=GPU),
    "global dropout": lambda t: F.dropout(t.gx, 0.5),
    "global weights": lambda t: nn.Linear(2, 2),
    "PyTorch's own generator": lambda t: torch.rand(3, generator=torch.default_generator),
    "host generator": lambda t: t.gx.normal_(generator=t.host),
    "host generator, new tensor": lambda t: torch.rand(3, generator=t.host, device=GPU),
    "device generator": lambda t: t.x.normal_(generator=t.there),
    "generator of another GPU": lambda t: t.gx.normal_(generator=torch.Generator(OTHER)),
    "numpy": lambda t: t.gx.numpy(),
    "asarray": lambda t: np.asarray(t.gx),
    "numpy function": lambda t: np.add(t.gx, 1),
    "read before it is there": lambda t: t.gx.to("cpu", non_blocking=True),
    "read before it is there, copied": lambda t: t.x.copy_(t.gx, non_blocking=True),
    "pinned on the device": lambda t: t.gx.pin_memory(),
}

WAITS = {
    "item": lambda t: t.g0.item(),
    "float": lambda t: float(t.g0),
    "int": lambda t: int(t.gy[0]),
    "bool": lambda t: bool((t.gx > 0).any()),
    "if": lambda t: 1 if (t.gx > 0).all() else 2,
    "comparison": lambda t: torch.equal(t.gx, t.gx),
    "closeness": lambda t: torch.allclose(t.gx, t.gx),
    "list": lambda t: t.gx.tolist(),
    "printing": lambda t: str(t.gx),
    "cpu": lambda t: t.gx.cpu(),
    "to": lambda t: t.gx.to("cpu"),
    "to another's place": lambda t: t.gx.to(t.x),
    "to another's place and type": lambda t: t.gx.to(CPU, torch.float64, False, True),
    "copy to the host": lambda t: t.x.copy_(t.gx),
    "assigned to the host": lambda t: t.x.__setitem__(0, t.gx[0]),
    "copy to the device": lambda t: t.x.to(GPU),
    "copy into the device": lambda t: t.gx.copy_(t.x),
    "staged copy": lambda t: t.x.to(GPU, non_blocking=True),
    "cuda": lambda t: t.x.cuda(),
    "list to the device": lambda t: torch.tensor([1.0, 2.0], device=GPU),
    "list beside a tensor": lambda t: t.gx.new_tensor([1.0, 2.0]),
    "host index": lambda t: t.gx[:, t.y],
    "list as index": lambda t: t.gx[:, [0, 2]],
    "mask": lambda t: t.gx[t.mask],
    "into a mask": into_mask,
    "places": lambda t: torch.nonzero(t.mask),
    "places by where": lambda t: torch.where(t.mask),
    "number of values": lambda t: t.gy.unique(),
    "histogram": lambda t: torch.bincount(t.gy),
    "classes unknown": lambda t: F.one_hot(t.gy),
    "checked solution": lambda t: torch.linalg.solve(t.gx @ t.gx.T, t.gx),
    "network to the device": lambda t: t.net.to(GPU),
    "read in a loop": lambda t: [v for row in t.gx for v in row if v > 0],
}


def narrow(t):
    with torch.autocast(t.place.type, torch.bfloat16, enabled=False):
        return t.gnet(t.gx).detach()


def step(t):
    """Three steps of a classifier with momentum."""
    optimiser = torch.optim.SGD(t.gnet.parameters(), 0.1, 0.9, nesterov=True, fused=True)
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(t.gnet(t.gx), t.gy).backward()
        optimiser.step()
    return t.gnet.stages[0].weight.detach()


ALLOWED = {
    "numbers": lambda t: 2 * t.gx + 1,
    "host scalar": lambda t: t.gx * t.x.sum(),
    "host scalar chosen": lambda t: torch.where(t.mask, t.gx, torch.tensor(0.0)),
    "host scalar as end": lambda t: torch.lerp(t.gx, 2 * t.gx, torch.tensor(0.5)),
    "host scalar as bound": lambda t: t.gx.clamp(max=torch.tensor(0.5)),
    "host scalar by a mask": lambda t: t.gx.masked_fill(t.mask, torch.tensor(0.5)),
    "part of it": scaled,
    "a box of it": lambda t: t.gx[..., 1:2].zero_(),
    "filled box": lambda t: t.gx.__setitem__((..., slice(1, 3)), 0),
    "device index": lambda t: t.gx[:, t.gy],
    "device index of numbers": lambda t: t.gx[1, 2],
    "own generator": lambda t: t.gx.normal_(generator=t.there),
    "own generator, new tensor": lambda t: torch.rand(3, generator=t.there, device=t.place),
    "stream": lambda t: torch.empty_like(t.gx).bernoulli_(0.5, generator=Rng(0, t.place).torch()),
    "made there": lambda t: torch.arange(3, device=t.gx.device) + t.gx,
    "made like it": lambda t: torch.zeros_like(t.gx) + t.gx.new_ones(3) + t.gx.new_full((3,), 2),
    "pinned": lambda t: to_device(t.x, t.place) + t.gx,
    "to_device": lambda t: to_device(np.ones(3, np.float32), t.place) + t.gx,
    "one type to another": lambda t: t.gx.double().half().to(torch.uint8).to(t.place),
    "classes known": lambda t: F.one_hot(t.gy, 3).float() @ t.gx.T,
    "loss": lambda t: F.cross_entropy(t.gx, t.gy),
    "unchecked solution": lambda t: torch.linalg.solve_ex(t.gx @ t.gx.T, t.gx)[0],
    "steps": step,
    "narrow in between": narrow,
    "nothing drawn": lambda t: F.dropout(t.gx, 0.5, training=False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_caught(name):
    with rehearse():
        things = Things()
        with pytest.raises(Fault):
            FAULTS[name](things)


@pytest.mark.parametrize("name", WAITS)
def test_waits_are_written_down(name):
    with rehearse() as stage:
        things = Things()
        stage.waits.clear()
        WAITS[name](things)
    assert stage.waits["outside"]


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_passes_with_the_values_of_the_cpu(name):
    with rehearse() as stage:
        things = Things()
        stage.waits.clear()
        found = ALLOWED[name](things)
        assert not stage.waits
        if found is not None:
            assert found.device == GPU and found.is_cuda
            found = found.cpu()
    if found is not None:
        torch.testing.assert_close(ALLOWED[name](Things(CPU)), found)


@pytest.mark.parametrize(
    "work",
    [
        lambda x: (float(x.sum()), x.tolist(), x[x > 0], x.numpy(), np.asarray(x)),
        lambda x: torch.rand(3, generator=Rng(0).torch()) + x,
        lambda x: x[:, [0, 1]] + torch.tensor([1.0, 2.0]),
        lambda x: (x.to("cpu"), x.cpu(), x.to(torch.float64), x.pin_memory().is_pinned()),
    ],
)
def test_the_cpu_stays_as_it_is(work):
    with rehearse() as stage:
        work(torch.ones(2, 3))
    assert not stage.waits


def test_views_parameters_and_gradients_stay_where_their_memory_is():
    with rehearse():
        things = Things()
        x = things.gx.requires_grad_()
        views = [x.T, x[0], x.detach(), x.unsqueeze(0).expand(4, 2, 3), x.data, x.flatten(), *x]
        assert {v.device for v in views} == {GPU}
        things.gnet(x).sum().backward()
        assert x.grad.device == things.gnet.stages[0].weight.grad.device == GPU
        assert {v.device for v in things.gnet.state_dict().values()} == {GPU}
        assert things.gnet.to("cpu").stages[0].weight.device == things.x.device == CPU
        first = torch.func.jvp(lambda v: (v**2).sum(), (things.gx,), (things.gx,))[1]
        assert first.device == GPU


def test_nothing_of_it_is_left_afterwards():
    generator, seen = torch.Generator, torch.get_rng_state()
    with rehearse() as stage, pytest.raises(Fault):
        there = torch.ones(2, device=GPU)
        there + torch.ones(2)
    assert torch.Generator is generator and torch.equal(torch.get_rng_state(), seen)
    assert there.device == CPU and float(there.sum()) == 2.0 and not stage.waits
