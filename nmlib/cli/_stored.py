"""Networks in files that the commands are given."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

__all__ = ["is_own", "stored_model", "trained_on"]


def is_own(checkpoint: Path) -> bool:
    return checkpoint.name.startswith("checkpoint-")


def run_record(checkpoint: Path) -> dict[str, Any]:
    """Return what run.json says of a run or of one of its checkpoints; little for other files."""
    if not checkpoint.exists():
        text = "no checkpoint is here; `nmlib train --out` makes one"
        raise FileNotFoundError(errno.ENOENT, text, str(checkpoint))
    from nmlib.training.record import RECORD, read_run

    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    if (folder / RECORD).is_file() and (checkpoint.is_dir() or is_own(checkpoint)):
        return read_run(folder)
    return {"details": {}}


def trained_on(checkpoint: Path) -> str:
    name: str | None = run_record(checkpoint)["details"].get("dataset")
    if name is None:
        raise ValueError(
            f"{checkpoint} does not say what it was trained on; give --dataset, and --model if it "
            "does not say that either"
        )
    return name


def stored_model(checkpoint: Path, name: str | None, classes: int) -> tuple[Any, dict[str, Any]]:
    """Return the network of a run, of one of its checkpoints or of a plain state dict, and keys."""
    from nmlib.models import build_model
    from nmlib.training.checkpoints import load_file, load_into, load_weights

    record = run_record(checkpoint)
    details = record["details"]
    wanted = details.get("model", name)
    if wanted is None:
        raise ValueError(f"{checkpoint} does not say which network it is of; give --model")
    if name is not None and wanted != name:
        raise ValueError(f"{checkpoint} holds a {wanted}, but --model is {name}; leave --model out")
    if details.get("num_classes", classes) != classes:
        raise ValueError(
            f"{checkpoint} has {details['num_classes']} outputs, but the data set has {classes} "
            "classes; give the --dataset that it was trained on"
        )
    model = build_model(wanted, classes, **(details.get("options") or {}))
    key = {"model": wanted, "scheme": record.get("scheme"), "seed": record.get("seed")}
    source = f"{checkpoint}, taken for a {wanted},"
    if checkpoint.is_dir() or is_own(checkpoint):
        load_into(model, load_weights(checkpoint), source)
    else:
        key["sha256"] = load_file(model, checkpoint, source).sha256
    return model.eval(), key
