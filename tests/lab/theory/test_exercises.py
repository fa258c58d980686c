"""The checks of notebook 02 accept what is right and name the classic slips."""

import pytest

from nmlib.lab.theory.exercises import check_moments, check_noise_term


def moments(a, b):
    product = a * b / ((a + b) * (a + b + 1))
    return 2 * product, product


def term(f, g, s):
    p = f.sigmoid()
    return s**2 / 2 * (p * (1 - p) * g.square().sum(1)).mean()


def unsquared_norm(f, g, s):
    p = f.sigmoid()
    return s**2 / 2 * (p * (1 - p) * g.norm(dim=1)).mean()


def test_right_and_empty_answers():
    assert check_moments(moments).right is True
    assert check_noise_term(term).right is True
    assert check_moments(lambda a, b: None).right is None
    assert check_noise_term(lambda f, g, s: None).right is None


MOMENT_SLIPS = {
    "over the mixture": lambda a, b: (b / (a + b), 0.0),
    "mean square": lambda a, b: (moments(a, b)[0], moments(a, b)[0] ** 2),
    "differ": lambda a, b: (0.1, 0.1),
}


@pytest.mark.parametrize("message", MOMENT_SLIPS)
def test_moment_slips_are_named(message):
    verdict = check_moments(MOMENT_SLIPS[message])
    assert verdict.right is False and message in verdict.message


NOISE_SLIPS = {
    "1/2": lambda f, g, s: 2 * term(f, g, s),
    "level enters squared": lambda f, g, s: term(f, g, s) / s,
    "mean over the points": lambda f, g, s: len(f) * term(f, g, s),
    "norm of the gradient": unsquared_norm,
    "differ": lambda f, g, s: 0.3 * term(f, g, s),
    "one number": lambda f, g, s: term(f, g, s) * f,
}


@pytest.mark.parametrize("message", NOISE_SLIPS)
def test_noise_slips_are_named(message):
    verdict = check_noise_term(NOISE_SLIPS[message])
    assert verdict.right is False and message in verdict.message
