"""Checks for the exercises of the notebooks: what is right, or which slip it looks like."""

from nmlib.exercises._verdict import Verdict
from nmlib.exercises.blocks import check_augmix, check_effective_level, check_largest
from nmlib.exercises.results import check_calibration, check_robust_accuracy
from nmlib.exercises.tables import check_mean_gain, check_new_row, check_rounding, check_suspect
from nmlib.exercises.theory import check_moments, check_noise_term
from nmlib.exercises.toy import check_collapse, check_jsd, check_mix, check_prediction

__all__ = [
    "Verdict",
    "check_augmix",
    "check_calibration",
    "check_collapse",
    "check_effective_level",
    "check_jsd",
    "check_largest",
    "check_mean_gain",
    "check_mix",
    "check_moments",
    "check_new_row",
    "check_noise_term",
    "check_prediction",
    "check_robust_accuracy",
    "check_rounding",
    "check_suspect",
]
