"""`ImageData`, the record of every image data set, and `load`."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks

__all__ = ["DATASETS", "ImageData", "Images", "load"]

DATASETS = ("fashion-mini", "cifar10", "cifar100")


class Images(Protocol):
    """What training and evaluation ask of image data.

    `ImageData` holds them in memory, `LazyImages` reads them from a Dataset.
    """

    @property
    def label(self) -> str:
        """Name in figures, tables and messages."""

    @property
    def split(self) -> str:
        """ "train" or "test"."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, () if unknown."""

    @property
    def fingerprint(self) -> str:
        """What stored results are keyed by."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64; may have to read all images."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> Images:
        """Return the images of some rows, with their own fingerprint."""

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images in their order: bytes (n, H, W, 3) and labels (n,), n <= size."""


@dataclass(frozen=True)
class ImageData:
    """Images with labels; `ImageData.of` makes one from arrays.

    Attributes:
        name: Data set.
        split: "train" or "test".
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        classes: Class names.
        label: Name in figures and tables.
        fingerprint: First 16 hexadecimal digits of the SHA-256 of images and labels; computed if
            empty. Stored results are keyed by it.

    Pixels and labels are copies, so the data and their fingerprint do not change with the arrays
    that they were made from.

    Raises:
        TypeError: For images that are not uint8, or labels that are not integers.
        ValueError: For other shapes.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    label: str
    fingerprint: str = ""

    def __post_init__(self) -> None:
        images = _checks.tensor("images", self.images).detach()
        if images.dtype != torch.uint8:
            _checks.byte_images(images)  # raises, with the remedy
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must be (N, H, W, 3), got {tuple(images.shape)}")
        labels = _checks.class_labels(_checks.column(self.labels), validate=False)
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} images, but labels of shape {tuple(labels.shape)}")
        object.__setattr__(self, "images", images.clone(memory_format=torch.contiguous_format))
        object.__setattr__(self, "labels", labels.clone())
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.images, self.labels))

    @classmethod
    def of(
        cls,
        images: Any,
        labels: Any,
        *,
        split: Literal["train", "test"] = "train",
        label: str = "own images",
        classes: Sequence[str] = (),
    ) -> ImageData:
        """Return your own images and labels as data for training and evaluation.

        Args:
            images: uint8 tensor, array or list of images, (N, H, W, 3) or (N, 3, H, W). Grey ones,
                (N, H, W), (N, H, W, 1) or (N, 1, H, W), get three equal channels.
            labels: (N,) integers, counted from 0.
            split: "train" or "test"; `fit` refuses test images.
            label: Name in figures and tables.
            classes: Class names; default "0", "1", ...

        Raises:
            TypeError: For images that are not uint8, or labels that are not integers.
            ValueError: For other shapes, no images, a negative label or too few class names.

        >>> ImageData.of(np.zeros((2, 32, 32, 3), np.uint8), [0, 1], label="squares")
        ImageData(squares, train, 2 images of 32 x 32, 2 classes, fingerprint ...)
        """
        _checks.choice("split", split, ("train", "test"))
        numbers = _checks.class_labels(_checks.column(labels))
        if not numbers.numel():
            raise ValueError("there are no images; give at least one")
        pixels, _ = _checks.byte_images(images, grey=True)
        highest = int(numbers.max())
        names = tuple(str(name) for name in classes) or tuple(str(k) for k in range(highest + 1))
        if highest >= len(names):
            raise ValueError(
                f"label {highest} has no name among {len(names)} classes; give {highest + 1} names"
            )
        return cls("own", split, pixels, numbers, names, label)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, h, w, _ = self.images.shape
        return (
            f"ImageData({self.label}, {self.split}, {n} images of {h} x {w}, "
            f"{len(self.classes)} classes, fingerprint {self.fingerprint})"
        )

    def _with(self, images: Tensor, labels: Tensor, mark: str = "") -> ImageData:
        """Return this record with other pixels and labels, without another copy of them."""
        other = copy.copy(self)
        values = {"images": images, "labels": labels}
        for name, value in (values | {"fingerprint": mark or fingerprint(**values)}).items():
            object.__setattr__(other, name, value)
        return other

    def to(self, device: torch.device | str) -> ImageData:
        """Return the data with images and labels on a device."""
        return self._with(self.images.to(device), self.labels.to(device), self.fingerprint)

    def first(self, count: int) -> ImageData:
        """Return the first `count` images as a data set with its own fingerprint."""
        count = _checks.integer("count", count)
        if not 1 <= count <= len(self):
            raise ValueError(f"count must lie in 1 ... {len(self)}, got {count}")
        return self._with(self.images[:count], self.labels[:count])

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> ImageData:
        """Return the images of some rows as a data set with its own fingerprint."""
        chosen = torch.from_numpy(row_numbers(rows, len(self))).to(self.images.device)
        return self._with(self.images[chosen], self.labels[chosen])

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield views of all images in their order: (n, H, W, 3) and labels (n,), n <= size."""
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)


def row_numbers(rows: Sequence[int] | NDArray[np.int64] | Tensor, count: int) -> NDArray[np.int64]:
    """Return row numbers below `count` as an array.

    Raises:
        ValueError: For no rows, for anything but a list of integers, or for a row out of range.

    >>> row_numbers(range(3), 5)
    array([0, 1, 2])
    """
    chosen = _checks.tensor("rows", rows).cpu().numpy()
    if not chosen.size:
        raise ValueError("the subset is empty; name at least one row")
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise ValueError(
            f"a subset is a list of row numbers, got {chosen.dtype} of shape {chosen.shape}"
        )
    if chosen.min() < 0 or chosen.max() >= count:
        bad = chosen.min() if chosen.min() < 0 else chosen.max()
        raise ValueError(f"the subset names row {bad}, but the data have rows 0 to {count - 1}")
    return chosen.astype(np.int64)


def fingerprint(images: Tensor, labels: Tensor) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of images and labels.

    >>> fingerprint(torch.zeros(1, 2, 2, 3, dtype=torch.uint8), torch.tensor([3]))
    'c6a6da12c14e08fd'
    """
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().data)
    digest.update(labels.cpu().to(torch.int64).contiguous().numpy().data)
    return digest.hexdigest()[:16]


def load(
    name: str,
    split: Literal["train", "test"] = "train",
    *,
    root: str | Path | None = None,
    download: bool = False,
    label: str | None = None,
    device: torch.device | str = "cpu",
) -> ImageData:
    """Load a data set by name.

    Args:
        name: "fashion-mini" (a subset of Fashion-MNIST that comes with nmlib, 32 x 32 RGB),
            "cifar10" or "cifar100" (the official binary archives).
        split: "train" or "test".
        root: Folder with the archive or its unpacked files; by default `data_folder()`.
        download: Fetch the official archive if it is missing (about 170 MB, checked by SHA-256,
            resumed after an interruption).
        label: Name in figures, for files in `root` that are not the official ones.
        device: Device of images and labels.

    Raises:
        FileNotFoundError: If the files are missing; the message says how to get them.
        ValueError: For an unknown name or split, or a truncated or altered file.

    >>> load("fashion-mini", split="test")
    ImageData(fashion-mini, test, 2000 images of 32 x 32, 10 classes, fingerprint ...)
    """
    _checks.choice("data set", name, DATASETS)
    _checks.choice("split", split, ("train", "test"))
    if name == "fashion-mini":
        from nmlib.data.embedded import read_fashion_mini

        images, labels, classes = read_fashion_mini(split)
        shown = label or name
    else:
        from nmlib.data.cifar import read_cifar

        images, labels, classes, official = read_cifar(name, split, root, download)
        shown = label or (name if official else f"{name} (local files)")
    return ImageData(name, split, images, labels, classes, shown).to(device)
