"""Checks of the exercises in notebook 02: each tells a right answer from the usual wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from nmlib.theory.example import example_problem
from nmlib.theory.expansion import nfm_expansion
from nmlib.theory.quadrature import mixing_moments

__all__ = ["check_moments", "check_noise_term"]


def _close(a: Any, b: float) -> bool:
    return math.isclose(float(a), b, rel_tol=1e-6)


def check_moments(answer: Callable[[float, float], Any]) -> None:
    """Check a function (alpha, beta) -> (m1, m2).

    >>> check_moments(mixing_moments)
    Right: both moments, for three pairs of parameters.
    """
    if answer(1.0, 1.0) is None:
        print("Nothing returned yet.")
        return
    for alpha, beta in ((1.0, 1.0), (1.3, 0.7), (0.2, 2.0)):
        m1, m2 = answer(alpha, beta)
        want1, want2 = mixing_moments(alpha, beta)
        if not _close(m1, want1):
            plain = _close(m1, beta / (alpha + beta))
            print("m1 is wrong" + (": that is the mean over Beta, not over the mixture" * plain))
            return
        if not _close(m2, want2):
            square = _close(m2, want1**2)
            print("m2 is wrong" + (": the mean square, not the square of the mean" * square))
            return
    print("Right: both moments, for three pairs of parameters.")


def check_noise_term(answer: Callable[[Any, Any, float], Any]) -> None:
    r"""Check a function (logits, gradients, sigma) -> $\sigma^2 R_2^{add}$.

    >>> check_noise_term(lambda f, g, s: None)
    Nothing returned yet.
    """
    problem = example_problem()
    x = problem.X.clone().requires_grad_(True)
    logits = problem.f(x)
    (gradients,) = torch.autograd.grad(logits.sum(), x)
    got = answer(logits.detach(), gradients, 0.4)
    if got is None:
        print("Nothing returned yet.")
        return
    terms = nfm_expansion(
        problem.f, problem.X, problem.y, alpha=None, sigma_add=0.4, sigma_mult=0.0
    )
    want = float(terms.R2_add)
    hints = {2.0: "the factor 1/2 is lost", 2.5: "the level enters squared", 12.0: "take the mean"}
    if _close(got, want):
        print("Right: the same as nfm_expansion(...).R2_add.")
    else:
        hint = next((h for k, h in hints.items() if _close(got, k * want)), "check h'' and norms")
        print(f"Not yet: {hint}.")
