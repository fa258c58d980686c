"""Models on clean, corrupted and perturbed images."""

from nmlib.evaluation.corruption_report import CorruptedSet, CorruptionReport
from nmlib.evaluation.corruptions import evaluate_corruptions
from nmlib.evaluation.perturbation_report import PerturbationReport, PerturbedSet
from nmlib.evaluation.perturbations import evaluate_perturbations
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
