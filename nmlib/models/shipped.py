"""Trained networks that come with nmlib."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np
import torch

from nmlib import _checks
from nmlib.models.points import Mixable
from nmlib.models.registry import build_model

__all__ = ["PRETRAINED", "pretrained", "pretrained_record"]

PRETRAINED = ("fashion-mini/baseline", "fashion-mini/augmix", "fashion-mini/noisymix")
"""The names of `pretrained`: data set and scheme."""

_FOLDER = resources.files("nmlib.models") / "trained"


def pretrained(name: str) -> Mixable:
    """Return a trained network that comes with nmlib.

    Each was trained on all 6,000 images of fashion-mini by one scheme; `pretrained_record` has the
    recipe and what the network can do. Weights are stored in half precision.

    Args:
        name: One of `PRETRAINED`.

    Returns:
        A model of images (B, 3, H, W) in [0, 1] with mix points, in evaluation mode, on the CPU.

    Raises:
        ValueError: For an unknown name; the nearest is suggested.

    >>> pretrained("fashion-mini/noisymix").num_points
    4
    """
    record = pretrained_record(name)
    model = build_model(record["model"], record["classes"])
    with resources.as_file(_FOLDER / f"{_file(name)}.npz") as path, np.load(path) as stored:
        weights = {key: torch.from_numpy(value) for key, value in stored.items()}
    model.load_state_dict(weights)  # copies into float32
    return model.eval()


def pretrained_record(name: str) -> dict[str, Any]:
    """Return how a network of `pretrained` was trained, and what was measured of it.

    The record has the columns of measured grids: the recipe, accuracy and calibration on clean
    and corrupted test images, flip probabilities, seed, and the provenance of all that.

    Raises:
        ValueError: For an unknown name; the nearest is suggested.

    >>> record = pretrained_record("fashion-mini/noisymix")
    >>> record["dataset"], record["scheme"], record["seed"]
    ('fashion-mini', 'noisymix', 0)
    """
    _checks.choice("pretrained network", name, PRETRAINED)
    record: dict[str, Any] = json.loads((_FOLDER / f"{_file(name)}.json").read_text("utf-8"))
    return record


def _file(name: str) -> str:
    return name.replace("/", "_")
