"""How a training is carried out on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmlib import _checks

__all__ = ["Execution"]


@dataclass(frozen=True)
class Execution:
    """How to carry out a training; another choice changes its result by rounding at most.

    Args:
        compile: Compile the network's stages with torch.compile.
        channels_last: Keep weights in the memory order that convolutions like. Noise is drawn in
            the order of memory, so this does change its draws, as another seed would.
        deterministic: Use reproducible kernels on a GPU (slower).
        log_every: Steps between two rows of metrics and looks for NaN.
        checkpoint_seconds: Least time between two checkpoints; 0 saves at every row.
        tensorboard: Also write the rows for TensorBoard, in `out`/tensorboard.
        accelerator: A ready `accelerate.Accelerator`; `fit` makes one when there are several
            processes.

    Raises:
        ValueError: For a value out of range.

    >>> Execution(compile=True).log_every
    10
    """

    compile: bool = False
    channels_last: bool = True
    deterministic: bool = False
    log_every: int = 10
    checkpoint_seconds: float = 60.0
    tensorboard: bool = False
    accelerator: Any = None

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.truth, "compile", "channels_last", "deterministic")
        _checks.keep(self, _checks.truth, "tensorboard")
        _checks.keep(self, _checks.integer, "log_every", least=1)
        _checks.keep(self, _checks.non_negative, "checkpoint_seconds")
