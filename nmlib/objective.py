r"""The paper on one page: every scheme takes the same path.

views -> run to the mix point -> mix -> inject noise -> run on -> loss.

`draw_batch` makes the small random decisions of a step. `apply_draws` computes the loss for them;
only the noise fields are still random there, unless they are given. `batch_loss` does both, and
`NoisyMixLoss` does it as a module.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.losses import LossParts, noisymix_loss
from nmlib.mixing import Pair, mix, mix_labels
from nmlib.models import Mixable, MixPoints
from nmlib.models.modes import in_type_of, uncompiled, unwrapped
from nmlib.models.norm import Normalise, adversarial_norm, dropout_stream
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.rng import Rng, checked_rng
from nmlib.schemes import Scheme
from nmlib.views import check_images, trusted_images

__all__ = ["Draws", "NoisyMixLoss", "apply_draws", "batch_loss", "draw_batch"]


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


class _Change:
    """What happens at the mix point: mix, then add noise. Called again, it does the same."""

    def __init__(self, draws: Draws, rng: Rng | None) -> None:
        self.draws, self.rng = draws, rng

    def __call__(self, h: Tensor) -> Tensor:
        return uncompiled(self._of, h)

    def _of(self, h: Tensor) -> Tensor:
        draws, shape = self.draws, self.draws.views.shape[:2]
        if len(h) != shape.numel():
            raise ValueError(
                f"{len(h)} of {shape.numel()} samples reach the mix point together, but partners "
                "are drawn from all; to use several devices, take DistributedDataParallel"
            )
        h = h.unflatten(0, shape)
        if len(draws.pairs) == 1:
            h = mix(h, draws.pairs[0], dim=1)
        elif draws.pairs:
            h = torch.stack([mix(view, pair) for view, pair in zip(h, draws.pairs, strict=True)])
        h = inject(h, draws.noise, None if self.rng is None else self.rng.fold("noise"))
        return h.flatten(0, 1)


def draw_batch(
    model: Mixable,
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
    normalises = isinstance(getattr(mixable(model), "normalise", None), Normalise)
    with nullcontext() if validate else trusted_images():
        if normalises and x.ndim == 4:
            check_images(x)
        views = scheme.views.make(x, y, model, rng.fold("views"))
    return Draws(
        views=views,
        point=scheme.draw_point(rng),
        pairs=scheme.draw_pairs(x, y, model, rng),
        noise=scheme.noise,
        routes=scheme.routes,
    )


def apply_draws(
    model: Mixable,
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
        model: A model with mix points.
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
        changes = draws.pairs or draws.noise is not None
        change = _Change(draws, rng) if changes else None
        logits = model(draws.views.flatten(0, 1), point=draws.point, change=change)
    logits = logits.unflatten(0, shape)
    target = y
    if draws.pairs:
        # Labels stay float32 when logits are in half precision.
        dtype = torch.promote_types(logits.dtype, torch.float32)
        target = mix_labels(y, draws.pairs[0], logits.shape[-1], dtype=dtype, validate=validate)
    return noisymix_loss(
        logits, target, stability=stability, divergence=divergence, validate=validate
    )


def mixable(model: Any) -> Mixable | None:
    """Return the first model with mix points that a module is or holds, or None."""
    parts = model.modules() if isinstance(model, nn.Module) else ()
    return next((part for part in parts if isinstance(part, Mixable)), None)


def check_scheme(model: nn.Module, scheme: Any) -> None:
    """Raise unless the model has, or wraps a model that has, all mix points of the scheme."""
    if not isinstance(scheme, Scheme):
        raise TypeError(
            f"scheme must be a Scheme such as nmlib.get_scheme('noisymix'), got {scheme!r}"
        )
    inner = mixable(model)
    if inner is None:
        raise TypeError(
            f"model must have mix points, got {type(model).__name__}; name them with "
            "nmlib.MixPoints(model, nmlib.suggest_points(model)), or use nmlib.build_model(name)"
        )
    if model is not inner:
        taken = inspect.signature(model.forward).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD or p.name == "change" for p in taken):
            raise TypeError(
                f"{type(model).__name__} holds a {type(inner).__name__} but does not pass on "
                f"`point` and `change`; pass the {type(inner).__name__} itself"
            )
    lacking = sorted({point for point in scheme.points if not 0 <= point < inner.num_points})
    if lacking:
        raise ValueError(
            f"scheme {scheme.name!r} mixes at points {scheme.points}, but mix point {lacking[0]} "
            f"does not exist: this model has points 0 to {inner.num_points - 1}; use "
            f"dataclasses.replace(scheme, points={tuple(range(inner.num_points))})"
        )
    if isinstance(inner, MixPoints) and inner.points[0] and getattr(scheme.mix, "spatial", False):
        raise ValueError(
            f"{type(scheme.mix).__name__} mixes images, but the first mix point is the output of "
            f"module {inner.points[0]!r}; use MixPoints(model, {['', *inner.points]})"
        )


def _check_mode(model: nn.Module) -> None:
    """Raise if a training step would train nothing, or in evaluation mode."""
    inner = mixable(model)
    network = unwrapped(inner.model) if isinstance(inner, MixPoints) else inner
    if network is None or not torch.is_grad_enabled():
        return
    weights = list(network.parameters())
    if weights and not any(weight.requires_grad for weight in weights):
        raise ValueError(
            f"all {len(weights)} parameters of {type(network).__name__} are frozen, so a step "
            "would train nothing; use model.requires_grad_(True), or torch.no_grad() to look at "
            "the loss alone"
        )
    if not network.training:
        raise ValueError(
            f"{type(network).__name__} is in evaluation mode; use model.train() for a training "
            "step, or torch.no_grad() to look at the loss alone"
        )


def batch_loss(
    model: Mixable,
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
        model: A model with mix points, $f = f_k \circ g_k$: `MixPoints` of any network, or a
            `StagedModel`. In training mode, except under `torch.no_grad()`.
        batch: x of shape (B, ...), and y: classes (B,) or distributions over them (B, K), which
            may be one-hot integers.
        scheme: The training scheme, e.g. `get_scheme("noisymix")`.
        rng: The stream of this step, e.g. `Rng(seed).fold(epoch, step)`.
        validate: Check values (costs a synchronisation on a GPU).

    Returns:
        LossParts with `ce`, `jsd`, `total` and the logits of all views.

    Raises:
        TypeError: For a model without mix points, uint8 images, or an `rng` that is no Rng.
        ValueError: If batch sizes differ, a label is out of range, logits are not finite, or the
            model lacks a mix point of the scheme, is frozen or in evaluation mode.

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
    _check_mode(model)
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


class NoisyMixLoss(nn.Module):
    """`batch_loss` as a module, for training loops of your own.

    DistributedDataParallel, torch.compile and mixed precision wrap it whole, since it is one pass
    of the model: `loss = objective(x, y).total`. Its parameters are the model's. Step t draws from
    `Rng(seed).fold(t, rank)`, where rank is that of the process (0 without a process group), so
    every step and every process has its own draws. The number of the next step counts up with the
    calls that compute gradients and is part of the state dict: a resumed loop repeats no draws and
    leaves out none. Or pass `step` yourself. Values are checked in every step on the CPU, and
    in the first one elsewhere.

    Args:
        model: See `batch_loss`.
        scheme: The training scheme, e.g. `get_scheme("noisymix")`.
        seed: Of all draws.

    Raises:
        TypeError: For a model without mix points.
        ValueError: If the model lacks a mix point of the scheme.

    Source: paper sec. 3.2.

    >>> from nmlib.models import mlp
    >>> from nmlib.schemes import fig4_schemes
    >>> objective = NoisyMixLoss(mlp((2, 16, 2)), fig4_schemes()["noisymix"], seed=0)
    >>> x, y = torch.randn(8, 2, generator=Rng(0).torch()), torch.arange(8) % 2
    >>> objective(x, y).total.backward()
    >>> objective.step
    1
    """

    def __init__(self, model: Mixable, scheme: Scheme, *, seed: int = 0) -> None:
        super().__init__()
        check_scheme(model, scheme)
        self.model, self.scheme = model, scheme
        self.seed = _checks.integer("seed", seed, 0)
        self.step = 0
        self._looked = False

    def extra_repr(self) -> str:
        return f"scheme={self.scheme.name}, seed={self.seed}"

    def get_extra_state(self) -> dict[str, int]:
        """Return the number of the next step, for the state dict."""
        return {"step": self.step}

    def set_extra_state(self, state: Mapping[str, int]) -> None:
        """Go on with the step of a state dict."""
        self.step = state["step"]

    def forward(
        self, x: Tensor, y: Tensor, step: int | None = None, rng: Rng | None = None
    ) -> LossParts:
        """Return the loss of a batch.

        Args:
            x: See `batch_loss`, also for y.
            y: Classes or distributions over them.
            step: Its number; default: that after the step before.
            rng: Draw from this stream instead of the step's.
        """
        return uncompiled(self._of, x, y, step, rng, torch.compiler.is_compiling())

    def _of(
        self, x: Tensor, y: Tensor, step: int | None, rng: Rng | None, tracing: bool
    ) -> LossParts:
        step = self.step if step is None else _checks.integer("step", step, 0)
        device = _checks.tensor("x", x).device
        if rng is None:
            group = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = torch.distributed.get_rank() if group else 0
            rng = Rng(self.seed, device).fold(step, rank)
        # Compiled is the network alone: the draws are made of many small decisions.
        model = self._compiled() if tracing else self.model
        # On an accelerator every look at values waits for it: the first batch shows what is wrong
        # with all.
        validate = device.type == "cpu" or not self._looked
        parts = batch_loss(model, (x, y), self.scheme, rng, validate=validate)
        self._looked = True
        if torch.is_grad_enabled():
            self.step = step + 1
        return parts

    def _compiled(self) -> Mixable:
        kept = self.__dict__.get("_regions")
        if kept is None and isinstance(self.model, Mixable):
            kept = self.__dict__["_regions"] = self.model.compiled()
        return self.model if kept is None else kept

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_regions"}
