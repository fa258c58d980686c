"""One method by three sources: the numbers of each, their styles, and what was filed wrongly."""

import numpy as np
import pytest
from oracles.records import grid

from nmlib import paper
from nmlib.lab.cifar.records import by_corruption
from nmlib.lab.display.looks import OURS, ROBUSTBENCH
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay
from nmlib.lab.paper.displays.sources import (
    SourcesDisplay,
    misfiled_table,
    sources_table,
)
from nmlib.statistics import spearman

RECORDS = grid(2)


def test_each_source_has_its_own_numbers_and_style():
    display = SourcesDisplay.from_method("NoisyMix", RECORDS)
    assert list(display.panels) == ["CIFAR-10-C", "CIFAR-100-C", "ImageNet-C"]
    ten, hundred, imagenet = display.panels.values()
    assert list(ten) == ["paper", "RobustBench", "ours"]
    assert list(hundred) == ["paper", "RobustBench", "as filed"]
    assert list(imagenet) == ["paper", "RobustBench"]
    assert ten["ours"].tolist() == by_corruption(RECORDS)["noisymix"].tolist()
    assert hundred["paper"]["glass_blur"] == 59.5
    assert ten["paper"].mean() == pytest.approx(91.8, abs=0.05)
    np.testing.assert_allclose(sorted(hundred["as filed"]), sorted(hundred["RobustBench"]))
    top = display.plot().figure_.axes[0]
    looks = {line.get_marker(): line for line in top.get_lines()}
    assert looks["D"].get_markerfacecolor() == looks["s"].get_markerfacecolor() == "none"
    assert looks["s"].get_markeredgecolor() == ROBUSTBENCH
    assert looks["o"].get_color() == OURS
    assert "-0.15 as filed" in display.summary and "5,000 images" in display.small_print
    assert {trace.name for trace in display.plotly().data} == {
        "paper", "RobustBench", "RobustBench, as filed", "ours: invented",
    }  # fmt: skip


def test_a_method_that_the_benchmark_lacks_is_refused():
    with pytest.raises(ValueError, match="did you mean 'NoisyMix'"):
        SourcesDisplay.from_method("NoisyMx")


def test_the_tables_say_where_each_number_is_from():
    table = sources_table(RECORDS)
    rows = {(row[0], row[4]): row for row in table.rows}
    assert len(rows) == 11
    row = rows["ImageNet-C", "Erichson2022NoisyMix"]
    assert row[2] == pytest.approx(52.3, abs=0.05) and row[3] == pytest.approx(52.47, abs=0.005)
    assert row[6] == 5_000 and row[8] is None
    assert rows["ImageNet-C", "Salman2020Do_50_2_Linf"][5] == "WRN-50-2"
    first = misfiled_table().rows[:2]
    assert [row[1] for row in first] == paper.robustbench_audit().query("misfiled")[
        "model"
    ].tolist()


def test_printed_ties_are_ties():
    """Two gains of 11.4 are equal, though 0.1 + 0.2 is not 0.3 in floating point."""
    methods, gains = CorruptionDifferenceDisplay.from_table(7).difference()
    tenths = np.round(10 * gains).astype(int)
    for method, row, exact in zip(methods, gains, tenths, strict=True):
        assert len(np.unique(row)) == len(np.unique(exact)), method
        assert spearman(row, np.arange(15)) == spearman(exact, np.arange(15))
