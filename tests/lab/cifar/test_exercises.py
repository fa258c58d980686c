"""The checks of notebook 05 accept what is right and name the classic slips."""

import numpy as np
import pytest

from nmlib.lab.cifar.exercises import check_calibration, check_robust_accuracy


def bins(confidence, correct):
    place = np.ceil(15 * confidence)
    return [
        (np.mean(place == k), confidence[place == k].mean() - correct[place == k].mean())
        for k in np.unique(place)
    ]


def every(accuracy):
    return [v for levels in accuracy.values() for v in levels]


ROBUST = {
    "✓ right: the plain mean": lambda a, c: np.mean(every(a)),
    "· not tried yet": lambda a, c: None,
    "return one number": lambda a, c: [np.mean(v) for v in a.values()],
    "clean images do not count": lambda a, c: np.mean([*every(a), c]),
    "one minus it": lambda a, c: 1 - np.mean(every(a)),
    "mean of means": lambda a, c: np.mean([np.mean(v) for v in a.values()]),
    "hardest severity": lambda a, c: np.mean([v[-1] for v in a.values()]),
    "relative to clean": lambda a, c: np.mean(every(a)) / c,
    "differ from the definition": lambda a, c: 0.123,
}

CALIBRATION = {
    "✓ right: it equals": lambda c, r: sum(w * abs(g) for w, g in bins(c, r)),
    "· not tried yet": lambda c, r: None,
    "absolute value": lambda c, r: sum(w * g for w, g in bins(c, r)),
    "opposite sign cancel": lambda c, r: abs(c.mean() - r.mean()),
    "weigh each bin": lambda c, r: np.mean([abs(g) for _, g in bins(c, r)]),
    "not by the bins": lambda c, r: sum(abs(g) for _, g in bins(c, r)),
    "largest gap": lambda c, r: max(abs(g) for _, g in bins(c, r)),
    "mean square": lambda c, r: sum(w * g**2 for w, g in bins(c, r)) ** 0.5,
    "in percent": lambda c, r: 100 * sum(w * abs(g) for w, g in bins(c, r)),
}


@pytest.mark.parametrize("says", ROBUST)
def test_robust_accuracy(says):
    assert says in repr(check_robust_accuracy(ROBUST[says]))


@pytest.mark.parametrize("says", CALIBRATION)
def test_calibration(says):
    assert says in repr(check_calibration(CALIBRATION[says]))
