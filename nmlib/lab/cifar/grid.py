"""Many cells at once on the cores or GPUs of this machine."""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TextIO, cast

import torch

from nmlib._files import user_path, write_text
from nmlib._threads import cpu_count, thread_count
from nmlib.lab.cifar.cell import Cell, finished, read_result, run_cell
from nmlib.lab.cifar.progress import begin, end, result_words
from nmlib.rng import named_device, usable_device

__all__ = ["collect", "run_grid"]

_ATTEMPTS = 2
_POSIX = os.name == "posix"


def _work(cell: Cell, out: str, device: str | None, threads: int, report: Any) -> None:
    """Run one cell in a process of its own."""
    torch.set_num_threads(threads)
    try:
        run_cell(cell, out, device=device)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BaseException as error:
        # Short enough for a pipe's buffer: it is read when this process has ended.
        report.send((f"{type(error).__name__}: {error}"[:4000], traceback.format_exc()[-20_000:]))
        raise SystemExit(1) from None


def _child(run: Callable[..., Any], *arguments: Any) -> None:
    """Run a cell, until this process is done or the one that waits for it is gone."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            if _POSIX:
                os.kill(os.getpid(), signal.SIGINT)  # fit saves and ends
            else:
                _thread.interrupt_main()

    if _POSIX:
        # Ctrl-C on a terminal reaches the parent alone, which passes it on: a second one would be
        # taken for "at once", without saving.
        os.setpgrp()
    # What a shell starts in the background ignores SIGINT, and so do its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, daemon=True).start()
    run(*arguments)


def _places(workers: int | None, device: str | None) -> list[tuple[str | None, int]]:
    """Return for each worker its device and number of threads."""
    cpus = cpu_count()
    gpus = torch.cuda.device_count() if device is None else 0
    # One thread a process wastes nothing on waiting; a device that was named is not multiplied.
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    count = workers or gpus or (cpus if device in (None, "cpu") else 1)
    # Whoever runs something beside the grid lowers OMP_NUM_THREADS: threads that wait for each
    # other on cores that others use make a training ten times slower.
    threads = max(1, min(cpus // count, thread_count()))
    return [(f"cuda:{i % gpus}" if gpus else device, threads) for i in range(count)]


def _check_device(name: str) -> None:
    """Raise ValueError for a device that is not here; a GPU that is here is left to the workers."""
    device = named_device(name)
    if device.type != "cuda" or (device.index or 0) >= torch.cuda.device_count():
        usable_device(device)


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
        workers: Processes at once; default one a GPU, or one a core. They share the cores, and
            none uses more threads than `torch.get_num_threads` says here, so that
            `OMP_NUM_THREADS=1` leaves room for others.
        device: Where to compute; default every GPU there is, or the CPU.
        stream: Where to show progress.
        run: What a process does; for tests.

    Returns:
        The results, in the order of `cells`.

    Raises:
        CellFailed: After all others have ended, if a cell failed; names it and the reason.
        KeyboardInterrupt: After every process has saved its work.
    """
    progress, left = begin(cells, out, stream)
    if left and device is not None:  # finished results can be read on any machine
        _check_device(device)
    waiting = [(cell, 1) for cell in left]
    places = _places(workers, device)
    progress.workers = len(places)
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
                    target=_child, args=(run, cell, str(out), *places[place], sender)
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
                    (cell.folder(out) / "error.txt").unlink(missing_ok=True)  # of an earlier call
                elif message is None and attempt < _ATTEMPTS:
                    waiting.insert(0, (cell, attempt + 1))
                    progress.update(cell, ".")
                else:
                    reason = message or f"its process ended with status {process.exitcode}"
                    failed[cell] = reason
                    progress.update(cell, "failed")
                    if details:
                        _keep(cell.folder(out) / "error.txt", details)
    except BaseException:  # Ctrl-C, or a terminal that is gone: no process is left behind
        for process, *_ in busy.values():
            if _POSIX:  # on Windows the console has told them
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)  # fit saves and ends
        for process, *_ in busy.values():
            process.join()
        raise
    return end(cells, out, failed)


def _read(receiver: Any) -> tuple[str | None, str | None]:
    try:
        return receiver.recv() if receiver.poll() else (None, None)
    except EOFError:
        return None, None
    finally:
        receiver.close()


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def collect(out: str | Path) -> list[dict[str, Any]]:
    """Return all results below a folder, without the settings."""
    results = []
    for path in sorted(user_path(out).rglob("result.json")):
        try:
            record = read_result(path)
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        record.pop("settings", None)
        results.append(record)
    return results
