"""The overview of speeds says what the measured files say."""

import pytest

from nmlib.lab import speed
from nmlib.lab.measurements import read_measured
from nmlib.lab.speed import SpeedDisplay


def test_ratios_are_those_of_the_files_fast_ones_first():
    display = SpeedDisplay.from_measured()
    times = [ratio.times for ratio in display.ratios]
    assert times == sorted(times, reverse=True)
    by_task = {ratio.task: ratio for ratio in display.ratios}
    toy = read_measured("toy_speed.json")
    assert by_task["six toy schemes, 100 epochs"].times == toy["six_schemes_ratio"]
    corrupted = read_measured("corruptions_speed.json")["pixels"]["224"]
    shown = by_task["the 15 corruptions, 224 pixels"]
    assert shown.times == corrupted["sum of the 15"]["times_faster_wall"]
    # The four that are no part of the 15 do not count.
    assert shown.low == corrupted["rows"]["jpeg_compression"]["times_faster_wall"]
    assert all(r.low <= r.times <= r.high for r in display.ratios if r.low is not None)
    assert [w.seconds for w in display.waits] == sorted(w.seconds for w in display.waits)


def test_the_ladder_counts_only_what_both_compute():
    cases = {"a": {"same_rule": 1.0, "plain": 4.0}, "b": {"same_rule": 3.0, "plain": 4.0},
             "ours alone": {"same_rule": 100.0}}  # fmt: skip
    (ratio,) = speed._theory({"cases": cases})
    assert (ratio.times, ratio.low, ratio.high) == (2.0, pytest.approx(4 / 3), 4.0)
    assert "2 cases" in ratio.task


def test_slower_than_the_peer_has_another_mark():
    display = SpeedDisplay.from_measured()
    left, _ = display.plot().ax_
    marks = {float(line.get_xdata()[0]): line.get_marker() for line in left.lines}
    for ratio in display.ratios:
        assert marks[ratio.times] == ("s" if ratio.times < 1 else "o")
    for provenance in ("toy_speed.json", "training_speed.json"):
        assert read_measured(provenance)["provenance"]["commit"] in display.small_print


def test_a_missing_measurement_is_named():
    with pytest.raises(FileNotFoundError, match="not measured yet: warp_speed; run `make measure`"):
        SpeedDisplay.from_measured([*speed.FILES, "warp_speed"])
