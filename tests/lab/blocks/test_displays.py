"""The displays of the building blocks hold what direct computation gives."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from rounding import same_but_few

import nmlib as nm
from nmlib.lab.blocks.displays import (
    AugMixDisplay,
    LawDisplay,
    MixersDisplay,
    MixingDisplay,
    NoiseDisplay,
    SeverityDisplay,
    ViewsDisplay,
)
from nmlib.lab.blocks.displays.mixing import beta_density
from nmlib.lab.blocks.displays.pixels import MAP_COLOURS, colour_maps, map_levels, tile_maps
from nmlib.lab.blocks.displays.views import operation_words
from nmlib.views import OPERATIONS


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test")


@pytest.fixture(scope="module")
def model():
    return nm.build_model("preact_resnet_small", 10, seed=0).train()


@pytest.fixture(scope="module")
def x(data):
    return data.images[:4].permute(0, 3, 1, 2).contiguous() / 255


PAIR = nm.Pair(torch.tensor([1, 0]), 0.7, 0.7)


def shown(display):
    bundle, metadata = display._repr_mimebundle_()
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    assert len(bundle["image/png"]) < 100_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == display.summary
    assert np.asarray(picture.convert("L")).std() > 10
    return bundle["text/plain"]


# -- laws and painting ----------------------------------------------------------------------------


def test_weights_are_those_of_mixup():
    display = LawDisplay.from_alphas((0.3, 2.0), draws=300, seed=5)
    own = float(nm.Mixup(2.0).draw(torch.zeros(2, 1), None, None, nm.Rng(5).fold(7)).lam)
    assert display.lam[1, 7] == own
    share = (np.abs(display.lam[0] - 0.5) >= 0.4).mean()
    assert f"alpha 0.3: {100 * share:.0f} % within 0.1 of 0 or 1" in shown(display)


def test_density():
    from scipy.stats import beta

    where = np.linspace(0.05, 0.95, 7)
    for alpha in (0.2, 1.0, 3.7):
        assert beta_density(where, alpha) == pytest.approx(beta(alpha, alpha).pdf(where))


def test_tiles_stand_row_by_row():
    tiles = np.arange(3 * 4 * 8, dtype=np.uint8).reshape(3, 4, 8)
    grid = tile_maps(tiles)
    assert grid.shape == (9, 17)
    assert (grid[:4, 9:] == tiles[1]).all() and (grid[5:, :8] == tiles[2]).all()
    assert (grid[4] == 128).all() and (grid[5:, 9:] == 128).all()


def test_colours_of_feature_maps():
    levels = map_levels(np.array([-9.0, -1.0, 0.0, 0.5, 1.0]), 1.0)
    assert levels.tolist() == [1, 1, 128, 192, 255]
    assert MAP_COLOURS[128].tolist() == [250, 250, 250]
    assert MAP_COLOURS[255].tolist() == [213, 94, 0] and MAP_COLOURS[0].tolist() == [0, 114, 178]
    grid = colour_maps(np.full((4, 8, 8), 1.0), 1.0)
    assert grid.shape == (17, 17, 3) and (grid[:8, :8] == MAP_COLOURS[255]).all()
    assert (grid[8] == 250).all()


def test_every_operation_has_words():
    words = [operation_words(name, -3.0) for name in OPERATIONS]
    assert len(set(words)) == len(OPERATIONS)
    assert "rotate −3°" in words and "translate x −3 px" in words and "posterize 3 bits" in words


# -- mixing and noise -----------------------------------------------------------------------------


@pytest.mark.parametrize("point", [0, 1, 2, 3])
def test_mixing_at_each_point(model, data, x, point):
    noise = nm.Noise(0.4, 0.3)
    display = MixingDisplay.from_model(
        model, data.images[:2], data.labels[:2], PAIR, point=point, classes=data.classes,
        noise=noise, rng=nm.Rng(2),
    )  # fmt: skip
    assert model.training  # left as it was
    model.eval()
    with torch.no_grad():
        h = model(x[:2], stop=point)
    model.train()
    mixed = 0.7 * h + 0.3 * h[[1, 0]]
    drawn = noise.draw(mixed[None], nm.Rng(2))
    noised = (1 + drawn.multiplicative[0]) * mixed + drawn.additive[0]
    expected = torch.stack([h[0], h[1], mixed[0], noised[0]]).numpy()
    assert display.maps == pytest.approx(expected, abs=1e-5)
    label = np.zeros(10)
    np.add.at(label, data.labels[:2].numpy(), (0.7, 0.3))
    assert display.shares == pytest.approx(label)
    spread = h.numpy().var((0, 2, 3))
    kept = set(display.channels.tolist())
    assert len(kept) == min(16, h.shape[1])
    assert min(spread[sorted(kept)]) >= max((spread[k] for k in set(range(len(spread))) - kept),
                                            default=0)  # fmt: skip
    if point == 0:
        assert np.abs(display.pixels[0].astype(int) - data.images[0].numpy()).max() == 0
        grey = 0.7 * data.images[0].double() + 0.3 * data.images[1].double()
        assert np.abs(display.pixels[2] - grey.numpy()).max() <= 0.51
    words = shown(display)
    assert f"mix point {point}" in words and "0.70" in words and "with noise" in words
    quiet = MixingDisplay.from_model(
        model, data.images[:2], data.labels[:2], PAIR, point=point, classes=data.classes
    )
    assert display.noisy and not quiet.noisy
    assert "no noise: sample, partner, mixture." in shown(quiet)


def test_a_pair_is_two(model, data):
    with pytest.raises(ValueError, match="two images, got 3"):
        MixingDisplay.from_model(
            model, data.images[:3], data.labels[:3], PAIR, point=0, classes=data.classes
        )
    with pytest.raises(ValueError, match="mix point 9"):
        MixingDisplay.from_model(
            model, data.images[:2], data.labels[:2], PAIR, point=9, classes=data.classes
        )


def test_noise_laws(data):
    laws = {"paper": nm.Noise(0.5, 0.5), "released": nm.Noise.released()}
    display = NoiseDisplay.from_laws(data.images[8], laws, rng=nm.Rng(0))
    assert display.effective[0].tolist() == [0.5, 0.5]
    assert display.effective[1] == pytest.approx([0.0968, 0.0559], abs=1e-4)
    clean = display.clean.astype(int)
    drawn = laws["paper"].draw(torch.zeros(1, 1, 3, 32, 32), nm.Rng(0))
    added = clean + 127.5 * drawn.additive[0, 0].permute(1, 2, 0).numpy()
    assert np.abs(display.pixels[0, 0] - added.clip(0, 255)).max() <= 0.51
    # The released law is the weaker one in every picture.
    change = np.abs(display.pixels.astype(int) - clean).mean((2, 3, 4))
    assert (change[1] < change[0]).all()
    assert "act like 0.10 and 0.06" in shown(display)


def test_mixers_share_partner_and_lambda(model, data, x):
    mixers = {"mixup": nm.Mixup(), "CutMix": nm.CutMix(prob=1.0), "PuzzleMix": nm.PuzzleMix()}
    rng = nm.Rng(1)
    display = MixersDisplay.from_mixers(
        mixers, data.images[:4], data.labels[:4], model=model, classes=data.classes, rng=rng
    )
    assert model.training and all(p.grad is None for p in model.parameters())
    pair = nm.Mixup().draw(x, None, None, rng)
    own = pair.lam * x + (1 - pair.lam) * x[pair.partner]
    pixels = (255 * own).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(display.mixed[0] - pixels).max() <= 1
    assert (display.partners == data.images[pair.partner].numpy()).all()
    # What CutMix leaves of a sample is its label share.
    cut = nm.CutMix(prob=1.0).draw(x, None, None, rng)
    other = display.labels[:, 0] != display.labels[:, 1]
    assert display.share("CutMix")[other] == pytest.approx(float(cut.weight.mean()))
    assert display.shares.sum(-1) == pytest.approx(np.ones((3, 4)))
    assert "PuzzleMix" in shown(display)
    with pytest.raises(ValueError, match="empty"):
        MixersDisplay.from_mixers(
            {}, data.images[:2], data.labels[:2], model=model, classes=data.classes, rng=rng
        )


# -- AugMix and views -----------------------------------------------------------------------------


def test_augmix_step_by_step(data, x):
    augmix = nm.AugMix(severity=8)
    plan = augmix.draw(3, nm.Rng(4))
    display = AugMixDisplay.from_plan(data.images[2], plan, sample=2)
    ends = augmix.chains(x[:3], plan)[0, 2]
    for pictures, end, words in zip(display.steps, ends, display.words, strict=True):
        same_but_few(pictures[-1], end.permute(1, 2, 0))
        assert len(pictures) == len(words) >= 1
    mixture = (1 - display.mix) * display.clean.astype(float) + display.mix * sum(
        w * pictures[-1].astype(float)
        for w, pictures in zip(display.weights, display.steps, strict=True)
    )
    assert np.abs(display.result - mixture).max() <= 0.51
    assert f"{display.mix:.2f} of the weighted chains" in shown(display)


def test_augmix_by_hand_after_each_operation(data):
    from nmlib import ops

    plan = nm.AugMixPlan.same(1, [("rotate", "posterize"), ()], level=5, sign=-1, mix=0.25)
    display = AugMixDisplay.from_plan(data.images[0], plan)
    assert display.words == (("rotate −15°", "posterize 2 bits"), ())
    assert [len(s) for s in display.steps] == [2, 0]
    turned = ops.rotate(data.images[:1].permute(0, 3, 1, 2).contiguous(), -15.0)
    assert (display.steps[0][0] == turned[0].permute(1, 2, 0).numpy()).all()
    assert (display.steps[0][1] == display.steps[0][0] // 64 * 64).all()
    assert "nothing" in shown(display)


def test_divergence_of_views(model, data, x):
    views = nm.AugMix(severity=9).make(x, None, None, nm.Rng(0))
    display = ViewsDisplay.from_model(model, views, data.labels[:4], classes=data.classes)
    assert model.training
    model.eval()
    with torch.no_grad():
        p = torch.stack([model(v).double().softmax(-1) for v in views]).numpy()
    model.train()
    assert display.probs == pytest.approx(p, abs=1e-6)
    m = p.mean(0)
    jsd = (p * np.log(p / m)).sum(-1).mean(0)
    assert display.jsd == pytest.approx(jsd, abs=1e-9) and display.mixture == pytest.approx(m)
    assert display.limit == pytest.approx(math.log(3))
    assert (display.views[0] == data.images[:4].numpy()).all()
    assert "at most 1.10" in shown(display)


def test_severity_curves(model, data, x):
    display = SeverityDisplay.from_models(
        {"net": model}, data.images[:4], severities=(1, 8), rng=nm.Rng(3), title="4 images"
    )
    views = nm.AugMix(severity=8).make(x, None, None, nm.Rng(3))
    own = ViewsDisplay.from_model(model, views, data.labels[:4], classes=data.classes)
    assert display.jsd[0, 1] == pytest.approx(own.jsd, abs=1e-12)
    assert display.means()["net"] == pytest.approx(display.jsd[0].mean(-1))
    assert display.means()["net"][1] > display.means()["net"][0]
    assert "severities 1, 8" in shown(display)
    with pytest.raises(ValueError, match="empty"):
        SeverityDisplay.from_models({}, data.images[:2], rng=nm.Rng(0))


def test_images_are_bytes(model):
    with pytest.raises(ValueError, match="must be uint8"):
        SeverityDisplay.from_models({"a": model}, torch.rand(2, 32, 32, 3), rng=nm.Rng(0))
