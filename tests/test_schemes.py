"""Schemes as values: of Fig. 4, by name, of the ablation; nonsense; every one against an oracle."""

import pickle
import warnings
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from oracles import schemes as oracle
from torch import nn

from nmlib import (
    ABLATION,
    FIG4,
    READINGS,
    SCHEMES,
    AugMax,
    Augmented,
    AugMix,
    CutMix,
    Mixup,
    Noise,
    Plain,
    Rng,
    Scheme,
    StagedModel,
    batch_loss,
    build_model,
    fig4_schemes,
    get_scheme,
    suited,
)
from nmlib.models.norm import DualBatchNorm2d, Normalise
from nmlib.objective import draw_batch
from nmlib.schemes import Mixer, ViewMaker

X = torch.zeros(6, 2)


def test_the_six_schemes_are_switches_of_one_another():
    s = fig4_schemes()
    assert tuple(s) == FIG4
    assert [name for name, scheme in s.items() if scheme.mix] == list(FIG4[2:])
    assert [name for name, scheme in s.items() if scheme.noise] == [
        "noise_injection", "nfm", "noisymix",
    ]  # fmt: skip
    assert [name for name, scheme in s.items() if scheme.stability] == list(FIG4[4:])
    # Each row differs from its neighbour in the named switch only.
    same = replace(s["noisymix"], noise=None, name="manifold_mixup_jsd")
    assert same == s["manifold_mixup_jsd"]
    nfm = replace(s["noisymix"], name="nfm", stability=0.0, views=Plain(1), pairing="shared")
    assert nfm == s["nfm"]
    assert replace(s["nfm"], name="manifold_mixup", noise=None) == s["manifold_mixup"]


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("law", ["paper", "released"])
def test_every_reading_makes_six_valid_schemes(reading, law):
    schemes = fig4_schemes(
        alpha=0.3, additive=0.6, multiplicative=0.1, stability=2, reading=reading, law=law
    )
    assert all(s.mix is None or s.mix == Mixup(0.3) for s in schemes.values())
    jsd = schemes["manifold_mixup_jsd"]
    # Some difference between the views is left, or the divergence would be 0.
    assert jsd.pairing != "shared" or jsd.noise is not None
    for scheme in schemes.values():
        if scheme.noise is not None:
            assert (scheme.noise.additive, scheme.noise.multiplicative) == (0.6, 0.1)
            assert scheme.noise.law == law


def test_sliders_at_zero_make_valid_schemes():
    for reading in READINGS:
        schemes = fig4_schemes(additive=0, multiplicative=0, stability=0, reading=reading)
        assert all(s.stability == 0 and s.views.count == 1 for s in schemes.values())
        fig4_schemes(additive=0, multiplicative=0, stability=1, reading=reading)


def test_schemes_are_frozen_and_hashable():
    scheme = fig4_schemes()["noisymix"]
    with pytest.raises(FrozenInstanceError):
        scheme.stability = 3
    assert len(set(fig4_schemes().values())) == 6
    assert {f.name for f in fields(scheme)} >= {"views", "mix", "noise", "points", "stability"}


def test_parts_satisfy_their_protocols():
    assert isinstance(Plain(2), ViewMaker)
    assert all(isinstance(m, Mixer) for m in (Mixup(), CutMix()))


def test_points_are_uniform_and_keyed():
    scheme = Scheme("s", mix=Mixup(), points=(0, 1, 3))
    drawn = np.array([scheme.draw_point(Rng(0).fold(t)) for t in range(3000)])
    assert set(drawn) == {0, 1, 3}
    for k in (0, 1, 3):
        assert (drawn == k).mean() == pytest.approx(1 / 3, abs=4 * (2 / 9 / 3000) ** 0.5)
    assert scheme.draw_point(Rng(0, "meta")) == scheme.draw_point(Rng(0))


def test_pairs_follow_the_pairing():
    s = fig4_schemes()
    assert s["baseline"].draw_pairs(X, None, None, Rng(0)) == ()
    (shared,) = s["nfm"].draw_pairs(X, None, None, Rng(0))
    independent = s["noisymix"].draw_pairs(X, None, None, Rng(0))
    assert len(independent) == 3
    assert len({p.lam for p in independent}) == 3
    unmixed = fig4_schemes(reading="unmixed")["noisymix"].draw_pairs(X, None, None, Rng(0))
    assert [p.lam for p in unmixed] == [shared.lam, 1.0]
    # View 0, which carries the labels, has the same pair under every reading.
    assert independent[0].lam == shared.lam
    assert torch.equal(independent[0].partner, shared.partner)


def test_switches_do_not_shift_each_others_draws():
    s = fig4_schemes()
    for t in range(5):
        rng = Rng(3).fold(t)
        (with_noise,) = s["nfm"].draw_pairs(X, None, None, rng)
        (without,) = s["manifold_mixup"].draw_pairs(X, None, None, rng)
        assert with_noise.lam == without.lam
        assert torch.equal(with_noise.partner, without.partner)
        assert s["nfm"].draw_point(rng) == s["noisymix"].draw_point(rng)


plain3 = Plain(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Scheme("s", stability=-1), "stability must .* got -1"),
        (lambda: Scheme("s", stability=2), "'s': stability=2 compares views .*; use views=Plain"),
        (lambda: Scheme("s", plain3), "makes 3 views but stability=0 .*; set stability or use"),
        (lambda: Scheme("s", points=()), r"points must be mix points >= 0, got \(\)"),
        (lambda: Scheme("s", points=(0, -1)), r"got \(0, -1\); \(0,\) is the input"),
        (lambda: Scheme("s", points=(0.5,)), r"got \(0.5,\)"),
        (lambda: Scheme("s", mix=CutMix(), points=(0, 1)), r"mixes images, so points .* \(0, 1\)"),
        (lambda: Scheme("s", pairing="independent"), "needs a mixer; set mix or use"),
        (lambda: Scheme("s", mix=Mixup(), pairing="sharde"), "'sharde'; did you mean 'shared'"),
        (lambda: Scheme("s", divergence="kld"), "unknown divergence 'kld'; did you mean 'kl'"),
        (lambda: Scheme("s", AugMix()), "makes 3 views but stability=0 .*; set stability or use"),
        (lambda: Scheme("s", Augmented(), stability=12), "compares views but .* makes 1; use"),
        # Identical views: the divergence would be 0 whatever its weight.
        (lambda: Scheme("s", plain3, Mixup(), stability=12), "always 0; use views=AugMix"),
        (lambda: fig4_schemes(reading="indep"), "unknown reading 'indep'; did you mean"),
        (lambda: fig4_schemes(alpha=0), "alpha must .* got 0; for no mixing use mix=None"),
        (lambda: fig4_schemes(additive=-1), "additive must .* got -1"),
        (lambda: fig4_schemes(law="relased"), "'relased'"),
        (lambda: Plain(0), "copies must be an integer >= 1, got 0"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_divergence_without_mixing_is_allowed_with_noise():
    assert Scheme("s", plain3, noise=Noise(0.1), stability=1).pairing == "shared"


# -- named schemes and the ablation ------------------------------------------------------------

TABLE_4 = ["✗✗✗✗", "✗✗✓✗", "✗✓✗✗", "✗✓✓✗", "✓✗✗✗", "✓✗✓✓", "✓✗✗✓", "✓✓✓✗", "✓✓✗✓", "✓✓✓✓"]

STRIDES = (1, 2, 1)
B = 4
images = torch.from_numpy(np.random.default_rng(1).random((B, 3, 8, 8)))
classes = torch.tensor([0, 2, 1, 2])


def small_network():
    """Return a network with the mix points of the image networks, and the oracle's copy of it."""
    generator = Rng(7).torch()
    stages, weights = [], []
    for fan_in, fan_out, stride in zip((3, 4, 4), (4, 4, 5), STRIDES, strict=True):
        layer = nn.Conv2d(fan_in, fan_out, 3, stride, 1).double()
        stages.append(nn.Sequential(layer, nn.ReLU()))
        weights.append(layer)
    head = nn.Linear(5, 3).double()
    with torch.no_grad():
        for layer in (*weights, head):
            layer.weight.normal_(generator=generator).mul_(0.5)
            layer.bias.normal_(generator=generator).mul_(0.1)
    stages.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head))
    arrays = [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in (*weights, head)]
    model = StagedModel(stages, normalise=Normalise(0.5, 0.5).double())
    return model, oracle.Net(arrays[:-1], STRIDES, arrays[-1])


MODEL, NET = small_network()


def tape_of(scheme, rng):
    """Return what a step draws, as arrays."""
    draws = draw_batch(MODEL, (images, classes), scheme, rng)
    tape = {"views": draws.views.numpy(), "point": draws.point}
    if draws.pairs:
        (pair,) = draws.pairs
        tape["partner"] = pair.partner.numpy()
        tape["lam"] = np.broadcast_to(np.asarray(pair.lam), B)
        mask = torch.as_tensor(pair.weight, dtype=torch.float64)
        tape["mask"] = mask.broadcast_to(B, 1, 8, 8)[:, 0].numpy()
        if pair.source is not None:
            tape["own"], tape["other"] = pair.source.numpy(), pair.partner_source.numpy()
    if draws.noise is not None:
        at_point = MODEL(draws.views.flatten(0, 1), stop=draws.point)
        like = at_point.unflatten(0, draws.views.shape[:2])
        fields = draws.noise.draw(like, rng.fold("noise"))
        for name in ("additive", "multiplicative"):
            if getattr(fields, name) is not None:
                tape[name] = getattr(fields, name).detach().numpy()
    return tape


@pytest.mark.parametrize(
    ("table", "name"),
    [("schemes", n) for n in SCHEMES] + [("ablation", n) for n in ABLATION],
)
def test_every_scheme_equals_its_oracle(table, name):
    scheme = (SCHEMES if table == "schemes" else ABLATION)[name]
    written_out = (oracle.SCHEMES if table == "schemes" else oracle.ABLATION)[name]
    points = set()
    for t in range(6):
        rng = Rng(11).fold(t)
        tape = tape_of(scheme, rng)
        points.add(tape["point"])
        loss = batch_loss(MODEL, (images, classes), scheme, rng).total.item()
        assert loss == pytest.approx(written_out(NET, tape, classes.numpy()), rel=1e-9)
    assert points <= set(scheme.points)


def test_every_scheme_has_a_name_of_its_own():
    assert [*SCHEMES] == [*oracle.SCHEMES] and [*ABLATION] == [*oracle.ABLATION]
    assert all(scheme.name == name for name, scheme in {**SCHEMES, **ABLATION}.items())
    # One name means one scheme in both tables.
    for name in set(SCHEMES) & set(ABLATION):
        assert SCHEMES[name] == ABLATION[name]
    assert get_scheme("mixing_noise") is ABLATION["mixing_noise"]
    # The toy schemes of Fig. 4 are others of the same names.
    assert fig4_schemes()["noisymix"] != get_scheme("noisymix")
    with pytest.raises(ValueError, match=r"take fig4_schemes\(\)\['manifold_mixup_jsd'\]"):
        get_scheme("manifold_mixup_jsd")


def test_published_settings():
    s = SCHEMES
    assert s["noisymix"].noise == Noise(0.5, 0.5, sparsity=0.65, view_gain=1.0, law="released")
    assert s["nfm"].noise == Noise(0.4, 0.2, law="released")
    assert s["noise_injection"].noise == Noise(0.2, law="released")
    assert [s[n].stability for n in ("augmix", "noisymix", "stability_training")] == [12, 12, 0.01]
    assert [s[n].mix.alpha for n in ("mixup", "manifold_mixup", "nfm", "noisymix")] == [1, 2, 1, 1]
    assert s["cutmix"].mix == CutMix(1.0, 0.5)
    assert {s[n].points for n in ("nfm", "noisymix")} == {(0, 1, 2, 3)}
    assert s["manifold_mixup"].points == (0, 1, 2)
    assert (s["augmax"].views, s["augmax"].stability) == (AugMax(steps=10), 10)
    assert s["augmix"].views == s["noisymix"].views == AugMix(3, 3, -1, 1, 2)


def test_what_the_authors_change_for_a_network_reaches_copies():
    nfm, augmax = SCHEMES["nfm"], SCHEMES["augmax"]
    wide = replace(nfm, noise=Noise(1.0, 0.5, law="released"), points=(0, 1, 2))
    by_hand = Scheme(
        "nfm", Plain(1), Mixup(1.0), Noise(0.4, 0.2, law="released"), (0, 1, 2, 3), origin="nfm"
    )
    assert suited(nfm, "cifar10", "wrn28_4") == suited(by_hand, "cifar10", "wrn28_2") == wide
    assert suited(nfm, "cifar10", "preact_resnet18") is nfm
    # Under another name, with other settings, and again; what was set otherwise stays.
    mine = replace(nfm, name="mine")
    assert suited(mine, "cifar10", "wrn28_4") == replace(wide, name="mine")
    sharper = replace(mine, mix=Mixup(2.0))
    assert suited(sharper, "cifar10", "wrn28_4") == replace(
        sharper, noise=wide.noise, points=(0, 1, 2)
    )
    louder = replace(nfm, noise=Noise(0.7))
    assert suited(louder, "cifar10", "wrn28_4") == replace(louder, points=(0, 1, 2))
    early = replace(nfm, points=(0, 1))
    assert suited(early, "cifar10", "wrn28_4") == replace(early, noise=wide.noise)
    assert suited(wide, "cifar10", "wrn28_4") == wide
    assert suited(replace(augmax, name="a"), "cifar100", "preact_resnet18").stability == 1
    assert suited(replace(augmax, stability=3.0), "cifar100", "preact_resnet18").stability == 3
    assert suited(augmax, "cifar10", "preact_resnet18") is augmax
    assert suited(augmax, "cifar100", "wrn28_4") is augmax
    # A scheme of one's own is nobody's, whatever it is called.
    own = Scheme("nfm", mix=Mixup(1.0), noise=Noise(0.4, 0.2, law="released"), points=(0, 1, 2, 3))
    with pytest.warns(UserWarning, match=r"nothing is known of scheme 'nfm'.*origin='nfm'"):
        assert suited(own, "cifar10", "wrn28_4") is own
    assert suited(replace(own, origin="nfm", name="h"), "cifar10", "wrn28_4") == replace(
        wide, name="h"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in (*SCHEMES.values(), *ABLATION.values()):
            suited(row, "cifar10", "wrn28_4")


def test_where_a_scheme_began_is_no_part_of_it():
    nfm = SCHEMES["nfm"]
    bare = Scheme("nfm", nfm.views, nfm.mix, nfm.noise, nfm.points)
    assert bare == nfm and hash(bare) == hash(nfm) and repr(bare) == repr(nfm)
    assert pickle.loads(pickle.dumps(nfm)).origin == "nfm"


def test_rows_of_table_4_have_its_ticks():
    assert [row.switches.ticks() for row in ABLATION.values()] == TABLE_4
    assert ABLATION["noisymix"].switches == (True, True, True, True)
    assert SCHEMES["stability_training"].switches == (False, False, True, False)
    assert SCHEMES["cutmix"].switches._asdict() == {
        "augmentations": False,
        "feature_mixing": True,
        "noise_injections": False,
        "jsd_loss": False,
    }


def test_rows_differ_in_their_switches_only():
    full = ABLATION["noisymix"]
    for name, row in ABLATION.items():
        on = row.switches
        views = full.views if on.jsd_loss else (Augmented() if on.augmentations else Plain(1))
        made = replace(
            full,
            name=name,
            views=views,
            mix=full.mix if on.feature_mixing else None,
            noise=full.noise if on.noise_injections else None,
            stability=full.stability if on.jsd_loss else 0.0,
            # Without mixing and noise there is nothing to do at a mix point.
            points=full.points if on.feature_mixing or on.noise_injections else (0,),
        )
        assert made == row


@pytest.mark.parametrize("step", range(3))
def test_rows_share_the_draws_of_the_switches_they_share(step):
    rng = Rng(5).fold(step)
    draws = {n: draw_batch(MODEL, (images, classes), s, rng) for n, s in ABLATION.items()}
    full, switches = draws["noisymix"], {n: s.switches for n, s in ABLATION.items()}
    for name, drawn in draws.items():
        on = switches[name]
        if on.feature_mixing:
            assert drawn.pairs[0].lam == full.pairs[0].lam
            assert torch.equal(drawn.pairs[0].partner, full.pairs[0].partner)
        if on.feature_mixing or on.noise_injections:
            assert drawn.point == full.point
        if on.noise_injections:
            assert drawn.noise == full.noise
        if on.jsd_loss:
            assert torch.equal(drawn.views, full.views)
        elif on.augmentations:
            assert torch.equal(drawn.views[0], full.views[1])
        else:
            assert torch.equal(drawn.views[0], full.views[0])
    # The fields too, between rows with as many views.
    for names in (("noise", "mixing_noise", "noisymix_no_jsd"), ("augmix_noise", "noisymix")):
        tapes = [tape_of(ABLATION[name], rng) for name in names]
        assert all(np.array_equal(t["additive"], tapes[0]["additive"]) for t in tapes)
        assert all(np.array_equal(t["multiplicative"], tapes[0]["multiplicative"]) for t in tapes)


def test_stability_training_compares_with_a_noisy_copy():
    parts = batch_loss(MODEL, (images, classes), SCHEMES["stability_training"], Rng(0))
    assert torch.allclose(parts.logits[0], MODEL(images), rtol=1e-12)
    clean, noisy = parts.logits.log_softmax(-1)
    kl = nn.functional.kl_div(noisy, clean, log_target=True, reduction="batchmean")
    assert parts.jsd.item() == pytest.approx(kl.item(), rel=1e-9)
    assert 0 < parts.jsd.item() < 0.1


def test_the_adversarial_view_of_augmax_takes_its_half_of_dual_layers():
    scheme = SCHEMES["augmax"]
    assert (scheme.routes, SCHEMES["augmix"].routes) == ((False, False, True), ())
    model = build_model("preact_resnet_small", 3, widths=(4, 4, 8, 8), norm="dubin")
    dual = next(m for m in model.modules() if isinstance(m, DualBatchNorm2d))
    sizes = {"main": [], "adversarial": []}
    for name, seen in sizes.items():
        layer = getattr(dual, name)
        layer.register_forward_hook(
            lambda module, args, _, seen=seen: seen.append((module.training, len(args[0])))
        )
    batch_loss(model, (images.float(), classes), scheme, Rng(0)).total.backward()
    # The adversary asks the adversarial half alone, in evaluation mode; then all views train.
    assert sizes["main"] == [(True, 2 * B)]
    assert sizes["adversarial"][-1] == (True, B)
    assert all(not training for training, _ in sizes["adversarial"][:-1])
    assert 1 <= len(sizes["adversarial"]) - 1 <= 10
    # AugMix's views all take the ordinary half.
    batch_loss(model, (images.float(), classes), SCHEMES["augmix"], Rng(0))
    assert sizes["main"][-1] == (True, 3 * B)


@pytest.mark.parametrize("table", [SCHEMES, ABLATION])
def test_every_scheme_trains_a_network_with_batch_statistics(table):
    model = build_model("preact_resnet_small", 3, widths=(4, 4, 8, 8))
    for scheme in table.values():
        model.zero_grad()
        parts = batch_loss(model, (images.float(), classes), scheme, Rng(0))
        parts.total.backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
        assert float(model.stages[0][0].weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("noisymx", "noisymix"),
        ("aug_mix", "augmix"),
        ("puzzle_mix", "puzzlemix"),
        ("NFM", "nfm"),
        ("qqq", None),
    ],
)
def test_unknown_names_suggest_the_nearest(name, near):
    hint = f"did you mean '{near}'" if near else "Choose from: baseline"
    with pytest.raises(ValueError, match=f"unknown scheme '{name}'.*{hint}"):
        get_scheme(name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Scheme("s", "augmix"), "views must be e.g. Plain.* got 'augmix'"),
        (lambda: Scheme("s", AugMix), "views must be e.g. Plain.* got <class"),
        (lambda: Scheme("s", mix="mixup"), "mix must be e.g. None or Mixup.* got 'mixup'"),
        (lambda: Scheme("s", mix=1.0), "mix must be e.g. .* got 1.0"),
        (lambda: Scheme("s", noise=0.5), "noise must be e.g. None or Noise.* got 0.5"),
    ],
)
def test_parts_of_the_wrong_kind_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
