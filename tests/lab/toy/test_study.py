"""The toy study: its statistics against NumPy, its file against interruption."""

import json

import numpy as np
import pytest

from nmlib.lab.measurements import measured_files, read_measured
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay, Panel
from nmlib.lab.toy.displays.study import PAPER_FIG4, ToyScreenDisplay, ToyStudyDisplay
from nmlib.lab.toy.study import (
    FINAL,
    StudySetting,
    _run,
    count_claims,
    run_setting,
    screen_settings,
    summarise,
)
from nmlib.rng import Rng
from nmlib.schemes import FIG4

TINY = StudySetting(epochs=2, width=8, batch_size=125)


def test_seeds_do_not_depend_on_each_other():
    many = run_setting(TINY, range(14, 20))
    one = run_setting(TINY, [18])
    for key, values in one.items():
        assert np.allclose(many[key][:, [4]], values, atol=1e-5, equal_nan=True), key


def test_summary_is_paired():
    values = Rng(0).numpy().normal(size=(6, 40))
    s = summarise({"accuracy": values})["accuracy"]["nfm"]
    difference = values[3] - values[0]
    assert s["mean"][0] == pytest.approx(values[3].mean())
    assert s["minus_baseline"][0] == pytest.approx(difference.mean())
    assert s["minus_baseline"][1] == pytest.approx(difference.std(ddof=1) / 40**0.5)


def test_missing_values_are_left_out():
    values = np.ones((6, 5))
    values[:, 0] = np.nan
    assert summarise({"steepness": values})["steepness"]["nfm"]["mean"] == [1.0, 0.0]
    values[:] = np.nan
    assert summarise({"steepness": values})["steepness"]["nfm"]["mean"] == [None, None]


def made_up(accuracy, steepness, collapsed=0.0, error=0.1):
    def row(values):
        return {
            lane: {"mean": [v, 0.1], "minus_baseline": [v - values[0], error]}
            for lane, v in zip(FIG4, values, strict=True)
        }

    summary = {
        "test_accuracy": row(accuracy), "noisy_accuracy": row(accuracy),
        "steepness": row(steepness), "boundary_length": row(steepness),
        "collapsed": row([0, 0, 0, 0, 0, collapsed]),
    }  # fmt: skip
    return {"summary": summary}


def test_claims_are_counted():
    paper = made_up([1, 1, 2, 3, 4, 5], [6, 5, 4, 3, 2, 1])
    counts = count_claims([paper])
    assert counts["papers_order"] == counts["significantly"] == counts["smoothest"] == 1
    assert counts["smoothest_not_collapsed"] == 1
    against = made_up([5, 4, 3, 2, 1, 0], [1, 2, 3, 4, 5, 6])
    counts = count_claims([against])
    assert counts["trained"] == 1
    assert sum(counts.values()) == 2  # settings and trained, nothing else
    unsure = made_up([1, 1, 1, 1, 1, 1.1], [6, 5, 4, 3, 2, 1])
    counts = count_claims([unsure])
    assert (counts["noisymix_above_baseline"], counts["significantly"]) == (1, 0)


def test_a_run_goes_on_where_it_stopped(tmp_path, capsys):
    out = tmp_path / "study.jsonl"
    _run([("a", TINY)], range(2), out)
    first = out.read_text()
    _run([("a", TINY), ("b", StudySetting(epochs=1, width=5))], range(2), out)
    assert out.read_text().startswith(first)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["label"] for r in records] == ["a", "b"]
    assert records[0]["provenance"]["torch"]
    assert capsys.readouterr().out.count("\n") == 2


def test_other_seeds_are_another_measurement(tmp_path):
    out = tmp_path / "study.jsonl"
    for seeds in (range(2), range(3), range(2, 4), range(2)):
        _run([("a", TINY)], seeds, out)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(r["seeds"], r["first_seed"]) for r in records] == [(2, 0), (3, 0), (2, 2)]


def test_committed_numbers_belong_to_the_settings_in_the_code():
    final = {r["label"]: r for r in read_measured("toy_final.jsonl")}
    assert set(final) == set(FINAL)
    for label, setting in FINAL.items():
        assert StudySetting(**final[label]["setting"]) == setting
        assert final[label]["seeds"] >= 1000
        assert final[label]["first_seed"] >= 48, "chosen on these seeds"
    screened = [StudySetting(**r["setting"]) for r in read_measured("toy_screen.jsonl")]
    assert set(screen_settings()) <= set(screened)


def test_a_committed_setting_can_be_measured_again():
    """A few of the 1,000 seeds again: the means agree within their error."""
    label = next(iter(FINAL))
    record = next(r for r in read_measured("toy_final.jsonl") if r["label"] == label)
    again = run_setting(FINAL[label], range(1000, 1016))["test_accuracy"]
    for i, lane in enumerate(FIG4):
        mean, error = record["summary"]["test_accuracy"][lane]["mean"]
        spread = error * record["seeds"] ** 0.5 / 4
        assert abs(again[i].mean() - mean) < 4 * spread


def test_figures_draw_and_say_what_they_show():
    study = ToyStudyDisplay.from_measured()
    assert str(study.records[0]["seeds"]) in study.summary
    assert "NoisyMix" in study.table(study.records[0]["label"])
    screen = ToyScreenDisplay.from_measured()
    for display in (study, screen):
        data, metadata = display._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert len(data["image/png"]) < 200_000
        assert metadata["image/png"]["alt"] == data["text/plain"] == display.summary
    with pytest.raises(ValueError, match="unknown setting"):
        ToyStudyDisplay.from_measured(["no such thing"])


def test_decision_display_draws_both_ways():
    field = np.linspace(0, 1, 400).reshape(20, 20)
    display = DecisionBoundaryDisplay((Panel("A", field, "caption"), Panel("B", 0 * field)), 1.6)
    assert len(display.plot().figure_.axes) == 2
    assert [t.type for t in display.plotly().data] == ["contour", "scatter"] * 2
    assert "A: caption" in display.summary
    seven = DecisionBoundaryDisplay((Panel("A", field),) * 7, 1.6)
    assert len(seven.plot().figure_.axes) == 7


def test_one_number_of_the_paper_cannot_come_from_250_points():
    odd = [lane for lane, v in PAPER_FIG4.items() if abs(v / 0.4 - round(v / 0.4)) > 1e-6]
    assert odd == ["manifold_mixup"]


def test_unknown_measured_file():
    assert "toy_final.jsonl" in measured_files()
    with pytest.raises(ValueError, match=r"did you mean 'toy_final\.jsonl'"):
        read_measured("toy_finl.jsonl")


def test_the_small_print_is_that_of_the_records():
    """Budget, seeds and data of all settings shown, not of the first."""
    study = ToyStudyDisplay.from_measured()
    first, second = study.records[:2]
    assert "1000 seeds a scheme (own data each), 100 epochs" in small_print(study)
    other = second | {"setting": second["setting"] | {"epochs": 30}, "seeds": 48, "data": "rings"}
    mixed = ToyStudyDisplay((first, other))
    words = small_print(mixed)
    assert "polygon band (appendix A), rings, 48 to 1000 seeds" in words
    assert "30 to 100 epochs" in words and "measured at 2 commits" in words
    assert "48 to 1000 seeds a scheme" in mixed.summary
    alone = ToyStudyDisplay((other,))
    assert "rings, 48 seeds" in small_print(alone) and "30 epochs" in small_print(alone)
    assert f"commit {other['provenance']['commit']}" in small_print(alone)


def small_print(display):
    return " ".join(display.small_print.split())


def test_draws_from_counters_have_the_law_of_what_was_measured():
    """The published study was drawn by other generators: means agree within three errors."""
    record = next(r for r in read_measured("toy_final.jsonl") if "defaults, indep" in r["label"])
    found = summarise(run_setting(StudySetting(**record["setting"]), range(1000, 1200)))
    for name in ("test_accuracy", "noisy_accuracy", "boundary_length", "steepness"):
        for scheme in FIG4:
            old, old_error = record["summary"][name][scheme]["mean"]
            new, new_error = found[name][scheme]["mean"]
            assert abs(new - old) < 3 * (old_error**2 + new_error**2) ** 0.5, (name, scheme)
