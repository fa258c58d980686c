"""Run independent pieces of work on a pool of threads.

PyTorch uses a single thread inside each of them. This avoids starting and joining threads for
every small operation, and is not slowed down on a shared machine.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["cpu_count", "run_all", "single_threads", "thread_count"]

T = TypeVar("T")


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def thread_count() -> int:
    """Return PyTorch's number of threads, at most the CPUs that this process may use."""
    return max(1, min(torch.get_num_threads(), cpu_count()))


def single_threads(size: int) -> ThreadPoolExecutor:
    """Return a pool of `size` threads in which PyTorch uses a single thread."""
    setting = torch.get_num_threads()
    ready = threading.Barrier(size + 1)

    def start() -> None:
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(size, "nmlib", initializer=start)
    for _ in range(size):
        pool.submit(int)
    ready.wait()
    # `start` also changed the number that later threads inherit.
    torch.set_num_threads(setting)
    return pool


@functools.lru_cache(maxsize=1)
def _pool(size: int, process: int) -> ThreadPoolExecutor:
    return single_threads(size)


def run_all(work: Callable[[T], object], pieces: Iterable[T]) -> None:
    """Run `work` on every piece; after all have ended, raise the first exception.

    >>> seen = []
    >>> run_all(seen.append, [1, 2, 3])
    >>> sorted(seen)
    [1, 2, 3]
    """
    pieces = list(pieces)
    size = thread_count()
    if size == 1 or len(pieces) == 1:
        for piece in pieces:
            work(piece)
        return
    # A forked child has none of its parent's threads, hence one pool per process.
    futures = [_pool(size, os.getpid()).submit(work, piece) for piece in pieces]
    error: BaseException | None = None
    try:
        for future in futures:
            error = error or future.exception()
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
        raise
    if error is not None:
        raise error
