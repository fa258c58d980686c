"""Training images that are held out and evaluated."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from nmlib.data import ImageData
from nmlib.data.images import fingerprint
from nmlib.models.modes import evaluating
from nmlib.objective import Mixable
from nmlib.rng import Rng

__all__ = ["as_float", "classify", "hold_out"]


def as_float(images: Tensor) -> Tensor:
    """Return (N, H, W, 3) bytes as (N, 3, H, W) in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255


def hold_out(train: ImageData, count: int, seed: int) -> tuple[Tensor, ImageData | None]:
    """Return the rows to train on and the held-out images; the seed alone decides."""
    if not count:
        return torch.arange(len(train)), None
    if count >= len(train):
        raise ValueError(
            f"validation={count} leaves nothing of {len(train)} training images; lower it"
        )
    order = torch.from_numpy(Rng(seed).fold("validation").numpy().permutation(len(train)))
    rows = order[:count].sort().values.to(train.images.device)
    images, labels = train.images[rows], train.labels[rows]
    kept_out = replace(train, images=images, labels=labels, fingerprint=fingerprint(images, labels))
    return order[count:].sort().values, kept_out


@torch.no_grad()
def classify(model: Mixable, data: ImageData, batch: int = 500) -> dict[str, float]:
    """Return accuracy and cross-entropy on images that are neither augmented nor mixed."""
    device = next(model.parameters()).device
    found = []
    with evaluating(model):
        for first in range(0, len(data), batch):
            x = as_float(data.images[first : first + batch].to(device))
            y = data.labels[first : first + batch].to(device)
            logits = model(x)
            loss = nn.functional.cross_entropy(logits, y, reduction="sum")
            found.append(torch.stack(((logits.argmax(-1) == y).sum().to(loss.dtype), loss)))
    # One look at the device, whatever the number of batches.
    right, loss = (torch.stack(found).cpu().double().sum(0) / len(data)).tolist()
    return {"val_accuracy": right, "val_loss": loss}
