"""Many cells at once on the cores or GPUs of this machine."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TextIO, cast

import torch

from nmlib.reproduction.cell import Cell, finished, run_cell

__all__ = ["CellFailed", "Progress", "collect", "run_grid"]

_ATTEMPTS = 2


class CellFailed(RuntimeError):
    """Some cells failed; the others are finished and kept."""


@dataclass
class Progress:
    """A table of what is done, under way and left; on a terminal it is redrawn in place.

    >>> from nmlib.reproduction import cells
    >>> print(Progress(cells("table4", seeds=2, schemes=["baseline", "noise"])).table())
    scheme    0  1
    baseline  .  .
    noise     .  .
    """

    cells: Sequence[Cell]
    stream: TextIO | None = None
    states: dict[Cell, str] = field(default_factory=dict)
    _lines: int = 0
    _spent: list[float] = field(default_factory=list)

    def update(self, cell: Cell, state: str, seconds: float | None = None) -> None:
        """Note a state ("running", "failed" or the result in words) and show it."""
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

    def show(self, event: str = "", running: int = 1) -> None:
        """Redraw the table on a terminal; print the event elsewhere."""
        if self.stream is None:
            return
        left = len(self.left())
        summary = f"{len(self.cells) - left} of {len(self.cells)} cells"
        if self._spent and left:
            rest = left * sum(self._spent) / len(self._spent) / max(running, 1)
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


def _work(cell: Cell, out: str, device: str | None, threads: int, report: Any) -> None:
    """Run one cell in a process of its own."""
    torch.set_num_threads(threads)
    try:
        run_cell(cell, out, device=device)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BaseException as error:
        report.send((f"{type(error).__name__}: {error}", traceback.format_exc()))
        raise SystemExit(1) from None


def _places(workers: int | None, device: str | None) -> list[tuple[str | None, int]]:
    """Return for each worker its device and number of threads."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = torch.cuda.device_count() if device is None else 0
    if gpus:
        count = workers or gpus
        return [(f"cuda:{i % gpus}", max(1, cpus // count)) for i in range(count)]
    # One thread a process wastes nothing on waiting; a device that was named is not multiplied.
    count = workers or (cpus if device in (None, "cpu") else 1)
    return [(device, max(1, cpus // count)) for _ in range(count)]


def run_grid(
    cells: Sequence[Cell],
    out: str | Path,
    *,
    workers: int | None = None,
    device: str | None = None,
    stream: TextIO | None = None,
    run: Callable[..., Any] = _work,
) -> list[dict[str, Any]]:
    """Run all cells that are not finished, each in a process of its own.

    A finished cell is never computed again. A process that is killed is tried once more, and goes
    on at its last checkpoint; a cell that fails does not stop the others.

    Args:
        cells: What to run, see `cells`.
        out: Folder for all results; the same call goes on there.
        workers: Processes at once; default one a GPU, or one a core.
        device: Where to compute; default every GPU there is, or the CPU.
        stream: Where to show progress.
        run: What a process does; for tests.

    Returns:
        The results, in the order of `cells`.

    Raises:
        CellFailed: After all others have ended, if a cell failed; names it and the reason.
        KeyboardInterrupt: After every process has saved its work.
    """
    progress = Progress(cells, stream)
    waiting: list[tuple[Cell, int]] = []
    for cell in cells:
        done = finished(cell, out)
        if done is None:
            waiting.append((cell, 1))
        else:
            progress.states[cell] = result_words(done)
    progress.show(f"{len(waiting)} cells to run")
    places = _places(workers, device)
    free = list(range(len(places)))
    context = multiprocessing.get_context("spawn")
    busy: dict[int, tuple[Any, Any, Cell, int, int, float]] = {}
    failed: dict[Cell, str] = {}
    try:
        while waiting or busy:
            while waiting and free:
                cell, attempt = waiting.pop(0)
                place = free.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(
                    target=run, args=(cell, str(out), *places[place], sender), daemon=False
                )
                process.start()
                sender.close()
                busy[process.sentinel] = (
                    process, receiver, cell, attempt, place, time.perf_counter(),
                )  # fmt: skip
                progress.update(cell, "running")
            for sentinel in wait(list(busy)):
                process, receiver, cell, attempt, place, start = busy.pop(cast(int, sentinel))
                process.join()
                free.append(place)
                message, details = _read(receiver)
                result = finished(cell, out)
                if result is not None:
                    progress.update(cell, result_words(result), time.perf_counter() - start)
                elif message is None and attempt < _ATTEMPTS:
                    waiting.insert(0, (cell, attempt + 1))
                    progress.update(cell, ".")
                else:
                    reason = message or f"its process ended with status {process.exitcode}"
                    failed[cell] = reason
                    progress.update(cell, "failed")
                    if details:
                        _keep(cell.folder(out) / "error.txt", details)
    except KeyboardInterrupt:
        for process, *_ in busy.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, 2)  # fit saves and ends
        for process, *_ in busy.values():
            process.join()
        raise
    if failed:
        lines = "\n".join(f"  {cell.name}: {reason}" for cell, reason in failed.items())
        raise CellFailed(f"{len(failed)} of {len(cells)} cells failed:\n{lines}")
    return [result for cell in cells if (result := finished(cell, out)) is not None]


def _read(receiver: Any) -> tuple[str | None, str | None]:
    try:
        return receiver.recv() if receiver.poll() else (None, None)
    except EOFError:
        return None, None
    finally:
        receiver.close()


def _keep(path: Path, text: str) -> None:
    from nmlib.provenance import write_text

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def collect(out: str | Path) -> list[dict[str, Any]]:
    """Return all results below a folder, without the settings."""
    results = []
    for path in sorted(Path(out).rglob("result.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            print(f"{path} is damaged and left out", file=sys.stderr)
            continue
        record.pop("settings", None)
        results.append(record)
    return results
