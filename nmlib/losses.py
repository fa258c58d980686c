"""Cross-entropy with soft labels, the Jensen-Shannon divergence and the NoisyMix loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from nmlib import _checks
from nmlib._devices import to_device

__all__ = [
    "DIVERGENCES",
    "LossParts",
    "jensen_shannon_divergence",
    "kullback_leibler_divergence",
    "noisymix_loss",
    "soft_cross_entropy",
]

Weights = Sequence[float] | Tensor | None

_DIVERGED = "lower the learning rate or check the inputs (validate=False skips this test)"


@dataclass(frozen=True)
class LossParts:
    r"""The loss of one batch and its parts.

    Attributes:
        ce: Cross-entropy of view 0 (the NFM part), a scalar.
        jsd: Divergence between the views before weighting, a scalar (0 if unused). It is the
            Jensen-Shannon divergence unless `Scheme.divergence` names another.
        stability: The weight $\gamma$ of `jsd` in `total`.
        logits: (V, B, K) logits of all views after mixing and noise.
    """

    ce: Tensor
    jsd: Tensor
    stability: float
    logits: Tensor

    @property
    def total(self) -> Tensor:
        r"""$L^{NFM} + \gamma L^{stab}$ (paper, eq. 2)."""
        return self.ce + self.stability * self.jsd if self.stability else self.ce


def _from_tensors(tensors: Iterable[Any], stability: float) -> LossParts:
    ce, jsd, logits = tensors
    return LossParts(ce, jsd, stability, logits)


# DistributedDataParallel and FSDP look for tensors in what a module returns.
register_pytree_node(
    LossParts, lambda parts: ([parts.ce, parts.jsd, parts.logits], parts.stability), _from_tensors
)


def _widened(values: Tensor) -> Tensor:
    """Widen half precision to float32: it cannot resolve the differences between views."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _log_softmax(logits: Tensor) -> Tensor:
    # Logits whose difference overflows give -inf, and then NaN from 0 * -inf or -inf - -inf.
    return torch.log_softmax(logits, -1).clamp(min=torch.finfo(logits.dtype).min / 4)


def _checked_views(probs: Tensor, from_logits: bool, validate: bool, least: int) -> Tensor:
    """Validate distributions or logits, and widen half precision."""
    probs = _checks.tensor("probs", probs)
    if probs.ndim < 2 or probs.shape[0] < least or not probs.shape[-1]:
        raise ValueError(
            f"probs must have shape (V, ..., K), got {tuple(probs.shape)}; V >= {least}, K >= 1"
        )
    if not probs.is_floating_point():
        raise TypeError(f"probs must be floating point, got {probs.dtype}")
    if validate:
        _checks.finite_tensor("logits" if from_logits else "probs", probs, _DIVERGED)
        if not from_logits:
            remedy = "apply softmax, or pass from_logits=True for logits"
            _checks.probabilities("probs", probs, remedy)
    return _widened(probs)


def _view_weights(weights: Weights, like: Tensor, validate: bool, first: int = 0) -> Tensor:
    """Return the weights of the views from `first` on, or raise unless all V sum to 1.

    Values on an accelerator are checked only with `validate`.
    """
    views = like.shape[0]
    if weights is None:
        return like.new_full((views - first,), 1.0 / views)
    given = _checks.tensor("weights", weights)
    w = given.to(like.dtype)
    if w.ndim != 1 or w.shape[0] != views:
        raise ValueError(
            f"weights must be {views} numbers, one for each view, got shape {tuple(w.shape)}"
        )
    if validate or w.device.type == "cpu":
        # Three float32 thirds sum to 1 up to 1e-7 only: the tolerance follows the type.
        own = torch.finfo(given.dtype).eps if given.is_floating_point() else 0.0
        tolerance = 1e-6 + 8 * max(torch.finfo(like.dtype).eps, own)
        total = float(w.detach().sum())
        # `not >=` rather than `<`: NaN fails too.
        if not (float(w.detach().min()) >= 0 and abs(total - 1) <= tolerance):
            raise ValueError(
                f"weights must be >= 0 and sum to 1, got {w.tolist()} with sum {total:.6g}; divide "
                "them by their sum"
            )
        if not float(w.detach()[first:].sum()) > 0:
            raise ValueError("all weights after the first are 0; use weights=None")
    if given.dtype in (torch.float16, torch.bfloat16):  # three thirds sum to 0.9998
        w = w / w.sum()
    return (w if isinstance(weights, Tensor) else to_device(w, like.device))[first:].to(like.device)


def jensen_shannon_divergence(
    probs: Tensor, weights: Weights = None, *, from_logits: bool = False, validate: bool = True
) -> Tensor:
    r"""Jensen-Shannon divergence of V distributions.

    $$JSD_\pi(P_1,\dots,P_V) = \sum_v \pi_v\, KL(P_v \,\|\, M), \qquad M = \sum_v \pi_v P_v,$$

    in nats. It lies in $[0, H(\pi)]$. It is 0 only if all distributions of positive weight are
    equal; its gradient is 0 there.

    Args:
        probs: (V, ..., K) probabilities that sum to 1 over the last axis; with `from_logits`,
            logits of any size, also saturated ones.
        weights: V non-negative numbers with sum 1; default 1/V each.
        from_logits: Treat `probs` as logits. Prefer this in training: it never divides by a
            probability near 0.
        validate: Check values (costs a synchronisation on a GPU). Shapes are always checked.

    Returns:
        (...) divergences, one for each set of V distributions; float32 for half precision.

    Raises:
        ValueError: For weights that are negative or do not sum to 1. With `validate`, also for NaN
            or infinite values, and for probabilities that are negative or do not sum to 1.

    Source: paper sec. 3.1 and eq. 19.
    Differs: the released code clamps the mixture to [1e-7, 1]; here nothing is clamped.

    >>> p = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(jensen_shannon_divergence(p)), 6)            # log 2, the upper limit
    0.693147
    >>> round(float(jensen_shannon_divergence(torch.zeros(3, 5), from_logits=True)), 6)
    0.0
    """
    probs = _checked_views(probs, from_logits, validate, 1)
    w = _view_weights(weights, probs, validate).reshape(-1, *[1] * (probs.ndim - 1))
    if from_logits:
        log_p = _log_softmax(probs)
        p = log_p.exp()
        log_m = torch.logsumexp(log_p + w.log(), 0)
        kl = (p * (log_p - log_m)).sum(-1)
    else:
        p = probs
        m = (w * p).sum(0)
        # 0 log 0 = 0, with gradient 0 where no view has any mass.
        safe_p = torch.where(p > 0, p, torch.ones_like(p))
        safe_m = torch.where(m > 0, m, torch.ones_like(m))
        kl = (p * (safe_p.log() - torch.where(p > 0, safe_m.log(), torch.zeros_like(m)))).sum(-1)
    jsd = (w.squeeze(-1) * kl).sum(0)
    # Rounding can leave -1e-17: lift the value to 0, but keep its derivatives of every order.
    return jsd - jsd.clamp(max=0).detach()


def kullback_leibler_divergence(
    probs: Tensor, weights: Weights = None, *, from_logits: bool = False, validate: bool = True
) -> Tensor:
    r"""Kullback-Leibler divergence of view 0 from the others.

    $$\sum_{v \ge 1} w_v\, KL(P_0 \,\|\, P_v), \qquad w_v = \frac{\pi_v}{\sum_{u \ge 1} \pi_u},$$

    in nats; for two views $KL(P_0 \,\|\, P_1)$.

    Args:
        probs: (V, ..., K) probabilities, V >= 2; with `from_logits`, logits.
        weights: V numbers $\pi$ with sum 1; default 1/V each. $\pi_0$ is not used.
        from_logits: Treat `probs` as logits. With probabilities, the divergence is infinite where
            some $P_v$ is 0 and $P_0$ is not.
        validate: Check values (costs a synchronisation on a GPU).

    Returns:
        (...) divergences; float32 for half precision.

    Raises:
        ValueError: As for `jensen_shannon_divergence`, and for fewer than two views.

    Source: stability training (Zheng et al. 2016), the paper's reference for its stability loss.

    >>> p = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    >>> round(float(kullback_leibler_divergence(p)), 6)         # log(2 / sqrt 3)
    0.143841
    """
    probs = _checked_views(probs, from_logits, validate, 2)
    w = _view_weights(weights, probs, validate, first=1)
    w = (w / w.sum()).reshape(-1, *[1] * (probs.ndim - 2))
    if from_logits:
        log_p = _log_softmax(probs)
        kl = (log_p[0].exp() * (log_p[0] - log_p[1:])).sum(-1)
    else:
        first = torch.where(probs[0] > 0, probs[0], torch.ones_like(probs[0]))
        others = torch.where(probs[0] > 0, probs[1:], torch.ones_like(probs[1:]))
        kl = (probs[0] * (first.log() - others.log())).sum(-1)
    # A view of weight 0 does not count, even at infinite divergence.
    kl = torch.where(w > 0, w * kl, 0).sum(0)
    # Rounding must not make it negative, as above.
    return kl - kl.clamp(max=0).detach()


DIVERGENCES = {"jsd": jensen_shannon_divergence, "kl": kullback_leibler_divergence}
"""The divergences that the stability term can use, by name."""


def soft_cross_entropy(logits: Tensor, target: Tensor, *, validate: bool = True) -> Tensor:
    r"""Cross-entropy against class labels or label distributions, one value per sample.

    $$\ell(z, y) = -\sum_k y_k \log \mathrm{softmax}(z)_k.$$

    It is linear in y, so for mixed labels it equals $\lambda\,\ell(z,y)+(1-\lambda)\,\ell(z,y')$.

    Args:
        logits: (..., K) logits.
        target: (...) integer classes, or (..., K) distributions.
        validate: Check values (costs a synchronisation on a GPU).

    Returns:
        (...) losses in nats; float32 for half precision.

    Raises:
        ValueError: For a label out of range, a target that does not sum to 1, shapes that do not
            fit, or logits that are not finite.

    Source: paper sec. 3.1, NFM loss.

    >>> soft_cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([4.])
    """
    logits, target = _checks.tensor("logits", logits), _checks.tensor("target", target)
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    if not logits.ndim or not logits.shape[-1]:
        raise ValueError(f"logits must have shape (..., K), K >= 1, got {tuple(logits.shape)}")
    if validate:
        _checks.finite_tensor("logits", logits, _DIVERGED)
    log_p = _log_softmax(_widened(logits))
    if target.shape == logits.shape[:-1]:
        target = _checks.class_labels(target, logits.shape[-1], validate=validate)
        return -log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    if target.shape != logits.shape:
        raise ValueError(
            f"target must have shape {tuple(logits.shape[:-1])} (classes) or "
            f"{tuple(logits.shape)} (distributions), got {tuple(target.shape)}"
        )
    if not target.is_floating_point():  # one-hot
        target = target.to(log_p.dtype)
    if validate:
        _checks.probabilities("target", target, "divide each row by its sum, or pass classes")
    return -(target.to(log_p.dtype) * log_p).sum(-1)


def noisymix_loss(
    logits: Tensor,
    target: Tensor,
    *,
    stability: float = 12.0,
    weights: Weights = None,
    divergence: Literal["jsd", "kl"] = "jsd",
    validate: bool = True,
) -> LossParts:
    r"""The NoisyMix loss of views that are already mixed and noisy.

    $$\hat L = \frac1b\sum_i \Big\{ \ell(z^{(1)}_i, \tilde y_i)
      + \gamma\, JSD_\pi\big(p^{(1)}_i,\dots,p^{(V)}_i\big) \Big\}.$$

    The cross-entropy uses view 0 only, as in the released code.

    Args:
        logits: (V, B, K) logits, view 0 first.
        target: (B,) classes or (B, K) mixed labels of view 0.
        stability: $\gamma \ge 0$; at 0 the divergence is not computed.
        weights: $\pi$; default 1/V each.
        divergence: "jsd", or "kl" as in stability training.
        validate: Check values (costs a synchronisation on a GPU).

    Returns:
        LossParts, means over the batch.

    Raises:
        ValueError: For a negative `stability`, or `stability` > 0 with a single view.

    Source: paper eq. 2 and sec. 3.2.

    >>> parts = noisymix_loss(torch.zeros(3, 4, 2), torch.tensor([0, 1, 0, 1]))
    >>> round(float(parts.total), 4), round(float(parts.jsd), 6)
    (0.6931, 0.0)
    """
    if isinstance(logits, (list, tuple)):
        raise TypeError(
            f"logits must be one tensor (V, B, K), got {type(logits).__name__}; put the views "
            "together with torch.stack"
        )
    logits = _checks.tensor("logits", logits)
    if logits.ndim == 3 and not logits.numel():
        raise ValueError(f"logits are empty, (V, B, K) = {tuple(logits.shape)}; give a sample")
    if logits.ndim != 3:
        raise ValueError(
            f"logits must have shape (V, B, K), got {tuple(logits.shape)}; if the views follow "
            "each other in the batch, use logits.unflatten(0, (V, -1))"
        )
    stability = _checks.non_negative("stability", stability)
    if stability and logits.shape[0] < 2:
        raise ValueError(
            f"stability={stability} compares views but there is 1; use stability=0 or more views"
        )
    ce = soft_cross_entropy(logits[0], target, validate=validate).mean()
    _checks.choice("divergence", divergence, DIVERGENCES)
    if stability:
        compare = DIVERGENCES[divergence]
        jsd = compare(logits, weights, from_logits=True, validate=validate).mean()
    else:
        jsd = torch.zeros_like(ce)
    return LossParts(ce, jsd, stability, logits)
