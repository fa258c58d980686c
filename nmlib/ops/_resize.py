"""Resizing on tensors, as Pillow and torchvision do it."""

from __future__ import annotations

import torch
from torch import Tensor


def _weights(first: Tensor, length: Tensor, source: int, size: int, flip: Tensor) -> Tensor:
    """Return the (B, size, source) weights that resize a stretch of an axis to `size` pixels."""
    scale = (length.float() / size).view(-1, 1, 1)
    first, length = first.view(-1, 1, 1), length.view(-1, 1, 1)
    place = torch.arange(size, device=first.device).view(1, -1, 1)
    place = torch.where(flip.view(-1, 1, 1), size - 1 - place, place)
    centre = first + (place + 0.5) * scale - 0.5
    pixel = torch.arange(source, device=first.device)
    weights = (1 - (pixel - centre).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = weights * ((pixel >= first) & (pixel < first + length))
    return weights / weights.sum(2, keepdim=True)


def resized_crops(x: Tensor, box: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
    r"""Cut a box out of each image and resize it to a square, bilinearly.

    $$y_b = R_b\,x_b\,C_b^T$$

    Row o of R holds the weights $\max(0, 1 - |k - c_o| / s)$ of the box's rows k, divided by their
    sum, with $c_o = top + (o + \tfrac12)\,height / size - \tfrac12$ and
    $s = \max(1, height / size)$; C is the same for columns. These are Pillow's and torchvision's
    weights, antialiased where an image shrinks; Pillow also rounds to whole grey levels.

    Args:
        x: (B, C, H, W) floats.
        box: (4, B) integers: top, left, height and width of each box, inside the image.
        size: Side of the result in pixels.
        flip: (B,) bool; True mirrors left and right.

    Returns:
        (B, C, size, size).

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> resized_crops(ramp, torch.tensor([[0], [1], [2], [2]]), 4)[0, 0, 0].tolist()
    [1.0, 1.25, 1.75, 2.0]
    """
    height, width = x.shape[2:]
    flip = torch.zeros(len(x), dtype=torch.bool, device=x.device) if flip is None else flip
    rows = _weights(box[0], box[2], height, size, torch.zeros_like(flip))
    columns = _weights(box[1], box[3], width, size, flip)
    return rows[:, None] @ (x @ columns.mT[:, None])
