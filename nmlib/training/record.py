"""The record of a training: weights, rows of metrics, provenance."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmlib._files import explained, read_json, user_path, write_json, write_text
from nmlib.identity import settings_of
from nmlib.models import build_model
from nmlib.models.norm import Normalise
from nmlib.models.points import Mixable
from nmlib.provenance import combined
from nmlib.schemes import Scheme
from nmlib.training.checkpoints import load_into, load_weights, newest_path
from nmlib.training.recipe import Recipe

__all__ = ["METRICS", "RECORD", "Row", "Run", "RunFiles", "load_model", "read_rows", "read_run"]

METRICS = "metrics.jsonl"
RECORD = "run.json"

Row = dict[str, Any]

# Entries of `details` that readers build the network from.
_DETAILS = {"model": str, "num_classes": int, "options": dict, "dataset": str}


@dataclass
class Run:
    """A training, finished or under way.

    Attributes:
        model: The network, with the weights as they are now.
        scheme: The scheme.
        recipe: Optimiser settings.
        seed: Of all draws.
        data: Label, fingerprint and number of the training images used.
        rows: Tidy metrics. A row of kind "step" holds means over the steps since the row before
            (`loss`, `ce`, `jsd`, `accuracy`, `learning_rate`, `images_per_second`), one of kind
            "epoch" over the epoch, with `val_accuracy` and `val_loss` if images were kept out.
            Accuracy is that of view 0 as the loss sees it, mixed and with noise, against the
            first image's class: it stays far below the test accuracy of a scheme that mixes.
        step: Steps done.
        steps: Steps of the whole training.
        seconds: Time spent in training steps, over all resumptions.
        out: Folder of checkpoints and metrics, or None.
        stretches: Commit, versions and device of each stretch of training, with its first "step".
            A run that was resumed elsewhere or later has several.
        details: Anything else to record, such as the model's name and the budget.
    """

    model: Mixable
    scheme: Scheme
    recipe: Recipe
    seed: int
    data: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    out: Path | None = None
    stretches: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.steps

    @property
    def provenance(self) -> dict[str, Any]:
        """Commit, versions, device; of a run in several stretches those of all of them."""
        return combined({k: v for k, v in s.items() if k != "step"} for s in self.stretches)

    def begin_stretch(self, provenance: Mapping[str, Any]) -> None:
        """Note what the steps from here on are computed with, if that is not known yet."""
        kept = [s for s in self.stretches if s["step"] < self.step]
        if not kept or {**kept[-1], "step": 0} != {**provenance, "step": 0}:
            kept.append({"step": self.step, **provenance})
        self.stretches = kept

    @property
    def checkpoint(self) -> Path | None:
        """The newest checkpoint of the run's folder, or None."""
        return newest_path(self.out) if self.out is not None else None

    @property
    def epochs(self) -> list[Row]:
        """Rows of kind "epoch"."""
        return [row for row in self.rows if row["kind"] == "epoch"]

    def series(self, name: str, kind: str = "epoch") -> list[tuple[int, float]]:
        """Return (step, value) pairs of one metric, leaving out rows that lack it."""
        return [
            (row["step"], row[name])
            for row in self.rows
            if row["kind"] == kind and row.get(name) is not None
        ]

    def record(self) -> dict[str, Any]:
        """Return everything but weights and rows, ready for JSON."""
        return {
            "scheme": self.scheme.name,
            "settings": settings_of(self.scheme),
            "recipe": vars(self.recipe),
            "seed": self.seed,
            "data": self.data,
            "step": self.step,
            "steps": self.steps,
            "finished": self.finished,
            "input": _input_scale(self.model),
            "seconds": round(self.seconds, 3),
            "details": self.details,
            "provenance": self.provenance,
            "stretches": self.stretches,
        }

    def __repr__(self) -> str:
        done = "finished" if self.finished else f"{self.step} of {self.steps} steps"
        last = self.epochs[-1] if self.epochs else None
        loss = f", training loss {last['loss']:.3f}" if last else ""
        where = f", in {self.out}" if self.out else ""
        return (
            f"Run({self.scheme.name}, seed {self.seed}, {self.data['label']}, "
            f"{len(self.epochs)} epochs, {done}{loss}{where})"
        )


class RunFiles:
    """Writes a run's record and rows as they come.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / METRICS

    def begin(self, rows: list[Row]) -> None:
        """Start with the rows of the checkpoint; drop what a killed process wrote after it."""
        write_text(self.metrics, "".join(_line(row) for row in rows))

    def restore(self, run: Run) -> None:
        """Write what a finished run lacks: it may have been killed before its last lines."""
        kept = None
        with suppress(OSError, ValueError):
            kept = read_run(self.folder)
        if kept is None or not kept.get("finished"):
            self.record(run.record())
        rows = None
        with suppress(OSError, ValueError):
            rows = read_rows(self.folder)
        if rows != run.rows:
            self.begin(run.rows)

    def add(self, row: Row) -> None:
        """Append one row."""
        with explained(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(_line(row))

    def record(self, content: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_json(self.folder / RECORD, content)


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def read_rows(folder: str | Path) -> list[Row]:
    """Read the metrics of a run's folder, also while it is under way.

    A last line that is not complete yet is left out.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If another line is no row; names it.
    """
    path = user_path(folder) / METRICS
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            row = None
        if number == len(lines) and not row:
            break  # nothing follows the last end of a line, or what is being written
        if not isinstance(row, dict):
            raise ValueError(
                f"line {number} of {path} is no row of metrics; `nmlib train` with the same "
                "options writes the file anew"
            )
        rows += [row] if row else []
    return rows


def _input_scale(model: Mixable) -> dict[str, list[float]] | None:
    """Return the mean and the deviation that the model normalises its inputs by; no weights do."""
    scale = model.normalise
    if not isinstance(scale, Normalise):
        return None
    return {name: getattr(scale, name).flatten().tolist() for name in ("mean", "std")}


def read_run(folder: str | Path) -> dict[str, Any]:
    """Return the record of a run, see `Run.record`.

    Raises:
        FileNotFoundError: If there is no run.
        ValueError: If the file is damaged.
    """
    path = user_path(folder) / RECORD
    remedy = "run `nmlib train` with the same options again, which writes it anew"
    try:
        record = read_json(path, "the record of a run", needs=("details",), remedy=remedy)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, "no run is here; `nmlib train --out` makes one", str(folder)
        ) from None
    details = record["details"]
    if not isinstance(details, dict):
        raise ValueError(f"{path} is not the record of a run: details is no object; {remedy}")
    for name, kind in _DETAILS.items():
        if details.get(name) is not None and not isinstance(details[name], kind):
            raise ValueError(f"{path} is damaged: its {name} is {details[name]!r:.80}; {remedy}")
    return record


def load_model(folder: str | Path) -> Mixable:
    """Build the network that `nmlib train` trained in a folder, with the weights saved last.

    Args:
        folder: Given to `nmlib train --out`, or to `fit` with `details` that name the model:
            "model", "num_classes" and, if there were any, "options" of `build_model`.

    Returns:
        The model, ready to classify (in evaluation mode, on the CPU).

    Raises:
        FileNotFoundError: If there is no run.
        ValueError: If run.json does not name the model, or does not name all of its options.
    """
    record = read_run(folder)
    path, details = user_path(folder) / RECORD, record["details"]
    if not {"model", "num_classes"} <= set(details):
        raise ValueError(
            f"{path} does not name the model; build it yourself and use "
            f"load_weights({str(folder)!r})"
        )
    model = build_model(details["model"], details["num_classes"], **(details.get("options") or {}))
    if "input" in record and record["input"] != _input_scale(model):
        raise ValueError(
            f"the run in {folder} normalised its inputs by {record['input']}, the model that "
            f"{path} names by {_input_scale(model)}; build it yourself and use "
            f"load_weights({str(folder)!r}), or give fit details with 'options'"
        )
    load_into(model, load_weights(folder), folder)
    return model.eval()
