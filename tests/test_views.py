"""AugMix against Pillow, step by step and law by law; AugMax against a loop written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import augmix as oracle
from PIL import Image
from rounding import same_but_few
from torch import nn
from torch.nn import functional

import nmlib as nm
from nmlib import load
from nmlib.views import (
    OPERATIONS,
    AugMax,
    AugMix,
    AugMixPlan,
    _chains,
    operation_parameter,
    run_chains,
)


def photographs(count=12, height=32, width=32):
    """Smooth pictures with some noise, uint8 (B, H, W, 3)."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = rng.uniform(1, 9, (count, 1, 1, 3, 2))
    phase = rng.uniform(0, 6, (count, 1, 1, 3))
    field = np.sin(waves[..., 0] * y[..., None] + waves[..., 1] * x[..., None] + phase)
    noisy = 128 + 90 * field + rng.normal(0, 8, field.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def batch(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255


# -- the plan -------------------------------------------------------------------------------------


def test_the_laws_of_the_plan():
    """Uniform operations and levels, fair signs, depths 1 to 3, Dirichlet and Beta weights."""
    plan = AugMix(severity=3, width=3, copies=2).draw(4000, nm.Rng(7))
    used = plan.operation[plan.operation >= 0]
    expected = len(used) / 9
    counts = np.bincount(used, minlength=9)
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # chi-squared, 8 degrees, 0.1 %
    depths = np.bincount(plan.depth.ravel(), minlength=4)
    assert depths[0] == 0 and abs(depths[1:] / 24000 - 1 / 3).max() < 0.01
    assert ((plan.operation >= 0) == (np.arange(3) < plan.depth[..., None])).all()
    level = np.sort(plan.level.ravel())
    assert level[0] >= 0.1 and level[-1] <= 3
    uniform = np.linspace(0.1, 3, len(level))
    assert abs(level - uniform).max() < 2.9 * 1.95 / np.sqrt(len(level))  # Kolmogorov, 0.1 %
    assert set(np.unique(plan.sign)) == {-1, 1} and abs(plan.sign.mean()) < 0.015
    np.testing.assert_allclose(plan.weights.sum(-1), 1)
    assert abs(plan.weights.var() - 1 / 18) < 0.002  # Dirichlet(1, 1, 1): Var = 2 / 36
    assert abs(plan.mix.mean() - 0.5) < 0.02 and abs(plan.mix.var() - 1 / 12) < 0.004
    # Own draws for each sample, view and chain.
    assert len(np.unique(plan.mix)) == 8000 and len(np.unique(plan.level)) == plan.level.size


def test_alpha_depth_and_width_are_used():
    sharp = AugMix(alpha=0.1, depth=2, width=5, copies=1).draw(3000, nm.Rng(0))
    assert sharp.operation.shape == (1, 3000, 5, 2) and (sharp.depth == 2).all()
    assert abs(sharp.mix.var() - 0.25 / 1.2) < 0.01  # Beta(a, a): 1 / (4 (2a + 1))
    a = 0.1
    assert abs(sharp.weights.var() - (1 / 5) * (4 / 5) / (5 * a + 1)) < 0.005


def test_the_plan_is_keyed():
    first, again, other = (AugMix().draw(8, nm.Rng(s)) for s in (1, 1, 2))
    for name in ("operation", "level", "sign", "weights", "mix"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert (first.level != other.level).any()


@pytest.mark.parametrize("size", [(32, 32), (20, 45)], ids=str)
def test_parameters_follow_the_released_laws(size):
    height, width = size
    levels = [0.1, 0.33, 1, 1.25, 2.4999, 2.5, 2.9999, 5, 9.999, *np.linspace(0.1, 10, 200)]
    for name in OPERATIONS:
        for sign in (1, -1):
            found = operation_parameter(name, np.array(levels), sign, height, width)
            wanted = [oracle.value_at(name, v, sign, (width, height)) or 0 for v in levels]
            assert (found == wanted).all(), name


def test_operations_are_those_that_do_not_overlap():
    assert oracle.NAMES == OPERATIONS
    assert not {"color", "contrast", "brightness", "sharpness"} & set(OPERATIONS)


def test_a_plan_by_hand_says_what_it_does():
    plan = AugMixPlan.same(2, [("rotate", "solarize"), (), ("translate_y",)], level=2.5, sign=-1)
    assert plan.chains(0, 1, height=48) == (
        (("rotate", -7.0), ("solarize", 192.0)),
        (),
        (("translate_y", -4.0),),
    )
    assert plan.depth[0, 0].tolist() == [2, 0, 1]
    assert plan.weights[0, 0].tolist() == [1 / 3] * 3


def test_a_level_too_low_to_solarize_leaves_the_image():
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(2, 3, 1, 1)
    x = x.float() / 255
    for level, changed in ((0.03, False), (0.5, True)):
        plan = AugMixPlan.same(2, [("solarize",)], level=level, mix=1.0)
        same = torch.allclose(nm.AugMix().apply(x, plan)[1], x, atol=1e-6)
        assert same != changed


# -- AugMix ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (24, 41)], ids=str)
def test_every_step_of_every_chain_equals_pillow(size):
    """From the same bytes each operation is Pillow's to one grey level, in its random place."""
    images = photographs(16, *size)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    plan = AugMix(severity=5, copies=2).draw(len(images), nm.Rng(11))
    state = np.broadcast_to(images[None, :, None], (2, 16, 3, *images.shape[1:]))
    seen = set()
    for t in range(3):
        upto = replace(plan, operation=np.where(np.arange(3) <= t, plan.operation, -1))
        after = run_chains(pixels, upto).permute(0, 2, 3, 1).numpy().reshape(state.shape)
        for place in np.ndindex(2, 16, 3):
            step = (*place, slice(t, t + 1))
            pillow = oracle.run_chain(
                Image.fromarray(state[place]),
                plan.operation[step],
                plan.level[step],
                plan.sign[step],
            )
            assert np.abs(np.asarray(pillow).astype(int) - after[place]).max() <= 1
            seen.add(int(plan.operation[step][0]))
        state = after
    assert seen == {-1, *range(9)}


def test_the_way_of_an_accelerator_agrees(monkeypatch):
    """There all that moves pixels is one `affine` by matrices; here it is run on a CPU."""
    x = torch.from_numpy(photographs(60, 24, 41)).permute(0, 3, 1, 2).contiguous()
    plan = AugMix(severity=5, depth=1, width=4).draw(60, nm.Rng(3))
    here = run_chains(x, plan).int()

    def by_matrices(values, ends, x):
        made = [_chains._matrices(v, e, (24, 41)) for v, e in zip(values, ends, strict=True)]
        return [torch.from_numpy(m) for m in made]

    monkeypatch.setattr(_chains, "_positions", by_matrices)
    there = run_chains(x, plan).int()
    assert (here - there).abs().max() <= 1
    assert (here != there).float().mean() < 0.001


@pytest.mark.parametrize("depth", [1, -1])
def test_how_much_of_a_chain_is_not_pillows(depth):
    """The shares that `AugMix` states, with room for chance."""
    images = np.concatenate([photographs(80), load("fashion-mini", "test").images[:40].numpy()])
    plan = AugMix(severity=3, depth=depth).draw(len(images), nm.Rng(1))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    ours = run_chains(pixels, plan).permute(0, 2, 3, 1).numpy().astype(int)
    theirs = [
        np.asarray(
            oracle.run_chain(
                Image.fromarray(images[place[1]]), plan.operation[place], plan.level[place],
                plan.sign[place],
            )
        )
        for place in np.ndindex(2, len(images), 3)
    ]  # fmt: skip
    apart = np.abs(ours - np.stack(theirs))
    if depth == 1:
        assert apart.max() <= 1 and (apart > 0).mean() < 2 / 3000
    else:
        assert (apart > 0).mean() < 2 / 1500 and (apart > 1).mean() < 3 / 30000


def test_views_equal_a_loop_over_pillow_images():
    """Whole views: a grey level of an early step may be amplified by a later one, seldom."""
    images = photographs(32)
    plan = AugMix().draw(32, nm.Rng(4))
    ours = AugMix().apply(batch(images), plan)[1:].permute(0, 1, 3, 4, 2).numpy()
    levels = 255 * np.abs(ours - oracle.augmix(images, plan))
    assert levels.mean() < 0.1
    assert (levels > 1).mean() < 0.01


def test_the_mixture_is_taken_in_floating_point_and_commutes_with_the_normalisation():
    images = photographs(8)
    x, plan = batch(images), AugMix().draw(8, nm.Rng(2))
    ends = AugMix().chains(x, plan).double()
    assert torch.equal(
        ends.flatten(0, 2), run_chains(torch.from_numpy(images).permute(0, 3, 1, 2), plan).double()
    )
    weights, mix = torch.from_numpy(plan.weights), torch.from_numpy(plan.mix)

    def mixed(normalise):
        chains = torch.einsum("abi,abichw->abchw", weights, normalise(ends / 255))
        m = mix.view(2, -1, 1, 1, 1)
        return (1 - m) * normalise(x.double()) + m * chains

    views = AugMix().apply(x, plan)[1:].double()
    assert (views - mixed(lambda v: v)).abs().max() < 1e-6
    after = mixed(lambda v: (v - 0.5) / 0.5)
    assert ((views - 0.5) / 0.5 - after).abs().max() < 2e-6
    # Not rounded: most values are no multiples of 1 / 255.
    assert ((views * 255 - (views * 255).round()).abs() > 0.01).float().mean() > 0.8


def test_the_ends_of_the_mixture():
    x = batch(photographs(4))
    clean = AugMix().apply(x, AugMixPlan.same(4, [("equalize",)], mix=0))
    assert torch.equal(clean[0], x) and torch.equal(clean[1], x)
    nothing = AugMix().apply(x, AugMixPlan.same(4, [()], mix=1))
    assert (nothing[1] - x).abs().max() < 1e-6
    moved = AugMix().apply(x, AugMixPlan.same(4, [("translate_x",)], level=3, sign=-1))[1]
    assert torch.equal(moved[..., 3:].mul(255).round(), x[..., :-3].mul(255).round())
    assert (moved[..., :3] == 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_and_threads_change_nothing(monkeypatch, threads):
    x, rng = batch(photographs(30)), nm.Rng(9)
    before = torch.get_num_threads()
    whole = AugMix().make(x, None, None, rng)
    try:
        torch.set_num_threads(threads)
        monkeypatch.setattr(_chains, "_CPU_PIXELS", 7 * 1024)
        same_but_few(AugMix().make(x, None, None, rng), whole)
    finally:
        torch.set_num_threads(before)


def test_inputs_are_left_alone_in_every_mode():
    x = batch(photographs(40)).requires_grad_()
    plan = AugMix().draw(40, nm.Rng(1))
    before = x.detach().clone()
    kept = {k: np.array(getattr(plan, k)) for k in ("operation", "level", "sign", "weights", "mix")}
    views = AugMix().apply(x, plan)
    assert torch.equal(x, before) and not views.requires_grad
    assert all((getattr(plan, k) == v).all() for k, v in kept.items())
    strided = x.detach().to(memory_format=torch.channels_last)
    # Eight roundings on the way, each by 6e-8 of 1 at most, in either order of memory.
    torch.testing.assert_close(AugMix().apply(strided, plan), views, rtol=0, atol=2 * 8 * 6e-8)
    with torch.inference_mode():
        assert torch.equal(AugMix().apply(x.detach().clone(), plan), views)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(AugMix().apply(x, plan), views)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_and_channels(dtype):
    x = batch(photographs(6, 9, 13))[:, :1].to(dtype)
    views = AugMix(copies=1).make(x, None, None, nm.Rng(0))
    assert views.dtype == dtype and views.shape == (2, 6, 1, 9, 13)
    assert torch.equal(views[0], x)
    assert AugMix().make(x[:0], None, None, nm.Rng(0)).shape == (3, 0, 1, 9, 13)


def test_bad_arguments_are_named():
    for bad, message in (
        ({"severity": 11}, r"severity must lie in \[0.1, 10\], got 11"),
        ({"width": 0}, "width must be an integer >= 1, got 0"),
        ({"depth": 0}, "depth must be >= 1, or -1 .* got 0"),
        ({"alpha": 0}, "alpha must be a finite number > 0, got 0"),
        ({"copies": 0}, "copies must be an integer >= 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            AugMix(**bad)
    x = batch(photographs(4))
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got -0.* before the norm"):
        AugMix().make(2 * x - 1, None, None, nm.Rng(0))
    with pytest.raises(ValueError, match=r"torch.uint8 .*divide bytes by 255"):
        AugMix().make((x * 255).byte(), None, None, nm.Rng(0))
    with pytest.raises(ValueError, match="the plan is for 3 samples but x has 4"):
        AugMix().apply(x, AugMix().draw(3, nm.Rng(0)))
    with pytest.raises(ValueError, match="did you mean 'rotate'"):
        AugMixPlan.same(4, [("rotat",)])
    plan = AugMix().draw(4, nm.Rng(0))
    with pytest.raises(ValueError, match=r"level must have shape \(2, 4, 3, 3\)"):
        replace(plan, level=plan.level[:1])
    with pytest.raises(ValueError, match=r"operation holds .* 9; use the indices 0 ... 8"):
        replace(plan, operation=np.full_like(plan.operation, 9))


# -- AugMax ---------------------------------------------------------------------------------------


class Small(nn.Module):
    """A smooth network with batch statistics and a part that is frozen in evaluation mode."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.Tanh())
            self.head = nn.Linear(6, 4)
        self.body[1].eval()

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)) * 6)


@pytest.fixture
def easy():
    """A trained-looking network: labels are what it answers on clean images."""
    x = batch(photographs(24))
    model = Small()
    with torch.no_grad():
        logits = Small().eval()(x)
        model.head.bias -= logits.mean(0)
        y = model.eval()(x).argmax(1)
    model.train()
    model.body[1].eval()
    return model, x, y


def loop(model, x, chains, y, mix, scores, steps, step_size, extra_steps):
    """One sample at a time, in double precision."""
    model = model.double().eval()
    found = []
    for k in range(len(x)):
        m, q, left = mix[k].double(), scores[k].double(), extra_steps
        for _ in range(steps):
            m, q = m.clone().requires_grad_(), q.clone().requires_grad_()
            w = q.exp() / q.exp().sum()
            image = (1 - m) * x[k].double()
            for j in range(len(q)):
                image = image + m * w[j] * chains[k, j].double()
            logits = model(image[None])
            if int(logits.argmax()) != int(y[k]):
                left -= 1
            if left < 0:
                break
            functional.cross_entropy(logits, y[k : k + 1]).backward()
            with torch.no_grad():
                m = min(max(m + step_size * m.grad.sign(), m * 0), m * 0 + 1)
                q = q + step_size * q.grad.sign()
        m, q = m.detach(), q.detach()
        w = q.softmax(0)
        found.append(
            (1 - m) * x[k].double() + m * (w.view(-1, 1, 1, 1) * chains[k].double()).sum(0)
        )
    return torch.stack(found)


@pytest.mark.parametrize("extra_steps", [0, 1, 3])
def test_augmax_equals_a_loop_over_samples(easy, extra_steps):
    model, x, y = easy
    y = torch.where(torch.arange(24) % 4 == 0, (y + 1) % 4, y)  # some wrong from the start
    maker = AugMax(steps=7, extra_steps=extra_steps)
    draws = maker.draw(24, nm.Rng(3))
    views = maker.apply(x, y, model, draws)
    chains = maker.augmix.chains(x, draws.plan)[1] / 255.0
    mix, scores = torch.from_numpy(draws.mix), torch.from_numpy(draws.scores)
    wanted = loop(model, x, chains, y, mix, scores, 7, 0.1, extra_steps)
    # A gradient of about zero may have either sign.
    off = (views[2] - wanted).abs().amax((1, 2, 3))
    assert (off < 1e-5).sum() >= 23


def test_augmax_keeps_the_clean_and_the_augmix_view(easy):
    model, x, y = easy
    rng = nm.Rng(5)
    views = AugMax(steps=2).make(x, y, model, rng)
    assert views.shape == (3, *x.shape) and AugMax().count == 3
    assert AugMax().routes == (False, False, True)
    augmix = AugMix(copies=2).make(x, None, None, rng)
    same_but_few(views[:2], augmix[:2])
    assert not torch.equal(views[2], augmix[2])
    assert not views.requires_grad


def test_the_adversary_makes_it_harder(easy):
    model, x, y = easy

    def losses(steps, step_size):
        maker = AugMax(steps=steps, step_size=step_size, extra_steps=steps)
        with torch.no_grad():
            logits = model.eval()(maker.make(x, y, model, nm.Rng(8))[2])
            return functional.cross_entropy(logits, y, reduction="none")

    start = losses(0, 0.1)
    # Small steps go up for every sample; the released ones on average.
    assert (losses(5, 0.01) >= start - 1e-6).all()
    assert losses(10, 0.1).mean() > losses(3, 0.1).mean() > start.mean()


def test_a_sample_that_is_wrong_stops(easy):
    model, x, y = easy
    wrong = (y + 1) % 4
    maker = AugMax(steps=9, extra_steps=0)
    draws = maker.draw(24, nm.Rng(1))
    bad = model.eval()(replace(maker, steps=0).apply(x, wrong, model, draws)[2]).argmax(1) != wrong
    stopped = maker.apply(x, wrong, model, draws)[2]
    start = replace(maker, steps=0).apply(x, wrong, model, draws)[2]
    one = replace(maker, steps=1, extra_steps=1).apply(x, wrong, model, draws)[2]
    many = replace(maker, steps=9, extra_steps=1).apply(x, wrong, model, draws)[2]
    assert bad.sum() > 10
    assert torch.equal(stopped[bad], start[bad])
    again = model.eval()(one).argmax(1) != wrong
    assert torch.equal(many[bad & again], one[bad & again])
    assert not torch.equal(one[bad], start[bad])


def test_the_model_is_left_as_it_was(easy):
    model, x, y = easy
    x = x.clone().requires_grad_()
    (model(x).sum() * 0 + model.head.weight.sum()).backward()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    kept, labels = x.detach().clone(), y.clone()
    x_grad = x.grad.clone()
    AugMax(steps=3).make(x, y, model, nm.Rng(0))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for p, grad in zip(model.parameters(), grads, strict=True):
        assert p.requires_grad and torch.equal(p.grad, grad)
    assert [m.training for m in model.modules()] == modes and len(set(modes)) == 2
    assert torch.equal(x, kept) and torch.equal(y, labels) and torch.equal(x.grad, x_grad)

    def broken(module, inputs):
        raise RuntimeError("out of memory")

    model.head.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        AugMax(steps=3).make(x, y, model, nm.Rng(0))
    assert [m.training for m in model.modules()] == modes


def test_augmax_under_every_mode(easy):
    model, x, y = easy
    views = AugMax(steps=3).make(x, y, model, nm.Rng(0))
    with torch.no_grad():
        assert torch.equal(AugMax(steps=3).make(x, y, model, nm.Rng(0)), views)
    with torch.inference_mode():
        assert torch.equal(AugMax(steps=3).make(x.clone(), y, model, nm.Rng(0)), views)


def test_samples_take_the_adversarial_route_meanwhile():
    model = nm.build_model("preact_resnet_small", norm="dubin", seed=0)
    layers = [m for m in model.modules() if hasattr(m, "routes")]
    seen = set()
    layers[0].register_forward_pre_hook(lambda module, inputs: seen.add(module.routes))
    x, y = batch(photographs(4)), torch.arange(4)
    scheme = nm.Scheme("augmax", AugMax(steps=2), stability=10)
    model.train()
    parts = nm.batch_loss(model, (x, y), scheme, nm.Rng(0))
    assert seen == {(True,), (False, False, True)}
    assert all(layer.routes == (False,) for layer in layers) and model.training
    parts.total.backward()
    adversarial = [p.grad for n, p in model.named_parameters() if "adversarial" in n]
    assert adversarial and all(g is not None and bool(g.isfinite().all()) for g in adversarial)


def test_bad_arguments_of_augmax_are_named(easy):
    model, x, y = easy
    for bad, message in (
        ({"steps": -1}, "steps must be an integer >= 0, got -1"),
        ({"extra_steps": -2}, "extra_steps must be an integer >= 0, got -2"),
        ({"step_size": 0}, "step_size must be a finite number > 0"),
        ({"severity": 0}, "severity must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            AugMax(**bad)
    with pytest.raises(ValueError, match="needs labels y"):
        AugMax().make(x, None, model, nm.Rng(0))
    with pytest.raises(ValueError, match="needs a model"):
        AugMax().make(x, y, None, nm.Rng(0))
    with pytest.raises(ValueError, match=r"y must have shape \(24,\)"):
        AugMax().make(x, y[:3], model, nm.Rng(0))


@pytest.mark.parametrize("wrap", [nn.DataParallel, nn.Sequential])
def test_the_adversarial_route_is_found_inside_of_wrappers(wrap):
    model = nm.build_model("preact_resnet_small", norm="dubin", seed=0)
    x, y = batch(photographs(4)), torch.arange(4)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "adversarial" in name:
                value.add_(0.5)
    views = AugMax(steps=2).make(x, y, model, nm.Rng(0))
    assert torch.equal(AugMax(steps=2).make(x, y, wrap(model), nm.Rng(0)), views)


def test_grey_levels_as_floats_are_told_apart():
    with pytest.raises(ValueError, match="divide grey levels by 255"):
        AugMix().make(batch(photographs(2)) * 255, None, None, nm.Rng(0))
    with pytest.raises(ValueError, match=r"got -1 \.\.\. .*before the normalisation"):
        AugMix().make(batch(photographs(2)) * 0 - 1, None, None, nm.Rng(0))
