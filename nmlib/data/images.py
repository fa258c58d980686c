"""The record that every image data set is served as, and `load`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks

__all__ = ["DATASETS", "ImageData", "load"]

DATASETS = ("fashion-mini", "cifar10", "cifar100")


@dataclass(frozen=True)
class ImageData:
    """Images with labels; `ImageData.of` makes one from arrays.

    Attributes:
        name: Data set.
        split: "train" or "test".
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        classes: Class names.
        label: What figures and tables call it.
        fingerprint: First 16 hexadecimal digits of the SHA-256 of images and labels; computed if
            empty. Results are kept under it.

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
        if self.images.dtype != torch.uint8:
            raise TypeError(
                f"images must be uint8 (0 ... 255), got {self.images.dtype}; for floats in [0, 1] "
                "use (images * 255).round().to(torch.uint8)"
            )
        if self.images.ndim != 4:
            raise ValueError(f"images must be (N, H, W, 3), got {tuple(self.images.shape)}")
        if self.labels.dtype != torch.int64:
            raise TypeError(f"labels must be int64, got {self.labels.dtype}; use labels.long()")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"{len(self.images)} images, but labels of shape {tuple(self.labels.shape)}"
            )
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
        """Return images and labels of one's own as data to train and to evaluate on.

        Args:
            images: uint8 tensor or array, (N, H, W, 3) or (N, 3, H, W).
            labels: (N,) integers, counted from 0.
            split: "train" or "test"; `fit` refuses test images.
            label: What figures and tables call them.
            classes: Class names; default "0", "1", ...

        Raises:
            TypeError: For images that are not uint8, or labels that are not integers.
            ValueError: For other shapes, no images, a negative label or too few class names.

        >>> ImageData.of(np.zeros((2, 32, 32, 3), np.uint8), [0, 1], label="squares")
        ImageData(squares, train, 2 images of 32 x 32, 2 classes, fingerprint ...)
        """
        _checks.choice("split", split, ("train", "test"))
        pixels, numbers = torch.as_tensor(images), torch.as_tensor(labels)
        if pixels.dtype == torch.uint8 and (pixels.ndim != 4 or 3 not in pixels.shape[1::2]):
            raise ValueError(
                f"images must be (N, H, W, 3) or (N, 3, H, W), got {tuple(pixels.shape)}"
            )
        if pixels.ndim == 4 and pixels.shape[3] != 3:
            pixels = pixels.permute(0, 2, 3, 1).contiguous()
        if numbers.is_floating_point() or numbers.dtype == torch.bool:
            raise TypeError(f"labels must be integers, got {numbers.dtype}; use labels.long()")
        numbers = numbers.to(torch.int64)
        if not numbers.numel():
            raise ValueError("there are no images; give at least one")
        if int(numbers.min()) < 0:
            raise ValueError(f"label {int(numbers.min())} is negative; labels count from 0")
        names = tuple(classes) or tuple(str(k) for k in range(int(numbers.max()) + 1))
        if int(numbers.max()) >= len(names):
            raise ValueError(f"label {int(numbers.max())} has no name among {len(names)} classes")
        return cls("own", split, pixels, numbers, names, label)

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
        return replace(self, images=self.images[:count], labels=self.labels[:count], fingerprint="")

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> ImageData:
        """Return the images of some rows as a data set with a fingerprint of its own."""
        chosen = torch.from_numpy(row_numbers(rows, len(self))).to(self.images.device)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen], fingerprint="")


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
    return ImageData(name, split, images, labels, classes, shown).to(device)
