"""One path for every scheme: against a written-out step, and its laws."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from oracles import mixing as oracle
from torch import nn

from nmlib import (
    READINGS,
    Mixup,
    Noise,
    NoiseDraw,
    Plain,
    Rng,
    Scheme,
    StagedModel,
    batch_loss,
    fig4_schemes,
    mlp,
)
from nmlib.objective import apply_draws, draw_batch

B = 7
MODEL = mlp((2, 9, 6, 3), seed=2).double()
LAYERS = [(s[0] if isinstance(s, nn.Sequential) else s) for s in MODEL.stages]
LAYERS = [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in LAYERS]
x = torch.randn(B, 2, generator=Rng(0).torch(), dtype=torch.float64)
y = torch.arange(B) % 3


def equals_written_out_step(scheme, rng):
    """Compare batch_loss with NumPy, with the noise fields it must have drawn."""
    draws = draw_batch(MODEL, (x, y), scheme, rng)
    views, point = draws.views, draws.point
    width = (2, 9, 6)[point]
    noise = NoiseDraw()
    if scheme.noise is not None:
        like = torch.empty(len(views), B, width, dtype=torch.float64)
        noise = scheme.noise.draw(like, rng.fold("noise"))
    pairs = list(draws.pairs) or [None]
    pairs = pairs * len(views) if len(pairs) == 1 else pairs
    ce, jsd, total = oracle.step_loss(
        LAYERS,
        views.numpy(),
        y.numpy(),
        point=point,
        partners=[np.arange(B) if p is None else p.partner.numpy() for p in pairs],
        lams=[1.0 if p is None else p.lam for p in pairs],
        additive=None if noise.additive is None else noise.additive.numpy(),
        multiplicative=None if noise.multiplicative is None else noise.multiplicative.numpy(),
        stability=scheme.stability,
    )
    parts = batch_loss(MODEL, (x, y), scheme, rng)
    assert parts.ce.item() == pytest.approx(ce, rel=1e-12)
    assert parts.jsd.item() == pytest.approx(jsd, rel=1e-9, abs=1e-14)
    assert parts.total.item() == pytest.approx(total, rel=1e-12)
    assert parts.logits.shape == (scheme.views.count, B, 3)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("law", ["paper", "released"])
def test_every_scheme_equals_the_written_out_step(reading, law):
    schemes = fig4_schemes(reading=reading, law=law, stability=3.0, points=(0, 1, 2), alpha=0.6)
    for scheme in schemes.values():
        for t in range(4):
            equals_written_out_step(scheme, Rng(5).fold(t))


def test_all_switches_off_is_cross_entropy():
    parts = batch_loss(MODEL, (x, y), Scheme("plain"), Rng(0))
    # Two ways to write a mean over seven samples.
    plain = nn.functional.cross_entropy(MODEL(x), y)
    torch.testing.assert_close(parts.total, plain, rtol=1e-14, atol=0)
    assert parts.jsd.item() == 0
    assert torch.equal(parts.logits, MODEL(x)[None])


@pytest.mark.parametrize("reading", READINGS)
def test_turning_every_level_to_zero_is_cross_entropy(reading):
    schemes = fig4_schemes(additive=0, multiplicative=0, stability=0, reading=reading)
    plain = batch_loss(MODEL, (x, y), schemes["baseline"], Rng(0)).total
    noise = batch_loss(MODEL, (x, y), schemes["noise_injection"], Rng(0)).total
    assert torch.equal(noise, plain)
    mixup = batch_loss(MODEL, (x, y), schemes["manifold_mixup"], Rng(0)).total
    assert torch.equal(batch_loss(MODEL, (x, y), schemes["noisymix"], Rng(0)).total, mixup)


def test_lam_one_is_no_mixing():
    class NeverMixes(Mixup):
        def draw(self, x, y, model, rng):
            return replace(super().draw(x, y, model, rng), weight=1.0, lam=1.0)

    for noise in (None, Noise(0.3, 0.2)):
        off = batch_loss(MODEL, (x, y), Scheme("off", noise=noise, points=(1,)), Rng(0))
        on = Scheme("on", mix=NeverMixes(), noise=noise, points=(1,))
        assert torch.allclose(batch_loss(MODEL, (x, y), on, Rng(0)).total, off.total, rtol=1e-14)


def test_identical_views_have_no_divergence():
    noise = Noise(0.5, clean_views=3)  # a law that leaves all views clean
    scheme = Scheme("s", Plain(3), Mixup(), noise, points=(0, 1), stability=12)
    parts = batch_loss(MODEL, (x, y), scheme, Rng(0))
    assert parts.jsd.item() < 1e-15
    # Rows of one product: their place in the batch may round them otherwise.
    torch.testing.assert_close(parts.logits[0], parts.logits[2], rtol=1e-13, atol=1e-14)


def test_noise_switch_leaves_the_other_draws_as_they_were():
    schemes = fig4_schemes(points=(0, 1, 2))
    for t in range(6):
        rng = Rng(1).fold(t)
        a = draw_batch(MODEL, (x, y), schemes["nfm"], rng)
        b = draw_batch(MODEL, (x, y), schemes["manifold_mixup"], rng)
        assert (a.point, a.pairs[0].lam) == (b.point, b.pairs[0].lam)
        assert torch.equal(a.pairs[0].partner, b.pairs[0].partner)
        assert torch.equal(a.views, b.views)


def test_images_are_normalised_once():
    class Halve(nn.Module):
        def forward(self, h):
            return (h - 1) / 2

    model = StagedModel([*MODEL.stages], normalise=Halve())
    for scheme in fig4_schemes(points=(0,)).values():
        raw = batch_loss(model, (x, y), scheme, Rng(0)).total
        assert torch.equal(raw, batch_loss(MODEL, ((x - 1) / 2, y), scheme, Rng(0)).total)


def test_same_stream_same_loss_other_stream_other_loss():
    scheme = fig4_schemes(law="released")["noisymix"]
    losses = [batch_loss(MODEL, (x, y), scheme, Rng(0).fold(t)).total.item() for t in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_inputs_and_weights_are_not_changed():
    before = x.clone(), y.clone(), [p.clone() for p in MODEL.parameters()]
    for scheme in fig4_schemes(law="released").values():
        batch_loss(MODEL, (x, y), scheme, Rng(0)).total.backward()
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert all(torch.equal(p, q) for p, q in zip(MODEL.parameters(), before[2], strict=True))
    MODEL.zero_grad()


def test_gradients_match_finite_differences():
    scheme = fig4_schemes(points=(1,), stability=2.0)["noisymix"]
    smooth = mlp((2, 5, 3), activation="tanh").double()
    draws = draw_batch(smooth, (x, y), scheme, Rng(0))
    fields = scheme.noise.draw(torch.empty(3, B, 5, dtype=torch.float64), Rng(0).fold("noise"))
    names = [name for name, _ in smooth.named_parameters()]

    def loss(*parameters):
        def forward(h, **arguments):
            named = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(smooth, named, (h,), arguments)

        fixed = replace(draws, noise=fields)
        return apply_draws(forward, y, fixed, stability=2.0).total

    assert torch.autograd.gradcheck(loss, tuple(smooth.parameters()))
    assert loss(*smooth.parameters()).item() == pytest.approx(
        batch_loss(smooth, (x, y), scheme, Rng(0)).total.item(), rel=1e-14
    )


def test_batch_statistics_are_taken_over_all_views():
    class Spy(nn.Module):
        sizes: tuple[int, ...] = ()

        def forward(self, h):
            self.sizes += (len(h),)
            return h

    spy = Spy()
    model = StagedModel([spy, nn.Linear(2, 3)])
    batch_loss(model, (x.float(), y), fig4_schemes(points=(1,))["noisymix"], Rng(0))
    assert spy.sizes == (3 * B,)


def test_cross_entropy_is_on_view_zero():
    scheme = fig4_schemes(reading="unmixed", points=(0,))["manifold_mixup_jsd"]
    alone = fig4_schemes(points=(0,))["manifold_mixup"]
    assert torch.allclose(
        batch_loss(MODEL, (x, y), scheme, Rng(0)).ce, batch_loss(MODEL, (x, y), alone, Rng(0)).ce
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_decides_like_the_cpu():
    scheme = fig4_schemes(points=(0, 1, 2))["manifold_mixup_jsd"]
    here = batch_loss(MODEL, (x, y), scheme, Rng(3))
    there = batch_loss(MODEL.to("cuda"), (x.cuda(), y.cuda()), scheme, Rng(3, "cuda"))
    MODEL.cpu()
    assert there.total.item() == pytest.approx(here.total.item(), rel=1e-10)


def test_decisions_do_not_depend_on_the_device():
    meta = mlp((2, 9, 6, 3)).to("meta")
    scheme = fig4_schemes(points=(0, 1, 2))["noisymix"]
    for t in range(5):
        here = draw_batch(MODEL, (x, y), scheme, Rng(0).fold(t))
        there = draw_batch(meta, (x.to("meta"), y.to("meta")), scheme, Rng(0).fold(t))
        assert there.views.device.type == there.pairs[0].partner.device.type == "meta"
        assert there.point == here.point
        assert [p.lam for p in there.pairs] == [p.lam for p in here.pairs]


nan = torch.full((B, 2), float("nan"), dtype=torch.float64)
schemes = fig4_schemes()


@pytest.mark.parametrize("name", list(schemes))
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((x, y + 1), ValueError, "label 3 is out of range for 3 classes; labels count from 0"),
        ((x, y - 1), ValueError, "label -1 is out of range for 3 classes"),
        ((x, y + 0.5), TypeError, "labels must be integers"),
        ((nan, y), ValueError, "logits holds 21 NaN or infinite value"),
        ((x, y[:-1]), ValueError, r"y must have shape \(7,\), .* got \(6,\)"),
        ((x, y[:, None]), ValueError, r"y must have shape \(7,\), .* got \(7, 1\)"),
        ((x[:0], y[:0]), ValueError, "the batch is empty"),
    ],
)
def test_wrong_batches_are_named_by_every_scheme(name, batch, error, message):
    with pytest.raises(error, match=message):
        batch_loss(MODEL, batch, schemes[name], Rng(0))


def test_a_missing_mix_point_is_named():
    scheme = Scheme("s", mix=Mixup(), points=(3,))
    with pytest.raises(
        ValueError, match="mix point 3 does not exist: this model has points 0 to 2"
    ):
        batch_loss(MODEL, (x, y), scheme, Rng(0))


def test_all_points_of_a_scheme_are_looked_at_not_only_the_drawn_one():
    scheme = Scheme("s", mix=Mixup(), points=(0, 1, 2, 3))
    for step in range(4):
        with pytest.raises(ValueError, match=r"replace\(scheme, points=\(0, 1, 2\)\)"):
            batch_loss(MODEL, (x, y), scheme, Rng(step))


def test_other_models_schemes_and_streams_are_refused_with_the_remedy():
    scheme = schemes["noisymix"]
    with pytest.raises(TypeError, match=r"mix points, got Linear; .*MixPoints\(model"):
        batch_loss(nn.Linear(2, 3), (x, y), scheme, Rng(0))
    with pytest.raises(TypeError, match=r"get_scheme\('noisymix'\), got 'noisymix'"):
        batch_loss(MODEL, (x, y), "noisymix", Rng(0))
    with pytest.raises(TypeError, match=r"Rng such as .*got 0"):
        batch_loss(MODEL, (x, y), scheme, 0)
    with pytest.raises(TypeError, match=r"bytes.*x\.float\(\) / 255"):
        batch_loss(MODEL, (x.to(torch.uint8), y), scheme, Rng(0))


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.optim.swa_utils.AveragedModel, partial(torch.compile, backend="eager")],
)
def test_a_wrapped_staged_model_is_one(wrap):
    scheme = schemes["noisymix"]
    found, plain = (batch_loss(m, (x, y), scheme, Rng(0)).total for m in (wrap(MODEL), MODEL))
    torch.testing.assert_close(found, plain)


def test_a_model_with_a_staged_one_inside_is_refused():
    with pytest.raises(TypeError, match=r"Sequential holds a StagedModel but .* `change`"):
        batch_loss(nn.Sequential(MODEL), (x, y), schemes["noisymix"], Rng(0))


@pytest.mark.parametrize("name", list(schemes))
def test_distributions_over_classes_are_labels_too(name):
    sharp = torch.nn.functional.one_hot(y, 3).to(x.dtype)
    by_class, by_share = (batch_loss(MODEL, (x, t), schemes[name], Rng(0)) for t in (y, sharp))
    torch.testing.assert_close(by_share.total, by_class.total)
    # Cross-entropy is linear in the labels.
    spread = torch.full_like(sharp, 1 / 3)
    mean = sum(
        batch_loss(MODEL, (x, torch.full_like(y, k)), schemes[name], Rng(0)).ce for k in range(3)
    )
    found = batch_loss(MODEL, (x, spread), schemes[name], Rng(0)).ce
    torch.testing.assert_close(found, mean / 3)
