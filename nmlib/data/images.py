"""The record that every image data set is served as, and `load`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks

__all__ = ["DATASETS", "ImageData", "load"]

DATASETS = ("fashion-mini", "cifar10", "cifar100")


@dataclass(frozen=True)
class ImageData:
    """Images with labels.

    Attributes:
        name: Data set.
        split: "train" or "test".
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        classes: Class names.
        label: What figures and tables call it.
        fingerprint: First 16 hexadecimal digits of the SHA-256 of images and labels.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    label: str
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, h, w, _ = self.images.shape
        return (
            f"ImageData({self.label}, {self.split}, {n} images of {h} x {w}, "
            f"{len(self.classes)} classes, fingerprint {self.fingerprint})"
        )

    def to(self, device: torch.device | str) -> ImageData:
        """Return the same data with images and labels on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def first(self, count: int) -> ImageData:
        """Return the first `count` images as a data set with a fingerprint of its own."""
        if not 1 <= count <= len(self):
            raise ValueError(f"count must lie in 1 ... {len(self)}, got {count}")
        images, labels = self.images[:count], self.labels[:count]
        return replace(self, images=images, labels=labels, fingerprint=fingerprint(images, labels))

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> ImageData:
        """Return the images of some rows as a data set with a fingerprint of its own."""
        chosen = torch.from_numpy(row_numbers(rows, len(self))).to(self.images.device)
        images, labels = self.images[chosen], self.labels[chosen]
        return replace(self, images=images, labels=labels, fingerprint=fingerprint(images, labels))


def row_numbers(rows: Sequence[int] | NDArray[np.int64] | Tensor, count: int) -> NDArray[np.int64]:
    """Return a choice among `count` rows as an array.

    Raises:
        ValueError: If it is empty, no list of integers, or names a row that does not exist.

    >>> row_numbers(range(3), 5)
    array([0, 1, 2])
    """
    chosen = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows)
    if not chosen.size:
        raise ValueError("the subset holds no row; name at least one")
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise ValueError(
            f"a subset is a list of row numbers, got {chosen.dtype} of shape {chosen.shape}"
        )
    if chosen.min() < 0 or chosen.max() >= count:
        bad = chosen.min() if chosen.min() < 0 else chosen.max()
        raise ValueError(f"the subset names row {bad}, but the data have rows 0 to {count - 1}")
    return chosen.astype(np.int64)


def fingerprint(images: Tensor, labels: Tensor) -> str:
    """Return 16 hexadecimal digits that change when an image or a label does.

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
        label: What figures shall call the data, when the files in `root` are not the official
            ones.
        device: Where images and labels go.

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
    data = ImageData(name, split, images, labels, classes, shown, fingerprint(images, labels))
    return data.to(device)
