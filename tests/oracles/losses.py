"""Divergence and cross-entropy, one number at a time."""

import math

import mpmath
import numpy as np
from scipy.special import rel_entr


def softmax(logits):
    """Softmax of a vector in 50 decimal digits, as mpmath numbers."""
    with mpmath.workdps(50):
        z = [mpmath.mpf(float(v)) for v in logits]
        e = [mpmath.exp(v - max(z)) for v in z]
        return [v / sum(e) for v in e]


def entropy(p):
    """-sum p log p with 0 log 0 = 0."""
    with mpmath.workdps(50):
        return -sum((v * mpmath.log(v) for v in p if v > 0), mpmath.mpf(0))


def divergence_from_logits(logits, weights):
    """H(sum pi_v P_v) - sum pi_v H(P_v) for logits (V, K), in 50 decimal digits."""
    with mpmath.workdps(50):
        return exact_divergence([softmax(row) for row in logits], weights)


def exact_divergence(ps, weights):
    """H(sum pi_v P_v) - sum pi_v H(P_v) for probabilities (V, K), in 50 decimal digits."""
    with mpmath.workdps(50):
        ps = [[mpmath.mpf(v) for v in p] for p in ps]
        mixture = [
            sum(mpmath.mpf(float(w)) * p[k] for w, p in zip(weights, ps, strict=True))
            for k in range(len(ps[0]))
        ]
        total = entropy(mixture)
        for w, p in zip(weights, ps, strict=True):
            total -= mpmath.mpf(float(w)) * entropy(p)
        return float(total)


def divergence(probs, weights):
    """sum pi_v KL(P_v || M) for probabilities (V, K), by SciPy's relative entropy."""
    probs = np.asarray(probs, dtype=np.float64)
    mixture = sum(w * p for w, p in zip(weights, probs, strict=True))
    return sum(w * rel_entr(p, mixture).sum() for w, p in zip(weights, probs, strict=True) if w)


def relative_entropy(logits, others):
    """KL(P || Q) for the softmax of two vectors of logits, in 50 decimal digits."""
    with mpmath.workdps(50):
        pairs = zip(softmax(logits), softmax(others), strict=True)
        return float(sum((p * mpmath.log(p / q) for p, q in pairs), mpmath.mpf(0)))


def cross_entropy(logits, target):
    """-sum y_k log softmax(z)_k for one sample, target a class or a distribution."""
    p = softmax(logits)
    if np.ndim(target) == 0:
        target = [float(k == int(target)) for k in range(len(p))]
    with mpmath.workdps(50):
        terms = (mpmath.mpf(float(t)) * mpmath.log(v) for t, v in zip(target, p, strict=True) if t)
        return float(-sum(terms, mpmath.mpf(0)))


def weight_entropy(weights):
    """H(pi), the upper limit of the divergence."""
    return -sum(w * math.log(w) for w in weights if w > 0)
