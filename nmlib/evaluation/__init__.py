"""Models on clean, corrupted and perturbed images."""

from nmlib.evaluation.corruptions import CorruptedSet, CorruptionReport, evaluate_corruptions
from nmlib.evaluation.perturbations import (
    PerturbationReport,
    PerturbedSet,
    evaluate_perturbations,
)
from nmlib.evaluation.predictions import Predictions, evaluate, model_fingerprint, predict

__all__ = [
    "CorruptedSet",
    "CorruptionReport",
    "PerturbationReport",
    "PerturbedSet",
    "Predictions",
    "evaluate",
    "evaluate_corruptions",
    "evaluate_perturbations",
    "model_fingerprint",
    "predict",
]
