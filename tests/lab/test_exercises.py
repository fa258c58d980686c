"""The checks of the exercises accept what is right and name the classic slips."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import nmlib.lab
from nmlib.lab.ablation.exercises import check_mean_gain, check_new_row
from nmlib.lab.blocks.exercises import check_augmix, check_effective_level, check_largest
from nmlib.lab.cifar.exercises import check_calibration, check_robust_accuracy
from nmlib.lab.imagenet.exercises import check_mask, check_standard_error
from nmlib.lab.paper.exercises import check_rounding, check_suspect
from nmlib.lab.theory.exercises import check_moments, check_noise_term
from nmlib.lab.toy.exercises import check_collapse, check_jsd, check_mix, check_prediction
from nmlib.lab.transfer.exercises import check_seen, check_weight
from nmlib.paper import SWITCHES, ablation


def kl(a, b):
    return (a * (a / b).log()).sum(-1)


def jsd(p, q):
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def in_place(x, *_):
    return x.mul_(0.3)


def moments(a, b):
    product = a * b / ((a + b) * (a + b + 1))
    return 2 * product, product


def noise_term(f, g, s, power=2):
    p = f.sigmoid()
    return s**2 / 2 * (p * (1 - p) * g.norm(dim=1) ** power).mean()


def chains_of(c, w):
    return (w[:, None, None, None] * c).sum(0)


def every(accuracy):
    return [v for levels in accuracy.values() for v in levels]


def masked(scores, kept, fill):
    made = torch.full_like(scores, fill)
    made[:, kept] = scores[:, kept]
    return made


def bins(confidence, correct):
    place = np.ceil(15 * confidence)
    return [
        (np.mean(place == k), confidence[place == k].mean() - correct[place == k].mean())
        for k in np.unique(place)
    ]


RIGHT = {
    check_mix: lambda h, p, lam: torch.lerp(h[p], h, lam),
    check_jsd: jsd,
    check_moments: moments,
    check_noise_term: noise_term,
    check_augmix: lambda x, c, w, m: (1 - m) * x + m * chains_of(c, w),
    check_effective_level: lambda a, s: a * (3 / 28 * (1 - s)) ** 0.5,
    check_robust_accuracy: lambda a, c: np.mean(every(a)),
    check_calibration: lambda c, r: sum(w * abs(g) for w, g in bins(c, r)),
    check_mean_gain: lambda none, a, b, both: ((a - none) + (both - b)) / 2,
    check_rounding: lambda n: 0.1,
    check_mask: lambda s, kept: masked(s, kept, -torch.inf).softmax(1),
    check_weight: lambda mean, noise, rest: (rest - mean) / (rest - noise),
}
SLIPS = {
    check_mix: [
        ("nothing is mixed", lambda h, p, lam: h.clone()),
        ("share of the sample itself", lambda h, p, lam: (1 - lam) * h + lam * h[p]),
        ("sum to 1", lambda h, p, lam: lam * h + lam * h[p]),
        ("inverse permutation", lambda h, p, lam: lam * h + (1 - lam) * h[p.argsort()]),
        ("next sample", lambda h, p, lam: lam * h + (1 - lam) * h.roll(-1, 0)),
        ("changed its input", in_place),
        ("shape", lambda h, p, lam: h.sum()),
        ("differ", lambda h, p, lam: h + 1),
    ],
    check_jsd: [
        ("KL(p || q)", kl),
        ("halve", lambda p, q: 2 * jsd(p, q)),
        ("symmetric KL", lambda p, q: (kl(p, q) + kl(q, p)) / 2),
        ("stands second", lambda p, q: (kl((p + q) / 2, p) + kl((p + q) / 2, q)) / 2),
        ("bits", lambda p, q: jsd(p, q) / math.log(2)),
        ("square root", lambda p, q: jsd(p, q).sqrt()),
        ("sum over classes", lambda p, q: p * (p / q).log()),
    ],
    check_moments: [
        ("over the mixture", lambda a, b: (b / (a + b), 0.0)),
        ("mean square", lambda a, b: (moments(a, b)[0], moments(a, b)[0] ** 2)),
        ("differ", lambda a, b: (0.1, 0.1)),
    ],
    check_noise_term: [
        ("1/2", lambda f, g, s: 2 * noise_term(f, g, s)),
        ("level enters squared", lambda f, g, s: noise_term(f, g, s) / s),
        ("mean over the points", lambda f, g, s: len(f) * noise_term(f, g, s)),
        ("norm of the gradient", lambda f, g, s: noise_term(f, g, s, power=1)),
        ("differ", lambda f, g, s: 0.3 * noise_term(f, g, s)),
        ("one number", lambda f, g, s: noise_term(f, g, s) * f),
    ],
    check_augmix: [
        ("share", lambda x, c, w, m: m * x + (1 - m) * chains_of(c, w)),
        ("clean image is missing", lambda x, c, w, m: chains_of(c, w)),
        ("took their mean", lambda x, c, w, m: (1 - m) * x + m * c.mean(0)),
        ("sum to 1", lambda x, c, w, m: x + m * chains_of(c, w)),
        ("sum over the chains", lambda x, c, w, m: c),
        ("changed its input", in_place),
        ("differ", lambda x, c, w, m: x + 1),
    ],
    check_effective_level: [
        ("nominal", lambda a, s: a),
        ("take the root", lambda a, s: a**2 * 3 / 28 * (1 - s)),
        ("not its mean", lambda a, s: a * 2 / 7 * math.sqrt(1 - s)),
        ("sparsity is missing", lambda a, s: a * math.sqrt(3 / 28)),
        ("root belongs", lambda a, s: a * math.sqrt(3 / 28) * (1 - s)),
        ("kept the others", lambda a, s: a * math.sqrt(3 / 28 * s)),
        ("both arguments", lambda a, s: 0.5 * math.sqrt(3 / 28 * 0.35)),
        ("differ", lambda a, s: 17.0),
    ],
    check_robust_accuracy: [
        ("return one number", lambda a, c: [np.mean(v) for v in a.values()]),
        ("clean images do not count", lambda a, c: np.mean([*every(a), c])),
        ("one minus it", lambda a, c: 1 - np.mean(every(a))),
        ("mean of means", lambda a, c: np.mean([np.mean(v) for v in a.values()])),
        ("hardest severity", lambda a, c: np.mean([v[-1] for v in a.values()])),
        ("relative to clean", lambda a, c: np.mean(every(a)) / c),
        ("differ from the definition", lambda a, c: 0.123),
    ],
    check_calibration: [
        ("absolute value", lambda c, r: sum(w * g for w, g in bins(c, r))),
        ("opposite sign cancel", lambda c, r: abs(c.mean() - r.mean())),
        ("weigh each bin", lambda c, r: np.mean([abs(g) for _, g in bins(c, r)])),
        ("not by the bins", lambda c, r: sum(abs(g) for _, g in bins(c, r))),
        ("largest gap", lambda c, r: max(abs(g) for _, g in bins(c, r))),
        ("mean square", lambda c, r: sum(w * g**2 for w, g in bins(c, r)) ** 0.5),
        ("in percent", lambda c, r: 100 * sum(w * abs(g) for w, g in bins(c, r))),
    ],
    check_mean_gain: [
        ("after b", lambda none, a, b, both: both - b),
        ("equally", lambda none, a, b, both: (both - none) / 2),
        ("gain of b", lambda none, a, b, both: (b - none + both - a) / 2),
        ("interaction", lambda none, a, b, both: both - a - b + none),
        ("not their sum", lambda none, a, b, both: a - none + both - b),
        ("differ from the definition", lambda none, a, b, both: 0),
    ],
    check_rounding: [
        ("divides", lambda n: 0.05 + 0.05 * n),
        ("one sign", lambda n: 0.05 + 0.05 / n**0.5),
    ],
    check_mask: [
        ("still have probability", lambda s, kept: s.softmax(1)),
        ("before the softmax", lambda s, kept: masked(s.softmax(1), kept, 0)),
        ("minus infinity", lambda s, kept: masked(s, kept, 0).softmax(1)),
        ("softmax is missing", lambda s, kept: masked(s, kept, 0)),
        ("shape", lambda s, kept: s[:, kept].softmax(1)),
    ],
    check_weight: [
        ("among 15", lambda mean, noise, rest: 0.2),
        ("weight of the rest", lambda mean, noise, rest: (mean - noise) / (rest - noise)),
        ("not by the rest", lambda mean, noise, rest: 1 - mean / rest),
        ("sign", lambda mean, noise, rest: (rest - mean) / (noise - rest)),
    ],
}


NAMES = {
    check_collapse: (),
    check_largest: ({"a": 1.0, "b": 2.0},),
    check_new_row: (),
    check_prediction: (1.0, 2.0),
    check_seen: (),
    check_standard_error: (),
    check_suspect: (),
}


def named(check):
    return check.__name__


def test_every_check_is_here():
    rooms = Path(nmlib.lab.__file__).parent.glob("*/exercises.py")
    every = {
        name for path in rooms for name in re.findall(r"^def (check_\w+)", path.read_text(), re.M)
    }
    assert every == {*map(named, RIGHT), *map(named, NAMES)}


@pytest.mark.parametrize("check", RIGHT, ids=named)
def test_functions(check):
    assert check(RIGHT[check]).right is True
    assert check(lambda *_: None).right is None
    for message, slip in SLIPS[check]:
        verdict = check(slip)
        assert verdict.right is False and message in verdict.message, message


@pytest.mark.parametrize(
    ("answer", "after", "right"),
    [
        ("longer", 2.0, True),
        ("shorter", 2.0, False),
        ("the same", 1.01, True),
        ("shorter", 0, True),
        (" Longer", 2, True),
        (None, 2, None),
    ],
)
def test_predictions(answer, after, right):
    assert check_prediction(answer, 1.0, after).right is right


def test_names_that_are_wrong():
    for verdict, message in (
        (check_prediction("short", 1, 2), "did you mean 'shorter'"),
        (check_largest("a", {"a": 1.0, "b": 2.0}), "b 2, then a 1."),
        (check_largest("rotat", {"rotate": 1.0}), "did you mean 'rotate'"),
        (check_new_row(("jsd_los",)), "did you mean 'jsd_loss'"),
        (check_new_row(()), "already"),
        (check_new_row(("feature_mixing", "jsd_loss")), "cannot be trained"),
        (check_suspect("NFM"), "agrees with its printed average"),
        (check_suspect("CutMx"), "did you mean 'CutMix'"),
        (check_suspect(9), "not 9"),
        (check_standard_error(0.00706), "a share"),
        (check_standard_error(0.4988), "square root"),
        (check_standard_error(0.2233), "50,000"),
        (check_standard_error(0.0815), "15 x 5"),
        (check_seen(32), "takes something away"),
        (check_seen(24), "enlarged image"),
        (check_seen(224), "side of the crop"),
        (check_seen(784), "take its root"),
    ):
        assert verdict.right is False and message in verdict.message


def test_names_that_are_right():
    assert check_largest("b", {"a": 1.0, "b": 2.0}).right is True
    assert check_suspect("Cutmix ").right and "72.9" in check_suspect("CutMix").message
    assert check_largest(None, {}).right is check_suspect(None).right is None
    assert check_standard_error(0.706).right and check_standard_error(None).right is None
    assert check_seen(28).right and check_seen(None).right is None


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
    assert repr(check_new_row("jsd_loss")) == repr(check_new_row(("jsd_loss",)))


# -- whatever a reader answers, a check says what is wrong in a line, and never raises ------------


def divides(*_):
    return 1 / 0


def says_much(*_):
    raise RuntimeError("a first line\nand a second")


def gives_up(*_):
    raise SystemExit(1)


def wants_no_arguments():
    return 1.0


ODD = {
    "raises": (divides, "your function raises ZeroDivisionError: division by zero"),
    "its line": (divides, "in the line: return 1 / 0"),
    "two lines": (says_much, "your function raises RuntimeError: a first line and a second"),
    "exit": (gives_up, "your function raises SystemExit: 1"),
    "arguments": (wants_no_arguments, "your function raises TypeError"),
    "no function": (3.5, "give the function, without calling it, not 3.5"),
    "None itself": (None, "give the function"),
    "a text": (lambda *_: "many", "return"),
    "a boolean": (lambda *_: True, "return"),
    "a dict": (lambda *_: {}, "return"),
    "ragged": (lambda *_: [[1.0], [1.0, 2.0]], "return"),
    "not a number": (lambda *_: float("nan"), "return"),
    "infinity": (lambda *_: float("inf"), "return"),
    "dots": (lambda *_: ..., "instead of Ellipsis"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("check", RIGHT, ids=named)
def test_any_function_gets_a_line(check, odd):
    function, says = ODD[odd]
    verdict = check(function)
    assert verdict.right is (None if odd == "dots" else False)
    assert says in verdict.message and "\n" not in repr(verdict)


def test_nothing_written_yet_is_no_fault():
    def later(*_):
        raise NotImplementedError

    for check in RIGHT:
        assert check(later).right is None


@pytest.mark.parametrize("odd", [True, False, 3.5, 1e9, "", "nonsense", b"x", [], {}, float("nan")])
@pytest.mark.parametrize("check", NAMES, ids=named)
def test_any_name_gets_a_line(check, odd):
    verdict = check(odd, *NAMES[check])
    assert verdict.right is False and "\n" not in repr(verdict)


@pytest.mark.parametrize("check", RIGHT, ids=named)
def test_numbers_that_differ_come_with_an_example(check):
    def off(*arguments):
        mine = RIGHT[check](*arguments)
        return tuple(0.137 for _ in mine) if isinstance(mine, tuple) else 0 * mine + 0.137

    message = check(off).message
    assert "differ from the definition" in message and "right is" in message
    assert "yours is 0.137" in message


@pytest.mark.parametrize("check", [check_robust_accuracy, check_effective_level], ids=named)
def test_the_number_of_an_example_is_no_answer(check):
    """What a wrong answer was shown does not pass as a constant."""
    first = []

    def constant(*arguments):
        first.append(RIGHT[check](*arguments))
        return first[0]

    assert check(constant).right is False


@pytest.mark.parametrize("kind", [torch.float64, "numpy", "list"])
def test_right_answers_of_other_types_are_right(kind):
    def mixed(h, partner, lam):
        mine = lam * h + (1 - lam) * h[partner]
        if kind == "numpy":
            return mine.numpy()
        return mine.tolist() if kind == "list" else mine.to(kind)

    assert check_mix(mixed).right
    assert check_mean_gain(lambda n, a, b, c: torch.tensor((a - n + c - b) / 2)).right
