"""Robustness measures: corruption errors, calibration, stability along sequences.

`RMSCalibrationError`, `AURRA` and `FlipProbability` are the same with a state, for torchmetrics.
"""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.metrics._corruption_errors import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    ALEXNET_SEVERITY_ERRORS,
    CORRUPTION_FAMILIES,
    family_errors,
    mean_corruption_error,
    relative_mean_corruption_error,
    robust_accuracy,
    unnormalised_corruption_error,
)

if TYPE_CHECKING:
    from nmlib.metrics._calibration import (
        ReliabilityCurve,
        aurra,
        brier_score,
        expected_calibration_error,
        negative_log_likelihood,
        reliability_curve,
        rms_calibration_error,
    )
    from nmlib.metrics._stability import (
        ALEXNET_FLIP_PROBABILITIES,
        flip_probability,
        flip_rate,
        mean_flip_rate,
        top5_distance,
    )
    from nmlib.metrics.stateful import AURRA, FlipProbability, RMSCalibrationError
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.metrics._calibration": (
                "ReliabilityCurve aurra brier_score expected_calibration_error "
                "negative_log_likelihood reliability_curve rms_calibration_error"
            ),
            "nmlib.metrics._stability": (
                "ALEXNET_FLIP_PROBABILITIES flip_probability flip_rate mean_flip_rate top5_distance"
            ),
            "nmlib.metrics.stateful": "AURRA FlipProbability RMSCalibrationError",
        },
    )

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "ALEXNET_FLIP_PROBABILITIES",
    "ALEXNET_SEVERITY_ERRORS",
    "AURRA",
    "CORRUPTION_FAMILIES",
    "FlipProbability",
    "RMSCalibrationError",
    "ReliabilityCurve",
    "aurra",
    "brier_score",
    "expected_calibration_error",
    "family_errors",
    "flip_probability",
    "flip_rate",
    "mean_corruption_error",
    "mean_flip_rate",
    "negative_log_likelihood",
    "relative_mean_corruption_error",
    "reliability_curve",
    "rms_calibration_error",
    "robust_accuracy",
    "top5_distance",
    "unnormalised_corruption_error",
]
