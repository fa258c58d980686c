"""Two grids of different length beside each other."""

import numpy as np
import pytest

from nmlib.lab.cifar.displays.length import LengthDisplay


def record(scheme, seed, epochs, clean, robust, **more):
    return {
        "scheme": scheme, "seed": seed, "dataset": "made up", "model": "small",
        "budget": f"of {epochs}", "train_images": 10, "test_images": 5, "clean_accuracy": clean,
        "robust_accuracy": robust, "test_fingerprint": "a", "train_fingerprint": "b",
        "clean_hits": [int(k < 5 * clean) for k in range(5)],
        "robust_hits": [100 * robust] * 5, "accuracy": {"fog": [robust] * 100},
        "flip_probability": None, "corrupted": {},
        "epochs": [{"ce": 2.0 - k / epochs - seed / 10} for k in range(epochs)],
        "provenance": {"commit": "abc"},
    } | more  # fmt: skip


SHORT = [
    record("baseline", 0, 2, 0.60, 0.50),
    record("baseline", 1, 2, 0.62, 0.52),
    record("noisymix", 0, 2, 0.55, 0.48),
    record("noisymix", 1, 2, 0.57, 0.50),
    record("mixup", 0, 2, 0.5, 0.4),
]
LONG = [
    record("noisymix", 0, 8, 0.70, 0.66),
    record("baseline", 0, 8, 0.68, 0.55),
    record("baseline", 1, 8, 0.70, 0.57),
]


def test_what_both_have_is_compared_whichever_comes_first():
    display = LengthDisplay.from_records(LONG, SHORT)
    assert display.lengths == (2, 8)
    assert list(display.curves) == ["baseline", "noisymix"]
    robust = display.values["robust_accuracy"]
    assert robust["baseline"].to_numpy() == pytest.approx(np.array([[50, 52], [55, 57]]))
    assert robust["noisymix"].to_numpy() == pytest.approx(np.array([[48], [66]]))
    # The mean over both seeds.
    assert display.curves["baseline"][0] == pytest.approx([1.95, 1.45])
    assert [len(run) for run in display.curves["noisymix"]] == [2, 8]
    assert "Robust accuracy in percent: Baseline 51.0 to 56.0, NoisyMix 48.0 to 66.0" in (
        display.summary
    )
    # Over the seed that both have, which is not the difference of the two means.
    assert "over the baseline: NoisyMix −2.0 to +11.0 (paper +17.4)" in display.summary
    assert [(made.budget, made.epochs) for made in display.measured_on] == [
        ("of 2", 2),
        ("of 8", 8),
    ]


def test_it_draws_every_length():
    figure = LengthDisplay.from_records(SHORT, LONG).plot().figure_
    curves, robust, gains = figure.axes
    assert [len(line.get_xdata()) for line in curves.lines] == [2, 8, 2, 8]
    assert [t.get_text() for t in robust.get_xticklabels()] == ["2", "8"]
    assert [t.get_text() for t in gains.get_xticklabels()] == ["2", "8", "200\npaper"]
    assert "thin: the shorter training" in figure.get_supxlabel()


def test_the_gains_as_text():
    injected = [record("noise_injection", 0, n, 0.6, 0.5 + n / 100) for n in (2, 8)]
    display = LengthDisplay.from_records([*SHORT, injected[0]], [*LONG, injected[1]])
    head, *lines = display.table().splitlines()
    assert head.split() == ["2", "epochs", "8", "epochs", "paper,", "200"]
    rows = {line[:15].strip(): line[15:] for line in lines}
    assert rows["NoisyMix"].split("  ")[-1].strip() == "+17.4"  # the paper's gain
    assert "paper" not in rows["Noise injection"] and "17" not in rows["Noise injection"]
    for scheme, row in zip(display.gains, rows.values(), strict=True):
        assert [str(gain) in row for gain in display.gains[scheme]] == [True, True]


def test_three_lengths():
    longest = [record("baseline", 1, 16, 0.7, 0.6), record("noisymix", 0, 16, 0.8, 0.7),
               record("baseline", 0, 16, 0.7, 0.6)]  # fmt: skip
    display = LengthDisplay.from_records(SHORT, longest, LONG)
    assert display.lengths == (2, 8, 16)
    assert [g.difference for g in display.gains["noisymix"]] == pytest.approx([-2, 11, 10])
    assert "NoisyMix 48.0 to 70.0" in display.summary
    figure = display.plot().figure_
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [2, 8, 16] * 2
    assert "thin: the shorter trainings" in figure.get_supxlabel()


def test_some_schemes_may_be_chosen():
    display = LengthDisplay.from_records(SHORT, LONG, schemes=["noisymix", "baseline"])
    every = LengthDisplay.from_records(SHORT, LONG)
    assert list(display.curves) == ["noisymix", "baseline"] == list(reversed(every.curves))
    assert display.gains == every.gains
    (only,) = LengthDisplay.from_records(SHORT, LONG, schemes=["baseline"]).curves
    assert only == "baseline"
    with pytest.raises(ValueError, match="unknown scheme of every grid 'mixup'"):
        LengthDisplay.from_records(SHORT, LONG, schemes=["mixup"])


def test_without_a_baseline_there_are_no_gains():
    shorter, longer = ([r for r in g if r["scheme"] != "baseline"] for g in (SHORT, LONG))
    display = LengthDisplay.from_records(shorter, longer)
    assert not display.gains and "baseline" not in display.summary
    assert len(display.plot().ax_) == 2


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ([SHORT], "lengths"),
        ([SHORT, SHORT[:2]], "each once"),
        ([SHORT, [record("baseline", 0, 8, 0.1, 0.1, test_fingerprint="c")]], "test_fingerprint"),
        ([SHORT, [record("baseline", 7, 8, 0.1, 0.1)]], "in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(grids, message):
    with pytest.raises(ValueError, match=message):
        LengthDisplay.from_records(*grids)
