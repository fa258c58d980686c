"""Packages whose public names are imported on first use, so that reading results needs no torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["on_demand"]


def on_demand(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package, as PEP 562 has them.

    The package lists the same imports under `TYPE_CHECKING`, for type checkers and readers.

    Args:
        package: Its name.
        names: Module -> the names that the package takes from it, separated by spaces; "" for the
            module itself.
    """
    homes = {name: module for module, found in names.items() for name in found.split()}
    homes |= {module.rpartition(".")[2]: module for module, found in names.items() if not found}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(homes[name])
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModuleNotFoundError(
                f"{package}.{name} needs PyTorch, which is not here: pip install torch",
                name="torch",
            ) from None
        value = getattr(module, name) if names[homes[name]] else module
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *homes})
