"""What other people's Datasets and DataLoaders give: one image and its label, or a batch of them.

Images become (..., H, W, 3), bytes or floats in [0, 1]; labels become integers from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmlib import _checks

__all__ = ["batch_of", "in_unit_range", "sample_of"]

_IMAGES = ("image", "images", "img", "pixel_values")
_LABELS = ("label", "labels", "target", "targets")
# Pillow's modes with more than 8 bits a channel; converting them to RGB would clip.
_DEEP = ("I", "F")
_ORDER = "a Dataset gives (image, label), the image as a Pillow image or as a tensor"


def in_unit_range(name: str, excess: float) -> None:
    """Raise ValueError if images leave [0, 1] by more than rounding; `excess` may be NaN."""
    if not excess <= _checks.ROUNDING:
        raise ValueError(
            f"{name} must lie in [0, 1], but leave it by {excess:.4g}; take Normalize out of the "
            "transform, and give mean and deviation to the model, which normalises its inputs"
        )


def sample_of(item: Any) -> tuple[Tensor, int]:
    """Return one image (H, W, 3), uint8 or floating-point, and its label.

    Args:
        item: (image, label), or a dictionary with "image", "img" or "pixel_values" and with "label"
            or "labels", as Hugging Face names them. A Pillow image of any mode of 8 bits, or a
            tensor or array (3, H, W), (H, W, 3); grey ones (H, W), (1, H, W), (H, W, 1) get three
            equal channels.

    Raises:
        TypeError, ValueError: For anything else, with the remedy.

    >>> image, label = sample_of((torch.zeros(1, 4, 5), 2))
    >>> image.shape, label
    (torch.Size([4, 5, 3]), 2)
    """
    given, label = _parts(item)
    if _checks.is_pillow(given):
        if given.mode.split(";")[0] in _DEEP:
            raise TypeError(
                f"it is a Pillow image of mode {given.mode!r}; scale its levels to 0 ... 255 and "
                "convert it to mode 'L' or 'RGB' in the transform"
            )
        return torch.from_numpy(np.array(given.convert("RGB"))), _class(label)
    if not isinstance(given, (Tensor, np.ndarray)):
        raise TypeError(f"it is {_checks.shown(given)}; {_ORDER}")
    image = _checks.tensor("it", given).detach()
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3:
        raise ValueError(f"it has shape {tuple(image.shape)}; {_ORDER}")
    return _checked(_channels_last(image[None])[0]), _class(label)


def batch_of(item: Any) -> tuple[Tensor, Tensor]:
    """Return a batch of a DataLoader: images (B, H, W, 3), uint8 or floating-point, and labels.

    Args:
        item: A pair (images, labels) or a dictionary, see `sample_of`; images (B, 3, H, W) or
            (B, H, W, 3), one channel repeated.

    Returns:
        Images on the device where they are, and int64 labels (B,). Whether floats lie in [0, 1] is
        not looked at here.

    Raises:
        TypeError, ValueError: For anything else, with the remedy.
    """
    given, labels = _parts(item)
    if isinstance(given, (list, tuple)):
        raise TypeError(
            f"its images are a {type(given).__name__}; give them one size (Resize and CenterCrop, "
            "or RandomResizedCrop), so that the DataLoader stacks them to a tensor"
        )
    images = _checks.tensor("images", given).detach()
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"its images must be (B, 3, H, W), got shape {tuple(images.shape)}")
    y = _checks.class_labels(_checks.column(labels), validate=False)
    if y.shape != images.shape[:1]:
        raise ValueError(
            f"it has {len(images)} images, but labels of shape {tuple(y.shape)}; give one class "
            "for each image"
        )
    return _typed(_channels_last(images)), y


def _parts(item: Any) -> tuple[Any, Any]:
    """Return image and label of a pair or a dictionary."""
    if isinstance(item, Mapping):
        found = [[k for k in names if k in item] for names in (_IMAGES, _LABELS)]
        if not all(found):
            raise TypeError(
                f"it is a dictionary with {', '.join(map(repr, item))}; name its image one of "
                f"{', '.join(map(repr, _IMAGES))}, and its label one of "
                f"{', '.join(map(repr, _LABELS))}"
            )
        return item[found[0][0]], item[found[1][0]]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        got = f"{len(item)} parts" if isinstance(item, (tuple, list)) else _checks.shown(item)
        raise TypeError(f"it is {got}; {_ORDER}")
    return item[0], item[1]


def _class(label: Any) -> int:
    values = _checks.tensor("label", label)
    if values.numel() != 1:
        raise ValueError(
            f"its label has shape {tuple(values.shape)}; give one class, e.g. by argmax"
        )
    return int(_checks.class_labels(values.reshape(())))


def _channels_last(images: Tensor) -> Tensor:
    """Return images (B, ...) with three channels at the end; channels that come first are moved."""
    shape = images.shape
    # As torch has them, unless only the last axis can be the channels.
    axis = 3 if shape[1] not in (1, 3, 4) and shape[3] in (1, 3, 4) else 1
    if shape[axis] not in (1, 3):
        remedy = "; convert it to RGB, which leaves out the fourth (alpha)" * (shape[axis] == 4)
        raise ValueError(f"images need one or three channels, got {tuple(shape[1:])}{remedy}")
    last = images.movedim(axis, 3)
    return last.expand(-1, -1, -1, 3)


def _typed(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise TypeError(f"images must be uint8 (0 ... 255) or floats in [0, 1], got {images.dtype}")
    return images.float()


def _checked(image: Tensor) -> Tensor:
    image = _typed(image)
    if image.is_floating_point() and image.numel():
        in_unit_range("its values", float(excess(image)))
    return image


def excess(images: Tensor) -> Tensor:
    """Return by how much floating-point images leave [0, 1] at most: 0 or less inside, or NaN."""
    low, high = torch.aminmax(images)
    return torch.maximum(-low, high - 1)
