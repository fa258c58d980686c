"""One process or several: the same few calls."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from nmlib.rng import default_device, named_device

__all__ = ["Workers", "workers"]


class Workers:
    """The processes that share a training: one, or those of Hugging Face Accelerate.

    Args:
        device: Where this process computes.
        accelerator: An `accelerate.Accelerator`, or None for a single process.

    Attributes:
        rank: Number of this process.
        count: Number of processes.
        main: Whether this process writes files and shows progress.
    """

    def __init__(self, device: torch.device | str, accelerator: Any = None) -> None:
        self.device, self.accelerator = named_device(device), accelerator
        self.rank = accelerator.process_index if accelerator else 0
        self.count = accelerator.num_processes if accelerator else 1
        self.main = accelerator.is_main_process if accelerator else True

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module whose gradients are averaged over the processes."""
        return self.accelerator.prepare_model(module) if self.accelerator else module

    def without_exchange(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Accumulate gradients in this process, to be averaged with the next ones."""
        return self.accelerator.no_sync(module) if self.accelerator else nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes."""
        return self.accelerator.reduce(value, reduction="sum") if self.accelerator else value

    def gather(self, value: Tensor) -> Tensor:
        """Return the value of each process, stacked in their order."""
        return self.accelerator.gather(value[None]) if self.accelerator else value[None]

    def wait(self) -> None:
        """Wait for all processes."""
        if self.accelerator:
            self.accelerator.wait_for_everyone()


def launched() -> int:
    """Return the number of processes that a launcher started, this one included."""
    try:
        return max(int(os.environ.get("WORLD_SIZE", "1")), 1)
    except ValueError:
        return 1


def workers(device: torch.device | str | None, accelerator: Any) -> Workers:
    """Return the processes that share this training: one, or those of a launcher.

    Args:
        device: As asked for; None for the accelerator, or the CPU.
        accelerator: An `accelerate.Accelerator`, or None.

    Raises:
        ImportError: If there are several processes and Accelerate is missing.
        ValueError: For an accelerator with settings that nmlib decides itself.
    """
    if accelerator is None:
        if launched() == 1:
            return Workers(device if device is not None else default_device())
        try:
            from accelerate import Accelerator
        except ImportError:
            raise ImportError(
                f"{launched()} processes need Hugging Face Accelerate: pip install accelerate"
            ) from None
        cpu = device is not None and named_device(device).type == "cpu"
        accelerator = Accelerator(mixed_precision="no", cpu=cpu)
    if accelerator.mixed_precision != "no":
        raise ValueError(
            f"the accelerator has mixed_precision={accelerator.mixed_precision!r}, which would "
            "also round the augmentation; make it with mixed_precision='no' and use "
            "Recipe(precision='bf16'), which covers the network alone"
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            "the accelerator has gradient_accumulation_steps="
            f"{accelerator.gradient_accumulation_steps}; use Recipe(parts=...) instead"
        )
    return Workers(accelerator.device, accelerator)


def check_parts(workers: Workers, parts: int, sizes: Sequence[int]) -> None:
    """Raise ValueError unless every process gets as many parts, none of them empty."""
    if parts % workers.count:
        raise ValueError(
            f"{workers.count} processes cannot share {parts} parts of a step evenly; use "
            f"Recipe(parts={workers.count * -(-parts // workers.count)})"
        )
    if min(sizes) < parts:
        raise ValueError(
            f"the last batch of an epoch has {min(sizes)} images, fewer than the {parts} parts of "
            "a step; use Recipe(drop_last=True) or another batch_size"
        )
