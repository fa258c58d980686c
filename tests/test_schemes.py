"""Schemes as values: the six of Fig. 4, their draws, and combinations without meaning."""

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch

from nmlib import (
    FIG4,
    READINGS,
    CutMix,
    Mixup,
    Noise,
    Plain,
    Rng,
    Scheme,
    fig4_schemes,
)
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
        # Identical views: the divergence would be 0 whatever its weight.
        (lambda: Scheme("s", plain3, Mixup(), stability=12), "always 0; use views=AugMix"),
        (lambda: fig4_schemes(reading="indep"), "unknown reading 'indep'; did you mean"),
        (lambda: fig4_schemes(alpha=0), "alpha must .* got 0; for no mixing use mix=None"),
        (lambda: fig4_schemes(additive=-1), "additive must .* got -1"),
        (lambda: fig4_schemes(law="relased"), "'relased'"),
        (lambda: Plain(0), "copies must be >= 1, got 0"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_divergence_without_mixing_is_allowed_with_noise():
    assert Scheme("s", plain3, noise=Noise(0.1), stability=1).pairing == "shared"
