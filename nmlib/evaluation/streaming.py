"""Generate images in chunks, predict them, and forget them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

__all__ = ["chunk_images", "generated", "joined", "predicted"]


def chunk_images(row: int, batch_size: int, limit: int) -> int:
    """Return the chunk size for images of `row` bytes: whole batches, within `limit` bytes."""
    return max(1, limit // (row * batch_size)) * batch_size


def generated(
    parts: Iterable[tuple[Tensor, Tensor]], make: Callable[..., Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `make(images, first_index=)` and the labels of each part."""
    first = 0
    for images, labels in parts:
        yield make(images, first_index=first), labels
        first += len(images)


def joined(parts: Iterable[tuple[Tensor, Tensor]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `size` parts together, which then have one shape."""
    parts = iter(parts)
    while several := list(itertools.islice(parts, size)):
        images, labels = zip(*several, strict=True)
        yield torch.cat(images), torch.cat(labels)


def predicted(
    run: Callable[[Tensor], Tensor],
    parts: Iterable[tuple[Tensor, Tensor]],
    total: int,
    tell: Callable[[int, int], None],
) -> Tensor:
    """Return `run` of the images of all parts; calls `tell(images done, total)` after each."""
    found, done = [], 0
    for part, _ in parts:
        found.append(run(part))
        done += len(part)
        tell(done, total)
    return torch.cat(found)
