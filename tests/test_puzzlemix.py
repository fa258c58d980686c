"""PuzzleMix: minima against trying everything, and what it shows and moves."""

import sys

import numpy as np
import pytest
import torch
from oracles import puzzlemix as oracle
from torch import nn

from nmlib import Mixup, Pair, PuzzleMix, Rng, Scheme, batch_loss, build_model, mix
from nmlib.puzzlemix import block_energy, cut_grid, grid_energy, saliency, transport_plan
from nmlib.schemes import Mixer

rng = np.random.default_rng(0)
x = torch.from_numpy(rng.random((6, 3, 16, 16), dtype=np.float32))
y = torch.arange(6) % 3
MODEL = build_model("preact_resnet_small", 3, widths=(4, 4, 8, 8))


def random_costs(batch, height, width, labels, edge):
    return (
        rng.normal(size=(batch, height, width, labels)),
        edge * rng.random((batch, height - 1, width)),
        edge * rng.random((batch, height, width - 1)),
    )


@pytest.mark.parametrize("edge", [0.0, 0.3, 2.0, 20.0])
@pytest.mark.parametrize(
    ("height", "width", "labels"),
    [(1, 2, 2), (2, 2, 2), (3, 3, 2), (2, 4, 2), (2, 2, 3), (3, 3, 3), (2, 2, 5), (1, 5, 4)],
)
def test_the_cut_is_the_least_of_all_labellings(height, width, labels, edge):
    batch = 3 if labels ** (height * width) > 10_000 else 20
    costs = random_costs(batch, height, width, labels, edge)
    found = cut_grid(*costs)
    assert found.shape == (batch, height, width)
    assert found.min() >= 0
    assert found.max() < labels
    energy = grid_energy(found, *costs)
    for b in range(batch):
        every, energies = oracle.grid_energies(*(c[b] for c in costs))
        mine = energies[(every == found[b]).all((1, 2))]
        assert energy[b] == pytest.approx(mine[0], rel=1e-12)
        # Costs are rounded to 2^-22; second best labellings are farther away than that.
        assert mine[0] == pytest.approx(energies.min(), abs=1e-5)


def test_the_cut_does_not_depend_on_the_rest_of_the_batch():
    costs = random_costs(40, 4, 4, 3, 0.5)
    alone = [cut_grid(*(c[b : b + 1] for c in costs))[0] for b in range(40)]
    assert np.array_equal(cut_grid(*costs), np.stack(alone))


def test_huge_costs_are_scaled_and_not_overflown():
    costs = tuple(1e7 * c for c in random_costs(16, 3, 3, 3, 1.0))
    for b, found in enumerate(cut_grid(*costs)):
        every, energies = oracle.grid_energies(*(c[b] for c in costs))
        mine = energies[(every == found).all((1, 2))][0]
        assert mine == pytest.approx(energies.min(), rel=1e-6)


@pytest.mark.parametrize(("blocks", "neigh_size"), [(2, 4), (2, 8), (2, 1), (4, 2)])
def test_energy_of_masks_of_0_and_1_is_the_written_out_one(blocks, neigh_size):
    own, other = x[:2].double(), x[2:4].double()
    share, other_share = rng.random((2, 2, blocks, blocks))
    settings = dict(beta=1.2, gamma=0.7, eta=0.2, neigh_size=neigh_size)
    costs = block_energy(own, other, share, other_share, 0.3, n_labels=2, **settings)
    masks = rng.integers(2, size=(12, blocks, blocks))
    masks[0], masks[1] = 0, 1
    for b in range(2):
        wanted = [
            oracle.mask_energy(
                m, own[b].numpy(), other[b].numpy(), share[b], other_share[b], 0.3, **settings
            )
            for m in masks
        ]
        alone = tuple(c[b : b + 1] for c in costs)
        found = [grid_energy(1 - m[None], *alone)[0] for m in masks]
        # Equal up to one constant.
        assert np.ptp(np.subtract(found, wanted)) < 1e-12


def test_more_labels_interpolate_between_two():
    share, other_share = rng.random((2, 2, 4, 4))
    arguments = (x[:2].double(), x[2:4].double(), share, other_share, 0.3)
    two = block_energy(*arguments, n_labels=2, eta=0)
    three = block_energy(*arguments, n_labels=3, eta=0)
    assert np.allclose(three[0][..., 0], two[0][..., 0])
    assert np.allclose(three[0][..., 2], two[0][..., 1])
    assert np.allclose(three[0][..., 1], two[0].mean(-1))
    assert np.array_equal(two[1], three[1])
    # The prior: (L-1) z is binomial.
    prior = block_energy(*arguments, n_labels=3, eta=1)[0] - three[0]
    assert np.allclose(prior[0, 0, 0] * 16, -np.log([0.09, 0.42, 0.49]), atol=1e-6)


def test_a_mask_shows_each_image_where_it_is_salient():
    share = np.zeros((1, 4, 4))
    share[0, :, :2] = 1 / 8
    costs = block_energy(x[:1], x[1:2], share, share[:, :, ::-1], 0.5)
    assert np.array_equal(cut_grid(*costs)[0], [[0, 0, 2, 2]] * 4)


def test_transport_is_the_best_of_all_permutations():
    for side, count in ((2, 30), (3, 1)):
        share = rng.dirichlet(np.ones(side * side), count).reshape(-1, side, side)
        shown = rng.random((count, side, side)) < 0.5
        for t_eps in (0.01, 0.3):
            plans = transport_plan(share, shown, t_eps)
            for s, seen, plan in zip(share, shown, plans, strict=True):
                every, cost = oracle.transport_costs(s, seen, t_eps)
                mine = cost[(every == plan).all(1)]
                assert mine[0] == pytest.approx(cost.min(), abs=1e-12)


def test_nothing_moves_where_moving_is_dear_or_gains_nothing():
    share = rng.dirichlet(np.ones(16), 3).reshape(-1, 4, 4)
    shown = rng.random((3, 4, 4)) < 0.5
    stay = np.tile(np.arange(16), (3, 1))
    assert np.array_equal(transport_plan(share, shown, 1e6), stay)
    assert np.array_equal(transport_plan(share, np.ones_like(shown), 0.0), stay)
    assert np.array_equal(transport_plan(share, ~np.ones_like(shown), 0.0), stay)


def test_saliency_of_a_linear_network():
    weight = torch.randn(3, 3 * 16 * 16, generator=Rng(0).torch(), dtype=torch.float64)
    images = x.double()
    logits = images.flatten(1) @ weight.T
    p = logits.softmax(-1) - nn.functional.one_hot(y, 3)
    wanted = (p @ weight).view(-1, 3, 16, 16).square().mean(1).sqrt()
    found = saliency(images, y, lambda batch: batch.flatten(1) @ weight.T)
    assert torch.allclose(found, wanted, rtol=1e-12)


def test_saliency_leaves_the_model_and_the_images_as_they_were():
    MODEL.train()
    MODEL.stages[1].eval()
    modes = [m.training for m in MODEL.modules()]
    state = {k: v.clone() for k, v in MODEL.state_dict().items()}
    images = x.clone()
    with torch.no_grad():
        saliency(images, y, MODEL)
    assert [m.training for m in MODEL.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in MODEL.state_dict().items())
    assert all(p.grad is None for p in MODEL.parameters())
    assert torch.equal(images, x)
    assert not images.requires_grad
    with torch.inference_mode():
        saliency(x + 0, y, MODEL)
    MODEL.train()

    def broken(images):
        raise KeyError("broken")

    with pytest.raises(KeyError):
        saliency(x, y, broken)


@pytest.mark.parametrize("blocks", [2, 4, 8])
@pytest.mark.parametrize("t_size", [1, 2, 4])
def test_a_draw_is_the_parts_put_together(blocks, t_size):
    maker = PuzzleMix(blocks=(blocks,), t_size=t_size, t_eps=0.05)
    pair = maker.draw(x, y, MODEL, Rng(4))
    mask = pair.weight[:, 0].double().numpy()
    block = 16 // blocks
    assert np.array_equal(mask, mask[:, ::block, ::block].repeat(block, 1).repeat(block, 2))
    assert set(np.unique(mask)) <= {0.0, 0.5, 1.0}
    assert torch.equal(pair.lam, pair.weight.mean((1, 2, 3)))
    lam = PuzzleMix().draw(x, y, MODEL, Rng(4)).partner
    assert torch.equal(pair.partner, lam)
    # The saliency, pooled; the mask has the least energy for it.
    salient = saliency(x, y, MODEL).double().numpy()

    def shares(side):
        pooled = salient.reshape(6, side, 16 // side, side, 16 // side).mean((2, 4))
        return pooled / pooled.sum((1, 2), keepdims=True)

    order = pair.partner.numpy()
    lam = Mixup(1.0).draw(x, y, None, Rng(4)).lam
    costs = block_energy(x, x[order], shares(blocks), shares(blocks)[order], lam)
    labels = np.rint(2 * (1 - mask[:, ::block, ::block])).astype(int)
    assert np.allclose(
        grid_energy(labels, *costs), grid_energy(cut_grid(*costs), *costs), atol=1e-4
    )
    # The moves are the best ones for that mask, and the mix moves patches so.
    edge = t_size if block % t_size == 0 else block
    side = 16 // edge
    fine = mask[:, ::edge, ::edge]
    own = transport_plan(shares(side), fine > 0, 0.05)
    other = transport_plan(shares(side)[order], fine < 1, 0.05)
    wanted = np.stack(
        [
            mask[i] * oracle.moved_patches(x[i].numpy(), own[i], side)
            + (1 - mask[i]) * oracle.moved_patches(x[order[i]].numpy(), other[i], side)
            for i in range(6)
        ]
    )
    assert np.allclose(mix(x, pair).numpy(), wanted, atol=1e-6)
    both = mix(torch.stack([x, 1 - x]), pair, dim=1)
    assert torch.allclose(both[0], mix(x, pair))
    assert torch.allclose(both[1], 1 - both[0], atol=1e-6)


def test_moves_keep_every_pixel():
    pair = PuzzleMix(t_eps=0.0, eta=0.0, beta=0.0, blocks=(4,)).draw(x, y, MODEL, Rng(1))
    for index in (pair.source, pair.partner_source):
        assert torch.equal(index.flatten(1).sort().values, torch.arange(256).expand(6, -1))
    assert (pair.source.flatten(1) != torch.arange(256)).any()


def test_draws_are_keyed_and_shared_with_mixup():
    makers = [PuzzleMix(), PuzzleMix(transport=False), PuzzleMix(beta=3)]
    pairs = [m.draw(x, y, MODEL, Rng(2)) for m in makers]
    assert all(torch.equal(p.partner, Mixup().draw(x, y, None, Rng(2)).partner) for p in pairs)
    again = makers[0].draw(x, y, MODEL, Rng(2))
    assert torch.equal(again.weight, pairs[0].weight)
    assert torch.equal(again.source, pairs[0].source)
    assert pairs[1].source is None


def test_the_number_of_blocks_is_uniform_and_fits():
    # A mask that follows the saliency alone changes between blocks: the finest change tells n.
    maker = PuzzleMix(beta=0.0, eta=0.0, transport=False, t_size=1, blocks=(2, 4, 5, 8))
    counts = {2: 0, 4: 0, 8: 0}
    for seed in range(150):
        pair = maker.draw(x, y, MODEL, Rng(seed))
        mask = pair.weight[:, 0]
        if torch.equal(pair.partner, torch.arange(6)):
            continue
        down = (mask.diff(dim=1) != 0).any(0).any(1).nonzero().flatten() + 1
        right = (mask.diff(dim=2) != 0).any(0).any(0).nonzero().flatten() + 1
        counts[16 // int(np.gcd.reduce(torch.cat([down, right]).numpy()))] += 1
    # 5 does not divide 16; the others come with probability 1/3 each.
    assert sum(counts.values()) >= 145
    assert all(abs(count - 50) < 4 * (150 * 2 / 9) ** 0.5 for count in counts.values()), counts


def test_label_weight_follows_lambda():
    """A strong prior makes the mask's mean lambda's own; without any, saliency decides."""
    lams, means = [], []
    for seed in range(12):
        pair = PuzzleMix(eta=50, beta=0, n_labels=9, blocks=(4,)).draw(x, y, MODEL, Rng(seed))
        lams.append(Mixup(1.0).draw(x, y, None, Rng(seed)).lam)
        means.append(float(pair.lam.mean()))
    assert np.abs(np.subtract(lams, means)).max() < 0.1


def test_never_mixing():
    pair = PuzzleMix(prob=0.0).draw(x, y, MODEL, Rng(0))
    assert (pair.lam, pair.source) == (1.0, None)
    assert torch.equal(mix(x, pair), x)


def test_it_is_a_mixer_of_images():
    assert isinstance(PuzzleMix(), Mixer)
    with pytest.raises(ValueError, match=r"mixes images, so points must be \(0,\)"):
        Scheme("s", mix=PuzzleMix(), points=(0, 1))
    parts = batch_loss(MODEL, (x, y), Scheme("s", mix=PuzzleMix()), Rng(0))
    parts.total.backward()
    assert all(p.grad is not None for p in MODEL.parameters())
    MODEL.zero_grad()


nan = torch.full_like(x, float("nan"))
costs = random_costs(1, 2, 2, 3, 1.0)
identity = Pair.identity(6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PuzzleMix(alpha=0), "alpha must .* got 0; for no mixing use mix=None"),
        (lambda: PuzzleMix(gamma=1.5), r"gamma must lie in \[0, 1\], got 1.5"),
        (lambda: PuzzleMix(prob=-1), r"prob must lie in \[0, 1\], got -1"),
        (lambda: PuzzleMix(n_labels=1), "n_labels must be an integer >= 2, got 1"),
        (lambda: PuzzleMix(blocks=(1,)), "blocks must be an integer >= 2, got 1"),
        (lambda: PuzzleMix(beta=-1), "beta must .* got -1"),
        (lambda: PuzzleMix(blocks=(3, 5)).draw(x, y, MODEL, Rng(0)), "none of .* divides"),
        (
            lambda: PuzzleMix(blocks=(2,), neigh_size=3).draw(x, y, MODEL, Rng(1)),
            "neigh_size=3 divides none of the blocks of 8 pixels; use neigh_size=8",
        ),
        (lambda: PuzzleMix().draw(x, None, MODEL, Rng(0)), "needs labels"),
        (lambda: PuzzleMix().draw(x, y, None, Rng(0)), "needs a model"),
        (lambda: PuzzleMix().draw(x[..., :8], y, MODEL, Rng(0)), r"square images .* 16, 8\)"),
        (lambda: PuzzleMix().draw(255 * x, y, MODEL, Rng(0)), r"x must lie in \[0, 1\].* by 255"),
        (lambda: PuzzleMix().draw(nan, y, MODEL, Rng(0)), r"x must lie in \[0, 1\], got \d+ NaN"),
        (lambda: PuzzleMix().draw(x, y + 1, MODEL, Rng(0)), "label 3 is out of range"),
        (lambda: cut_grid(costs[0], -costs[1], costs[2]), "vertical weights must be >= 0"),
        (lambda: cut_grid(costs[0], costs[1], costs[1]), r"horizontal must have shape \(1, 2, 1\)"),
        (lambda: cut_grid(costs[0][..., :1], *costs[1:]), "at least 2 labels, got 1"),
        (lambda: cut_grid(costs[0] * float("nan"), *costs[1:]), "must be finite"),
        (
            lambda: mix(x, Pair(identity.partner, 1.0, 1.0, torch.zeros(6, 8, 8).long())),
            "moves pixels of 8x8 images .*; mix at point 0",
        ),
        (
            lambda: Pair(identity.partner, 1.0, 1.0, torch.zeros(5, 8, 8).long()),
            r"source must be an integer tensor \(B, H, W\) with B = 6",
        ),
    ],
)
def test_nonsense_is_refused_with_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("module", ["scipy.sparse", "scipy.optimize"])
def test_without_scipy_the_error_says_what_to_install(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install scipy$"):
        PuzzleMix(blocks=(4,)).draw(x, y, MODEL, Rng(0))


@pytest.mark.parametrize("size", [24, 28, 32, 36, 40, 48, 56, 64, 96])
def test_every_draw_succeeds_at_common_sizes(size):
    images = torch.from_numpy(rng.random((2, 3, size, size), dtype=np.float32))
    net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.LazyLinear(3))
    net(images)
    edges = PuzzleMix().blocks
    try:
        mixer = PuzzleMix(t_size=size // 4)
        pairs = [mixer.draw(images, y[:2], net, Rng(0).fold(k)) for k in range(12)]
    except ValueError as error:
        # A block of 14 or of 9 pixels has no cells of 4: the remedy in the message works.
        remedy = int(str(error).rsplit("=", 1)[1])
        mixer = PuzzleMix(neigh_size=remedy, blocks=edges, t_size=size // 4)
        pairs = [mixer.draw(images, y[:2], net, Rng(0).fold(k)) for k in range(12)]
        assert size in (28, 36)
    assert any(isinstance(pair.weight, torch.Tensor) for pair in pairs)
