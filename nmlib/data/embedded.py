"""fashion-mini: 6,000 + 2,000 images of Fashion-MNIST that come with nmlib."""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FASHION_CLASSES", "read_fashion_mini", "sample_photographs"]

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def read_fashion_mini(split: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return images (N, 32, 32, 3) uint8, labels (N,) int64 and class names.

    The originals are 28 x 28 and grey; they get two black pixels on each side and three equal
    channels. Each class has 600 training and 200 test images, and every ten consecutive images hold
    one of each class. Copyright Zalando SE, MIT licence, see nmlib/data/fashion_mini/LICENSE.

    Args:
        split: "train" or "test".

    Raises:
        ValueError: If the installed file is damaged.
    """
    path = resources.files("nmlib.data") / "fashion_mini" / f"{split}.npz"
    try:
        with path.open("rb") as file, np.load(file) as stored:
            images = torch.from_numpy(stored["images"])
            labels = torch.from_numpy(stored["labels"].astype(np.int64))
    except Exception as error:  # zipfile, NumPy and zlib each raise their own
        raise ValueError(f"{path} is missing or damaged ({error}); install nmlib again") from error
    images = F.pad(images, (2, 2, 2, 2))
    return images[..., None].expand(-1, -1, -1, 3).contiguous(), labels, FASHION_CLASSES


def sample_photographs(side: int = 224) -> dict[str, Tensor]:
    """Return scikit-learn's two photographs as squares, cropped as ImageNet images are.

    The shorter side is scaled to side * 8/7 pixels, then the centre is cropped.

    Args:
        side: Height and width in pixels.

    Returns:
        "china" and "flower": (side, side, 3) uint8.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photographs = {}
    for name in ("china", "flower"):
        picture = Image.fromarray(load_sample_image(f"{name}.jpg"))
        scale = side * 8 / 7 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        cut = np.asarray(picture.crop((left, top, left + side, top + side)))
        photographs[name] = torch.from_numpy(cut.copy())
    return photographs
