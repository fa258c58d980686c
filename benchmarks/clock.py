"""Wall and CPU seconds of a call, for all benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def timed(work: Callable[[], object], device: torch.device | str = "cpu") -> tuple[float, float]:
    """Return wall and CPU seconds of a call, with everything that it starts on the device."""
    on_cpu = torch.device(device).type == "cpu"
    if not on_cpu:
        torch.accelerator.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if not on_cpu:
        torch.accelerator.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu
