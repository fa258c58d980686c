"""Whatever a reader answers, every check says what is wrong in a line, and never raises."""

import numpy as np
import pytest
import torch

from nmlib.lab.ablation import exercises as ablation
from nmlib.lab.blocks import exercises as blocks
from nmlib.lab.cifar import exercises as cifar
from nmlib.lab.imagenet import exercises as imagenet
from nmlib.lab.paper import exercises as paper
from nmlib.lab.theory import exercises as theory
from nmlib.lab.toy import exercises as toy

CHECKS = {
    name: getattr(room, name)
    for room in (toy, theory, blocks, cifar, ablation, paper, imagenet)
    for name in room.__all__
    if name.startswith("check_")
}

# For each check of a function: what its right answer returns, as a stand-in for a near miss.
FUNCTIONS = {
    "check_augmix": lambda x, chains, weights, m: (
        (1 - m) * x + m * torch.einsum("j,jchw->chw", weights, chains)
    ),
    "check_calibration": None,
    "check_effective_level": lambda a, s: a * (3 / 28 * (1 - s)) ** 0.5,
    "check_jsd": lambda p, q: (p * (p / q).log()).sum(-1),
    "check_mask": lambda s, kept: s.softmax(1),
    "check_mean_gain": lambda none, a, b, both: ((a - none) + (both - b)) / 2,
    "check_mix": lambda h, partner, lam: lam * h + (1 - lam) * h[partner],
    "check_moments": lambda a, b: (0.1, 0.1),
    "check_noise_term": lambda f, g, s: 0.1,
    "check_robust_accuracy": lambda a, c: np.mean([v for row in a.values() for v in row]),
    "check_rounding": lambda parts: 0.1,
}
NAMES = {
    "check_collapse": (),
    "check_largest": ({"a": 1.0, "b": 2.0},),
    "check_new_row": (),
    "check_prediction": (1.0, 2.0),
    "check_standard_error": (),
    "check_suspect": (),
}


def test_every_check_is_here():
    assert CHECKS.keys() == {*FUNCTIONS, *NAMES}


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
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, odd):
    function, says = ODD[odd]
    verdict = CHECKS[name](function)
    assert verdict.right is (None if odd == "dots" else False)
    assert says in verdict.message and "\n" not in repr(verdict)


def test_nothing_written_yet_is_no_fault():
    def later(*_):
        raise NotImplementedError

    for name in FUNCTIONS:
        assert CHECKS[name](later).right is None


@pytest.mark.parametrize("odd", [True, False, 3.5, 1e9, "", "nonsense", b"x", [], {}, float("nan")])
@pytest.mark.parametrize("name", NAMES)
def test_names(name, odd):
    verdict = CHECKS[name](odd, *NAMES[name])
    assert verdict.right is False and "\n" not in repr(verdict)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("check_calibration",)])
def test_numbers_that_differ_come_with_an_example(name):
    right = FUNCTIONS[name]

    def off(*arguments):
        mine = right(*arguments)
        return tuple(0.137 for _ in mine) if isinstance(mine, tuple) else 0 * mine + 0.137

    message = CHECKS[name](off).message
    assert "differ from the definition" in message and "right is" in message
    assert "yours is 0.137" in message


@pytest.mark.parametrize("name", ["check_robust_accuracy", "check_effective_level"])
def test_the_number_of_an_example_is_no_answer(name):
    """What a wrong answer was shown does not pass as a constant."""
    check = CHECKS[name]
    shown = check(lambda *_: 0.137).message.rsplit("right is ", 1)[1].rstrip(".")
    truth = FUNCTIONS[name]
    first = []

    def constant(*arguments):
        first.append(truth(*arguments))
        return first[0]

    assert float(shown) == pytest.approx(
        float(truth(0.5, 0.65)) if "level" in name else 0.5, abs=0.2
    )
    assert check(constant).right is False


@pytest.mark.parametrize("kind", [torch.float64, "numpy", "list"])
def test_right_answers_of_other_types_are_right(kind):
    def mixed(h, partner, lam):
        mine = lam * h + (1 - lam) * h[partner]
        if kind == "numpy":
            return mine.numpy()
        return mine.tolist() if kind == "list" else mine.to(kind)

    assert toy.check_mix(mixed).right
    assert ablation.check_mean_gain(lambda n, a, b, c: torch.tensor((a - n + c - b) / 2)).right
