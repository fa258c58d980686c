"""Arguments of the theory functions: networks, data, labels and noise levels; smoothness."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nmlib import _checks
from nmlib.models import StagedModel
from nmlib.noise import Noise

__all__ = [
    "AccuracyWarning",
    "Network",
    "NonSmoothWarning",
    "at_point",
    "effective_levels",
    "nonsmooth_operations",
]

Network = Callable[[Tensor], Tensor]
Data = Tensor | NDArray[Any] | Sequence[Any]
Levels = float | Sequence[float]


class NonSmoothWarning(UserWarning):
    """A function that needs second derivatives got a network with kinks."""


class AccuracyWarning(UserWarning):
    """A quadrature did not reach its accuracy."""


def as_data(name: str, value: Data, dtype: torch.dtype | None = torch.float64) -> Tensor:
    """Return finite data (n, ...) as a tensor of a type (None keeps it), without moving it."""
    x = _checks.tensor(name, value)
    if dtype is not None:
        x = x.to(dtype)
    elif not x.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {x.dtype}")
    x = x.detach()
    if x.ndim < 2 or x.shape[0] == 0:
        raise ValueError(
            f"{name} must hold samples along its first axis, shape (n, d), got {tuple(x.shape)}"
        )
    _checks.finite_tensor(name, x)
    return x


def as_network(f: Network, like: Tensor) -> tuple[Network, int, bool]:
    """Return f as a map from (B, ...) to (B, K) logits, K, and whether f gives one scalar logit.

    A scalar logit f, of shape (B,) or (B, 1), becomes the two logits (0, f), whose softmax is the
    sigmoid. A module is copied, cast and put into evaluation mode: the original is unchanged, and
    batch statistics do not couple the samples.

    Args:
        f: Function or module.
        like: (n, ...) samples; they set the type of the logits.
    """
    dtype = like.dtype
    if isinstance(f, nn.Module):
        f = copy.deepcopy(f).to(dtype).eval().requires_grad_(False)

    def outputs(x: Tensor) -> Tensor:
        out = f(x)
        if out.ndim == 1:
            out = out.unsqueeze(-1)
        if out.ndim != 2 or out.shape[0] != x.shape[0]:
            raise ValueError(
                f"f must map (B, ...) to (B,) or (B, K) logits, but {tuple(x.shape)} gave "
                f"{tuple(out.shape)}"
            )
        if out.dtype != dtype:
            raise TypeError(
                f"f returned {out.dtype} for {dtype} inputs; make its weights {dtype}, or pass the "
                "nn.Module itself, which is then converted"
            )
        return out

    with torch.no_grad():
        count = outputs(like[:1]).shape[1]
    if count > 1:
        return outputs, count, False

    def logits(x: Tensor) -> Tensor:
        out = outputs(x)
        return torch.cat([torch.zeros_like(out), out], -1)

    return logits, 2, True


def as_labels(y: Data, n: int, num_classes: int, scalar: bool, like: Tensor) -> Tensor:
    """Return labels as (n, K) distributions, or raise."""
    t = _checks.column(y, "y").detach().to(like.device)
    if t.ndim == 1:
        if t.shape[0] != n:
            raise ValueError(f"y must have {n} labels, one for each sample, got {t.shape[0]}")
        whole = t.long()
        if bool((whole != t).any()):
            raise ValueError(f"labels must be whole numbers, got {t[whole != t][0].item()}")
        if scalar and not bool(((whole == 0) | (whole == 1)).all()):
            bad = whole[(whole != 0) & (whole != 1)][0].item()
            raise ValueError(
                f"the binary form needs labels 0 or 1, got {bad}; map labels -1, 1 by (y + 1) / 2, "
                "or let f return K logits for K classes"
            )
        _checks.class_labels(whole, num_classes)
        return nn.functional.one_hot(whole, num_classes).to(like.dtype)
    if t.shape != (n, num_classes):
        raise ValueError(f"y must have shape ({n},) or ({n}, {num_classes}), got {tuple(t.shape)}")
    t = t.to(like.dtype)
    _checks.probabilities("y", t, "divide each row by its sum")
    return t


def as_levels(name: str, value: Levels, views: int) -> tuple[float, ...]:
    """Return one level for each view."""
    levels = tuple(float(level) for level in _checks.numbers(name, value, 0))
    if len(levels) == 1:
        levels *= views
    if len(levels) != views:
        raise ValueError(f"{name} must be one number or {views}, one for each view, got {value}")
    return levels


def check_eps(eps: float) -> float:
    """Return eps, or raise unless it lies in [0, 1]."""
    remedy = (
        "eps = 1 is the training loss; for stronger mixing or noise change alpha, beta, sigma_add "
        "or sigma_mult"
    )
    return float(_checks.number("eps", eps, 0, 1, remedy=remedy))


def effective_levels(
    noise: Noise | None, views: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Return the levels $(\sigma_{add,v})_v$ and $(\sigma_{mult,v})_v$ for the theorems.

    The second-order terms depend on the second moments of the noise only. So these levels give the
    expansion for the released law too.

    Args:
        noise: A noise law, or None for no noise.
        views: Number of views.

    >>> add, mult = effective_levels(Noise.released(), views=3)
    >>> [round(a, 4) for a in add], round(mult[0], 4)
    ([0.0968, 0.1936, 0.2905], 0.0559)
    """
    views = _checks.integer("views", views, 1)
    if noise is None:
        return (0.0,) * views, (0.0,) * views
    pairs = [noise.effective_levels(view) for view in range(views)]
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


def at_point(model: StagedModel, x: Tensor, point: int) -> tuple[Network, Tensor]:
    r"""Split a model at a mix point: return $f_k$ and the activations $g_k(x)$.

    The functions of `nmlib.theory` mix and add noise at the input of their map f. For a mix point
    k inside a network, pass $f_k$ and $g_k(x)$. The model runs in evaluation mode.

    Args:
        model: A staged model $f = f_k \circ g_k$.
        x: (n, ...) raw inputs.
        point: k.

    Source: paper sec. 3.1, NFM loss.

    >>> from nmlib.models import mlp
    >>> f, h = at_point(mlp((2, 8, 3)), torch.ones(5, 2), 1)
    >>> tuple(h.shape), tuple(f(h).shape)
    ((5, 8), (5, 3))
    """
    point = model.check_point(point)
    model = copy.deepcopy(model).eval().requires_grad_(False)
    with torch.no_grad():
        h = model(x, stop=point)
    return (lambda z: model(z, start=point)), h


# Operations whose second derivative does not exist everywhere.
_KINKED = {
    "relu", "relu_", "threshold", "threshold_", "leaky_relu", "leaky_relu_", "prelu",
    "_prelu_kernel", "rrelu_with_noise", "elu", "elu_", "celu", "celu_", "hardtanh", "hardtanh_",
    "hardsigmoid", "hardswish", "hardswish_", "softshrink", "hardshrink", "abs", "clamp", "clamp_",
    "clamp_min", "clamp_min_", "clamp_max", "maximum", "minimum", "max", "min", "amax", "amin",
    "sign", "max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d",
    "mkldnn_max_pool2d",
}  # fmt: skip


class _OperationNames(TorchDispatchMode):
    """Records the names of all operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def nonsmooth_operations(f: Network, x: Tensor) -> tuple[str, ...]:
    """Return the names of the operations with kinks that f runs on x.

    It runs f once and records its operations, so f may be a function or a module.

    >>> nonsmooth_operations(lambda x: torch.relu(x).tanh(), torch.ones(1, 2))
    ('relu',)
    """
    with torch.no_grad(), _OperationNames() as seen:
        f(x[:1])
    return tuple(sorted({name.rstrip("_") for name in seen.names if name in _KINKED}))


def warn_if_nonsmooth(f: Network, x: Tensor, terms: str) -> None:
    """Warn that second derivatives ignore the kinks of a network."""
    kinked = nonsmooth_operations(f, x)
    if kinked:
        warnings.warn(
            f"f uses {', '.join(kinked)}, which has kinks: {terms} ignore the kinks (for ReLU they "
            "are 0), and the expansion fails once noise or mixing crosses one. Use a smooth "
            "activation (tanh, softplus, GELU), or measure the loss by nfm_loss_monte_carlo; for "
            "ReLU see the kink distance of adversarial_bound",
            NonSmoothWarning,
            stacklevel=3,
        )
