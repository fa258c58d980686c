"""The image networks: sizes, stages, initial values, and a second implementation to agree with."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nmlib as nm
from nmlib.models import MODELS, build_model, dropout_stream, preact_resnet, wide_resnet

SMALL = {
    "preact": dict(name="preact_resnet18", widths=(4, 6, 8, 10), blocks=(2, 1, 1, 2)),
    "preact standard": dict(
        name="preact_resnet18", widths=(4, 6, 8, 10), blocks=(2, 1, 1, 2), skip="standard"
    ),
    "wide": dict(name="wrn28_2", depth=10, widen=1),
}


def images(count=4, side=32, seed=0):
    return torch.from_numpy(nm.Rng(seed).numpy().random((count, 3, side, side), dtype="float32"))


def run(model, x, **where):
    """One pass; the masks of dropout are the same whenever the whole network is passed once."""
    with dropout_stream(model, nm.Rng(0)):
        return model(x, **where)


# -- sizes ----------------------------------------------------------------------------------------


def conv(a, b, side, bias=False):
    return a * b * side * side + (b if bias else 0)


def norm(c):
    return 2 * c


def preact_count(widths, blocks, classes, final):
    total, before = conv(3, widths[0], 3), widths[0]
    for k, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for i in range(count):
            total += norm(before) + conv(before, width, 3) + norm(width) + conv(width, width, 3)
            if i == 0 and (k or before != width):
                total += conv(before, width, 1)
            before = width
    return total + (norm(before) if final else 0) + before * classes + classes


def wide_count(depth, k, classes, bias):
    total, before = conv(3, 16, 3, bias), 16
    for width in (16 * k, 32 * k, 64 * k):
        for i in range((depth - 4) // 6):
            total += norm(before) + conv(before, width, 3, bias)
            total += norm(width) + conv(width, width, 3, bias)
            if i == 0:
                total += conv(before, width, 1, bias)
            before = width
    return total + norm(before) + before * classes + classes


EIGHTEEN = (64, 128, 256, 512), (2, 2, 2, 2)
LITTLE = (16, 24, 48, 96), (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("preact_resnet18", {}, preact_count(*EIGHTEEN, 10, False)),
        ("preact_resnet18", {"skip": "standard"}, preact_count(*EIGHTEEN, 10, True)),
        ("preact_resnet_small", {}, preact_count(*LITTLE, 10, False)),
        ("wrn28_2", {}, wide_count(28, 2, 10, True)),
        ("wrn28_4", {}, wide_count(28, 4, 10, True)),
        ("wrn28_4", {"conv_bias": False}, wide_count(28, 4, 10, False)),
    ],
)
def test_parameter_counts(name, options, expected):
    count = sum(p.numel() for p in build_model(name, **options).parameters())
    assert count == expected


def test_more_classes_widen_the_last_layer_only():
    model = build_model("preact_resnet_small", 100)
    assert sum(p.numel() for p in model.parameters()) == preact_count(*LITTLE, 100, False)
    assert model.stages[3][-1].weight.shape == (100, 96)


def test_counts_are_those_in_print():
    """11.17 million (PreActResNet-18), 5.8 and 1.5 million (Zagoruyko's WRN-28-4 and 28-2)."""
    assert preact_count(*EIGHTEEN, 10, False) == 11_171_146
    assert round(wide_count(28, 4, 10, False) / 1e6, 1) == 5.8
    assert round(wide_count(28, 2, 10, False) / 1e6, 1) == 1.5


def multiply_adds(model, x):
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel() if output.ndim == 4 else 0

    hooks = [m.register_forward_hook(count) for m in model.modules() if hasattr(m, "stride")]
    model.eval()(x)
    for hook in hooks:
        hook.remove()
    return total


def test_the_small_net_costs_about_ten_million_multiplications():
    k = 1024
    expected = 27 * 16 * k + 2 * 144 * 16 * k
    for a, b, pixels in [(16, 24, 256), (24, 48, 64), (48, 96, 16)]:
        expected += (9 * a + 9 * b + a) * b * pixels
    assert multiply_adds(build_model("preact_resnet_small"), images(1)) == expected
    assert 9e6 < expected < 12e6


# -- stages ---------------------------------------------------------------------------------------

SHAPES = {
    "preact_resnet18": [(3, 32), (64, 32), (128, 16), (256, 8)],
    "preact_resnet_small": [(3, 32), (16, 32), (24, 16), (48, 8)],
    "wrn28_2": [(3, 32), (32, 32), (64, 16), (128, 8)],
    "wrn28_4": [(3, 32), (64, 32), (128, 16), (256, 8)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_stage_law_of_every_model(name):
    x = images(2)
    model = build_model(name, 7)
    for training in (True, False):
        model.train(training)
        whole = run(model, x).detach()
        assert whole.shape == (2, 7) and bool(torch.isfinite(whole).all())
        for k, (channels, side) in enumerate(SHAPES[name]):
            with dropout_stream(model, nm.Rng(0)):
                h = model(x, stop=k)
                assert h.shape == (2, channels, side, side)
                assert torch.equal(model(h, start=k), whole)
    assert model.num_points == 4
    assert torch.equal(model(x, stop=0), x * 2 - 1)


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(SHAPES)))
def test_networks_with_public_names_have_their_layers_as_points(name):
    model, x = build_model(name, 7).eval(), images(2)
    inner = [f"layer{k}" for k in range(1, model.num_points)]
    assert model.points == ("", *inner)
    assert not hasattr(model.model, f"layer{model.num_points + 1}")
    seen = {}
    for k, layer in enumerate(inner, 1):
        handle = model.model.get_submodule(layer).register_forward_hook(
            lambda module, given, h, k=k: seen.setdefault(k, h)
        )
        model(x)
        handle.remove()
        assert torch.equal(model(x, point=k, change=lambda h, k=k: seen[k]), model(x))


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize("kind", ["batch", "dual", "dubin"])
@pytest.mark.parametrize("training", [True, False])
def test_stage_law_of_every_option(case, kind, training):
    model = build_model(**SMALL[case], norm=kind).train(training)
    x = images(6)
    routes = (False, False, True)
    with nm.models.adversarial_norm(model, routes):
        whole = run(model, x)
        for k in range(4):
            with dropout_stream(model, nm.Rng(0)):
                assert torch.equal(model(model(x, stop=k), start=k), whole)


def test_other_image_sides():
    for case in SMALL.values():
        assert build_model(**case).eval()(images(2, side=48)).shape == (2, 10)


# -- a second implementation ----------------------------------------------------------------------


class Plain:
    """The networks written out with functions, reading one parameter after the other."""

    def __init__(self, model, training):
        self.values = [v.double() for v in model.state_dict().values() if v.ndim]
        self.training = training

    def take(self, count=1):
        taken, self.values = self.values[:count], self.values[count:]
        return taken[0] if count == 1 else taken

    def norm(self, x):
        weight, bias, mean, var = self.take(4)
        if self.training:
            mean = x.mean((0, 2, 3))
            var = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
        scaled = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return scaled * weight[:, None, None] + bias[:, None, None]

    def conv(self, x, stride=1, bias=False):
        weight, add = self.take(2) if bias else (self.take(), None)
        return F.conv2d(x, weight, add, stride, weight.shape[-1] // 2)

    def head(self, x):
        weight, bias = self.take(2)
        assert self.values == []
        return x.mean((2, 3)) @ weight.T + bias


def plain_preact(model, x, blocks, skip, training):
    net = Plain(model, training)
    h = net.conv(2 * x.double() - 1)
    for k, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if k and not i else 1
            active = net.norm(h).relu()
            inner = net.conv(active, stride)
            inner = net.conv(net.norm(inner).relu())
            if stride == 2:
                h = inner + net.conv(active, 2)
            else:
                h = inner + (active if skip == "released" else h)
    if skip == "standard":
        h = net.norm(h).relu()
    return net.head(h)


def plain_wide(model, x, depth, training):
    net = Plain(model, training)
    h = net.conv(2 * x.double() - 1, bias=True)
    for k in range(3):
        for i in range((depth - 4) // 6):
            stride = 2 if k and not i else 1
            inner = net.conv(net.norm(h).relu(), bias=True)
            inner = net.conv(net.norm(inner).relu(), stride, bias=True)
            wider = inner.shape[1] != h.shape[1]
            h = inner + (net.conv(h, stride, bias=True) if wider else h)
    return net.head(net.norm(h).relu())


def unsettled(model, seed=0):
    """Weights and statistics of normalisation away from 1 and 0, so that mistakes show."""
    draw = nm.Rng(seed).numpy()
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            low = 0.5 if "var" in name or "weight" in name else -0.5
            value.copy_(torch.from_numpy(draw.uniform(low, low + 1, value.shape)))
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("skip", ["released", "standard"])
def test_preact_equals_a_second_implementation(skip, training):
    blocks = (2, 1, 2)
    model = unsettled(preact_resnet(5, widths=(4, 6, 8), blocks=blocks, skip=skip, seed=1))
    x = images(5)
    expected = plain_preact(model, x, blocks, skip, training)
    assert torch.allclose(model.train(training)(x).double(), expected, atol=2e-5)
    if skip == "released":  # without a final norm, its weights fit the other skip path as well
        assert not torch.allclose(
            plain_preact(model, x, blocks, "raw", training), expected, atol=1e-2
        )


@pytest.mark.parametrize("training", [True, False])
def test_wide_equals_a_second_implementation(training):
    model = unsettled(wide_resnet(5, depth=16, widen=2, dropout=0, seed=1))
    x = images(5)
    expected = plain_wide(model, x, 16, training)
    assert torch.allclose(model.train(training)(x).double(), expected, atol=2e-5)


def test_dropout_lies_between_the_convolutions_of_a_block():
    model = build_model("wrn28_2", depth=10, widen=1)
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda m, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
    run(model, images(2))
    places = [n.removesuffix(".dropout") for n in seen if n.endswith(".dropout")]
    assert len(places) == 3
    for block in places:
        dropped_from, dropped = seen[f"{block}.dropout"]
        assert dropped_from is seen[f"{block}.conv1"][1]
        assert dropped is seen[f"{block}.norm2"][0]
        assert model.get_submodule(f"{block}.dropout").p == 0.1
        share = (dropped == 0).float().mean()
        assert float(share) == pytest.approx(0.1, abs=0.02)


def test_the_last_norm_of_the_wide_net_follows_the_last_batch():
    last = build_model("wrn28_2").stages[3][0]
    assert last.momentum == 0.9
    momenta = Counter(
        m.momentum for m in build_model("wrn28_2").modules() if hasattr(m, "momentum")
    )
    assert momenta == {0.1: 24, 0.9: 1}
    assert build_model("wrn28_2", last_momentum=0.1).stages[3][0].momentum == 0.1


# -- initial values -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_fixes_the_weights(name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a, b, c = (build_model(name, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert all(torch.equal(a[k], b[k]) for k in a)
    drawn = [k for k, v in a.items() if v.ndim > 1]
    assert not any(torch.equal(a[k], c[k]) for k in drawn)


def test_initial_values_follow_pytorchs_law():
    model = build_model("wrn28_4", seed=3)
    seen = []
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for values in (module.weight, module.bias):
                assert values.requires_grad and values.device.type == "cpu"
                assert float(values.detach().abs().max()) <= bound * (1 + 1e-6)
                seen.append(values.detach().flatten() / bound)
        elif isinstance(module, torch.nn.BatchNorm2d):
            assert bool((module.weight == 1).all() and (module.bias == 0).all())
            assert bool((module.running_mean == 0).all() and (module.running_var == 1).all())
            assert int(module.num_batches_tracked) == 0
    values = torch.cat(seen)
    # A uniform law on (-1, 1), and no tensor that repeats another.
    assert float(values.mean()) == pytest.approx(0, abs=2e-3)
    assert float(values.std()) == pytest.approx(1 / math.sqrt(3), abs=2e-3)
    assert len({float(v[0]) for v in seen}) == len(seen)


def test_options_keep_the_other_weights():
    """A comparison of two variants starts both from the same place."""
    with_bias = build_model("wrn28_2", depth=10).state_dict()
    without = build_model("wrn28_2", depth=10, conv_bias=False).state_dict()
    assert set(without) < set(with_bias)
    assert all(torch.equal(v, with_bias[k]) for k, v in without.items())
    released = build_model("preact_resnet_small").state_dict()
    standard = build_model("preact_resnet_small", skip="standard").state_dict()
    shared = [k for k in released if k in standard and k[:8] != "stages.3"]
    assert len(shared) > 20
    assert all(torch.equal(released[k], standard[k]) for k in shared)


def test_weights_are_fixed_for_good():
    """A change of these numbers is a change of all results: say so in the changelog."""
    for name, expected in GOLDEN.items():
        values = list(build_model(name, seed=0).parameters())
        found = [float(values[i].detach().flatten()[-1]) for i in (0, -2, -1)]
        assert found == pytest.approx(expected, abs=1e-7)


GOLDEN = {
    "preact_resnet_small": [-0.18002269, 0.09558067, 0.02756748],
    "wrn28_2": [-0.18002269, 0.02988231, -0.01124845],
}


# -- layouts, precision, compilation --------------------------------------------------------------


@pytest.mark.parametrize("case", SMALL)
def test_channels_last(case):
    model = build_model(**SMALL[case]).train()
    x = images()
    expected = run(model, x)
    other = build_model(**SMALL[case]).train().to(memory_format=torch.channels_last)
    x_last = x.contiguous(memory_format=torch.channels_last)
    for k in range(4):
        assert run(other, x_last, stop=k).is_contiguous(memory_format=torch.channels_last)
    if "wide" in case:  # a mask is drawn in memory order, so it depends on the layout
        model.eval(), other.eval()
        expected = model(x)
        other.load_state_dict(model.state_dict())
    assert torch.allclose(run(other, x_last), expected, atol=1e-4)


@pytest.mark.parametrize("case", SMALL)
def test_autocast(case):
    model = build_model(**SMALL[case]).train()
    x = images(8, side=16)
    expected = run(model, x).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = run(model, x)
        for k in range(4):
            with dropout_stream(model, nm.Rng(0)):
                assert torch.equal(model(model(x, stop=k), start=k), got)
    assert got.dtype == torch.bfloat16
    assert float((got.detach() - expected).abs().max()) < 0.1 * float(expected.abs().max()) + 0.05
    F.cross_entropy(got.float(), torch.arange(8)).backward()
    for p in model.parameters():
        assert p.grad is not None and p.grad.dtype == torch.float32
        assert bool(torch.isfinite(p.grad).all())


def test_inputs_are_not_changed():
    for case in SMALL.values():
        x = images()
        model = build_model(**case)
        before = x.clone()
        run(model, x)
        h = run(model, x, stop=1)
        kept = h.detach().clone()
        run(model, h, start=1)
        assert torch.equal(x, before) and torch.equal(h, kept)


def test_every_scheme_of_the_objective_runs_on_them():
    x, y = images(6), torch.arange(6)
    scheme = nm.Scheme("nfm", mix=nm.Mixup(), noise=nm.Noise(0.4, 0.2), points=(0, 1, 2, 3))
    for case in SMALL.values():
        model = build_model(**case)
        totals = [nm.batch_loss(model, (x, y), scheme, nm.Rng(s)).total.detach() for s in range(8)]
        assert bool(torch.isfinite(torch.stack(totals)).all())
        assert len({float(t) for t in totals}) == 8
        again = nm.batch_loss(model, (x, y), scheme, nm.Rng(7)).total.detach()
        assert float(again) == float(totals[7])


# -- wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build_model("wrn28-4"), ValueError, "unknown model .*did you mean 'wrn28_4'"),
        (lambda: build_model("wrn28_4", skip="released"), TypeError, "no option 'skip'.*dropout"),
        (lambda: build_model("preact_resnet18", dropout=0.1), TypeError, "its options are blocks"),
        (lambda: build_model("preact_resnet18", skip="raw"), ValueError, "unknown skip 'raw'"),
        (lambda: build_model("preact_resnet18", norm="dual_in"), ValueError, "unknown norm"),
        (lambda: build_model("preact_resnet18", 1), ValueError, "num_classes must be .*got 1"),
        (lambda: build_model("wrn28_2", 0), ValueError, "num_classes must be .*got 0"),
        (lambda: build_model("preact_resnet18", widths=(4, 8)), ValueError, r"widths=\(4, 8\)"),
        (lambda: wide_resnet(depth=20), ValueError, r"6n \+ 4 .*got 20"),
        (lambda: wide_resnet(widen=0), ValueError, "widen must be .*got 0"),
        (lambda: wide_resnet(dropout=1.0), ValueError, "dropout must lie in .*got 1.0"),
        (lambda: wide_resnet(last_momentum=0), ValueError, "last_momentum must lie in"),
        (lambda: build_model("wrn28_2", std=0.0), ValueError, "std must be finite and > 0"),
        (lambda: build_model("wrn28_2", seed=-1), ValueError, "seed must be an integer >= 0"),
    ],
)
def test_wrong_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
