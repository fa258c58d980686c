"""How a training can end early."""

from __future__ import annotations

from pathlib import Path

__all__ = ["OutOfMemory", "TrainingDiverged", "TrainingInterrupted"]


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite.

    Attributes:
        step: The first step with such a loss.
        scheme: Name of the scheme.
        checkpoint: The last good checkpoint, or None.
    """

    def __init__(self, message: str, step: int, scheme: str, checkpoint: Path | None) -> None:
        super().__init__(message)
        self.step, self.scheme, self.checkpoint = step, scheme, checkpoint


class OutOfMemory(RuntimeError):
    """The device has too little memory for a step, or for the model and the images."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or a request to terminate; what was done is saved if the run has a folder."""
