"""Errors under corruption, plain and relative to a reference network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from nmlib import _checks

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

ALEXNET_SEVERITY_ERRORS: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
    "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
    "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
    "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
    "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
    "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
    "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
    "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
    "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
    "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
    "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
    "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
    "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
}
"""AlexNet's error on ImageNet-C by severity; their means are `ALEXNET_ERRORS`."""

ALEXNET_CLEAN_ERROR = 0.43478
"""AlexNet's error on ImageNet (torchvision's weights: 56.522 % correct)."""

Errors = Mapping[str, float | ArrayLike]


def _share(name: str, value: float) -> float:
    return _checks.number(name, value, 0, 1, remedy="divide percent by 100")


def _mean_errors(errors: Errors, without: Iterable[str] = ()) -> dict[str, float]:
    """Check a table of errors; return the mean over severities for each of the 15 corruptions."""
    errors = _checks.table("errors", errors)
    without = _checks.as_tuple(without)
    for family in without:
        _checks.choice("family", family, CORRUPTION_FAMILIES)
    means = {}
    for family, names in CORRUPTION_FAMILIES.items():
        if family in without:
            continue
        for name in names:
            if name not in errors:
                raise ValueError(f"no error for {name!r}; the mean needs every corruption")
            value = _checks.array(f"errors[{name!r}]", errors[name])
            if value.shape not in ((), (5,)):
                raise ValueError(
                    f"errors[{name!r}] must be a number (the mean) or five (the severities), "
                    f"got shape {value.shape}"
                )
            if not (np.isfinite(value).all() and (value >= 0).all() and (value <= 1).all()):
                raise ValueError(
                    f"errors[{name!r}] must lie in [0, 1], got {value.tolist()}; divide percent "
                    "by 100"
                )
            means[name] = float(value.mean())
    if not means:
        raise ValueError(f"without={without} leaves no family to average over")
    return means


def _ratios(own: dict[str, float], reference: dict[str, float]) -> float:
    """Return the mean of the ratios, or raise where the reference is 0."""
    for name, value in reference.items():
        if not value:
            raise ValueError(
                f"the reference's error under {name} is 0 or equals its clean error, so nothing "
                "can be divided by it; use unnormalised_corruption_error"
            )
    return float(np.mean([own[name] / reference[name] for name in own]))


def mean_corruption_error(
    errors: Errors, *, reference: Errors = ALEXNET_ERRORS, without: Iterable[str] = ()
) -> float:
    r"""Mean corruption error relative to a reference network; 1 means as bad as the reference.

    $\mathrm{mCE} = \frac1{15}\sum_c \frac{\sum_s E_{s,c}}{\sum_s E^{ref}_{s,c}}$, a mean of ratios
    of sums. Multiply by 100 for the numbers in publications.

    Args:
        errors: Corruption name -> error in [0, 1]: the mean over the five severities, or a list
            of five. Names outside the benchmark's 15 are ignored.
        reference: The same for the reference network. The default, AlexNet, suits ImageNet-C only.
            CIFAR-C has no reference; see `unnormalised_corruption_error`.
        without: Families to leave out, e.g. ("noise",) for "(excluding noise)".

    Raises:
        ValueError: For a missing corruption or an error outside [0, 1].

    Source: Hendrycks & Dietterich (2019), eq. of sec. 4.2; the paper's sec. 4.2.

    >>> mean_corruption_error(ALEXNET_ERRORS)
    1.0
    """
    own, other = _mean_errors(errors, without), _mean_errors(reference, without)
    return _ratios(own, other)


def relative_mean_corruption_error(
    errors: Errors,
    clean_error: float,
    *,
    reference: Errors = ALEXNET_ERRORS,
    reference_clean_error: float = ALEXNET_CLEAN_ERROR,
    without: Iterable[str] = (),
) -> float:
    r"""Mean growth of the error under corruption, relative to the reference's growth.

    $\frac1{15}\sum_c \frac{\sum_s (E_{s,c} - E_{clean})}{\sum_s (E^{ref}_{s,c} -
    E^{ref}_{clean})}$.

    Args:
        errors: As for `mean_corruption_error`.
        clean_error: Error on clean images, in [0, 1].
        reference: As for `mean_corruption_error`.
        reference_clean_error: The reference network's error on clean images.
        without: Families to leave out.

    Raises:
        ValueError: For a missing corruption or an error outside [0, 1].

    Source: Hendrycks & Dietterich (2019), sec. 4.2.

    >>> round(relative_mean_corruption_error(ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR), 12)
    1.0
    """
    clean = _share("clean_error", clean_error)
    base = _share("reference_clean_error", reference_clean_error)
    own, other = _mean_errors(errors, without), _mean_errors(reference, without)
    return _ratios({n: own[n] - clean for n in own}, {n: other[n] - base for n in other})


def unnormalised_corruption_error(errors: Errors, *, without: Iterable[str] = ()) -> float:
    """Plain mean error over the 15 corruptions and five severities, as CIFAR-C papers report it.

    Some papers call it mCE, although no reference network normalises it.

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
