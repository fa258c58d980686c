"""Dual normalisation and dropout: who takes which route, and where the masks come from."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nmlib as nm
from nmlib.models import adversarial_norm, build_model, dropout_stream
from nmlib.models.norm import (
    DualBatchInstanceNorm2d,
    DualBatchNorm2d,
    Normalise,
    StreamDropout,
)


def field(*shape, seed=0):
    return torch.randn(*shape, generator=nm.Rng(seed).torch())


# -- dual normalisation ---------------------------------------------------------------------------


def by_hand(x, layer):
    """Batch statistics of x, with the weights of a layer."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    scaled = (x - mean) / (var + layer.eps).sqrt()
    return scaled * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1)


def layer_with_weights():
    layer = DualBatchNorm2d(3)
    with torch.no_grad():
        layer.main.weight.copy_(torch.tensor([1.0, 2, 3]))
        layer.adversarial.bias.copy_(torch.tensor([4.0, 5, 6]))
    return layer


@pytest.mark.parametrize(
    "routes", [(True,), (False,), (False, True), (True, False, False), (False, True, True, False)]
)
def test_views_are_normalised_with_their_own_kind(routes):
    layer, x = layer_with_weights(), field(12, 3, 4, 4)
    with adversarial_norm(layer, routes):
        got = layer(x)
    size = 12 // len(routes)
    hard = torch.tensor(routes).repeat_interleave(size)
    for mask, part in ((hard, layer.adversarial), (~hard, layer.main)):
        if mask.any():
            assert torch.allclose(got[mask], by_hand(x[mask], part), atol=1e-5)
            mean = x[mask].mean((0, 2, 3))
            assert torch.allclose(part.running_mean, 0.1 * mean, atol=1e-6)
            assert int(part.num_batches_tracked) == 1
        else:
            assert int(part.num_batches_tracked) == 0


def test_without_a_context_all_samples_are_ordinary():
    layer, x = layer_with_weights(), field(4, 3, 2, 2)
    assert torch.allclose(layer(x), by_hand(x, layer.main), atol=1e-5)
    assert int(layer.adversarial.num_batches_tracked) == 0


def test_evaluation_uses_the_running_statistics_of_the_route():
    layer, x = layer_with_weights().eval(), field(6, 3, 2, 2)
    layer.main.running_mean += 1
    layer.adversarial.running_var += 3
    with adversarial_norm(layer, (False, True)):
        got = layer(x)
    assert torch.equal(got[:3], layer.main(x[:3]))
    assert torch.equal(got[3:], layer.adversarial(x[3:]))


def test_contexts_nest_and_end():
    model = nn.Sequential(DualBatchNorm2d(2), nn.Sequential(DualBatchNorm2d(2)))
    layers = [model[0], model[1][0]]
    with pytest.raises(KeyError), adversarial_norm(model, (False, True)):
        with adversarial_norm(model):
            assert all(layer.routes == (True,) for layer in layers)
        assert all(layer.routes == (False, True) for layer in layers)
        raise KeyError
    assert all(layer.routes == (False,) for layer in layers)
    plain = nn.BatchNorm2d(2)
    with adversarial_norm(plain):
        assert plain(field(4, 2, 2, 2)).shape == (4, 2, 2, 2)


def test_wrong_routes_are_named():
    layer = DualBatchNorm2d(2)
    with (
        adversarial_norm(layer, (False, True, False)),
        pytest.raises(ValueError, match="batch of 4 does not divide into the 3 views"),
    ):
        layer(field(4, 2, 2, 2))
    with pytest.raises(ValueError, match="at least one view"), adversarial_norm(layer, ()):
        pass


def test_instance_half_and_batch_half():
    layer, x = DualBatchInstanceNorm2d(5), field(4, 5, 3, 3)
    got = layer(x)
    assert torch.allclose(got[:, :2], F.instance_norm(x[:, :2]), atol=1e-5)
    assert torch.allclose(got[:, 2:], by_hand(x[:, 2:], layer.batch.main), atol=1e-5)
    # An instance is normalised by itself: the rest of the batch does not matter, in any mode.
    assert torch.allclose(layer(x[:1])[:, :2], got[:1, :2], atol=1e-5)
    assert torch.allclose(layer.eval()(x)[:, :2], got[:, :2], atol=1e-5)
    assert layer.instance.weight.requires_grad


def kinds(model):
    """Where the layers of each kind are: (stage, name in its block)."""
    found = {}
    for name, module in model.named_modules():
        for kind in (DualBatchInstanceNorm2d, DualBatchNorm2d, nn.BatchNorm2d):
            if type(module) is kind:
                found.setdefault(kind, []).append(name)
                break
    return found


@pytest.mark.parametrize(
    ("name", "options", "blocks"),
    [("preact_resnet18", {"skip": "standard"}, [2, 2, 2]), ("wrn28_2", {}, [4, 4, 4])],
)
def test_dubin_leads_the_blocks_of_layers_1_to_3(name, options, blocks):
    found = kinds(build_model(name, norm="dubin", **options))
    first = found[DualBatchInstanceNorm2d]
    assert [sum(n.startswith(f"stages.{k}.") for n in first) for k in range(3)] == blocks
    assert len(first) == sum(blocks) and all(n.endswith("norm1") for n in first)
    # Every plain layer belongs to a dual one.
    assert all(n.endswith((".main", ".adversarial")) for n in found[nn.BatchNorm2d])
    dual = kinds(build_model(name, norm="dual", **options))
    assert DualBatchInstanceNorm2d not in dual
    assert len(dual[DualBatchNorm2d]) == len(found[DualBatchNorm2d])
    plain = kinds(build_model(name, **options))
    assert set(plain) == {nn.BatchNorm2d}
    assert len(plain[nn.BatchNorm2d]) == len(dual[DualBatchNorm2d])


def test_routes_reach_every_layer_of_a_network():
    model = build_model("preact_resnet_small", norm="dubin")
    x = field(6, 3, 32, 32).sigmoid()
    start = {k: v.clone() for k, v in model.state_dict().items()}
    with adversarial_norm(model):
        model(x)
    after = model.state_dict()
    moved = {k for k in after if not torch.equal(after[k], start[k])}
    statistics = {k for k in after if "running" in k or "tracked" in k}
    assert moved == {k for k in statistics if ".adversarial." in k}
    # Routed as views, the ordinary ones come out as they do alone.
    model.eval()
    with adversarial_norm(model, (False, False, True)):
        got = model(x)
    assert torch.allclose(got[:4], model(x[:4]), atol=1e-5)
    with adversarial_norm(model):
        assert torch.allclose(got[4:], model(x[4:]), atol=1e-5)


def test_gradients_go_both_ways():
    model = build_model("preact_resnet_small", norm="dual")
    with adversarial_norm(model, (False, True)):
        model(field(4, 3, 32, 32).sigmoid()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


# -- the normalisation of the input ---------------------------------------------------------------


def test_normalise():
    x = field(2, 3, 4, 4)
    got = Normalise((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))(x)
    for c, (mean, std) in enumerate([(0.1, 1.0), (0.2, 2.0), (0.3, 4.0)]):
        assert torch.allclose(got[:, c], (x[:, c] - mean) / std)
    model = build_model("preact_resnet_small", mean=(0.4, 0.5, 0.6), std=0.25)
    assert not any("mean" in k for k in model.state_dict() if "running" not in k)
    assert torch.allclose(model(x, stop=0)[:, 2], (x[:, 2] - 0.6) / 0.25)
    with pytest.raises(ValueError, match="mean must be finite"):
        Normalise(float("nan"), 1.0)
    with pytest.raises(ValueError, match="std must be finite and > 0"):
        Normalise(0.0, (1.0, -1.0, 1.0))


# -- dropout --------------------------------------------------------------------------------------


def test_nothing_is_dropped_in_evaluation_mode_or_with_probability_0():
    x = torch.ones(3)
    assert StreamDropout(0.3).eval()(x) is x and StreamDropout(0.0)(x) is x


def drops(model, x=None, passes=3):
    """Which entries each StreamDropout sets to 0, pass after pass."""
    found = []
    layers = [m for m in model.modules() if isinstance(m, StreamDropout)]
    hooks = [m.register_forward_hook(lambda m, i, o: found.append(o == 0)) for m in layers]
    for _ in range(passes):
        model(field(4, 3, 32, 32).sigmoid() if x is None else x)
    for hook in hooks:
        hook.remove()
    return found


def same(some, others):
    return [torch.equal(a, b) for a, b in zip(some, others, strict=True)]


def test_in_ones_own_loop_a_network_drops_by_its_seed():
    def network(seed=0):
        return build_model("wrn28_2", depth=10, widen=1, dropout=0.5, seed=seed)

    before = torch.get_rng_state()
    model = network()
    masks = drops(model)
    assert torch.equal(torch.get_rng_state(), before)
    # Seed, layer and pass decide, and they alone: also of copies, and stored and read again.
    assert all(same(masks, drops(network())))
    half = network()
    first = drops(half, passes=1)
    rest = [drops(m, passes=2) for m in (copy.deepcopy(half), pickle.loads(pickle.dumps(half)))]
    assert all(same(masks, first + rest[0])) and all(same(masks, first + rest[1]))
    assert not any(same(masks, drops(network(seed=1))))
    layers = len(masks) // 3
    assert not any(same(masks[:-layers], masks[layers:]))
    # Layers of one shape do not share their masks, nor do those of networks put together by hand.
    by_hand = nm.StagedModel([StreamDropout(0.5), StreamDropout(0.5)])
    assert not torch.equal(*drops(by_hand, torch.ones(4, 64), 1))


def test_a_stream_that_is_given_is_kept():
    def masks():
        layer = StreamDropout(0.5, nm.Rng(7).fold("mine"))
        return drops(nm.StagedModel([nn.Identity(), layer]), torch.ones(4, 64))

    alone = drops(StreamDropout(0.5, nm.Rng(7).fold("mine")), torch.ones(4, 64))
    assert all(same(masks(), alone))


def test_steps_of_batch_loss_do_not_move_the_networks_own_stream():
    def network():
        return build_model("wrn28_2", depth=10, widen=1, dropout=0.5)

    model, x = network(), field(4, 3, 32, 32).sigmoid()
    nm.batch_loss(model, (x, torch.arange(4)), nm.SCHEMES["baseline"], nm.Rng(0))
    model.eval()(x)
    assert all(same(drops(model.train()), drops(network())))


def test_a_compiled_network_drops_anew_in_every_pass():
    layer, x = StreamDropout(0.5), torch.ones(64)
    compiled = torch.compile(nn.Sequential(layer), backend="eager")
    masks = [compiled(x) for _ in range(10)]
    assert all(same(masks, [m(x) for m in [StreamDropout(0.5)] for _ in range(10)]))


def test_a_mask_that_cannot_be_repeated_is_refused():
    y = torch.utils.checkpoint.checkpoint(
        nn.Sequential(StreamDropout(0.5), nn.Tanh()), torch.ones(4, requires_grad=True),
        use_reentrant=False,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match=r"cannot repeat its mask .*use nn\.Dropout"):
        y.sum().backward()


def test_dropout_keeps_the_mean():
    layer, x = StreamDropout(0.3), torch.full((200_000,), 2.0)
    with dropout_stream(layer, nm.Rng(0)):
        y = layer(x)
    values, counts = y.unique(return_counts=True)
    assert values.tolist() == pytest.approx([0, 2 / 0.7])
    # Five standard errors of a binomial share.
    assert float(counts[0]) / len(x) == pytest.approx(0.3, abs=5 * (0.21 / len(x)) ** 0.5)


def test_dropout_leaves_zero_gradients_where_it_drops():
    layer, x = StreamDropout(0.5), torch.ones(50, requires_grad=True)
    with dropout_stream(layer, nm.Rng(0)):
        y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_masks_depend_on_the_stream_the_layer_and_the_pass():
    two = nn.ModuleList([StreamDropout(0.5), StreamDropout(0.5)])
    x = torch.ones(64)

    def draw(rng):
        with dropout_stream(two, rng):
            return [two[0](x), two[1](x), two[0](x)]

    before = torch.get_rng_state()
    first, again, other = draw(nm.Rng(0)), draw(nm.Rng(0)), draw(nm.Rng(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        assert not torch.equal(first[a], first[b])
    assert not torch.equal(first[0], other[0])


def test_streams_nest_and_end():
    layer, x = StreamDropout(0.5), torch.ones(64)
    with dropout_stream(layer, nm.Rng(0)):
        alone = [layer(x), layer(x)]
    with dropout_stream(layer, nm.Rng(0)):
        first = layer(x)
        with dropout_stream(layer, nm.Rng(9)):
            layer(x)
        with dropout_stream(layer, None):  # changes nothing
            second = layer(x)
    assert torch.equal(first, alone[0]) and torch.equal(second, alone[1])
    with pytest.raises(KeyError), dropout_stream(layer, nm.Rng(0)):
        raise KeyError
    assert layer.generator is None


def test_training_steps_seed_dropout_by_themselves():
    model = build_model("wrn28_2", depth=10, widen=1, dropout=0.5)
    x, y = field(8, 3, 32, 32).sigmoid(), torch.arange(8)
    scheme = nm.Scheme("baseline")
    global_state = torch.get_rng_state()
    losses = [
        float(nm.batch_loss(model, (x, y), scheme, nm.Rng(0).fold(s)).ce.detach())
        for s in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.get_rng_state(), global_state)


def test_dual_norm_refuses_to_guess_its_half_when_a_part_runs_again():
    layer, x = DualBatchNorm2d(2), torch.ones(6, 2, 1, 1, requires_grad=True)
    with adversarial_norm(layer, (False, False, True)):
        y = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    with pytest.raises(RuntimeError, match=r"leave the part with it out of checkpointing"):
        y.sum().backward()
