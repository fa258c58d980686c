"""Members that are trained together, by Adam, each independent of the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nmlib.lab.toy.ensemble._gradients import Gradients, State
from nmlib.lab.toy.ensemble._pools import permutation_pool
from nmlib.lab.toy.ensemble._windows import Kind, Shape, Windows
from nmlib.mixing import Pair
from nmlib.noise import NoiseDraw
from nmlib.objective import Draws
from nmlib.rng import Rng
from nmlib.schemes import Scheme

__all__ = ["Group"]


class Group:
    """Schemes x seeds of one seed block."""

    def __init__(
        self,
        schemes: Sequence[Scheme],
        seeds: Sequence[int],
        rate: float,
        data: tuple[Tensor, Tensor],
        shape: Shape,
        state: State,
    ) -> None:
        self.schemes, self.seeds, self.shape, self.state = schemes, seeds, shape, state
        self.x, self.y = data
        self.windows = Windows(schemes, seeds, data, shape, Kind.of(schemes))
        self.gradients = Gradients(self.windows, state, schemes)
        self.rate = rate
        # Numbers as tensors: an operation need not make one of them each time.
        self.decay, self.tiny = torch.tensor([0.999, 1e-8]).unbind()
        self.root = torch.empty_like(state.second)

    def run(self, start: int, steps: int) -> None:
        """Take optimiser steps `start` to `start + steps` - 1."""
        with torch.inference_mode():
            for step in range(start, start + steps):
                self.gradients.write(step, keep=step == start + steps - 1)
                self._adam(step + 1)

    def _adam(self, t: int) -> None:
        state, root = self.state, self.root
        state.first.lerp_(state.gradient, 0.1)
        state.second.mul_(self.decay).addcmul_(state.gradient, state.gradient, value=0.001)
        torch.sqrt(state.second, out=root)
        root.mul_(1 / math.sqrt(1 - 0.999**t)).add_(self.tiny)
        state.parameters.addcdiv_(state.first, root, value=-self.rate / (1 - 0.9**t))

    def draws(self, scheme: int, seed: int, step: int) -> tuple[Draws, Tensor]:
        """Return the draws of one member (local numbers) as the objective's record."""
        window, at = self.windows.at(step)
        what = self.schemes[scheme]
        rows = window.rows[at, seed]
        x = self.x[seed if self.x.shape[0] > 1 else 0][rows]
        y = self.y[seed if self.y.shape[0] > 1 else 0][rows]
        point = window.point[at]
        pairs: tuple[Pair, ...] = ()
        if what.mix is not None:
            lam = window.weight[at, scheme, seed].tolist()
            pool = permutation_pool(self.shape.batch)[0]
            partner = pool[window.permutation[at, seed]].long()
            count = 1 if what.pairing == "shared" else what.views.count
            pairs = tuple(Pair(partner[v], lam[v], lam[v]) for v in range(count))
        noise = None
        if what.noise is not None:
            fields = []
            for which in (0, 1):
                level = window.level[which][at]
                field = self.windows.field(window, at, self.shape.sizes[point], which) * level
                field = field[scheme, seed if field.shape[1] > 1 else 0]
                fields.append(field[: what.views.count])
            noise = NoiseDraw(*fields)
        return Draws(what.views.make(x, y, None, Rng(0)), point, pairs, noise), y
