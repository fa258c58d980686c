"""Messages of a browser: one place reads them and answers them, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from nmlib._checks import integer, shown

__all__ = ["Message", "Reply", "answered", "pong"]

Reply = tuple[dict[str, Any], list[bytes]]
# A reply repeats these names and numbers, so that the browser finds the question.
_HEAD = ("id", "view", "gen")
_LONGEST_NAME = 64
# JavaScript's integers have gaps beyond it.
_LARGEST = 2**53


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_label(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_NAME
    return _is_number(value) and abs(value) <= _LARGEST


class Message:
    """A message of a browser. It can hold anything; only values of the expected form come out.

    Args:
        content: The message as the widget received it.

    Raises:
        ValueError: If it is not an object with names.

    >>> Message({"size": 2.0, "seen": None}).whole("size", 1, 512)
    2
    >>> Message({"size": 600}).whole("size", 1, 512)
    Traceback (most recent call last):
    ValueError: size must be an integer from 1 to 512, got 600
    """

    def __init__(self, content: object) -> None:
        if not isinstance(content, Mapping):
            raise ValueError(f"a message must be an object with names, got {shown(content)}")
        self._content = content
        self.kind = content.get("kind")

    def __contains__(self, name: str) -> bool:
        return self._content.get(name) is not None

    @property
    def head(self) -> dict[str, Any]:
        """The names and numbers that the reply repeats."""
        found = {name: self._content[name] for name in _HEAD if name in self}
        return {name: value for name, value in found.items() if _is_label(value)}

    @property
    def view(self) -> str:
        """Name of the view that sent the message; empty if it has none."""
        return str(self.head.get("view", ""))

    def flag(self, name: str) -> bool:
        """Return whether a switch is on; absent is off."""
        return self._content.get(name) is True

    def table(self, name: str, *, needed: bool = False) -> dict[str, Any]:
        """Return names with values; absent or null is empty, unless it is `needed`."""
        found = self._content.get(name)
        if found is None and not needed:
            return {}
        if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
            raise ValueError(f"{name} must be an object with names, got {shown(found)}")
        return dict(found)

    def whole(self, name: str, low: int, high: int, default: int = 0) -> int:
        """Return an integer in [low, high]; absent or null is `default`."""
        found = self._content.get(name)
        return default if found is None else integer(name, found, low, high)

    def names(
        self, name: str, allowed: Iterable[str], default: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Return a list of different names out of `allowed`; absent or null is `default`."""
        found, allowed = self._content.get(name), list(allowed)
        if found is None:
            return tuple(default)
        if not isinstance(found, (list, tuple)):
            raise ValueError(f"{name} must be a list of names, got {shown(found)}")
        for one in found:
            if one not in allowed:
                raise ValueError(f"unknown {name} {shown(one)}; there are {', '.join(allowed)}")
        return tuple(dict.fromkeys(found))

    def one_of(self, name: str, allowed: Iterable[str]) -> str:
        """Return one of the names allowed; absent or null is the empty string."""
        found = self._content.get(name)
        if found is None:
            return ""
        if found not in (allowed := list(allowed)):
            raise ValueError(f"unknown {name} {shown(found)}; there are {', '.join(allowed)}")
        return str(found)

    def rows(self, name: str, width: int, most: int) -> list[list[float]]:
        """Return at most `most` rows of `width` finite numbers."""
        found = self._content.get(name)
        if not isinstance(found, (list, tuple)) or len(found) > most:
            raise ValueError(f"{name} must be a list of up to {most} rows, got {shown(found)}")
        for row in found:
            right = isinstance(row, (list, tuple)) and len(row) == width
            if not right or not all(_is_number(v) and abs(v) <= _LARGEST for v in row):
                raise ValueError(f"{name} must hold rows of {width} numbers, got {shown(row)}")
        return [list(row) for row in found]


def answered(
    content: object,
    kinds: Mapping[str, Callable[[Message], Reply]],
    refuse: Callable[[str], dict[str, Any]],
) -> Reply:
    """Answer one message of a browser; never raise.

    Args:
        content: The message as the widget received it.
        kinds: A function for each kind of message.
        refuse: Makes the reply that carries an error message.

    Returns:
        The reply with its buffers.
    """
    head: dict[str, Any] = {}
    try:
        message = Message(content)
        head = message.head
        kind = message.kind
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"unknown request kind {shown(kind)}; known are {', '.join(kinds)}")
        reply, buffers = kinds[kind](message)
    except Exception as error:  # whatever it is, the browser waits for a reply
        known = isinstance(error, (ValueError, TypeError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        reply, buffers = refuse(text), []
    return {**reply, **head}, buffers


def pong(_: Message) -> Reply:
    """Answer a browser that asks whether the kernel is there."""
    return {"kind": "ping"}, []
