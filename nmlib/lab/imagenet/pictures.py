"""Pictures that come with nmlib and scikit-learn, at the size of ImageNet-C's."""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from nmlib.data.embedded import sample_photographs

__all__ = ["pictures", "recompressed"]

_STIMULI = {
    "clock, edges": "clock_edges.png",
    "bottle, edges": "bottle_edges.png",
    "chair, silhouette": "chair_silhouette.png",
    "airplane made of chair": "airplane_of_chair.jpg",
    "cat made of elephant": "cat_of_elephant.jpg",
}


def pictures() -> dict[str, Tensor]:
    """Return two photographs and five stimuli, each (224, 224, 3) uint8, by title.

    The stimuli are edge drawings, a silhouette, and shapes with the texture of something else, by
    Geirhos et al. 2019 (CC BY 4.0, see data/stimuli/LICENSE). The photographs are scikit-learn's.
    """
    from PIL import Image

    found = sample_photographs(224)
    folder = resources.files("nmlib.lab.imagenet") / "data" / "stimuli"
    for title, name in _STIMULI.items():
        with (folder / name).open("rb") as file, Image.open(file) as image:
            found[title] = torch.from_numpy(np.array(image.convert("RGB")))
    return found


def recompressed(image: Tensor, quality: int = 85) -> Tensor:
    """Return an image as it comes out of a JPEG file; ImageNet-C's files have quality 85.

    Args:
        image: (H, W, 3) uint8.
        quality: Pillow's, 1 to 95.
    """
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(image.numpy()).save(packed, "jpeg", quality=quality, optimize=True)
    with Image.open(packed) as stored:
        return torch.from_numpy(np.array(stored))
