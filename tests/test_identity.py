"""What makes a run the same run, whatever fields come to its settings."""

import dataclasses
import json

import pytest
import torch
from torch import nn

import nmlib as nm
from nmlib.identity import differences, settings_of, structure_of
from nmlib.noise import Noise
from nmlib.schemes import ABLATION, SCHEMES
from nmlib.training import Recipe

ALL = {**SCHEMES, **ABLATION}


def with_another_field(value):
    """The same settings in a class that has one field more."""
    kind = dataclasses.make_dataclass(
        type(value).__name__, [("made_up", int, 7)], bases=(type(value),), frozen=True
    )
    return kind(**{f.name: getattr(value, f.name) for f in dataclasses.fields(value)})


@pytest.mark.parametrize("value", [*ALL.values(), Recipe(epochs=3)], ids=[*ALL, "recipe"])
def test_a_new_field_with_a_default_changes_nothing(value):
    now = with_another_field(value)
    assert settings_of(now) == settings_of(value)
    for stored in (settings_of(value), repr(value), json.loads(json.dumps(settings_of(value)))):
        assert list(differences(stored, now, "it")) == []
    changed = dataclasses.replace(now, made_up=8)
    assert list(differences(settings_of(value), changed, "it")) == [("it.made_up", "7", "8")]
    # Nor does an older version go on with a setting that it does not know.
    assert list(differences(settings_of(changed), value, "it")) == [("it.made_up", "8", "nothing")]


def test_schemes_are_told_apart_and_not_by_their_origin():
    settings = [json.dumps(settings_of(s)) for s in SCHEMES.values()]
    assert len(set(settings)) == len(settings)
    copy = dataclasses.replace(SCHEMES["nfm"], origin="elsewhere")
    assert settings_of(copy) == settings_of(SCHEMES["nfm"])


@pytest.mark.parametrize("stored", [settings_of, repr])
def test_a_difference_names_the_setting_and_both_values(stored):
    noisymix = SCHEMES["noisymix"]
    other = dataclasses.replace(noisymix, mix=None, noise=Noise(0.5, 0.25), stability=10)
    found = list(differences(stored(noisymix), other, "scheme"))
    assert ("scheme.mix", "None") in [(name, now) for name, _, now in found]
    assert ("scheme.noise.multiplicative", "0.5", "0.25") in found
    assert ("scheme.stability", "12.0", "10") in found
    assert list(differences(stored(nm.Mixup(1)), nm.Mixup(1.0))) == []
    (kinds,) = differences(stored(nm.Mixup(1.0)), nm.CutMix(0.5), "mix")
    assert kinds[0] == "mix" and kinds[1].startswith("Mixup(") and kinds[2].startswith("CutMix(")


def test_what_is_no_dataclass_is_compared_by_its_text():
    class Own:
        def __init__(self, level):
            self.level = level

        def __repr__(self):
            return f"<Own {self.level}>"

    assert list(differences("<Own 1>", Own(1.0))) == []
    assert list(differences("<Own 1>", Own(2), "mix")) == [("mix", "<Own 1>", "<Own 2>")]
    assert settings_of(object()) == "<object object>"


def test_the_defaults_of_this_version():
    """A default that changes gives stored settings another meaning: raise VERSION with it."""
    kinds = [Recipe, nm.Plain, nm.AugMix, nm.AugMax, nm.Mixup, nm.CutMix, nm.PuzzleMix, Noise]
    assert (
        "\n".join(map(repr, [nm.Scheme(""), *(kind() for kind in kinds)]))
        == """\
Scheme(name='', views=Plain(copies=1), mix=None, noise=None, points=(0,), stability=0.0, \
pairing='shared', divergence='jsd')
Recipe(epochs=200, batch_size=128, learning_rate=0.1, final_learning_rate=1e-06, momentum=0.9, \
nesterov=True, weight_decay=0.0005, decay_all=True, augment=True, drop_last=False, parts=1, \
precision='fp32', validation=0, drop_every=0)
Plain(copies=1)
AugMix(severity=3, width=3, depth=-1, alpha=1, copies=2)
AugMax(severity=3, width=3, depth=-1, alpha=1, steps=10, step_size=0.1, extra_steps=1)
Mixup(alpha=1.0, beta=None)
CutMix(alpha=1.0, prob=0.5)
PuzzleMix(alpha=1.0, n_labels=3, beta=1.2, gamma=0.5, eta=0.2, neigh_size=4, blocks=(2, 4, 8, 16), \
transport=True, t_size=4, t_eps=0.8, prob=1.0)
Noise(additive=0.0, multiplicative=0.0, sparsity=0.0, view_gain=0.0, clean_views=0, law='paper')"""
    )


def test_networks_that_are_built_otherwise():
    def built(*, stride=1, kind=nn.ReLU, mean=0.5, drop=0.0):
        with torch.random.fork_rng([]):
            stage = nn.Sequential(nn.Conv2d(3, 4, 3, stride), kind(), nn.Dropout(drop))
        return nm.StagedModel([stage], nm.models.norm.Normalise(mean, 0.5))

    assert structure_of(built()) == structure_of(built())
    ways = [{}, {"stride": 2}, {"kind": nn.Tanh}, {"mean": 0.4}, {"drop": 0.1}]
    assert len({structure_of(built(**way)) for way in ways}) == len(ways)
