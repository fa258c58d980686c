r"""The paper on one page: every scheme takes the same path.

views -> run to the mix point -> mix -> inject noise -> run on -> loss.

`draw_batch` makes the small random decisions of a step. `apply_draws` computes the loss for them;
only the noise fields are still random there, unless they are given. `batch_loss` does both.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.losses import LossParts, noisymix_loss
from nmlib.mixing import Pair, mix, mix_labels
from nmlib.models.modes import in_type_of
from nmlib.models.norm import adversarial_norm, dropout_stream
from nmlib.models.staged import StagedModel
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.rng import Rng, checked_rng
from nmlib.schemes import Scheme
from nmlib.views import trusted_images

__all__ = ["Draws", "apply_draws", "batch_loss", "draw_batch"]


@dataclass(frozen=True)
class Draws:
    """The random decisions of one training step.

    Attributes:
        views: (V, B, ...) views of the batch.
        point: The mix point.
        pairs: () for no mixing, one Pair for all views, or one for each view.
        noise: The law to draw fields from, the fields themselves, or None.
        routes: For each view, whether it takes the adversarial half of dual normalisation layers;
            () if no view does.
    """

    views: Tensor
    point: int
    pairs: tuple[Pair, ...] = ()
    noise: Noise | NoiseDraw | None = None
    routes: tuple[bool, ...] = ()


def draw_batch(
    model: StagedModel,
    batch: tuple[Tensor, Tensor],
    scheme: Scheme,
    rng: Rng,
    *,
    validate: bool = True,
) -> Draws:
    """Make the random decisions of one step, each from its own stream.

    Args:
        model: See `batch_loss`, also for the next three.
        batch: x and y.
        scheme: The training scheme.
        rng: The stream of this step.
        validate: Check the range of images on a GPU too (costs a synchronisation).
    """
    x, y = batch
    with nullcontext() if validate else trusted_images():
        views = scheme.views.make(x, y, model, rng.fold("views"))
    return Draws(
        views=views,
        point=scheme.draw_point(rng),
        pairs=scheme.draw_pairs(x, y, model, rng),
        noise=scheme.noise,
        routes=scheme.routes,
    )


def apply_draws(
    model: StagedModel,
    y: Tensor,
    draws: Draws,
    *,
    stability: float = 0.0,
    divergence: Literal["jsd", "kl"] = "jsd",
    rng: Rng | None = None,
    validate: bool = True,
) -> LossParts:
    """Run the model to the mix point, mix and add noise, run on, and return the loss.

    Args:
        model: A staged model.
        y: (B,) classes, or (B, K) distributions over them.
        draws: The decisions of this step.
        stability: Weight of the divergence.
        divergence: "jsd" or "kl", see `Scheme`.
        rng: Stream of the noise fields and of dropout. Needed if `draws.noise` is a law; without
            it, dropout layers draw from their own streams.
        validate: Check values (costs a synchronisation on a GPU).
    """
    shape = draws.views.shape[:2]
    dropout = dropout_stream(model, rng) if rng is not None else nullcontext()
    dual = adversarial_norm(model, draws.routes) if draws.routes else nullcontext()
    with dropout, dual:
        # One pass over all views: they share their batch statistics.
        h = model(draws.views.flatten(0, 1), stop=draws.point).unflatten(0, shape)
        if len(draws.pairs) == 1:
            h = mix(h, draws.pairs[0], dim=1)
        elif draws.pairs:
            h = torch.stack([mix(view, pair) for view, pair in zip(h, draws.pairs, strict=True)])
        h = inject(h, draws.noise, None if rng is None else rng.fold("noise"))
        logits = model(h.flatten(0, 1), start=draws.point).unflatten(0, shape)
    target = y
    if draws.pairs:
        # Labels stay float32 when logits are in half precision.
        dtype = torch.promote_types(logits.dtype, torch.float32)
        target = mix_labels(y, draws.pairs[0], logits.shape[-1], dtype=dtype, validate=validate)
    return noisymix_loss(
        logits, target, stability=stability, divergence=divergence, validate=validate
    )


def check_scheme(model: nn.Module, scheme: Any) -> None:
    """Raise unless the model is a StagedModel, or wraps one, with all mix points of the scheme."""
    if not isinstance(scheme, Scheme):
        raise TypeError(
            f"scheme must be a Scheme such as nmlib.get_scheme('noisymix'), got {scheme!r}"
        )
    parts = model.modules() if isinstance(model, nn.Module) else ()
    staged = next((part for part in parts if isinstance(part, StagedModel)), None)
    if staged is None:
        raise TypeError(
            f"model must be a StagedModel, got {type(model).__name__}; use "
            "nmlib.build_model(name), StagedModel([part, part, ...]), or, for schemes that mix "
            "inputs only, StagedModel([module]), which wraps any module"
        )
    if model is not staged:
        taken = inspect.signature(model.forward).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD or p.name == "stop" for p in taken):
            raise TypeError(
                f"{type(model).__name__} holds a StagedModel but cannot stop at a mix point: "
                "its forward takes no `start` and `stop`; pass the StagedModel itself"
            )
    lacking = sorted({point for point in scheme.points if not 0 <= point < staged.num_points})
    if lacking:
        raise ValueError(
            f"scheme {scheme.name!r} mixes at points {scheme.points}, but mix point {lacking[0]} "
            f"does not exist: this model has points 0 to {staged.num_points - 1}; use "
            f"dataclasses.replace(scheme, points={tuple(range(staged.num_points))})"
        )


def batch_loss(
    model: StagedModel,
    batch: tuple[Tensor, Tensor],
    scheme: Scheme,
    rng: Rng,
    *,
    validate: bool = True,
) -> LossParts:
    r"""Make the random decisions of one training step of a scheme and return its loss.

    $$\hat L = \frac1b\sum_i \Big\{ \ell\big(f_k(M_{\lambda,\xi}(g_k(x_i), g_k(x_{\mathcal P(i)}))),
      M_\lambda(y_i, y_{\mathcal P(i)})\big) + \gamma\,JSD_\pi(p_i^{(1)},\dots,p_i^{(V)}) \Big\}$$

    with one mix point k, one $\lambda$ and one permutation $\mathcal P$ per batch. The
    cross-entropy uses view 0 only. Inputs stay unchanged; the model updates its batch statistics.

    The same stream always gives the same draws, so fold the step into it. PyTorch's own dropout
    modules draw from PyTorch's global state; `nmlib.models.StreamDropout` draws from `rng`.

    Args:
        model: A staged model $f = f_k \circ g_k$.
        batch: x of shape (B, ...), and y: classes (B,) or distributions over them (B, K), which
            may be one-hot integers.
        scheme: The training scheme, e.g. `get_scheme("noisymix")`.
        rng: The stream of this step, e.g. `Rng(seed).fold(epoch, step)`.
        validate: Check values (costs a synchronisation on a GPU).

    Returns:
        LossParts with `ce`, `jsd`, `total` and the logits of all views.

    Raises:
        TypeError: For a model that is not staged, uint8 images, or an `rng` that is no Rng.
        ValueError: If batch sizes differ, a label is out of range, logits are not finite, or the
            model lacks a mix point of the scheme.

    Source: paper sec. 3.2.

    >>> from nmlib.models import mlp
    >>> from nmlib.schemes import fig4_schemes
    >>> x, y = torch.randn(8, 2, generator=Rng(0).torch()), torch.arange(8) % 2
    >>> parts = batch_loss(mlp((2, 16, 2)), (x, y), fig4_schemes()["noisymix"], Rng(0))
    >>> bool(parts.total == parts.ce + parts.stability * parts.jsd)
    True
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"batch must be a pair (x, y), got {_checks.shown(batch)}")
    x = in_type_of(model, _checks.tensor("x", batch[0]))
    y = _checks.labels_of_samples(batch[1], x)
    check_scheme(model, scheme)
    checked_rng(rng)
    if x.dtype == torch.uint8:
        raise TypeError("x holds bytes (uint8); models take images in [0, 1]: x.float() / 255")
    if not y.is_floating_point():
        y = y.float() if y.ndim == 2 else _checks.class_labels(y, validate=False)
    if not len(y):
        raise ValueError("the batch is empty; batch_loss needs at least one sample")
    draws = draw_batch(model, (x, y), scheme, rng, validate=validate)
    return apply_draws(
        model,
        y,
        draws,
        stability=scheme.stability,
        divergence=scheme.divergence,
        rng=rng,
        validate=validate,
    )
