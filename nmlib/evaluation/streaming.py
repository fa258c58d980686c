"""Generate images in chunks, predict them, and forget them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

__all__ = ["chunk_images", "generated", "predicted"]


def chunk_images(row: int, batch_size: int, limit: int) -> int:
    """Return the chunk size for images of `row` bytes: whole batches, within `limit` bytes."""
    return max(1, limit // (row * batch_size)) * batch_size


def generated(images: Tensor, chunk: int, make: Callable[..., Tensor]) -> Iterator[Tensor]:
    """Yield `make(part, first_index=)` of `chunk` images at a time."""
    for first in range(0, len(images), chunk):
        yield make(images[first : first + chunk], first_index=first)


def predicted(
    run: Callable[[Tensor], Tensor],
    parts: Iterable[Tensor],
    total: int,
    tell: Callable[[int, int], None],
) -> Tensor:
    """Return `run` of all parts, concatenated; calls `tell(images done, total)` after each."""
    found, done = [], 0
    for part in parts:
        found.append(run(part))
        done += len(part)
        tell(done, total)
    return torch.cat(found)
