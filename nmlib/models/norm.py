"""Dual normalisation for AugMax, dropout from a stream, and the normalisation of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.rng import Rng

__all__ = [
    "DualBatchInstanceNorm2d",
    "DualBatchNorm2d",
    "NormKind",
    "Normalise",
    "StreamDropout",
    "adversarial_norm",
    "dropout_stream",
    "norm_maker",
    "own_dropout_streams",
]

NormKind = Literal["batch", "dual", "dubin"]


class Normalise(nn.Module):
    """(x - mean) / std, channel by channel.

    Args:
        mean: One number, or one for each channel, in units of x.
        std: The same, > 0.

    >>> Normalise(0.5, 0.5)(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            # A copy, so that later changes of the caller's array have no effect.
            numbers = _checks.tensor(name, value).detach().to(torch.float32, copy=True).flatten()
            positive = name == "mean" or bool((numbers > 0).all())
            if not positive or not bool(torch.isfinite(numbers).all()):
                law = "finite" if name == "mean" else "finite and > 0"
                raise ValueError(f"{name} must be {law}, got {value}")
            # Not in the state dict, so weights load whatever the input scale.
            self.register_buffer(name, numbers.view(-1, 1, 1), persistent=False)

    def extra_repr(self) -> str:
        # The repr distinguishes networks with the same weights.
        mean, std = (", ".join(f"{v:g}" for v in t.flatten()) for t in (self.mean, self.std))
        return f"mean=({mean}), std=({std})"

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class DualBatchNorm2d(nn.Module):
    """Two batch normalisations, one for ordinary and one for adversarial samples.

    All samples take the first, except inside `adversarial_norm`.

    Args:
        channels: C of the (B, C, H, W) input.
        momentum: Weight of the newest batch in the running statistics.

    Source: AugMax (Wang et al. 2021), the training of its adversarial view.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.main = nn.BatchNorm2d(channels, momentum=momentum)
        self.adversarial = nn.BatchNorm2d(channels, momentum=momentum)
        self.routes: tuple[bool, ...] = (False,)

    def forward(self, x: Tensor) -> Tensor:
        routes = self.routes
        if self.training and torch._C._current_graph_task_id() != -1:
            raise RuntimeError(
                "DualBatchNorm2d no longer knows which views are adversarial when activation "
                "checkpointing runs a part again; leave the part with it out of checkpointing"
            )
        if not any(routes):
            return self.main(x)
        if all(routes):
            return self.adversarial(x)
        if len(x) % len(routes):
            raise ValueError(
                f"a batch of {len(x)} does not divide into the {len(routes)} views of "
                f"adversarial_norm(routes={routes})"
            )
        parts = x.chunk(len(routes))
        # Ordinary views share their statistics, as in a single layer.
        main = self.main(torch.cat([p for p, hard in zip(parts, routes, strict=True) if not hard]))
        hard = self.adversarial(torch.cat([p for p, a in zip(parts, routes, strict=True) if a]))
        size = len(parts[0])
        mains, hards = iter(main.split(size)), iter(hard.split(size))
        return torch.cat([next(hards if a else mains) for a in routes])


class DualBatchInstanceNorm2d(nn.Module):
    """Instance normalisation of the first half of the channels, `DualBatchNorm2d` of the rest.

    Args:
        channels: C >= 2 of the (B, C, H, W) input.

    Source: AugMax (Wang et al. 2021), DuBIN.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.instance = nn.InstanceNorm2d(half, affine=True)
        self.batch = DualBatchNorm2d(channels - half)

    def forward(self, x: Tensor) -> Tensor:
        half = self.instance.num_features
        return torch.cat([self.instance(x[:, :half]), self.batch(x[:, half:])], 1)


@contextmanager
def adversarial_norm(model: nn.Module, routes: Sequence[bool] = (True,)) -> Iterator[None]:
    """Send samples through the adversarial half of every `DualBatchNorm2d` of a model.

    The batch consists of len(routes) consecutive views of equal size, as in `batch_loss`. Contexts
    can be nested; the innermost one applies. A model without dual layers is unchanged.

    Args:
        model: Any module.
        routes: For each view, whether it is adversarial; (True,) is the whole batch.

    >>> layer = DualBatchNorm2d(2)
    >>> with adversarial_norm(layer, (False, False, True)):
    ...     y = layer(torch.ones(6, 2, 1, 1))
    >>> bool((layer.main.running_mean == layer.adversarial.running_mean).all())
    True
    """
    chosen = tuple(bool(r) for r in routes)
    if not chosen:
        raise ValueError("routes must name at least one view, got none; (True,) is the whole batch")
    layers = [m for m in model.modules() if isinstance(m, DualBatchNorm2d)]
    before = [layer.routes for layer in layers]
    try:
        for layer in layers:
            layer.routes = chosen
        yield
    finally:
        for layer, routes_before in zip(layers, before, strict=True):
            layer.routes = routes_before


def norm_maker(kind: NormKind) -> Callable[[int, bool], nn.Module]:
    """Return a function (channels, early) -> normalisation layer.

    `early` marks the first normalisation of a block in layers 1 to 3.

    Args:
        kind: "batch"; "dual" (dual batch normalisation everywhere); or "dubin" (AugMax's: half
            instance, half dual batch normalisation if `early`, dual elsewhere).
    """
    _checks.choice("norm", kind, ("batch", "dual", "dubin"))
    if kind == "batch":
        return lambda channels, early: nn.BatchNorm2d(channels)
    if kind == "dual":
        return lambda channels, early: DualBatchNorm2d(channels)
    return lambda channels, early: (DualBatchInstanceNorm2d if early else DualBatchNorm2d)(channels)


class StreamDropout(nn.Module):
    """Dropout that draws from a stream, never from the global random state.

    `batch_loss`, and so `fit`, enter `dropout_stream`: the masks are then those of the step.
    Elsewhere the layer draws from its own stream, with a new mask for each pass in training mode.
    Two equal models draw the same masks in their first pass, the same in their second, and so on.
    The state dict does not contain the number of passes; a loop that can be resumed should enter
    `dropout_stream`.

    Args:
        p: Probability that an element is set to 0, in [0, 1).
        rng: The layer's own stream. A `StagedModel` gives each layer without one a different
            stream. Elsewhere pass different streams, or all layers drop the same entries.

    >>> layer, x = StreamDropout(0.5), torch.ones(100)
    >>> first, second = layer(x), layer(x)
    >>> bool((first == StreamDropout(0.5)(x)).all()), bool((first == second).all())
    (True, False)
    """

    def __init__(self, p: float, rng: Rng | None = None) -> None:
        super().__init__()
        self.p = _checks.number("dropout", p, 0, 1, ends="[)")
        self.generator: torch.Generator | None = None
        self.own = rng
        # A list, because the replicas of DataParallel share it.
        self.passes = [0]

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if torch._C._current_graph_task_id() != -1:
            raise RuntimeError(
                "StreamDropout cannot repeat its mask when activation checkpointing runs a part "
                "again; leave the part with it out of checkpointing, or use nn.Dropout there"
            )
        generator = self.generator
        if generator is None:
            stream = (self.own or Rng(0)).fold(self.passes[0])
            generator = stream.to(x.device).torch()
            self.passes[0] += 1
        # The memory layout of x: channels-last activations stay channels-last.
        keep = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - self.p, generator=generator)
        return torch.where(keep, x / (1 - self.p), 0)


def own_dropout_streams(model: nn.Module, rng: Rng) -> None:
    """Give each `StreamDropout` without a stream its own one."""
    layers = (m for m in model.modules() if isinstance(m, StreamDropout))
    for i, layer in enumerate(layers):
        if layer.own is None:
            layer.own = rng.fold("dropout", i)


@contextmanager
def dropout_stream(model: nn.Module, rng: Rng | None) -> Iterator[None]:
    """Let each `StreamDropout` of a model draw from its own stream, folded from `rng`.

    Passes inside one context draw different masks; entering the context again repeats them. With
    several processes, fold the rank into `rng`.

    Args:
        model: Any module.
        rng: Stream of the training step, e.g. `Rng(seed).fold(epoch, step)`; None changes nothing.

    >>> layer = StreamDropout(0.5)
    >>> def draw():
    ...     with dropout_stream(layer, Rng(0)):
    ...         return layer(torch.ones(100))
    >>> bool((draw() == draw()).all())
    True
    """
    layers = [m for m in model.modules() if isinstance(m, StreamDropout)]
    before = [layer.generator for layer in layers]
    if rng is not None and layers:
        weight = next(model.parameters(), None)
        device = rng.device if weight is None else weight.device
        for i, layer in enumerate(layers):
            layer.generator = rng.fold("dropout", i).to(device).torch()
    try:
        yield
    finally:
        for layer, generator_before in zip(layers, before, strict=True):
            layer.generator = generator_before
