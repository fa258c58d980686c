r"""How to optimise (`Recipe`) and how much (`Budget`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from nmlib import _checks
from nmlib.data import ImageData

__all__ = ["BUDGETS", "Budget", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    r"""Optimiser settings; the defaults are the paper's.

    Stochastic gradient descent with Nesterov momentum, and a learning rate that falls every step,

    $$\eta_t = \eta_{end} + \tfrac12(\eta_0-\eta_{end})\big(1+\cos(\pi t/T)\big),
      \quad t = 0 \dots T-1,$$

    or, with `drop_every`, by steps: $\eta_t = \eta_0\,10^{-\lfloor e_t / drop\_every \rfloor}$ in
    epoch $e_t = 0, 1, \dots$

    Args:
        epochs: Passes over the training set.
        batch_size: Images per step, over all processes; each has several views.
        learning_rate: $\eta_0$.
        final_learning_rate: $\eta_{end}$ of the cosine.
        momentum: Of the gradient, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: Coefficient of the weights in their gradient.
        decay_all: Decay every parameter, those of normalisations and biases too (the released
            code does), or only those with two axes or more.
        augment: Random flips and crops.
        drop_last: Leave out the last, smaller batch of an epoch (the released code keeps it).
        parts: Number of parts that a step is computed in; their gradients are averaged. Each part
            draws its own mixing partners, noise and batch statistics. Several processes share the
            parts, so their number does not change a result. More parts need less memory.
        precision: "fp32", or "bf16": the network runs in bfloat16 (autocast); augmentation,
            loss and weights stay in float32.
        validation: Number of training images held out and evaluated after each epoch; for
            reporting only, never for model selection.
        drop_every: Epochs after which the rate falls to a tenth; 0 for the cosine.

    Raises:
        ValueError: For a value out of range.

    Source: paper sec. 4.1.
    Differs: the released code tests on the test set after every epoch and keeps both the best and
        the last weights (the paper does not say which it reports); here the last are the result.

    >>> Recipe(epochs=2).rate(0, 100), round(Recipe(epochs=2).rate(50, 100), 4)
    (0.1, 0.05)
    """

    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    final_learning_rate: float = 1e-6
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    decay_all: bool = True
    augment: bool = True
    drop_last: bool = False
    parts: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    validation: int = 0
    drop_every: int = 0

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.integer, "epochs", "batch_size", "parts", least=1)
        _checks.keep(self, _checks.integer, "validation", "drop_every", least=0)
        _checks.keep(self, _checks.positive, "learning_rate")
        _checks.keep(self, _checks.non_negative, "final_learning_rate", "weight_decay")
        _checks.keep(self, _checks.number, "momentum", low=0, high=1, ends="[)")
        _checks.keep(self, _checks.truth, "nesterov", "decay_all", "augment", "drop_last")
        _checks.keep(self, _checks.choice, "precision", allowed=("fp32", "bf16"))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0; set nesterov=False or momentum=0.9")
        if not self.drop_every and self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate={self.final_learning_rate} exceeds "
                f"learning_rate={self.learning_rate}; the rate only falls"
            )
        if self.parts > self.batch_size:
            raise ValueError(
                f"parts={self.parts} would split a batch of {self.batch_size} into empty ones; "
                "lower parts"
            )

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of step `step` = 0 ... `steps` - 1 of the whole training."""
        step, steps = _checks.integer("step", step), _checks.integer("steps", steps, 1)
        if self.drop_every:
            return self.learning_rate * 0.1 ** (step * self.epochs // steps // self.drop_every)
        low, high = self.final_learning_rate, self.learning_rate
        return low + (high - low) * 0.5 * (1 + math.cos(math.pi * step / steps))

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of batches in `images` training images."""
        images = _checks.integer("images", images, 0)
        whole, rest = divmod(images, self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def optimiser(self, model: nn.Module) -> torch.optim.SGD:
        """Return the optimiser of a model's parameters, with the groups that decay and do not."""
        decayed: list[nn.Parameter] = []
        free: list[nn.Parameter] = []
        for parameter in model.parameters():
            if parameter.requires_grad:
                (decayed if self.decay_all or parameter.ndim > 1 else free).append(parameter)
        groups = [
            {"params": parameters, "weight_decay": decay}
            for parameters, decay in ((decayed, self.weight_decay), (free, 0.0))
            if parameters
        ]
        if not groups:
            raise ValueError("the model has no parameters that can be trained")
        # One kernel for all parameters where there is one: fewer passes over the weights.
        fused = all(p.device.type in ("cpu", "cuda") for g in groups for p in g["params"])  # type: ignore[attr-defined]
        return torch.optim.SGD(
            groups,
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            fused=fused,
        )


@dataclass(frozen=True)
class Budget:
    """How much to compute.

    Attributes:
        name: As in tables.
        model: Name for `build_model`.
        epochs: Passes over the images used.
        subset: Number of training images used, the first ones; None for all.
        batch_size: Images per step.

    >>> BUDGETS["paper"].recipe().epochs
    200
    """

    name: str
    model: str
    epochs: int
    subset: int | None
    batch_size: int

    def __post_init__(self) -> None:
        sizes = ("epochs", "batch_size") + (() if self.subset is None else ("subset",))
        _checks.keep(self, _checks.integer, *sizes, least=1)

    def recipe(self, **changes: Any) -> Recipe:
        """Return the paper's recipe at this budget, with `changes`."""
        return replace(Recipe(epochs=self.epochs, batch_size=self.batch_size), **changes)

    def cut(self, data: ImageData) -> ImageData:
        """Return the training images that this budget uses."""
        if self.subset is None or self.subset >= len(data):
            return data
        return data.first(self.subset)


BUDGETS: dict[str, Budget] = {
    b.name: b
    for b in (
        Budget("smoke", "preact_resnet_small", epochs=3, subset=1000, batch_size=64),
        Budget("laptop", "preact_resnet_small", epochs=20, subset=5000, batch_size=32),
        Budget("long", "preact_resnet_small", epochs=60, subset=5000, batch_size=32),
        Budget("paper", "preact_resnet18", epochs=200, subset=None, batch_size=128),
    )
}
"""Named budgets: a quick check, all schemes in a night on two cores, three times that, the paper's.

"long" shows whether "laptop" stops too early for a scheme.
"""
