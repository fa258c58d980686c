"""What the steps of members trained together need: samples, partners, weights, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.lab.toy.draws import integers, permutations, scale_quantile, symmetric_beta, uniforms
from nmlib.lab.toy.ensemble._pools import (
    MAX_VIEWS,
    PERMUTATIONS,
    POOL_SIZE,
    SEED_BLOCK,
    noise_pool,
    permutation_pool,
)
from nmlib.mixing import Mixup
from nmlib.schemes import Scheme

# Steps whose small decisions are drawn in one go.
_DRAW_BLOCK = 128

Activation = Literal["relu", "tanh"]


@dataclass(frozen=True)
class Kind:
    """What the schemes of a group have in common."""

    views: int
    independent: bool
    mixes: bool
    additive: bool
    multiplicative: bool
    compares: bool

    @property
    def pairs(self) -> int:
        """How many pairs of partners and weights there are."""
        return self.views if self.independent else 1

    @classmethod
    def of(cls, schemes: Sequence[Scheme]) -> Kind:
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
class Shape:
    """What all members of an ensemble share."""

    sizes: tuple[int, ...]
    batch: int
    steps_per_epoch: int
    points: tuple[int, ...]
    activation: Activation
    law: str
    sparsity: float


@dataclass
class Window:
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


class Memory:
    """Memory that is kept between steps.

    Without it most of the time would go into fresh memory pages.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the memory of this name as a tensor of this shape."""
        memory = self._kept.get(name)
        if memory is None or memory.shape != shape:
            memory = self._kept[name] = torch.empty(shape, dtype=dtype)
        return memory


class Windows:
    """Draws what the steps of a group need, some epochs at a time."""

    def __init__(
        self,
        schemes: Sequence[Scheme],
        seeds: Sequence[int],
        data: tuple[Tensor, Tensor],
        shape: Shape,
        kind: Kind,
    ) -> None:
        self.schemes, self.seeds, self.shape, self.kind = schemes, seeds, shape, kind
        self.x, self.y = data
        self.pairs = kind.pairs
        self.memory = Memory()
        self.window: Window | None = None

    def at(self, step: int) -> tuple[Window, int]:
        """Return the window that holds a step, and the step's place in it."""
        if self.window is None or not self.window.start <= step < self.window.stop:
            self.window = self._draw(step)
        return self.window, step - self.window.start

    def _draw(self, step: int) -> Window:
        shape, views = self.shape, self.kind.views
        epochs = max(1, _DRAW_BLOCK // shape.steps_per_epoch)
        steps = epochs * shape.steps_per_epoch
        block = step // steps
        seeds = np.array(self.seeds)
        taken = shape.steps_per_epoch * shape.batch
        epoch = block * epochs + np.arange(epochs)
        orders = permutations(seeds, "order", epoch[:, None], self.x.shape[1])[..., :taken]
        apart = orders.reshape(epochs, len(seeds), shape.steps_per_epoch, shape.batch)
        rows = apart.swapaxes(1, 2).reshape(steps, len(seeds), shape.batch)
        every = block * steps + np.arange(steps)
        at = every[:, None]
        uniform = uniforms(seeds, "lambda", at, MAX_VIEWS)
        permutation = integers(seeds, "partner", at, MAX_VIEWS, PERMUTATIONS)
        scale = scale_quantile(uniforms(seeds, "scale", at, 2 * MAX_VIEWS))
        shared = self.seeds[0] // SEED_BLOCK
        point = integers(shared, "point", every, 1, len(shape.points))[:, 0]
        offset = integers(shared, "window", every, 2, POOL_SIZE)

        rows_t = torch.from_numpy(rows)
        perm = torch.from_numpy(permutation)[..., :views]
        lam = self._weights(uniform[..., :views])
        c, s, batch = len(self.schemes), len(self.seeds), shape.batch
        forward, inverse = permutation_pool(batch)
        partner = self._flat_rows(forward, perm, 1, "partners")
        return Window(
            start=block * steps,
            stop=(block + 1) * steps,
            x=self._take(self.x, rows_t).unbind(),
            target=self._targets(rows_t, forward, perm[..., 0], lam[..., 0]).unbind(),
            lam=lam[..., : self.pairs].reshape(steps, c * s, self.pairs, 1, 1).unbind(),
            partner=partner.unbind(),
            back=self._flat_rows(inverse, perm, self.pairs, "inverse partners").unbind(),
            level=self._levels(
                torch.from_numpy(scale.astype(np.float32)).unflatten(-1, (MAX_VIEWS, 2))
            ),
            point=[shape.points[p] for p in point],
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
        taken = self.memory("samples", steps, s, batch, x.shape[2])
        flat = x.reshape(-1, x.shape[2])
        torch.index_select(flat, 0, rows.flatten(), out=taken.view(-1, x.shape[2]))
        c = len(self.schemes)
        if c == 1:
            return taken
        out = self.memory("samples of members", steps, c, s, batch, x.shape[2])
        return out.copy_(taken.unsqueeze(1).expand_as(out)).flatten(1, 2)

    def _targets(self, rows: Tensor, forward: Tensor, perm: Tensor, lam: Tensor) -> Tensor:
        """Return (T, members, K, B) mixed labels of view 0 for (T, c, s) lambdas."""
        steps, s, batch = rows.shape
        if self.y.shape[0] > 1:
            rows = rows + (torch.arange(s) * self.y.shape[1]).view(1, s, 1)
        y = self.y.flatten()[rows]
        other = y.gather(2, forward[perm].long())
        classes = self.shape.sizes[-1]
        out = self.memory("targets", steps, len(self.schemes), s, classes, batch)
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
            value = symmetric_beta(uniform, scheme.mix.alpha)
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
        chosen = self.memory(f"{name} of seeds", steps, s, pairs, batch, dtype=torch.int32)
        flat = perm[..., :pairs].flatten()
        torch.index_select(pool, 0, flat, out=chosen.view(-1, batch))
        out = self.memory(name, steps, c, s, pairs, batch, dtype=torch.int32)
        return torch.add(chosen.unsqueeze(1), base, out=out).flatten(1)

    def field(self, window: Window, at: int, width: int, which: int) -> Tensor:
        """Return the (1, s, V, B, width) noise of a step, unscaled."""
        batch, views = self.shape.batch, self.kind.views
        reel = MAX_VIEWS * batch * width
        uniform = which == 1 and self.shape.law == "released"
        pool = noise_pool(uniform, self.shape.sparsity, POOL_SIZE + SEED_BLOCK * reel)
        start = window.offset[at][which]
        places = [seed % SEED_BLOCK for seed in self.seeds]
        shape, strides = (views, batch, width), (batch * width, width, 1)
        if places[-1] - places[0] == len(places) - 1:
            start += places[0] * reel
            return pool.as_strided((1, len(places), *shape), (0, reel, *strides), start)
        reels = [pool.as_strided(shape, strides, start + place * reel) for place in places]
        return torch.stack(reels).unsqueeze(0)
