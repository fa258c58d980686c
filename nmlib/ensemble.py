"""Many small networks trained at once, each as if it were alone.

C schemes x S seeds of one fully connected network are trained as stacked tensors with gradients
written out by hand. All schemes of a seed share its initial weights, batches, partners, mix points
and noise fields (common random numbers), so they differ in what the scheme changes only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmlib import _checks
from nmlib.mixing import Mixup, Pair
from nmlib.models.mlp import mlp, mlp_initial_values
from nmlib.models.staged import StagedModel
from nmlib.noise import NoiseDraw
from nmlib.objective import Draws
from nmlib.rng import Rng
from nmlib.schemes import Scheme
from nmlib.views import Plain

__all__ = ["Ensemble", "symmetric_beta_quantile"]

# Seeds that are trained together; they share the sequence of mix points. Part of the definition of
# a member's draws, so a member does not depend on who else is in the ensemble.
SEED_BLOCK = 16
# Steps whose small decisions are drawn in one go.
_DRAW_BLOCK = 128
_POOL_SIZE = 1 << 23
_PERMUTATIONS = 4096
_MAX_VIEWS = 4
# Activations of one chunk are kept near the size of the caches.
_CHUNK_ROWS = 4800

Activation = Literal["relu", "tanh"]


def symmetric_beta_quantile(u: ArrayLike, alpha: float) -> NDArray[np.float64]:
    r"""Quantile function of $Beta(\alpha, \alpha)$, to about 1e-6.

    A draw as a function of a uniform number changes smoothly with $\alpha$: a slider that moves
    $\alpha$ moves every $\lambda$ a little instead of drawing new ones.

    For $\alpha < 1$ the substitution $t = \tfrac12 v^{1/\alpha}$ turns the lower half of the
    integral into $\int_0^v (1 - \tfrac12 w^{1/\alpha})^{\alpha-1} dw$, without a singularity.

    Args:
        u: Probabilities in [0, 1].
        alpha: > 0.

    >>> symmetric_beta_quantile([0.1, 0.5, 0.9], 1.0).round(6).tolist()
    [0.1, 0.5, 0.9]
    """
    _checks.positive("alpha", alpha)
    grid, cumulative = _beta_table(float(alpha))
    u = np.asarray(u, dtype=np.float64)
    v = np.interp(2 * np.minimum(u, 1 - u), cumulative, grid)
    half = 0.5 * v ** (1 / min(alpha, 1))
    return np.where(u < 0.5, half, 1 - half)


@lru_cache(maxsize=256)
def _beta_table(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grid = np.linspace(0, 1, 4097)
    t = 0.5 * grid ** (1 / min(alpha, 1))
    density = (1 - t) ** (alpha - 1)
    if alpha > 1:
        density *= t ** (alpha - 1)
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return grid, cumulative / cumulative[-1]


@lru_cache(maxsize=4)
def _noise_pool(uniform: bool, sparsity: float) -> Tensor:
    """Return a long reel of independent noise; a step reads a window at a random offset.

    Drawing fresh fields would cost more than training the networks. 8.4 million entries against
    the 4 million or so that one network uses, read in windows that no two seeds of a block share.
    """
    rng = Rng(0).fold("noise pool")
    generator = rng.fold("field").torch()
    pool = torch.empty(_POOL_SIZE)
    pool = (
        pool.uniform_(-1, 1, generator=generator) if uniform else pool.normal_(generator=generator)
    )
    if sparsity:
        pool *= torch.empty_like(pool).bernoulli_(1 - sparsity, generator=generator)
    return pool


@lru_cache(maxsize=8)
def _permutation_pool(batch: int) -> tuple[Tensor, Tensor]:
    """Return (4096, batch) random permutations and their inverses."""
    draw = Rng(0).fold("permutation pool", batch).numpy()
    forward = draw.permuted(np.tile(np.arange(batch), (_PERMUTATIONS, 1)), axis=1)
    return torch.from_numpy(forward), torch.from_numpy(np.argsort(forward, axis=1))


@dataclass
class _Decisions:
    """Small decisions of all seeds for _DRAW_BLOCK steps: axes (step, seed, ...)."""

    rows: Tensor  # (T, S, B) samples of the batch
    uniform: NDArray[np.float64]  # (T, S, V) for lambda
    permutation: Tensor  # (T, S, V) index into the pool
    scale: Tensor  # (T, S, V, 2) Beta(2, 5) scales of the released law
    point: NDArray[np.int64]  # (T, blocks) uniform integers for the mix point
    offset: NDArray[np.int64]  # (T, blocks, 2) windows of additive and multiplicative noise


@dataclass(frozen=True)
class _Kind:
    """What the configurations of a chunk have in common."""

    views: int
    independent: bool
    mixes: bool
    additive: bool
    multiplicative: bool


@dataclass(frozen=True)
class _Chunk:
    """Members that are trained in one go: schemes x seeds of one seed block."""

    schemes: slice
    seeds: slice
    block: int
    kind: _Kind
    # Views into the memory of the ensemble: (weight, bias) of each layer.
    layers: list[tuple[Tensor, Tensor]]
    gradients: list[tuple[Tensor, Tensor]]
    # (members, 1, 1, 1) weights of the divergence, None if all are 0.
    stability: Tensor | None

    def size(self, schemes: Sequence[Scheme], seeds: Sequence[int]) -> tuple[int, int, int]:
        """Return (schemes, seeds, views)."""
        return (len(schemes[self.schemes]), len(seeds[self.seeds]), self.kind.views)


class Ensemble:
    r"""C schemes x S seeds of one small network, trained at once with Adam.

    Every member equals the same network trained alone with the same draws (`draws`).

    Args:
        schemes: C schemes with `Plain` views and `Mixup` mixing; all with the same `points`.
        x: (N, d) inputs for all seeds, or (S, N, d) with each seed its own.
        y: (N,) or (S, N) integer classes.
        seeds: S different integers >= 0. A seed fixes initial weights and all draws.
        sizes: Widths of input, hidden layers and output.
        learning_rate: Of Adam; one number or one for each scheme.
        batch_size: Samples a step; at most N. An epoch has N // batch_size steps, the rest of the
            shuffled samples sits out.
        activation: "relu" or "tanh".

    Raises:
        ValueError: For shapes that do not fit, or a scheme that the ensemble cannot train.

    >>> from nmlib.data import make_polygon_band
    >>> from nmlib.schemes import fig4_schemes
    >>> X, y = make_polygon_band(100, random_state=0)
    >>> ensemble = Ensemble(list(fig4_schemes().values()), X, y, seeds=[0, 1])
    >>> ensemble.step(4)
    >>> ensemble.logits(X).shape                     # schemes, seeds, samples, classes
    torch.Size([6, 2, 100, 2])
    """

    def __init__(
        self,
        schemes: Sequence[Scheme],
        x: ArrayLike | Tensor,
        y: ArrayLike | Tensor,
        *,
        seeds: Sequence[int],
        sizes: Sequence[int] = (2, 100, 2),
        learning_rate: float | Sequence[float] = 0.01,
        batch_size: int = 50,
        activation: Activation = "relu",
    ) -> None:
        self.schemes = tuple(schemes)
        self.seeds = tuple(int(s) for s in seeds)
        self.sizes = tuple(int(s) for s in sizes)
        if not self.schemes or not self.seeds:
            raise ValueError("an ensemble needs at least one scheme and one seed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, got {self.seeds}")
        _checks.choice("activation", activation, ("relu", "tanh"))
        self.activation = activation
        self.x, self.y = self._data(x, y)
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.batch_size = min(batch_size, self.x.shape[1])
        self.steps_per_epoch = self.x.shape[1] // self.batch_size
        self.steps_done = 0
        self._configure(learning_rate)
        self._allocate()

    # -- set-up ---------------------------------------------------------------------------------

    def _data(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
        x = torch.as_tensor(np.asarray(x), dtype=torch.float32)
        y = torch.as_tensor(np.asarray(y)).long()
        x = x.unsqueeze(0) if x.ndim == 2 else x
        y = y.unsqueeze(0) if y.ndim == 1 else y
        seeds = len(self.seeds)
        if x.ndim != 3 or y.shape != x.shape[:2] or x.shape[0] not in (1, seeds):
            raise ValueError(
                f"x must be (N, d) or ({seeds}, N, d) and y (N,) or ({seeds}, N), got "
                f"{tuple(x.shape)} and {tuple(y.shape)}"
            )
        if x.shape[2] != self.sizes[0]:
            raise ValueError(f"x has {x.shape[2]} features but sizes begins with {self.sizes[0]}")
        _checks.finite_tensor("x", x)
        _checks.class_labels(y, self.sizes[-1])
        return x, y

    def _configure(self, learning_rate: float | Sequence[float]) -> None:
        rates = np.broadcast_to(np.asarray(learning_rate, dtype=np.float64), (len(self.schemes),))
        for rate in rates:
            _checks.positive("learning_rate", float(rate))
        self.learning_rates = tuple(float(r) for r in rates)
        self._rate = torch.tensor(rates.astype(np.float32)).reshape(-1, 1, 1)
        points = {s.points for s in self.schemes if s.mix is not None or s.noise is not None}
        if len(points) > 1:
            raise ValueError(f"all schemes of an ensemble need the same points, got {points}")
        self.points = points.pop() if points else (0,)
        if max(self.points) >= len(self.sizes) - 1:
            raise ValueError(
                f"mix point {max(self.points)} does not exist: a network of sizes {self.sizes} has "
                f"points 0 to {len(self.sizes) - 2}"
            )
        for s in self.schemes:
            if not isinstance(s.views, Plain):
                raise ValueError(f"scheme {s.name!r}: an ensemble needs Plain views, got {s.views}")
            if s.mix is not None and not (isinstance(s.mix, Mixup) and s.mix.beta is None):
                raise ValueError(f"scheme {s.name!r}: an ensemble needs Mixup(alpha), got {s.mix}")
        self._views = max(s.views.count for s in self.schemes)
        laws = {(s.noise.law, s.noise.sparsity) for s in self.schemes if s.noise is not None}
        if len(laws) > 1:
            raise ValueError(f"all noise of an ensemble needs one law and sparsity, got {laws}")
        self._law, self._sparsity = laws.pop() if laws else ("paper", 0.0)

    def _allocate(self) -> None:
        shape = len(self.schemes), len(self.seeds)
        flat = np.stack([mlp_initial_values(self.sizes, seed) for seed in self.seeds])
        self._parameters = torch.from_numpy(flat.astype(np.float32)).repeat(shape[0], 1, 1)
        self._first = torch.zeros_like(self._parameters)
        self._second = torch.zeros_like(self._parameters)
        self._gradient = torch.zeros_like(self._parameters)
        self._ce = torch.zeros(shape)
        self._jsd = torch.zeros(shape)
        self._decisions: _Decisions | None = None
        self._decisions_block = -1
        self._memory: dict[str, Tensor] = {}
        self._chunks = self._plan()

    def _layers(self, flat: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return (weight (..., out, in), bias (..., 1, out)) views of flat parameters."""
        layers = []
        at = 0
        for fan_in, fan_out in itertools.pairwise(self.sizes):
            weight = flat[..., at : at + fan_in * fan_out].unflatten(-1, (fan_out, fan_in))
            at += fan_in * fan_out
            layers.append((weight, flat[..., at : at + fan_out].unsqueeze(-2)))
            at += fan_out
        return layers

    def _plan(self) -> list[_Chunk]:
        """Split the members into chunks that share a kind, a mix point and the caches."""
        kinds = [self._kind([s]) for s in self.schemes]
        per_member = self._views * self.batch_size
        blocks: dict[int, list[int]] = {}
        for i, seed in enumerate(self.seeds):
            blocks.setdefault(seed // SEED_BLOCK, []).append(i)
        self._blocks = tuple(blocks)
        runs = [(min(m), max(m) + 1) for m in blocks.values()]
        if any(hi - lo != len(m) for (lo, hi), m in zip(runs, blocks.values(), strict=True)):
            raise ValueError("seeds of one block must stand together; sort the seeds")
        count, everything = len(self.schemes), len(self.seeds)
        chunks = []
        for block, (lo, hi) in zip(blocks, runs, strict=True):
            # Several schemes in one chunk need contiguous memory: only if all seeds are in it.
            together = (
                max(1, _CHUNK_ROWS // (per_member * (hi - lo))) if hi - lo == everything else 1
            )
            start = 0
            while start < count:
                stop = start + 1
                small = count * everything * per_member <= _CHUNK_ROWS
                while (
                    stop < count
                    and stop - start < together
                    and (small or kinds[stop] == kinds[start])
                ):
                    stop += 1
                kind = self._kind(self.schemes[start:stop])
                where = slice(start, stop), slice(lo, hi)
                members = (stop - start) * (hi - lo)
                layers = self._layers(self._parameters[where].view(members, -1))
                gradients = self._layers(self._gradient[where].view(members, -1))
                gammas = [scheme.stability for scheme in self.schemes[start:stop]]
                stability = None
                if any(gammas):
                    stability = torch.tensor(gammas).repeat_interleave(hi - lo).view(-1, 1, 1, 1)
                chunks.append(_Chunk(*where, block, kind, layers, gradients, stability))
                start = stop
        return chunks

    def _kind(self, schemes: Sequence[Scheme]) -> _Kind:
        noises = [s.noise for s in schemes if s.noise is not None]
        return _Kind(
            views=max(s.views.count for s in schemes),
            independent=any(s.pairing != "shared" for s in schemes),
            mixes=any(s.mix is not None for s in schemes),
            additive=any(n.additive > 0 for n in noises),
            multiplicative=any(n.multiplicative > 0 for n in noises),
        )

    # -- draws ----------------------------------------------------------------------------------

    def _decide(self, step: int) -> tuple[_Decisions, int]:
        """Return the decisions of the block of steps that holds `step`, and its place in it."""
        epochs = max(1, _DRAW_BLOCK // self.steps_per_epoch)
        length = epochs * self.steps_per_epoch
        block, at = divmod(step, length)
        if self._decisions is None or block != self._decisions_block:
            self._decisions = self._draw_block(block, epochs)
            self._decisions_block = block
            self._prepare()
        return self._decisions, at

    def _draw_block(self, block: int, epochs: int) -> _Decisions:
        samples, batch = self.x.shape[1], self.batch_size
        steps = epochs * self.steps_per_epoch
        rows, uniform, permutation, scale = [], [], [], []
        order = np.tile(np.arange(samples), (epochs, 1))
        for seed in self.seeds:
            draw = Rng(seed).fold("ensemble", block).numpy()
            shuffled = draw.permuted(order, axis=1)[:, : self.steps_per_epoch * batch]
            rows.append(shuffled.reshape(steps, batch))
            uniform.append(draw.random((steps, _MAX_VIEWS)))
            permutation.append(draw.integers(_PERMUTATIONS, size=(steps, _MAX_VIEWS)))
            scale.append(draw.beta(2, 5, size=(steps, _MAX_VIEWS, 2)))
        limit = _POOL_SIZE - SEED_BLOCK * _MAX_VIEWS * batch * max(self.sizes)
        if limit < _POOL_SIZE // 4:
            raise ValueError(
                f"batch_size={batch} with widths {self.sizes} is too large for the noise pool; "
                "lower one of them"
            )
        point, offset = [], []
        for number in self._blocks:
            draw = Rng(number).fold("ensemble block", block).numpy()
            point.append(draw.integers(1 << 30, size=steps))
            offset.append(draw.integers(limit, size=(steps, 2)))
        return _Decisions(
            torch.from_numpy(np.stack(rows, 1)),
            np.stack(uniform, 1),
            torch.from_numpy(np.stack(permutation, 1)),
            torch.from_numpy(np.stack(scale, 1).astype(np.float32)),
            np.stack(point, 1),
            np.stack(offset, 1),
        )

    def _prepare(self) -> None:
        """Turn the decisions of a block into per-scheme numbers: lambda and noise levels."""
        decisions = self._decisions
        assert decisions is not None
        uniform = decisions.uniform[..., : self._views]
        lam = np.ones((len(uniform), len(self.schemes), *uniform.shape[1:]), dtype=np.float32)
        ones = torch.ones_like(decisions.scale[:, :, : self._views])
        levels = []
        for i, scheme in enumerate(self.schemes):
            if scheme.mix is not None:
                assert isinstance(scheme.mix, Mixup)
                value = symmetric_beta_quantile(uniform, scheme.mix.alpha)
                if scheme.pairing == "shared":
                    value = np.broadcast_to(value[..., :1], value.shape)
                elif scheme.pairing == "unmixed":
                    value = np.concatenate([value[..., :1], np.ones_like(value[..., 1:])], -1)
                lam[:, i] = value
            noise = scheme.noise
            if noise is None:
                levels.append(0 * ones)
                continue
            scale = decisions.scale[:, :, : self._views] if noise.law == "released" else ones
            gain = torch.tensor(
                [
                    [
                        noise.additive * (1 + noise.view_gain * v) * (v >= noise.clean_views),
                        noise.multiplicative * (v >= noise.clean_views),
                    ]
                    for v in range(self._views)
                ]
            )
            levels.append(scale * gain)
        self._lam = torch.from_numpy(lam)  # (T, C, S, V)
        self._level = torch.stack(levels, 1)  # (T, C, S, V, 2)

    def _fields(self, chunk: _Chunk, at: int, width: int, which: int) -> Tensor:
        """Return the (1, s, V, B, width) noise window of a chunk, unscaled."""
        decisions = self._decisions
        assert decisions is not None
        uniform = which == 1 and self._law == "released"
        pool = _noise_pool(uniform, self._sparsity)
        views = chunk.kind.views
        reel = _MAX_VIEWS * self.batch_size * width
        start = int(decisions.offset[at, self._blocks.index(chunk.block), which])
        places = [seed % SEED_BLOCK for seed in self.seeds[chunk.seeds]]
        if places == list(range(places[0], places[0] + len(places))):
            window = pool[start + places[0] * reel : start + (places[-1] + 1) * reel]
            window = window.view(len(places), _MAX_VIEWS, self.batch_size, width)
        else:
            window = torch.stack(
                [pool[start + p * reel : start + (p + 1) * reel] for p in places]
            ).view(len(places), _MAX_VIEWS, self.batch_size, width)
        return window[:, :views].unsqueeze(0)

    def _point(self, chunk: _Chunk, at: int) -> int:
        assert self._decisions is not None
        number = self._decisions.point[at, self._blocks.index(chunk.block)]
        return self.points[int(number) % len(self.points)]

    # -- training -------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Take n optimiser steps with every member."""
        with torch.no_grad():
            for _ in range(n):
                self._step()

    def fit(self, epochs: int) -> Ensemble:
        """Train for so many epochs and return self."""
        self.step(epochs * self.steps_per_epoch)
        return self

    def _step(self) -> None:
        decisions, at = self._decide(self.steps_done)
        rows = decisions.rows[at]
        seeds = torch.arange(len(self.seeds)).unsqueeze(1)
        own = seeds if self.x.shape[0] > 1 else 0 * seeds
        x = self.x[own, rows]
        y = self.y[own if self.y.shape[0] > 1 else 0 * seeds, rows]
        forward, inverse = _permutation_pool(self.batch_size)
        index = decisions.permutation[at, :, : self._views]
        partner, back = forward[index], inverse[index]
        classes = torch.arange(self.sizes[-1]).view(1, -1, 1)
        labels = (y.unsqueeze(1) == classes).float()  # (S, K, B)
        other = (y.gather(1, partner[:, 0]).unsqueeze(1) == classes).float()
        for chunk in self._chunks:
            self._train_chunk(chunk, at, x, labels, other, partner, back)
        self._adam()
        self.steps_done += 1

    def _adam(self) -> None:
        t = self.steps_done + 1
        self._first.lerp_(self._gradient, 0.1)
        self._second.mul_(0.999).addcmul_(self._gradient, self._gradient, value=0.001)
        root = self._second.sqrt().mul_(1 / math.sqrt(1 - 0.999**t)).add_(1e-8)
        if len(set(self.learning_rates)) == 1:
            scale = -self.learning_rates[0] / (1 - 0.9**t)
            self._parameters.addcdiv_(self._first, root, value=scale)
        else:
            self._parameters -= self._rate / (1 - 0.9**t) * self._first / root

    def _train_chunk(
        self,
        chunk: _Chunk,
        at: int,
        x: Tensor,
        labels: Tensor,
        other_labels: Tensor,
        partner: Tensor,
        back: Tensor,
    ) -> None:
        """Forward and backward of one chunk; writes its gradient, cross-entropy and divergence."""
        kind, point = chunk.kind, self._point(chunk, at)
        c, s, views = chunk.size(self.schemes, self.seeds)
        members, pair_views = c * s, kind.views if kind.independent else 1
        layers, gradients = chunk.layers, chunk.gradients
        batch = self.batch_size

        # To the mix point, once for all views: they are copies until they are mixed and noised.
        h = x[chunk.seeds].unsqueeze(0).expand(c, -1, -1, -1).reshape(members, batch, -1)
        prefix = [h]
        for i, (weight, bias) in enumerate(layers[:point]):
            out = self._buffer(f"prefix {i}", members, batch, weight.shape[1])
            h = self._activate(torch.baddbmm(bias, h, weight.transpose(1, 2), out=out))
            prefix.append(h)
        width = h.shape[-1]

        h = h.unsqueeze(1)
        if kind.mixes:
            lam = self._lam[at, chunk.schemes, chunk.seeds, :pair_views]
            lam = lam.reshape(members, pair_views, 1, 1)
            index = self._member_rows(partner[chunk.seeds, :pair_views], c, batch)
            paired = self._buffer("paired", members, pair_views, batch, width)
            torch.index_select(
                h.reshape(members * batch, width), 0, index, out=paired.view(-1, width)
            )
            h = torch.lerp(paired, h, lam, out=paired)
        # Without buffers of our own, most of the time would go into fresh memory pages.
        mixed = self._buffer("mixed", members, views, batch, width)
        factor = None
        if kind.multiplicative:
            factor = self._buffer("factor", members, views, batch, width)
            self._add_field(factor.fill_(1), chunk, at, 1)
            torch.mul(h, factor, out=mixed)
        else:
            mixed.copy_(h.expand_as(mixed))
        if kind.additive:
            self._add_field(mixed, chunk, at, 0)
        h = mixed.view(members, views * batch, width)

        suffix = [h]
        for i, (weight, bias) in enumerate(layers[point:-1], start=point):
            out = self._buffer(f"suffix {i}", members, views * batch, weight.shape[1])
            h = self._activate(torch.baddbmm(bias, h, weight.transpose(1, 2), out=out))
            suffix.append(h)
        # Classes before samples: a product with a few rows is much faster than with a few columns.
        weight, bias = layers[-1]
        logits = torch.baddbmm(bias.transpose(1, 2), weight, h.transpose(1, 2))

        first = self._lam[at, chunk.schemes, chunk.seeds, 0].reshape(c, s, 1, 1)
        target = torch.lerp(other_labels[chunk.seeds], labels[chunk.seeds], first)
        delta = self._loss_gradient(
            chunk, logits.view(members, -1, views, batch), target.view(members, -1, batch)
        )

        delta = delta.view(members, -1, views * batch)
        for i in range(len(layers) - 1, point - 1, -1):
            below = suffix[i - point]
            if i < len(layers) - 1:
                delta = delta.transpose(1, 2)
            gradients[i][0].copy_(torch.bmm(delta, below))
            gradients[i][1].copy_(delta.sum(2).unsqueeze(1))
            if i > 0:
                out = self._buffer(f"delta {i}", members, views * batch, below.shape[-1])
                delta = torch.bmm(delta.transpose(1, 2), layers[i][0], out=out)
            if i > point:
                self._activation_gradient(delta, below)
        if point == 0:
            return

        delta = delta.view(members, views, batch, width)
        if factor is not None:
            delta.mul_(factor)
        if pair_views == 1 and views > 1:
            out = self._buffer("delta views", members, 1, batch, width)
            delta = torch.sum(delta, 1, keepdim=True, out=out)
        if kind.mixes:
            # The partner's share flows back along the inverse permutation.
            index = self._member_rows(back[chunk.seeds, :pair_views], c, batch, pair_views)
            torch.index_select(delta.reshape(-1, width), 0, index, out=paired.view(-1, width))
            delta = torch.lerp(paired, delta, lam, out=delta)
        out = self._buffer("delta prefix", members, batch, width)
        delta = torch.sum(delta, 1, out=out)
        for i in range(point - 1, -1, -1):
            self._activation_gradient(delta, prefix[i + 1])
            gradients[i][0].copy_(torch.bmm(delta.transpose(1, 2), prefix[i]))
            gradients[i][1].copy_(delta.sum(1, keepdim=True))
            if i > 0:
                out = self._buffer(f"delta {i}", members, batch, prefix[i].shape[-1])
                delta = torch.bmm(delta, layers[i][0], out=out)

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Return memory that is kept between steps, as a tensor of this shape."""
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.numel() < size:
            memory = self._memory[name] = torch.empty(size)
        return memory[:size].view(shape)

    @staticmethod
    def _member_rows(partner: Tensor, c: int, batch: int, views: int = 1) -> Tensor:
        """Return flat row indices of (s, V, B) partners for c x s members.

        With `views` > 1 each view has rows of its own, else all views read the same rows.
        """
        s, count = partner.shape[:2]
        if views > 1:
            base = (torch.arange(c * s * count) * batch).view(c, s, count, 1)
        else:
            base = (torch.arange(c * s) * batch).view(c, s, 1, 1)
        return (partner + base).flatten()

    def _add_field(self, h: Tensor, chunk: _Chunk, at: int, which: int) -> None:
        """Add a noise field times its levels to h of shape (members, V, B, width), in place."""
        c, s, views = chunk.size(self.schemes, self.seeds)
        level = self._level[at, chunk.schemes, chunk.seeds, :views, which]
        field = self._fields(chunk, at, h.shape[-1], which)
        h.view(c, s, *h.shape[1:]).addcmul_(field, level.reshape(c, s, views, 1, 1))

    def _activate(self, h: Tensor) -> Tensor:
        return h.relu_() if self.activation == "relu" else h.tanh_()

    def _activation_gradient(self, delta: Tensor, h: Tensor) -> None:
        """Multiply delta by the derivative of the activation with value h, in place."""
        aten = torch.ops.aten
        if self.activation == "relu":
            aten.threshold_backward.grad_input(delta, h, 0, grad_input=delta)
        else:
            aten.tanh_backward.grad_input(delta, h, grad_input=delta)

    def _loss_gradient(self, chunk: _Chunk, logits: Tensor, target: Tensor) -> Tensor:
        r"""Return d(total)/d(logits) of shape (members, K, V, B) and keep the loss parts.

        Cross-entropy on view 0: $(p - y)/b$. Divergence: $\pi_v p_v \odot (a_v - p_v^\top a_v)/b$
        with $a_v = \log(p_v / m)$.
        """
        c, s, views = chunk.size(self.schemes, self.seeds)
        batch = self.batch_size
        log_p = torch.log_softmax(logits, 1)
        p = log_p.exp()
        self._ce[chunk.schemes, chunk.seeds] = (
            (target * log_p[:, :, 0]).sum((1, 2)).view(c, s).mul_(-1 / batch)
        )
        if chunk.stability is not None:
            log_m = p.mean(2, keepdim=True).clamp_min_(1e-38).log_()
            a = log_p.sub_(log_m)
            kl = (p * a).sum(1, keepdim=True)
            self._jsd[chunk.schemes, chunk.seeds] = kl.sum((1, 2, 3)).view(c, s) / (views * batch)
            delta = a.sub_(kl).mul_(p).mul_(chunk.stability / (views * batch))
        else:
            delta = torch.zeros_like(p)
        delta[:, :, 0].add_(p[:, :, 0] - target, alpha=1 / batch)
        return delta

    # -- reading --------------------------------------------------------------------------------

    @property
    def ce(self) -> Tensor:
        """(C, S) cross-entropy of the last step."""
        return self._ce

    @property
    def jsd(self) -> Tensor:
        """(C, S) divergence of the last step (0 where it is not used)."""
        return self._jsd

    def logits(
        self, x: ArrayLike | Tensor, *, schemes: slice = slice(None), seeds: slice = slice(None)
    ) -> Tensor:
        """Return (C, S, N, K) logits at x of shape (N, d) or (S, N, d)."""
        x = torch.as_tensor(np.asarray(x), dtype=torch.float32)
        parameters = self._parameters[schemes, seeds]
        members = parameters.shape[:2]
        h = x.expand(*members, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        layers = self._layers(parameters.reshape(-1, parameters.shape[-1]))
        with torch.no_grad():
            for i, (weight, bias) in enumerate(layers):
                h = torch.baddbmm(bias, h, weight.transpose(1, 2))
                if i < len(layers) - 1:
                    h = self._activate(h)
        return h.view(*members, *h.shape[1:])

    def member(self, scheme: int, seed: int) -> StagedModel:
        """Return one member as an ordinary model (a copy)."""
        model = mlp(self.sizes, seed=self.seeds[seed], activation=self.activation)
        layers = self._layers(self._parameters[scheme, seed])
        linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
        with torch.no_grad():
            for linear, (weight, bias) in zip(linears, layers, strict=True):
                linear.weight.copy_(weight)
                linear.bias.copy_(bias.squeeze(0))
        return model

    def draws(self, scheme: int, seed: int, step: int | None = None) -> tuple[Draws, Tensor]:
        """Return the draws of one member at a step (default: the last one) and its labels.

        `objective.apply_draws(model, y, draws, stability=...)` then gives the same loss.
        """
        step = self.steps_done - 1 if step is None else step
        if step < 0:
            raise ValueError("no step was taken yet; call step() first, or name a step >= 0")
        decisions, at = self._decide(step)
        chunk = next(
            k
            for k in self._chunks
            if scheme in range(*k.schemes.indices(len(self.schemes)))
            and seed in range(*k.seeds.indices(len(self.seeds)))
        )
        what = self.schemes[scheme]
        rows = decisions.rows[at, seed]
        x = self.x[seed if self.x.shape[0] > 1 else 0][rows]
        y = self.y[seed if self.y.shape[0] > 1 else 0][rows]
        point = self._point(chunk, at)
        pairs: tuple[Pair, ...] = ()
        if what.mix is not None:
            lam = self._lam[at, scheme, seed]
            partner = _permutation_pool(self.batch_size)[0][decisions.permutation[at, seed]]
            count = 1 if what.pairing == "shared" else what.views.count
            pairs = tuple(Pair(partner[v], float(lam[v]), float(lam[v])) for v in range(count))
        noise = None
        if what.noise is not None:
            one = replace(chunk, schemes=slice(scheme, scheme + 1), seeds=slice(seed, seed + 1))
            zero = torch.zeros(1, chunk.kind.views, self.batch_size, self.sizes[point])
            fields = [zero.clone(), zero.clone()]
            for which in (0, 1):
                self._add_field(fields[which], one, at, which)
            noise = NoiseDraw(*(field[0, : what.views.count] for field in fields))
        return Draws(what.views.make(x, y, None, Rng(0)), point, pairs, noise), y
