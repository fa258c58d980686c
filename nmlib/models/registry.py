"""Networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from nmlib import _checks
from nmlib.models.points import Mixable
from nmlib.models.preact_resnet import preact_resnet
from nmlib.models.resnet import cifar_resnet, resnet50
from nmlib.models.wide_resnet import wide_resnet

__all__ = ["MODELS", "build_model"]

MODELS: dict[str, Callable[..., Mixable]] = {
    "preact_resnet18": preact_resnet,
    "preact_resnet_small": partial(preact_resnet, widths=(16, 24, 48, 96), blocks=(1, 1, 1, 1)),
    "resnet20": partial(cifar_resnet, depth=20),
    "resnet56": partial(cifar_resnet, depth=56),
    "resnet50": resnet50,
    "wrn28_2": partial(wide_resnet, widen=2),
    "wrn28_4": partial(wide_resnet, widen=4),
}
"""The networks of `build_model`: each name maps to a function of (num_classes, seed, options)."""


def build_model(name: str, num_classes: int = 10, *, seed: int = 0, **options: Any) -> Mixable:
    """Build a network with weights that depend on the seed only.

    Args:
        name: For images of 32 pixels "preact_resnet18", "wrn28_4" (the paper's Wide-ResNet as
            released), "wrn28_2" (as the paper's text says), "preact_resnet_small" (small enough
            for a CPU), "resnet20" or "resnet56" (for public weights); for those of 224 pixels
            "resnet50".
        num_classes: K >= 2.
        seed: Of the weights.
        **options: Of `preact_resnet` (skip, norm, widths, blocks, mean, std), `wide_resnet`
            (dropout, conv_bias, last_momentum, norm, depth, widen, mean, std), `cifar_resnet`
            (depth, mean, std) or `resnet50` (mean, std).

    Returns:
        A model of images (B, 3, H, W) in [0, 1] with mix points, 0 the normalised image.

    Raises:
        ValueError: For an unknown name or a wrong option value.
        TypeError: For an unknown option.

    >>> build_model("preact_resnet_small", 10, seed=1).num_points
    4
    >>> build_model("preact_resnet")
    Traceback (most recent call last):
    ValueError: unknown model 'preact_resnet'; did you mean 'preact_resnet18'? Choose from: ...
    """
    _checks.choice("model", name, MODELS)
    known = set(inspect.signature(MODELS[name]).parameters) - {"num_classes", "seed"}
    for option in options:
        if option not in known:
            raise TypeError(
                f"{name} has no option {option!r}; its options are {', '.join(sorted(known))}"
            )
    return MODELS[name](num_classes, seed=seed, **options)
