"""Progress of a grid: begin it, follow its cells, collect their results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from nmlib._files import write_text
from nmlib.lab.cifar.cell import Cell, finished, refuse_other_images

__all__ = ["CellFailed", "Failure", "Progress", "begin", "end", "follow", "result_words"]


class CellFailed(RuntimeError):
    """Some cells failed; the others are finished and kept."""


class Failure(Exception):
    """Why a cell failed: the reason in a line, and the whole story."""


@dataclass
class Progress:
    """A table of finished, running and remaining cells; on a terminal it is redrawn in place.

    >>> from nmlib.lab.cifar.experiments import cells
    >>> print(Progress(cells("table4", seeds=2, schemes=["baseline", "noise"])).table())
    scheme    0  1
    baseline  .  .
    noise     .  .
    """

    cells: Sequence[Cell]
    stream: TextIO | None = None
    states: dict[Cell, str] = field(default_factory=dict)
    workers: int = 1
    _lines: int = 0
    _spent: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, cell: Cell, state: str, seconds: float | None = None) -> None:
        """Note a state ("running", "failed" or the result in words) and show it."""
        with self._lock:
            self.states[cell] = state
            if seconds is not None:
                self._spent.append(seconds)
            self.show(f"{cell.name}: {state}")

    def left(self) -> list[Cell]:
        """Return the cells without a result."""
        return [c for c in self.cells if self.states.get(c, ".") in (".", "running")]

    def table(self) -> str:
        """Return the table: schemes down, seeds across, '.' for what is left."""
        seeds = sorted({c.seed for c in self.cells})
        rows = list(dict.fromkeys((c.dataset, c.model, c.scheme.name) for c in self.cells))
        several = len({row[:2] for row in rows}) > 1
        place = {(c.dataset, c.model, c.scheme.name, c.seed): c for c in self.cells}
        text = [["scheme", *map(str, seeds)]]
        for row in rows:
            found = (place.get((*row, seed)) for seed in seeds)
            marks = ["" if c is None else self.states.get(c, ".") for c in found]
            text.append([" ".join(row) if several else row[2], *marks])
        widths = [max(map(len, column)) for column in zip(*text, strict=True)]
        return "\n".join(
            "  ".join(word.ljust(w) for word, w in zip(line, widths, strict=True)).rstrip()
            for line in text
        )

    def show(self, event: str = "") -> None:
        """Redraw the table on a terminal; print the event elsewhere."""
        if self.stream is None:
            return
        left = len(self.left())
        summary = f"{len(self.cells) - left} of {len(self.cells)} cells"
        if self._spent and left:
            rest = left * sum(self._spent) / len(self._spent) / self.workers
            summary += f", about {_words(rest)} left"
        if self.stream.isatty():
            text = f"{self.table()}\n{summary}"
            if self._lines:
                self.stream.write(f"\x1b[{self._lines}A\x1b[J")
            self.stream.write(text + "\n")
            self._lines = text.count("\n") + 1
        elif event:
            self.stream.write(f"[{summary}] {event}\n")
        self.stream.flush()


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def result_words(result: Mapping[str, Any]) -> str:
    """Return clean/robust accuracy in percent."""
    return f"{100 * result['clean_accuracy']:.1f}/{100 * result['robust_accuracy']:.1f}"


def begin(
    cells: Sequence[Cell], out: str | Path, stream: TextIO | None
) -> tuple[Progress, list[Cell]]:
    """Return the table of progress and the cells that are not finished.

    Raises:
        ValueError: If finished results are of other images.
    """
    progress, left, there = Progress(cells, stream), [], {}
    for cell in cells:
        done = finished(cell, out)
        if done is None:
            left.append(cell)
        else:
            there[cell] = done
            progress.states[cell] = result_words(done)
    refuse_other_images(there, out)
    progress.show(f"{len(left)} cells to run")
    return progress, left


def follow(
    futures: Mapping[Future[Any], Cell],
    out: str | Path,
    progress: Progress,
    keep: Callable[[Cell, Any], float] = lambda cell, seconds: seconds,
) -> dict[Cell, str]:
    """Wait for all cells; return the reasons of those that failed.

    Args:
        futures: Of each cell.
        out: Folder for all results; a cell that fails leaves its story there, in error.txt.
        progress: Shows each cell that ends.
        keep: Stores what a future returned; returns the seconds it took.
    """
    failed: dict[Cell, str] = {}
    for future in as_completed(futures):
        cell, error = futures[future], future.exception()
        story = cell.folder(out) / "error.txt"
        if error is None:
            seconds = keep(cell, future.result())
            result = finished(cell, out)
            assert result is not None, cell
            progress.update(cell, result_words(result), seconds)
            story.unlink(missing_ok=True)  # of an earlier call
            continue
        lines = str(error).strip().splitlines() or [type(error).__name__]
        failed[cell], text = error.args if isinstance(error, Failure) else (lines[-1], str(error))
        progress.update(cell, "failed")
        story.parent.mkdir(parents=True, exist_ok=True)
        write_text(story, text)
    return failed


def end(cells: Sequence[Cell], out: str | Path, failed: Mapping[Cell, str]) -> list[dict[str, Any]]:
    """Return the results in the order of the cells.

    Raises:
        CellFailed: If a cell failed; names it and the reason.
    """
    if failed:
        lines = "\n".join(f"  {cell.name}: {reason}" for cell, reason in failed.items())
        raise CellFailed(f"{len(failed)} of {len(cells)} cells failed:\n{lines}")
    return [result for cell in cells if (result := finished(cell, out)) is not None]
