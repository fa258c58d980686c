"""Exercises of notebook 06: effects of switches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from nmlib.lab.display.verdict import Unusable, Verdict, answering, matching_slip, named
from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng
from nmlib.statistics import Cells, effects

__all__ = ["check_mean_gain", "check_new_row"]


@answering
def check_mean_gain(function: Callable[[float, float, float, float], Any]) -> Verdict:
    """Check `function(none, a, b, both)`: the gain of a, averaged over both orders.

    >>> check_mean_gain(lambda none, a, b, both: (a - none + both - b) / 2)
    ✓ right: a first and a last count alike.
    >>> check_mean_gain(lambda none, a, b, both: a - none)
    ✗ not yet: that is the gain of a alone; a may also come after b.
    """
    trials = [(1.0, 3.0, 4.0, 9.0), (47.4, 53.2, 49.5, 58.7)]
    wrong = matching_slip(
        function,
        trials,
        lambda none, a, b, both: (a - none + both - b) / 2,
        [
            (
                "that is the gain of a alone; a may also come after b.",
                lambda none, a, b, both: a - none,
            ),
            (
                "that is the gain of a after b; a may also come first.",
                lambda none, a, b, both: both - b,
            ),
            (
                "that shares the whole gain equally, whatever a and b do alone.",
                lambda none, a, b, both: (both - none) / 2,
            ),
            (
                "that is the gain of b.",
                lambda none, a, b, both: (b - none + both - a) / 2,
            ),
            (
                "that is the interaction: how much the gain of a changes when b is on.",
                lambda none, a, b, both: both - b - a + none,
            ),
            ("take the mean of the two gains, not their sum.",
             lambda none, a, b, both: a - none + both - b),
        ],
    )  # fmt: skip
    if wrong is None:
        return Verdict(True, "a first and a last count alike.")
    return Verdict(False, wrong)


@answering
def check_new_row(answer: Sequence[str] | None) -> Verdict:
    """Check whether one more row of Table 4 would identify every interaction of two switches.

    As in the heat map, we assume that augmentations and JSD loss do not interact.

    Args:
        answer: Switches that are on in the new row, or None.

    >>> check_new_row(("jsd_loss",)).right
    False
    """
    if answer is None:
        return Verdict(None, f"name the switches of the row, some of {', '.join(SWITCHES)}.")
    if isinstance(answer, str):
        answer = (answer,)
    if not isinstance(answer, Iterable):
        raise Unusable(f"give the names of switches in brackets, not {answer!r}.")
    switches = [named(switch, "switch", SWITCHES) for switch in answer]
    row = tuple(s in switches for s in SWITCHES)
    cells = ablation()
    if row in cells.rows:
        return Verdict(False, "Table 4 has that row already.")
    augmented, _, noisy, compared = row
    if compared and not augmented and not noisy:
        return Verdict(False, "that row cannot be trained: its three views are the same image.")
    # The rows alone decide which terms are identified, so any value will do.
    grown = Cells(SWITCHES, np.vstack([cells.on, row]), np.vstack([cells.values, [0.0]]))
    found = effects(grown, Rng(0), resamples=2, without=[(SWITCHES[0], SWITCHES[3])])
    left = [" x ".join(t) for t, known in zip(found.terms, found.identified, strict=True)
            if not known]  # fmt: skip
    if left:
        return Verdict(False, f"with it these stay open: {', '.join(left)}.")
    return Verdict(True, "with it the eleven rows determine all five interactions.")
