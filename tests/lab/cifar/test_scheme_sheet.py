import re

import pytest

import nmlib as nm
from nmlib.lab.cifar.displays import scheme_sheet


def cells(scheme):
    (row,) = scheme_sheet([scheme]).rows
    return dict(
        zip(("scheme", "views", "mixed", "noise", "effect", "point", "by"), row, strict=True)
    )


def test_every_scheme_has_a_row_and_no_part_stands_as_code():
    table = scheme_sheet()
    assert len(table.rows) == len(nm.SCHEMES)
    assert not re.search(r"\w\(|=", table.text())


def test_a_part_that_is_switched_off_is_a_gap():
    for scheme in (*nm.SCHEMES.values(), *nm.ABLATION.values()):
        row = cells(scheme)
        assert (row["mixed"] is None) == (not scheme.switches.feature_mixing), scheme.name
        assert (row["noise"] is None) == (not scheme.switches.noise_injections), scheme.name
        assert ("AugM" in row["views"]) == scheme.switches.augmentations, scheme.name
        assert (row["by"] is None) == (scheme.stability == 0), scheme.name


def test_levels_in_effect_run_from_the_first_noisy_view_to_the_last():
    noise = nm.SCHEMES["noisymix"].noise
    first, last = noise.effective_levels(0), noise.effective_levels(2)
    expected = f"{first[0]:.2f} to {last[0]:.2f}, {first[1]:.2f}"
    assert cells(nm.SCHEMES["noisymix"])["effect"] == expected
    assert cells(nm.SCHEMES["stability_training"])["effect"] == "0.08, 0"


@pytest.mark.parametrize("pairing", ["independent", "unmixed"])
def test_pairings_are_told_apart(pairing):
    kinds = {
        p: cells(nm.Scheme("s", nm.Plain(3), nm.Mixup(1.0), stability=1.0, pairing=p))["mixed"]
        for p in ("independent", "unmixed")
    }
    assert kinds[pairing] not in (None, "Mixup, α 1")
    assert kinds["independent"] != kinds["unmixed"]


def test_parts_of_ones_own_are_shown_as_they_are():
    class Twice(nm.Plain):
        pass

    class Mixer:
        spatial = False

        def draw(self, x, y, model, rng):
            raise NotImplementedError

        def __repr__(self):
            return "my mixer"

    assert cells(nm.Scheme("s", mix=Mixer()))["mixed"] == "my mixer"
    assert (
        cells(nm.Scheme("s", views=Twice(2), noise=nm.Noise(0.1), stability=1.0))["views"]
        == "2 × clean"
    )
