"""Robust fine-tuning: a trained network in, the same network more robust out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nmlib import _checks
from nmlib._files import user_path
from nmlib.corruptions import SEQUENCES
from nmlib.data import ImageData
from nmlib.evaluation import (
    CorruptionReport,
    PerturbationReport,
    evaluate_corruptions,
    evaluate_perturbations,
)
from nmlib.models import Mixable
from nmlib.provenance import combined
from nmlib.rng import default_device
from nmlib.schemes import Scheme, get_scheme
from nmlib.training import Recipe, Run, fit

__all__ = ["RECIPE", "SCHEME", "FineTuned", "robust_finetune"]

SCHEME = "augmix_noise"
"""The scheme that `robust_finetune` takes if none is named."""

RECIPE = Recipe(epochs=30, learning_rate=0.02)
"""The recipe of `robust_finetune`: the paper's, from a fifth of its rate, for 30 epochs."""


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned network, and what fine-tuning changed.

    Attributes:
        run: The training; `run.model` is the network.
        before: The network as it came, on clean and corrupted test images.
        after: The same network fine-tuned, on the same images.
        flips: Flip probabilities before and after, or None.
    """

    run: Run
    before: CorruptionReport
    after: CorruptionReport
    flips: tuple[PerturbationReport, PerturbationReport] | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What changed: a row for each measure with `before`, `after` and `change`.

        Accuracies and flip probabilities are shares in [0, 1]. Calibration errors are means over
        the corrupted sets.
        """
        names = ("expected_calibration_error", "rms_calibration_error", "aurra")
        before, after = self.before, self.after
        pairs = [
            ("clean accuracy", before.clean.accuracy, after.clean.accuracy),
            ("robust accuracy", before.robust_accuracy, after.robust_accuracy),
        ]
        pairs += [
            (f"{family} accuracy", value, after.families[family])
            for family, value in before.families.items()
        ]
        for name in names:
            old, new = (report.calibration["corrupted"][name] for report in (before, after))
            if old is not None and new is not None:
                pairs.append((name.replace("_", " "), old, new))
        if self.flips is not None:
            old, new = (report.mean_flip_probability for report in self.flips)
            pairs.append(("flip probability", old, new))
        return [
            {"measure": name, "before": old, "after": new, "change": new - old}
            for name, old, new in pairs
        ]

    @property
    def summary(self) -> str:
        """The gain and its price in a sentence."""
        gain, error = self.after.minus(self.before)
        clean = self.after.clean.accuracy - self.before.clean.accuracy
        return (
            f"{self.run.scheme.name}, {self.run.recipe.epochs} epochs on {self.run.data['label']}: "
            f"robust accuracy {100 * self.before.robust_accuracy:.1f} -> "
            f"{100 * self.after.robust_accuracy:.1f} % ({100 * gain:+.1f} ± {100 * error:.1f}), "
            f"clean accuracy {100 * self.before.clean.accuracy:.1f} -> "
            f"{100 * self.after.clean.accuracy:.1f} % ({100 * clean:+.1f})"
        )

    def record(self) -> dict[str, Any]:
        """Return all numbers as a record for JSON, with the columns of a trained cell.

        `before` holds those of the network as it came.
        """
        run, after = self.run, self.after
        made = [run.provenance, {k: v for k, v in after.provenance.items() if k in run.provenance}]
        flips: list[dict[str, float] | None] = [
            {row["perturbation"]: row["flip_probability"] for row in report.rows}
            for report in self.flips or ()
        ] or [None, None]
        return {
            "dataset": run.data["label"],
            "model": after.key["model"],
            "weights_sha256": after.key.get("sha256"),
            "scheme": run.scheme.name,
            "switches": list(run.scheme.switches),
            "seed": run.seed,
            "budget": f"finetune-{run.recipe.epochs}",
            "precision": run.recipe.precision,
            "learning_rate": run.recipe.learning_rate,
            **after.numbers(),
            "flip_probability": flips[1],
            "sequence_images": len(self.flips[1].sets[0].flips) if self.flips else None,
            "sequences": SEQUENCES if self.flips else None,
            "train_images": run.data["images"],
            "test_images": len(after.clean),
            "train_fingerprint": run.data["fingerprint"],
            "test_fingerprint": after.clean.fingerprint,
            "epochs": [{k: row[k] for k in ("epoch", "loss", "ce", "jsd")} for row in run.epochs],
            "training_seconds": round(run.seconds, 1),
            "before": {**self.before.numbers(), "flip_probability": flips[0]},
            "provenance": combined(made),
        }

    def table(self) -> str:
        """Return `rows` as text, shares in percent."""
        lines = [f"{'%':30}{'before':>8}{'after':>8}{'change':>8}"]
        for row in self.rows:
            before, after, change = (100 * row[k] for k in ("before", "after", "change"))
            lines.append(f"{row['measure']:30}{before:8.1f}{after:8.1f}{change:+8.1f}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"FineTuned({self.summary})"


def robust_finetune(
    model: Mixable,
    train: ImageData,
    test: ImageData,
    scheme: Scheme | str = SCHEME,
    *,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    flips: int = 0,
    evaluation: Mapping[str, Any] | None = None,
    key: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
    **options: Any,
) -> FineTuned:
    """Fine-tune a trained network by one of the schemes, and report what it gained and lost.

    The model is trained in place, by `fit`; its batch statistics move, as in any training. With
    `out`, both evaluations and the training are kept there: stopped at any moment, the same call,
    with the network as it was, goes on.

    Args:
        model: A trained network of images in [0, 1] with mix points: `MixPoints` of any module, or
            one from `build_model`. Of the scheme's mix points those are used that the model has.
        train: Training images, or whatever else `fit` takes.
        test: Test images, for the report alone.
        scheme: Of `SCHEMES` or `ABLATION`, its name, or your own.
        recipe: Optimiser settings; `precision` holds for the evaluation, too.
        seed: Of all draws.
        flips: Number of test images on which flip probabilities are measured, too, by ten
            sequences of 16 or 31 frames each.
        evaluation: More arguments of `evaluate_corruptions`, e.g. `{"severities": [3]}`.
        key: What the rows of both reports are keyed by, besides scheme and seed.
        out: Folder of everything.
        device: Default: the accelerator, or the CPU.
        progress: Show bars.
        **options: More arguments of `fit`.

    Returns:
        The trained network's run, and reports before and after.

    Raises:
        ValueError: For settings that do not fit together.
        TrainingInterrupted: See `fit`, also for other errors of the training.

    >>> import nmlib as nm
    >>> data = nm.load("fashion-mini").first(40), nm.load("fashion-mini", "test").first(20)
    >>> net = nm.build_model("preact_resnet_small")
    >>> short = Recipe(epochs=1, batch_size=20, learning_rate=0.02)
    >>> few = {"corruptions": ["fog", "contrast"], "severities": [3]}
    >>> robust_finetune(net, *data, recipe=short, evaluation=few, device="cpu", progress=False)
    FineTuned(augmix_noise, 1 epochs on fashion-mini: robust accuracy ...)
    """
    scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme
    flips = _checks.integer("flips", flips, 0)
    target = torch.device(device) if device else default_device()
    folder = None if out is None else user_path(out)
    if isinstance(scheme, Scheme) and isinstance(model, Mixable):
        there = tuple(point for point in scheme.points if point < model.num_points)
        scheme = replace(scheme, points=there or scheme.points)
        model.to(target)

    def measured(when: str) -> tuple[CorruptionReport, PerturbationReport | None]:
        name = getattr(scheme, "name", None) if when == "after" else None
        shared: dict[str, Any] = {
            "key": {**(key or {}), "scheme": name, "seed": seed}, "device": target,
            "precision": recipe.precision, "progress": progress or None,
            "out": None if folder is None else folder / when,
        }  # fmt: skip
        report = evaluate_corruptions(model, test, **shared, **(evaluation or {}))
        if not flips:
            return report, None
        return report, evaluate_perturbations(model, test.first(min(flips, len(test))), **shared)

    before, steady_before = measured("before")
    run = fit(
        model, train, scheme, recipe, seed=seed, device=target, progress=progress,
        out=None if folder is None else folder / "training", **options,
    )  # fmt: skip
    after, steady_after = measured("after")
    pair = (steady_before, steady_after) if steady_before and steady_after else None
    return FineTuned(run, before, after, pair)
