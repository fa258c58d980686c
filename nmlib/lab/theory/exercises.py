"""Exercises of notebook 02: moments of the mixing weight, and the noise term."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from nmlib.lab.display.verdict import (
    Unusable,
    Verdict,
    answering,
    ask,
    first_wrong,
    number_verdict,
)
from nmlib.theory import example_problem, mixing_moments, nfm_expansion

__all__ = ["check_moments", "check_noise_term"]


@answering
def check_moments(answer: Callable[[float, float], Any]) -> Verdict:
    """Check a function (alpha, beta) -> (m1, m2).

    >>> check_moments(mixing_moments)
    ✓ right: both moments, for three pairs of parameters.
    >>> check_moments(lambda a, b: (b / (a + b), 0.0))
    ✗ not yet: m1 is the mean over the mixture of two Betas, not over Beta(alpha, beta) alone.
    """
    pairs = ((1.0, 1.0), (1.3, 0.7), (0.2, 2.0))
    return first_wrong(verdict for pair in pairs for verdict in _moments(answer, *pair))


def _moments(answer: Callable[[float, float], Any], alpha: float, beta: float) -> Iterator[Verdict]:
    mine = ask(answer, alpha, beta, wanted="the two moments")
    try:
        m1, m2 = mine
    except (TypeError, ValueError):
        raise Unusable("return two numbers, m1 and m2.") from None
    where = f"for alpha {alpha:g} and beta {beta:g},"
    right = "both moments, for three pairs of parameters."
    want1, want2 = mixing_moments(alpha, beta)
    mixture = "m1 is the mean over the mixture of two Betas, not over Beta(alpha, beta) alone."
    square = "m2 is the mean square, not the square of the mean."
    yield number_verdict(m1, want1, right, [(mixture, beta / (alpha + beta))], f"{where} m1:")
    yield number_verdict(m2, want2, right, [(square, want1**2)], f"{where} m2:")


@answering
def check_noise_term(answer: Callable[[Any, Any, float], Any]) -> Verdict:
    r"""Check a function (logits, gradients, sigma) -> $\sigma^2 R_2^{add}$.

    >>> check_noise_term(lambda f, g, s: None)
    · not tried yet: return a number instead of None, then run again.
    """
    return first_wrong(_noise_term(answer, sigma) for sigma in (0.4, 0.7))


def _noise_term(answer: Callable[..., Any], sigma: float) -> Verdict:
    problem = example_problem()
    x = problem.X.clone().requires_grad_(True)
    logits = problem.f(x)
    (gradients,) = torch.autograd.grad(logits.sum(), x)
    logits = logits.detach()
    got = ask(answer, logits.clone(), gradients.clone(), sigma, wanted="a number")
    terms = nfm_expansion(
        problem.f, problem.X, problem.y, alpha=None, sigma_add=sigma, sigma_mult=0.0
    )
    want, p = float(terms.R2_add), logits.sigmoid()
    unsquared = sigma**2 / 2 * (p * (1 - p) * gradients.norm(dim=1)).mean()
    slips = [
        ("the factor 1/2 is missing.", 2 * want),
        ("the level enters squared.", want / sigma),
        ("take the mean over the points.", len(problem.X) * want),
        ("the norm of the gradient enters squared.", float(unsquared)),
    ]
    right = "the same as nfm_expansion(...).R2_add."
    return number_verdict(got, want, right, slips, f"for sigma {sigma}")
