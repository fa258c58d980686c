"""Robustness measures: corruption errors and the stability of predictions along sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

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
    "family_errors",
    "flip_probability",
    "flip_rate",
    "mean_corruption_error",
    "mean_flip_rate",
    "relative_mean_corruption_error",
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
