"""Exercises of notebook 07: the paper's arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nmlib.lab.display.verdict import Verdict, answering, matching_slip, named

__all__ = ["check_rounding", "check_suspect"]


@answering
def check_rounding(function: Callable[[int], Any]) -> Verdict:
    """Check `function(parts)`: how far rounding can move a mean printed with one digit.

    The mean of `parts` numbers and the numbers themselves are printed in tenths.

    >>> check_rounding(lambda parts: 0.1)
    ✓ right: half a tenth from the mean, half a tenth from its parts.
    >>> check_rounding(lambda parts: 0.05)
    ✗ not yet: the parts are rounded too, all perhaps the same way.
    """
    wrong = matching_slip(
        function, [(15,), (3,)], lambda parts: 0.1,
        [
            ("the parts are rounded too, all perhaps the same way.", lambda parts: 0.05),
            (
                "the mean divides the errors of its parts by their number.",
                lambda parts: 0.05 * (parts + 1),
            ),
            (
                "errors of changing signs add up to that; in the worst case all have one sign.",
                lambda parts: 0.05 + 0.05 / parts**0.5,
            ),
        ],
    )  # fmt: skip
    if wrong is None:
        return Verdict(True, "half a tenth from the mean, half a tenth from its parts.")
    return Verdict(False, wrong)


@answering
def check_suspect(answer: str | None, table: int = 9) -> Verdict:
    """Check a guess at the method whose row contradicts its printed average.

    Args:
        answer: Name of the method, or None.
        table: Table of corruptions.

    >>> check_suspect("Mixup")
    ✗ not yet: that row agrees with its printed average.
    """
    from nmlib.paper import audit
    from nmlib.paper.numbers import read_table

    if answer is None:
        return Verdict(None, "name a method, then run again.")
    answer = named(answer, "method", sorted(set(read_table(table)["method"])))
    for f in audit().query("kind == 'average'").itertuples():
        if f.against == table and f.method == answer:
            return Verdict(
                True, f"it averages {f.recomputed:.1f}, Table {f.table} prints {f.printed:.1f}."
            )
    return Verdict(False, "that row agrees with its printed average.")
