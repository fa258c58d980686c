"""A transfer that is small enough to watch: frozen features, a head, a few corruptions."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from nmlib.data import ImageData
from nmlib.data.image_folder import Preparation
from nmlib.transfer_learning import RECIPES, Transferred, transfer

__all__ = ["SHOWN", "carried"]

SHOWN = ("shot_noise", "defocus_blur", "fog", "pixelate")
"""A corruption of each family."""


def carried(
    features: nn.Module,
    train: ImageData,
    test: ImageData,
    side: int,
    *,
    severity: int = 3,
    epochs: int = 30,
    seed: int = 0,
) -> Transferred:
    """Train a head on frozen features by a shortened recipe, and measure it.

    Args:
        features: Maps images (B, 3, side, side) in [0, 1] to features (B, F).
        train: Training images.
        test: Test images.
        side: Pixels that images are resized to; nothing is cropped.
        severity: Of the corruptions `SHOWN`.
        epochs: Passes; the rate falls to a tenth after each third.
        seed: Of the head and the order of images.
    """
    recipe = replace(
        RECIPES["features"], epochs=epochs, drop_every=max(1, epochs // 3), augment=False
    )
    return transfer(
        features, train, test, "features", statistics="frozen", normalise="source", recipe=recipe,
        preparation=Preparation(side, side), head="", seed=seed, batch_size=50, device="cpu",
        progress=False, evaluation={"corruptions": SHOWN, "severities": [severity]},
    )  # fmt: skip
