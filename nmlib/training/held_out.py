"""Training images that are held out and evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nmlib.data import ImageData
from nmlib.data.reading import LazyImages
from nmlib.models.modes import evaluating
from nmlib.models.points import Mixable
from nmlib.rng import Rng

__all__ = ["as_float", "classify", "hold_out"]


def as_float(images: Tensor) -> Tensor:
    """Return (N, H, W, 3) bytes as (N, 3, H, W) in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255


def hold_out(
    train: ImageData | LazyImages | DataLoader, count: int, seed: int
) -> tuple[Tensor | None, ImageData | LazyImages | None]:
    """Return the rows to train on (None for all) and the held-out images, by the seed alone."""
    if not count or isinstance(train, DataLoader):
        return None, None
    if count >= len(train):
        raise ValueError(
            f"validation={count} leaves nothing of {len(train)} training images; lower it"
        )
    order = torch.from_numpy(Rng(seed).fold("validation").numpy().permutation(len(train)))
    return order[count:].sort().values, train.take(order[:count].sort().values)


@torch.no_grad()
def classify(model: Mixable, data: ImageData | LazyImages, batch: int = 500) -> dict[str, float]:
    """Return accuracy and cross-entropy on images that are neither augmented nor mixed."""
    device = next(model.parameters()).device
    found = []
    with evaluating(model):
        for images, labels in data.parts(batch):
            y = labels.to(device)
            logits = model(as_float(images.to(device)))
            loss = nn.functional.cross_entropy(logits, y, reduction="sum")
            found.append(torch.stack(((logits.argmax(-1) == y).sum().to(loss.dtype), loss)))
    # One look at the device, whatever the number of batches.
    right, loss = (torch.stack(found).cpu().double().sum(0) / len(data)).tolist()
    return {"val_accuracy": right, "val_loss": loss}
