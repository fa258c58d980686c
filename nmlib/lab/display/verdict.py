"""What a check answers, and how a wrong answer is compared with the usual slips.

A reader's answer may be anything: a function that raises, a boolean, a list instead of a tensor.
`ask`, `number`, `entries` and `named` turn it into what a check works with; what they cannot use
becomes a verdict in one line, never a traceback.
"""

from __future__ import annotations

import functools
import math
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nmlib import __version__, _checks, _files

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Unusable",
    "Verdict",
    "Verdicts",
    "answering",
    "ask",
    "entries",
    "first_difference",
    "first_wrong",
    "matching_slip",
    "named",
    "number",
    "number_verdict",
]


_Check = TypeVar("_Check", bound=Callable[..., Any])


@dataclass(frozen=True)
class Verdict:
    """The answer of a check.

    Attributes:
        right: None while there is nothing to check.
        message: What to tell the reader.
    """

    right: bool | None
    message: str

    def __repr__(self) -> str:
        sign = {None: "· not tried yet", True: "✓ right", False: "✗ not yet"}[self.right]
        return f"{sign}: {self.message}"


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a notebook's exercises: what is solved and what is open.

    Attributes:
        notebook: Name of the notebook.
        of: Verdict of each exercise, by name.

    >>> Verdicts("01", {"my_mix": Verdict(True, "it mixes."), "my_jsd": Verdict(None, "write it.")})
    1 of 2 solved
    my_mix  ✓ right: it mixes.
    my_jsd  · not tried yet: write it.
    """

    notebook: str
    of: Mapping[str, Verdict]

    def record(self) -> dict[str, Any]:
        """Return what `save` writes: no times, so that the same answers give the same record."""
        exercises = [
            {"exercise": name, "solved": v.right is True, "tried": v.right is not None,
             "message": v.message}
            for name, v in self.of.items()
        ]  # fmt: skip
        solved = sum(v.right is True for v in self.of.values())
        return {
            "format": 1, "nmlib": __version__, "notebook": self.notebook, "solved": solved,
            "open": len(self.of) - solved, "exercises": exercises,
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the record as JSON, for a grader to read.

        Args:
            path: The file; an older one is replaced.

        Returns:
            The file.
        """
        return _files.write_json(path, self.record())

    def __repr__(self) -> str:
        width = max(map(len, self.of), default=0)
        lines = [f"{name:{width}}  {verdict}" for name, verdict in self.of.items()]
        return "\n".join([f"{self.record()['solved']} of {len(self.of)} solved", *lines])


class Unusable(Exception):
    """An answer that cannot be checked; `answering` turns it into its verdict."""

    def __init__(self, message: str, right: bool | None = False) -> None:
        super().__init__(message)
        self.verdict = Verdict(right, message)


def answering(check: _Check) -> _Check:
    """Let a check answer with the verdict of an answer that it cannot use."""

    @functools.wraps(check)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return check(*args, **kwargs)
        except Unusable as stop:
            return stop.verdict

    return run  # type: ignore[return-value]


def ask(function: Any, *arguments: Any, wanted: str) -> Any:
    """Call the reader's function.

    Args:
        function: The answer.
        *arguments: What to call it with.
        wanted: What it should return, e.g. "a number".

    Raises:
        Unusable: If it is no function, raises, or returns None.
    """
    if not callable(function):
        wrong = "None" if function is None else f"{_short(function)} itself"
        raise Unusable(f"give the function, without calling it, not {wrong}.")
    try:
        mine = function(*arguments)
    except NotImplementedError:
        mine = None
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        text = text if len(text) <= 200 else f"{text[:197]}..."
        words = f"your function raises {type(error).__name__}: {text}"
        raise Unusable(f"{words}{_place(error, function)}.") from None
    if mine is None or mine is Ellipsis:
        raise Unusable(f"return {wanted} instead of {mine}, then run again.", right=None)
    return mine


def _place(error: BaseException, function: Any) -> str:
    """Return the reader's line that raised, as far as there is one."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [f.line for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f", in the line: {lines[-1]}" if lines and lines[-1] else ""


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def number(answer: Any, say: str = "return one number") -> float:
    """Turn an answer into a finite float.

    Raises:
        Unusable: If it is a boolean, a text, several numbers, or not finite.
    """
    kind = str(getattr(answer, "dtype", "")).removeprefix("torch.")
    if isinstance(answer, (bool, str, bytes)) or kind == "bool":
        raise Unusable(f"{say}, not {_short(answer)}.")
    try:
        if np.ndim(answer):
            raise Unusable(f"{say}.")
        value = float(answer)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise Unusable(f"{say}, not {_short(answer)}.") from None
    if not math.isfinite(value):
        raise Unusable(f"{say}, not {value:g}.")
    return value


def entries(answer: Any, like: Tensor, hint: str = "") -> Tensor:
    """Turn an answer into a tensor of the shape and type of another.

    Raises:
        Unusable: If it has another shape, or no numbers.
    """
    import torch

    shape = f"return a tensor of shape {tuple(like.shape)}{hint}."
    try:
        tensor = isinstance(answer, torch.Tensor)
        mine = answer.detach() if tensor else torch.as_tensor(np.asarray(answer))
    except (TypeError, ValueError, RuntimeError):
        raise Unusable(shape) from None
    if mine.shape != like.shape or mine.dtype == torch.bool or mine.is_complex():
        raise Unusable(shape)
    return mine.to(like)


def named(answer: Any, what: str, options: Iterable[str]) -> str:
    """Return the option that an answer names; capitals and spaces around it do not matter.

    Raises:
        Unusable: If there is no such option; the message suggests the nearest.
    """
    known = list(options)
    if isinstance(answer, str):
        same = [name for name in known if name.lower() == answer.strip().lower()]
        if len(same) == 1:
            return same[0]
        try:
            _checks.choice(what, answer, known)
        except ValueError as error:
            raise Unusable(f"{error}.") from None
        return answer
    raise Unusable(f"name a {what} in quotation marks, not {_short(answer)}.")


def first_wrong(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first verdict of several trials that is not right, else the last."""
    for verdict in verdicts:
        if verdict.right is not True:
            break
    return verdict


def first_difference(mine: Tensor, truth: Tensor, slips: Sequence[tuple[str, Tensor]]) -> str:
    """Say which slip an answer looks like, else where it first differs."""
    import torch

    for name, slip in slips:
        if mine.shape == slip.shape and torch.allclose(mine, slip, atol=1e-6):
            return name
    at = tuple((~torch.isclose(mine, truth, atol=1e-6)).nonzero()[0].tolist())
    return _differs(f"at {list(at)}", float(mine[at]), float(truth[at]))


def _differs(where: str, mine: float, truth: float) -> str:
    words = f"{where} yours is {mine:.4g}, right is {truth:.4g}."
    return f"the numbers differ from the definition: {words}"


def matching_slip(
    function: Callable[..., Any],
    trials: Sequence[tuple[Any, ...]],
    truth: Callable[..., float],
    slips: Sequence[tuple[str, Callable[..., float]]],
) -> str | None:
    """Compare a function of numbers with the truth; return None if right, else what went wrong."""
    mine = [number(ask(function, *t, wanted="a number")) for t in trials]

    def agrees(other: Callable[..., float]) -> bool:
        return all(abs(m - other(*t)) < 1e-6 for m, t in zip(mine, trials, strict=True))

    if agrees(truth):
        return None
    for message, slip in slips:
        if agrees(slip):
            return message
    wrong = next(k for k, t in enumerate(trials) if abs(mine[k] - truth(*t)) >= 1e-6)
    where = "for " + ", ".join(f"{v:g}" for v in trials[wrong])
    return _differs(where, mine[wrong], truth(*trials[wrong]))


def number_verdict(
    answer: Any, truth: float, right: str, slips: Sequence[tuple[str, float]], where: str = "here"
) -> Verdict:
    """Compare a number with the truth, then with what each slip would have given."""
    value = number(answer)

    def close(other: float) -> bool:
        return math.isclose(value, other, rel_tol=1e-4, abs_tol=1e-9)

    if close(truth):
        return Verdict(True, right)
    found = (message for message, other in slips if close(other))
    return Verdict(False, next(found, None) or _differs(where, value, truth))
