"""The random decisions of AugMix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks

OPERATIONS: tuple[str, ...] = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""The nine operations of AugMix, none of which is a test corruption."""

NONE = -1
"""The number for 'no operation' in a plan."""


def operation_parameter(
    operation: str,
    level: float | NDArray[np.float64],
    sign: float | NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.float64]:
    r"""Return the parameter of an operation at a level l in (0, 10].

    posterize: $4 - \lfloor 4l/10 \rfloor$ bits; rotate: $\pm\lfloor 30l/10 \rfloor$ degrees;
    solarize: threshold $256 - \lfloor 256l/10 \rfloor$; shear: $\pm 0.3l/10$; translate:
    $\pm\lfloor (S/3)\,l/10 \rfloor$ pixels, where S is the length of the image along the shift.
    The others have no parameter (0).

    Args:
        operation: One of `OPERATIONS`.
        level: l, any shape.
        sign: 1 or -1, like `level`.
        height, width: Of the image, in pixels.

    Source: AugMix (arXiv 1912.02781), the released code, which the authors use.

    >>> [float(operation_parameter("rotate", l, -1, 32, 32)) for l in (0.3, 2.9)]
    [-0.0, -8.0]
    """
    _checks.choice("operation", operation, OPERATIONS)
    level = np.asarray(level, dtype=np.float64)
    if operation == "posterize":
        return 4 - np.floor(level * 4 / 10)
    if operation == "solarize":
        return 256 - np.floor(level * 256 / 10)
    if operation == "rotate":
        return sign * np.floor(level * 30 / 10)
    if operation.startswith("shear"):
        return sign * (level * 0.3 / 10)
    if operation.startswith("translate"):
        side = width if operation == "translate_x" else height
        return sign * np.floor(level * (side / 3) / 10)
    return np.zeros_like(level)


@dataclass(frozen=True)
class AugMixPlan:
    r"""All random decisions of AugMix for one batch, from `AugMix.draw` or made by hand.

    Arrays are kept, not copied.

    Attributes:
        operation: (A, B, width, depth) integers: the index in `OPERATIONS` of each step of each
            chain in each of A augmented views; -1 if the chain is shorter.
        level: Levels l, same shape.
        sign: 1 or -1, same shape.
        weights: (A, B, width), the weight $w$ of each chain; they sum to one.
        mix: (A, B), the weight $m$ in [0, 1] of the augmentations; 0 is the clean image.

    >>> plan = AugMixPlan.same(2, [("rotate", "solarize"), ("equalize",)], level=3, mix=0.5)
    >>> plan.operation.shape, plan.depth[0, 0].tolist()
    ((1, 2, 2, 2), [2, 1])
    """

    operation: NDArray[np.int64]
    level: NDArray[np.float64]
    sign: NDArray[np.float64]
    weights: NDArray[np.float64]
    mix: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("operation", "level", "sign", "weights", "mix"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if self.operation.dtype.kind not in "iu":
            raise TypeError(f"operation must hold integers, got {self.operation.dtype}")
        shape = self.operation.shape
        if len(shape) != 4:
            raise ValueError(f"operation must have axes (A, B, width, depth), got shape {shape}")
        for name, wanted in (
            ("level", shape),
            ("sign", shape),
            ("weights", shape[:3]),
            ("mix", shape[:2]),
        ):
            found = np.shape(getattr(self, name))
            if found != wanted:
                raise ValueError(f"{name} must have shape {wanted} to fit operation, got {found}")
        if self.operation.size and not (
            self.operation.min() >= NONE and self.operation.max() < len(OPERATIONS)
        ):
            raise ValueError(
                f"operation holds {self.operation.min()} ... {self.operation.max()}; use the "
                f"indices 0 ... {len(OPERATIONS) - 1} of OPERATIONS, or {NONE} for none"
            )

    @property
    def depth(self) -> NDArray[np.int64]:
        """(A, B, width) lengths of the chains."""
        return (self.operation != NONE).sum(-1)

    def view(self, copy: int) -> AugMixPlan:
        """Return the plan of one augmented view."""
        copy = _checks.integer("copy", copy, 0, len(self.mix) - 1)
        one = slice(copy, copy + 1)
        return AugMixPlan(
            self.operation[one], self.level[one], self.sign[one], self.weights[one], self.mix[one]
        )

    @classmethod
    def same(
        cls,
        batch: int,
        chains: Sequence[Sequence[str]],
        *,
        level: float = 3.0,
        sign: float = 1.0,
        weights: Sequence[float] | None = None,
        mix: float = 1.0,
        copies: int = 1,
    ) -> AugMixPlan:
        """Return a plan that treats every image alike.

        Args:
            batch: B.
            chains: Names of the operations, chain by chain; () leaves the image unchanged.
            level: l in (0, 10].
            sign: 1 or -1.
            weights: One for each chain; None for equal weights.
            mix: m in [0, 1].
            copies: A.
        """
        batch, copies = _checks.integer("batch", batch, 0), _checks.integer("copies", copies, 1)
        level, sign = _checks.number("level", level), _checks.number("sign", sign)
        mix = _checks.number("mix", mix, 0, 1)
        if isinstance(chains, str) or any(isinstance(chain, str) for chain in chains):
            raise TypeError(f"chains must be lists of operations, got {chains!r}; use [[...]]")
        for name in (name for chain in chains for name in chain):
            _checks.choice("operation", name, OPERATIONS)
        steps = max(1, *(len(chain) for chain in chains)) if chains else 1
        table = np.full((len(chains), steps), NONE)
        for row, chain in zip(table, chains, strict=True):
            row[: len(chain)] = [OPERATIONS.index(name) for name in chain]
        shape = (copies, batch, *table.shape)
        parts = np.ones(len(chains)) / max(1, len(chains)) if weights is None else weights
        return cls(
            np.broadcast_to(table, shape),
            np.full(shape, float(level)),
            np.full(shape, float(sign)),
            np.broadcast_to(np.asarray(parts, dtype=np.float64), shape[:3]),
            np.full(shape[:2], float(mix)),
        )

    def chains(
        self, copy: int, sample: int, *, height: int = 32, width: int = 32
    ) -> tuple[tuple[tuple[str, float], ...], ...]:
        """Return one sample's chains in one view as (operation, parameter) pairs."""

        def step(index: tuple[int, ...]) -> tuple[str, float]:
            name = OPERATIONS[self.operation[index]]
            found = operation_parameter(name, self.level[index], self.sign[index], height, width)
            return name, float(found)

        shape = self.operation.shape
        copy = _checks.integer("copy", copy, 0, shape[0] - 1)
        sample = _checks.integer("sample", sample, 0, shape[1] - 1)
        height, width = _checks.integer("height", height, 1), _checks.integer("width", width, 1)
        return tuple(
            tuple(
                step((copy, sample, i, t))
                for t in range(shape[3])
                if self.operation[copy, sample, i, t] != NONE
            )
            for i in range(shape[2])
        )
