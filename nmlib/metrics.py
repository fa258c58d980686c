"""Robustness measures: corruption errors, calibration, stability along sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmlib import _checks

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "ALEXNET_FLIP_PROBABILITIES",
    "CORRUPTION_FAMILIES",
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

CORRUPTION_FAMILIES: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
"""The 15 corruptions of the benchmark by family, in official order."""

ALEXNET_ERRORS: dict[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""AlexNet's error on ImageNet-C, mean over the five severities: the benchmark's reference."""

ALEXNET_CLEAN_ERROR = 0.43478
"""AlexNet's error on ImageNet (torchvision's weights: 56.522 % correct)."""

ALEXNET_FLIP_PROBABILITIES: dict[str, float] = {
    "gaussian_noise": 0.2365,
    "shot_noise": 0.3006,
    "motion_blur": 0.0930,
    "zoom_blur": 0.0594,
    "snow": 0.1193,
    "brightness": 0.0489,
    "translate": 0.1101,
    "rotate": 0.1310,
    "tilt": 0.0705,
    "scale": 0.2353,
}
"""AlexNet's flip probabilities on ImageNet-P. The official sheet could not be read; these agree
with the published flip rates of other networks to within rounding."""

Errors = Mapping[str, float | ArrayLike]


def _mean_errors(errors: Errors, without: Iterable[str] = ()) -> dict[str, float]:
    """Check a table of errors; return the mean over severities of the benchmark's corruptions."""
    without = set(without)
    for family in without:
        _checks.choice("family", family, CORRUPTION_FAMILIES)
    means = {}
    for family, names in CORRUPTION_FAMILIES.items():
        if family in without:
            continue
        for name in names:
            if name not in errors:
                raise ValueError(f"no error for {name!r}; all corruptions of the mean are needed")
            value = np.asarray(errors[name], dtype=np.float64)
            if value.ndim > 1 or value.size not in (1, 5):
                raise ValueError(
                    f"errors[{name!r}] must be one mean or five severities, got shape {value.shape}"
                )
            if not (np.isfinite(value).all() and (value >= 0).all() and (value <= 1).all()):
                raise ValueError(
                    f"errors[{name!r}] must lie in [0, 1], got {value.tolist()}; divide percent "
                    "by 100"
                )
            means[name] = float(value.mean())
    return means


def mean_corruption_error(
    errors: Errors, *, reference: Errors = ALEXNET_ERRORS, without: Iterable[str] = ()
) -> float:
    r"""Mean corruption error relative to a reference network, 1 meaning "as bad as it".

    $\mathrm{mCE} = \frac1{15}\sum_c \frac{\sum_s E_{s,c}}{\sum_s E^{ref}_{s,c}}$, a mean of ratios
    of sums. Multiply by 100 for the numbers in publications.

    Args:
        errors: Corruption name -> error in [0, 1], the mean over or the list of the five
            severities. Names outside the benchmark's 15 are left out.
        reference: The same for the reference network, AlexNet by default: for ImageNet-C only.
            For CIFAR there is no reference; see `unnormalised_corruption_error`.
        without: Families to leave out, e.g. ("noise",) for "(excluding noise)".

    Raises:
        ValueError: For a missing corruption or an error outside [0, 1].

    Source: Hendrycks & Dietterich (2019), eq. of sec. 4.2; the paper's sec. 4.2.

    >>> mean_corruption_error(ALEXNET_ERRORS)
    1.0
    """
    own, other = _mean_errors(errors, without), _mean_errors(reference, without)
    return float(np.mean([own[name] / other[name] for name in own]))


def relative_mean_corruption_error(
    errors: Errors,
    clean_error: float,
    *,
    reference: Errors = ALEXNET_ERRORS,
    reference_clean_error: float = ALEXNET_CLEAN_ERROR,
    without: Iterable[str] = (),
) -> float:
    r"""Mean over corruptions of the error's growth relative to the reference's growth.

    $\frac1{15}\sum_c \frac{\sum_s (E_{s,c} - E_{clean})}{\sum_s (E^{ref}_{s,c} -
    E^{ref}_{clean})}$.

    Args:
        errors: As for `mean_corruption_error`.
        clean_error: Error on clean images, in [0, 1].
        reference: As for `mean_corruption_error`.
        reference_clean_error: The reference network's error on clean images.
        without: Families to leave out.

    Source: Hendrycks & Dietterich (2019), sec. 4.2.

    >>> round(relative_mean_corruption_error(ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR), 12)
    1.0
    """
    own, other = _mean_errors(errors, without), _mean_errors(reference, without)
    return float(
        np.mean([(own[n] - clean_error) / (other[n] - reference_clean_error) for n in own])
    )


def unnormalised_corruption_error(errors: Errors, *, without: Iterable[str] = ()) -> float:
    """Plain mean error over the 15 corruptions and five severities: what CIFAR-C papers report.

    Some of them call it mCE; it is not normalised by any network.

    Args:
        errors: As for `mean_corruption_error`.
        without: Families to leave out.

    >>> round(unnormalised_corruption_error(ALEXNET_ERRORS), 4)
    0.789
    """
    return float(np.mean(list(_mean_errors(errors, without).values())))


def robust_accuracy(errors: Errors, *, without: Iterable[str] = ()) -> float:
    """One minus `unnormalised_corruption_error`: the paper's robust accuracy.

    Source: the mean over 15 x 5 sets in the paper's Tables 1 to 4.

    >>> round(robust_accuracy(ALEXNET_ERRORS, without=("noise",)), 3)
    0.239
    """
    return 1.0 - unnormalised_corruption_error(errors, without=without)


def family_errors(errors: Errors) -> dict[str, float]:
    """Return the mean error of each family.

    >>> {k: round(v, 3) for k, v in family_errors(ALEXNET_ERRORS).items()}
    {'noise': 0.901, 'blur': 0.808, 'weather': 0.769, 'digital': 0.706}
    """
    means = _mean_errors(errors)
    return {
        family: float(np.mean([means[n] for n in names]))
        for family, names in CORRUPTION_FAMILIES.items()
    }


Reference = Literal["previous", "first"]


def _check_sequence(frames: int, reference: str, stride: int) -> None:
    _checks.choice("reference", reference, ("previous", "first"))
    if stride < 1 or (reference == "first" and stride != 1):
        raise ValueError(
            f"stride must be >= 1, and 1 when frames are compared with the first, got {stride}"
        )
    if frames <= stride:
        raise ValueError(f"{frames} frame(s) are too few to compare frames {stride} apart")


def flip_probability(
    predictions: ArrayLike | Tensor, *, reference: Reference = "previous", stride: int = 1
) -> float:
    r"""Probability that a prediction differs from that of the reference frame.

    $\frac1n\sum_i \frac1{F-1}\sum_{j\ge1} 1[\hat y_{i,j} \ne \hat y_{i,\mathrm{ref}(j)}]$. Labels
    play no part.

    Args:
        predictions: (n, F) predicted classes of n sequences of F frames.
        reference: "previous" frame, or the "first": what the benchmark does for its noise
            sequences, whose frames have no order.
        stride: Compare frames this far apart (the benchmark's difficulty; always 1 in published
            results).

    Raises:
        ValueError: For another shape or too few frames.

    Source: Hendrycks & Dietterich (2019), sec. 4.3; the paper's Tables 13 and 14.

    >>> flip_probability([[0, 0, 1, 1], [2, 2, 2, 2]])
    0.16666666666666666
    >>> flip_probability([[0, 0, 1, 1], [2, 2, 2, 2]], reference="first")
    0.3333333333333333
    """
    seen: NDArray
    if isinstance(predictions, Tensor):
        seen = predictions.detach().cpu().numpy()
    else:
        seen = np.asarray(predictions)
    if seen.ndim != 2 or seen.shape[0] == 0:
        raise ValueError(f"predictions must have shape (n, frames), got {seen.shape}")
    _check_sequence(seen.shape[1], reference, stride)
    base = seen[:, :1] if reference == "first" else seen[:, :-stride]
    return float((seen[:, stride:] != base).mean())


def flip_rate(
    probabilities: Mapping[str, float],
    *,
    reference: Mapping[str, float] = ALEXNET_FLIP_PROBABILITIES,
) -> dict[str, float]:
    """Return each sequence's flip probability over the reference network's.

    Args:
        probabilities: Perturbation name -> flip probability in [0, 1].
        reference: The same for the reference network (AlexNet: for ImageNet-P only).

    >>> flip_rate({"snow": 0.1193})
    {'snow': 1.0}
    """
    for name in probabilities:
        _checks.choice("perturbation", name, reference)
    return {name: float(p) / reference[name] for name, p in probabilities.items()}


def mean_flip_rate(
    probabilities: Mapping[str, float],
    *,
    reference: Mapping[str, float] = ALEXNET_FLIP_PROBABILITIES,
    without: Sequence[str] = (),
) -> float:
    """Return the mean flip rate over all sequences of the reference.

    Args:
        probabilities: As for `flip_rate`; all names of the reference are needed.
        reference: As for `flip_rate`.
        without: Sequences to leave out, e.g. the two kinds of noise.

    >>> mean_flip_rate(ALEXNET_FLIP_PROBABILITIES)
    1.0
    """
    names = [n for n in reference if n not in without]
    missing = [n for n in names if n not in probabilities]
    if missing:
        raise ValueError(f"no flip probability for {', '.join(missing)}")
    rates = flip_rate({n: probabilities[n] for n in names}, reference=reference)
    return float(np.mean(list(rates.values())))


def top5_distance(scores: Tensor, *, reference: Reference = "previous", stride: int = 1) -> float:
    r"""How far the five best classes move in the ranking, mean over frames and sequences.

    $d = \sum_{j=0}^{4} |j - \min(r_j, 5)|$ with $r_j$ the new rank (from 0) of the class that had
    rank j.

    Args:
        scores: (n, F, K) logits or probabilities, K >= 5.
        reference: As for `flip_probability`.
        stride: As for `flip_probability`.

    Raises:
        ValueError: For another shape, fewer than 5 classes or too few frames.

    Source: Hendrycks & Dietterich (2019), sec. 4.3.

    >>> a, b = torch.arange(9.0).flip(0), torch.arange(9.0)
    >>> top5_distance(torch.stack([a, a])[None]), top5_distance(torch.stack([a, b])[None])
    (0.0, 14.0)
    """
    if scores.ndim != 3 or scores.shape[0] == 0:
        raise ValueError(f"scores must have shape (n, frames, classes), got {tuple(scores.shape)}")
    if scores.shape[2] < 5:
        raise ValueError(f"top-5 distance needs at least 5 classes, got {scores.shape[2]}")
    _check_sequence(scores.shape[1], reference, stride)
    order = torch.argsort(scores.detach(), dim=2, descending=True, stable=True)
    rank = torch.empty_like(order)
    places = torch.arange(scores.shape[2], device=scores.device)
    rank.scatter_(2, order, places.expand_as(order))
    now = rank[:, stride:]
    before = order[:, :1] if reference == "first" else order[:, :-stride]
    moved = now.gather(2, before[:, :, :5].expand(-1, now.shape[1], -1))
    distance = (places[:5] - moved.clamp(max=5)).abs().sum(2)
    return float(distance.to(torch.float64).mean())


class Predicted(Protocol):
    """Anything that holds predictions, such as the result of `evaluate`."""

    @property
    def probabilities(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...


Given = ArrayLike | Tensor | Predicted
Labels = ArrayLike | Tensor | None


def _tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    # A copy: torch warns about arrays that it may not write to.
    return torch.from_numpy(np.array(values))


def _checked(probabilities: Given, labels: Labels) -> tuple[Tensor, Tensor]:
    """Return probabilities (N, K) float64 and labels (N,) int64 on the CPU, or raise."""
    if labels is None:
        if not hasattr(probabilities, "probabilities"):
            raise TypeError("labels are missing; pass probabilities and labels, or predictions")
        given: Any = probabilities
        probabilities, labels = given.probabilities, given.labels
    elif hasattr(probabilities, "probabilities"):
        raise TypeError("predictions hold their own labels; leave the argument labels out")
    p, y = _tensor(probabilities), _tensor(labels)
    if p.ndim != 2 or p.shape[0] == 0:
        raise ValueError(f"probabilities must have shape (N, classes), got {tuple(p.shape)}")
    if y.shape != p.shape[:1]:
        raise ValueError(
            f"{p.shape[0]} rows of probabilities, but labels of shape {tuple(y.shape)}; one label "
            "a row is needed"
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
    _checks.class_labels(y, p.shape[1])
    return p.to(torch.float64), y.to(torch.int64)


def _confidence(probabilities: Given, labels: Labels) -> tuple[NDArray, NDArray]:
    """Return the highest probability and whether that class is right, as float64 arrays."""
    p, y = _checked(probabilities, labels)
    confidence, predicted = p.max(1)
    return confidence.numpy(), (predicted == y).to(torch.float64).numpy()


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
    return int(value)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy by confidence, in bins of equal width: what a reliability diagram shows.

    Attributes:
        edges: (bins + 1,) borders; bin b is the interval (edges[b], edges[b + 1]].
        count: (bins,) predictions in the bin.
        confidence: (bins,) their mean confidence, NaN in an empty bin.
        accuracy: (bins,) the share that is right, NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """(bins,) confidence minus accuracy: above 0 where the model is too sure of itself."""
        return self.confidence - self.accuracy

    def error(self, norm: Literal["l1", "l2", "max"] = "l1") -> float:
        """Return the expected calibration error, see `expected_calibration_error`."""
        _checks.choice("norm", norm, ("l1", "l2", "max"))
        filled = self.count > 0
        gap, share = np.abs(self.gap[filled]), self.count[filled] / self.count.sum()
        if norm == "l1":
            return float((share * gap).sum())
        return float(np.sqrt((share * gap**2).sum()) if norm == "l2" else gap.max())

    @classmethod
    def pooled(cls, curves: Iterable[ReliabilityCurve]) -> ReliabilityCurve:
        """Return the curve of all predictions together, exactly.

        Raises:
            ValueError: For no curve at all, or curves with different bins.
        """
        curves = list(curves)
        if not curves:
            raise ValueError("there is no curve to pool")
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
    r"""Sort predictions into bins of equal width by confidence; return accuracy in each.

    The confidence is $\max_k p_k$. Bins are open below and closed above, so a confidence of
    exactly 1 is in the last one.

    Args:
        probabilities: (N, K), rows sum to 1; or an object with `probabilities` and `labels`, such
            as the result of `evaluate`.
        labels: (N,) integers in [0, K).
        bins: Number of bins, >= 1.

    Raises:
        TypeError: For integer probabilities or labels that are not integers.
        ValueError: For NaN, rows that do not sum to 1, lengths that differ, labels out of range.

    >>> curve = reliability_curve([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0, 1, 1], bins=2)
    >>> curve.count.tolist(), curve.confidence.round(3).tolist(), curve.accuracy.round(3).tolist()
    ([0, 3], [nan, 0.767], [nan, 0.667])
    """
    bins = _whole("bins", bins)
    confidence, correct = _confidence(probabilities, labels)
    edges = np.linspace(0, 1, bins + 1)
    # Rounding may carry a sum of float32 probabilities above 1.
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, values, minlength=bins) for values in (confidence, correct))
    return ReliabilityCurve(edges, count, *(_ratio(total, count) for total in sums))


def expected_calibration_error(
    probabilities: Given,
    labels: Labels = None,
    *,
    bins: int = 15,
    norm: Literal["l1", "l2", "max"] = "l1",
) -> float:
    r"""How far confidence and accuracy are apart, over bins of equal width.

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
    r"""Root mean square calibration error over bins of equally many predictions.

    Predictions are sorted by confidence and cut into bins of `bin_size`; the last bin takes the
    remainder. $\sqrt{\sum_b \frac{n_b}{N}\,(\mathrm{conf}_b - \mathrm{acc}_b)^2}$.

    Args:
        probabilities: As for `reliability_curve`. Equal confidences stay in the order given.
        labels: As for `reliability_curve`.
        bin_size: Predictions in a bin, >= 1.
        reference_compatible: Leave the most confident bin out of the sum, N as before: what the
            reference implementations do, so the one to use beside published numbers.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: As for `reliability_curve`; with `reference_compatible`, for fewer than
            2 * bin_size predictions, where no bin would be left.

    Source: Hendrycks, Mazeika & Dietterich (2019), the paper's Table 11.
    Differs: the reference implementations drop the most confident bin; here only on request.
        With fewer predictions than `bin_size` there is one bin of all of them.

    >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]
    >>> round(rms_calibration_error(p, [0, 1, 0, 1], bin_size=2), 6)
    0.35
    >>> round(rms_calibration_error(p, [0, 1, 0, 1], bin_size=2, reference_compatible=True), 6)
    0.247487
    """
    bin_size = _whole("bin_size", bin_size)
    confidence, correct = _confidence(probabilities, labels)
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
    confidence, correct = _confidence(probabilities, labels)
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    share = np.bincount(group, correct) / size
    right = np.cumsum(np.repeat(share, size))
    return float((right / np.arange(1, len(right) + 1)).mean())


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
    p, y = _checked(probabilities, labels)
    right = p.gather(1, y[:, None])[:, 0]
    return float((p.square().sum(1) - 2 * right + 1).mean())


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
    p, y = _checked(probabilities, labels)
    right = p.gather(1, y[:, None]).clamp(min=torch.finfo(torch.float32).tiny)
    return float(-right.log().mean())
