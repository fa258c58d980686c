"""Layers with a switch: dual normalisation for AugMax, dropout from a stream."""

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
        mean: One number, or one for each channel, in the unit of x.
        std: The same, > 0.

    >>> Normalise(0.5, 0.5)(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            # A copy: what becomes of the caller's array changes no network.
            numbers = _checks.tensor(name, value).detach().to(torch.float32, copy=True).flatten()
            positive = name == "mean" or bool((numbers > 0).all())
            if not positive or not bool(torch.isfinite(numbers).all()):
                law = "finite" if name == "mean" else "finite and > 0"
                raise ValueError(f"{name} must be {law}, got {value}")
            # Not in the state dict: the weights of a network fit whatever its input scale.
            self.register_buffer(name, numbers.view(-1, 1, 1), persistent=False)

    def extra_repr(self) -> str:
        # It tells networks apart whose weights are the same.
        mean, std = (", ".join(f"{v:g}" for v in t.flatten()) for t in (self.mean, self.std))
        return f"mean=({mean}), std=({std})"

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class DualBatchNorm2d(nn.Module):
    """Two batch normalisations, one for ordinary samples and one for adversarial ones.

    All samples take the first unless `adversarial_norm` says otherwise.

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
        # Ordinary views share their statistics, as they do in a single layer.
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

    The batch counts as len(routes) views of equal size, one after the other, as `batch_loss`
    stacks them. The innermost context holds; on leaving it the one before is back. A model without
    dual layers is left as it is.

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
    """Return a function (channels, first of a block in layers 1 to 3) -> layer.

    Args:
        kind: "batch" (plain), "dual" (dual batch normalisation everywhere), "dubin" (AugMax's:
            half instance, half dual batch normalisation as the first of the blocks of layers 1 to
            3, dual elsewhere).
    """
    _checks.choice("norm", kind, ("batch", "dual", "dubin"))
    if kind == "batch":
        return lambda channels, early: nn.BatchNorm2d(channels)
    if kind == "dual":
        return lambda channels, early: DualBatchNorm2d(channels)
    return lambda channels, early: (DualBatchInstanceNorm2d if early else DualBatchNorm2d)(channels)


class StreamDropout(nn.Module):
    """Dropout that draws from a given stream, never from the global random state.

    Inside `dropout_stream`, which `batch_loss` and so `fit` enter, the masks are those of the step.
    Elsewhere the layer draws from a stream of its own, which goes on with every pass in training
    mode: the first pass of two equal models drops the same entries, the second others. Where it
    stands is no part of the weights; a loop that shall be resumed enters `dropout_stream` itself.

    Args:
        p: Probability that an element is set to 0, in [0, 1).
        rng: The layer's own stream; in a `StagedModel`, by default, another one for each layer.
            Elsewhere give each layer another, or all of one model drop the same entries.

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
        # A list, which the replicas of DataParallel share.
        self.passes = [0]

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        generator = self.generator
        if generator is None:
            stream = (self.own or Rng(0)).fold(self.passes[0])
            generator = stream.to(x.device).torch()
            self.passes[0] += 1
        # In the layout of x, so that channels-last activations stay so.
        keep = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - self.p, generator=generator)
        return torch.where(keep, x / (1 - self.p), 0)


def own_dropout_streams(model: nn.Module, rng: Rng) -> None:
    """Give every `StreamDropout` that has none a stream of its own."""
    layers = (m for m in model.modules() if isinstance(m, StreamDropout))
    for i, layer in enumerate(layers):
        if layer.own is None:
            layer.own = rng.fold("dropout", i)


@contextmanager
def dropout_stream(model: nn.Module, rng: Rng | None) -> Iterator[None]:
    """Let every `StreamDropout` of a model draw from a stream of its own.

    Two passes inside one context draw different masks; the same context entered again draws the
    same ones. With several processes, fold the rank into `rng`.

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
