"""The explorer with core ipywidgets only, without a browser."""

import struct
import subprocess
import sys

import pytest

pytest.importorskip("ipywidgets")

import ipywidgets

from nmlib.lab.toy import explore
from nmlib.lab.toy.explorer.basic import BasicExplorer
from nmlib.lab.toy.lab import Settings, ToyLab

QUICK = Settings(width=12, batch_size=125, epochs=60)


def below(widget):
    """All widgets of a tree."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)


def only(explorer, kind, description=None):
    found = [
        w
        for w in below(explorer)
        if type(w) is kind and (description is None or w.description == description)
    ]
    assert len(found) == 1, (kind, description, found)
    return found[0]


@pytest.fixture
def explorer():
    return BasicExplorer(QUICK, note="a <reason>")


def test_it_starts_with_a_picture_and_words(explorer):
    png = only(explorer, ipywidgets.Image).value
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == height >= 300
    words = [w.value for w in below(explorer) if type(w) is ipywidgets.HTML]
    assert any("a &lt;reason&gt;" in text for text in words)
    assert any("test accuracy" in text and "NoisyMix" in text for text in words)


@pytest.mark.parametrize(
    ("symbol", "name", "value"),
    [("α", "alpha", 1.5), ("σ_add", "sigma_add", 0.4), ("σ_mult", "sigma_mult", 0.3)],
)
def test_a_slider_changes_the_setting_and_the_picture(explorer, symbol, name, value):
    image = only(explorer, ipywidgets.Image)
    only(explorer, ipywidgets.Button, "Train to the end").click()
    before = image.value
    slider = only(explorer, ipywidgets.FloatSlider, symbol)
    assert slider.continuous_update
    slider.value = value
    assert getattr(explorer, name) == getattr(explorer.lab.settings, name) == value
    assert explorer.lab.steps_done > 0
    assert image.value != before
    assert explorer.preset()[name] == value


def test_what_is_shown_is_what_a_lab_of_its_own_gives(explorer):
    explorer.sigma_add = 0.4
    only(explorer, ipywidgets.Button, "Train to the end").click()
    lab = ToyLab(explorer.settings)
    lab.step(lab.total_steps)
    accuracy = f"{100 * lab.metrics('noisymix')['test_accuracy']:.1f} %"
    words = [w.value for w in below(explorer) if type(w) is ipywidgets.HTML][-1]
    assert f"step {lab.total_steps} of {lab.total_steps}: test accuracy {accuracy}" in words
    assert explorer.lab.metrics("noisymix") == lab.metrics("noisymix")


def test_python_moves_the_slider_and_the_last_value_wins(explorer):
    slider = only(explorer, ipywidgets.FloatSlider, "α")
    for value in (0.2, 0.7, 1.1):
        explorer.alpha = value
    assert slider.value == explorer.lab.settings.alpha == 1.1
    with pytest.raises(Exception, match="alpha must be a finite number > 0, got -1"):
        explorer.alpha = -1
    assert slider.value == explorer.lab.settings.alpha == 1.1


def test_buttons_and_the_choice_of_scheme(explorer):
    image = only(explorer, ipywidgets.Image)
    only(explorer, ipywidgets.Button, "Train to the end").click()
    assert explorer.lab.done
    noisymix = image.value
    only(explorer, ipywidgets.Dropdown, "scheme").value = "baseline"
    assert explorer.lane == "baseline" and image.value != noisymix
    assert explorer.lab.done  # looking at another scheme trains nothing anew
    explorer.lane = "noisymix"
    assert only(explorer, ipywidgets.Dropdown, "scheme").value == "noisymix"
    assert image.value == noisymix
    only(explorer, ipywidgets.Button, "Reset").click()
    assert explorer.lab.steps_done == 0 and image.value != noisymix
    only(explorer, ipywidgets.Play).value += 1
    assert explorer.lab.steps_done > 0


def test_there_is_no_output_widget_and_every_control_has_a_name(explorer):
    widgets = list(below(explorer))
    assert not any(isinstance(w, ipywidgets.Output) for w in widgets)
    named = (ipywidgets.FloatSlider, ipywidgets.IntSlider, ipywidgets.Dropdown, ipywidgets.Button)
    assert all(w.description for w in widgets if isinstance(w, named))


def test_pages_without_a_kernel_get_a_picture_and_a_text(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert data["image/png"].startswith("iVBOR")
    assert data["text/plain"].startswith(repr(explorer))
    assert metadata["image/png"]["alt"] == data["text/plain"]


def test_it_needs_neither_anywidget_nor_pyplot():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "from nmlib.lab.toy import explore\n"
        "explorer = explore(mode='basic', width=8)\n"
        "explorer.alpha = 0.9\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "print(type(explorer).__name__, explorer.lab.settings.alpha)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["BasicExplorer", "0.9"], run.stderr


def test_explore_builds_it():
    explorer = explore(QUICK, mode="basic", lane="nfm", sigma_add=0.2)
    assert isinstance(explorer, BasicExplorer)
    assert (explorer.lane, explorer.sigma_add) == ("nfm", 0.2)
