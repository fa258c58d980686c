"""What every display does: plot itself, show itself, tell what it was measured on."""

import base64
import dataclasses
import json
import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure

from nmlib.lab.display.base import Display, Live, compact_json
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import new_figure

PLOTLY = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, eq=False)
class Curve(Display):
    """A curve."""

    values: np.ndarray

    image = "lines"

    @property
    def summary(self):
        return f"A curve of {len(self.values)} values."

    def _draw(self, ax, *, width=1.5):
        ax.plot(self.values, lw=width)

    def _plotly(self):
        return go.Figure(go.Scatter(y=self.values))


@dataclass(frozen=True, eq=False)
class Pair(Display):
    """Two photographs."""

    image = "photographs"
    grid = "none"

    @property
    def summary(self):
        return "A polar panel and a plain one."

    def _axes(self):
        figure = new_figure(4, 2)
        return [figure.add_subplot(121, projection="polar"), figure.add_subplot(122)]

    def _draw(self, ax):
        left, right = ax
        left.plot([0, 1])
        right.plot([0, 1])


@pytest.fixture
def curve():
    return Curve(np.array([0.1, 2.0]), conditions=Conditions("tiny", seeds=(0, 1)))


def test_plot_returns_the_display_with_axes_and_figure(curve):
    assert curve.plot(width=3) is curve
    assert curve.ax_.lines[0].get_linewidth() == 3
    assert curve.figure_._supxlabel.get_text() == "tiny, seeds 0, 1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        curve.values = 1


def test_plot_into_axes_leaves_their_figure_alone(curve):
    ax = Figure().subplots()
    assert curve.plot(ax).ax_ is ax
    assert ax.figure._supxlabel is None


def test_axes_must_fit():
    two = Figure().subplots(1, 2)
    with pytest.raises(ValueError, match=r"Pair needs polar axes, got rectilinear.*projection"):
        Pair().plot(two)
    with pytest.raises(ValueError, match="Pair draws into 2 axes, got 1"):
        Pair().plot(two[0])
    polar = Figure().subplots(subplot_kw={"projection": "polar"})
    assert Pair().plot([polar, two[1]]).figure_ is polar.figure


def test_a_notebook_gets_all_forms_with_words(curve):
    data, metadata = curve._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", PLOTLY}
    assert data["text/plain"] == metadata["image/png"]["alt"] == curve.summary
    text = json.dumps(data[PLOTLY])
    assert "tiny, seeds 0, 1" in text
    assert len(text) < 2000
    assert not hasattr(curve, "figure_")  # showing is not plotting
    assert set(Pair()._repr_mimebundle_()[0]) == {"text/plain", "image/jpeg"}


def test_after_plot_a_notebook_shows_what_was_plotted(curve):
    before = curve._repr_mimebundle_()[0]["image/png"]
    curve.plot().ax_.set_title("mine")
    data, _ = curve._repr_mimebundle_()
    assert PLOTLY not in data and data["image/png"] != before
    _, ax = plt.subplots()
    assert set(curve.plot(ax)._repr_mimebundle_()[0]) == {"text/plain"}  # pyplot shows it
    plt.close("all")


def test_colab_gets_a_script(curve, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    data, _ = curve._repr_mimebundle_()
    assert PLOTLY not in data and "<script" in data["text/html"] and "image/png" in data


def test_without_plotly_there_is_a_picture(curve, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.io", None)
    assert set(curve._repr_mimebundle_()[0]) == {"text/plain", "image/png"}
    assert not Pair().is_interactive
    with pytest.raises(NotImplementedError, match=r"Pair has no interactive form; plot\(\)"):
        Pair().plotly()


def test_live_numbers_stay_out_of_the_text(curve):
    data, metadata = Live(curve)._repr_mimebundle_()
    assert data["text/plain"] == "Curve: A curve."
    assert metadata["image/png"]["alt"] == curve.summary
    assert Live(curve).values is curve.values


def test_json_is_compact():
    assert compact_json({"range": (1 / 3, np.nan), "b": (np.float32(0.5), 1, "x")}) == {
        "range": [0.33333, None], "b": [0.5, 1, "x"],
    }  # fmt: skip
    values = np.array([[0.1, np.nan]])
    for array, dtype in ((values, "f4"), (np.array([[3, 255]], np.uint8), "u1")):
        figure = go.Figure(go.Heatmap(z=array))
        for packed in (compact_json(array), compact_json(figure.to_plotly_json())["data"][0]["z"]):
            assert packed["dtype"] == dtype and packed["shape"] == "1, 2"
            back = np.frombuffer(base64.b64decode(packed["bdata"]), dtype)
            np.testing.assert_allclose(back, array[0], rtol=1e-6)


def test_conditions_say_which_seeds_are_complete():
    made = Conditions("mine, cropped", "mlp", "laptop", seeds=(2, 0, 1), common=(0, 1), note="x")
    assert made.full == "mine, cropped, mlp, budget laptop, seeds 0, 1, 2 (0, 1 of every scheme); x"
    assert made.short == "mine, cropped, laptop budget"
    assert not Conditions() and Conditions(note="x").full == "x"
    assert Curve(np.zeros(2), conditions="mine, cropped").conditions.data == "mine, cropped"
