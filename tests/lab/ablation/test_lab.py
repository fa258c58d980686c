"""The ablation lab without a front end: settings, training, placing."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import nmlib as nm
from nmlib.lab.ablation.lab import AblationLab, LabSettings
from nmlib.lab.ablation.table import LabTable, lab_table
from nmlib.training import Budget, TrainingInterrupted
from nmlib.training import fitting as nm_fitting

TINY = Budget("tiny", "preact_resnet_small", epochs=1, subset=48, batch_size=16)
OFF = {"augmentations": False, "feature_mixing": False, "noise_injections": False}
BASE = LabSettings(**OFF, jsd_loss=False)


def tiny():
    return AblationLab(TINY, test_images=12, severities=(3,))


@pytest.fixture(scope="module")
def lab():
    """Baseline and noise trained, noise also at another level and with another seed."""
    lab = tiny()
    noise = LabSettings(False, False, True, False)
    lab.train(BASE)
    lab.train(noise)
    lab.train(noise, sigma_add=1.5)
    lab.train(noise, seed=3)
    return lab


@pytest.mark.parametrize("name", nm.ABLATION)
def test_the_ten_rows_are_the_ones_of_the_ablation(name):
    settings = LabSettings(*nm.ABLATION[name].switches)
    assert settings.scheme() == nm.ABLATION[name]
    assert not settings.note


def test_every_combination_is_a_scheme_or_explained():
    names, impossible = set(), []
    for switches in product((False, True), repeat=4):
        settings = LabSettings(*switches)
        if settings.problem:
            impossible.append(settings.switches.ticks())
            with pytest.raises(ValueError, match=re.escape(settings.problem)):
                settings.scheme()
        else:
            assert settings.scheme().switches == switches
            names.add(settings.name)
    assert impossible == ["✗✗✗✓", "✗✓✗✓"]
    assert len(names) == 14
    assert "pairing='independent'" in LabSettings(False, True, False, True).problem
    # Noise of no level would leave the views the same again.
    assert (
        "Raise a level" in LabSettings(False, False, True, True, sigma_add=0, sigma_mult=0).problem
    )
    assert "noise alone" in LabSettings(False, True, True, True).note


def test_levels_that_nothing_uses_do_not_count():
    assert LabSettings(**OFF, jsd_loss=False, alpha=2.0, sigma_add=0.1).canonical == BASE
    assert LabSettings(True, True, False, True, alpha=2.0, sigma_mult=1).canonical == LabSettings(
        True, True, False, True, alpha=2.0
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"alpha": 0.0}, "alpha must lie in"),
        ({"sigma_add": 2.1}, "sigma_add must lie in"),
        ({"sigma_mult": float("nan")}, "sigma_mult"),
        ({"seed": 1000}, "seed must be"),
        ({"seed": 0.5}, "seed must be"),
        ({"jsd_loss": 1}, "jsd_loss must be True or False"),
    ],
)
def test_bad_settings(change, error):
    with pytest.raises((ValueError, TypeError), match=error):
        LabSettings(**change)


def test_the_result_is_that_of_fit_bit_for_bit(lab):
    """The code that the lab hands out, run by itself."""
    settings = LabSettings(False, False, True, False, sigma_add=1.5)
    found = {}
    exec(lab.as_code(settings), found)
    mine = lab.train(settings)
    theirs = found["model"].state_dict()
    for name, value in mine.run.model.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert found["report"].accuracies == mine.report.accuracies
    assert found["report"].clean.fingerprint == mine.report.clean.fingerprint
    assert [s for s, _ in mine.run.series("loss", "step")] == [1, 2, 3]
    assert "BUDGETS['smoke']" in AblationLab().as_code()


def test_nothing_is_trained_twice(lab, monkeypatch):
    monkeypatch.setattr("nmlib.lab.ablation.lab.fit", None)
    before = lab.train(BASE)
    assert lab.train(BASE, alpha=0.3) is before  # alpha is not used
    assert lab.start(BASE, sigma_add=1.0) == ()
    assert lab.snapshot().state == "done"
    assert lab.snapshot().settings == BASE


def test_the_table_places_what_was_trained(lab):
    table = lab_table(lab, records=[])
    assert [row.switches for row in table.rows if row.paper] == [
        s.switches for s in nm.ABLATION.values()
    ]
    assert [row.levels for row in table.rows if not row.paper] == ["σ_add 1.50, σ_mult 0.50"]
    assert len(table.column("here")) == 3 and len(table.column("paper")) == 10
    noise = LabSettings(False, False, True, False)
    row = table.find(noise)
    assert (row.paper.robust, row.paper.clean, row.paper.gain) == (49.5, 79.1, 2.1)
    zero, three = (lab.results[LabSettings(False, False, True, False, seed=s)] for s in (0, 3))
    base = lab.results[BASE]
    assert row.here.seeds == (0, 3)
    assert row.here.robust == pytest.approx(
        50 * (zero.report.robust_accuracy + three.report.robust_accuracy)
    )
    # Seed 3 has no baseline, so the gain is that of seed 0.
    gain, error = zero.report.minus(base.report)
    assert row.here.gain == pytest.approx(100 * gain)
    assert row.here.error == pytest.approx(100 * error)
    assert table.agreement() is None  # of two rows
    assert "over the baseline" in table.words(noise) and "+2.1" in table.words(noise)
    assert table.words(LabSettings()) == "Not trained here yet."
    here = table.sources["here"]
    assert here.data == "fashion-mini" and here.seeds == (0, 3)
    assert "CIFAR-100-C" in table.sources["paper"].data and not table.sources["grid"]


def test_the_grid_by_seeds_and_test_images():
    rng = np.random.default_rng(0)

    def record(scheme, seed):
        hits = rng.integers(0, 3, 8).tolist()
        return {
            "scheme": scheme, "seed": seed, "robust_hits": hits, "clean_accuracy": 0.5,
            "accuracy": {"fog": [0.1, 0.2]}, "dataset": "somewhere", "model": "small",
            "budget": "laptop", "train_images": 5000, "test_images": 8, "epochs": [{}] * 20,
            "provenance": {"commit": "abc"},
        }  # fmt: skip

    records = [record(s, seed) for s in nm.ABLATION for seed in (0, 1)]
    records.append(record("cutmix", 0))  # no row of Table 4
    table = lab_table(records=records)
    share = {(r["scheme"], r["seed"]): np.array(r["robust_hits"]) / 2 for r in records}
    for name, scheme in nm.ABLATION.items():
        placed = table.find(LabSettings(*scheme.switches)).grid
        paired = np.mean([share[name, s] - share["baseline", s] for s in (0, 1)], 0)
        assert placed.gain == pytest.approx(100 * paired.mean())
        assert placed.error == pytest.approx(100 * paired.std(ddof=1) / 8**0.5)
        assert placed.seeds == (0, 1)
    here = LabTable(tuple(replace(row, here=row.grid) for row in table.rows), {})
    paper, mine = zip(*((row.paper.robust, row.grid.robust) for row in table.rows), strict=True)
    assert here.agreement() == (pytest.approx(spearmanr(paper, mine).statistic), 10)
    assert str(table.sources["grid"]).endswith("5 severities, seeds 0, 1, commit abc")
    # Some rows only, as while a grid is being computed.
    some = lab_table(records=records[2:6])
    assert len(some.column("grid")) == 2
    assert all(p.gain is None for _, p in some.column("grid"))


def test_in_the_background_with_the_baseline_first():
    lab = tiny()
    settings = LabSettings(False, True, False, False, seed=5)
    assert lab.start(settings) == (settings.baseline, settings)
    assert lab.snapshot().busy
    with pytest.raises(ValueError, match="under way"):
        lab.start(LabSettings())
    status = lab.wait(120)
    assert (status.state, status.part, status.parts, status.share) == ("done", 2, 2, 1.0)
    assert (status.step, status.steps, status.sets, status.total_sets) == (3, 3, 15, 15)
    assert len(status.losses) == 3
    assert list(lab.results) == [settings.baseline, settings]
    # The same number of threads, so the same bits, as in this thread.
    again = tiny().train(settings)
    assert again.report.clean.probabilities.equal(lab.results[settings].report.clean.probabilities)


def test_cancelled_before_the_next_step(monkeypatch):
    lab = tiny()
    steps = []
    whole = nm_fitting.fit

    def slowly(*args, on_row, **options):
        def follow(run):
            on_row(run)
            steps.append(run.step)
            if run.step == 1:
                lab.cancel()

        return whole(*args, on_row=follow, **options)

    monkeypatch.setattr("nmlib.lab.ablation.lab.fit", slowly)
    lab.start(BASE)
    status = lab.wait(120)
    # The step under way when the request came is the last.
    assert status.state == "stopped" and not status.busy
    assert steps == [1, 2]
    assert lab.results == {}
    with pytest.raises(TrainingInterrupted):
        steps.clear()
        lab.train(BASE)
    monkeypatch.undo()
    assert lab.train(BASE).settings == BASE  # works again


def test_a_failure_is_told(monkeypatch):
    lab = tiny()

    def breaks(*args, **options):
        raise ArithmeticError("the loss became nan")

    monkeypatch.setattr("nmlib.lab.ablation.lab.fit", breaks)
    lab.start(BASE)
    status = lab.wait(60)
    assert (status.state, status.message) == ("failed", "the loss became nan")
    with pytest.raises(ArithmeticError):
        lab.train(BASE)  # not blocked by what failed
    with pytest.raises(ValueError, match="three views"):
        lab.start(LabSettings(False, False, False, True))


def test_settings_of_the_lab():
    with pytest.raises(ValueError, match="unknown budget"):
        AblationLab("smokey")
    with pytest.raises(ValueError, match="test_images"):
        AblationLab(test_images=1)
    assert "budget smoke (1,000 images x 3 epochs)" in str(AblationLab().conditions)
