"""Additive and multiplicative noise: draw the fields, then `inject` them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib._threads import run_all
from nmlib.rng import Rng, checked_rng

__all__ = ["Noise", "NoiseDraw", "inject"]

# E[c^2] of the released code's random scale c ~ Beta(2, 5).
_SCALE_SECOND_MOMENT = 2 * 3 / (7 * 8)


@dataclass(frozen=True)
class NoiseDraw:
    """Noise fields, already scaled by their levels; None means zero. Tensors are not copied.

    Attributes:
        additive: (V, B, ...) tensor that `inject` adds to the activations.
        multiplicative: (V, B, ...) tensor; `inject` multiplies the activations by 1 plus it.
    """

    additive: Tensor | None = None
    multiplicative: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("additive", "multiplicative"):
            if getattr(self, name) is not None:
                _checks.keep(self, _checks.tensor, name)


@dataclass(frozen=True)
class Noise:
    r"""The distribution of the injected noise.

    $h \mapsto (1 + \sigma_{mult}\,\xi^{mult}) \odot h + \sigma_{add}\,\xi^{add}$.

    Args:
        additive: Level $\sigma_{add} \ge 0$, in units of the activations (for images, of the
            normalised pixels).
        multiplicative: Level $\sigma_{mult} \ge 0$, relative.
        sparsity: Probability in [0, 1) that an entry of a field is set to zero.
        view_gain: The additive level of view v = 0, 1, ... is `additive * (1 + view_gain * v)`.
        clean_views: Number of leading views left noise-free.
        law: "paper": independent standard normal entries. "released": as in the authors' code, a
            fresh Beta(2, 5) scalar scales each view's field, and the multiplicative entries are
            uniform on (-1, 1). Its effective levels are much smaller, see `effective_levels`.

    Source: paper sec. 3.1, $M_{\lambda,\xi}$.
    Differs: sparsity, view_gain and the "released" law come from the authors' code, not from the
        paper; clean_views is ours, for one reading of the toy experiment.

    >>> Noise.released().effective_levels()          # nominal levels 0.5 and 0.5
    (0.0968..., 0.0559...)
    """

    additive: float = 0.0
    multiplicative: float = 0.0
    sparsity: float = 0.0
    view_gain: float = 0.0
    clean_views: int = 0
    law: Literal["paper", "released"] = "paper"

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.non_negative, "additive", "multiplicative", "view_gain")
        _checks.keep(self, _checks.integer, "clean_views", least=0)
        _checks.keep(
            self, _checks.number, "sparsity", high=1, low=0, ends="[)",
            remedy="for no noise use noise=None",
        )  # fmt: skip
        _checks.keep(self, _checks.choice, "law", allowed=("paper", "released"))

    @classmethod
    def released(cls, additive: float = 0.5, multiplicative: float = 0.5) -> Noise:
        """Return the noise of the authors' CIFAR commands."""
        return cls(additive, multiplicative, sparsity=0.65, view_gain=1.0, law="released")

    def effective_levels(self, view: int = 0) -> tuple[float, float]:
        r"""Return the root mean squares $(\sigma_{add}, \sigma_{mult})$ for Theorems 1 and 2.

        Released law: $\sigma_{add,v}^2 = (1+gv)^2 \ell_a^2 \frac{3}{28}(1-s)$ and
        $\sigma_{mult}^2 = \ell_m^2 \frac{3}{28}\,\frac13 (1-s)$.
        """
        view = _checks.integer("view", view, 0)
        if view < self.clean_views:
            return 0.0, 0.0
        add = self.additive * (1 + self.view_gain * view)
        keep = math.sqrt(1 - self.sparsity)
        if self.law == "paper":
            return add * keep, self.multiplicative * keep
        scale = math.sqrt(_SCALE_SECOND_MOMENT) * keep
        return add * scale, self.multiplicative * scale / math.sqrt(3)

    def draw(self, like: Tensor, rng: Rng) -> NoiseDraw:
        """Draw fields for activations `like` of shape (V, B, ...)."""
        like, rng = _checks.tensor("like", like), checked_rng(rng)
        if like.ndim < 2:
            raise ValueError(f"noise needs activations (V, B, ...), got shape {tuple(like.shape)}")
        if not like.is_floating_point():
            raise TypeError(f"noise needs floating-point activations, got {like.dtype}")
        noisy = [float(v >= self.clean_views) for v in range(like.shape[0])]
        gain = [(1 + self.view_gain * v) * on for v, on in enumerate(noisy)]
        return NoiseDraw(
            self._field(like, rng.fold("additive"), self.additive, gain, uniform=False),
            self._field(
                like,
                rng.fold("multiplicative"),
                self.multiplicative,
                noisy,
                uniform=self.law == "released",
            ),
        )

    def _field(
        self, like: Tensor, rng: Rng, level: float, gains: list[float], *, uniform: bool
    ) -> Tensor | None:
        if level == 0:
            return None
        if self.law == "released":
            scales = rng.fold("scale").numpy().beta(2, 5, size=len(gains))
            gains = [g * float(s) for g, s in zip(gains, scales, strict=True)]
        factors = [level * g for g in gains]
        if like.device.type == "cpu" and like.ndim == 5 and like[0].numel():
            return _image_field(like, rng, factors, self.sparsity, uniform=uniform)
        generator = rng.to(like.device).torch()
        field = torch.empty_like(like, memory_format=torch.preserve_format)
        field = (
            field.uniform_(-1, 1, generator=generator)
            if uniform
            else field.normal_(generator=generator)
        )
        scale = to_device(torch.tensor(factors, dtype=like.dtype), like.device)
        field *= scale.reshape(-1, *[1] * (like.ndim - 1))
        if self.sparsity:
            keep = torch.empty_like(field).bernoulli_(1 - self.sparsity, generator=generator)
            field *= keep
        return field


# Entries per stream: few enough to stay in the cache of one core.
_BLOCK = 1 << 18


def _image_field(
    like: Tensor, rng: Rng, factors: list[float], sparsity: float, *, uniform: bool
) -> Tensor:
    """Draw a field for image activations (V, B, C, H, W) on the CPU, in parallel.

    PyTorch draws on one thread, and ten times slower for channels-last tensors. Here each block of
    memory has its own stream, so the number of threads does not change the result.
    """
    flat = torch.empty(like.numel())
    each = like.numel() // like.shape[0]

    def fill(start: int) -> None:
        stream = rng.to("cpu").fold("block", start // _BLOCK)
        uniforms, normals = stream.numpy(), stream.torch()
        stop = min(start + _BLOCK, flat.numel())
        while start < stop:
            view = start // each
            end = min(stop, (view + 1) * each)
            _draw_part(flat[start:end], uniforms, normals, factors[view], sparsity, uniform)
            start = end

    run_all(fill, range(0, flat.numel(), _BLOCK))
    # Use the memory layout of the activations if their views are contiguous.
    first = like[0]
    dense = first.is_contiguous() or first.is_contiguous(memory_format=torch.channels_last)
    if dense and like.stride(0) == each:
        return flat.as_strided(like.shape, like.stride()).to(like.dtype)
    return flat.view(like.shape).to(like.dtype)


def _draw_part(
    part: Tensor,
    uniforms: np.random.Generator,
    normals: torch.Generator,
    factor: float,
    sparsity: float,
    uniform: bool,
) -> None:
    """Fill part of a field with `factor` times a sparse normal or uniform variable."""
    if uniform:
        uniforms.random(out=part.numpy(), dtype=np.float32)
        part.sub_(0.5)
        # For u uniform on (-1, 1), |u| < s has probability s, and given |u| >= s the number
        # (|u| - s) / (1 - s) is uniform again. `part` holds u / 2.
        if sparsity:
            part.copy_(torch.nn.functional.softshrink(part, sparsity / 2))
        part.mul_(2 * factor / (1 - sparsity))
        return
    part.normal_(0.0, 1.0, generator=normals)
    part.mul_(factor)
    if sparsity:
        keep = torch.empty_like(part)
        uniforms.random(out=keep.numpy(), dtype=np.float32)
        # Multiplying floats is several times faster than masking with booleans.
        part.mul_(keep.ge_(sparsity))


def inject(h: Tensor, noise: NoiseDraw | Noise | None, rng: Rng | None = None) -> Tensor:
    r"""Return $(1+\text{multiplicative}) \odot h + \text{additive}$; `h` itself is unchanged.

    Args:
        h: (V, B, ...) activations; a batch without views needs a first axis of 1, `h[None]`.
        noise: Drawn fields, or a law to draw them from (then `rng` is needed).
        rng: The stream to draw from.

    Raises:
        ValueError: If a law comes without `rng`, or a field has not the shape of `h`.

    Source: paper eq. 6.

    >>> h = torch.ones(1, 2, 3)
    >>> inject(h, NoiseDraw(additive=0.5 * h)).unique().tolist()
    [1.5]
    """
    h = _checks.tensor("h", h)
    if noise is None:
        return h
    fresh = isinstance(noise, Noise)
    if isinstance(noise, Noise):
        if rng is None:
            raise ValueError("inject needs rng to draw from a Noise law; pass rng=Rng(seed)")
        noise = noise.draw(h, rng)
    elif not isinstance(noise, NoiseDraw):
        raise TypeError(f"noise must be a Noise, a NoiseDraw or None, got {_checks.shown(noise)}")
    for name, field in (("additive", noise.additive), ("multiplicative", noise.multiplicative)):
        if field is not None and field.shape != h.shape:
            raise ValueError(
                f"the {name} field has shape {tuple(field.shape)} but the activations have "
                f"{tuple(h.shape)}; draw the noise for these activations"
            )
    if noise.multiplicative is None:
        return h if noise.additive is None else h + noise.additive
    # A field drawn here has no other user, so 1 is added in place.
    gain = noise.multiplicative.add_(1) if fresh else noise.multiplicative + 1
    return h * gain if noise.additive is None else torch.addcmul(noise.additive, h, gain)
