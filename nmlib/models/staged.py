"""A model is a list of stages; mix point k is the input of stage k."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.modes import logits_of
from nmlib.models.norm import own_dropout_streams
from nmlib.rng import Rng

__all__ = ["Change", "StagedModel", "checked_point"]

Change = Callable[[Tensor], Tensor]


def checked_point(point: int, count: int) -> int:
    """Return a mix point of a model with `count` points as an int, or raise ValueError."""
    if type(point) is not int:
        point = _checks.integer("mix point", point)
    if not 0 <= point < count:
        raise ValueError(
            f"mix point {point} does not exist: this model has points 0 to {count - 1}"
        )
    return point


class StagedModel(nn.Module):
    """A network that can start and stop at every stage.

    `model(model(x, stop=k), start=k)` equals `model(x)` for every k in 0 ... len(stages) - 1.

    Args:
        stages: Modules applied in order; the last one returns logits.
        normalise: Applied to raw inputs before stage 0, or None. Mix point 0 is its output.

    >>> import torch
    >>> model = StagedModel([nn.Linear(2, 3), nn.Linear(3, 2)])
    >>> x = torch.ones(4, 2)
    >>> bool((model(model(x, stop=1), start=1) == model(x)).all())
    True
    """

    def __init__(self, stages: Sequence[nn.Module], normalise: nn.Module | None = None) -> None:
        super().__init__()
        if not stages:
            raise ValueError("a model needs at least one stage, got none")
        self.stages = nn.ModuleList(stages)
        self.normalise = normalise
        own_dropout_streams(self, Rng(0))

    @property
    def num_points(self) -> int:
        """Number of mix points: 0 (the normalised input) to num_points - 1."""
        return len(self.stages)

    def check_point(self, point: int) -> int:
        """Return a mix point of this model as an int, or raise ValueError."""
        return checked_point(point, self.num_points)

    def compiled(self) -> StagedModel:
        """Return these stages on the same weights, each compiled by torch.compile."""
        shared = copy.copy(self)
        # By stages, so that four mix points make no new code.
        shared.__dict__["_compiled"] = [torch.compile(stage) for stage in self.stages]
        return shared

    def forward(
        self,
        x: Tensor,
        start: int | None = None,
        stop: int | None = None,
        *,
        point: int | None = None,
        change: Change | None = None,
    ) -> Tensor:
        """Run the stages [start, stop).

        Args:
            x: Raw inputs if `start` is None, else the activations at mix point `start`.
            start: Mix point of `x`.
            stop: Return the activations at this mix point; None returns logits.
            point: Replace the activations h at this mix point by `change(h)`.
            change: Returns activations of the same shape.

        Raises:
            ValueError: For a mix point that does not exist, or `stop` before `start`.
        """
        start = None if start is None else self.check_point(start)
        stop = None if stop is None else self.check_point(stop)
        if start is not None and stop is not None and stop < start:
            raise ValueError(f"stop={stop} lies before start={start}; swap them")
        if start is None and self.normalise is not None:
            x = self.normalise(x)
        point = None if point is None else self.check_point(point)
        for k, stage in enumerate(self.__dict__.get("_compiled", self.stages)):
            if k < (start or 0):
                continue
            if k == stop:
                return x
            if k == point and change is not None:
                x = change(x)
            x = stage(x)
        return logits_of(x)
