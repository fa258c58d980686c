"""Exercises of notebook 05: robust accuracy and calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nmlib.evaluation.predictions import Predictions
from nmlib.lab.display.verdict import Verdict, answering, ask, first_wrong, number_verdict
from nmlib.metrics import expected_calibration_error, rms_calibration_error

__all__ = ["check_calibration", "check_robust_accuracy"]


@answering
def check_robust_accuracy(answer: Callable[[Mapping[str, Sequence[float]], float], Any]) -> Verdict:
    """Check a function (accuracy, clean) -> robust accuracy.

    `accuracy` has one accuracy per severity for each corruption; `clean` is the accuracy on clean
    images. All are made up. One corruption has only three severities, so a mean over all sets
    differs from a mean of means.

    >>> check_robust_accuracy(lambda accuracy, clean: sum(accuracy["fog"]) / 5)
    ✗ not yet: that is one corruption alone.
    """
    # Twice, so that no constant passes.
    return first_wrong(_robust_accuracy(answer, made_up) for made_up in (5, 6))


def _robust_accuracy(answer: Callable[..., Any], made_up: int) -> Verdict:
    draw = np.random.default_rng(made_up)
    accuracy = {n: draw.uniform(0.2, 0.9, 5).tolist() for n in ("snow", "fog", "tilt")}
    accuracy["short"] = draw.uniform(0.2, 0.9, 3).tolist()
    clean = 0.95
    every = [v for levels in accuracy.values() for v in levels]
    truth = float(np.mean(every))
    means = [float(np.mean(levels)) for levels in accuracy.values()]
    slips = [
        ("that is one corruption alone.", means[1]),
        ("clean images do not count.", float(np.mean([*every, clean]))),
        ("that is the error; one minus it is the accuracy.", 1 - truth),
        ("that is in percent; accuracies here are shares.", 100 * truth),
        ("that is relative to clean images.", truth / clean),
        (
            "that is the hardest severity alone.",
            float(np.mean([levels[-1] for levels in accuracy.values()])),
        ),
        (
            "that is a mean of means: every set counts once, and one corruption has fewer.",
            float(np.mean(means)),
        ),
    ]
    kept = {n: list(levels) for n, levels in accuracy.items()}
    mine = ask(answer, kept, clean, wanted="a number")
    return number_verdict(mine, truth, "the plain mean over all corrupted sets.", slips)


@answering
def check_calibration(answer: Callable[[Any, Any], Any]) -> Verdict:
    """Check a function (confidence, correct) -> expected calibration error, 15 equal bins.

    >>> check_calibration(lambda confidence, correct: abs(confidence.mean() - correct.mean()))
    ✗ not yet: that is one bin for all; gaps of opposite sign cancel.
    """
    return first_wrong(_calibration(answer, made_up) for made_up in (8, 9))


def _calibration(answer: Callable[..., Any], made_up: int) -> Verdict:
    draw = np.random.default_rng(made_up)
    n, bins = 400, 15
    # Overconfident where confidence is high, underconfident where it is low, so that signs matter.
    confidence = np.round(draw.uniform(0.34, 0.995, n), 3)
    correct = draw.random(n) < np.clip(0.35 + 0.45 * confidence, 0, 1)
    correct[confidence < 0.5] = draw.random(int((confidence < 0.5).sum())) < 0.8
    rest = (1 - confidence) / 2
    probabilities = torch.tensor(np.stack([confidence, rest, rest], 1), dtype=torch.float64)
    found = Predictions(probabilities, torch.tensor(np.where(correct, 0, 1)))
    truth = float(expected_calibration_error(found, bins=bins))
    place = np.ceil(confidence * bins).astype(int) - 1
    inside = [place == k for k in range(bins) if (place == k).any()]
    gaps = np.array([confidence[i].mean() - correct[i].mean() for i in inside])
    weights = np.array([i.mean() for i in inside])
    slips = [
        (
            "that is one bin for all; gaps of opposite sign cancel.",
            abs(float(confidence.mean() - correct.mean())),
        ),
        ("take the absolute value of each bin's gap.", float((weights * gaps).sum())),
        ("weigh each bin by its share of predictions.", float(np.abs(gaps).mean())),
        ("divide by all predictions, not by the bins.", float(np.abs(gaps).sum())),
        ("that is the largest gap.", float(np.abs(gaps).max())),
        ("that is the root of the mean square.", float(np.sqrt((weights * gaps**2).sum()))),
        ("that is the RMS calibration error.", float(rms_calibration_error(found))),
        ("that is in percent.", 100 * truth),
    ]
    mine = ask(answer, confidence.copy(), correct.copy(), wanted="a number")
    return number_verdict(mine, truth, "it equals nmlib.expected_calibration_error.", slips)
