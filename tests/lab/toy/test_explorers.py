"""The live and the still explorer on the Python side."""

import re
import struct
from dataclasses import asdict

import ipywidgets
import numpy as np
import pytest
import traitlets

from nmlib.lab.toy import explore
from nmlib.lab.toy.lab import Settings, ToyLab

SHORT = {"epochs": 4}


def test_a_wrong_value_is_refused_with_a_remedy():
    explorer = explore(mode="live", **SHORT)
    with pytest.raises(ValueError, match="alpha must be a finite number > 0, got -1"):
        explorer.alpha = -1
    with pytest.raises(ValueError, match="unknown lane 'nmf'; lanes are baseline"):
        explorer.lane = "nmf"
    with pytest.raises(traitlets.TraitError):
        explorer.seed = "one"
    assert explorer.alpha == explorer.lab.settings.alpha == Settings().alpha


def test_ordinary_sliders_lead_and_follow():
    explorer = explore(mode="live", **SHORT)
    alpha, sigma_add, _, gamma, seed, _ = explorer.sliders.children
    assert explorer.sliders is explorer.sliders
    sigma_add.value = 0.5
    assert explorer.sigma_add == explorer.lab.settings.sigma_add == 0.5
    explorer.alpha = 9.0  # beyond the range offered: the slider makes room
    assert (alpha.value, explorer.alpha) == (9.0, 9.0)
    seed.value = 4
    assert explorer.lab.settings.seed == 4
    changes = []
    explorer.observe(changes.append, "stability")
    gamma.value = 2.0
    assert [c["new"] for c in changes] == [2.0]  # once: nothing answers itself


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("mode", ["live", "still"])
def test_pages_without_a_kernel_get_a_picture_and_the_same_text_everywhere(mode):
    explorer = explore(mode=mode, sigma_add=0.2, **SHORT)
    data, metadata = explorer._repr_mimebundle_()
    again, _ = explore(mode=mode, sigma_add=0.2, **SHORT)._repr_mimebundle_()
    assert data["text/plain"] == again["text/plain"]
    assert data["text/plain"].startswith("Explorer(alpha=0.30, sigma_add=0.20")
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert min(png_size(data["image/png"])) > 300
    assert ("application/vnd.jupyter.widget-view+json" in data) == (mode != "still")
    assert len(data["image/png"]) < 150_000
    assert explorer.lab.steps_done < 20  # the picture has its own training


def test_summary_and_preset_and_code():
    explorer = explore(mode="still", stability=12, epochs=30)
    assert re.search(r"^NoisyMix: .* collapsed to one class$", explorer.summary(), re.M)
    preset = explorer.preset()
    assert preset == {"stability": 12, "epochs": 30}
    assert explore(mode="still", **preset).settings == explorer.settings
    space = {}
    exec(explorer.as_code().replace("print", "str"), space)
    assert space["lab"].settings == explorer.settings


def test_modes():
    with pytest.raises(ValueError, match="unknown mode 'life'; did you mean 'live'"):
        explore(mode="life")
    assert type(explore(**SHORT)).__name__ == "StillExplorer"  # no notebook here


def test_every_setting_is_a_trait_that_the_page_shares():
    explorer = explore(mode="live", lane="nfm", view="six", playing=False, hide="seed", lesson="Hi")
    for name in asdict(Settings()):
        assert explorer.has_trait(name) and name in explorer.keys
    facts = explorer.about
    assert [spec["name"] for spec in facts["specs"]] == list(explorer._settings())
    assert {spec["name"]: spec["start"] for spec in facts["specs"]} == asdict(Settings())
    assert (explorer.lane, explorer.view, explorer.stopped) == ("nfm", "six", 0)
    assert (explorer.hide, explorer.lesson) == ("seed", "Hi")


def test_traits_link_to_ordinary_widgets():
    explorer, mine = explore(mode="live", **SHORT), ipywidgets.FloatText()
    ipywidgets.link((explorer, "alpha"), (mine, "value"))
    mine.value = 0.8
    assert explorer.alpha == explorer.lab.settings.alpha == 0.8
    with pytest.raises(ValueError, match="unknown view 'two'; views are pair, one, six"):
        explorer.view = "two"


def test_points_of_the_page_are_those_of_the_lab():
    explorer = explore(mode="live", **SHORT)
    assert np.array_equal(explorer.lab.X_train, ToyLab(**SHORT).X_train)
    # As the page sends them: rows taken away, rows added.
    explorer.removed, explorer.added = [0, 499], [[0.5, 0.25, 1, 0]]
    lab = explorer.lab
    assert (len(lab.X_train), len(lab.X_test)) == (250, 249)
    assert lab.X_train[-1].tolist() == [0.5, 0.25] and lab.y_train[-1] == 1
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    explorer.set_points(X, y, np.arange(40) >= 30)
    assert explorer.removed == explorer.added == [] and len(explorer.own) == 40
    assert np.allclose(explorer.lab.X_train, X[:30], atol=5e-4)
    with pytest.raises(ValueError, match="points must be"):
        explorer.set_points(X, y[:3], y)
    assert "lab.set_points(X, y, is_test)" in explorer.as_code()
