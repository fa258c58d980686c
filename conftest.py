"""What must be there before a test imports torchvision, or what imports it (torchmetrics, timm)."""

import importlib.util

import torch

if importlib.util.find_spec("torchvision") is not None:
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # Its compiled operators are those of another build of torch. Networks and transforms need
        # none of them, but it describes two that must exist.
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
