"""Many small networks trained at once, each as if it were alone.

C schemes x S seeds of one fully connected network are trained as stacked tensors with gradients
written out by hand. All schemes of a seed share its initial weights, batches, partners, mix points
and noise fields (common random numbers), so they differ in what the scheme changes only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
# Activations of one group are kept near the size of the caches.
_GROUP_ROWS = 4800

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
    inverse = np.argsort(forward, axis=1)
    return torch.from_numpy(forward.astype(np.int32)), torch.from_numpy(inverse.astype(np.int32))


@dataclass(frozen=True)
class _Kind:
    """What the schemes of a group have in common."""

    views: int
    independent: bool
    mixes: bool
    additive: bool
    multiplicative: bool
    compares: bool

    @classmethod
    def of(cls, schemes: Sequence[Scheme]) -> _Kind:
        noises = [s.noise for s in schemes if s.noise is not None]
        return cls(
            views=max(s.views.count for s in schemes),
            independent=any(s.pairing != "shared" for s in schemes),
            mixes=any(s.mix is not None for s in schemes),
            additive=any(n.additive > 0 for n in noises),
            multiplicative=any(n.multiplicative > 0 for n in noises),
            compares=any(s.stability > 0 for s in schemes),
        )


@dataclass(frozen=True)
class _Shape:
    """What all members of an ensemble share."""

    sizes: tuple[int, ...]
    batch: int
    steps_per_epoch: int
    points: tuple[int, ...]
    activation: Activation
    law: str
    sparsity: float


@dataclass
class _State:
    """Views (schemes, seeds, ...) into the memory of the ensemble."""

    parameters: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    ce: Tensor
    jsd: Tensor


@dataclass
class _Window:
    """All that a group needs for some steps, one list entry a step."""

    start: int
    stop: int
    x: Sequence[Tensor]  # (members, B, d)
    target: Sequence[Tensor]  # (members, K, B)
    lam: Sequence[Tensor]  # (members, pairs, 1, 1)
    partner: Sequence[Tensor]  # flat rows of the partners, (members * pairs * B,)
    back: Sequence[Tensor]  # the same for the inverse permutations
    level: tuple[Sequence[Tensor], Sequence[Tensor]]  # (c, s or 1, V, 1, 1) additive, mult.
    point: Sequence[int]
    offset: Sequence[Sequence[int]]
    rows: Tensor  # (T, s, B) samples of the batch
    permutation: Tensor  # (T, s, V) indices into the pool
    weight: Tensor  # (T, c, s, V) lambda of every view


class _Layer:
    """One layer of the members of a group, seen in all the ways that a step needs.

    Args:
        parameters: Weight (members, out, in) and bias (members, 1, out).
        gradients: Where theirs go.
        out: Memory of the output, (members, rows, out).
        left: Gradient of the output, seen as (members, out, rows).
        delta: Memory of the gradient of the input, (members, rows, in); None if nobody needs it.
    """

    def __init__(
        self,
        parameters: tuple[Tensor, Tensor],
        gradients: tuple[Tensor, Tensor],
        out: Tensor,
        left: Tensor,
        delta: Tensor | None,
    ) -> None:
        self.weight, self.bias = parameters
        self.weight_t, self.bias_t = self.weight.transpose(1, 2), self.bias.transpose(1, 2)
        self.gradient, self.bias_gradient = gradients[0], gradients[1].squeeze(1)
        self.gradient_t = self.gradient.transpose(1, 2)
        self.out, self.out_t = out, out.transpose(1, 2)
        self.left, self.left_t = left, left.transpose(1, 2)
        self.delta = delta
        # A product with few columns is slow, so then it is made from few rows.
        self.narrow = self.weight.shape[2] < self.weight.shape[1]

    def write_gradient(self, below: Tensor) -> None:
        """Write the gradients, given the input of shape (members, rows, in)."""
        if self.narrow:
            self.gradient_t.copy_(torch.bmm(below.transpose(1, 2), self.left_t))
        else:
            self.gradient.copy_(torch.bmm(self.left, below))
        torch.sum(self.left, 2, out=self.bias_gradient)


class _Path:
    """Memory of the steps of a group that mix at one point, and all views of it.

    On networks this small a view costs as much as an operation, and while one thread makes it the
    others wait.
    """

    def __init__(self, group: _Group, point: int) -> None:
        kind, sizes, buffer = group.kind, group.shape.sizes, group._buffer
        members, batch, views, pairs = group.members, group.shape.batch, kind.views, group.pairs
        self.width = width = sizes[point]
        self._split = (len(group.schemes), len(group.seeds))
        self.rows_shape = (members, views * batch, width)

        self.logits_rows = buffer("logits", members, sizes[-1], views * batch)
        self.logits = self.logits_rows.view(members, sizes[-1], views, batch)
        self.p = buffer("p", *self.logits.shape)
        self.delta = buffer("delta", *self.logits.shape)
        self.p_first, self.delta_first = self.p[:, :, 0], self.delta[:, :, 0]

        def layers(name: str, numbers: range, rows: int, left: Tensor) -> list[_Layer]:
            """Make layers from the top down: what one hands down, the next one gets."""
            made: list[_Layer] = []
            for i in reversed(numbers):
                out = buffer(f"{name} {i}", members, rows, sizes[i + 1])
                delta = buffer(f"delta {name} {i}", members, rows, sizes[i]) if i else None
                made.append(_Layer(group.layers[i], group.gradients[i], out, left, delta))
                left = left if delta is None else delta.transpose(1, 2)
            return made[::-1]

        top = self.delta.view(self.logits_rows.shape)
        self.suffix = layers("suffix", range(point, len(group.layers)), views * batch, top)

        if kind.mixes:
            self.paired = buffer(f"paired {width}", members, pairs, batch, width)
            self.paired_flat = self.paired.view(-1, width)
        if kind.multiplicative:
            self.factor = buffer(f"factor {width}", members, views, batch, width)
            self.factor_split = self.split(self.factor)
        if kind.additive or kind.multiplicative:
            self.mixed = buffer(f"mixed {width}", members, views, batch, width)
            self.mixed_split = self.split(self.mixed)
            self.mixed_rows = self.mixed.view(self.rows_shape)

        self.prefix: list[_Layer] = []
        handed = self.suffix[0].delta
        if handed is None:
            return
        self.delta_views = handed.view(members, views, batch, width)
        self.delta_pairs = self.delta_views
        if pairs < views:
            self.delta_pairs = buffer("delta pairs", members, pairs, batch, width)
        self.delta_flat = self.delta_pairs.view(-1, width)
        if pairs > 1:
            self.delta_before = buffer("delta before", members, batch, width)
        else:
            self.delta_before = self.delta_pairs.view(members, batch, width)
        left = self.delta_before.transpose(1, 2)
        self.prefix = layers("prefix", range(point), batch, left)
        self.before = self.prefix[-1].out.unsqueeze(1)
        self.before_flat = self.before.view(-1, width)

    def split(self, h: Tensor) -> Tensor:
        """Return (members, ...) as (schemes, seeds, ...)."""
        return h.view(*self._split, *h.shape[1:])


class _Group:
    """Schemes x seeds of one seed block, trained without looking at anyone else."""

    def __init__(
        self,
        schemes: Sequence[Scheme],
        seeds: Sequence[int],
        rates: Sequence[float],
        data: tuple[Tensor, Tensor],
        shape: _Shape,
        state: _State,
    ) -> None:
        self.schemes, self.seeds, self.shape, self.state = schemes, seeds, shape, state
        self.x, self.y = data
        self.kind = _Kind.of(schemes)
        self.members = len(schemes) * len(seeds)
        self.pairs = self.kind.views if self.kind.independent else 1
        flat = state.parameters.view(self.members, -1)
        self.layers = _layers(flat, shape.sizes)
        self.gradients = _layers(state.gradient.view(self.members, -1), shape.sizes)
        self.rate: float | Tensor = float(rates[0])
        if len(set(rates)) > 1:
            self.rate = torch.tensor(rates).view(-1, 1, 1)
        gamma = torch.tensor([s.stability for s in schemes])
        rows = self.kind.views * shape.batch
        self.gain = gamma.repeat_interleave(len(seeds)).view(-1, 1, 1, 1) / rows
        # Numbers as tensors: an operation need not make one of them each time.
        self.one, self.decay, self.tiny = torch.tensor([1.0, 0.999, 1e-8]).unbind()
        self.memory: dict[str, Tensor] = {}
        self.paths: dict[int, _Path] = {}
        self.root = torch.empty_like(state.second)
        self.window: _Window | None = None

    # -- draws ----------------------------------------------------------------------------------

    def at(self, step: int) -> tuple[_Window, int]:
        """Return the window that holds a step, and the step's place in it."""
        if self.window is None or not self.window.start <= step < self.window.stop:
            self.window = self._draw(step)
        return self.window, step - self.window.start

    def _draw(self, step: int) -> _Window:
        shape, views = self.shape, self.kind.views
        epochs = max(1, _DRAW_BLOCK // shape.steps_per_epoch)
        steps = epochs * shape.steps_per_epoch
        block = step // steps
        rows, uniform, permutation, scale = [], [], [], []
        order = np.tile(np.arange(self.x.shape[1]), (epochs, 1))
        for seed in self.seeds:
            draw = Rng(seed).fold("ensemble", block).numpy()
            shuffled = draw.permuted(order, axis=1)[:, : shape.steps_per_epoch * shape.batch]
            rows.append(shuffled.reshape(steps, shape.batch))
            uniform.append(draw.random((steps, _MAX_VIEWS)))
            permutation.append(draw.integers(_PERMUTATIONS, size=(steps, _MAX_VIEWS)))
            scale.append(draw.beta(2, 5, size=(steps, _MAX_VIEWS, 2)))
        limit = _POOL_SIZE - SEED_BLOCK * _MAX_VIEWS * shape.batch * max(shape.sizes)
        if limit < _POOL_SIZE // 4:
            raise ValueError(
                f"batch_size={shape.batch} with widths {shape.sizes} is too large for the noise "
                "pool; lower one of them"
            )
        shared = Rng(self.seeds[0] // SEED_BLOCK).fold("ensemble block", block).numpy()
        point = shared.integers(1 << 30, size=steps)
        offset = shared.integers(limit, size=(steps, 2))

        rows_t = torch.from_numpy(np.stack(rows, 1))
        perm = torch.from_numpy(np.stack(permutation, 1))[..., :views]
        lam = self._weights(np.stack(uniform, 1)[..., :views])
        c, s, batch = len(self.schemes), len(self.seeds), shape.batch
        forward, inverse = _permutation_pool(batch)
        partner = self._flat_rows(forward, perm, 1, "partners")
        return _Window(
            start=block * steps,
            stop=(block + 1) * steps,
            x=self._take(self.x, rows_t).unbind(),
            target=self._targets(rows_t, forward, perm[..., 0], lam[..., 0]).unbind(),
            lam=lam[..., : self.pairs].reshape(steps, c * s, self.pairs, 1, 1).unbind(),
            partner=partner.unbind(),
            back=self._flat_rows(inverse, perm, self.pairs, "inverse partners").unbind(),
            level=self._levels(torch.from_numpy(np.stack(scale, 1).astype(np.float32))),
            point=[shape.points[int(p) % len(shape.points)] for p in point],
            offset=offset.tolist(),
            rows=rows_t,
            permutation=perm,
            weight=lam,
        )

    def _take(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return (T, members, B, d) samples for (T, s, B) rows."""
        steps, s, batch = rows.shape
        if x.shape[0] > 1:
            rows = rows + (torch.arange(s) * x.shape[1]).view(1, s, 1)
        taken = self._buffer("samples", steps, s, batch, x.shape[2])
        flat = x.reshape(-1, x.shape[2])
        torch.index_select(flat, 0, rows.flatten(), out=taken.view(-1, x.shape[2]))
        c = len(self.schemes)
        if c == 1:
            return taken
        out = self._buffer("samples of members", steps, c, s, batch, x.shape[2])
        return out.copy_(taken.unsqueeze(1).expand_as(out)).flatten(1, 2)

    def _targets(self, rows: Tensor, forward: Tensor, perm: Tensor, lam: Tensor) -> Tensor:
        """Return (T, members, K, B) mixed labels of view 0 for (T, c, s) lambdas."""
        steps, s, batch = rows.shape
        if self.y.shape[0] > 1:
            rows = rows + (torch.arange(s) * self.y.shape[1]).view(1, s, 1)
        y = self.y.flatten()[rows]
        other = y.gather(2, forward[perm].long())
        classes = self.shape.sizes[-1]
        out = self._buffer("targets", steps, len(self.schemes), s, classes, batch)
        for k in range(classes):
            mine, theirs = (y == k).float().unsqueeze(1), (other == k).float().unsqueeze(1)
            torch.lerp(theirs, mine, lam.unsqueeze(-1), out=out[..., k, :])
        return out.flatten(1, 2)

    def _weights(self, uniform: NDArray[np.float64]) -> Tensor:
        """Return (T, c, s, V) lambdas; 1 where a view is not mixed."""
        lam = np.ones((len(uniform), len(self.schemes), *uniform.shape[1:]), dtype=np.float32)
        for i, scheme in enumerate(self.schemes):
            if scheme.mix is None:
                continue
            assert isinstance(scheme.mix, Mixup)
            value = symmetric_beta_quantile(uniform, scheme.mix.alpha)
            if scheme.pairing == "shared":
                value = np.broadcast_to(value[..., :1], value.shape)
            elif scheme.pairing == "unmixed":
                value = np.concatenate([value[..., :1], np.ones_like(value[..., 1:])], -1)
            lam[:, i] = value
        return torch.from_numpy(lam)

    def _levels(self, scale: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return for each step (c, s or 1, V, 1, 1) additive and multiplicative levels."""
        views = self.kind.views
        gain = torch.zeros(2, len(self.schemes), 1, views, 1, 1)
        for i, scheme in enumerate(self.schemes):
            noise = scheme.noise
            if noise is None:
                continue
            for v in range(noise.clean_views, views):
                gain[0, i, 0, v] = noise.additive * (1 + noise.view_gain * v)
                gain[1, i, 0, v] = noise.multiplicative
        if self.shape.law == "paper":
            return [gain[0]] * len(scale), [gain[1]] * len(scale)
        scaled = (
            gain.unsqueeze(1) * scale[:, :, :views].permute(3, 0, 1, 2)[:, :, None, ..., None, None]
        )
        return scaled[0].unbind(), scaled[1].unbind()

    def _flat_rows(self, pool: Tensor, perm: Tensor, views: int, name: str) -> Tensor:
        """Return (T, members * pairs * B) row numbers for (T, s, V) permutations of the pool.

        With `views` > 1 each pair has rows of its own, else all pairs read a member's rows.
        """
        steps, s = perm.shape[:2]
        c, pairs, batch = len(self.schemes), self.pairs, pool.shape[1]
        own = torch.arange(c * s * (pairs if views > 1 else 1), dtype=torch.int32) * batch
        base = own.view(1, c, s, pairs if views > 1 else 1, 1)
        chosen = self._buffer(f"{name} of seeds", steps, s, pairs, batch, dtype=torch.int32)
        flat = perm[..., :pairs].flatten()
        torch.index_select(pool, 0, flat, out=chosen.view(-1, batch))
        out = self._buffer(name, steps, c, s, pairs, batch, dtype=torch.int32)
        return torch.add(chosen.unsqueeze(1), base, out=out).flatten(1)

    def field(self, window: _Window, at: int, width: int, which: int) -> Tensor:
        """Return the (1, s, V, B, width) noise of a step, unscaled."""
        pool = _noise_pool(which == 1 and self.shape.law == "released", self.shape.sparsity)
        batch, views = self.shape.batch, self.kind.views
        reel = _MAX_VIEWS * batch * width
        start = window.offset[at][which]
        places = [seed % SEED_BLOCK for seed in self.seeds]
        shape, strides = (views, batch, width), (batch * width, width, 1)
        if places[-1] - places[0] == len(places) - 1:
            start += places[0] * reel
            return pool.as_strided((1, len(places), *shape), (0, reel, *strides), start)
        reels = [pool.as_strided(shape, strides, start + place * reel) for place in places]
        return torch.stack(reels).unsqueeze(0)

    # -- training -------------------------------------------------------------------------------

    def run(self, start: int, steps: int) -> None:
        """Take optimiser steps `start` to `start + steps` - 1."""
        with torch.inference_mode():
            for step in range(start, start + steps):
                window, at = self.at(step)
                self._backward(window, at, keep=step == start + steps - 1)
                self._adam(step + 1)

    def _buffer(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return memory that is kept between steps, as a tensor of this shape.

        Without it most of the time would go into fresh memory pages.
        """
        memory = self.memory.get(name)
        if memory is None or memory.shape != shape:
            memory = self.memory[name] = torch.empty(shape, dtype=dtype)
        return memory

    def _adam(self, t: int) -> None:
        state, root = self.state, self.root
        state.first.lerp_(state.gradient, 0.1)
        state.second.mul_(self.decay).addcmul_(state.gradient, state.gradient, value=0.001)
        torch.sqrt(state.second, out=root)
        root.mul_(1 / math.sqrt(1 - 0.999**t)).add_(self.tiny)
        if isinstance(self.rate, float):
            state.parameters.addcdiv_(state.first, root, value=-self.rate / (1 - 0.9**t))
        else:
            state.parameters.sub_(self.rate / (1 - 0.9**t) * state.first / root)

    def _backward(self, window: _Window, at: int, *, keep: bool) -> None:
        """Write the gradient of one step; with `keep` also the parts of its loss."""
        kind, point = self.kind, window.point[at]
        if point not in self.paths:
            self.paths[point] = _Path(self, point)
        path = self.paths[point]

        # To the mix point, once for all views: they are copies until they are mixed and noised.
        x = h = window.x[at]
        for layer in path.prefix:
            h = self._activate(torch.baddbmm(layer.bias, h, layer.weight_t, out=layer.out))
        flat = path.before_flat if point else h.view(-1, h.shape[-1])
        h = path.before if point else h.unsqueeze(1)
        if kind.mixes:
            torch.index_select(flat, 0, window.partner[at], out=path.paired_flat)
            h = torch.lerp(path.paired, h, window.lam[at], out=path.paired)
        if kind.multiplicative:
            field = self.field(window, at, path.width, 1)
            torch.addcmul(self.one, field, window.level[1][at], out=path.factor_split)
            h = torch.mul(h, path.factor, out=path.mixed)
        if kind.additive:
            split = path.mixed_split if kind.multiplicative else path.split(h)
            field = self.field(window, at, path.width, 0)
            torch.addcmul(split, field, window.level[0][at], out=path.mixed_split)
        if kind.additive or kind.multiplicative:
            h = path.mixed_rows
        else:
            h = h.expand(-1, kind.views, -1, -1).reshape(path.rows_shape)

        below = [h]
        for layer in path.suffix[:-1]:
            h = self._activate(torch.baddbmm(layer.bias, h, layer.weight_t, out=layer.out))
            below.append(h)
        # Classes before samples: a product with a few rows is much faster than with a few columns.
        top = path.suffix[-1]
        h_t = path.suffix[-2].out_t if len(below) > 1 else h.transpose(1, 2)
        torch.baddbmm(top.bias_t, top.weight, h_t, out=path.logits_rows)
        self._loss_gradient(path, window.target[at], keep=keep)

        for i in range(len(path.suffix) - 1, -1, -1):
            layer = path.suffix[i]
            layer.write_gradient(below[i])
            if layer.delta is not None:
                torch.bmm(layer.left_t, layer.weight, out=layer.delta)
                if i > 0:
                    self._activation_gradient(layer.delta, below[i])
        if point == 0:
            return

        if kind.multiplicative:
            path.delta_views.mul_(path.factor)
        if path.delta_pairs is not path.delta_views:
            torch.sum(path.delta_views, 1, keepdim=True, out=path.delta_pairs)
        if kind.mixes:
            # The partner's share flows back along the inverse permutation.
            torch.index_select(path.delta_flat, 0, window.back[at], out=path.paired_flat)
            torch.lerp(path.paired, path.delta_pairs, window.lam[at], out=path.delta_pairs)
        if self.pairs > 1:
            torch.sum(path.delta_pairs, 1, out=path.delta_before)
        for i in range(point - 1, -1, -1):
            layer = path.prefix[i]
            self._activation_gradient(layer.left_t, layer.out)
            layer.write_gradient(path.prefix[i - 1].out if i else x)
            if layer.delta is not None:
                torch.bmm(layer.left_t, layer.weight, out=layer.delta)

    def _activate(self, h: Tensor) -> Tensor:
        return h.relu_() if self.shape.activation == "relu" else h.tanh_()

    def _activation_gradient(self, delta: Tensor, h: Tensor) -> None:
        """Multiply delta by the derivative of the activation with value h, in place."""
        aten = torch.ops.aten
        if self.shape.activation == "relu":
            aten.threshold_backward.grad_input(delta, h, 0, grad_input=delta)
        else:
            aten.tanh_backward.grad_input(delta, h, grad_input=delta)

    def _loss_gradient(self, path: _Path, target: Tensor, *, keep: bool) -> None:
        r"""Write d(total)/d(logits) of shape (members, K, V, B) to `path.delta`.

        Cross-entropy on view 0: $(p - y)/b$. Divergence: $\pi_v p_v \odot (a_v - p_v^\top a_v)/b$
        with $a_v = \log(p_v / m)$.
        """
        views, batch = self.kind.views, self.shape.batch
        log_p = torch.log_softmax(path.logits, 1)
        p, delta = torch.exp(log_p, out=path.p), path.delta
        split = (len(self.schemes), len(self.seeds))
        if keep:
            ce = (target * log_p[:, :, 0]).sum((1, 2)).mul_(-1 / batch)
            self.state.ce.copy_(ce.view(split))
        if self.kind.compares:
            log_m = p.mean(2, keepdim=True).clamp_min_(1e-38).log_()
            torch.sub(log_p, log_m, out=delta)
            kl = (p * delta).sum(1, keepdim=True)
            if keep:
                self.state.jsd.copy_(kl.sum((1, 2, 3)).mul_(1 / (views * batch)).view(split))
            delta.sub_(kl).mul_(p).mul_(self.gain)
        else:
            delta.zero_()
        path.delta_first.add_(path.p_first.sub_(target), alpha=1 / batch)

    # -- one member -----------------------------------------------------------------------------

    def draws(self, scheme: int, seed: int, step: int) -> tuple[Draws, Tensor]:
        """Return the draws of one member (local numbers) as the objective's record."""
        window, at = self.at(step)
        what = self.schemes[scheme]
        rows = window.rows[at, seed]
        x = self.x[seed if self.x.shape[0] > 1 else 0][rows]
        y = self.y[seed if self.y.shape[0] > 1 else 0][rows]
        point = window.point[at]
        pairs: tuple[Pair, ...] = ()
        if what.mix is not None:
            lam = window.weight[at, scheme, seed].tolist()
            pool = _permutation_pool(self.shape.batch)[0]
            partner = pool[window.permutation[at, seed]].long()
            count = 1 if what.pairing == "shared" else what.views.count
            pairs = tuple(Pair(partner[v], lam[v], lam[v]) for v in range(count))
        noise = None
        if what.noise is not None:
            fields = []
            for which in (0, 1):
                level = window.level[which][at]
                field = self.field(window, at, self.shape.sizes[point], which) * level
                field = field[scheme, seed if field.shape[1] > 1 else 0]
                fields.append(field[: what.views.count])
            noise = NoiseDraw(*fields)
        return Draws(what.views.make(x, y, None, Rng(0)), point, pairs, noise), y


def _layers(flat: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Return (weight (..., out, in), bias (..., 1, out)) views of flat parameters."""
    layers = []
    at = 0
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = flat[..., at : at + fan_in * fan_out].unflatten(-1, (fan_out, fan_in))
        at += fan_in * fan_out
        layers.append((weight, flat[..., at : at + fan_out].unsqueeze(-2)))
        at += fan_out
    return layers


def _pool(workers: int) -> ThreadPoolExecutor:
    """Return threads that each run their tensor operations on one core.

    Groups do not wait for each other, so a thread a group beats several threads an operation.
    """
    threads = torch.get_num_threads()
    # The setting is per thread for the operations, but also the default of new threads: put back.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    list(pool.map(lambda _: None, range(workers)))
    torch.set_num_threads(threads)
    return pool


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
        self._groups = self._allocate()

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

    def _allocate(self) -> list[tuple[slice, slice, _Group]]:
        """Make the memory and split the members into groups that fit the caches."""
        c, s = len(self.schemes), len(self.seeds)
        flat = np.stack([mlp_initial_values(self.sizes, seed) for seed in self.seeds])
        self._parameters = torch.from_numpy(flat.astype(np.float32)).repeat(c, 1, 1)
        gradient, first, second = (torch.zeros_like(self._parameters) for _ in range(3))
        self._ce, self._jsd = torch.zeros(c, s), torch.zeros(c, s)
        shape = _Shape(
            self.sizes, self.batch_size, self.steps_per_epoch, self.points, self.activation,
            self._law, self._sparsity,
        )  # fmt: skip
        groups = []
        for where in itertools.product(*self._split()):
            own = where[1] if self.x.shape[0] > 1 else slice(None)
            y_own = where[1] if self.y.shape[0] > 1 else slice(None)
            memory = (self._parameters, gradient, first, second, self._ce, self._jsd)
            group = _Group(
                self.schemes[where[0]],
                self.seeds[where[1]],
                self.learning_rates[where[0]],
                (self.x[own], self.y[y_own]),
                shape,
                _State(*(m[where] for m in memory)),
            )
            groups.append((*where, group))
        return groups

    def _split(self) -> tuple[list[slice], list[slice]]:
        """Return the runs of schemes and the runs of seeds whose products are the groups."""
        c, s = len(self.schemes), len(self.seeds)
        blocks = [list(run) for _, run in itertools.groupby(self.seeds, lambda k: k // SEED_BLOCK)]
        if len({run[0] // SEED_BLOCK for run in blocks}) < len(blocks):
            raise ValueError("seeds of one block of 16 must stand together; sort the seeds")
        ends = list(itertools.accumulate(len(run) for run in blocks))
        seeds = [slice(e - len(run), e) for e, run in zip(ends, blocks, strict=True)]
        rows = self._views * self.batch_size * s
        if len(blocks) > 1 or (c * rows > _GROUP_ROWS and rows > _GROUP_ROWS // 2):
            # Memory of several schemes is contiguous only for all seeds together.
            return [slice(i, i + 1) for i in range(c)], seeds
        if c * rows <= _GROUP_ROWS:
            return [slice(0, c)], seeds
        runs = []
        kinds = [_Kind.of([scheme]) for scheme in self.schemes]
        for _, run in itertools.groupby(range(c), lambda i: kinds[i]):
            members = list(run)
            most = max(1, _GROUP_ROWS // rows)
            for i in range(0, len(members), most):
                part = members[i : i + most]
                runs.append(slice(part[0], part[-1] + 1))
        return runs, seeds

    # -- training -------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Take n optimiser steps with every member."""
        start, self.steps_done = self.steps_done, self.steps_done + n
        groups = [group for *_, group in self._groups]
        workers = min(torch.get_num_threads(), len(groups))
        if workers > 1:
            with _pool(workers) as pool:
                # list() re-raises what went wrong in a worker.
                list(pool.map(lambda group: group.run(start, n), groups))
        else:
            for group in groups:
                group.run(start, n)

    def fit(self, epochs: int) -> Ensemble:
        """Train for so many epochs and return self."""
        self.step(epochs * self.steps_per_epoch)
        return self

    # -- reading --------------------------------------------------------------------------------

    @property
    def ce(self) -> Tensor:
        """(C, S) cross-entropy of the last step."""
        return self._ce

    @property
    def jsd(self) -> Tensor:
        """(C, S) divergence between the views in the last step (0 where a group has none)."""
        return self._jsd

    def logits(
        self, x: ArrayLike | Tensor, *, schemes: slice = slice(None), seeds: slice = slice(None)
    ) -> Tensor:
        """Return (C, S, N, K) logits at x of shape (N, d) or (S, N, d)."""
        x = torch.as_tensor(np.asarray(x), dtype=torch.float32)
        parameters = self._parameters[schemes, seeds]
        members = parameters.shape[:2]
        h = x.expand(*members, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        layers = _layers(parameters.reshape(-1, parameters.shape[-1]), self.sizes)
        with torch.no_grad():
            for i, (weight, bias) in enumerate(layers):
                h = torch.baddbmm(bias, h, weight.transpose(1, 2))
                if i < len(layers) - 1:
                    h = h.relu_() if self.activation == "relu" else h.tanh_()
        return h.view(*members, *h.shape[1:])

    def member(self, scheme: int, seed: int) -> StagedModel:
        """Return one member as an ordinary model (a copy)."""
        model = mlp(self.sizes, seed=self.seeds[seed], activation=self.activation)
        linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
        layers = _layers(self._parameters[scheme, seed], self.sizes)
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
        c, s = range(len(self.schemes))[scheme], range(len(self.seeds))[seed]
        for schemes, seeds, group in self._groups:
            if schemes.start <= c < schemes.stop and seeds.start <= s < seeds.stop:
                return group.draws(c - schemes.start, s - seeds.start, step)
        raise AssertionError("every member is in a group")
