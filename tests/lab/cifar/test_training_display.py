"""The plot of a training: what it draws and says."""

import io

import pytest
from training.small import network, quick

from nmlib.lab.cifar.displays.training import LivePlot, TrainingDisplay
from nmlib.training import Recipe


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    recipe = Recipe(epochs=4, batch_size=16, validation=12)
    return {
        name: quick(network(), scheme=name, recipe=recipe, out=folder / name, log_every=2)
        for name in ("baseline", "noisymix")
    }


def lines(axis):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines]


def test_it_draws_the_rows(runs):
    run = runs["noisymix"]
    figure = TrainingDisplay.from_run(run).plot().figure_
    ce, jsd, accuracy = figure.axes
    for axis, name, factor in ((ce, "ce", 1), (jsd, "jsd", 1), (accuracy, "val_accuracy", 100)):
        drawn = lines(axis)
        steps, values = zip(*run.series(name), strict=True)
        assert drawn[-1][0] == list(steps)
        assert drawn[-1][1] == pytest.approx([factor * v for v in values])
        assert axis.get_xlim() == pytest.approx((0, 1.02 * run.steps))
    assert len(lines(ce)) == 2 and len(lines(accuracy)) == 1


def test_panels_without_content_are_left_out(runs):
    labels = [a.get_ylabel() for a in TrainingDisplay.from_run(runs["baseline"]).plot().ax_]
    assert labels == ["cross-entropy (nats)", "held-out accuracy (%)"]


def test_several_runs_are_told_apart_by_marker_and_colour(runs):
    display = TrainingDisplay.from_folders(*(r.out for r in runs.values()))
    figure = display.plot().figure_
    axis = figure.axes[0]
    epochs = [line for line in axis.lines if line.get_label() in runs]
    assert len({line.get_color() for line in epochs}) == 2
    assert len({line.get_marker() for line in epochs}) == 2
    # The baseline has no divergence, which is not a divergence of 0.
    assert {line.get_color() for line in figure.axes[1].lines} == {epochs[1].get_color()}
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["baseline", "noisymix"]


def test_the_summary_names_the_numbers(runs):
    run = runs["noisymix"]
    text = TrainingDisplay.from_run(run).summary
    first, last = run.epochs[0]["loss"], run.epochs[-1]["loss"]
    for part in (
        f"{first:.2f} after epoch 1",
        f"{last:.2f} after epoch 4",
        "NoisyMix, squares, seed 0",
    ):
        assert part in text
    data, metadata = TrainingDisplay.from_run(run)._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG") and len(data["image/png"]) < 100_000
    assert metadata["image/png"]["alt"] == text


def test_it_draws_into_axes_of_ones_own(runs):
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 3)
    display = TrainingDisplay.from_run(runs["noisymix"])
    assert display.plot(axes).figure_ is axes[0].figure
    assert axes[0].get_ylabel() == "cross-entropy (nats)"
    axes[0].figure.savefig(io.BytesIO())


def test_live(monkeypatch):
    pictures = []

    class Handle:
        def update(self, picture):
            pictures.append(picture)

    def display(picture, display_id):
        pictures.append(picture)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    quick(network(), on_epoch=LivePlot())
    assert pictures == []  # no notebook
    monkeypatch.setattr("IPython.core.getipython.get_ipython", object)
    quick(network(), recipe=Recipe(epochs=3, batch_size=24), on_epoch=LivePlot())
    assert len(pictures) == 3
    data, metadata = pictures[-1]._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "after epoch 3" in metadata["image/png"]["alt"]
