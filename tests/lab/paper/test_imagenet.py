"""Fig. 1 by all sources."""

import pytest

from nmlib.lab.display.looks import OURS, ROBUSTBENCH
from nmlib.lab.paper.displays.imagenet import ImageNetDisplay


def test_all_rows_of_all_sources_are_there():
    ours = {"a net": {"clean": 62.0, "corrupted": 25.0}, "another": {"corrupted": 30.0}}
    display = ImageNetDisplay.from_sources(ours, conditions="invented")
    assert display.paper.loc["NoisyMix"].tolist() == [77.6, 52.3, 45.7]
    assert len(display.paper) == 10 and len(display.benchmark) == 6
    row = display.benchmark.loc["Standard_R50"]
    assert (row["clean"], row["corrupted"]) == (
        pytest.approx(76.72),
        pytest.approx(39.48, abs=0.01),
    )
    top, bottom = display.plot().figure_.axes
    for axes, counts in ((top, {"D": 10, "s": 6, "o": 1}), (bottom, {"D": 10})):
        drawn = {line.get_marker(): line for line in axes.get_lines()}
        for marker, count in counts.items():
            assert len(drawn[marker].get_xdata()) == count
        assert ("o" in drawn) == ("o" in counts)
    looks = {line.get_marker(): line for line in top.get_lines()}
    assert looks["D"].get_markerfacecolor() == looks["s"].get_markerfacecolor() == "none"
    assert looks["s"].get_markeredgecolor() == ROBUSTBENCH and looks["o"].get_color() == OURS
    assert {trace.name for trace in display.plotly().data} == {"paper", "RobustBench", "ours"}
    assert "ours: invented" in display.small_print and "5,000 images" in display.small_print


def test_names_do_not_cover_each_other():
    figure = ImageNetDisplay.from_sources().plot().figure_
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 10
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[k + 1 :])
