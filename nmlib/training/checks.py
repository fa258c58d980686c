"""Validate the arguments of `fit` before training starts; each error names the remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from nmlib._memory import lacks_memory
from nmlib.data.loader import Batches, LoaderBatches
from nmlib.data.reading import holds_test_images
from nmlib.models.modes import evaluating, unwrapped
from nmlib.models.points import Mixable
from nmlib.objective import check_scheme
from nmlib.rng import usable_device
from nmlib.schemes import Scheme
from nmlib.training.errors import OutOfMemory
from nmlib.training.execution import Execution
from nmlib.training.recipe import Recipe
from nmlib.training.workers import Workers, check_parts

__all__ = [
    "check_arguments", "check_classes", "check_device", "check_sizes", "with_sizes_of",
    "without_wrappers",
]  # fmt: skip


def without_wrappers(model: Any) -> tuple[Any, bool]:
    """Return the model inside a wrapper, and whether torch.compile was one of its wrappers.

    Raises:
        ValueError: For a DataParallel of several devices.
    """
    inner = unwrapped(model) if isinstance(model, nn.Module) else model
    if not isinstance(inner, Mixable):
        return model, False
    wrappers = set(model.modules()) - set(inner.modules())
    if any(isinstance(w, nn.DataParallel) and len(w.device_ids) > 1 for w in wrappers):
        raise ValueError(
            "fit shares a step among processes, not as DataParallel among threads: give it "
            "model.module and start the program with `accelerate launch` or torchrun"
        )
    return inner, any(hasattr(w, "_orig_mod") for w in wrappers)


def check_device(device: torch.device) -> None:
    """Raise ValueError if a device cannot be used here, OutOfMemory if others have filled it."""
    try:
        usable_device(device)
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        raise OutOfMemory(
            f"{device} has no free memory: end what else uses it, or choose another device "
            f"({str(error).splitlines()[0][:200]})"
        ) from error


def check_arguments(model: Any, train: Any, scheme: Any, recipe: Any, execution: Any) -> None:
    """Raise for arguments of the wrong kind, or test images."""
    if not isinstance(model, Mixable):
        raise TypeError(
            f"fit trains a model with mix points, got {type(model).__name__}; name them with "
            "nmlib.MixPoints(model, nmlib.suggest_points(model)), or use nmlib.build_model(name)"
        )
    check_scheme(model, scheme)
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {recipe!r}")
    if not isinstance(execution, Execution):
        raise TypeError(f"execution must be an Execution, got {execution!r}")
    if holds_test_images(train.dataset if isinstance(train, DataLoader) else train):
        raise ValueError(
            "fit got the test images; nothing is trained or selected on them. Load "
            "split='train'; Recipe(validation=...) keeps some of those out"
        )


def with_sizes_of(loader: DataLoader, recipe: Recipe, shared: Workers) -> Recipe:
    """Return a recipe with the batch size of a DataLoader.

    Raises:
        ValueError: For several processes, or for images to hold out.
    """
    if shared.count > 1 or recipe.validation:
        what = f"{shared.count} processes" if shared.count > 1 else "Recipe(validation=...)"
        raise ValueError(
            f"a DataLoader cannot be split for {what}; pass its Dataset, e.g. "
            "nmlib.LazyImages(loader.dataset, num_workers=loader.num_workers)"
        )
    sizes = loader if loader.batch_size else loader.batch_sampler
    batch_size = getattr(sizes, "batch_size", None) or recipe.batch_size
    drop_last = bool(getattr(sizes, "drop_last", False))
    return replace(recipe, batch_size=batch_size, drop_last=drop_last)


def check_sizes(
    model: nn.Module, images: int, scheme: Scheme, recipe: Recipe, shared: Workers
) -> None:
    """Raise ValueError if a batch is too small for what is done with it."""
    steps = recipe.steps_per_epoch(images)
    if not steps:
        raise ValueError(
            f"batch_size={recipe.batch_size} exceeds the {images} training images; lower it "
            "or set drop_last=False"
        )
    sizes = [min(recipe.batch_size, images - start * recipe.batch_size) for start in (0, steps - 1)]
    check_parts(shared, recipe.parts, sizes)
    smallest = min(sizes) // recipe.parts
    normalised = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    if smallest == 1 and scheme.mix is not None:
        raise ValueError(
            f"a batch of {min(sizes)} images in {recipe.parts} part(s) leaves an image without a "
            f"partner, but scheme {scheme.name!r} mixes pairs; use drop_last=True, a larger "
            "batch_size or fewer parts"
        )
    if smallest * scheme.views.count == 1 and normalised:
        raise ValueError(
            f"a batch of {min(sizes)} images in {recipe.parts} part(s) leaves batch normalisation "
            "a single view; use drop_last=True, a larger batch_size or fewer parts"
        )


def check_classes(model: Mixable, batches: Batches | LoaderBatches) -> int:
    """Run one image through the model, compare outputs with labels; return their number."""
    x, labels = batches.first()
    with evaluating(model), torch.no_grad():
        logits = model(x[:1])
    if logits.ndim != 2:
        raise ValueError(f"the model must return (N, classes), got {tuple(logits.shape)}")
    outputs, highest, label = logits.shape[1], int(labels.max()), batches.about["label"]
    if int(labels.min()) < 0:
        raise ValueError(f"{label} has label {int(labels.min())}; they count from 0")
    if highest >= outputs:
        raise ValueError(
            f"{label} has labels up to {highest} but the model has {outputs} outputs; "
            f"build_model(..., num_classes={max(len(batches.classes), highest + 1)})"
        )
    return outputs
