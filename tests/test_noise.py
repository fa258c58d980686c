"""The two noise laws, by large samples against equations, and `inject`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from nmlib import Noise, NoiseDraw, Rng, inject

V, B, D = 3, 200, 5000


@pytest.fixture(scope="module")
def activations():
    return torch.zeros(V, B, D)


def fields(noise, like, seed=0):
    draw = noise.draw(like, Rng(seed))
    return draw.additive, draw.multiplicative


def test_paper_law_is_normal_with_the_given_levels(activations):
    additive, multiplicative = fields(Noise(0.4, 0.2), activations)
    for field, level in ((additive, 0.4), (multiplicative, 0.2)):
        for view in field:
            values = view.flatten()[:200_000].double().numpy() / level
            assert values.mean() == pytest.approx(0, abs=4 / len(values) ** 0.5)
            assert values.std() == pytest.approx(1, abs=4 / (2 * len(values)) ** 0.5)
            assert stats.kstest(values[:20_000], "norm").pvalue > 1e-4


def test_entries_views_and_kinds_are_independent(activations):
    additive, multiplicative = fields(Noise(1.0, 1.0), activations)
    rows = torch.cat([additive[:, :5].flatten(0, 1), multiplicative[:, :5].flatten(0, 1)])
    correlation = torch.corrcoef(rows) - torch.eye(len(rows))
    assert float(correlation.abs().max()) < 5 / D**0.5
    shifted = (additive[..., 1:] * additive[..., :-1]).mean()
    assert float(shifted) == pytest.approx(0, abs=5 / additive.numel() ** 0.5)


@pytest.mark.parametrize("noise", [Noise(0.3, 0.2, sparsity=0.65), Noise.released(0.5, 0.4)])
def test_sparsity_drops_entries(activations, noise):
    for field in fields(noise, activations):
        dropped = float((field == 0).double().mean())
        assert dropped == pytest.approx(0.65, abs=5 * (0.65 * 0.35 / field.numel()) ** 0.5)


def test_released_law_given_its_scales(activations):
    """Given the scalar c of a view, additive entries are normal and multiplicative ones uniform."""
    noise = replace(Noise.released(0.5, 0.4), sparsity=0.0)
    additive, multiplicative = fields(noise, activations)
    scales_add = Rng(0).fold("additive", "scale").numpy().beta(2, 5, size=V)
    scales_mult = Rng(0).fold("multiplicative", "scale").numpy().beta(2, 5, size=V)
    for v in range(V):
        level = 0.5 * (v + 1) * scales_add[v]
        values = additive[v].flatten()[:20_000].double().numpy() / level
        assert stats.kstest(values, "norm").pvalue > 1e-4
        values = multiplicative[v].flatten()[:20_000].double().numpy() / (0.4 * scales_mult[v])
        assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > 1e-4


def test_released_law_has_the_effective_second_moments():
    """sigma_add,v^2 = (v l_a)^2 3/28 (1 - s) and sigma_mult^2 = l_m^2 3/28 1/3 (1 - s)."""
    noise = Noise.released(0.5, 0.5)
    assert noise.effective_levels(0) == pytest.approx((0.0968246, 0.0559017), abs=1e-7)
    steps = 4000
    second = np.zeros((2, V))
    for t in range(steps):
        draw = noise.draw(torch.zeros(V, 4, 100), Rng(0).fold(t))
        second[0] += draw.additive.square().mean((1, 2)).double().numpy() / steps
        second[1] += draw.multiplicative.square().mean((1, 2)).double().numpy() / steps
    for v in range(V):
        sigma_add = (v + 1) * 0.5 * np.sqrt(3 / 28 * 0.35)
        sigma_mult = 0.5 * np.sqrt(3 / 28 / 3 * 0.35)
        assert noise.effective_levels(v) == pytest.approx((sigma_add, sigma_mult), rel=1e-12)
        # 4,000 scales: c^2 has mean 0.107 and standard deviation 0.117, so 1.7 % and 4 sigma.
        assert second[0, v] == pytest.approx(sigma_add**2, rel=0.07)
        assert second[1, v] == pytest.approx(sigma_mult**2, rel=0.07)


def test_paper_law_effective_levels(activations):
    noise = Noise(0.4, 0.2, sparsity=0.5, view_gain=0.5, clean_views=1)
    additive, multiplicative = fields(noise, activations)
    for v in range(V):
        sigma_add, sigma_mult = noise.effective_levels(v)
        assert float(additive[v].square().mean().sqrt()) == pytest.approx(sigma_add, rel=0.01)
        assert float(multiplicative[v].square().mean().sqrt()) == pytest.approx(
            sigma_mult, rel=0.01
        )
    assert noise.effective_levels(0) == (0, 0)
    assert noise.effective_levels(2) == pytest.approx((0.8 * 0.5**0.5, 0.2 * 0.5**0.5))


@pytest.mark.parametrize("law", ["paper", "released"])
def test_levels_only_scale_the_fields(law):
    """Common random numbers: moving a slider does not draw new noise."""
    like = torch.zeros(3, 4, 5)
    small, large = fields(Noise(0.1, 0.2, law=law), like), fields(Noise(0.5, 0.4, law=law), like)
    assert torch.allclose(5 * small[0], large[0])
    assert torch.allclose(2 * small[1], large[1])


def test_one_kind_does_not_shift_the_other():
    like = torch.zeros(3, 4, 5)
    both = Noise(0.3, 0.2).draw(like, Rng(0))
    assert torch.equal(Noise(0.3, 0.0).draw(like, Rng(0)).additive, both.additive)
    assert torch.equal(Noise(0.0, 0.2).draw(like, Rng(0)).multiplicative, both.multiplicative)
    assert Noise(0.3, 0.0).draw(like, Rng(0)).multiplicative is None


def test_scales_of_the_released_law_ignore_the_device():
    like = torch.zeros(3, 4, 5)
    noise, rng = Noise.released(), Rng(0)
    before = noise.draw(like, rng).additive
    assert torch.equal(noise.draw(like, rng.to("meta")).additive, before)  # device of `like` wins


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_scales_are_equal_on_cuda():
    noise, steps = replace(Noise.released(), sparsity=0.0), range(20)
    like = torch.zeros(3, 200, 2000)
    for t in steps:
        here = noise.draw(like, Rng(0).fold(t)).additive
        there = noise.draw(like.cuda(), Rng(0).fold(t)).additive
        assert there.device.type == "cuda"
        # The fields differ, their scalar levels are the same decision.
        ratio = there.std((1, 2)).cpu() / here.std((1, 2))
        assert float((ratio - 1).abs().max()) < 0.01


def images(layout=torch.channels_last, dtype=torch.float32):
    """Activations of three views: 1.2 million entries, several blocks."""
    flat = torch.zeros(3 * 25, 16, 32, 32, dtype=dtype).contiguous(memory_format=layout)
    return flat.unflatten(0, (3, 25))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("sparsity", [0.0, 0.65])
def test_fields_of_images_follow_the_law_and_the_layout(layout, sparsity):
    noise = replace(Noise.released(0.5, 0.4), sparsity=sparsity)
    h = images(layout)
    draw = noise.draw(h, Rng(4))
    for name, field, cdf in (
        ("additive", draw.additive, stats.norm.cdf),
        ("multiplicative", draw.multiplicative, stats.uniform(-1, 2).cdf),
    ):
        assert field.stride() == h.stride()
        scales = Rng(4).fold(name, "scale").numpy().beta(2, 5, size=3)
        for v, view in enumerate(field):
            level = (0.5 * (v + 1) if name == "additive" else 0.4) * scales[v]
            # In the order of memory, so that neighbours were drawn one after the other.
            entries = view.permute(0, 2, 3, 1) if layout == torch.channels_last else view
            values = entries.flatten().double().numpy() / level
            dropped, n = values == 0, len(values)
            assert dropped.mean() == pytest.approx(
                sparsity, abs=1e-6 + 5 * (sparsity * (1 - sparsity) / n) ** 0.5
            )
            assert stats.kstest(values[~dropped][:100_000], cdf).pvalue > 1e-4
            kept = ~dropped[1:] & ~dropped[:-1]
            pairs = values[1:][kept] * values[:-1][kept]
            assert abs(pairs.mean()) < 5 * pairs.std() / len(pairs) ** 0.5
            # Being dropped says nothing about the neighbour.
            both = (dropped[1:] & dropped[:-1]).mean()
            assert both == pytest.approx(sparsity**2, abs=1e-6 + 5 * (0.25 / n) ** 0.5)
    both = draw.additive.flatten().double(), draw.multiplicative.flatten().double()
    assert abs(float(torch.corrcoef(torch.stack(both))[0, 1])) < 5 / h.numel() ** 0.5


def test_fields_of_images_do_not_depend_on_the_number_of_threads():
    h, noise, threads = images(), Noise.released(), torch.get_num_threads()
    drawn = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            drawn.append(noise.draw(h, Rng(0)))
    finally:
        torch.set_num_threads(threads)
    for other in drawn[1:]:
        assert torch.equal(other.additive, drawn[0].additive)
        assert torch.equal(other.multiplicative, drawn[0].multiplicative)
    assert not torch.equal(noise.draw(h, Rng(1)).additive, drawn[0].additive)
    # No block repeats another.
    flat = drawn[0].additive.permute(0, 1, 3, 4, 2).reshape(-1)
    assert not torch.equal(flat[:1000] == 0, flat[2**18 : 2**18 + 1000] == 0)


def test_views_without_noise_and_other_types_of_images():
    noise = Noise(0.4, 0.2, clean_views=1)
    for dtype in (torch.float64, torch.bfloat16):
        draw = noise.draw(images(dtype=dtype), Rng(0))
        assert draw.additive.dtype == dtype
        assert not draw.additive[0].any() and not draw.multiplicative[0].any()
        assert float(draw.additive[1].double().std()) == pytest.approx(0.4, rel=0.01)


def test_injecting_a_law_into_images_is_injecting_its_draw():
    h = images().add(1.5)
    noise = Noise.released()
    there = inject(h, noise.draw(h, Rng(3)))
    assert torch.equal(inject(h, noise, Rng(3)), there)
    assert there.stride() == h.stride()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_noise_follows_the_type_and_shape(dtype):
    h = torch.ones(2, 3, 4, 5, dtype=dtype)
    out = inject(h, Noise.released(), Rng(0))
    assert (out.dtype, out.shape) == (dtype, h.shape)


def test_inject_is_the_equation():
    h = torch.randn(2, 3, 4, generator=Rng(0).torch(), dtype=torch.float64)
    a, m = torch.randn_like(h), torch.randn_like(h)
    before = h.clone()
    expected = (1 + m.numpy()) * h.numpy() + a.numpy()
    assert np.allclose(inject(h, NoiseDraw(a, m)), expected, rtol=1e-14)
    assert np.allclose(inject(h, NoiseDraw(multiplicative=m)), h * (1 + m), rtol=1e-14)
    assert np.allclose(inject(h, NoiseDraw(additive=a)), h + a, rtol=1e-14)
    assert torch.equal(h, before)


def test_no_noise_is_no_change():
    h = torch.ones(2, 3, 4)
    assert inject(h, None) is h
    assert torch.equal(inject(h, Noise(), Rng(0)), h)
    assert torch.equal(inject(h, NoiseDraw()), h)
    all_clean = inject(h, Noise(0.5, 0.5, clean_views=2), Rng(0))
    assert torch.equal(all_clean, h)


def test_a_law_and_its_draw_are_the_same_noise():
    h = torch.ones(2, 3, 4)
    noise = Noise(0.5, 0.5)
    assert torch.equal(inject(h, noise, Rng(4)), inject(h, noise.draw(h, Rng(4))))


def test_noise_reaches_the_gradient():
    h = torch.ones(1, 2, 3, dtype=torch.float64, requires_grad=True)
    draw = Noise(0.5, 0.5).draw(h, Rng(0))
    inject(h, draw).sum().backward()
    assert torch.allclose(h.grad, 1 + draw.multiplicative)
    assert not draw.additive.requires_grad


h = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Noise(-0.1), ValueError, "additive must be a finite number >= 0, got -0.1"),
        (lambda: Noise(0.1, -2), ValueError, "multiplicative must be .* got -2"),
        (lambda: Noise(float("nan")), ValueError, "additive must be .* got nan"),
        (lambda: Noise(view_gain=-1), ValueError, "view_gain must be .* got -1"),
        (lambda: Noise(clean_views=-1), ValueError, "clean_views must be .* got -1"),
        (
            lambda: Noise(sparsity=1.0),
            ValueError,
            r"sparsity.*got 1.0; for no noise use noise=None",
        ),
        (lambda: Noise(sparsity=-0.1), ValueError, "sparsity must lie .* got -0.1"),
        (lambda: Noise(law="realesed"), ValueError, "'realesed'; did you mean 'released'"),
        (lambda: Noise(None), TypeError, "additive must be a number, got None"),
        (lambda: Noise().draw(torch.zeros(3), Rng(0)), ValueError, r"\(V, B, ...\), got .*\(3,\)"),
        (lambda: Noise(1).draw(h.int(), Rng(0)), TypeError, "floating-point .* torch.int32"),
        (lambda: inject(h, Noise(0.1)), ValueError, r"needs rng .* pass rng=Rng\(seed\)"),
        (
            lambda: inject(h, NoiseDraw(additive=h[0])),
            ValueError,
            r"additive field has shape \(3, 4\) but the activations have \(2, 3, 4\); draw",
        ),
    ],
)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
