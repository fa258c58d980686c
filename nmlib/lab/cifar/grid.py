"""Many cells at once on the cores or GPUs of this machine."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import torch

from nmlib._files import user_path
from nmlib._threads import cpu_count, thread_count
from nmlib.lab.cifar.cell import Cell, read_result, run_cell
from nmlib.lab.cifar.progress import Failure, Progress, begin, end, follow
from nmlib.rng import named_device, usable_device

__all__ = ["collect", "run_alone", "run_grid"]

_ATTEMPTS = 2
_POSIX = os.name == "posix"


def run_alone(cell: Cell, out: str, device: str | None, threads: int) -> dict[str, Any]:
    """Run a cell in a process that does nothing else."""
    torch.set_num_threads(threads)
    return run_cell(cell, out, device=device)


def _prepare() -> None:
    """Let a process end, with its work saved, when the one that waits for it is gone."""
    if _POSIX:
        # Ctrl-C on a terminal reaches the parent alone, which passes it on: a second one would be
        # taken for "at once", without saving.
        os.setpgrp()
    # What a shell starts in the background ignores SIGINT, and so do its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        _parent().join()
        if _POSIX:
            os.kill(os.getpid(), signal.SIGINT)  # fit saves and ends
        else:
            _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()


def _parent() -> Any:
    return multiprocessing.parent_process()


def _work(run: Callable[..., Any], *arguments: Any) -> None:
    """Run a cell in a process of its own."""
    try:
        run(*arguments)
    except Exception as error:
        # As texts: not every exception can be sent to another process.
        reason = f"{type(error).__name__}: {error}"[:4000]
        raise Failure(reason, traceback.format_exc()[-20_000:]) from None
    finally:
        if not _parent().is_alive():
            os._exit(130)  # nobody is left to report to


class _Crew:
    """Runs each cell in a new process; the thread that calls `work` waits for it."""

    def __init__(
        self, places: list[tuple[str | None, int]], progress: Progress, *request: Any
    ) -> None:
        self.free, self.progress, self.request = places, progress, request
        self.busy: set[int] = set()
        self.stopped = False

    def work(self, cell: Cell) -> float:
        """Run a cell, once more if its process was killed; return the seconds it took."""
        place, start = self.free.pop(), time.perf_counter()
        self.progress.update(cell, "running")
        try:
            for _ in range(_ATTEMPTS):
                with suppress(BrokenProcessPool, KeyboardInterrupt):
                    self._alone(cell, *place)
                    return time.perf_counter() - start
                if self.stopped:
                    break
            raise Failure("its process was killed", "")
        finally:
            self.free.append(place)

    def _alone(self, cell: Cell, device: str | None, threads: int) -> None:
        run, out = self.request
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, _prepare) as process:
            number = process.submit(os.getpid).result()
            self.busy.add(number)
            try:
                # First noted, then looked: `stop` either finds the process or is seen here.
                if not self.stopped:
                    process.submit(_work, run, cell, out, device, threads).result()
            finally:
                self.busy.discard(number)

    def stop(self) -> None:
        """Let every process save its work and end; start no other."""
        self.stopped = True
        if _POSIX:  # on Windows the console has told them
            for number in list(self.busy):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGINT)  # fit saves and ends


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
    run: Callable[..., Any] = run_alone,
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
    places = _places(workers, device)
    progress.workers = len(places)
    crew = _Crew(places[::-1], progress, run, str(out))
    with ThreadPoolExecutor(len(places)) as pool:
        futures = {pool.submit(crew.work, cell): cell for cell in left}
        try:
            failed = follow(futures, out, progress)
        except BaseException:  # Ctrl-C, or a terminal that is gone: no process is left behind
            crew.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return end(cells, out, failed)


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
