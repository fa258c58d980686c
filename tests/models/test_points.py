"""Mix points by name: their law on networks of other libraries, and what stays untouched."""

import copy
import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import vision  # first: torchvision, then timm
from models import parallel
from models.parallel import NAMES, NOISYMIX, SMALL, Y, small
from torch import nn
from torch.utils.checkpoint import checkpoint
from training.small import equal as same
from training.small import quick
from vision import NETWORKS, inputs, made

import nmlib as nm
from nmlib.losses import noisymix_loss
from nmlib.models.modes import logits_of
from nmlib.objective import draw_batch
from nmlib.training import Recipe

POINTS = {
    "torchvision resnet18": ["layer1", "layer2", "layer3"],
    # Those of the paper's ImageNet script.
    "torchvision resnet50": ["layer1", "layer2", "layer3"],
    "torchvision convnext": ["features.1", "features.3", "features.5"],
    "torchvision vit": [f"encoder.layers.encoder_layer_{i}" for i in (1, 3, 5)],
    "torchvision efficientnet": ["features.2", "features.3", "features.5"],
    "torchvision densenet": [f"features.denseblock{i}" for i in (1, 2, 3)],
    "timm resnet18": ["layer1", "layer2", "layer3"],
    "timm resnet50": ["layer1", "layer2", "layer3"],
    "timm convnext": ["stages.0", "stages.1", "stages.2"],
    "timm vit": ["blocks.1", "blocks.3", "blocks.5"],
    "timm efficientnet": ["blocks.1", "blocks.2", "blocks.4"],
    "timm densenet": [f"features.denseblock{i}" for i in (1, 2, 3)],
    "hugging face vit": ["vit.layers.1", "vit.layers.3", "vit.layers.5"],
    "hugging face resnet": [f"resnet.encoder.stages.{i}" for i in (0, 1, 2)],
    "own mlp": ["first", "second"],
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def hooked(network):
    return [m for m in network.modules() if m._forward_hooks or m._forward_pre_hooks]


def gradients(objective, network):
    """The loss of a call, and the gradients of a network's parameters."""
    network.zero_grad()
    total = objective().total
    total.backward()
    return [total.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]


def equal(some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        torch.testing.assert_close(a, b)


# -- the law of points ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_points_suggested_are_cuts_and_leave_the_network_as_it_was(name):
    network, x = made(name), inputs(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = nm.suggest_points(network, x)
    assert found == ("", *POINTS[name])
    assert all(part.training for part in network.modules()) and not hooked(network)
    points = nm.MixPoints(network, found)
    assert all(torch.equal(v, before[k]) for k, v in points.state_dict().items())
    network.eval()
    with torch.no_grad():
        whole = logits_of(network(x))
        for k in range(points.num_points):
            kept = []
            # The same operations on the same shapes: equal bit for bit.
            same = points(x, point=k, change=lambda h, kept=kept: kept.append(h.clone()) or h)
            assert torch.equal(same, whole)
            # f_k depends on x through g_k(x) alone.
            rest = points(x.flip(0), point=k, change=lambda h, kept=kept: kept[0])
            assert torch.equal(rest, whole)
            assert tuple(kept[0].shape[1:]) == found.shapes[k]
    assert not hooked(network)


def halves(name, net):
    """Cut a network by hand at its second point."""
    if name == "own mlp":
        return (lambda x: net.second(net.first(x).relu())), (lambda h: net.last(h.relu()))
    if name == "hugging face vit":
        model = net.vit
        return (
            nn.Sequential(model.embeddings, *model.layers[:4]),
            lambda h: net.classifier(model.layernorm(nn.Sequential(*model.layers[4:])(h))[:, 0]),
        )
    if name == "hugging face resnet":
        stages = net.resnet.encoder.stages
        return (
            nn.Sequential(net.resnet.embedder, *stages[:2]),
            nn.Sequential(*stages[2:], net.resnet.pooler, net.classifier),
        )
    if name == "torchvision vit":

        def begin(x):
            h = net._process_input(x)
            h = torch.cat([net.class_token.expand(len(h), -1, -1), h], 1)
            return net.encoder.layers[:4](h + net.encoder.pos_embedding)

        return begin, lambda h: net.heads(net.encoder.ln(net.encoder.layers[4:](h))[:, 0])
    if name == "timm vit":
        return (
            lambda x: net.blocks[:4](net.norm_pre(net._pos_embed(net.patch_embed(x)))),
            lambda h: net.forward_head(net.norm(net.blocks[4:](h))),
        )
    if "resnet" in name:
        act = net.relu if "torchvision" in name else net.act1
        end = [net.avgpool, nn.Flatten()] if "torchvision" in name else [net.global_pool]
        return (
            nn.Sequential(net.conv1, net.bn1, act, net.maxpool, net.layer1, net.layer2),
            nn.Sequential(net.layer3, net.layer4, *end, net.fc),
        )
    if name == "timm convnext":
        return (
            nn.Sequential(net.stem, net.stages[:2]),
            nn.Sequential(net.stages[2:], net.norm_pre, net.head),
        )
    if name == "timm efficientnet":
        return (
            nn.Sequential(net.conv_stem, net.bn1, net.blocks[:3]),
            lambda h: net.forward_head(net.bn2(net.conv_head(net.blocks[3:](h)))),
        )
    if name == "timm densenet":
        at = list(dict(net.features.named_children())).index("denseblock2") + 1
        return net.features[:at], lambda h: net.forward_head(net.features[at:](h))
    at = {"densenet": 7, "convnext": 4, "efficientnet": 4}[name.split()[1]]
    pool = [nn.ReLU()] if "densenet" in name else []
    pool += [nn.AdaptiveAvgPool2d(1), *([] if "convnext" in name else [nn.Flatten()])]
    return net.features[:at], nn.Sequential(net.features[at:], *pool, net.classifier)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_is_that_of_two_halves_by_hand(name):
    network, x, rng = made(name).double(), inputs(name, 4).double(), nm.Rng(7)
    points = nm.MixPoints(network, ["", *POINTS[name]])
    found = gradients(lambda: nm.batch_loss(points, (x, Y), NOISYMIX, rng), network)

    def by_hand():
        begin, end = halves(name, network)
        (pair,) = draw_batch(points, (x, Y), NOISYMIX, rng).pairs
        h = begin(torch.cat([x, x])).unflatten(0, (2, 4))
        # Noise is drawn in the order of memory.
        fields = NOISYMIX.noise.draw(nm.mix(h.detach(), pair, dim=1), rng.fold("noise"))
        h = pair.lam * h + (1 - pair.lam) * h[:, pair.partner]
        h = (1 + fields.multiplicative) * h + fields.additive
        one_hot = nn.functional.one_hot(Y, 5).double()
        y = pair.lam * one_hot + (1 - pair.lam) * one_hot[pair.partner]
        return noisymix_loss(end(h.flatten(0, 1)).unflatten(0, (2, 4)), y, stability=3.0)

    other = gradients(by_hand, network)
    torch.testing.assert_close(found, other, rtol=1e-7, atol=1e-9)


def test_normalisation_comes_first():
    network = small()
    points = nm.MixPoints(network, [""], MEAN, STD)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (MEAN, STD))
    torch.testing.assert_close(points(SMALL), network((SMALL - mean) / std))
    seen = []
    points(SMALL, point=0, change=lambda h: seen.append(h) or h)
    torch.testing.assert_close(seen[0], (SMALL - mean) / std)
    probabilities = nm.predict(points, SMALL)
    torch.testing.assert_close(probabilities, points(SMALL).softmax(1).detach())


def test_every_kind_of_scheme_runs_and_leaves_no_hook():
    network = small()
    x = torch.rand(4, 3, 32, 32, generator=nm.Rng(3).torch())
    points = nm.MixPoints(network, NAMES, 0.5, 0.5)
    staged = nm.StagedModel([network[0], network[1], network[2:]], points.normalise)
    for name in nm.SCHEMES:
        scheme = nm.get_scheme(name)
        scheme = replace(scheme, points=tuple(p for p in scheme.points if p < 3))
        if name == "augmax":
            scheme = replace(scheme, views=nm.AugMax(steps=2))
        losses = [
            gradients(lambda m=m, s=scheme: nm.batch_loss(m, (x, Y), s, nm.Rng(1)), network)
            for m in (points, staged)
        ]
        equal(*losses)
        assert not hooked(network)


def test_dual_normalisation_of_a_wrapped_network():
    dual = nm.models.norm.DualBatchNorm2d(8)
    network = small()
    network[0][1] = dual
    scheme = nm.Scheme("augmax", nm.AugMax(steps=1), stability=1.0)
    x = torch.rand(4, 3, 32, 32, generator=nm.Rng(3).torch())
    nm.batch_loss(nm.MixPoints(network, NAMES), (x, Y), scheme, nm.Rng(0))
    assert not torch.equal(dual.main.running_mean, dual.adversarial.running_mean)
    assert dual.adversarial.num_batches_tracked == dual.main.num_batches_tracked == 1


# -- what stays as it was -------------------------------------------------------------------------


def test_state_dicts_copies_and_pickles_are_the_networks_own():
    network = small()
    points = nm.MixPoints(network, NAMES, 0.5, 0.5)
    assert list(points.state_dict()) == list(network.state_dict())
    assert [id(p) for p in points.parameters()] == [id(p) for p in network.parameters()]
    other = small()
    nn.init.zeros_(other[4].bias)
    nm.MixPoints(other).load_state_dict(points.state_dict())
    other.load_state_dict(points.state_dict())
    points.load_state_dict(other.state_dict())
    objective = nm.NoisyMixLoss(points, NOISYMIX, seed=1)
    nm.NoisyMixLoss(nm.MixPoints(other, NAMES), NOISYMIX).load_state_dict(objective.state_dict())
    for twin in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        equal(
            gradients(lambda o=twin: o(SMALL, Y, 3), twin.model),
            gradients(lambda: objective(SMALL, Y, 3), network),
        )
    assert points.eval().model.training is False and points.train().model[0].training


def test_nothing_is_left_after_an_error():
    class Fails(nn.Module):
        def forward(self, x):
            raise ArithmeticError

    network = nn.Sequential(nn.Linear(3, 3), Fails())
    points = nm.MixPoints(network, ["0"])
    with pytest.raises(ArithmeticError):
        points(torch.ones(2, 3), point=0, change=lambda h: h)
    assert not hooked(network)


# -- activation checkpointing ---------------------------------------------------------------------


class Checkpointed(nn.Module):
    """Runs `small` with each of its two halves, or both together, checkpointed."""

    def __init__(self, nested, reentrant):
        super().__init__()
        self.net, self.nested = small(nn.Tanh), nested
        self.part = partial(checkpoint, use_reentrant=reentrant)

    def body(self, x):
        return self.part(self.net[1], self.part(self.net[0], x))

    def forward(self, x):
        if not self.training:
            return self.net(x)
        x = x.clone().requires_grad_()  # reentrant checkpointing needs an input with a gradient
        return self.net[2:](self.part(self.body, x) if self.nested else self.body(x))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("nested", [False, True])
# Inside, and at the end of, a part that is computed again.
@pytest.mark.parametrize("name", ["0.0", "0", "1.1", "1"])
def test_recomputed_activations_are_changed_alike(reentrant, nested, name):
    model = Checkpointed(nested, reentrant)
    scheme, batch = replace(NOISYMIX, points=(0,)), (SMALL, Y)
    found = gradients(
        lambda: nm.batch_loss(nm.MixPoints(model, [f"net.{name}"]), batch, scheme, nm.Rng(0)), model
    )
    assert not hooked(model)
    plain = nm.MixPoints(model.net, [name])
    equal(found, gradients(lambda: nm.batch_loss(plain, batch, scheme, nm.Rng(0)), model.net))


@pytest.mark.parametrize("reentrant", [False, True])
def test_each_of_several_passes_in_one_backward_pass_is_repeated_as_it_was(reentrant):
    model = Checkpointed(False, reentrant)

    def total(points, network):
        def loss(step, k):
            scheme = replace(NOISYMIX, points=(k,))
            return nm.batch_loss(points, (SMALL, Y), scheme, nm.Rng(step)).total

        clean = nn.functional.cross_entropy
        before = clean(network(SMALL), Y)
        mixed = loss(0, 0) + 2 * loss(1, 1) + 3 * loss(2, 0)
        return nn.Parameter(torch.zeros(())) + before + mixed + clean(network(SMALL.flip(0)), Y)

    def found(points, network):
        network.zero_grad()
        value = total(points, network)
        value.backward()
        return [value.detach(), *(p.grad for p in network.parameters())]

    some = found(nm.MixPoints(model, ["net.0.0", "net.1.0"]), model)
    equal(some, found(nm.MixPoints(model.net, ["0.0", "1.0"]), model.net))
    assert not hooked(model)


def test_a_backward_pass_that_fails_leaves_nothing_that_acts():
    model = Checkpointed(False, False)
    points = nm.MixPoints(model, ["net.0"])
    logits = points(SMALL, point=0, change=torch.zeros_like)

    def fail(gradient):
        raise ArithmeticError

    handle = logits.grad_fn.next_functions[1][0].register_prehook(fail)
    with pytest.raises(ArithmeticError):
        logits.sum().backward()
    handle.remove()
    whole = model.eval()(SMALL)
    assert torch.equal(whole, model.net(SMALL)) and not hooked(model)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize(
    "name", ["timm resnet18", "timm convnext", "timm vit", "timm densenet", "hugging face vit"]
)
def test_the_libraries_own_checkpointing(name, reentrant):
    x = inputs(name, 4)

    def found(saving):
        network = made(name)
        if saving and "timm" in name:
            vision.timm.layers.set_reentrant_ckpt(reentrant)
            network.set_grad_checkpointing(True)
        elif saving:
            network.gradient_checkpointing_enable({"use_reentrant": reentrant})
        points = nm.MixPoints(network, ["", *POINTS[name]])
        return gradients(lambda: nm.batch_loss(points, (x, Y), NOISYMIX, nm.Rng(5)), network)

    equal(found(True), found(False))


# -- compiled, in parallel, in lower precision ----------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """Let torch.compile trace without generating code; return what it compiles."""
    seen, compile_ = [], torch.compile

    def traced(module, **options):
        seen.append(module)
        return compile_(module, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", traced)
    return seen


def steps(objective, network):
    return [gradients(lambda t=t: objective(SMALL, Y, t), network) for t in range(4)]


@pytest.mark.parametrize("what", ["network", "in place", "points", "objective"])
def test_compiled_networks_mix_anew_in_every_step(compiled, what):
    scheme = replace(NOISYMIX, points=(0, 1, 2))
    network = small()
    expected = steps(nm.NoisyMixLoss(nm.MixPoints(network, NAMES), scheme), network)
    network.zero_grad()
    inner = network
    if what == "network":
        inner = torch.compile(network)
        inner(SMALL)  # compiled without hooks
    elif what == "in place":
        inner.compile(backend="aot_eager")
    points = nm.MixPoints(inner, NAMES)
    points = torch.compile(points) if what == "points" else points
    objective = nm.NoisyMixLoss(points, scheme)
    objective = torch.compile(objective) if what == "objective" else objective
    compiled.clear()
    for some, others in zip(steps(objective, network), expected, strict=True):
        equal(some, others)
    if what != "network":
        assert [network[0], network[1], network[4]] == [m for m in compiled if m in network]
    assert not hooked(network)


SCRIPT = Path(parallel.__file__)


@pytest.mark.parametrize("where", ["inside", "outside", "static"])
def test_two_processes_have_the_mean_gradient(tmp_path, where):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(2):
        environ = os.environ | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": "2", "RANK": str(rank),
            "PYTHONPATH": os.pathsep.join(map(str, SCRIPT.parents[1:3])),
        }  # fmt: skip
        command = [sys.executable, str(SCRIPT), str(tmp_path), where]
        started.append(subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True))
    for process in started:
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 0, error
    network = small()
    points = nm.MixPoints(network, NAMES)
    mean = [torch.zeros_like(p) for p in network.parameters()]
    for rank in range(2):
        rng = nm.Rng(9).fold(0, rank)
        part = SMALL[2 * rank : 2 * rank + 2], Y[2 * rank : 2 * rank + 2]
        found = gradients(lambda b=part, r=rng: nm.batch_loss(points, b, NOISYMIX, r), network)
        mean = [m + g / 2 for m, g in zip(mean, found[1:], strict=True)]
    equal(torch.load(tmp_path / "gradients.pt"), mean)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_lower_precision(kind):
    """The gradient of fp16 comes back from its scale."""
    network = small()
    objective = nm.NoisyMixLoss(nm.MixPoints(network, NAMES), NOISYMIX)
    expected = steps(objective, network)[0]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    before = [p.detach().clone() for p in network.parameters()]
    scaler = torch.amp.GradScaler("cpu", enabled=kind is torch.float16, init_scale=1024)
    optimiser.zero_grad()
    with torch.autocast("cpu", kind):
        parts = objective(SMALL, Y, 0)
    assert parts.total.dtype == torch.float32 and parts.logits.dtype == kind
    scaler.scale(parts.total).backward()
    scaler.unscale_(optimiser)
    for p, full in zip(network.parameters(), expected[1:], strict=True):
        assert float((p.grad - full).norm()) < 0.1 * float(full.norm()) + 1e-3
    scaler.step(optimiser)
    moved = [bool((p != q).any()) for p, q in zip(network.parameters(), before, strict=True)]
    assert any(moved) and all(bool(torch.isfinite(p).all()) for p in network.parameters())


# -- a module for loops of one's own --------------------------------------------------------------


def test_steps_draw_anew_and_a_resumed_loop_goes_on():
    network = small()
    objective = nm.NoisyMixLoss(nm.MixPoints(network, NAMES), NOISYMIX, seed=4)
    losses = [float(objective(SMALL, Y).total.detach()) for _ in range(3)]
    assert len(set(losses)) == 3 and objective.step == 3
    rng = nm.Rng(4).fold(1, 0)
    assert losses[1] == float(nm.batch_loss(objective.model, (SMALL, Y), NOISYMIX, rng).total)
    saved = copy.deepcopy(objective.state_dict())
    later = [float(objective(SMALL, Y).total.detach()) for _ in range(2)]
    resumed = nm.NoisyMixLoss(nm.MixPoints(small(), NAMES), NOISYMIX, seed=4)
    resumed.load_state_dict(saved)
    assert later == [float(resumed(SMALL, Y).total.detach()) for _ in range(2)]
    assert later[0] == float(resumed(SMALL, Y, step=3).total.detach()) and resumed.step == 4
    with torch.no_grad():  # a look at the loss counts no step
        resumed.eval()(SMALL, Y)
    assert resumed.step == 4


def test_fit_trains_and_resumes_it_bit_for_bit(tmp_path, compiled):
    class Drops(nn.Module):
        """Draws from PyTorch's global state as timm's DropPath does."""

        def forward(self, x):
            return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(0.8) if self.training else x

    def points():
        network = small()
        network[1].append(Drops())
        return nm.MixPoints(network, ["", "0.2", "1"], 0.5, 0.5)

    recipe = Recipe(epochs=2, batch_size=24, validation=12)
    whole = quick(points(), recipe=recipe)
    seen = []
    options = {"recipe": recipe, "out": tmp_path, "checkpoint_seconds": 0, "log_every": 1}
    with pytest.raises(nm.training.errors.TrainingInterrupted):
        quick(points(), on_row=seen.append, stop=lambda: len(seen) == 3, **options)
    resumed = quick(points(), **options)
    assert same(whole.model.state_dict(), resumed.model.state_dict())
    # The weights are the network's own.
    plain = small()
    plain[1].append(Drops())
    plain.load_state_dict(nm.load_weights(tmp_path))
    for changed in ({"compile": True}, {"recipe": replace(recipe, precision="bf16")}):
        run = quick(points(), **{"recipe": recipe} | changed)
        assert run.epochs[-1]["loss"] == pytest.approx(whole.epochs[-1]["loss"], rel=0.05)
    assert compiled


# -- wrong calls ----------------------------------------------------------------------------------


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared, self.last = nn.Linear(3, 3), nn.Linear(3, 5)

    def forward(self, x):
        return self.last(self.shared(self.shared(x)))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.part, self.last, self.unused = nn.Linear(3, 3), nn.Linear(3, 5), nn.Linear(3, 3)
        self.part.forward = lambda x: (x, x)
        self.flipped = nn.Identity()

    def forward(self, x):
        return self.last(self.flipped(self.part(x)[0].T).T)


class Records(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.net, self.output = nn.Linear(3, 5), output

    def forward(self, x):
        return self.output(self.net(x))


ROWS = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("network", "name", "message"),
    [
        (Twice(), "shared", "'shared' runs more than once in a pass.*choose"),
        (Pair(), "part", "'part' returns a tuple of 2, but.*choose"),
        (Pair(), "flipped", r"'flipped' returns torch.float32 of shape \(3, 4\)"),
        (Pair(), "unused", "'unused' does not run in a pass of Pair"),
        (small(), "O.0", "no module 'O.0' to mix at; did you mean .*'0.0'"),
        (small(), "layer7", "no module 'layer7' to mix at; nm.suggest_points"),
    ],
)
def test_points_that_are_none_are_named(network, name, message):
    x = SMALL if isinstance(network, nn.Sequential) else ROWS
    with pytest.raises(ValueError, match=message):
        nm.MixPoints(network, [name])(x, point=0, change=lambda h: h)
    assert not hooked(network)


def test_suggestions_leave_out_what_is_no_point():
    assert nm.suggest_points(Twice(), ROWS) == ("",)
    assert nm.suggest_points(Pair(), ROWS) == ("",)


def test_logits_in_records_are_understood_everywhere():
    plain, x = Records(lambda z: z), ROWS
    data = torch.rand(4, 3, 1, 1, generator=nm.Rng(0).torch())
    wraps = [
        lambda z: {"loss": None, "logits": z},
        lambda z: vision.transformers.modeling_outputs.ImageClassifierOutput(logits=z),
    ]
    for wrap in wraps:
        record = Records(wrap)
        record.load_state_dict(plain.state_dict())
        losses = [
            nm.batch_loss(make(m), (x, Y), replace(NOISYMIX, points=(0,)), nm.Rng(0)).total
            for m in (plain, record)
            for make in (nm.MixPoints, lambda m: nm.StagedModel([m]))
        ]
        assert len({float(v.detach()) for v in losses}) == 1
        flat = [nn.Sequential(nn.Flatten(), m) for m in (plain, record)]
        assert torch.equal(*(nm.predict(m, data) for m in flat))


@pytest.mark.parametrize(
    ("output", "message"),
    [(lambda z: (z, z), "a tuple of 2 entries, not logits"), (lambda z: {"a": z}, "a dict of a")],
)
def test_outputs_without_logits_are_named(output, message):
    network = Records(output)
    with pytest.raises(TypeError, match=message):
        nm.MixPoints(network)(ROWS)
    with pytest.raises(TypeError, match=message):
        nm.predict(nn.Sequential(nn.Flatten(), network), ROWS.view(4, 3, 1, 1))


POINTED = nm.MixPoints(small(), NAMES, MEAN, STD)


@pytest.mark.parametrize(
    ("model", "batch", "error", "message"),
    [
        (POINTED, (2 * SMALL - 1, Y), ValueError, "pass images before the normalisation"),
        (POINTED, (SMALL, Y.float()), TypeError, r"labels must be integers.*\.long\(\)"),
        (small().requires_grad_(False), (SMALL, Y), ValueError, "all 10 parameters .* frozen"),
        (small().eval(), (SMALL, Y), ValueError, r"in evaluation mode; use model.train\(\)"),
    ],
)
def test_nothing_is_trained_wrongly(model, batch, error, message):
    points = model if model is POINTED else nm.MixPoints(model, NAMES)
    for scheme in (NOISYMIX, nm.Scheme("baseline")):
        with pytest.raises(error, match=message):
            nm.NoisyMixLoss(points, scheme)(*batch)


def test_mixers_of_images_need_the_input():
    scheme = nm.Scheme("cutmix", mix=nm.CutMix(1.0))
    with pytest.raises(ValueError, match=r"use MixPoints\(model, \['', '0'\]\)"):
        nm.NoisyMixLoss(nm.MixPoints(small(), ["0"]), scheme)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nm.MixPoints(3), TypeError, "must be a torch module, got 3"),
        (lambda: nm.MixPoints(small(), []), ValueError, "at least one mix point"),
        (lambda: nm.MixPoints(small(), ["", "0", "0"]), ValueError, "'0' is named twice"),
        (lambda: nm.MixPoints(small(), mean=0.5), ValueError, "std is missing"),
        (lambda: nm.suggest_points("resnet18"), TypeError, "torch module, got 'resnet18'"),
        (lambda: nm.suggest_points(nn.Sequential(nn.Flatten(), nn.LazyLinear(2), nn.Fold(2, 1))),
         ValueError, r"none of the inputs tried .*suggest_points\(model, x\)"),
        (lambda: nm.NoisyMixLoss(small(), NOISYMIX), TypeError, r"MixPoints\(model"),
        (lambda: nm.NoisyMixLoss(POINTED, replace(NOISYMIX, points=(3,))), ValueError,
         "points 0 to 2"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
