"""The same grid on several machines, through Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from nmlib._files import user_path, write_json
from nmlib.lab.cifar.cell import Cell, finished
from nmlib.lab.cifar.grid import run_alone
from nmlib.lab.cifar.progress import begin, end, follow

__all__ = ["run_on_cluster"]

_ATTEMPTS = 3


def _timed(run: Callable[..., Any], *arguments: Any) -> tuple[dict[str, Any], float]:
    """Return a result and the seconds it took, without those in the queue."""
    start = time.perf_counter()
    return run(*arguments), time.perf_counter() - start


def _slots(resources: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Return how many cells a cluster runs at once.

    >>> _slots({"CPU": 16.0, "GPU": 2.0}, 1, 0.25), _slots({"CPU": 16.0}, 4, 0)
    (8, 4)
    """
    count = resources.get("CPU", 1) // cpus
    return max(1, int(min(count, resources.get("GPU", 0) / gpus) if gpus else count))


def run_on_cluster(
    cells: Sequence[Cell],
    out: str | Path,
    *,
    address: str | None = None,
    cpus: int = 1,
    gpus: float = 0,
    stream: TextIO | None = None,
    run: Callable[..., Any] = run_alone,
) -> list[dict[str, Any]]:
    """Run all cells that are not finished on the workers of a Ray cluster.

    Results come back to this machine and are written to `out` at once, so a worker that dies takes
    no finished cell with it; the cell it was at is run again elsewhere. If `out` is a folder that
    all machines share, that one goes on at its last checkpoint.

    Args:
        cells: What to run, see `cells`.
        out: Folder for all results.
        address: Of the cluster, as for `ray.init`; default the one that runs, else a local one.
        cpus: Cores a cell takes.
        gpus: GPUs a cell takes; a fraction shares one. With 0 cells stay on the CPU.
        stream: Where to show progress.
        run: What a worker does; for tests.

    Returns:
        The results, in the order of `cells`.

    Raises:
        ImportError: If Ray is not installed; the message says how to get it.
        CellFailed: After all others have ended, if a cell failed; names it and the reason.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError("a cluster needs Ray: pip install ray") from error

    # Ray shows a worker the GPUs that it was given; with none, it may show them all.
    device = None if gpus else "cpu"
    progress, left = begin(cells, out, stream)
    own = not ray.is_initialized()
    if own:
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    try:
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=_ATTEMPTS - 1)(_timed)
        progress.workers = _slots(ray.cluster_resources(), cpus, gpus)
        folder = str(user_path(out).absolute())
        futures = {remote.remote(run, cell, folder, device, cpus).future(): cell for cell in left}

        def keep(cell: Cell, found: tuple[dict[str, Any], float]) -> float:
            if finished(cell, out) is None:
                write_json(cell.folder(out) / "result.json", found[0])
            return found[1]

        failed = follow(futures, out, progress, keep)
    finally:
        if own:
            ray.shutdown()
    return end(cells, out, failed)
