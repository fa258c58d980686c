"""Signals, kernels and TensorBoard: where a run touches its environment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

__all__ = ["Stop", "backend", "open_tensorboard"]


class Stop:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a request to stop between two steps.

    A second one interrupts at once. Signals reach the main thread only; elsewhere nothing changes.

    Args:
        wish: Called as well; True is a request.
    """

    def __init__(self, wish: Callable[[], bool] | None = None) -> None:
        self.requested: int | None = None
        self.wish = wish

    def asked(self) -> bool:
        """Return whether training should end."""
        return self.requested is not None or (self.wish is not None and self.wish())

    def __enter__(self) -> Stop:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            # nohup ignores it, and that is to stay so; Windows has none.
            hangup = getattr(signal, "SIGHUP", None)
            if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
                numbers.append(hangup)
            for number in numbers:
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def backend(deterministic: bool, device: torch.device) -> Iterator[None]:
    """Choose reproducible or fast kernels, and put the choice back after."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = (
        cudnn.benchmark,
        cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn.benchmark, cudnn.deterministic = not deterministic, deterministic
    if deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before[:2]
        torch.use_deterministic_algorithms(before[2], warn_only=before[3])


def open_tensorboard(folder: Path | None, step: int) -> Any:
    """Return a writer that goes on after `step`."""
    if folder is None:
        raise ValueError("tensorboard=True needs a folder; give fit out=")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("tensorboard=True needs TensorBoard: pip install tensorboard") from None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)
