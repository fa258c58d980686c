"""Training batches: every draw is keyed, whether the data are on the device, read or loaded."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.data.images import ImageData, row_numbers
from nmlib.data.reading import Keys, LazyImages, global_draws, innermost
from nmlib.data.samples import batch_of, excess, in_unit_range
from nmlib.rng import Rng

__all__ = ["BatchDraw", "Batches", "LoaderBatches", "flip_and_crop", "images_of"]


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


def _flips_and_offsets(
    stream: Rng, count: int, padding: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    flip = stream.fold("flip").numpy().random(count) < 0.5
    return flip, stream.fold("crop").numpy().integers(0, 2 * padding + 1, (count, 2))


def _augmented(images: Tensor, table: Tensor | None, padding: int) -> Tensor:
    """Return images (B, H, W, 3) as floats (B, 3, H, W), flipped and cropped by rows of numbers."""
    if table is not None:
        images = flip_and_crop(images, table[0].bool(), table[1:].T, padding)
    x = images.permute(0, 3, 1, 2).contiguous()
    return x.float() / 255 if x.dtype == torch.uint8 else x


def _check_labels(y: Tensor, num_classes: int | None, name: Callable[[int], str]) -> None:
    """Raise ValueError, naming the place, for a label that the model has no output for."""
    if y.device.type == "cpu" and len(y):
        low, high = (int(v) for v in y.aminmax())
        if low < 0 or (num_classes is not None and high >= num_classes):
            bad = low if low < 0 else high
            outputs = f"the model has {num_classes} outputs" if low >= 0 else "labels count from 0"
            place = int((y == bad).nonzero()[0, 0])
            raise ValueError(f"{name(place)} has label {bad}, but {outputs}")


class Batches:
    """Shuffled, augmented batches of an image set.

    A batch depends only on the seed, the epoch and the step, so a resumed run needs no stored
    state. NumPy makes all draws, so every device sees the same batches. Images stay uint8 and
    become floats one batch at a time.

    Args:
        data: Images (N, H, W, 3) uint8 and labels, or `LazyImages`: these are read one batch after
            the other, ahead of the training if they have workers; `close` ends those.
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
        data: ImageData | LazyImages,
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
        if isinstance(data, ImageData):
            data = data if device is None else data.to(device)
            device = data.images.device
        self.data, self.device = data, torch.device("cpu" if device is None else device)
        self.classes = data.classes
        self.num_classes: int | None = None  # more are refused where labels are read
        self.batch_size = batch_size
        self.augment = augment
        self.drop_last = drop_last
        self.padding = padding
        self.shuffle = shuffle
        self.rank, self.world_size = rank, world_size
        self._rng = rng.fold("batches")
        self._rows = rows
        # Workers read ahead, so around the end of an epoch two orders are in use.
        self._epoch_order = functools.lru_cache(maxsize=2)(self._new_order)
        self._reading: Iterator[tuple[Tensor, Tensor]] | None = None
        self._next = (-1, -1)

    def __len__(self) -> int:
        whole, left = divmod(len(self._rows), self.batch_size)
        return whole + (left > 0 and not self.drop_last)

    @property
    def images(self) -> int:
        """Number of images in an epoch, over all processes."""
        return len(self._rows)

    @property
    def about(self) -> dict[str, Any]:
        """Label, fingerprint and number of the data."""
        data = self.data
        return {"label": data.label, "fingerprint": data.fingerprint, "images": len(data)}

    @property
    def promise(self) -> str:
        """What a resumed run repeats; empty if that is all."""
        return self.data.promise if isinstance(self.data, LazyImages) else ""

    def first(self) -> tuple[Tensor, Tensor]:
        """Return an image (1, 3, H, W), neither flipped nor cropped, and the labels known so far.

        These are all of `ImageData`, and the first that a Dataset gives.
        """
        if isinstance(self.data, ImageData):
            images, labels = self.data.images[:1], self.data.labels
        else:
            image, label = self.data.sample(0)
            images, labels = image[None].to(self.device), torch.tensor([label])
        return _augmented(images, None, 0), labels

    def _new_order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return self._rows
        return self._rng.fold("order", epoch).numpy().permutation(self._rows)

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
        flip, offset = _flips_and_offsets(stream, len(index), self.padding)
        return BatchDraw(index[mine], flip[mine], offset[mine])

    def apply(self, draw: BatchDraw) -> tuple[Tensor, Tensor]:
        """Return the batch that a draw describes: x (B, 3, H, W) in [0, 1] and y (B,)."""
        return self._finished(draw, None)

    def _finished(
        self, draw: BatchDraw, read: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        columns = [draw.index]
        if draw.flip is not None and draw.offset is not None:
            columns += [draw.flip.astype(np.int64), draw.offset[:, 0], draw.offset[:, 1]]
        # One transfer for the whole draw.
        table = to_device(np.stack(columns), self.device)
        if isinstance(self.data, ImageData):
            x, y = self.data.images[table[0]], self.data.labels[table[0]]
        else:
            if read is None:
                (read,) = self.data.read([(0, draw.index)], self._rng.fold("dataset"))
            x, y = (to_device(part, self.device) for part in read)
        return _augmented(x, table[1:] if len(columns) > 1 else None, self.padding), y

    def at(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return one batch, independently of all earlier ones.

        Raises:
            RuntimeError, TypeError, ValueError: If an image cannot be read; names it.
        """
        draw = self.draw(epoch, step)
        if isinstance(self.data, ImageData):
            return self._finished(draw, None)
        if self._reading is None or self._next != (epoch, step):
            self.close()
            self._reading = self.data.read(
                self._keys(epoch, step), self._rng.fold("dataset"),
                pin_memory=self.device.type == "cuda" and torch.cuda.is_available(),
            )  # fmt: skip
        x, y = next(self._reading)
        lazy = self.data
        _check_labels(y, self.num_classes, lambda place: lazy.name_of(draw.index[place]))
        self._next = (epoch, step + 1) if step + 1 < len(self) else (epoch + 1, 0)
        return self._finished(draw, (x, y))

    def _keys(self, epoch: int, step: int) -> Keys:
        for e in itertools.count(epoch):
            for s in range(step if e == epoch else 0, len(self)):
                yield e, self.draw(e, s).index

    def close(self) -> None:
        """End the workers that read ahead."""
        if self._reading is not None:
            self._reading.close()  # type: ignore[attr-defined]
            self._reading = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch, from step `start` on."""
        for step in range(start, len(self)):
            yield self.at(epoch, step)


def images_of(data: ImageData | LazyImages | DataLoader) -> int:
    """Return the number of images in an epoch, as far as a DataLoader says."""
    if not isinstance(data, DataLoader):
        return len(data)
    for counted in (data.sampler if data.batch_size else None, data.dataset):
        try:
            return len(counted)  # type: ignore[arg-type]
        except TypeError:
            continue
    return _steps(data) * (data.batch_size or 1)


def _steps(loader: DataLoader) -> int:
    try:
        return len(loader)
    except TypeError:
        name = type(loader.dataset).__name__
        raise TypeError(
            f"the DataLoader of {name} does not know its number of batches, and the learning rate "
            "follows it; give that class a __len__ with the number of its images"
        ) from None


class LoaderBatches:
    """The batches of somebody's DataLoader, converted, flipped and cropped as `Batches` are.

    What the loader, its sampler and its transforms draw from PyTorch's, NumPy's and Python's global
    generators is seeded by (seed, epoch), in its workers too, and so repeats itself. A generator of
    the loader's own, or workers that outlive an epoch, cannot be put back to where they were; see
    `promise`.

    Args:
        loader: Gives (images, labels) or dictionaries of them, see `nmlib.data.samples.batch_of`.
        rng: The run's stream.
        augment: As in `Batches`, with the next two.
        device: Where batches go.
        padding: Black pixels on each side before the crop.

    Raises:
        TypeError: For a loader without length.
    """

    def __init__(
        self,
        loader: DataLoader,
        *,
        rng: Rng,
        augment: bool = True,
        device: torch.device | str = "cpu",
        padding: int = 4,
    ) -> None:
        self.loader, self.augment, self.padding = loader, augment, padding
        self.label = type(innermost(loader.dataset)).__name__
        self.classes: tuple[str, ...] = ()
        self.steps = _steps(loader)
        if not self.steps:
            raise ValueError(f"the DataLoader of {self.label} gives no batch; give it images")
        self.device = torch.device(device)
        self.num_classes: int | None = None
        self._rng = rng.fold("batches")
        self._open: Iterator[Any] | None = None
        self._next = (-1, -1)
        self._kept: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return self.steps

    @property
    def images(self) -> int:
        """Number of images in an epoch, as far as the loader says."""
        return images_of(self.loader)

    @property
    def about(self) -> dict[str, Any]:
        """Label, fingerprint and number of images; the pixels are not looked at."""
        known = (self.label, self.images, self.steps, self.loader.batch_size)
        mark = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
        return {"label": self.label, "fingerprint": mark, "images": self.images}

    @property
    def promise(self) -> str:
        """What a resumed run repeats."""
        always = "a resumed run repeats all draws of the scheme"
        samplers = (self.loader, self.loader.sampler, self.loader.batch_sampler)
        if any(getattr(s, "generator", None) is not None for s in samplers):
            return (
                f"{always}, but the DataLoader has a generator of its own, which starts anew: "
                "leave generator= out, or pass the Dataset, for the same batches"
            )
        if self.loader.persistent_workers:
            return (
                f"{always} and the order of the images, but persistent_workers=True keeps their "
                "random transforms from being repeated: leave it out, or pass the Dataset"
            )
        return (
            f"{always}, and those of the DataLoader that come from global generators; it reads "
            "the epoch again from its start (a Dataset goes on at the step)"
        )

    def at(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return one batch: x (B, 3, H, W) and y (B,); reads those before it if need be.

        Raises:
            TypeError, ValueError: For a batch that is no images and labels, or on the CPU leaves
                [0, 1]; names epoch and step.
        """
        key, kept = (epoch, step), self._kept
        self._kept = None
        if kept is not None and key == (0, 0):
            return kept
        if self._open is None or self._next != key:
            self._begin(epoch)
            for earlier in range(step):
                self._read(epoch, earlier)
        item = self._read(epoch, step)
        name = f"the batch at epoch {epoch}, step {step}, of {self.label}"
        try:
            images, y = batch_of(item)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name}: {error}") from None
        _check_labels(y, self.num_classes, lambda place: f"image {place} of {name}")
        table = None
        if self.augment:
            stream = self._rng.fold(epoch, step)
            flip, offset = _flips_and_offsets(stream, len(y), self.padding)
            columns = np.stack([flip.astype(np.int64), offset[:, 0], offset[:, 1]])
            table = to_device(columns, self.device)
        images, y = (v.to(self.device, non_blocking=True) for v in (images, y))
        x = _augmented(images, table, self.padding)
        if self.device.type == "cpu":  # looking at an accelerator's would wait for it
            in_unit_range(f"images of {name}", float(excess(x)))
        return x, y

    def first(self) -> tuple[Tensor, Tensor]:
        """Return the first batch of the first epoch, and keep it for `at`.

        Raises:
            ValueError: As `at`, and for images outside [0, 1] on any device.
        """
        self._kept = self.at(0, 0)
        in_unit_range(f"images of the first batch of {self.label}", float(excess(self._kept[0])))
        return self._kept

    def _begin(self, epoch: int) -> None:
        self.close()
        for sampler in (self.loader.sampler, self.loader.batch_sampler):
            tell = getattr(sampler, "set_epoch", None)
            if tell is not None:
                tell(epoch)
        with global_draws() as draw_from:
            draw_from(self._rng.fold("order", epoch))
            self._open = iter(self.loader)
        self._next = (epoch, 0)

    def _read(self, epoch: int, step: int) -> Any:
        assert self._open is not None
        with global_draws() as draw_from:
            draw_from(self._rng.fold("dataset", epoch, step))
            try:
                item = next(self._open)
            except StopIteration:
                raise ValueError(
                    f"the DataLoader of {self.label} ended after {step} batches, but its length "
                    f"is {self.steps}; correct the length of its Dataset"
                ) from None
        last = step + 1 == self.steps
        self._next = (epoch + 1, 0) if last else (epoch, step + 1)
        if last:
            self._open = None
        return item

    def close(self) -> None:
        """Let go of the loader's workers."""
        self._open, self._kept = None, None
