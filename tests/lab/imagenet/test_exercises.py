"""The exercises of notebook 08: right answers, and the slips they name."""

import pytest
import torch

from nmlib.lab.imagenet.exercises import check_mask, check_standard_error


def by_columns(scores, kept):
    made = torch.zeros_like(scores)
    made[:, kept] = scores[:, kept].softmax(1)
    return made


def masked(scores, kept, fill):
    made = torch.full_like(scores, fill)
    made[:, kept] = scores[:, kept]
    return made


MASK_SLIPS = {
    "none": (lambda s, kept: s.softmax(1), "still have probability"),
    "after": (lambda s, kept: masked(s.softmax(1), kept, 0), "before the softmax"),
    "zero": (lambda s, kept: masked(s, kept, 0).softmax(1), "minus infinity"),
    "scores": (lambda s, kept: masked(s, kept, 0), "softmax is missing"),
    "columns": (lambda s, kept: s[:, kept].softmax(1), "shape"),
}


def test_right_answers():
    assert check_mask(lambda s, kept: masked(s, kept, -torch.inf).softmax(1)).right
    assert check_mask(by_columns).right
    assert check_standard_error(100 * (0.525 * 0.475 / 5000) ** 0.5).right
    assert check_standard_error(0.71).right is False
    assert check_standard_error(0.706).right
    assert check_standard_error(None).right is None


@pytest.mark.parametrize("slip", MASK_SLIPS)
def test_slips_of_the_mask_are_named(slip):
    function, words = MASK_SLIPS[slip]
    verdict = check_mask(function)
    assert verdict.right is False and words in verdict.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [(0.00706, "a share"), (0.4988, "square root"), (0.2233, "50,000"), (0.0815, "15 x 5")],
)
def test_slips_of_the_error_are_named(answer, words):
    verdict = check_standard_error(answer)
    assert verdict.right is False and words in verdict.message
