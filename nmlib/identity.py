"""What makes a run the same run: its settings as plain data that outlive new fields.

A stored run must be found again after an update that gives `Scheme` or `Recipe` another field. So
only the settings that differ from their defaults are written, and a setting that a stored run does
not name has its default.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from torch import nn

__all__ = ["VERSION", "differences", "settings_of", "structure_of", "text_of"]

VERSION = 2
"""Of the format. Raise it when a default changes, and say here what to read into older ones.

Version 1 wrote the `repr` of scheme and recipe; `differences` still reads it.
"""

_NOTHING = "nothing"


def settings_of(value: Any) -> Any:
    """Return settings as dicts, lists, numbers and texts, without what has its default value.

    A dataclass becomes a dict of its class name ("kind") and the fields that differ from their
    defaults. Fields without a part in equality are left out.

    >>> from nmlib import Mixup, Scheme
    >>> settings_of(Scheme("mixup", mix=Mixup(0.5)))
    {'kind': 'Scheme', 'name': 'mixup', 'mix': {'kind': 'Mixup', 'alpha': 0.5}}
    """
    if is_dataclass(value) and not isinstance(value, type):
        found = {
            f.name: (settings_of(getattr(value, f.name)), _default(f)) for f in _compared(value)
        }
        changed = {name: now for name, (now, default) in found.items() if now != default}
        return {"kind": type(value).__qualname__, **changed}
    if isinstance(value, Mapping):
        return {str(key): settings_of(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [settings_of(entry) for entry in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else text_of(value)


def differences(stored: Any, now: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (setting, value stored, value now) wherever stored settings are not those of now.

    Args:
        stored: Of `settings_of`, perhaps by an older version, or the text that `repr` made.
        now: What it is compared with: a dataclass, or a mapping of such.
        name: Of the whole, before the dots.

    >>> from nmlib import Recipe
    >>> list(differences(settings_of(Recipe(epochs=3)), Recipe(parts=2), "recipe"))
    [('recipe.epochs', '3', '200'), ('recipe.parts', '1', '2')]
    >>> list(differences("Recipe(epochs=3)", Recipe(epochs=3)))
    []
    """
    record = is_dataclass(now) and not isinstance(now, type)
    if isinstance(stored, str) and record:
        stored = _parsed(stored)
    plain: Any = text_of(now) if isinstance(stored, str) and record else settings_of(now)
    entries: dict[str, tuple[Any, Any]] | None = None
    if isinstance(stored, Mapping):
        if record and stored.get("kind", plain["kind"]) == plain["kind"]:
            entries = {
                f.name: (stored.get(f.name, _default(f)), getattr(now, f.name))
                for f in _compared(now)
            }
        elif isinstance(now, Mapping):
            entries = {key: (stored.get(key, _NOTHING), entry) for key, entry in now.items()}
    if entries is None:
        if _whole(stored) != _whole(plain):
            yield name, _words(stored), _words(plain)
        return
    for key in stored.keys() - entries.keys() - {"kind", "version"}:
        entries[key] = stored[key], _NOTHING
    for key, (before, entry) in entries.items():
        yield from differences(before, entry, f"{name}.{key}" if name else key)


def structure_of(model: nn.Module) -> str:
    """Return 8 hexadecimal digits that change when a network is built otherwise.

    They cover the names and shapes of its weights, the classes of its parts with the arguments that
    differ from their defaults, and the buffers that are not saved with the weights.
    """
    saved = model.state_dict()
    parts = [
        [(k, list(v.shape)) for k, v in saved.items()],
        [(k, type(m).__name__, _arguments(m)) for k, m in model.named_modules()],
        [(k, v.tolist()) for k, v in model.named_buffers() if k not in saved],
    ]
    return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def text_of(value: Any) -> str:
    """Return a text that is the same for equal values in every process.

    >>> text_of(object())
    '<object object>'
    """
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _compared(value: Any) -> list[Field[Any]]:
    return [f for f in fields(value) if f.compare and f.repr]


def _default(entry: Field[Any]) -> Any:
    """Return the settings that a field has by default; a class may have made it obligatory."""
    if entry.default_factory is not MISSING:
        return settings_of(entry.default_factory())
    return _NOTHING if entry.default is MISSING else settings_of(entry.default)


def _arguments(module: nn.Module) -> dict[str, Any]:
    """Return the numbers and texts that a module was made with, without the default ones."""
    parameters = inspect.signature(type(module).__init__).parameters.values()
    found = {p.name: (getattr(module, p.name, None), p.default) for p in parameters}
    return {
        name: value
        for name, (value, default) in found.items()
        if isinstance(value, (bool, int, float, str, tuple)) and value != default
    }


def _parsed(text: str) -> Any:
    """Return the settings that the `repr` of a dataclass shows, or the text if it shows none.

    >>> _parsed("Mixup(alpha=1)"), _parsed("<object object>")
    ({'kind': 'Mixup', 'alpha': 1}, '<object object>')
    """

    def read(node: ast.expr) -> Any:
        if isinstance(node, ast.Call) and not node.args:
            values = {str(k.arg): read(k.value) for k in node.keywords}
            return {"kind": ast.unparse(node.func), **values}
        if isinstance(node, (ast.Tuple, ast.List)):
            return [read(entry) for entry in node.elts]
        return ast.literal_eval(node)

    try:
        return read(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        return text


def _whole(value: Any) -> Any:
    """Write whole numbers in a text without ".0": Mixup(1) and Mixup(1.0) are one setting."""
    if not isinstance(value, str):
        return value
    return re.sub(r"(?<![\w.])(\d+)\.0(?![\w.])", r"\1", value)


def _words(value: Any) -> str:
    """Return settings as a person writes them.

    >>> _words({"kind": "Mixup", "alpha": 1.0})
    'Mixup(alpha=1.0)'
    """
    if isinstance(value, Mapping) and "kind" in value:
        entries = ", ".join(f"{k}={_words(v)}" for k, v in value.items() if k != "kind")
        return f"{value['kind']}({entries})"
    return str(value)
