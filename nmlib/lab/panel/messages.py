"""Messages of a browser: one place reads them and answers them, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nmlib._checks import shown

__all__ = ["Message", "Reply", "answered"]

Reply = tuple[dict[str, Any], list[bytes]]
# A reply repeats these names and numbers, so that the browser finds the question.
_HEAD = ("id", "view", "gen")
_LONGEST_NAME = 64
# JavaScript's integers have gaps beyond it.
_LARGEST = 2**53


def _is_label(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_NAME
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= _LARGEST  # type: ignore[arg-type]


class Message:
    """A message of a browser. It can hold anything; only values of the expected form come out.

    Args:
        content: The message as the widget received it.

    Raises:
        ValueError: If it is not an object with names.

    >>> Message({"seen": None}).table("seen")
    {}
    >>> Message({"settings": 3}).table("settings")
    Traceback (most recent call last):
    ValueError: settings must be an object with names, got 3
    """

    def __init__(self, content: object) -> None:
        if not isinstance(content, Mapping):
            raise ValueError(f"a message must be an object with names, got {shown(content)}")
        self._content = content
        self.kind = content.get("kind")

    @property
    def head(self) -> dict[str, Any]:
        """The names and numbers that the reply repeats."""
        found = {name: self._content.get(name) for name in _HEAD}
        return {name: value for name, value in found.items() if _is_label(value)}

    def table(self, name: str, *, needed: bool = False) -> dict[str, Any]:
        """Return names with values; absent or null is empty, unless it is `needed`."""
        found = self._content.get(name)
        if found is None and not needed:
            return {}
        if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
            raise ValueError(f"{name} must be an object with names, got {shown(found)}")
        return dict(found)

    def one_of(self, name: str, allowed: Iterable[str]) -> str:
        """Return one of the names allowed; absent or null is the empty string."""
        found = self._content.get(name)
        if found is None:
            return ""
        if found not in (allowed := list(allowed)):
            raise ValueError(f"unknown {name} {shown(found)}; there are {', '.join(allowed)}")
        return str(found)


def answered(content: object, ask: Callable[[Message], Reply]) -> Reply:
    """Answer one message of a browser, "ask" or "ping"; never raise.

    Args:
        content: The message as the widget received it.
        ask: Answers a question.

    Returns:
        The reply with its buffers.
    """
    head: dict[str, Any] = {}
    reply: dict[str, Any] = {"kind": "ping"}
    buffers: list[bytes] = []
    try:
        message = Message(content)
        head = message.head
        if message.kind == "ask":
            reply, buffers = ask(message)
        elif message.kind != "ping":
            raise ValueError(f"unknown request kind {shown(message.kind)}; known are ask, ping")
    except Exception as error:  # whatever it is, the browser waits for a reply
        known = isinstance(error, (ValueError, TypeError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        reply, buffers = {"kind": "answer", "error": text}, []
    return {**reply, **head}, buffers
