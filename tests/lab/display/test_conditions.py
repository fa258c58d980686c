"""Small print is prose: no label is cut out of it, whatever the data are called."""

import html

import pytest
from oracles.records import grid

from nmlib.lab.ablation import view as _lab_view
from nmlib.lab.ablation.displays.gains import InteractionDisplay
from nmlib.lab.ablation.table import lab_table
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay

LABEL = "cats, dogs; 3 budget <b>"


@pytest.fixture(scope="module")
def records():
    return grid(seeds=2, dataset=LABEL, budget="long, mine")


def test_legends_and_titles_name_the_data_as_a_whole(records):
    scatter = AccuracyScatterDisplay.from_records(records)
    labels = [t.get_text() for t in scatter.plot().ax_.get_legend().get_texts()]
    assert f"ours: {LABEL}" in labels
    assert InteractionDisplay.from_records(records).title == f"ours, {LABEL}"
    titles = CorruptionDifferenceDisplay.from_records(records).plotly().layout.annotations
    assert any(t.text.startswith(f"ours, {LABEL}, minus") for t in titles)


def test_plain_text_is_the_name_of_the_data(records):
    display = AccuracyScatterDisplay.from_table(
        2, "CIFAR-10", "CIFAR-10-C", ours={"AugMix": (90.0, 80.0)}, conditions="mine, cropped"
    )
    assert "ours: mine, cropped" in [
        t.get_text() for t in display.plot().ax_.get_legend().get_texts()
    ]


def test_the_ablation_lab_heads_its_columns_with_whole_labels(records):
    page = _lab_view.table_html(lab_table(records=records))
    assert f"<small>{html.escape(LABEL)}<br>long, mine budget</small>" in page
