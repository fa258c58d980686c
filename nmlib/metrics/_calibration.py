"""Calibration errors, ranking by confidence, and proper scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmlib import _checks


class Predicted(Protocol):
    """Anything that holds predictions, such as the result of `evaluate`."""

    @property
    def probabilities(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...


class Summarised(Protocol):
    """What is left of predictions whose probabilities are not kept, all of it (N,)."""

    @property
    def confidence(self) -> Tensor: ...

    @property
    def correct(self) -> Tensor: ...

    @property
    def true_probability(self) -> Tensor: ...

    @property
    def square_sum(self) -> Tensor: ...


Given = ArrayLike | Tensor | Predicted | Summarised
Labels = ArrayLike | Tensor | None


def _checked(probabilities: Given, labels: Labels) -> tuple[Tensor, Tensor]:
    """Return probabilities (N, K) in their own type and labels (N,) int64 on the CPU, or raise."""
    if labels is None:
        if not hasattr(probabilities, "probabilities"):
            raise TypeError("labels are missing; pass probabilities and labels, or predictions")
        given: Any = probabilities
        probabilities, labels = given.probabilities, given.labels
    elif hasattr(probabilities, "probabilities"):
        raise TypeError("predictions hold their own labels; leave the argument labels out")
    p = _checks.tensor("probabilities", probabilities).detach().cpu()
    y = _checks.column(labels).detach().cpu()
    if p.ndim != 2 or not p.numel():
        raise ValueError(f"probabilities must have shape (N, classes), got {tuple(p.shape)}")
    if y.shape != p.shape[:1]:
        raise ValueError(
            f"{p.shape[0]} rows of probabilities, but labels of shape {tuple(y.shape)}; give one "
            "label for each row"
        )
    if not p.is_floating_point():
        raise TypeError(f"probabilities must be floating-point numbers, got dtype {p.dtype}")
    missing = int((~torch.isfinite(p)).any(1).sum())
    if missing:
        raise ValueError(
            f"probabilities hold NaN or infinity in {missing} of {len(p)} rows; the model has "
            "diverged or the images hold NaN"
        )
    _checks.probabilities("probabilities", p, "logits need torch.softmax(logits, -1) first")
    return p, _checks.class_labels(y, p.shape[1])


def _is_summary(given: Given, labels: Labels) -> bool:
    return labels is None and hasattr(given, "square_sum") and not hasattr(given, "probabilities")


def _true_and_squares(probabilities: Given, labels: Labels) -> tuple[Tensor, Tensor]:
    """Return the true class's probability and the sum of squares, (N,) float64."""
    if _is_summary(probabilities, labels):
        kept: Any = probabilities
        return kept.true_probability.to(torch.float64), kept.square_sum.to(torch.float64)
    p, y = _checked(probabilities, labels)
    p = p.to(torch.float64)
    return p.gather(1, y[:, None])[:, 0], p.square().sum(1)


def confidence_of(probabilities: Given, labels: Labels) -> tuple[Tensor, Tensor]:
    """Return the largest probability of each row, in its own type, and where it is right."""
    if _is_summary(probabilities, labels):
        kept: Any = probabilities
        return kept.confidence, kept.correct
    p, y = _checked(probabilities, labels)
    confidence, predicted = p.max(1)
    return confidence, predicted == y


def _doubles(confidence: Tensor, correct: Tensor) -> tuple[NDArray, NDArray]:
    return tuple(v.cpu().to(torch.float64).numpy() for v in (confidence, correct))  # type: ignore[return-value]


def _edges(bins: int, kind: torch.dtype) -> NDArray[np.float64]:
    """Return the (bins + 1,) multiples of 1 / bins, rounded to a type.

    0.6 in single precision exceeds 9/15 in double precision, so the edges depend on the type. Of
    two ways to compute an edge take the larger result, because bins are closed above.
    """
    exact = np.maximum(np.linspace(0, 1, bins + 1), np.arange(bins + 1) / bins)
    return torch.from_numpy(exact).to(kind).to(torch.float64).numpy()


@dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy by confidence, in bins of equal width: the data of a reliability diagram.

    Attributes:
        edges: (bins + 1,) edges; bin b is the interval (edges[b], edges[b + 1]].
        count: (bins,) number of predictions.
        confidence: (bins,) mean confidence, NaN in an empty bin.
        accuracy: (bins,) share of right predictions, NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.array, "edges", "count", "confidence", "accuracy")
        object.__setattr__(self, "count", self.count.astype(np.int64))

    @property
    def gap(self) -> NDArray[np.float64]:
        """(bins,) confidence minus accuracy: above 0 where the model is overconfident."""
        return self.confidence - self.accuracy

    def error(self, norm: Literal["l1", "l2", "max"] = "l1") -> float:
        """Return the expected calibration error, see `expected_calibration_error`."""
        _checks.choice("norm", norm, ("l1", "l2", "max"))
        filled = self.count > 0
        gap, share = np.abs(self.gap[filled]), self.count[filled] / self.count.sum()
        if norm == "l1":
            return float((share * gap).sum())
        return float(np.sqrt((share * gap**2).sum()) if norm == "l2" else gap.max(initial=0))

    @classmethod
    def pooled(cls, curves: Iterable[ReliabilityCurve]) -> ReliabilityCurve:
        """Return the exact curve of all predictions together.

        Raises:
            ValueError: If there is no curve, or the bins differ.
        """
        curves = list(curves)
        if not curves:
            raise ValueError("there is no curve to pool")
        if not all(isinstance(c, ReliabilityCurve) for c in curves):
            raise TypeError(f"curves come from reliability_curve, got {_checks.shown(curves)}")
        edges = curves[0].edges
        if any(not np.array_equal(c.edges, edges) for c in curves):
            raise ValueError("the curves have different bins; compute them with the same `bins`")
        count = np.sum([c.count for c in curves], axis=0)
        weighted = [
            (np.nan_to_num(c.confidence) * c.count, np.nan_to_num(c.accuracy) * c.count)
            for c in curves
        ]
        sums = np.sum(weighted, axis=0)
        return cls(edges, count, *(_ratio(total, count) for total in sums))


def _ratio(total: NDArray, count: NDArray) -> NDArray[np.float64]:
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def reliability_curve(
    probabilities: Given, labels: Labels = None, *, bins: int = 15
) -> ReliabilityCurve:
    r"""Sort predictions by confidence into bins of equal width; return the accuracy in each.

    The confidence is $\max_k p_k$. Bins are open below and closed above, so a confidence of
    exactly 1 falls into the last one. Edges are rounded to the type of the probabilities: 0.6 of
    any type ends the ninth of 15 bins.

    Args:
        probabilities: (N, K), rows sum to 1; or the result of `evaluate`, or another object with
            `probabilities` and `labels`.
        labels: (N,) integers in [0, K).
        bins: Number of bins, >= 1.

    Raises:
        TypeError: For integer probabilities or labels that are not integers.
        ValueError: For NaN, rows that do not sum to 1, lengths that differ, labels out of range.

    >>> curve = reliability_curve([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0, 1, 1], bins=2)
    >>> curve.count.tolist(), curve.confidence.round(3).tolist(), curve.accuracy.round(3).tolist()
    ([0, 3], [nan, 0.767], [nan, 0.667])
    """
    bins = _checks.integer("bins", bins, 1)
    given, right = confidence_of(probabilities, labels)
    (confidence, correct), edges = _doubles(given, right), _edges(bins, given.dtype)
    # Rounding may carry a sum of float32 probabilities above 1.
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, values, minlength=bins) for values in (confidence, correct))
    means = (_ratio(total, count) for total in sums)
    return ReliabilityCurve(np.linspace(0, 1, bins + 1), count, *means)


def expected_calibration_error(
    probabilities: Given,
    labels: Labels = None,
    *,
    bins: int = 15,
    norm: Literal["l1", "l2", "max"] = "l1",
) -> float:
    r"""Distance between confidence and accuracy, over bins of equal width.

    $\sum_b \frac{n_b}{N}\,|\mathrm{acc}_b - \mathrm{conf}_b|$ for "l1"; the root of the weighted
    mean square for "l2"; the largest gap for "max".

    Args:
        probabilities: As for `reliability_curve`.
        labels: As for `reliability_curve`.
        bins: Number of bins, >= 1.
        norm: "l1", "l2" or "max".

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: As for `reliability_curve`, and for an unknown norm.

    Source: Naeini et al. (2015); Guo et al. (2017), eq. 3; 15 bins as in the authors' evaluation.

    >>> p = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]]
    >>> round(expected_calibration_error(p, [0, 1, 1], bins=2), 4)
    0.1
    """
    return reliability_curve(probabilities, labels, bins=bins).error(norm)


def rms_calibration_error(
    probabilities: Given,
    labels: Labels = None,
    *,
    bin_size: int = 100,
    reference_compatible: bool = False,
) -> float:
    r"""Root mean square calibration error over bins with equal numbers of predictions.

    Predictions are sorted by confidence and cut into bins of `bin_size`; the last bin takes the
    remainder. $\sqrt{\sum_b \frac{n_b}{N}\,(\mathrm{conf}_b - \mathrm{acc}_b)^2}$.

    Args:
        probabilities: As for `reliability_curve`. Equal confidences keep their given order.
        labels: As for `reliability_curve`.
        bin_size: Predictions per bin, >= 1.
        reference_compatible: Leave the most confident bin out of the sum but not out of N, as the
            reference implementations do. Use it to compare with published numbers.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: As for `reliability_curve`; with `reference_compatible`, for fewer than
            2 * bin_size predictions, where no bin would be left.

    Source: Hendrycks, Mazeika & Dietterich (2019), the paper's Table 11.
    Differs: the reference implementations drop the most confident bin; here only on request.
        Fewer predictions than `bin_size` make a single bin.

    >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]
    >>> round(rms_calibration_error(p, [0, 1, 0, 1], bin_size=2), 6)
    0.35
    >>> round(rms_calibration_error(p, [0, 1, 0, 1], bin_size=2, reference_compatible=True), 6)
    0.247487
    """
    bin_size = _checks.integer("bin_size", bin_size, 1)
    return rms_gap(*confidence_of(probabilities, labels), bin_size, reference_compatible)


def rms_gap(given: Tensor, right: Tensor, bin_size: int, reference_compatible: bool) -> float:
    """Return the RMS calibration error of confidences (N,) and of where they are right."""
    confidence, correct = _doubles(given, right)
    total = len(confidence)
    if reference_compatible and total < 2 * bin_size:
        raise ValueError(
            f"{total} predictions make one bin of {bin_size}, and reference_compatible=True leaves "
            f"it out; give at least {2 * bin_size} or use reference_compatible=False"
        )
    order = np.argsort(confidence, kind="stable")
    gap = (confidence - correct)[order]
    starts = np.arange(max(1, total // bin_size)) * bin_size
    sums = np.add.reduceat(gap, starts)
    sizes = np.diff(np.append(starts, total))
    squares = sums**2 / sizes
    return float(np.sqrt((squares[:-1] if reference_compatible else squares).sum() / total))


def aurra(probabilities: Given, labels: Labels = None) -> float:
    r"""Area under the response rate accuracy curve: does the model know when it is wrong?

    $\frac1N\sum_{k=1}^{N} \mathrm{acc}(\text{the } k \text{ most confident predictions})$: the
    mean accuracy of a model that may decline to answer, over all response rates.

    Args:
        probabilities: As for `reliability_curve`.
        labels: As for `reliability_curve`.

    Returns:
        A number in [0, 1]; larger is better.

    Raises:
        ValueError: As for `reliability_curve`.

    Source: Hendrycks et al. (2021), The Many Faces of Robustness; the paper's Table 11.
    Differs: equal confidences count with their mean accuracy, the expectation over all orders;
        the reference implementations leave the order to the sorting routine.

    >>> aurra([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0, 1, 1])  # (1 + 1/2 + 2/3) / 3
    0.7222222222222222
    """
    return response_area(*confidence_of(probabilities, labels))


def response_area(given: Tensor, right: Tensor) -> float:
    """Return the AURRA of confidences (N,) and of where they are right."""
    confidence, correct = _doubles(given, right)
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    share = np.bincount(group, correct) / size
    sums = np.cumsum(np.repeat(share, size))
    return float((sums / np.arange(1, len(sums) + 1)).mean())


def brier_score(probabilities: Given, labels: Labels = None) -> float:
    r"""Mean squared distance between the probabilities and the one-hot label.

    $\frac1N\sum_i \sum_k (p_{ik} - 1[y_i = k])^2$, between 0 and 2.

    Args:
        probabilities: As for `reliability_curve`.
        labels: As for `reliability_curve`.

    Raises:
        ValueError: As for `reliability_curve`.

    Source: Brier (1950).

    >>> round(brier_score([[0.9, 0.1], [0.4, 0.6]], [0, 0]), 6)
    0.37
    """
    right, squares = _true_and_squares(probabilities, labels)
    return float((squares - 2 * right + 1).mean())


def negative_log_likelihood(probabilities: Given, labels: Labels = None) -> float:
    r"""Mean of $-\ln p_{y}$, in nats.

    A probability of 0 counts as the smallest normal float32, about 1.2e-38 (87 nats).

    Args:
        probabilities: As for `reliability_curve`.
        labels: As for `reliability_curve`.

    Raises:
        ValueError: As for `reliability_curve`.

    >>> round(negative_log_likelihood([[0.5, 0.5], [0.25, 0.75]], [0, 0]), 4)
    1.0397
    """
    right, _ = _true_and_squares(probabilities, labels)
    # Rounding may carry a probability above 1.
    return abs(float(right.clamp(torch.finfo(torch.float32).tiny, 1).log().mean()))
