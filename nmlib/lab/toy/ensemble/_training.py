"""Schemes x seeds of one network, split into groups and trained."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nmlib import _checks
from nmlib._threads import single_threads
from nmlib.lab.toy.draws import initial_values
from nmlib.lab.toy.ensemble._gradients import State, parameter_views
from nmlib.lab.toy.ensemble._group import Group
from nmlib.lab.toy.ensemble._pools import SEED_BLOCK
from nmlib.lab.toy.ensemble._windows import Activation, Shape
from nmlib.mixing import Mixup
from nmlib.models.mlp import mlp
from nmlib.models.staged import StagedModel
from nmlib.objective import Draws
from nmlib.schemes import Scheme
from nmlib.views import Plain

# Activations of one group are kept near the size of the caches.
_GROUP_ROWS = 4800


class Ensemble:
    r"""C schemes x S seeds of one small network, trained at once with Adam.

    Every member equals the same network trained alone with the same draws (`draws`).

    Args:
        schemes: C schemes with `Plain` views and `Mixup` mixing; all with the same `points`.
        x: (N, d) inputs for all seeds, or (S, N, d) with each seed its own.
        y: (N,) or (S, N) integer classes.
        seeds: S different integers >= 0. A seed fixes initial weights and all draws.
        sizes: Widths of input, hidden layers and output.
        learning_rate: Of Adam.
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
        learning_rate: float = 0.01,
        batch_size: int = 50,
        activation: Activation = "relu",
    ) -> None:
        self.schemes = tuple(schemes)
        self.seeds = _checks.integers("seeds", seeds, 0, 2**32 - 1)
        self.sizes = _checks.integers("sizes", sizes, 1)
        if not self.schemes:
            raise ValueError("an ensemble needs at least one scheme and one seed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, got {self.seeds}")
        _checks.choice("activation", activation, ("relu", "tanh"))
        self.activation = activation
        self.x, self.y = self._data(x, y)
        self.batch_size = min(_checks.integer("batch_size", batch_size, 1), self.x.shape[1])
        self.steps_per_epoch = self.x.shape[1] // self.batch_size
        self.steps_done = 0
        self.learning_rate = float(_checks.positive("learning_rate", learning_rate))
        self._configure()
        self._groups = self._allocate()

    # -- set-up ---------------------------------------------------------------------------------

    def _data(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
        x = _checks.tensor("x", x).detach().to("cpu", torch.float32, copy=True)
        y = _checks.class_labels(y, self.sizes[-1]).to("cpu", copy=True)
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
        return x, y

    def _configure(self) -> None:
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

    def _allocate(self) -> list[tuple[slice, slice, Group]]:
        """Make the memory and split the members into groups that fit the caches."""
        c, s = len(self.schemes), len(self.seeds)
        flat = initial_values(self.sizes, self.seeds)
        self._parameters = torch.from_numpy(flat.astype(np.float32)).repeat(c, 1, 1)
        gradient, first, second = (torch.zeros_like(self._parameters) for _ in range(3))
        self._ce, self._jsd = torch.zeros(c, s), torch.zeros(c, s)
        shape = Shape(
            self.sizes, self.batch_size, self.steps_per_epoch, self.points, self.activation,
            self._law, self._sparsity,
        )  # fmt: skip
        groups = []
        for where in itertools.product(*self._split()):
            own = where[1] if self.x.shape[0] > 1 else slice(None)
            y_own = where[1] if self.y.shape[0] > 1 else slice(None)
            memory = (self._parameters, gradient, first, second, self._ce, self._jsd)
            group = Group(
                self.schemes[where[0]],
                self.seeds[where[1]],
                self.learning_rate,
                (self.x[own], self.y[y_own]),
                shape,
                State(*(m[where] for m in memory)),
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
        # Memory of several schemes is contiguous only for all seeds together.
        if len(blocks) == 1 and c * s * self._views * self.batch_size <= _GROUP_ROWS:
            return [slice(0, c)], seeds
        return [slice(i, i + 1) for i in range(c)], seeds

    # -- training -------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Take n optimiser steps with every member."""
        n = _checks.integer("n", n, 0)
        start, self.steps_done = self.steps_done, self.steps_done + n
        groups = [group for *_, group in self._groups]
        workers = min(torch.get_num_threads(), len(groups))
        if workers > 1:
            with single_threads(workers) as pool:
                # list() re-raises what went wrong in a worker.
                list(pool.map(lambda group: group.run(start, n), groups))
        else:
            for group in groups:
                group.run(start, n)

    def fit(self, epochs: int) -> Ensemble:
        """Train for this number of epochs and return self."""
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
        x = _checks.tensor("x", x).detach().to("cpu", torch.float32)
        parameters = self._parameters[schemes, seeds]
        members = parameters.shape[:2]
        h = x.expand(*members, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        layers = parameter_views(parameters.reshape(-1, parameters.shape[-1]), self.sizes)
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
        layers = parameter_views(self._parameters[scheme, seed], self.sizes)
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
