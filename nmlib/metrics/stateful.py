"""The paper's measures with the interface of torchmetrics: update, compute, reset.

They need torchmetrics (`nmlib[metrics]`) and work wherever its metrics do: in a loop, in Lightning,
in a `MetricCollection`, over several processes. Their values are those of the functions of
`nmlib.metrics` for all data together, to the last digit. `nmlib.metrics` finds them by name.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ImportError:
    raise ImportError("stateful metrics need torchmetrics: pip install torchmetrics") from None

from nmlib import _checks
from nmlib.metrics._calibration import confidence_of, response_area, rms_gap
from nmlib.metrics._stability import Reference, count_flips

__all__ = ["AURRA", "FlipProbability", "RMSCalibrationError"]


class _OfConfidence(Metric):
    """Keeps the confidence of every prediction, and whether it is right.

    The measures sort all predictions by confidence, so that no smaller state would do. It takes
    five bytes for a prediction in single precision, whatever the number of classes.
    """

    is_differentiable = False
    full_state_update = False
    confidence: list[Tensor]
    correct: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("confidence", [], dist_reduce_fx="cat")
        self.add_state("correct", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in probabilities (B, K) and labels (B,), checked as by the function."""
        confidence, correct = confidence_of(preds, target)
        self.confidence.append(confidence.to(self.device))
        self.correct.append(correct.to(self.device))

    def _kept(self) -> tuple[Tensor, Tensor]:
        if not len(self.confidence):
            raise ValueError("there are no predictions yet; call update first")
        return dim_zero_cat(self.confidence), dim_zero_cat(self.correct)

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.device)


class RMSCalibrationError(_OfConfidence):
    """`nmlib.metrics.rms_calibration_error` of all predictions since the last reset.

    Args:
        bin_size: As for the function.
        reference_compatible: As for the function.
        options: Of `torchmetrics.Metric`.

    >>> metric = RMSCalibrationError(bin_size=2)
    >>> metric.update(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([0, 1]))
    >>> metric.update(torch.tensor([[0.7, 0.3], [0.4, 0.6]]), torch.tensor([0, 1]))
    >>> round(float(metric.compute()), 6)
    0.35
    """

    higher_is_better = False

    def __init__(
        self, *, bin_size: int = 100, reference_compatible: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.bin_size = _checks.integer("bin_size", bin_size, 1)
        self.reference_compatible = _checks.truth("reference_compatible", reference_compatible)

    def compute(self) -> Tensor:
        """Return the error, a number in [0, 1]."""
        return self._scalar(rms_gap(*self._kept(), self.bin_size, self.reference_compatible))


class AURRA(_OfConfidence):
    """`nmlib.metrics.aurra` of all predictions since the last reset.

    Args:
        options: Of `torchmetrics.Metric`.

    >>> metric = AURRA()
    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> round(float(metric(p, torch.tensor([0, 1, 1]))), 4)
    0.7222
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Return the area, a number in [0, 1]."""
        return self._scalar(response_area(*self._kept()))


class FlipProbability(Metric):
    """`nmlib.metrics.flip_probability` of all sequences since the last reset.

    The state is two counts. Sequences of different lengths weigh by the pairs of frames compared.

    Args:
        reference: As for the function.
        stride: As for the function.
        options: Of `torchmetrics.Metric`.

    >>> metric = FlipProbability()
    >>> metric.update(torch.tensor([[0, 0, 1, 1]]))
    >>> metric.update(torch.tensor([[2, 2, 2, 2]]))
    >>> round(float(metric.compute()), 4)
    0.1667
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better = False
    flips: Tensor
    pairs: Tensor

    def __init__(
        self, *, reference: Reference = "previous", stride: int = 1, **options: Any
    ) -> None:
        super().__init__(**options)
        _checks.choice("reference", reference, ("previous", "first"))
        self.reference, self.stride = reference, _checks.integer("stride", stride, 1)
        self.add_state("flips", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor) -> None:
        """Take in the predicted classes (B, F) of B sequences of F frames."""
        flips, pairs = count_flips(preds, self.reference, self.stride)
        self.flips += flips
        self.pairs += pairs

    def compute(self) -> Tensor:
        """Return the probability."""
        if not int(self.pairs):
            raise ValueError("there are no sequences yet; call update first")
        value = int(self.flips) / int(self.pairs)
        return torch.tensor(value, dtype=torch.float64, device=self.device)
