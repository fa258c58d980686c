"""Exercises of notebook 09: the weight of noise in Table 5, and what the test sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nmlib.lab.display.verdict import Verdict, answering, matching_slip, number_verdict

__all__ = ["check_seen", "check_weight"]


@answering
def check_weight(function: Callable[[float, float, float], Any]) -> Verdict:
    """Check `function(mean, noise, rest)`: the weight w with mean = w noise + (1 - w) rest.

    >>> check_weight(lambda mean, noise, rest: 3 / 15)
    ✗ not yet: that is the share of noise among 15 corruptions; find it from the three numbers.
    """
    wrong = matching_slip(
        function, [(77.0, 50.0, 86.0), (62.0, 20.0, 68.0)], _weight,
        [
            (
                "that is the share of noise among 15 corruptions; find it from the three numbers.",
                lambda mean, noise, rest: 3 / 15,
            ),
            ("that is the weight of the rest.", lambda *three: 1 - _weight(*three)),
            (
                "divide by the difference of rest and noise, not by the rest.",
                lambda mean, noise, rest: (rest - mean) / rest,
            ),
            ("its sign is wrong.", lambda *three: -_weight(*three)),
        ],
    )  # fmt: skip
    if wrong is None:
        return Verdict(True, "a mean lies between its parts, and where it lies gives the weight.")
    return Verdict(False, wrong)


def _weight(mean: float, noise: float, rest: float) -> float:
    return (rest - mean) / (rest - noise)


@answering
def check_seen(answer: float | None, side: int = 32) -> Verdict:
    """Check how many pixels of a side the test sees, resized to 256 and cropped to 224.

    >>> check_seen(24)
    ✗ not yet: that would be 32 less 8; 256 - 224 counts pixels of the enlarged image.
    """
    if answer is None:
        return Verdict(None, "give a number of pixels, then run again.")
    return number_verdict(
        answer, side * 224 / 256,
        "an eighth of each side is never seen, almost a quarter of the image's area.",
        [
            ("that is the whole side; the crop takes something away.", float(side)),
            (
                f"that would be {side} less 8; 256 - 224 counts pixels of the enlarged image.",
                float(side - 8),
            ),
            ("that is the side of the crop, in pixels of the enlarged image.", 224.0),
            ("that is the area; take its root.", (side * 224 / 256) ** 2),
        ],
    )  # fmt: skip
