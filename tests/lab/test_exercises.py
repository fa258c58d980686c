"""The checks of the exercises accept what is right and name the classic slips."""

import itertools

import numpy as np
import pytest
import torch

from nmlib.lab.ablation.exercises import check_mean_gain, check_new_row
from nmlib.lab.paper.exercises import check_rounding, check_suspect
from nmlib.lab.toy.exercises import check_collapse, check_jsd, check_mix, check_prediction
from nmlib.paper import SWITCHES, ablation


def kl(a, b):
    return (a * (a / b).log()).sum(-1)


def in_place(h, partner, lam):
    h *= lam
    return h


MIX_SLIPS = {
    "nothing": (lambda h, p, lam: h.clone(), "nothing is mixed"),
    "swapped": (lambda h, p, lam: (1 - lam) * h + lam * h[p], "share of the sample itself"),
    "no complement": (lambda h, p, lam: lam * h + lam * h[p], "sum to 1"),
    "inverse": (lambda h, p, lam: lam * h + (1 - lam) * h[p.argsort()], "inverse permutation"),
    "next": (lambda h, p, lam: lam * h + (1 - lam) * h.roll(-1, 0), "next sample"),
    "in place": (in_place, "changed its input"),
    "shape": (lambda h, p, lam: h.sum(), "shape"),
    "other": (lambda h, p, lam: h + 1, "differ"),
}


@pytest.mark.parametrize("slip", MIX_SLIPS)
def test_mix_slips_are_named(slip):
    function, message = MIX_SLIPS[slip]
    verdict = check_mix(function)
    assert verdict.right is False
    assert message in verdict.message


JSD_SLIPS = {
    "kl": (kl, "KL(p || q)"),
    "not halved": (lambda p, q: kl(p, (p + q) / 2) + kl(q, (p + q) / 2), "halve"),
    "symmetric kl": (lambda p, q: (kl(p, q) + kl(q, p)) / 2, "symmetric KL"),
    "reversed": (lambda p, q: (kl((p + q) / 2, p) + kl((p + q) / 2, q)) / 2, "stands second"),
    "bits": (lambda p, q: right_jsd(p, q) / torch.log(torch.tensor(2.0)), "bits"),
    "distance": (lambda p, q: right_jsd(p, q).sqrt(), "square root"),
    "no sum": (lambda p, q: p * (p / q).log(), "sum over classes"),
}


def right_jsd(p, q):
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


@pytest.mark.parametrize("slip", JSD_SLIPS)
def test_jsd_slips_are_named(slip):
    function, message = JSD_SLIPS[slip]
    verdict = check_jsd(function)
    assert verdict.right is False
    assert message in verdict.message


def test_right_answers_are_right():
    assert check_mix(lambda h, p, lam: lam * h + (1 - lam) * h[p]).right
    assert check_mix(lambda h, p, lam: torch.lerp(h[p], h, lam)).right
    assert check_jsd(right_jsd).right


def test_nothing_tried_is_neither():
    assert check_mix(lambda *a: None).right is None
    assert check_jsd(lambda *a: None).right is None
    assert check_prediction(None, 1, 2).right is None


@pytest.mark.parametrize(
    ("answer", "after", "right"),
    [
        ("longer", 2.0, True),
        ("shorter", 2.0, False),
        ("the same", 1.01, True),
        ("shorter", 0, True),
    ],
)
def test_predictions(answer, after, right):
    assert check_prediction(answer, 1.0, after).right is right


def test_a_prediction_of_another_kind_is_named():
    verdict = check_prediction("short", 1, 2)
    assert verdict.right is False and "did you mean 'shorter'" in verdict.message
    assert check_prediction(" Longer", 1, 2).right is True


def test_the_weight_where_the_collapse_begins_is_right():
    assert check_collapse(1.0).right is True
    assert check_collapse(np.float64(1.1)).right is True
    assert "both classes are left" in check_collapse(0.3).message


@pytest.mark.parametrize("weight", [2, 12.0, 1e9])
def test_a_weight_far_beyond_it_is_not(weight):
    """12 stands in the question."""
    verdict = check_collapse(weight)
    assert verdict.right is False and "where does it begin?" in verdict.message


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (True, "not True"),
        ("0.8", "not '0.8'"),
        (float("nan"), "not nan"),
        (float("inf"), "not inf"),
        (-1, "0 or more, not -1"),
        ([0.8, 1], "choose one JSD weight."),
        (10**400, "choose one JSD weight"),
    ],
)
def test_what_is_no_weight_is_said_in_a_line(answer, says):
    verdict = check_collapse(answer)
    assert verdict.right is False and says in verdict.message


def test_a_collapse_needs_enough_training():
    verdict = check_collapse(12.0, epochs=1)
    assert verdict.right is False and "5 steps are too few" in verdict.message


# -- the ablation and the paper's tables ----------------------------------------------------------


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        (lambda none, a, b, both: both - b, "after b"),
        (lambda none, a, b, both: (both - none) / 2, "equally"),
        (lambda none, a, b, both: (b - none + both - a) / 2, "gain of b"),
        (lambda none, a, b, both: both - a - b + none, "interaction"),
        (lambda none, a, b, both: a - none + both - b, "not their sum"),
        (lambda none, a, b, both: 0, "differ from the definition"),
    ],
)
def test_mean_gain_slips(slip, message):
    verdict = check_mean_gain(slip)
    assert verdict.right is False
    assert message in verdict.message


def test_mean_gain():
    assert check_mean_gain(lambda none, a, b, both: ((a - none) + (both - b)) / 2).right
    assert check_mean_gain(lambda *_: None).right is None


def test_new_row_agrees_with_linear_algebra():
    """A row is right exactly if it raises the rank of the design to the number of terms."""
    names = list(SWITCHES)
    pairs = [(i, j) for i in range(4) for j in range(i) if {i, j} != {0, 3}]

    def design(rows):
        x = np.array(rows, float)
        return np.column_stack([np.ones(len(x)), x, *(x[:, i] * x[:, j] for i, j in pairs)])

    on = ablation().on.tolist()
    for row in itertools.product([False, True], repeat=4):
        answer = [n for n, ticked in zip(names, row, strict=True) if ticked]
        enough = np.linalg.matrix_rank(design([*on, list(row)])) == 5 + len(pairs)
        trainable = row[0] or row[2] or not row[3]  # else nothing tells the views apart
        assert check_new_row(answer).right == (enough and trainable), row
    assert check_new_row(None).right is None
    assert "already" in check_new_row(()).message
    assert "cannot be trained" in check_new_row(("feature_mixing", "jsd_loss")).message
    assert "did you mean 'jsd_loss'" in check_new_row(("jsd_los",)).message
    assert repr(check_new_row("jsd_loss")) == repr(check_new_row(("jsd_loss",)))
    for odd in (True, 3, (True,), [None]):
        assert check_new_row(odd).right is False


def test_rounding():
    assert check_rounding(lambda n: None).right is None
    assert "divides" in check_rounding(lambda n: 0.05 + 0.05 * n).message
    assert "one sign" in check_rounding(lambda n: 0.05 + 0.05 / n**0.5).message


def test_suspect():
    assert check_suspect("CutMix").right
    assert "72.9" in check_suspect("CutMix").message
    assert check_suspect("NFM").right is False
    assert check_suspect(None).right is None
    assert check_suspect("Cutmix ").right
    assert "did you mean 'CutMix'" in check_suspect("CutMx").message
    assert "not 9" in check_suspect(9).message
