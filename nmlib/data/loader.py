"""Training batches: the whole data set stays on the device, and every draw is keyed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.data.images import ImageData, row_numbers
from nmlib.rng import Rng

__all__ = ["BatchDraw", "Batches", "flip_and_crop"]


def flip_and_crop(images: Tensor, flip: Tensor, offset: Tensor, padding: int = 4) -> Tensor:
    """Mirror some images, then crop each from its zero-padded copy.

    Args:
        images: (B, H, W, C), any type.
        flip: (B,) bool; True mirrors left and right.
        offset: (B, 2) integers in [0, 2 * padding]: row and column of the padded image where the
            crop begins; `padding` leaves the image where it is.
        padding: Black pixels added on each side.

    Returns:
        (B, H, W, C), a new tensor.

    >>> row = torch.tensor([1, 2, 3]).view(1, 1, 3, 1)
    >>> flip_and_crop(row, torch.tensor([True]), torch.tensor([[1, 2]]), padding=1).flatten()
    tensor([2, 1, 0])
    """
    _, height, width, _ = images.shape
    flipped = torch.where(flip.view(-1, 1, 1, 1), images.flip(2), images)
    if not padding:
        return flipped
    padded = F.pad(flipped, (0, 0, padding, padding, padding, padding))
    # A view of all crops, (B, 2p + 1, 2p + 1, C, H, W); indexing copies one for each image.
    crops = padded.unfold(1, height, 1).unfold(2, width, 1)
    each = torch.arange(len(images), device=images.device)
    return crops[each, offset[:, 0], offset[:, 1]].permute(0, 2, 3, 1)


@dataclass(frozen=True)
class BatchDraw:
    """The samples of a batch and the augmentation of each.

    Attributes:
        index: (B,) int64 rows of the data.
        flip: (B,) bool, or None without augmentation.
        offset: (B, 2) int64, or None.
    """

    index: NDArray[np.int64]
    flip: NDArray[np.bool_] | None = None
    offset: NDArray[np.int64] | None = None


class Batches:
    """Shuffled, augmented batches of an image set.

    A batch depends only on the seed, the epoch and the step, so a resumed run needs no stored
    state. NumPy makes all draws, so every device sees the same batches. Images stay uint8 and
    become floats one batch at a time.

    Args:
        data: Images (N, H, W, 3) uint8 and labels.
        batch_size: Samples per step, summed over all processes.
        rng: The run's stream, e.g. `Rng(seed)`; `Batches` folds in epoch and step.
        augment: Mirror each sample with probability 1/2 and crop it from its padded copy.
        drop_last: Leave out the last batch of an epoch if it is smaller than the others.
        device: Device of data and batches; None leaves the data where they are.
        shuffle: Draw a new order for each epoch.
        padding: Black pixels on each side before the crop.
        subset: Rows of the data to use, in this order; None uses all.
        rank: Number of this process, which gets its share of each batch.
        world_size: Number of processes. Their shares, concatenated by rank, are the batch of a
            single process, augmentation included.

    Raises:
        ValueError: If an argument is out of range, or no batch would be left.

    Source: released code (flip, then a random crop with padding 4).

    >>> from nmlib.data.images import load
    >>> batches = Batches(load("fashion-mini"), 128, rng=Rng(0))
    >>> len(batches)
    46
    >>> x, y = batches.at(epoch=3, step=7)
    >>> x.shape, y.shape
    (torch.Size([128, 3, 32, 32]), torch.Size([128]))
    """

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        *,
        rng: Rng,
        augment: bool = True,
        drop_last: bool = True,
        device: torch.device | str | None = None,
        shuffle: bool = True,
        padding: int = 4,
        subset: Sequence[int] | NDArray[np.int64] | Tensor | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        rows = row_numbers(range(len(data)) if subset is None else subset, len(data))
        batch_size = _checks.integer("batch_size", batch_size, 1)
        padding = _checks.integer("padding", padding, 0)
        world_size = _checks.integer("world_size", world_size, 1)
        rank = _checks.integer("rank", rank, 0, world_size - 1)
        if batch_size % world_size:
            raise ValueError(
                f"batch_size={batch_size} cannot be shared equally by {world_size} processes; use "
                f"a multiple of {world_size}"
            )
        left = len(rows) % batch_size
        if drop_last and len(rows) < batch_size:
            raise ValueError(
                f"batch_size={batch_size} exceeds the {len(rows)} images of {data.label}, and "
                "drop_last=True leaves out the small batch; lower batch_size or pass "
                "drop_last=False"
            )
        if not drop_last and 0 < left < world_size:
            raise ValueError(
                f"the last batch holds {left} of {len(rows)} images, too few for {world_size} "
                "processes; use drop_last=True or another batch_size"
            )
        self.data = data if device is None else data.to(device)
        self.batch_size = batch_size
        self.augment = augment
        self.drop_last = drop_last
        self.padding = padding
        self.shuffle = shuffle
        self.rank, self.world_size = rank, world_size
        self._rng = rng.fold("batches")
        self._rows = rows
        self._order: tuple[int, NDArray[np.int64]] = (-1, self._rows)

    def __len__(self) -> int:
        whole, left = divmod(len(self._rows), self.batch_size)
        return whole + (left > 0 and not self.drop_last)

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return self._rows
        known, order = self._order
        if known != epoch:
            order = self._rng.fold("order", epoch).numpy().permutation(self._rows)
            self._order = (epoch, order)
        return order

    def draw(self, epoch: int, step: int) -> BatchDraw:
        """Draw this process's share of one batch.

        Args:
            epoch: >= 0.
            step: 0 to len(self) - 1.
        """
        epoch = _checks.integer("epoch", epoch, 0)
        step = _checks.integer("step", step, 0, len(self) - 1)
        at = step * self.batch_size
        index = self._epoch_order(epoch)[at : at + self.batch_size]
        # Draw for the whole batch, then share out: the batch does not depend on `world_size`.
        bounds = [len(index) * r // self.world_size for r in (self.rank, self.rank + 1)]
        mine = slice(*bounds)
        if not self.augment:
            return BatchDraw(index[mine])
        stream = self._rng.fold(epoch, step)
        flip = stream.fold("flip").numpy().random(len(index)) < 0.5
        offset = stream.fold("crop").numpy().integers(0, 2 * self.padding + 1, (len(index), 2))
        return BatchDraw(index[mine], flip[mine], offset[mine])

    def apply(self, draw: BatchDraw) -> tuple[Tensor, Tensor]:
        """Return the batch that a draw describes: x (B, 3, H, W) in [0, 1] and y (B,)."""
        device = self.data.images.device
        columns = [draw.index]
        if draw.flip is not None and draw.offset is not None:
            columns += [draw.flip.astype(np.int64), draw.offset[:, 0], draw.offset[:, 1]]
        # One transfer for the whole draw.
        table = to_device(np.stack(columns), device)
        x = self.data.images[table[0]]
        if len(columns) > 1:
            x = flip_and_crop(x, table[1].bool(), table[2:].T, self.padding)
        return x.permute(0, 3, 1, 2).contiguous().float() / 255, self.data.labels[table[0]]

    def at(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return one batch, independently of all earlier ones."""
        return self.apply(self.draw(epoch, step))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch, from step `start` on."""
        for step in range(start, len(self)):
            yield self.at(epoch, step)
