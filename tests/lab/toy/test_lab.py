"""The lab behind the explorer: the same settings always give the same pictures and numbers."""

import numpy as np
import pytest

from nmlib.lab.toy.demo import table
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.lab import ENOUGH_STEPS, Settings, ToyLab
from nmlib.schemes import FIG4


def trained(steps=60, **changes):
    lab = ToyLab(**changes)
    lab.step(steps)
    return lab


def test_history_does_not_matter():
    wanderer = trained(alpha=1.3, sigma_add=0.5)
    wanderer.step(25)
    assert wanderer.set(alpha=0.4, sigma_add=0.2)
    wanderer.step(17)
    wanderer.step(43)
    fresh = trained(alpha=0.4, sigma_add=0.2)
    for lane in fresh.lanes:
        assert np.array_equal(wanderer.grid(lane), fresh.grid(lane))
        assert wanderer.metrics(lane) == fresh.metrics(lane)


def test_setting_what_is_set_changes_nothing():
    lab = trained()
    assert not lab.set(alpha=lab.settings.alpha)
    assert lab.steps_done == 60


def test_a_bad_setting_changes_nothing():
    lab = trained()
    before = lab.grid("nfm")
    with pytest.raises(ValueError, match="sigma_add must be a finite number >= 0, got -1"):
        lab.set(alpha=2.0, sigma_add=-1)
    assert lab.settings == Settings()
    assert np.array_equal(lab.grid("nfm"), before)


def test_each_slider_moves_what_it_should_and_nothing_else():
    base = trained(100)
    moves = {
        "alpha": {"manifold_mixup", "nfm", "manifold_mixup_jsd", "noisymix"},
        "sigma_add": {"noise_injection", "nfm", "noisymix"},
        "sigma_mult": {"noise_injection", "nfm", "noisymix"},
        "stability": {"manifold_mixup_jsd", "noisymix"},
    }
    for name, lanes in moves.items():
        other = trained(100, **{name: 2 * getattr(Settings(), name)})
        changed = {a for a in base.lanes if not np.array_equal(base.grid(a), other.grid(a))}
        assert changed == lanes, name


def test_defaults_keep_every_scheme_alive():
    lab = ToyLab()
    lab.step(lab.total_steps)
    assert lab.done
    for lane in lab.lanes:
        assert not lab.metrics(lane)["collapsed"], lane


def test_collapse_is_said():
    lab = ToyLab(stability=12.0)
    lab.step(lab.total_steps)
    m = lab.metrics("noisymix")
    assert m["collapsed"]
    assert m["boundary_length"] == 0
    assert m["steepness"] is None


def test_metrics_equal_a_count_by_hand():
    lab = trained(80)
    m = lab.metrics("nfm")
    model = lab._ensemble.member(3, 0)
    import torch

    with torch.no_grad():
        predicted = model(torch.tensor(lab.X_test, dtype=torch.float32)).argmax(1).numpy()
    assert m["errors"] == int((predicted != lab.y_test).sum())
    assert m["test_accuracy"] == pytest.approx(1 - m["errors"] / 250)
    assert m["loss"] == pytest.approx(m["ce"])
    both = lab.metrics("noisymix")
    assert both["loss"] == pytest.approx(both["ce"] + 0.3 * both["jsd"])


def test_grid_is_the_probability_top_row_first():
    import torch

    lab = trained(80)
    grid = lab.grid("baseline", size=32)
    corner = torch.tensor([[-1.55, 1.55]])
    with torch.no_grad():
        p = lab._ensemble.member(0, 0)(corner).softmax(1)[0, 1].item()
    assert abs(int(grid[0, 0]) - 255 * p) < 0.5 + 1e-3  # one network alone sums otherwise than six
    assert (grid.dtype, grid.shape) == (np.uint8, (32, 32))


def test_the_end_is_the_end():
    lab = ToyLab(epochs=3)
    assert lab.step(4) == 4
    assert lab.step(1000) == 11
    assert lab.done
    assert lab.step(5) == 0


def test_own_points():
    lab = ToyLab()
    X = np.concatenate([lab.X_train, lab.X_test, [[0.1, 0.2]]])
    y = np.concatenate([lab.y_train, lab.y_test, [1]])
    test = np.arange(len(X)) % 2 == 0
    lab.set_points(X, y, test)
    assert len(lab.X_train) == (~test).sum()
    lab.step(5)
    assert "lab.set_points(X, y, is_test)" in lab.as_code()
    assert lab.points()[-1] == [0.1, 0.2, 1, 1]
    lab.set(data_seed=3)
    assert np.array_equal(lab.X_train, ToyLab(data_seed=3).X_train)


@pytest.mark.parametrize(
    ("X", "y", "test", "message"),
    [
        ([[0, 0]], [0, 1], [False], "must be"),
        ([[0, 0], [1, 1]], [0, 2], [False, True], "label 2 is out of range for 2 classes"),
        ([[0, 0], [1, 1]], [0, 1], [False, True], "training point of each class"),
        ([[0, 0], [np.nan, 1]], [0, 1], [False, True], "finite"),
    ],
)
def test_bad_points_are_named_and_lose_nothing(X, y, test, message):
    lab = trained(20)
    with pytest.raises(ValueError, match=message):
        lab.set_points(X, y, test)
    assert lab.steps_done == 20
    assert len(lab.X_train) == 250


def test_code_repeats_what_is_shown(capsys):
    lab = trained(40, alpha=0.7, seed=5)
    space = {}
    code = lab.as_code("nfm")
    exec(code, space)
    assert space["lab"].metrics("nfm") == lab.metrics("nfm")
    assert capsys.readouterr().out.rstrip("\n") == table(lab)
    display = eval(code.splitlines()[-1], space)  # what a notebook draws
    assert display.summary.startswith("Decision boundaries. NFM: test")
    assert Settings(**lab.preset()) == lab.settings


def test_unknown_lane_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'noisymix'"):
        ToyLab().grid("noisymx")


def test_a_collapse_is_a_verdict_of_a_finished_training():
    """Three steps in, one class everywhere says that training has only begun."""
    lab = trained(3, stability=12.0, epochs=30)
    early = lab.metrics("noisymix")
    assert early["one_class"] and not early["collapsed"]
    assert "collapsed" not in table(lab)
    assert "one class everywhere so far" in DecisionBoundaryDisplay.from_lab(lab).summary
    lab.step(lab.total_steps)
    assert lab.metrics("noisymix")["collapsed"] and "collapsed: one class everywhere" in table(lab)
    short = trained(10, stability=12.0, epochs=2)  # done, and too short all the same
    assert short.done and short.total_steps < ENOUGH_STEPS
    assert not any(short.metrics(lane)["collapsed"] for lane in FIG4)
    assert "collapsed" not in table(ToyLab(stability=12.0))  # untrained
