"""One cell of a table: a scheme trained with a seed, and its measurements."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nmlib import _checks
from nmlib._files import file_name, read_json, user_path, write_json
from nmlib.corruptions import SEQUENCES, outdated
from nmlib.data import ImageData, load
from nmlib.evaluation import evaluate_corruptions, evaluate_perturbations
from nmlib.evaluation.storage import shares
from nmlib.identity import VERSION, differences, settings_of
from nmlib.models import MODELS, build_model
from nmlib.provenance import combined
from nmlib.schemes import Scheme
from nmlib.training import BUDGETS, Budget, Execution, fit

__all__ = ["Cell", "finished", "refuse_other_images", "run_cell"]

# Test images at each budget, for corruptions and for the (310 times longer) sequences.
TEST_IMAGES: dict[str, tuple[int | None, int | None]] = {
    "smoke": (200, 10),
    "laptop": (1000, 100),
    "long": (1000, 100),
    "paper": (None, None),
}

# Entries of a result that its readers need.
_RESULT: dict[str, type | tuple[type, ...]] = {
    "dataset": str, "model": str, "scheme": str, "seed": int, "budget": str, "precision": str,
    "clean_accuracy": (int, float), "robust_accuracy": (int, float), "accuracy": dict,
    "flip_probability": (dict, type(None)), "clean_hits": list, "robust_hits": list,
    "train_fingerprint": str, "test_fingerprint": str, "epochs": list, "provenance": dict,
    "sequences": (int, type(None)),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A training and its evaluation.

    Attributes:
        dataset: Name for `nmlib.load`.
        model: Name for `nmlib.build_model`.
        scheme: The scheme.
        seed: Of weights and draws.
        budget: A key of `nmlib.training.BUDGETS`.
        perturbations: Whether to measure flip probabilities as well.
        root: Folder that has the data set.
        label: What figures call the data.
        precision: Of training and evaluation: "fp32", or "bf16" by autocast.
        compile: Train with torch.compile.
        epochs: Instead of the budget's.

    Raises:
        ValueError: For an unknown name, or less than one epoch.
    """

    dataset: str
    model: str
    scheme: Scheme
    seed: int
    budget: str
    perturbations: bool = False
    root: str | None = None
    label: str | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    epochs: int | None = None

    def __post_init__(self) -> None:
        _checks.choice("model", self.model, MODELS)
        _checks.choice("budget", self.budget, BUDGETS)
        _checks.choice("precision", self.precision, ("fp32", "bf16"))
        _checks.keep(self, _checks.integer, "seed", least=0)
        if self.epochs is not None:
            _checks.keep(self, _checks.integer, "epochs", least=1)
        self.size.recipe()  # refuses a wrong number of epochs
        self.folder(".")  # refuses names that name no folder

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.scheme.name}, seed {self.seed}"

    @property
    def size(self) -> Budget:
        """The budget; with other epochs than its own it is called e.g. "long-200"."""
        named = BUDGETS[self.budget]
        if self.epochs is None or self.epochs == named.epochs:
            return named
        return replace(named, name=f"{named.name}-{self.epochs}", epochs=self.epochs)

    def folder(self, out: str | Path) -> Path:
        """Return the folder of its files."""
        data = file_name("label", self.label or self.dataset)
        scheme = file_name("scheme", self.scheme.name)
        return user_path(out) / data / self.size.name / self.model / scheme / f"seed-{self.seed}"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "scheme": self.scheme,
            "seed": self.seed,
            "budget": self.size,
            "test_images": list(TEST_IMAGES[self.budget]),
            "precision": self.precision,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Its identity as results store it, see `nmlib.identity`."""
        return {"version": VERSION, **settings_of(self.identity)}


def check_result(result: Any) -> None:
    """Raise ValueError unless a record holds what results hold, and numbers that one can have."""
    if not isinstance(result, Mapping):
        raise ValueError(f"it holds {result!r:.80}, no object")
    for name, kind in _RESULT.items():
        value = result.get(name)
        if name in result and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"its {name} is {value!r:.80}")
    for name in ("clean_accuracy", "robust_accuracy"):
        shares(name, result.get(name, np.nan))
    for name in ("accuracy", "flip_probability"):
        for values in (result.get(name) or {}).values():
            shares(name, values)


def read_result(path: Path, cell: Cell | None = None) -> dict[str, Any]:
    """Return the result in a file.

    Args:
        path: Of the file.
        cell: It must be the result of this cell, if given.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or of other settings; names the file and what is wrong.
    """
    remedy = "remove it; training and finished sets stay"
    result = read_json(path, "the result of a cell", remedy=remedy)
    if cell is not None:
        changed = list(differences(result.get("settings"), cell.identity, "settings"))
        if changed:
            words = ", ".join(f"{name} {before} -> {now}" for name, before, now in changed)
            raise ValueError(
                f"{path} is the result of other settings ({words}); choose another folder, or "
                "remove it"
            )
    try:
        check_result(result)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error
    return result


def finished(cell: Cell, out: str | Path) -> dict[str, Any] | None:
    """Return the result of a cell that has been run, or None.

    Raises:
        ValueError: If it is damaged, or the folder holds the result of other settings.
    """
    try:
        result = read_result(cell.folder(out) / "result.json", cell)
    except FileNotFoundError:
        return None
    flips = result.get("flip_probability")
    if cell.perturbations and (
        flips is None or set(outdated(result.get("sequences") or 1)) & set(flips)
    ):
        # Training and evaluation stand in the folder; only what is lacking is measured.
        return None
    return result


def _images(cell: Cell) -> tuple[ImageData, ImageData, ImageData]:
    """Return the training images, all test images, and those that are corrupted."""
    options: dict[str, Any] = {"root": cell.root, "label": cell.label}
    train = BUDGETS[cell.budget].cut(load(cell.dataset, "train", **options))
    test = load(cell.dataset, "test", **options)
    count = TEST_IMAGES[cell.budget][0]
    return train, test, test if count is None else test.first(min(count, len(test)))


def refuse_other_images(results: Mapping[Cell, Mapping[str, Any]], out: str | Path) -> None:
    """Raise if finished results are of other images than a grid would use now.

    Data that are not there are not asked for: results can be read without them.

    Raises:
        ValueError: If the fingerprints differ; names both, and what to do.
    """
    seen: dict[tuple[Any, ...], tuple[str, str] | None] = {}
    for cell, result in results.items():
        key = (cell.dataset, cell.root, cell.label, cell.budget)
        if key not in seen:
            try:
                train, _, shown = _images(cell)
                seen[key] = train.fingerprint, shown.fingerprint
            except OSError:
                seen[key] = None
        found = result.get("train_fingerprint"), result.get("test_fingerprint")
        if seen[key] is not None and None not in found and found != seen[key]:
            raise ValueError(
                f"{cell.folder(out) / 'result.json'} is of other images (training and test "
                f"fingerprint {', '.join(map(str, found))}) than those of --root now "
                f"({', '.join(seen[key] or ())}); choose another folder for the results, or give "
                "the data another label"
            )


def run_cell(
    cell: Cell, out: str | Path, *, device: str | None = None, progress: bool = False
) -> dict[str, Any]:
    """Train and evaluate a cell, or return its result if that has been done.

    Stopped at any moment, the same call goes on: training at its last checkpoint, evaluation after
    the last finished set.

    Args:
        cell: What to do.
        out: Folder for all cells.
        device: Where to compute; default as `fit`.
        progress: Show a bar.

    Returns:
        A record ready for JSON; accuracies are shares in [0, 1].
    """
    done = finished(cell, out)
    if done is not None:
        refuse_other_images({cell: done}, out)
        return done
    folder, budget = cell.folder(out), cell.size
    train, test, shown = _images(cell)
    sequences = TEST_IMAGES[cell.budget][1]
    layers = cell.scheme.model_options
    model = build_model(cell.model, len(train.classes), seed=cell.seed, **layers)
    key = {"model": cell.model, "scheme": cell.scheme.name, "seed": cell.seed}
    run = fit(
        model, train, cell.scheme, budget.recipe(precision=cell.precision), seed=cell.seed,
        out=folder / "training", device=device, progress=progress,
        execution=Execution(compile=cell.compile),
        details={
            "model": cell.model, "num_classes": len(train.classes), "options": layers,
            "dataset": cell.dataset, "budget": budget.name,
        },
    )  # fmt: skip
    model.eval()
    start = time.perf_counter()
    report = evaluate_corruptions(
        model, shown, key=key, out=folder / "corruptions", progress=progress or None,
        precision=cell.precision,
    )  # fmt: skip
    made = [run.provenance, {k: v for k, v in report.provenance.items() if k in run.provenance}]
    flips = None
    if cell.perturbations:
        few = test if sequences is None else test.first(min(sequences, len(test)))
        measured = evaluate_perturbations(
            model, few, key=key, out=folder / "sequences", progress=progress or None,
            precision=cell.precision,
        )  # fmt: skip
        flips = {row["perturbation"]: row["flip_probability"] for row in measured.rows}
        made.append({k: v for k, v in measured.provenance.items() if k in run.provenance})
    result = {
        "settings": cell.settings,
        "dataset": train.label,
        "model": cell.model,
        "scheme": cell.scheme.name,
        "switches": list(cell.scheme.switches),
        "seed": cell.seed,
        "budget": budget.name,
        "precision": cell.precision,
        **report.numbers(),
        "flip_probability": flips,
        "sequence_images": None if flips is None else len(few),
        "sequences": None if flips is None else SEQUENCES,
        "train_images": len(train),
        "test_images": len(shown),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": shown.fingerprint,
        "epochs": [{k: row.get(k) for k in ("epoch", "loss", "ce", "jsd")} for row in run.epochs],
        "training_seconds": round(run.seconds, 1),
        "evaluation_seconds": round(time.perf_counter() - start, 1),
        "provenance": combined(made),
    }
    write_json(folder / "result.json", result)
    return result
