"""The checks of notebook 04 accept what is right and name the classic slips."""

import math

import pytest

from nmlib.lab.blocks.exercises import check_augmix, check_effective_level, check_largest


def right_augmix(x, chains, weights, m):
    return (1 - m) * x + m * sum(w * c for w, c in zip(weights, chains, strict=True))


def in_place(x, chains, weights, m):
    return x.mul_(1 - m)


AUGMIX_SLIPS = {
    "swapped": (lambda x, c, w, m: m * x + (1 - m) * (w[:, None, None, None] * c).sum(0), "share"),
    "no image": (lambda x, c, w, m: (w[:, None, None, None] * c).sum(0), "clean image is missing"),
    "mean": (lambda x, c, w, m: (1 - m) * x + m * c.mean(0), "took their mean"),
    "sum": (lambda x, c, w, m: x + m * (w[:, None, None, None] * c).sum(0), "sum to 1"),
    "shape": (lambda x, c, w, m: c, "sum over the chains"),
    "in place": (in_place, "changed its input"),
    "other": (lambda x, c, w, m: x + 1, "differ"),
}


@pytest.mark.parametrize("slip", AUGMIX_SLIPS)
def test_augmix_slips_are_named(slip):
    function, message = AUGMIX_SLIPS[slip]
    verdict = check_augmix(function)
    assert verdict.right is False and message in verdict.message


LEVEL_SLIPS = {
    "nominal": (lambda a, s: a, "nominal"),
    "square": (lambda a, s: a**2 * 3 / 28 * (1 - s), "take the root"),
    "mean": (lambda a, s: a * 2 / 7 * math.sqrt(1 - s), "not its mean"),
    "dense": (lambda a, s: a * math.sqrt(3 / 28), "sparsity is missing"),
    "root": (lambda a, s: a * math.sqrt(3 / 28) * (1 - s), "root belongs"),
    "kept": (lambda a, s: a * math.sqrt(3 / 28 * s), "kept the others"),
    "constant": (lambda a, s: 0.5 * math.sqrt(3 / 28 * 0.35), "both arguments"),
    "other": (lambda a, s: 17.0, "differ"),
}


@pytest.mark.parametrize("slip", LEVEL_SLIPS)
def test_level_slips_are_named(slip):
    function, message = LEVEL_SLIPS[slip]
    verdict = check_effective_level(function)
    assert verdict.right is False and message in verdict.message


def test_right_and_empty_answers():
    assert check_augmix(right_augmix).right is True
    assert check_effective_level(lambda a, s: a * (3 / 28 * (1 - s)) ** 0.5).right is True
    assert check_largest("b", {"a": 1.0, "b": 2.0}).right is True
    wrong = check_largest("a", {"a": 1.0, "b": 2.0})
    assert wrong.right is False and wrong.message == "b 2, then a 1."
    for verdict in (
        check_augmix(lambda *a: None),
        check_effective_level(lambda *a: None),
        check_largest(None, {}),
    ):
        assert verdict.right is None
    misspelt = check_largest("rotat", {"rotate": 1.0})
    assert misspelt.right is False and "did you mean 'rotate'" in misspelt.message
