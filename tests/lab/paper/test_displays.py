"""The displays of the paper's tables: what they show, in numbers, words and styles."""

import re

import numpy as np
import pytest

from nmlib.lab.ablation.displays.gains import InteractionDisplay, WaterfallDisplay
from nmlib.lab.ablation.displays.table4 import AblationTableDisplay
from nmlib.lab.display.base import png
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay
from nmlib.paper import SWITCHES, ablation
from nmlib.statistics import Cells


def invented(seeds=3):
    """Numbers without meaning in the shape of our results."""
    paper = ablation()
    rng = np.random.default_rng(0)
    values = 20 + 0.5 * (paper.means[:, None] - 47.4) + rng.normal(size=(10, seeds))
    return Cells(SWITCHES, paper.on, values)


def corrupted(shift=-20.0):
    rows = CorruptionDifferenceDisplay.from_table(9).rows
    return {m: {c: v + shift for c, v in rows[m].items()} for m in ("Baseline", "NoisyMix")}


DISPLAYS = {
    "table": lambda: AblationTableDisplay.from_cells(invented(), conditions="none"),
    "waterfall": lambda: WaterfallDisplay.from_cells(invented(1)),
    "interaction": lambda: InteractionDisplay.from_paper(),
    "fig. 1": lambda: AccuracyScatterDisplay.fig1(),
    "scatter": lambda: AccuracyScatterDisplay.from_table(
        3, "CIFAR-10", "CIFAR-10-C", ours={"NoisyMix": (95.0, 88.0)}
    ),
    "fig. 6": lambda: FamilyDisplay.fig6(),
    "fig. 7": lambda: FamilyDisplay.from_table(9, ours=corrupted(), conditions="none"),
    "difference": lambda: CorruptionDifferenceDisplay.from_table(7),
    "difference, ours": lambda: CorruptionDifferenceDisplay.from_table(9, ours=corrupted()),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_every_display_draws_a_small_picture_with_words(name):
    display = DISPLAYS[name]()
    data, more = display._repr_mimebundle_()
    assert 3_000 < len(data["image/png"]) < 60_000
    assert more["image/png"]["alt"] == data["text/plain"] == display.summary
    assert ("application/vnd.plotly.v1+json" in data) == display.is_interactive
    assert data["image/png"] == png(display.plot().figure_)
    axes = display.ax_
    assert display.plot(ax=axes) is display and display.ax_ is axes
    assert 40 < len(display.summary) < 500


def points(axes, marker):
    lines = [line for line in axes.get_lines() if line.get_marker() == marker]
    return [(float(x), float(y)) for line in lines for x, y in np.column_stack(line.get_data())]


def test_paper_and_ours_have_two_styles():
    ours = invented()
    _, axes = AblationTableDisplay.from_cells(ours).plot().figure_.axes
    hollow = [line for line in axes.get_lines() if line.get_marker() == "D"]
    filled = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert all(line.get_markerfacecolor() == "none" for line in hollow)
    assert all(line.get_markerfacecolor() != "none" for line in filled)
    gains = sorted(x for x, _ in points(axes, "D"))
    # The printed gains, the last of which is not the difference of the printed accuracies.
    assert gains == [0.0, 2.1, 5.8, 11.3, 16.6, 19.3, 19.5, 21.2, 21.9, 24.4]
    clean = AblationTableDisplay.from_cells(ours, metric="clean_accuracy")
    assert "clean accuracy from 79.0 to 82.1 %" in clean.summary
    assert max(x for x, _ in points(clean.plot().figure_.axes[1], "D")) == pytest.approx(3.1)
    assert sorted(x for x, _ in points(axes, "o")) == pytest.approx(
        sorted(ours.means - ours.means[0])
    )
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0].startswith("paper")
    assert labels[1].startswith("ours (3 seeds")


def test_ticks_follow_the_switches():
    left, _ = AblationTableDisplay.from_cells(invented()).plot().figure_.axes
    dots = [line for line in left.get_lines() if line.get_marker() == "o"]
    assert len(dots) == 40
    on = sum(line.get_markersize() > 5 for line in dots)
    assert on == ablation().on.sum()


def test_rows_that_only_one_side_has():
    kept = invented()
    some = Cells(SWITCHES, kept.on[[0, 2, 9]], kept.values[[0, 2, 9]])
    display = AblationTableDisplay.from_cells(some)
    assert display.frame()["paper"].tolist() == sorted(display.paper.means)
    assert "–" in display.html()
    without_baseline = Cells(SWITCHES, kept.on[1:], kept.values[1:])
    with pytest.raises(ValueError, match="all switches off is missing"):
        AblationTableDisplay.from_cells(without_baseline).plot()


def test_the_html_table_is_self_contained():
    text = AblationTableDisplay.from_cells(invented(), conditions="<b>&").html()
    assert text.count("<tr>") == 11
    assert text.count('class="paper"') == 20
    assert text.count('class="ours"') == 30
    assert text.count('class="paper left"') == 0
    assert "&lt;b&gt;&amp;" in text
    assert not re.search(r"https?:|src=|href=|url\(", text)


def test_waterfall_steps_add_up():
    display = WaterfallDisplay.from_cells(invented())
    assert len(display.routes()) == 4
    for route in display.routes():
        steps = display.steps(display.paper, route)
        assert (steps[0], steps[-1]) == (47.4, 71.9)


def test_interactions_that_are_unknown_are_hatched_not_coloured():
    figure = InteractionDisplay.from_paper().plot().figure_
    left, right = figure.axes[:2]
    assert sum(bool(p.get_hatch()) for p in left.patches) == 5
    assert sum(bool(p.get_hatch()) for p in right.patches) == 8
    numbers = [t.get_text() for t in right.texts]
    assert sorted(numbers) == sorted(
        ["+16.6", "+9.9", "+5.8", "+9.2", "+5.2", "+2.4", "+2.1", "+5.5", "−0.2", "+2.6", "+2.9",
         "+3.3"]
    )  # fmt: skip
    assert "Not determined" in InteractionDisplay.from_paper().summary


def test_fig_1_holds_table_1():
    display = AccuracyScatterDisplay.fig1()
    shown = set(display.paper[["value_x", "value_y"]].itertuples(index=False, name=None))
    assert len(shown) == 10
    assert (52.3, 45.7) in shown
    texts = {t.get_text() for t in display.plot().figure_.axes[0].texts}
    assert texts == set(display.paper.index)
    figure = display.plotly()
    assert figure.data[0].marker.symbol == "diamond-open"
    assert set(figure.data[0].x) == {x for x, _ in shown}
    with pytest.raises(ValueError, match="did you mean 'ImageNet-C'"):
        AccuracyScatterDisplay.from_table(1, "ImageNet-CC", "ImageNet")


def test_names_in_the_scatter_do_not_cover_each_other():
    for display in (AccuracyScatterDisplay.fig1(),
                    AccuracyScatterDisplay.from_table(2, "CIFAR-100", "CIFAR-100-C")):  # fmt: skip
        figure = display.plot().figure_
        figure.canvas.draw()
        boxes = [t.get_window_extent() for t in figure.axes[0].texts]
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[k + 1 :])


def test_fig_6_says_what_the_paper_says_and_marks_the_copied_row():
    display = FamilyDisplay.fig6()
    best = {f: max(display.means, key=lambda m: display.means[m][f]) for f in
            ("noise", "blur", "weather", "digital")}  # fmt: skip
    assert best == {
        "noise": "NoisyMix", "blur": "AugMix", "weather": "NoisyMix", "digital": "NoisyMix",
    }  # fmt: skip
    assert "Puzzle Mix" in display.summary
    figure = display.plot().figure_
    assert "averages 32.1, Table 1 prints 44.6" in figure._supxlabel.get_text()
    assert "Adversarial training" in figure._supxlabel.get_text()
    assert "†" not in FamilyDisplay.from_table(7).plot().figure_._supxlabel.get_text()


def test_differences_by_corruption():
    display = CorruptionDifferenceDisplay.from_table(7)
    methods, table = display.difference()
    assert methods[-1] == "NoisyMix"
    assert table[-1, 0] == pytest.approx(89.9 - 46.4)
    assert table[methods.index("CutMix"), 0] == pytest.approx(29.5 - 46.4)
    assert display.plotly().data[0].z[-1][0] == pytest.approx(43.5)
    # A shift of all our numbers leaves our differences as the paper's.
    both = CorruptionDifferenceDisplay.from_table(9, ours=corrupted())
    own, ours = both.difference(ours=True)
    methods, table = both.difference()
    np.testing.assert_allclose(ours[own.index("NoisyMix")], table[methods.index("NoisyMix")])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Tables 6 to 10"):
        CorruptionDifferenceDisplay.from_table(12)
    with pytest.raises(ValueError, match="lacks the reference"):
        CorruptionDifferenceDisplay.from_table(7, ours={"NoisyMix": corrupted()["NoisyMix"]})
    with pytest.raises(ValueError, match="lacks gaussian_noise"):
        CorruptionDifferenceDisplay.from_table(7, ours={"Baseline": {"fog": 1.0}})
    with pytest.raises(ValueError, match="must have the switches"):
        InteractionDisplay(Cells(("a",), [[0], [1]], [[0.0], [1.0]]))
