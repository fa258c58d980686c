"""Models on clean, corrupted and perturbed images."""

from nmlib.evaluation.checkpoints import CHECKPOINTS, Checkpoint, LoadedNetwork, load_checkpoint
from nmlib.evaluation.corruption_report import CorruptedSet, CorruptionReport
from nmlib.evaluation.corruptions import evaluate_corruptions
from nmlib.evaluation.imagenet import ImageNetReport, evaluate_imagenet
from nmlib.evaluation.perturbation_report import PerturbationReport, PerturbedSet
from nmlib.evaluation.perturbations import evaluate_perturbations
from nmlib.evaluation.predictions import (
    Predictions,
    TopPredictions,
    evaluate,
    model_fingerprint,
    predict,
)

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "CorruptedSet",
    "CorruptionReport",
    "ImageNetReport",
    "LoadedNetwork",
    "PerturbationReport",
    "PerturbedSet",
    "Predictions",
    "TopPredictions",
    "evaluate",
    "evaluate_corruptions",
    "evaluate_imagenet",
    "evaluate_perturbations",
    "load_checkpoint",
    "model_fingerprint",
    "predict",
]
