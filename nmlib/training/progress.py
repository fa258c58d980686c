"""Progress: a bar with tqdm, without it one line per epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Progress", "open_progress", "print_message"]


class Progress(Protocol):
    """Interface of a progress display."""

    def advance(self, steps: int, epoch: int, row: dict[str, Any] | None) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


def figures(row: dict[str, Any]) -> str:
    """Return loss, accuracy and speed of a row as a short text.

    >>> figures({"loss": 2.3026, "accuracy": 0.1, "images_per_second": 312.4})
    'loss 2.303, accuracy 10.0 %, 312 images/s'
    """
    return (
        f"loss {row['loss']:.3f}, accuracy {100 * row['accuracy']:.1f} %, "
        f"{row['images_per_second']:.0f} images/s"
    )


class _Quiet:
    def __init__(self, log: Callable[[str], None] | None) -> None:
        self.log = log

    def advance(self, steps: int, epoch: int, row: dict[str, Any] | None) -> None:
        pass

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log(text)

    def close(self) -> None:
        pass


class _Lines(_Quiet):
    """One line per epoch on standard error, with the time left."""

    def __init__(self, done: int, steps: int, epochs: int, log: Callable[[str], None]) -> None:
        super().__init__(log)
        self.done, self.first, self.steps, self.epochs = done, done, steps, epochs
        self.start = time.perf_counter()
        self.epoch = 0

    def advance(self, steps: int, epoch: int, row: dict[str, Any] | None) -> None:
        self.done += steps
        if row is None or row["kind"] != "epoch":
            return
        spent = time.perf_counter() - self.start
        left = spent / max(self.done - self.first, 1) * (self.steps - self.done)
        self.say(f"epoch {epoch + 1}/{self.epochs}: {figures(row)}, {left:.0f} s left")


class _Bar(_Quiet):
    """A tqdm bar over all steps, with loss, accuracy, images per second and the time left."""

    def __init__(self, bar: Any, epochs: int, log: Callable[[str], None] | None) -> None:
        super().__init__(log)
        self.bar, self.epochs = bar, epochs

    def advance(self, steps: int, epoch: int, row: dict[str, Any] | None) -> None:
        self.bar.set_description_str(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        if row is not None:
            self.bar.set_postfix_str(figures(row), refresh=False)
        self.bar.update(steps)

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log(text)
        else:
            self.bar.write(text, file=sys.stderr)

    def close(self) -> None:
        self.bar.close()


def print_message(text: str) -> None:
    """Print a line on the standard error output."""
    print(text, file=sys.stderr, flush=True)


def open_progress(
    shown: bool, done: int, steps: int, epochs: int, log: Callable[[str], None] | None
) -> Progress:
    """Return a bar, lines without tqdm, or silence.

    Args:
        shown: Whether to show anything.
        done: Steps done before.
        steps: Steps of the whole training.
        epochs: Of the whole training.
        log: Where messages go; by default the standard error output.
    """
    if not shown:
        return _Quiet(log or print_message)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines(done, steps, epochs, log or print_message)
    bar = tqdm(total=steps, initial=done, unit="step", dynamic_ncols=True)
    return _Bar(bar, epochs, log)
