"""A model is a list of stages; mix point k is the input of stage k."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.norm import own_dropout_streams
from nmlib.rng import Rng

__all__ = ["StagedModel"]


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
        if type(point) is not int:
            point = _checks.integer("mix point", point)
        if not 0 <= point < len(self.stages):
            raise ValueError(
                f"mix point {point} does not exist: this model has points 0 to "
                f"{len(self.stages) - 1}"
            )
        return point

    def forward(self, x: Tensor, start: int | None = None, stop: int | None = None) -> Tensor:
        """Run the stages [start, stop).

        Args:
            x: Raw inputs if `start` is None, else the activations at mix point `start`.
            start: Mix point of `x`.
            stop: Return the activations at this mix point; None returns logits.

        Raises:
            ValueError: For a mix point that does not exist, or `stop` before `start`.
        """
        start = None if start is None else self.check_point(start)
        stop = None if stop is None else self.check_point(stop)
        if start is not None and stop is not None and stop < start:
            raise ValueError(f"stop={stop} lies before start={start}; swap them")
        if start is None and self.normalise is not None:
            x = self.normalise(x)
        for stage in self.stages[slice(start or 0, stop)]:
            x = stage(x)
        return x
